"""The commands that make radiotherapy plans and compare them."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Column, Table

import aegle
from aegle.cli.cases import Language, LanguageOption, NowOption, OptionsFile
from aegle.cli.console import (
    JsonOption,
    SettingsOption,
    output,
    print_json,
    progress,
    stoppable,
)
from aegle.domain.errors import OptionError

__all__ = ["Language", "compare", "plan"]


def plan(
    case: Annotated[
        Path | None, typer.Argument(help="Folder of a case; or give --ct instead.")
    ] = None,
    ct: Annotated[
        Path | None,
        typer.Option("--ct", help="DICOM series, NIfTI file, matRad .mat or .npz phantom."),
    ] = None,
    structures: Annotated[
        Path | None,
        typer.Option(
            "--structures",
            help="RTSTRUCT, SEG, label map, folder of masks or phantom; by default what comes "
            "with the CT.",
        ),
    ] = None,
    prescription: Annotated[
        str | None,
        typer.Option("--prescription", help="TOML file, or a name from --list-protocols."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for the plan; CASE/plan by default for a case."),
    ] = None,
    phases: Annotated[
        Path | None,
        typer.Option(
            "--phases", help="TOML file of phases of breathing: CT, displacement field and share."
        ),
    ] = None,
    names: Annotated[
        list[str] | None,
        typer.Option(
            "--name", help="What a structure of the prescription is called, as PTV=OuterTarget."
        ),
    ] = None,
    language: LanguageOption = "en",
    options: OptionsFile = None,
    settings: SettingsOption = None,
    now: NowOption = None,
    list_protocols: Annotated[
        bool, typer.Option("--list-protocols", help="List the prescriptions that come with Aegle.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a radiotherapy plan: RTPLAN, RTSTRUCT, RTDOSE, plan.json and a page.

    The same plan is not made twice; a changed option, file or prescription makes it anew.

    Example: `aegle plan --ct ct/ --structures rs.dcm --prescription lung_conventional --out plan`
    """
    from aegle import api

    if list_protocols:
        _list(api.protocols(), as_json)
        return
    called = dict(_pair(text) for text in names or ())
    chosen = api.read_options(options, settings or ())
    with stoppable(), progress() as announce:
        inputs = api.PlanInputs(
            case=case,
            ct=ct,
            structures=structures,
            prescription=prescription,
            phases=phases,
            names=called,
        )
        made = api.plan(inputs, out, options=chosen, language=language, now=now, announce=announce)
    found = api.plan_numbers(made)
    files = {p.name: str(p.resolve()) for p in sorted(made.folder.iterdir()) if p.name in _FILES}
    if as_json:
        print_json(found | {"files": files})
        return
    _show(found)
    for reason in _suggested(found):
        output.print(reason, markup=False)
    for name, path in files.items():
        output.print(f"{name}: {path}", markup=False)
    output.print(aegle.RESEARCH_USE, markup=False)


def compare(
    first: Annotated[
        Path,
        typer.Argument(
            help="Folder of `aegle plan` or `aegle run`, or one with RTDOSE and RTSTRUCT."
        ),
    ],
    second: Annotated[Path, typer.Argument(help="The other one, of the same patient.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the page.")],
    ct: Annotated[
        Path | None,
        typer.Option("--ct", help="CT under the pictures; needed with RTDOSE and RTSTRUCT."),
    ] = None,
    prescription: Annotated[
        str | None,
        typer.Option(
            "--prescription",
            help="TOML file or name of a protocol that an RTDOSE is judged by; by default that of "
            "the other plan.",
        ),
    ] = None,
    names: Annotated[
        tuple[str, str] | None, typer.Option("--names", help="What the two are called.")
    ] = None,
    language: LanguageOption = "en",
    options: OptionsFile = None,
    settings: SettingsOption = None,
    now: NowOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put two plans of one patient beside each other: goals, doses, differences, gamma.

    Example: `aegle compare photons/ protons/ --ct ct/ --out comparison`
    """
    from aegle import api

    chosen = api.read_options(options, settings or ())
    with stoppable():
        inputs = api.ComparisonInputs(
            first=first, second=second, ct=ct, prescription=prescription, names=names
        )
        made = api.compare(inputs, out, options=chosen, language=language, now=now)
    found = made.numbers
    if as_json:
        print_json(found)
        return
    for one in found["plans"]:
        met = sum(goal["is_met"] for goal in one["goals"])
        output.print(f"{one['name']}: {met} of {len(one['goals'])} goals met", markup=False)
    gamma = found["gamma"]
    output.print(
        f"Gamma {gamma['dose_percent']:g} % / {gamma['distance_mm']:g} mm: "
        f"{gamma['pass_percent']:.1f} % of {gamma['judged']} voxels agree",
        markup=False,
    )
    output.print(f"Page: {(out / 'comparison.html').resolve()}", markup=False)
    output.print(aegle.RESEARCH_USE, markup=False)


_FILES = ("dicom", "plan.json", "plan.html", "plan.pdf")


def _suggested(found: dict[str, Any]) -> list[str]:
    """Return what is said of alternatives, where they were asked for."""
    if "alternatives" not in found:
        return []
    first = found["alternatives"][0]["name"]
    return [f"Suggested: {first}; a person decides.", *found["reasons"]]


def _pair(text: str) -> tuple[str, str]:
    name, equals, structure = text.partition("=")
    if not (equals and name and structure):
        raise OptionError(f"Cannot read --name '{text}'; write NAME=STRUCTURE.")
    return name, structure


def _list(found: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    for one in found:
        output.print(
            f"{one['name']}: {one['title']}; {one['dose_gy']:g} Gy in {one['fractions']} fractions "
            f"to {one['target']}, {len(one['goals'])} goals",
            markup=False,
        )
        output.print(f"  {one['source']}", markup=False)


def _show(found: dict[str, Any]) -> None:
    met = sum(goal["is_met"] for goal in found["goals"])
    output.print(
        f"{found['dose_gy']:g} Gy in {found['fractions']} fractions to {found['target']}, "
        f"{len(found['beams'])} beams of {found['machine']}, {met} of {len(found['goals'])} goals "
        "met",
        markup=False,
    )
    if found["reason"]:
        output.print(found["reason"], markup=False)
    table = Table(Column("structure", overflow="fold"), "goal", "limit", "plan", "met")
    for goal in found["goals"]:
        unit = "%" if goal["metric"] == "V" else "Gy"
        at = "" if goal["at"] is None else f"{goal['at']:g}"
        sign = "≥" if goal["at_least"] is not None else "≤"
        limit = goal["at_least"] if goal["at_least"] is not None else goal["at_most"]
        table.add_row(
            escape(goal["structure"]),
            f"{goal['metric']}{at}",
            f"{sign} {limit:g} {unit}",
            f"{goal['value']:.1f} {unit}",
            "yes" if goal["is_met"] else "[red]NO[/red]",
        )
    output.print(table)
    for notice in found["notices"]:
        output.print(f"Note: {notice}", markup=False)


def adapt(
    plan: Annotated[Path, typer.Argument(help="Folder of `aegle plan` or `aegle run`.")],
    ct: Annotated[Path, typer.Option("--ct", help="CT of the day.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the proposal.")],
    structures: Annotated[
        Path | None,
        typer.Option(
            "--structures",
            help="Drawn on the CT of the day: RTSTRUCT, SEG, label map or folder of masks. What is "
            "not drawn is carried over from the planning CT.",
        ),
    ] = None,
    planning_ct: Annotated[
        Path | None,
        typer.Option("--planning-ct", help="CT that was planned on, if the folder lacks it."),
    ] = None,
    language: LanguageOption = "en",
    options: OptionsFile = None,
    settings: SettingsOption = None,
    now: NowOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge a plan on a later CT: dose of the day and in all, and a new plan if there is a reason.

    Example: `aegle adapt plan/ --planning-ct ct0/ --ct ct1/ --set adaptation.fractions_given=10
    --out adapted`
    """
    from aegle import api

    chosen = api.read_options(options, settings or ())
    inputs = api.AdaptationInputs(plan=plan, ct=ct, structures=structures, planning_ct=planning_ct)
    with stoppable():
        made = api.adapt(inputs, out, options=chosen, language=language, now=now)
    if as_json:
        print_json(made.numbers)
        return
    found = made.found
    for result in found.day.goals:
        mark = "met" if result.is_met else "MISSED"
        goal = result.goal
        name = f"{goal.structure} {goal.metric.value}{'' if goal.at is None else f'{goal.at:g}'}"
        output.print(f"{name}: {result.value:.1f}, {mark} on the day", markup=False)
    for one in found.fired:
        output.print(f"Reason to plan anew: {one.reason}", markup=False)
    if found.adapted is None:
        output.print("The plan still fits; nothing is proposed.")
    else:
        output.print(f"Proposal: {made.folder.resolve()}", markup=False)
    for notice in found.notices:
        output.print(f"Note: {notice}", markup=False)
    output.print(aegle.RESEARCH_USE, markup=False)

"""Commands about one patient's case."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.table import Column, Table

import aegle
from aegle.cli.console import (
    JsonOption,
    SettingsOption,
    output,
    print_json,
    progress,
    stoppable,
)
from aegle.domain.errors import OptionError

Language = Literal["en", "zh"]
ADEQUATE = "adequate"
"""Grade of an image, or of one measure, that needs no word."""
OutOption = Annotated[Path, typer.Option("--out", help="Folder for the results.")]
LanguageOption = Annotated[Language, typer.Option("--language", help="Language of the report.")]
OptionsFile = Annotated[
    Path | None, typer.Option("--options", help="TOML file of options; see `aegle options`.")
]
FactsOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--facts",
        help="What is stated beside the images: JSON of facts, FHIR bundle, or CSV of laboratory "
        "values; may be repeated; kept with the case.",
    ),
]
NowOption = Annotated[
    datetime | None,
    typer.Option(
        "--now",
        help="Time stamp on everything written (the present by default); "
        "the same files and time give the same bytes.",
    ),
]


def demo(
    out: OutOption = Path("aegle-demo"),
    language: LanguageOption = "en",
    now: NowOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a made patient, three visits with known truth, through everything.

    Example: `aegle demo --out my-demo --language zh`
    """
    from aegle import api

    with stoppable(), progress() as announce:
        made = api.demo(out, language=language, now=now, announce=announce)
    if as_json:
        rows = [asdict(row) for row in made.agreement]
        found = {"agreement": rows, "report": str(_report(made.case))}
        print_json(api.summary(made.results) | found)
        return
    output.print(_agreement_table(made.agreement))
    _print_where(made.case)


def run(
    paths: Annotated[
        list[Path],
        typer.Argument(help="One patient's DICOM, NIfTI, NRRD ... files, folders, zips."),
    ],
    out: OutOption,
    facts: FactsOption = None,
    language: LanguageOption = "en",
    options: OptionsFile = None,
    settings: SettingsOption = None,
    now: NowOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take one patient's files through every stage that they allow.

    A run that was stopped goes on where it was; finished stages are not repeated.

    Example: `aegle run scans/ labels.nii.gz --out case --set prescription.dose_gy=50`
    """
    from aegle import api

    chosen = api.read_options(options, settings or ())
    with stoppable(), progress() as announce:
        results = api.run(
            paths,
            out,
            facts=facts,
            options=chosen,
            language=language,
            now=now,
            announce=announce,
        )
    if as_json:
        print_json(api.summary(results))
        return
    for line in _lines(api.summary(results)):
        output.print(line, markup=False)
    _print_where(out)


def follow(
    visits: Annotated[
        list[Path],
        typer.Argument(help="Baseline and later visits: a file, folder or zip for each."),
    ],
    out: OutOption,
    structures: Annotated[
        list[Path] | None,
        typer.Option("--structures", help="Label map with the lesions, once for each visit."),
    ] = None,
    facts: FactsOption = None,
    language: LanguageOption = "en",
    options: OptionsFile = None,
    settings: SettingsOption = None,
    now: NowOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare visits of one patient: the same lesions over time, and how the tumour responds.

    Visits are put in the order in which they took place.

    Example: `aegle follow january/ april/ july/ --out case`
    """
    from aegle import api

    chosen = api.read_options(options, settings or ())
    with stoppable(), progress() as announce:
        results = api.follow(
            _with_structures(visits, structures or []),
            out,
            facts=facts,
            options=chosen,
            language=language,
            now=now,
            announce=announce,
        )
    if as_json:
        print_json(api.summary(results))
        return
    for line in _lines(api.summary(results)):
        output.print(line, markup=False)
    _print_where(out)


def _with_structures(visits: list[Path], structures: list[Path]) -> list[Any]:
    if not structures:
        return list(visits)
    if len(structures) != len(visits):
        raise OptionError(
            f"{len(structures)} label map(s) for {len(visits)} visits: give --structures once for "
            "each visit, in the same order. RTSTRUCT and SEG objects may lie in a visit's folder "
            "instead."
        )
    return list(zip(visits, structures, strict=True))


def list_options(as_json: JsonOption = False) -> None:
    """List every option of `aegle run` with meaning, unit and default.

    Example: `aegle options`
    """
    from aegle import api

    rows = api.describe()
    if as_json:
        print_json(rows)
        return
    name = Column("option", no_wrap=True, min_width=max(map(len, map(_option_name, rows))))
    table = Table(name, "meaning", "default")
    for row in rows:
        table.add_row(
            _option_name(row),
            str(row.get("description", "")),
            json.dumps(row.get("default")),
        )
    output.print(table)


def doctor(as_json: JsonOption = False) -> None:
    """Say what is installed and what it allows.

    Example: `aegle doctor --json`
    """
    from aegle import api

    found = api.doctor()
    if as_json:
        print_json(found)
        return
    table = Table("what", "found", show_header=False)
    for name, value in _flat(found):
        table.add_row(name, str(value) if value is not None else "[red]missing[/red]")
    output.print(table)


def _option_name(row: dict[str, Any]) -> str:
    return f"{row['section']}.{row['option']}"


def _print_where(case: Path) -> None:
    output.print(f"Report: {_report(case)}", markup=False)
    output.print(aegle.RESEARCH_USE, markup=False)


def _report(case: Path) -> Path:
    return (case / "report.html").resolve()


def _agreement_table(rows: tuple[Any, ...]) -> Table:
    table = Table("visit", "what", "measured", "truth", "within", "agrees")
    for row in rows:
        table.add_row(
            str(row.visit),
            row.what,
            *(
                f"{v:.1f} {row.unit}" if isinstance(v, float) else v
                for v in (row.measured, row.truth)
            ),
            row.tolerance,
            "yes" if row.agrees else "[red]NO[/red]",
        )
    return table


def _lines(found: dict[str, Any]) -> Iterator[str]:
    """Yield the numbers of a case, a line each."""
    for number, visit in enumerate(found["visits"], 1):
        images = ", ".join(i["name"] for i in visit["images"]) or "no images"
        yield f"Visit {number} ({visit['time'] or 'undated'}): {images}"
        yield from _assessment_lines(visit)
        yield from _finding_lines(visit)
        for notice in visit["notices"]:
            yield f"  Note: {notice}"
        cautions = (caution for said in visit["suggestions"] for caution in said["cautions"])
        for caution in dict.fromkeys(cautions):
            yield f"  Note: {caution}"
    yield from _plan_lines(found["plan"])
    yield from _course_lines(found["follow_up"])


def _course_lines(course: dict[str, Any]) -> Iterator[str]:
    for response in course.get("responses", []):
        yield f"Response at visit {response['visit']}: {response['category']}, {response['reason']}"
        if response["uncertain"]:
            yield f"  Note: {response['uncertain']}"
    for said in (course.get("note"), course.get("reason")):
        if said:
            yield f"Follow-up: {said}"
    for change in course.get("changes", []):
        yield f"Changed tissue at visit {change['visit']}: {_changed(change)}"
    for caution in course.get("cautions", []):
        yield f"  Note: {caution}"


def _changed(change: dict[str, Any]) -> str:
    said = []
    for name in ("grown", "shrunk"):
        low, high = change[name]["interval_ml"]
        said.append(
            f"{change[name]['regions']} regions {name}, {change[name]['volume_ml']:.2f} mL "
            f"({low:.2f} to {high:.2f})"
        )
    return "; ".join([*said, *change["notices"]])


def _assessment_lines(visit: dict[str, Any]) -> Iterator[str]:
    for quality in visit["quality"]:
        limiting = [m["name"] for m in quality["measures"] if m["grade"] != ADEQUATE]
        if limiting:
            yield f"  {quality['image']}: quality {quality['grade']} ({', '.join(limiting)})"
    for said in visit["classifications"]:
        shares = ", ".join(f"{name} {p:.0%}" for name, p in said["probabilities"].items())
        yield f"  {said['image']}: {shares} ({said['model']})"


def _finding_lines(visit: dict[str, Any]) -> Iterator[str]:
    for organ in visit["organs"]:
        yield f"  {organ['name']}: {organ['volume_ml']:.1f} mL"
    for lesion in visit["lesions"]:
        yield (
            f"  {lesion['id']} {lesion['name']} on {lesion['image']}: "
            f"{lesion['longest_mm']:.1f} × {lesion['perpendicular_mm']:.1f} mm, "
            f"{lesion['volume_ml']:.2f} mL"
        )
    for said in visit["suggestions"]:
        yield f"  {said['rule']}: {said['category'] or said['reason']} ({said['subject']})"


def _plan_lines(plan: dict[str, Any]) -> Iterator[str]:
    if "goals" not in plan:
        yield f"Plan: none. {plan['reason']}"
        return
    met = sum(goal["is_met"] for goal in plan["goals"])
    yield (
        f"Plan: {plan['dose_gy']:g} Gy in {plan['fractions']} fractions to {plan['target']}, "
        f"{met} of {len(plan['goals'])} goals met"
    )
    for notice in plan["notices"]:
        yield f"  Note: {notice}"


def _flat(found: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(found, dict):
        yield name, found
        return
    for key, value in found.items():
        yield from _flat(value, f"{name} {key}".strip())

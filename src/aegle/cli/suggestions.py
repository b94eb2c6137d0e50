"""The command that suggests, and keeps what a person decides."""

from pathlib import Path
from typing import Annotated, Any

import typer

import aegle
from aegle.cli.cases import FactsOption, LanguageOption, NowOption
from aegle.cli.console import JsonOption, SettingsOption, output, print_json
from aegle.domain.errors import OptionError


def suggest(
    case: Annotated[Path, typer.Argument(help="Folder that `aegle run ... --out CASE` wrote.")],
    facts: FactsOption = None,
    accept: Annotated[
        str | None, typer.Option("--accept", help="Id of a suggestion that a person accepts.")
    ] = None,
    override: Annotated[
        str | None, typer.Option("--override", help="Id of a suggestion that a person overrides.")
    ] = None,
    category: Annotated[
        str, typer.Option("--category", help="What the person says in its place.")
    ] = "",
    reason: Annotated[str, typer.Option("--reason", help="Why; overriding needs it.")] = "",
    by: Annotated[str, typer.Option("--by", help="Who decides.")] = "",
    language: LanguageOption = "en",
    settings: SettingsOption = None,
    now: NowOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what published rules and models make of a case, and keep what a person decides.

    Writes `suggestions.html`, `suggestions.json` and `cds-cards.json` into the case; each
    decision is a file of its own under `reviews/` that is never changed.

    Example: `aegle suggest case --facts facts.json --accept S-3f2a9c1d20 --by "Dr Wu"`
    """
    from aegle import api

    if accept and override:
        raise OptionError("Give --accept or --override, not both.")
    results = api.suggest(
        case,
        facts=facts,
        review=_review(accept, override, category, reason, by),
        options=api.read_options(None, settings or ()),
        language=language,
        now=now,
    )
    numbers = api.suggestion_numbers(results)
    if as_json:
        print_json(numbers)
        return
    for line in _lines(numbers):
        output.print(line, markup=False)
    output.print(f"Page: {(case / 'suggestions.html').resolve()}", markup=False)
    output.print(aegle.RESEARCH_USE, markup=False)


def _review(
    accept: str | None, override: str | None, category: str, reason: str, by: str
) -> dict[str, str] | None:
    wanted = accept or override
    if wanted is None:
        if by or reason or category:
            raise OptionError("--by, --reason and --category go with --accept ID or --override ID.")
        return None
    return {
        "suggestion": wanted,
        "decision": "accepted" if accept else "overridden",
        "category": category,
        "reason": reason,
        "by": by,
    }


def _lines(numbers: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    cautions: dict[str, None] = {}
    for number, visit in enumerate(numbers["visits"], 1):
        lines.append(f"Visit {number}")
        for said in visit["suggestions"]:
            lines += _suggestion_lines(said)
            cautions |= dict.fromkeys(said["cautions"])
    return [*lines, *(f"Note: {caution}" for caution in cautions)]


def _suggestion_lines(said: dict[str, Any]) -> list[str]:
    if not said["applies"]:
        return [f"  {said['rule']}: {said['reason']}"]
    lines = [
        f"  {said['id']}  {said['rule']}, {said['subject']}: {said['category']}",
        f"      {said['reason']}",
    ]
    if said["missing"]:
        lines.append(f"      Missing: {', '.join(said['missing'])}")
    lines += [f"      Else {a['category']}: {a['reason']}" for a in said["alternatives"]]
    if said["next_step"]:
        lines.append(f"      Next step: {said['next_step']}")
    if said["review"]:
        made = said["review"]
        lines.append(f"      Review: {made['decision']} by {made['by']}, {made['at']}")
    return lines

"""The command that judges response from measurements alone."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

import aegle
from aegle.cli.console import JsonOption, output, print_json
from aegle.domain.errors import OptionError

__all__ = ["respond"]


def respond(
    criterion: Annotated[
        str | None,
        typer.Argument(help="Such as recist-1.1, irecist, percist-1.0; see --list."),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option("--input", help="JSON file, CSV table, or folder with SDTM tables TR and TU."),
    ] = None,
    policies: Annotated[
        list[str] | None,
        typer.Option("--policy", help="A choice the criterion leaves open, as NAME=VALUE."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for response.json and the plots.")
    ] = None,
    list_criteria: Annotated[
        bool, typer.Option("--list", help="List the criteria and their policies.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Judge response to treatment from measurements, without images.

    The rule that fired, the policies and the source stand with every category.

    Example: `aegle respond recist-1.1 --input sizes.json`, where the file holds
    `{"visits": [{"date": "2026-01-05", "targets": {"T1": 42, "T2": 18}, "non_targets": {"N1":
    "present"}}, {"date": "2026-03-02", "targets": {"T1": 28, "T2": 9.5}, "non_targets": {"N1":
    "present"}, "new": {}}], "nodes": ["T2"]}`
    """
    from aegle import api

    if list_criteria:
        _list(api.criteria(), as_json)
        return
    if criterion is None or source is None:
        raise OptionError("Give a criterion and --input FILE; --list names the criteria.")
    chosen = dict(_pair(text) for text in policies or ())
    found = api.respond(criterion, source, policies=chosen, out=out)
    if as_json:
        print_json(found)
        return
    for answer in found if isinstance(found, list) else [found]:
        _show(answer)
    if out is not None:
        for file in sorted(out.iterdir()):
            output.print(f"{file.name}: {file.resolve()}", markup=False)
    output.print(aegle.RESEARCH_USE, markup=False)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (equals and name and value):
        raise OptionError(f"Cannot read --policy '{text}'; write NAME=VALUE.")
    return name, value


def _list(found: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    for one in found:
        output.print(f"{one['id']}: {one['title']}, {one['measure']} [{one['unit']}]", markup=False)
        output.print(f"  {one['citation']}", markup=False)
        for name, policy in one["policies"].items():
            values = ", ".join(policy["values"])
            output.print(f"  --policy {name}={policy['default']} ({values})", markup=False)


def _show(found: dict[str, Any]) -> None:
    if "patients" in found:
        _show_cohort(found)
    elif "visits" in found:
        _show_visits(found)
    else:
        for name, value in found.items():
            output.print(f"{name}: {value}", markup=False)
        return
    chosen = ", ".join(f"{name}={value}" for name, value in found["policies"].items())
    output.print(f"Policies: {chosen}", markup=False)
    output.print(f"Source: {found['citation']}", markup=False)


def _show_visits(found: dict[str, Any]) -> None:
    table = Table("visit", "response", "why", "probability")
    for visit in found["visits"]:
        chances = visit.get("probabilities", {})
        words = ", ".join(f"{name} p={p:.2f}" for name, p in chances.items())
        why = visit["reason"]
        if visit["within_measurement_error"]:
            why += " The change is smaller than the measurement error."
        table.add_row(str(visit["visit"]), escape(visit["category"]), escape(why), words)
    output.print(table)
    for line in (*found.get("notes", ()), found.get("assumed_error")):
        if line:
            output.print(f"Note: {line}", markup=False)


def _show_cohort(found: dict[str, Any]) -> None:
    table = Table("patient", "evaluator", "best", "best change", "each visit")
    for row in found["patients"]:
        percent = "–" if row["best_percent"] is None else f"{row['best_percent']:+.1f} %"
        each = ", ".join(visit["category"] for visit in row["visits"])
        table.add_row(escape(row["patient"]), escape(row["evaluator"]), row["best"], percent, each)
    output.print(table)

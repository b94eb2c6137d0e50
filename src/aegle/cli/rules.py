"""The command that asks published rules."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

import aegle
from aegle.cli.console import JsonOption, output, print_json
from aegle.domain.errors import OptionError

STANDARD_INPUT = "-"


def rule(
    name: Annotated[
        str | None, typer.Argument(help="Id of the rule, such as lung-rads; --list shows them.")
    ] = None,
    facts: Annotated[
        str | None,
        typer.Option("--input", help="Facts by name: JSON file, - for standard input, or JSON."),
    ] = None,
    list_rules: Annotated[
        bool, typer.Option("--list", help="List the rules with their versions and sources.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Ask a published clinical rule: result, row that fired, next step, source.

    What the rule leaves open, or is not made for, is answered REVIEW with the reason. Facts that
    are unknown or of another type end with status 2.

    Example: `echo '{"type": "solid", "d": 8}' | aegle rule lung-rads --input - --json`
    """
    from aegle import api

    if list_rules:
        _print_rules(api.rules(), as_json)
        return
    if name is None or facts is None:
        raise OptionError("Give the id of a rule and --input FILE (or -); --list shows the rules.")
    answer = api.rule(name, _read(facts)).plain()
    if as_json:
        print_json(answer | {"research_use": aegle.RESEARCH_USE})
    else:
        _print_answer(answer)


def _read(place: str) -> Any:
    """Return the facts of a JSON file or text."""
    said = "standard input" if place == STANDARD_INPUT else "--input" if _is_json(place) else place
    try:
        return json.loads(_content(place), object_pairs_hook=_without_doubles)
    except OSError as error:
        raise OptionError(
            f"{said}: cannot be read ({error.strerror}); give a JSON file."
        ) from error
    except (ValueError, RecursionError) as error:
        raise OptionError(f"{said}: is not JSON ({error}); give an object of facts.") from error


def _is_json(place: str) -> bool:
    return place.lstrip().startswith(("{", "["))


def _content(place: str) -> str:
    if _is_json(place):
        return place
    data = sys.stdin.buffer.read() if place == STANDARD_INPUT else Path(place).read_bytes()
    # Facts may begin with a byte order mark.
    return data.decode("utf-8-sig")


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{', '.join(doubled)} is stated twice")
    return dict(pairs)


def _print_rules(rules: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(rules)
        return
    table = Table("rule", "effective")
    table.add_column("what it is", overflow="fold")
    for one in rules:
        about = f"{one['title']}: {one['applies_to']}. {one['citation']}"
        table.add_row(one["rule"], one["effective"], escape(about))
    output.print(table)
    output.print(aegle.RESEARCH_USE, markup=False)


def _print_answer(answer: dict[str, Any]) -> None:
    result = answer["result"]
    shown = ", ".join(map(str, result)) if isinstance(result, list) else str(result)
    lines = [(answer["title"], shown), ("Reason", answer["reason"])]
    if answer["row"]:
        lines.append(("Row", f"{answer['row']} ({answer['row_confirmed']})"))
    lines += [("Caution", text) for text in answer["cautions"]]
    lines += [("Missing", text) for text in answer["missing"]]
    lines += [("Assumed", text) for text in answer["assumed"]]
    if answer["next_step"]:
        lines.append(("Next step", answer["next_step"]))
    lines.append(("Source", answer["citation"]))
    for label, text in lines:
        output.print(f"{label}: {text}", markup=False)
    output.print(aegle.RESEARCH_USE, markup=False)

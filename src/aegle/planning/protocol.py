"""Prescriptions and clinical goals as files: a clinic's own, and published examples.

    title = "Lung, 60 Gy in 30 fractions"
    source = "where the figures come from"

    [prescription]
    target = "PTV"
    dose_gy = 60.0
    fractions = 30

    [[goal]]
    structure = "spinal_cord"
    metric = "max"      # D (at, in %), V (at, in Gy), mean, max (0.03 cm³), gEUD (at, the exponent)
    at_most = 50.0      # or at_least; Gy, for V %
    priority = 1        # 1 before others, 2 usual, 3 where it costs the others little
    must = false        # true: the plan has to keep it
    source = "where the limit comes from"

Examples lie in ``protocols/``. They show the form; a clinic replaces them by its own.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass as validated

from aegle.domain.errors import InputError, OptionError
from aegle.domain.plan import Goal, Metric, Prescription
from aegle.domain.structure import StructureSet
from aegle.options import read as read_values
from aegle.planning.structure_names import matching_name
from aegle.planning.targets import LUNGS_MINUS_GTV

ENDING = ".toml"
_TABLES = ("title", "source", "prescription", "goal")
_HINT = "See docs/how-to/plan-and-judge.md for the form."


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A prescription with its name and where its figures come from."""

    name: str
    """Of the file, without its ending."""
    title: str
    source: str
    prescription: Prescription


@validated(frozen=True, kw_only=True)
class _Prescribed:
    """Table ``prescription`` of a file."""

    target: str = Field(min_length=1)
    dose_gy: float = Field(gt=0, le=200)
    fractions: int = Field(ge=1, le=100)


@validated(frozen=True, kw_only=True)
class _Limit:
    """A table ``goal`` of a file."""

    structure: str = Field(min_length=1)
    metric: Literal["D", "V", "mean", "max", "gEUD"]
    source: str = ""
    at: float | None = None
    at_least: float | None = Field(default=None, ge=0)
    at_most: float | None = Field(default=None, ge=0)
    priority: Literal[1, 2, 3] = 2
    must: bool = False


def read(path: Path) -> Protocol:
    """Read a prescription.

    Args:
        path: TOML file.

    Raises:
        OptionError: The file cannot be read, or a key is missing, unknown or out of bounds; the
            message names file, table and key.
    """
    try:
        found = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise OptionError(f"{path}: cannot be read as TOML ({error}). {_HINT}") from error
    return _understood(found, str(path), path.stem)


def protocols() -> tuple[Protocol, ...]:
    """Return the examples that come with Aegle, by name."""
    return tuple(shipped(name) for name in _names())


@cache
def shipped(name: str) -> Protocol:
    """Return an example that comes with Aegle.

    Raises:
        OptionError: There is none of that name.
    """
    if name not in _names():
        raise OptionError(f"No protocol '{name}'; known: {', '.join(_names())}.")
    file = resources.files("aegle.planning") / "protocols" / f"{name}{ENDING}"
    return _understood(tomllib.loads(file.read_text("utf-8")), f"protocol {name}", name)


def protocol(wanted: str | Path) -> Protocol:
    """Return a prescription by the path of its file or by the name of an example.

    Raises:
        OptionError: There is no such file and no such example, or the file is wrong.
    """
    path = Path(wanted)
    if path.suffix == ENDING or path.exists():
        return read(path)
    return shipped(str(wanted))


def fitted(
    prescription: Prescription, structures: StructureSet, names: Mapping[str, str]
) -> Prescription:
    """Return a prescription with structures called as they are delineated.

    Args:
        prescription: Names are matched as they stand, then whatever their case, signs and order
            of side and organ, then as common spellings of Aegle's names.
        structures: What is delineated.
        names: Name in the prescription to name of the structure; goes before all else.

    Returns:
        The prescription; goals of structures that are not delineated keep their name.

    Raises:
        OptionError: ``names`` refers to what is not in the prescription or not delineated.
        InputError: The target is not delineated.
    """
    asked = {prescription.target, *(goal.structure for goal in prescription.goals)}
    _require_known(names, asked, structures)
    there = tuple(structure.name for structure in structures)
    called = {name: names.get(name) or _called(name, there) for name in asked}
    target = called[prescription.target]
    if target not in structures:
        raise InputError(
            f"The prescription's target '{prescription.target}' is not delineated; there: "
            f"{', '.join(sorted(there)) or 'nothing'}. Say which structure it is with --name "
            f"'{prescription.target}=...', or delineate it."
        )
    goals = tuple(replace(goal, structure=called[goal.structure]) for goal in prescription.goals)
    return replace(prescription, target=target, goals=goals)


def _called(name: str, there: tuple[str, ...]) -> str:
    # Derived by the planner, from whatever lungs are delineated.
    if name == LUNGS_MINUS_GTV:
        return name
    return matching_name(name, there) or name


def _require_known(names: Mapping[str, str], asked: set[str], structures: StructureSet) -> None:
    for name, structure in names.items():
        if name not in asked:
            raise OptionError(
                f"'{name}' is no structure of the prescription; there: {', '.join(sorted(asked))}."
            )
        if structure not in structures:
            known = ", ".join(sorted(s.name for s in structures))
            raise OptionError(f"'{name}' cannot be '{structure}', only one of: {known}.")


@cache
def _names() -> tuple[str, ...]:
    folder = resources.files("aegle.planning") / "protocols"
    files = (file.name for file in folder.iterdir())
    return tuple(sorted(n.removesuffix(ENDING) for n in files if n.endswith(ENDING)))


def _understood(found: Mapping[str, Any], where: str, name: str) -> Protocol:
    unknown = sorted(set(found) - set(_TABLES))
    if unknown:
        raise OptionError(
            f"{where}: unknown key(s) {', '.join(unknown)}; known: {', '.join(_TABLES)}."
        )
    title, source = (_text(found, key, where) for key in ("title", "source"))
    basics = _read(_Prescribed, found.get("prescription"), where, "prescription")
    rows = found.get("goal", [])
    if not isinstance(rows, list):
        raise OptionError(f"{where}: goal: write each goal as a table [[goal]].")
    goals = tuple(_goal(row, where, f"goal {n}") for n, row in enumerate(rows, start=1))
    return Protocol(
        name=name,
        title=title or name,
        source=source,
        prescription=Prescription(
            target=basics.target, dose_gy=basics.dose_gy, fractions=basics.fractions, goals=goals
        ),
    )


def _text(found: Mapping[str, Any], key: str, where: str) -> str:
    value = found.get(key, "")
    if not isinstance(value, str):
        raise OptionError(f"{where}: {key}: give text, not {value!r}.")
    return value


def _goal(row: Any, where: str, place: str) -> Goal:
    limit = _read(_Limit, row, where, place)
    place = f"{where}: {place} ({limit.structure})"
    largest = {"D": 100.0, "V": 200.0, "gEUD": 100.0}.get(limit.metric)
    if limit.at is not None and largest is not None and not -largest <= limit.at <= largest:
        raise OptionError(f"{place}: at: {limit.at:g} is above {largest:g}.")
    if limit.metric in ("D", "V") and limit.at is not None and limit.at < 0:
        raise OptionError(f"{place}: at: {limit.at:g} is negative.")
    try:
        return Goal(
            structure=limit.structure,
            metric=Metric(limit.metric),
            at=limit.at,
            at_least=limit.at_least,
            at_most=limit.at_most,
            source=limit.source,
            priority=limit.priority,
            is_constraint=limit.must,
        )
    except OptionError as error:
        raise OptionError(f"{place}: {error}") from error


def _read(kind: type[Any], values: Any, where: str, place: str) -> Any:
    if not isinstance(values, Mapping):
        lacking = "is missing" if values is None else "is no table"
        raise OptionError(f"{where}: {place} {lacking}. {_HINT}")
    try:
        return read_values(kind, values, section=place)
    except OptionError as error:
        raise OptionError(f"{where}: {error}") from error

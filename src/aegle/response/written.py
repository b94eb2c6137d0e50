"""Reading what someone wrote down: plain data (JSON) to courses, uptakes and lymphoma visits.

A target is a number, several numbers if it split, ``null`` if it was not measured, ``"too small"``
or ``"merged into T1"``; or a mapping with ``size`` and facts about it. Errors name the entry.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from aegle.domain.errors import InputError
from aegle.response.lugano import LymphomaVisit, Measured, new_lesion_counts
from aegle.response.patient_course import (
    NewLesion,
    NonTarget,
    PatientCourse,
    Seen,
    Target,
    Visit,
    days_between,
)
from aegle.response.percist import Uptake

Plain = Mapping[str, Any]
TOO_SMALL, MERGED_INTO = "too small", "merged into "
FIRST_DAY = date(1, 1, 1)
"""From which days are counted where dates are given."""
_VISIT = {"date", "day", "targets", "non_targets", "new", "comparable", "clinical", "steroids"}
_TARGET = {"size", "node", "organ", "slice_mm", "method"}
_NEW = {"size", "certain", "seen", "node"}


def decimal(value: Any, where: str) -> Decimal:
    """Return a number as it is written: 9.8 is ninety-eight tenths.

    Raises:
        InputError: It is no finite number, or negative.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise InputError(f"{where} is {value!r}; give a number.")
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation as error:
        raise InputError(f"{where} is {value!r}; give a number.") from error
    if not number.is_finite() or number < 0:
        raise InputError(f"{where} is {value!r}; give a number of 0 or more.")
    return number


def day_of(value: Any, where: str) -> int:
    """Return a date (ISO 8601) or a number of days as days.

    Raises:
        InputError: It is neither.
    """
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return int(value)
    try:
        return days_between(FIRST_DAY, date.fromisoformat(str(value)[:10]))
    except ValueError as error:
        raise InputError(f"{where} is {value!r}; give a date such as 2026-02-28.") from error


def course_of(plain: Plain) -> PatientCourse:
    """Return the course that a mapping describes.

    Args:
        plain: ``visits`` with baseline first, each with ``date`` or ``day``, ``targets``,
            ``non_targets`` and ``new``; ``nodes`` names the targets that are lymph nodes,
            ``organs`` where targets lie; ``patient``.

    Raises:
        InputError: An entry cannot be what it is said to be; the message names it.
    """
    visits = _list(plain, "visits")
    _no_others(plain, {"visits", "nodes", "organs", "patient", "policies", "expected"}, "the input")
    nodes = {str(name) for name in plain.get("nodes", ())}
    organs = {str(k): str(v) for k, v in dict(plain.get("organs", {})).items()}
    return PatientCourse(
        visits=tuple(_visit(v, n, nodes, organs) for n, v in enumerate(visits)),
        patient=str(plain.get("patient", "")),
    )


def _visit(plain: Any, number: int, nodes: set[str], organs: Mapping[str, str]) -> Visit:
    where = "baseline" if number == 0 else f"visit {number}"
    entry = _mapping(plain, where)
    _no_others(entry, _VISIT, where)
    when = entry.get("date", entry.get("day", 56 * number))
    targets = _mapping(entry.get("targets", {}), f"{where}, targets")
    others = _mapping(entry.get("non_targets", {}), f"{where}, non_targets")
    new = _mapping(entry.get("new", {}), f"{where}, new")
    return Visit(
        day=day_of(when, f"{where}, date"),
        targets=tuple(_target(k, v, where, nodes, organs) for k, v in targets.items()),
        non_targets=tuple(
            NonTarget(lesion=k, seen=_seen(v, f"{where}, {k}")) for k, v in others.items()
        ),
        new=tuple(_new(k, v, f"{where}, {k}") for k, v in new.items()),
        is_comparable=_flag(entry.get("comparable", True), f"{where}, comparable"),
        clinical=_one_of(entry.get("clinical", "stable"), ("stable", "improved", "worse"), where),
        steroids=_one_of(
            entry.get("steroids", "stable"), ("stable", "decreased", "increased"), where
        ),
    )


def _target(
    name: str, plain: Any, where: str, nodes: set[str], organs: Mapping[str, str]
) -> Target:
    place = f"{where}, {name}"
    facts = plain if isinstance(plain, Mapping) else {"size": plain}
    _no_others(facts, _TARGET, place)
    size = facts.get("size")
    text = size.strip().lower() if isinstance(size, str) else ""
    is_words = text == TOO_SMALL or text.startswith(MERGED_INTO)
    slice_mm = facts.get("slice_mm")
    return Target(
        lesion=name,
        parts=None if is_words else _parts(size, place),
        is_node=name in nodes or _flag(facts.get("node", False), place),
        is_too_small=text == TOO_SMALL,
        merged_into=str(size).strip()[len(MERGED_INTO) :] if text.startswith(MERGED_INTO) else "",
        organ=str(facts.get("organ", organs.get(name, ""))),
        slice_mm=None if slice_mm is None else decimal(slice_mm, f"{place}, slice_mm"),
        method=_one_of(facts.get("method", "CT"), ("CT", "MR", "caliper", "radiograph"), place),
    )


def _parts(size: Any, where: str) -> tuple[Decimal, ...] | None:
    if size is None:
        return None
    sizes = size if isinstance(size, list | tuple) else [size]
    if not sizes:
        raise InputError(f"{where} has no size; give null if it was not measured.")
    return tuple(decimal(part, where) for part in sizes)


def _new(name: str, plain: Any, where: str) -> NewLesion:
    if plain == "equivocal":
        return NewLesion(lesion=name, is_certain=False)
    if isinstance(plain, str):
        return NewLesion(lesion=name, seen=_seen(plain, where))
    facts = plain if isinstance(plain, Mapping) else {"size": plain}
    _no_others(facts, _NEW, where)
    size = facts.get("size")
    not_seen = "not assessed" if size is None else "present"
    return NewLesion(
        lesion=name,
        is_certain=_flag(facts.get("certain", True), where),
        size=None if size is None else decimal(size, where),
        seen=_seen(facts.get("seen", not_seen), where),
        is_node=_flag(facts.get("node", False), where),
    )


def uptake_of(plain: Any, where: str) -> Uptake:
    """Return what one PET shows, for PERCIST: ``sul_peak``, ``new``, ``complete``, ``tlg``."""
    facts = plain if isinstance(plain, Mapping) else {"sul_peak": plain}
    _no_others(facts, {"sul_peak", "new", "complete", "others_progressed", "tlg"}, where)
    peak, glycolysis = facts.get("sul_peak"), facts.get("tlg")
    return Uptake(
        sul_peak=None if peak is None else decimal(peak, f"{where}, sul_peak"),
        is_complete=_flag(facts.get("complete", False), where),
        has_new_lesion=_flag(facts.get("new", False), where),
        others_progressed=_flag(facts.get("others_progressed", False), where),
        glycolysis_g=None if glycolysis is None else decimal(glycolysis, f"{where}, tlg"),
    )


def lymphoma_visit_of(plain: Any, where: str) -> LymphomaVisit:
    """Return one visit for Lugano; a lesion is ``[LDi, SDi]`` in cm, null or ``"too small"``."""
    facts = _mapping(plain, where)
    keys = {"lesions", "extranodal", "others", "new", "spleen_cm", "marrow", "deauville", "uptake"}
    _no_others(facts, keys, where)
    lesions = _mapping(facts.get("lesions", {}), f"{where}, lesions")
    extranodal = {str(name) for name in facts.get("extranodal", ())}
    spleen, score = facts.get("spleen_cm"), facts.get("deauville")
    others, marrow = facts.get("others"), facts.get("marrow")
    return LymphomaVisit(
        lesions=tuple(_measured(k, v, where, k in extranodal) for k, v in lesions.items()),
        others=None if others is None else _seen(others, f"{where}, others"),
        has_new_lesion=_has_new(facts.get("new", False), f"{where}, new"),
        spleen_cm=None if spleen is None else decimal(spleen, f"{where}, spleen_cm"),
        marrow_is_involved=None if marrow is None else _flag(marrow, f"{where}, marrow"),
        deauville=None if score is None else int(decimal(score, f"{where}, deauville")),
        uptake=str(facts.get("uptake", "")),
    )


def _has_new(value: Any, where: str) -> bool:
    """Read whether there is a new lesion: yes or no, or the largest axis of a node in cm."""
    if isinstance(value, bool):
        return bool(value)
    facts = value if isinstance(value, Mapping) else {"cm": value}
    _no_others(facts, {"cm", "extranodal", "certain"}, where)
    return new_lesion_counts(
        decimal(facts.get("cm"), where),
        is_extranodal=_flag(facts.get("extranodal", False), where),
        is_unequivocal=_flag(facts.get("certain", False), where),
    )


def _measured(name: str, plain: Any, where: str, is_extranodal: bool) -> Measured:
    place = f"{where}, {name}"
    if plain is None or plain == TOO_SMALL:
        return Measured(
            lesion=name,
            longest_cm=None,
            shortest_cm=None,
            is_extranodal=is_extranodal,
            is_too_small=plain == TOO_SMALL,
        )
    sizes = plain if isinstance(plain, list | tuple) else ()
    if len(sizes) != 2:
        raise InputError(f"{place} is {plain!r}; give both diameters, longest first, in cm.")
    return Measured(
        lesion=name,
        longest_cm=decimal(sizes[0], place),
        shortest_cm=decimal(sizes[1], place),
        is_extranodal=is_extranodal,
    )


def _seen(value: Any, where: str) -> Seen:
    return Seen(_one_of(value, tuple(seen.value for seen in Seen), where))


def _one_of(value: Any, known: tuple[str, ...], where: str) -> str:
    if value not in known:
        raise InputError(f"{where} is {value!r}; known: {', '.join(known)}.")
    return str(value)


def _flag(value: Any, where: str) -> bool:
    if value not in (True, False, 0, 1):
        raise InputError(f"{where} is {value!r}; give true or false.")
    return bool(value)


def _mapping(value: Any, where: str) -> Plain:
    if not isinstance(value, Mapping):
        raise InputError(f"{where} is {value!r}; give names with values in braces.")
    return value


def _list(plain: Plain, name: str) -> Sequence[Any]:
    value = plain.get(name)
    if not isinstance(value, list | tuple):
        raise InputError(f"'{name}' is {value!r}; give a list, baseline first.")
    return value


def _no_others(facts: Plain, known: set[str], where: str) -> None:
    if stray := sorted(set(facts) - known):
        raise InputError(f"{where} has '{stray[0]}'; known: {', '.join(sorted(known))}.")

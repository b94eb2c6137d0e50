"""Laboratory values as inputs of suggestions: the latest of each analyte, or why there is none."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from string import Formatter
from typing import Any

from aegle.diagnosis.laboratory.analytes import Stated, analytes, missing, value_of, written
from aegle.diagnosis.laboratory.fhir_reading import LOINC
from aegle.domain.errors import OptionError
from aegle.domain.laboratory import LaboratoryTable, LaboratoryValue
from aegle.domain.suggestion import Input, InputSource
from aegle.domain.text import Text

KEYS = frozenset({"code", "name", "value", "unit", "time", "reason"})
MOST_CODES = 5
"""Codes that are not known and are named; of more, their number is said."""
NOT_KNOWN = "codes that are not known"
SAME = 1e-6
"""Relative difference of two values that are the same."""


def laboratory_values(entries: Any, name: str) -> tuple[LaboratoryValue, ...]:
    """Return the values of the section ``laboratory`` of facts.

    Each entry has ``code`` (LOINC) or ``name``, ``value``, ``unit`` and, if known, ``time``; or
    ``reason`` where the source says why there is none.

    Raises:
        OptionError: It is no list of such entries, or a time is none.
    """
    if not isinstance(entries, list):
        raise OptionError(f"{name}: 'laboratory' is {entries!r}; give a list of values.")
    return tuple(_value(entry, f"{name}: value {n}") for n, entry in enumerate(entries, 1))


def as_entries(values: Iterable[LaboratoryValue]) -> list[dict[str, Any]]:
    """Return values as entries of the section ``laboratory``."""
    made = []
    for one in values:
        entry: dict[str, Any] = {"code": one.code} if one.code else {"name": one.analyte}
        if one.time:
            entry["time"] = one.time.isoformat()
        if one.value is None:
            made.append({**entry, "reason": _plain(one.reason)})
        else:
            stated = f"{one.comparator}{one.value!r}" if one.comparator else one.value
            made.append({**entry, "value": stated, "unit": one.unit})
    return made


def inputs_of(values: tuple[LaboratoryValue, ...]) -> tuple[Input, ...]:
    """Return the latest value of each analyte, or why it cannot be used.

    A value that cannot be used is shown where nothing later can; two different values at the same
    time contradict each other, and neither counts.
    """
    table = LaboratoryTable(patient="", values=values)
    unknown = [v for v in table.missing if not _is_known(v)]
    shown = []
    for analyte in dict.fromkeys(v.analyte for v in values if _is_known(v)):
        of_analyte = [v for v in values if v.analyte == analyte]
        latest = max(of_analyte, key=lambda v: (v.time or datetime.min, v.value is not None))
        usable = [v for v in of_analyte if v.time == latest.time and v.value is not None]
        shown.append(_contradiction(usable) or input_of(latest))
    return (*shown, *_unknown(unknown))


def exact(stated: Stated, where: str) -> LaboratoryValue:
    """Return a value that a person states in a record.

    Raises:
        OptionError: It cannot be used; the message says why.
    """
    value = value_of(stated)
    if value.value is None:
        raise OptionError(f"{where}: {written(value.analyte)}: {value.reason}")
    return value


def _value(entry: Any, where: str) -> LaboratoryValue:
    if not isinstance(entry, Mapping) or set(entry) - KEYS or not {"code", "name"} & set(entry):
        raise OptionError(
            f"{where} is {entry!r}; give code (LOINC) or name, value, unit and, if known, time."
        )
    stated = Stated(
        number=entry.get("value"),
        unit=str(entry.get("unit") or ""),
        name=str(entry.get("name") or ""),
        code=str(entry.get("code") or ""),
        time=moment(entry.get("time"), where),
    )
    if entry.get("reason"):
        return missing(stated, _reason(entry["reason"], where))
    return value_of(stated)


def _plain(reason: Text) -> dict[str, Any]:
    """Return a reason as JSON data that another language can still be made from."""
    return {"text": reason.template, "values": dict(reason.values)}


def _reason(stated: Any, where: str) -> Text:
    if isinstance(stated, str):
        return Text("{why}", {"why": stated})
    try:
        parts = list(Formatter().parse(stated["text"]))
        values = {name: str(stated["values"][name]) for _, name, _, _ in parts if name is not None}
        is_plain = all(name is None or name.isidentifier() for _, name, _, _ in parts)
        is_plain &= not any(form or turned for _, _, form, turned in parts)
    except (TypeError, KeyError, ValueError) as error:
        raise OptionError(f"{where}: {stated!r} is no reason; write it as a text.") from error
    if not is_plain:
        raise OptionError(f"{where}: {stated!r} is no reason; write it as a text.")
    return Text(stated["text"], values)


def moment(value: Any, where: str) -> datetime | None:
    """Return a time, without its zone; None where none is stated.

    Raises:
        OptionError: It is none.
    """
    if value is None:
        return None
    try:
        return datetime.fromisoformat(value).replace(tzinfo=None)
    except (TypeError, ValueError) as error:
        raise OptionError(
            f"{where}: {value!r} is no time; give ISO 8601 such as 2026-01-05T08:30:00."
        ) from error


def _is_known(value: LaboratoryValue) -> bool:
    return value.analyte in analytes()


def _contradiction(usable: list[LaboratoryValue]) -> Input | None:
    """Return that values of the same time contradict each other; None if they do not."""
    numbers = sorted({v.value for v in usable if v.value is not None})
    if len(numbers) < 2 or numbers[-1] - numbers[0] <= SAME * abs(numbers[-1]):
        return None
    ends = {"low": f"{numbers[0]:.4g}", "high": f"{numbers[-1]:.4g}", "unit": usable[0].unit}
    return _unusable(usable[0], Text("{low} and {high} {unit} at the same time", ends))


def input_of(value: LaboratoryValue) -> Input:
    """Return a value as it is shown; where it cannot be used, with the reason."""
    if value.value is None:
        return _unusable(value, value.reason)
    return Input(
        name=value.analyte,
        meaning=written(value.analyte),
        value=f"{value.comparator}{value.value:.4g}",
        unit=value.unit,
        source=InputSource.RECORD,
        time=value.time,
        code=f"{LOINC}|{value.code}" if value.code else "",
        is_used=False,
    )


def _unusable(value: LaboratoryValue, reason: Text) -> Input:
    problem = Text("cannot be used: {reason}", {"reason": reason})
    return Input(
        name=value.analyte,
        meaning=written(value.analyte),
        value=str(problem),
        problem=problem,
        source=InputSource.RECORD,
        time=value.time,
        code=f"{LOINC}|{value.code}" if value.code else "",
        is_used=False,
    )


def _unknown(values: list[LaboratoryValue]) -> tuple[Input, ...]:
    codes = list(dict.fromkeys(v.code or v.analyte for v in values))
    if not codes:
        return ()
    more = f" and {len(codes) - MOST_CODES} more" if len(codes) > MOST_CODES else ""
    return (
        Input(
            name="unknown_codes",
            meaning=NOT_KNOWN,
            value=", ".join(codes[:MOST_CODES]) + more,
            source=InputSource.RECORD,
            is_used=False,
        ),
    )

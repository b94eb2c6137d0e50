"""Dates and times as DICOM writes them (PS3.5 table 6.2-1: DA, TM, DT)."""

from datetime import datetime, timedelta


def moment(date: str, time: str = "") -> datetime | None:
    """Return the moment of a date (DA) and a time (TM); None if the date is no date.

    Both ``20260131`` and the older ``2026.01.31`` are read; a missing time is midnight.
    """
    digits = date.replace(".", "").replace("-", "").strip()
    clock = time.replace(":", "").strip()
    try:
        day = datetime.strptime(digits, "%Y%m%d")
        return day + (_since_midnight(clock) if clock else timedelta())
    except ValueError:
        return None


def moment_of(text: str) -> datetime | None:
    """Return the moment of a date time (DT) without regard to its time zone, or None."""
    local = text.split("+")[0].strip()
    if len(local) > 5 and local[-5] == "-":
        local = local[:-5]
    return moment(local[:8], local[8:])


def _since_midnight(clock: str) -> timedelta:
    whole, _, fraction = clock.partition(".")
    if not whole.isdigit() or len(whole) not in (2, 4, 6) or (fraction and not fraction.isdigit()):
        raise ValueError(clock)
    hours, minutes, seconds = (int(whole[i : i + 2] or 0) for i in (0, 2, 4))
    if hours > 23 or minutes > 59 or seconds > 60:
        raise ValueError(clock)
    microseconds = int(f"{fraction:0<6.6}") if fraction else 0
    return timedelta(hours=hours, minutes=minutes, seconds=seconds, microseconds=microseconds)

"""What callers give as options, time and language, read the same way everywhere."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from aegle.domain.errors import OptionError
from aegle.workflow.options import CaseOptions, options_of


def case_options(given: CaseOptions | Mapping[str, Any] | None) -> CaseOptions:
    """Return the options of a case.

    Raises:
        OptionError: They are none.
    """
    if given is None or isinstance(given, Mapping):
        return options_of(given or {})
    if isinstance(given, CaseOptions):
        return given
    raise OptionError(
        f"Options are a {type(given).__name__}; give CaseOptions, or a mapping of sections such "
        "as {'prescription': {'dose_gy': 50}}."
    )


def moment_of(given: datetime | str | None) -> datetime:
    """Return local time to the second; a time zone that is given is left out.

    Raises:
        OptionError: It is no time.
    """
    if given is None:
        return datetime.now().astimezone().replace(microsecond=0, tzinfo=None)
    try:
        moment = datetime.fromisoformat(given) if isinstance(given, str) else given
        return moment.replace(tzinfo=None)
    except (ValueError, TypeError, AttributeError) as error:
        raise OptionError(
            f"{given!r} is no time for now; give a datetime or text such as '2026-01-02T03:04:05'."
        ) from error


def require_language(given: str) -> None:
    """Raise an error for a language that reports are not written in.

    Raises:
        OptionError: It is unknown.
    """
    from aegle.report.language import LANGUAGES

    if given not in LANGUAGES:
        raise OptionError(f"No language '{given}'; known: {', '.join(LANGUAGES)}.")

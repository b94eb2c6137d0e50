"""What callers of every function may give in several forms."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from aegle.domain.errors import OptionError
from aegle.workflow.options import CaseOptions, options_of

if TYPE_CHECKING:
    pass


def options_given(given: CaseOptions | Mapping[str, Any] | None) -> CaseOptions:
    """Return options from a mapping of sections, or as they are."""
    if given is None or isinstance(given, Mapping):
        return options_of(given or {})
    if isinstance(given, CaseOptions):
        return given
    raise OptionError(
        f"Options are a {type(given).__name__}; give CaseOptions, or a mapping of sections such "
        "as {'prescription': {'dose_gy': 50}}."
    )


def moment_given(given: datetime | str | None) -> datetime:
    """Return local time to the second; a time zone that is given is left out."""
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
    """Refuse a language that reports are not written in."""
    from aegle.report.language import LANGUAGES

    if given not in LANGUAGES:
        raise OptionError(f"No language '{given}'; known: {', '.join(LANGUAGES)}.")

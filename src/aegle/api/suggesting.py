"""Suggestions for a case, and what persons decide about them."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aegle.api.arguments import moment_given, options_given, require_language
from aegle.workflow.options import CaseOptions

if TYPE_CHECKING:
    from aegle.domain.case import CaseResults
    from aegle.report.language import Language
    from aegle.workflow.suggesting import Facts


def suggest(
    case: str | Path,
    *,
    facts: "Facts | None" = None,
    review: Mapping[str, str] | None = None,
    options: CaseOptions | Mapping[str, Any] | None = None,
    language: "Language" = "en",
    now: datetime | str | None = None,
) -> "CaseResults":
    """Say what published rules and models make of a case, and keep what a person decides.

    Args:
        case: Folder that ``run`` wrote.
        facts: What is stated beside the images, as data or files (JSON of facts, FHIR bundle, CSV
            of laboratory values); by default what was stated last.
        review: ``suggestion`` (its id), ``decision`` (accepted or overridden), ``by``, and
            ``reason`` and ``category`` where it is overridden.
        options: As for ``run``; the section ``suggest`` counts.
        language: "Language" of the page, ``en`` or ``zh``.
        now: Time of the decision and of the page, or its ISO 8601 text; the present by default.

    Returns:
        The case with its suggestions and reviews.

    Raises:
        OptionError: It is no case, a fact is unknown, of another type or unit, there is no such
            suggestion, or a decision lacks its name or reason.
    """
    chosen, moment = options_given(options), moment_given(now)
    require_language(language)
    from aegle.workflow import suggesting

    content, name = suggesting.stated_text(facts)
    request = suggesting.Request(
        case=Path(case),
        facts=content,
        facts_name=name,
        options=chosen,
        language=language,
        now=moment,
    )
    return suggesting.run(request, suggesting.verdict_of(review))

"""What published rules and models say in a structured report, and which algorithm says so.

Source: DICOM PS3.16 TID 4019 (algorithm identification) within TID 1411 and 1501.
"""

from collections.abc import Iterable
from typing import Any

from highdicom import sr
from pydicom.sr.coding import Code as DicomCode

from aegle import __version__
from aegle.dicom import attributes
from aegle.dicom.report_course import PRIVATE_SCHEME
from aegle.domain.finding import Suggestion
from aegle.domain.suggestion import Maker
from aegle.record.identity import digest


def suggested(suggestions: Iterable[Suggestion], roles: Iterable[Any] = ()) -> dict[str, Any]:
    """Return what is suggested of one subject, and the algorithms that say so (TID 4019)."""
    said = list(suggestions)
    made = sorted({_maker_words(s.made_by) for s in said if s.made_by is not None})
    content: dict[str, Any] = {"qualitative_evaluations": [*roles, *(_evaluation(s) for s in said)]}
    if made:
        content["algorithm_id"] = sr.AlgorithmIdentification(
            name=attributes.MANUFACTURER, version=__version__, parameters=made
        )
    return content


def _maker_words(maker: Maker) -> str:
    return f"{maker.kind.value} {maker.id} {maker.version}, SHA-256 {maker.digest}"


def _evaluation(suggestion: Suggestion) -> sr.QualitativeEvaluation:
    return sr.QualitativeEvaluation(
        name=_private(suggestion.rule), value=_private(suggestion.category)
    )


def _private(meaning: str) -> DicomCode:
    shown = attributes.printable(meaning)
    return DicomCode(digest(meaning)[: attributes.SHORT_STRING], PRIVATE_SCHEME, shown)

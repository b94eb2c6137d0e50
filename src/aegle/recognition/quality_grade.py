"""A measure of quality with its grade and the reason in words."""

from math import inf

from aegle.domain.assessment import QualityGrade, QualityMeasure
from aegle.domain.text import Text


def measure(
    name: str, value: float, unit: str, *, limit: float, poor_above: float = inf, reason: Text
) -> QualityMeasure:
    """Grade a value: beyond its limit limited, beyond a second one poor.

    Args:
        name: ``noise``, ``blur``, ``coverage``, ``metal`` or ``text``.
        value: The less the better.
        unit: Unit of the value.
        limit: Beyond this the image is limited.
        poor_above: Beyond this it is poor.
        reason: What is said if the limit is passed.
    """
    if value > limit:
        grade = QualityGrade.POOR if value > poor_above else QualityGrade.LIMITED
    else:
        grade = QualityGrade.GOOD
        reason = Text(
            "{value:.3g} {unit} is within the limit of {limit:.3g} {unit}.",
            {"value": value, "unit": unit, "limit": limit},
        )
    return QualityMeasure(
        name=name, value=value, unit=unit, limit=limit, grade=grade, reason=reason
    )


def blur_reason(widest_px: float, narrowest_px: float, spacing_mm: float | None) -> Text:
    """Say how blurred edges are, and whether only across one direction."""
    if widest_px > 2 * narrowest_px:
        return Text(
            "Edges are blurred by {value:.1f} pixels in one direction and by {least:.1f} in "
            "another: patient or scanner moved.",
            {"value": widest_px, "least": narrowest_px},
        )
    if spacing_mm is None:
        return Text(
            "Even the sharper edges are blurred by {value:.1f} pixels; finer detail is lost.",
            {"value": widest_px},
        )
    return Text(
        "Even the sharper edges are blurred by {value:.1f} pixels ({blur_mm:.1f} mm); finer "
        "detail is lost.",
        {"value": widest_px, "blur_mm": widest_px * spacing_mm},
    )

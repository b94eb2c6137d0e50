"""How predictions are judged."""

from typing import Annotated, Literal

from pydantic.dataclasses import dataclass

from aegle.options import option


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """How scores and their intervals are taken."""

    resamples: Annotated[int, option("Bootstrap resamples of groups", ge=100, le=100_000)] = 2000
    confidence: Annotated[float, option("Confidence of every interval", gt=0.5, lt=1)] = 0.95
    seed: Annotated[int, option("Start of all randomness", ge=0)] = 0
    positive: Annotated[
        str, option("Of two classes, the one that is looked for; empty for the last")
    ] = ""
    bins: Annotated[int, option("Bins of predicted probability for calibration", ge=2, le=100)] = 10
    binning: Annotated[
        Literal["width", "count"],
        option("Bins of equal width in probability, or of equal numbers of images"),
    ] = "width"
    subgroup_minimum: Annotated[
        int, option("Images below which a subgroup is named, not scored", ge=2)
    ] = 20
    class_minimum: Annotated[
        int, option("Images of each class below which a subgroup is named, not scored", ge=1)
    ] = 5
    tolerance: Annotated[
        float,
        option(
            "Distance of surfaces that counts as agreement, in mm; in pixels for pictures", gt=0
        ),
    ] = 1.0

"""Sets of classes that hold the true one as often as promised, in each group of patients.

Two scores: LAC, one minus the probability of the class (smallest sets on average), and APS, the
probability of all classes at least as likely (sets that adapt to the case). A class is kept if its
score is not above the limit of the case's group; limits come from out-of-fold probabilities. Where
scores tie (APS not randomised, where the truth is often the least likely class), more is covered
than promised, never less. A
limit over all patients can miss a hard subgroup badly, so limits per group are the default.

Sources:
    Sadinle M, Lei J, Wasserman L. J Am Stat Assoc 2019;114:223-234 (LAC).
    Romano Y, Sesia M, Candès E. Classification with valid and adaptive coverage. NeurIPS 2020,
        arXiv:2006.02544 (APS).
    See ``conformal_limit`` for the law of the coverage.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from dataclasses import dataclass as plain_dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from aegle.diagnosis.conformal_limit import Limit, Numbers, group_names, limits_of, values_of
from aegle.domain.errors import InputError
from aegle.domain.prediction import Predictions
from aegle.options import option

ROUNDING = 1e-12
"""Sums of probabilities closer to 1 than this are 1."""


@dataclass(frozen=True, kw_only=True)
class ConformalOptions:
    """How sets are formed."""

    alpha: Annotated[
        float, option("Share of cases whose set may miss the true class", gt=0, lt=1)
    ] = 0.1
    score: Annotated[
        Literal["lac", "aps"],
        option("lac: smallest sets; aps: sets that grow with the difficulty of the case"),
    ] = "lac"
    randomised: Annotated[
        bool,
        option("Whether APS draws the last class in or out, so that coverage is exact, not more"),
    ] = False
    by_group: Annotated[bool, option("Whether each group of patients has its own limit")] = True


@plain_dataclass(frozen=True, kw_only=True)
class ConformalClassifier:
    """Limits with all that is needed to use them."""

    classes: tuple[str, ...]
    limits: Mapping[str, Limit]
    options: ConformalOptions

    def sets(
        self,
        probabilities: Numbers,
        groups: Sequence[str] = (),
        *,
        randomness: np.random.Generator | None = None,
    ) -> NDArray[np.bool_]:
        """Return which classes are kept, shape (case, class); a set may be empty.

        Args:
            probabilities: Shape (case, class).
            groups: One per case, where limits are per group.
            randomness: For randomised scores.

        Raises:
            InputError: A group was not calibrated, or the classes differ.
        """
        if probabilities.ndim != 2 or probabilities.shape[1] != len(self.classes):
            raise InputError(
                f"Probabilities have shape {probabilities.shape}; expected one column for each of "
                f"{', '.join(self.classes)}."
            )
        names = group_names(
            groups, len(probabilities), by_group=self.options.by_group and len(groups) > 0
        )
        limit = values_of(self.limits, names)
        return scores_of(probabilities, self.options, randomness) <= limit[:, None]

    def as_plain(self) -> dict[str, Any]:
        """Return plain data to be kept as JSON."""
        return {
            "classes": list(self.classes),
            "options": asdict(self.options),
            "limits": {
                name: {**asdict(limit), "value": limit.value if np.isfinite(limit.value) else None}
                for name, limit in self.limits.items()
            },
        }


def calibrate(
    probabilities: Numbers,
    truth: NDArray[np.int64],
    groups: Sequence[str] = (),
    *,
    classes: Sequence[str],
    options: ConformalOptions,
    randomness: np.random.Generator | None = None,
) -> ConformalClassifier:
    """Return limits from cases that the model was not trained on.

    Args:
        probabilities: Out-of-fold, shape (case, class).
        truth: Index of the true class, shape (case,).
        groups: What coverage is promised for, one per case: centre, sex, age band.
        classes: Their names.
        options: Share that may be missed, score, groups.
        randomness: For randomised scores.

    Raises:
        InputError: There is no case, or the shapes differ.
    """
    if probabilities.shape != (truth.size, len(classes)):
        raise InputError(
            f"Probabilities have shape {probabilities.shape}; expected {truth.size} cases of "
            f"{len(classes)} classes."
        )
    of_truth = scores_of(probabilities, options, randomness)[np.arange(truth.size), truth]
    limits = limits_of(of_truth, groups, alpha=options.alpha, by_group=options.by_group)
    return ConformalClassifier(classes=tuple(classes), limits=limits, options=options)


def calibrate_on(
    predictions: Predictions, column: str = "", *, options: ConformalOptions
) -> ConformalClassifier:
    """Return limits from kept out-of-fold predictions.

    Args:
        predictions: Their columns tell groups apart.
        column: By which groups are told apart; empty for one group.
        options: As for ``calibrate``.

    Raises:
        InputError: There is no such column, or no image.
    """
    if column and column not in predictions.columns:
        raise InputError(
            f"The predictions have no column '{column}'; known: "
            f"{', '.join(predictions.columns) or 'none'}."
        )
    return calibrate(
        predictions.probabilities,
        predictions.truth,
        predictions.columns[column] if column else (),
        classes=predictions.classes,
        options=options,
    )


def from_plain(data: Mapping[str, Any]) -> ConformalClassifier:
    """Return limits as kept by ``ConformalClassifier.as_plain``.

    Raises:
        InputError: The data are something else.
    """
    try:
        limits = {
            str(name): Limit(
                **{**kept, "value": float("inf") if kept["value"] is None else kept["value"]}
            )
            for name, kept in data["limits"].items()
        }
        options = TypeAdapter(ConformalOptions).validate_python(data["options"])
        return ConformalClassifier(classes=tuple(data["classes"]), limits=limits, options=options)
    except (KeyError, TypeError, AttributeError, ValidationError) as error:
        raise InputError(
            f"These are no conformal limits ({error}); calibrate them again."
        ) from error


def scores_of(
    probabilities: Numbers, options: ConformalOptions, randomness: np.random.Generator | None
) -> Numbers:
    """Return how badly each class fits, shape (case, class); between 0 and 1."""
    if options.score == "lac":
        return np.asarray(1 - probabilities)
    order = np.argsort(-probabilities, axis=1, kind="stable")
    ordered = np.take_along_axis(probabilities, order, axis=1)
    summed = np.cumsum(ordered, axis=1)
    # The least likely classes tie at 1; rounding must not put them in an order.
    summed = np.where(summed > 1 - ROUNDING, 1.0, summed)
    if options.randomised:
        # Without a generator the same case has the same set whenever it is asked for.
        draws = (randomness or np.random.default_rng(0)).uniform(size=(len(ordered), 1))
        summed = summed - draws * ordered
    scores = np.empty_like(summed)
    np.put_along_axis(scores, order, summed, axis=1)
    return scores

"""How good a fusion model is, with everything and with each modality missing, on the same folds.

Every model is trained on the same parts and judged on the same held-out rows; scores are means over
the folds, intervals come from resampling patients, and differences are paired.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aegle.domain.prediction import Predictions
from aegle.evaluation.bootstrap import Difference, Estimate, compare_means, measure_mean
from aegle.evaluation.concordance import (
    Ranked,
    compare_concordance,
    concordance,
    concordance_index,
)
from aegle.evaluation.options import EvaluationOptions
from aegle.evaluation.scores import scores
from aegle.evaluation.selection import joined
from aegle.evaluation.subgroups import SubgroupTable, subgroups
from aegle.evaluation.table import plain
from aegle.learning.fusion.blend import Baselines, Blend, blend
from aegle.learning.fusion.boosted_survival import boosted_survival, late_survival
from aegle.learning.fusion.plain_models import boosted, linear_cox, logistic
from aegle.learning.fusion.table import Outcome, Table, Values
from aegle.learning.splits import Fold, folds
from aegle.workflow.fusing.cohort import Cohort
from aegle.workflow.fusing.recipe import FusionRecipe
from aegle.workflow.fusing.sets import limits
from aegle.workflow.stage import Progress, silent

FUSION = "fusion"
NETWORK = "attention network alone"
LATE = "late fusion of boosted trees"
TREES = "boosted trees of all features"
LOGISTIC = "logistic regression"
COX = "linear Cox regression"
DISCRETE = "network, discrete time"
CLASSES = ("other", "positive")
SCORES = {"classify": "auc", "cox": "concordance", "discrete": "concordance"}
ALLOWED_LOSS = 0.01
"""How far a model with a missing modality may lie below the best that was trained without it."""

Said = dict[str, dict[int, Values]]
"""Risk of the held-out rows by model and fold."""


@dataclass(frozen=True, kw_only=True)
class Missing:
    """What is left without one modality."""

    modality: str
    masked: Estimate
    """The model trained with everything, this modality unknown."""
    retrained: Mapping[str, float]
    """Score of each model trained without it."""
    best: str
    best_estimate: Estimate
    against_best: Difference
    """Masked minus the best of the retrained."""

    @property
    def holds(self) -> bool:
        """Whether it lies at most ``ALLOWED_LOSS`` below the best retrained model."""
        return self.against_best.value >= -ALLOWED_LOSS


@dataclass(frozen=True, kw_only=True)
class FusionJudged:
    """All that was measured of one recipe."""

    score: str
    whole: Mapping[str, Estimate]
    """With every modality, by model."""
    against: Mapping[str, Difference]
    """Fusion minus each other model."""
    missing: tuple[Missing, ...]
    bar: Mapping[str, Any] | None
    """One column alone, on the rows that state it, beside fusion on the same rows."""
    subgroups: tuple[SubgroupTable, ...]
    sets: Mapping[str, Any] | None = None
    """Limits of sets of classes that hold the true one in 90 % of the patients of whom the same is
    missing, from held-out rows; None for survival."""


class _Scorer:
    """Scores of risks on the folds of one cohort."""

    def __init__(self, cohort: Cohort, parts: Sequence[Fold], options: EvaluationOptions) -> None:
        self.cohort, self.parts, self.options = cohort, parts, options

    def estimate(self, said: Mapping[int, Values]) -> Estimate:
        if self.cohort.outcome.time is not None:
            return concordance_index(self._ranked(said), options=self.options)
        return measure_mean(self.predictions(said), options=self.options, names=("auc",))["auc"]

    def value(self, said: Mapping[int, Values]) -> float:
        if self.cohort.outcome.time is not None:
            return float(np.mean([concordance(part) for part in self._ranked(said)]))
        found = [scores(p, options=self.options, names=("auc",)) for p in self.predictions(said)]
        return float(np.mean([one["auc"] for one in found]))

    def difference(self, first: Mapping[int, Values], second: Mapping[int, Values]) -> Difference:
        if self.cohort.outcome.time is not None:
            ranked = (self._ranked(one) for one in (first, second))
            return compare_concordance(*ranked, options=self.options)
        pair = (self.predictions(one) for one in (first, second))
        return compare_means(*pair, options=self.options, names=("auc",))["auc"]

    def predictions(
        self, said: Mapping[int, Values], only: NDArray[np.bool_] | None = None
    ) -> list[Predictions]:
        table, event = self.cohort.table, self.cohort.outcome.event
        made = []
        for fold, part in enumerate(self.parts):
            kept = np.ones(len(part.held_out), bool) if only is None else only[part.held_out]
            where = part.held_out[kept]
            positive = 1 / (1 + np.exp(-said[fold][kept]))
            rows = table.rows(where)
            made.append(
                Predictions(
                    classes=CLASSES,
                    names=rows.names,
                    truth=event[where].astype(np.int64),
                    probabilities=np.stack([1 - positive, positive], axis=1),
                    groups=rows.groups,
                    columns=rows.columns,
                )
            )
        return made

    def pooled(
        self, said: Mapping[int, Values], only: NDArray[np.bool_] | None = None
    ) -> Predictions:
        """Return the held-out rows of the first split together."""
        rows, parts = len(self.cohort.table.names), self.predictions(said, only)
        ends = np.cumsum([len(part.held_out) for part in self.parts])
        return joined([one for one, end in zip(parts, ends, strict=True) if end <= rows])

    def _ranked(self, said: Mapping[int, Values]) -> list[Ranked]:
        outcome, groups = self.cohort.outcome, self.cohort.table.groups
        assert outcome.time is not None
        return [
            Ranked(
                time=outcome.time[part.held_out],
                event=outcome.event[part.held_out],
                risk=said[fold],
                groups=tuple(groups[i] for i in part.held_out),
            )
            for fold, part in enumerate(self.parts)
        ]


def judge(recipe: FusionRecipe, cohort: Cohort, *, progress: Progress = silent) -> FusionJudged:
    """Cross-validate fusion and everything that it is held against.

    Args:
        recipe: Folds, options of the models and of the intervals.
        cohort: Whom to judge on.
        progress: Told of the trainings done.

    Raises:
        InputError: A class has fewer patients than there are folds.
    """
    table, outcome = cohort.table, cohort.outcome
    labels = outcome.event.astype(np.int64)
    options = recipe.judge
    parts = [
        part
        for split in range(options.repeats)
        for part in folds(table.groups, labels, options.folds, options.seed + split)
    ]
    said: Said = {}
    masked: dict[str, dict[int, Values]] = {}
    rests: dict[str, Said] = {name: {} for name in _removable(table)}
    order = table.modalities
    total = len(parts) * (1 + len(rests))
    for fold, part in enumerate(parts):
        rows, known = table.rows(part.training), outcome.rows(part.training)
        asked = table.rows(part.held_out)
        model = _all_models(recipe, (rows, asked), known, said, fold)
        progress(fold * (1 + len(rests)) + 1, total)
        for done, name in enumerate(rests):
            masked.setdefault(name, {})[fold] = model.risk(asked.without(name))
            kept = [m for m in order if m != name]
            known_already = model.baselines and model.baselines.keeping(rows, name)
            pair = rows.keeping(kept), asked.keeping(kept)
            _all_models(recipe, pair, known, rests[name], fold, known_already)
            progress(fold * (1 + len(rests)) + done + 2, total)
    scorer = _Scorer(cohort, parts, recipe.evaluate)
    held_out = {name: scorer.pooled(one) for name, one in {"": said[FUSION], **masked}.items()}
    return FusionJudged(
        score=SCORES[recipe.model.task],
        whole={name: scorer.estimate(each) for name, each in said.items()},
        against={n: scorer.difference(said[FUSION], e) for n, e in said.items() if n != FUSION},
        missing=tuple(_missing(n, masked[n], rests[n], scorer) for n in rests),
        bar=_bar(cohort, said, scorer),
        subgroups=_subgroups(recipe, cohort, said[FUSION], scorer),
        sets=None if outcome.time is not None else limits(table, held_out),
    )


def _removable(table: Table) -> tuple[str, ...]:
    return table.modalities if len(table.modalities) > 1 else ()


def _all_models(
    recipe: FusionRecipe,
    pair: tuple[Table, Table],
    known: Outcome,
    said: Said,
    fold: int,
    baselines: Baselines | None = None,
) -> Blend:
    """Train every model on one part, keep what each says of the other, and return fusion."""
    rows, asked = pair
    made = blend(
        rows,
        known,
        recipe.model.task,
        options=recipe.fusion,
        boosting=recipe.boosting,
        baselines=baselines,
    )
    found = {FUSION: made.risk(asked)}
    if made.baselines is not None:
        found[NETWORK] = made.fusion.risk(asked)
        found[LATE] = made.baselines.late.logits(asked)
        found[TREES] = boosted(rows, known, asked, recipe.boosting)
        found[LOGISTIC] = logistic(rows, known, asked)
    else:
        found[LATE] = late_survival(rows, known, asked, recipe.boosting)
        found[TREES] = boosted_survival(rows, known, asked, recipe.boosting)
        found[COX] = linear_cox(rows, known, asked)
    for name, risk in found.items():
        said.setdefault(name, {})[fold] = risk
    return made


def _missing(name: str, masked: Mapping[int, Values], rest: Said, scorer: _Scorer) -> Missing:
    retrained = {model: scorer.value(each) for model, each in rest.items()}
    best = max(retrained, key=lambda model: retrained[model])
    return Missing(
        modality=name,
        masked=scorer.estimate(masked),
        retrained=retrained,
        best=best,
        best_estimate=scorer.estimate(rest[best]),
        against_best=scorer.difference(masked, rest[best]),
    )


def _bar(cohort: Cohort, said: Said, scorer: _Scorer) -> Mapping[str, Any] | None:
    if cohort.bar is None or cohort.outcome.time is not None:
        return None
    stated = ~np.isnan(cohort.bar)
    alone = {
        fold: np.nan_to_num(cohort.bar[part.held_out]) for fold, part in enumerate(scorer.parts)
    }
    column, fusion = (scorer.pooled(each, stated) for each in (alone, said[FUSION]))
    pair = ([column], [fusion])
    names = {"names": ("auc",), "options": scorer.options}
    measured = [measure_mean(one, **names)["auc"] for one in pair]  # type: ignore[arg-type]
    compared = compare_means(pair[1], pair[0], **names)["auc"]  # type: ignore[arg-type]
    rows = int(stated.sum())
    return {"rows": rows, "column": measured[0], "fusion": measured[1], "difference": compared}


def _subgroups(
    recipe: FusionRecipe, cohort: Cohort, said: Mapping[int, Values], scorer: _Scorer
) -> tuple[SubgroupTable, ...]:
    if cohort.outcome.time is not None or not recipe.table.by:
        return ()
    return subgroups(scorer.pooled(said), options=recipe.evaluate, columns=recipe.table.by)


def as_plain(judged: FusionJudged) -> dict[str, Any]:
    """Return what was measured as plain data."""
    made: dict[str, Any] = plain(judged)
    for facts, one in zip(made["missing"], judged.missing, strict=True):
        facts["holds"] = one.holds
    return made

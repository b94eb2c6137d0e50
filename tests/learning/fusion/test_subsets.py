"""Models for each set of modalities say what models trained on that set say."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from aegle.learning.fusion.blend import _mix, _scale, _shares, blend
from aegle.learning.fusion.boosting import BoostingOptions
from aegle.learning.fusion.encoding import encoder_of
from aegle.learning.fusion.fitting import FusionOptions
from aegle.learning.fusion.plain_models import COMPONENTS, STRENGTH, boosted, logistic
from aegle.learning.fusion.subsets import fit_subsets, patterns_of
from aegle.learning.fusion.table import Feature, Outcome, Table

FAST = FusionOptions(members=2, epochs=30)
TREES = BoostingOptions(rounds=30)


def patients(modalities, *, count=200, wide=0, missing=0.0, seed=0):
    """Return a table, each modality with two numbers, and an outcome that follows their firsts."""
    random = np.random.default_rng(seed)
    names = [name for name in modalities for _ in range(2)]
    names += ["image"] * wide
    values = random.normal(size=(count, len(names)))
    signal = 1.5 * values[:, 0 : 2 * len(modalities) : 2].sum(axis=1)
    event = random.random(count) < 1 / (1 + np.exp(-signal))
    values[random.random(values.shape) < missing] = np.nan
    features = tuple(Feature(name=f"f{i}", modality=name) for i, name in enumerate(names))
    rows = tuple(map(str, range(count)))
    return Table(features=features, names=rows, groups=rows, values=values), Outcome(event=event)


def test_a_row_without_a_modality_is_answered_by_models_trained_without_it():
    table, outcome = patients(("laboratory", "history"), wide=COMPONENTS + 6, missing=0.05)
    models = fit_subsets(table, outcome, patterns_of(table), options=TREES)

    for name in table.modalities:
        rest = table.keeping([m for m in table.modalities if m != name])
        # A row that lacks a further modality is answered by the models of its own set.
        there = np.flatnonzero(rest.present().all(axis=1))
        said = models.logits(table.without(name))[there]

        # What scikit-learn says when it is trained on the remaining features alone.
        inputs = np.concatenate(
            list(encoder_of(rest, components=COMPONENTS)(rest)[0].values()), axis=1
        )
        fitted = LogisticRegression(C=STRENGTH, max_iter=2000).fit(inputs, outcome.event)
        np.testing.assert_allclose(said[:, 0], fitted.decision_function(inputs[there]), atol=1e-6)
        np.testing.assert_allclose(said[:, 0], logistic(rest, outcome, rest)[there], atol=1e-6)
        np.testing.assert_allclose(
            said[:, 1], boosted(rest, outcome, rest, TREES)[there], atol=1e-9
        )

        kept = models.keeping([m != name for m in table.modalities], rest)
        np.testing.assert_allclose(kept.logits(rest)[there], said, atol=1e-9)


def test_every_set_of_few_modalities_has_models_and_of_many_those_that_occur():
    few, _ = patients(tuple("abc"))
    assert len(patterns_of(few)) == 2**3

    many, _ = patients(tuple("abcdef"))
    lacking = many.without("a").without("c")
    assert len(patterns_of(many)) == 1 + 6
    assert patterns_of(lacking) == tuple(
        sorted({*patterns_of(many), (False, True, False, True, True, True)})
    )


def test_sets_of_many_modalities_that_never_occurred_are_answered_all_the_same():
    table, outcome = patients(tuple("abcdef"), count=300)
    made = blend(table, outcome, "classify", options=FAST, boosting=TREES)

    asked = table.without("a").without("b").without("c")
    assert roc_auc_score(outcome.event, made.risk(asked)) > 0.75


def test_parts_that_foretell_nothing_hardly_count():
    _, outcome = patients(("laboratory",), count=300)
    noise = np.random.default_rng(1).normal(size=(300, 4))
    parts = noise.copy()
    parts[:, 2] += 4 * (outcome.event - 0.5)

    mixed = _mix(parts, outcome)

    assert mixed[2] > 5 * np.abs(mixed[[0, 1, 3]]).max()


def test_parts_of_few_rows_count_about_the_same():
    table, outcome = patients(("laboratory",), count=24)
    signal = table.values[:, 0]
    shares = _shares(np.stack([signal, signal + 0.1, signal - 0.1]), outcome)

    np.testing.assert_allclose(shares, 1 / 3, atol=0.05)


def test_one_scale_is_logistic_regression_of_what_was_said():
    _, outcome = patients(("laboratory",), count=300)
    said = 2.0 * outcome.event + np.random.default_rng(2).normal(size=300)
    slope, start = _scale(said, outcome)

    # Of two groups that differ by 2 with deviation 1, the logit is 2 x - 2 + the prior's.
    share = outcome.event.mean()
    np.testing.assert_allclose([slope, start], [2, -2 + np.log(share / (1 - share))], atol=0.4)

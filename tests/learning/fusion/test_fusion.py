"""Fusion on made tables: it finds both halves of a signal, and bears a missing modality."""

import numpy as np
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from aegle.domain.errors import FileError, InputError
from aegle.evaluation.concordance import Ranked, concordance
from aegle.learning.fusion import model_file
from aegle.learning.fusion.blend import blend
from aegle.learning.fusion.boosting import BoostingOptions, boost
from aegle.learning.fusion.encoding import encoder_of
from aegle.learning.fusion.fitting import FusionOptions, fit
from aegle.learning.fusion.model_file import FusionModel
from aegle.learning.fusion.table import Feature, Outcome, Table
from aegle.learning.fusion.trees import from_boosting, trees_of

FAST = FusionOptions(members=4, epochs=60)
TREES = BoostingOptions(rounds=30)


def made(count=400, seed=0, missing=0.0):
    """Return a table whose two modalities hold half of the signal each, and the signal."""
    random = np.random.default_rng(seed)
    first, second = random.normal(size=(2, count))
    noise = random.normal(size=(count, 3))
    values = np.column_stack([first, noise[:, 0], second, noise[:, 1:]])
    values[random.random(count) < missing, :2] = np.nan
    features = tuple(
        Feature(name=f"f{i}", modality="image" if i < 2 else "laboratory") for i in range(5)
    )
    names = tuple(map(str, range(count)))
    table = Table(features=features, names=names, groups=names, values=values)
    signal = 1.5 * (first + second)
    return table, signal, random


def classes(count=400, seed=0, missing=0.0):
    table, signal, random = made(count, seed, missing)
    return table, Outcome(event=random.random(count) < 1 / (1 + np.exp(-signal)))


def halves(table, outcome):
    middle = len(table.names) // 2
    where = np.arange(middle), np.arange(middle, 2 * middle)
    return [(table.rows(w), outcome.rows(w)) for w in where]


def test_fusion_is_better_than_each_half_and_bears_its_absence():
    (training, known), (asked, truth) = halves(*classes(1000))
    model = fit(training, known, "classify", options=FAST)

    both = roc_auc_score(truth.event, model.risk(asked))
    for name in training.modalities:
        rest = [m for m in training.modalities if m != name]
        alone = fit(training.keeping(rest), known, "classify", options=FAST)
        retrained = roc_auc_score(truth.event, alone.risk(asked.keeping(rest)))

        assert both >= retrained + 0.05
        assert roc_auc_score(truth.event, model.risk(asked.without(name))) >= retrained - 0.01


def test_attention_is_zero_where_a_modality_is_missing_and_sums_to_one():
    table, outcome = classes(100, missing=0.4)
    weights = fit(table, outcome, "classify", options=FAST).attention(table)

    missing = ~table.present()[:, 0]
    assert missing.any()
    assert (weights["image"][missing] == 0).all()
    np.testing.assert_allclose(weights["image"] + weights["laboratory"], 1, atol=1e-6)


def test_values_of_a_missing_modality_do_not_leak_through():
    table, outcome = classes(100)
    model = fit(table, outcome, "classify", options=FAST)
    other = table.values.copy()
    other[:, :2] += 100
    changed = Table(**{**vars(table), "values": other})

    np.testing.assert_array_equal(
        model.risk(table.without("image")), model.risk(changed.without("image"))
    )


def test_same_seed_gives_the_same_model_and_leaves_the_global_seed_alone():
    table, outcome = classes(60)
    torch.manual_seed(5)
    before = torch.random.get_rng_state()

    first, second = (fit(table, outcome, "classify", options=FAST).risk(table) for _ in range(2))

    np.testing.assert_array_equal(first, second)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("head", ["cox", "discrete"])
def test_survival_heads_order_times(head):
    table, signal, random = made(400)
    time = random.exponential(np.exp(-signal)) + 1e-6
    outcome = Outcome(event=random.random(400) < 0.8, time=time)
    (training, known), (asked, truth) = halves(table, outcome)
    model = fit(training, known, head, options=FAST)

    def c(risk):
        return concordance(
            Ranked(time=truth.time, event=truth.event, risk=risk, groups=asked.names)
        )

    # What the true risk itself reaches is the limit.
    assert c(model.risk(asked)) >= c(signal[200:]) - 0.02


def test_trees_as_arrays_say_what_scikit_learn_says():
    random = np.random.default_rng(0)
    values = random.normal(size=(300, 4))
    values[random.random((300, 4)) < 0.2] = np.nan
    event = np.nan_to_num(values[:, 0]) * np.nan_to_num(values[:, 1]) > 0
    fitted = HistGradientBoostingClassifier(max_iter=40).fit(values, event)
    trees = from_boosting(fitted)

    asked = np.vstack([values, np.full((1, 4), np.nan)])
    np.testing.assert_allclose(trees(asked), fitted.decision_function(asked), atol=1e-12)
    np.testing.assert_array_equal(trees_of(trees.arrays())(asked), trees(asked))


def test_trees_without_a_modality_are_those_trained_without_it():
    table, outcome = classes(200)
    whole = boost(table, outcome, options=TREES)
    rest = table.keeping(["laboratory"])
    retrained = boost(rest, outcome, options=TREES)

    np.testing.assert_allclose(
        whole.logits(table.without("image")), retrained.logits(rest), atol=1e-9
    )
    kept = whole.keeping((False, True), ("laboratory",))
    np.testing.assert_allclose(kept.logits(rest), retrained.logits(rest), atol=1e-9)


def test_a_model_file_says_the_same_and_refuses_other_tables(tmp_path):
    table, outcome = classes(150, missing=0.2)
    made_blend = blend(table, outcome, "classify", options=FAST, boosting=TREES)
    file = tmp_path / "model.safetensors"
    model_file.save(FusionModel(name="made 1", blend=made_blend, facts={"licence": "MIT"}), file)

    read = model_file.load(file)

    np.testing.assert_allclose(read.risk(table), made_blend.risk(table), atol=1e-6)
    assert read.facts == {"licence": "MIT"}
    assert ((read.probabilities(table) > 0) & (read.probabilities(table) < 1)).all()
    with pytest.raises(InputError, match="other features"):
        read.risk(table.keeping(["laboratory"]))


@pytest.mark.parametrize("content", [b"", b"{}", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_broken_model_files_are_explained(tmp_path, content):
    file = tmp_path / "model.safetensors"
    file.write_bytes(content)

    with pytest.raises(FileError, match="fusion model"):
        model_file.load(file)


def test_impossible_values_are_refused_by_a_model():
    features = (Feature(name="sodium", modality="lab", unit="mmol/L", low=80, high=220),)
    names = ("a",)
    table = Table(features=features, names=names, groups=names, values=np.array([[14.0]]))

    with pytest.raises(InputError, match=r"'sodium' is 14 mmol/L, possible are 80 to 220"):
        model_file.require_possible(table)


def test_long_tails_are_taken_as_logarithms_and_missing_values_as_the_mean():
    random = np.random.default_rng(1)
    values = np.exp(random.normal(size=(200, 1)) * 2)
    values[:20] = np.nan
    names = tuple(map(str, range(200)))
    feature = Feature(name="crp", modality="lab")
    table = Table(features=(feature,), names=names, groups=names, values=values)

    inputs, present = encoder_of(table, components=8)(table)

    assert (inputs["lab"][:20] == [0, 1]).all()
    assert (inputs["lab"][20:, 1] == 0).all()
    assert abs(inputs["lab"][20:, 0].mean()) < 0.1
    assert inputs["lab"][:, 0].max() <= 4
    assert present[:, 0].tolist() == [False] * 20 + [True] * 180


def test_one_class_alone_is_refused():
    table, _ = classes(20)

    with pytest.raises(InputError, match="Two classes"):
        fit(table, Outcome(event=np.ones(20, bool)), "classify", options=FAST)

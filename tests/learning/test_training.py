"""The training loop on images of a few pixels."""

import json
import resource
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from aegle.domain.errors import FileError, InputError, OptionError
from aegle.learning.assignment import Assignment, TrainingOptions
from aegle.learning.augmentation import AugmentationOptions, augment
from aegle.learning.losses import classification_loss
from aegle.learning.preparation import PreparationOptions
from aegle.learning.prepared import PreparedSet
from aegle.learning.samples import Sample
from aegle.learning.training import train

SIZE = 8


def quiet(done, total):
    """Tell nobody."""


def images(count=40, seed=0):
    """Return bright and dark noise, by class."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    values = generator.integers(0, 150, (count, 1, SIZE, SIZE)) + 60 * labels[:, None, None, None]
    return PreparedSet(
        classes=("dark", "bright"),
        samples=tuple(Sample(name=f"{n}", label=int(label)) for n, label in enumerate(labels)),
        values=values.astype(np.uint8),
        preparation=PreparationOptions(size=SIZE),
    )


def network(seed=0, *, normalised=True, dropout=0.2):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4) if normalised else nn.Identity(),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(16, 2),
    )


def assignment(options, *, own=None, data=None, **changes):
    given = Assignment(
        network=network() if own is None else own,
        data=images() if data is None else data,
        training=np.arange(30),
        validation=np.arange(30, 40),
        loss=classification_loss(options, (15, 15)),
        mean=(0.5,),
        deviation=(0.25,),
    )
    return replace(given, **changes)


def same(first, second):
    one, other = first.state_dict(), second.state_dict()
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(autouse=True)
def undrawn(request, monkeypatch):
    """Draw no picture, which takes longer than these trainings, but where it is looked for."""
    if "picture" not in request.node.name:
        monkeypatch.setattr("aegle.learning.training.write_picture", lambda *given: None)


def stop_at(step):
    def progress(done, total):
        if done == step:
            raise KeyboardInterrupt

    return progress


def test_two_classes_are_learned(tmp_path):
    options = TrainingOptions(epochs=12, batch=10, rate=0.03)

    course = train(assignment(options), options=options, folder=tmp_path, progress=quiet)

    losses = [epoch.validation_loss for epoch in course.epochs]
    assert losses[0] > 0.4
    assert losses[course.best - 1] == min(losses) < 0.2
    assert not course.network.training


@pytest.mark.parametrize(
    ("settings", "stop"),
    [
        pytest.param({"optimiser": "adamw", "average": 0.9}, 13, id="AdamW with a running mean"),
        pytest.param({"optimiser": "sgd", "mix": 0.4}, 16, id="momentum, mixed"),
        pytest.param({"optimiser": "adam", "accumulate": 2, "clip": 0.1}, 5, id="accumulated"),
        pytest.param({"precision": "bfloat16"}, 25, id="bfloat16"),
    ],
)
def test_stopped_and_gone_on_with_is_as_if_not_stopped(tmp_path, settings, stop):
    options = TrainingOptions(epochs=4, batch=4, rate=0.02, **settings)
    changes = augment(AugmentationOptions(rotation_deg=20, noise=0.1, blur=0.8, mirror=True))
    whole = train(
        assignment(options, augment=changes), options=options, folder=tmp_path / "a", progress=quiet
    )
    with pytest.raises(KeyboardInterrupt):
        train(
            assignment(options, augment=changes),
            options=options,
            folder=tmp_path / "b",
            progress=stop_at(stop),
        )
    torch.manual_seed(99)
    resumed = train(
        assignment(options, own=network(seed=5), augment=changes),
        options=options,
        folder=tmp_path / "b",
        progress=quiet,
    )

    assert same(whole.network, resumed.network)
    assert whole.best == resumed.best
    assert [replace(e, seconds=0) for e in whole.epochs] == [
        replace(e, seconds=0) for e in resumed.epochs
    ]


def test_the_same_training_gives_the_same_bits_whatever_ran_before(tmp_path):
    options = TrainingOptions(epochs=2, batch=8, seed=3)
    results = []
    for name in ("a", "b"):
        given = assignment(options)
        torch.manual_seed(len(results))
        results.append(train(given, options=options, folder=tmp_path / name, progress=quiet))
    other = replace(options, seed=4)
    differing = train(assignment(other), options=other, folder=tmp_path / "c", progress=quiet)

    assert same(results[0].network, results[1].network)
    assert not same(results[0].network, differing.network)


def test_torchs_own_random_state_is_left_alone(tmp_path):
    options = TrainingOptions(epochs=1, batch=8)
    given = assignment(options)
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    train(given, options=options, folder=tmp_path, progress=quiet)

    assert torch.equal(torch.rand(3), expected)


def test_each_step_has_its_own_draws(tmp_path):
    options = TrainingOptions(epochs=2, batch=10, accumulate=2)
    drawn = []

    def loss(own, pictures, labels):
        if own.training:
            drawn.append(float(torch.rand(1)))
        return own(pictures).mean()

    train(assignment(options, loss=loss), options=options, folder=tmp_path, progress=quiet)

    assert len(set(drawn)) == len(drawn) == 8


def test_a_finished_training_is_not_repeated(tmp_path):
    options = TrainingOptions(epochs=2, batch=8)
    first = train(assignment(options), options=options, folder=tmp_path, progress=quiet)
    told = []
    again = train(
        assignment(options, own=network(seed=7)),
        options=options,
        folder=tmp_path,
        progress=lambda *steps: told.append(steps),
    )

    assert same(first.network, again.network)
    assert told[0] == told[-1] == (8, 8)


def test_the_weights_of_the_best_epoch_are_kept(tmp_path):
    options = TrainingOptions(epochs=6, batch=6, rate=0.3, schedule="constant", optimiser="sgd")
    given = assignment(options, own=network(normalised=False, dropout=0))
    course = train(given, options=options, folder=tmp_path, progress=quiet)
    losses = [epoch.validation_loss for epoch in course.epochs]
    assert course.best < 6, "the last epoch is best; the test needs another one"
    values = torch.from_numpy(given.data.values[given.validation]).float() / 255
    with torch.no_grad():
        loss = functional.cross_entropy(
            course.network((values - 0.5) / 0.25),
            torch.from_numpy(given.data.labels[given.validation]),
        )

    assert float(loss) == pytest.approx(losses[course.best - 1], rel=1e-5)
    assert losses[course.best - 1] == min(losses)


def test_without_validation_the_last_weights_are_kept(tmp_path):
    options = TrainingOptions(epochs=3, batch=8)
    course = train(
        assignment(options, validation=np.array([], np.int64)),
        options=options,
        folder=tmp_path,
        progress=quiet,
    )

    assert course.best == 3
    assert {epoch.validation_loss for epoch in course.epochs} == {None}


def test_patience_ends_a_training_that_gets_no_better(tmp_path):
    options = TrainingOptions(epochs=50, batch=30, rate=1e-9, patience=3)
    worse = iter(range(1000))

    def loss(own, pictures, labels):
        value = own(pictures).mean()
        return value if own.training else value * 0 + next(worse)

    course = train(assignment(options, loss=loss), options=options, folder=tmp_path, progress=quiet)

    assert (course.best, len(course.epochs)) == (1, 4)


def test_one_update_is_a_step_along_the_mean_gradient(tmp_path):
    options = TrainingOptions(
        epochs=1, batch=30, optimiser="sgd", rate=0.1, warm_up=0, weight_decay=0
    )
    own = network(normalised=False, dropout=0)
    given = assignment(options, own=own)
    pictures = (torch.from_numpy(given.data.values[:30]).float() / 255 - 0.5) / 0.25
    reference = network(normalised=False, dropout=0)
    functional.cross_entropy(
        reference(pictures), torch.from_numpy(given.data.labels[:30])
    ).backward()

    train(given, options=options, folder=tmp_path, progress=quiet)

    for ours, theirs in zip(own.parameters(), reference.parameters(), strict=True):
        # The first step of Nesterov momentum is 1.9 times the gradient.
        expected = theirs - 0.1 * 1.9 * theirs.grad
        np.testing.assert_allclose(ours.detach(), expected.detach(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("accumulate", [2, 3])
def test_accumulated_steps_are_one_step_of_all_their_images(tmp_path, accumulate):
    results = []
    for number, (batch, times) in enumerate(((12, 1), (12 // accumulate, accumulate))):
        options = TrainingOptions(
            epochs=2, batch=batch, accumulate=times, optimiser="sgd", rate=0.05
        )
        given = assignment(
            options,
            own=network(normalised=False, dropout=0),
            augment=augment(AugmentationOptions(noise=0.2)),
        )
        results.append(train(given, options=options, folder=tmp_path / str(number), progress=quiet))

    for one, other in zip(
        results[0].network.parameters(), results[1].network.parameters(), strict=True
    ):
        np.testing.assert_allclose(one.detach(), other.detach(), rtol=1e-4, atol=1e-6)
    assert results[0].epochs[1].training_loss == pytest.approx(
        results[1].epochs[1].training_loss, rel=1e-5
    )


def test_the_gradient_is_limited(tmp_path):
    options = TrainingOptions(
        epochs=1, batch=30, optimiser="sgd", rate=1, warm_up=0, weight_decay=0, clip=0.01
    )
    own = network(normalised=False, dropout=0)
    before = [parameter.detach().clone() for parameter in own.parameters()]
    train(assignment(options, own=own), options=options, folder=tmp_path, progress=quiet)

    moved = [(a.detach() - b).square().sum() for a, b in zip(own.parameters(), before, strict=True)]
    assert float(sum(moved).sqrt()) == pytest.approx(1.9 * 0.01, rel=1e-3)


def test_groups_have_their_own_rates(tmp_path):
    options = TrainingOptions(
        epochs=1, batch=30, optimiser="adam", rate=0.01, warm_up=0, weight_decay=0
    )
    own = network(normalised=False, dropout=0)
    before = [parameter.detach().clone() for parameter in own.parameters()]
    groups = (
        {"params": list(own[0].parameters()), "rate": 0.1},
        {"params": [*own[3].parameters(), *own[7].parameters()]},
    )
    train(
        assignment(options, own=own, groups=groups),
        options=options,
        folder=tmp_path,
        progress=quiet,
    )

    # The first step of Adam is as long as the rate, whatever the gradient.
    for parameter, start, step in zip(
        own.parameters(), before, (0.001, 0.001, *[0.01] * 4), strict=True
    ):
        np.testing.assert_allclose((parameter - start).detach().abs(), step, rtol=1e-2)


def test_parts_may_thaw_from_epoch_to_epoch(tmp_path):
    options = TrainingOptions(epochs=3, batch=10, weight_decay=0.1)
    own = network()
    first, seen = own[0].weight.detach().clone(), []

    def thaw(number):
        seen.append((number, torch.equal(own[0].weight, first)))
        own[0].requires_grad_(number >= 3)

    train(
        assignment(options, own=own, before_epoch=thaw),
        options=options,
        folder=tmp_path,
        progress=quiet,
    )

    assert seen == [(1, True), (2, True), (3, True)]
    course = json.loads((tmp_path / "course.json").read_text())
    assert course["best"] < 3 or not torch.equal(own[0].weight, first)


def test_parts_that_stay_in_evaluation_mode_keep_their_statistics(tmp_path):
    options = TrainingOptions(epochs=2, batch=10, average=0.5)
    own = network()
    before = own[1].running_mean.clone()
    course = train(
        assignment(options, own=own, prepare_mode=lambda given: given[1].eval()),
        options=options,
        folder=tmp_path,
        progress=quiet,
    )

    assert torch.equal(course.network[1].running_mean, before)


def test_the_running_mean_is_what_is_measured_and_kept(tmp_path):
    options = TrainingOptions(epochs=2, batch=10, average=0.95, rate=0.05)
    own = network(dropout=0)
    with_mean = train(
        assignment(options, own=own), options=options, folder=tmp_path, progress=quiet
    )
    plain = replace(options, average=0)
    without = train(
        assignment(plain, own=network(dropout=0)),
        options=plain,
        folder=tmp_path / "plain",
        progress=quiet,
    )

    assert [e.training_loss for e in with_mean.epochs] == [e.training_loss for e in without.epochs]
    assert with_mean.epochs[1].validation_loss != without.epochs[1].validation_loss
    assert not same(with_mean.network, without.network)


def test_progress_counts_updates(tmp_path):
    options = TrainingOptions(epochs=2, batch=5, accumulate=2)
    told = []
    train(
        assignment(options),
        options=options,
        folder=tmp_path,
        progress=lambda *steps: told.append(steps),
    )

    assert told == [(n, 6) for n in (0, 1, 2, 3, 4, 5, 6, 6)]


def test_picture_and_course_lie_in_the_folder(tmp_path):
    options = TrainingOptions(epochs=2, batch=15)
    course = train(assignment(options), options=options, folder=tmp_path, progress=quiet)

    assert sorted(entry.name for entry in tmp_path.iterdir()) == [
        "checkpoint.safetensors",
        "course.json",
        "loss.png",
    ]
    kept = json.loads((tmp_path / "course.json").read_text())
    assert [e["training_loss"] for e in kept["epochs"]] == [e.training_loss for e in course.epochs]


def test_a_loss_that_is_no_number_is_named_with_its_place(tmp_path):
    options = TrainingOptions(epochs=3, batch=10)
    calls = []

    def loss(own, pictures, labels):
        calls.append(1)
        return own(pictures).mean() * (float("nan") if len(calls) == 6 else 1.0)

    with pytest.raises(InputError, match="became nan at step 2 of epoch 2; train with a lower"):
        train(assignment(options, loss=loss), options=options, folder=tmp_path, progress=quiet)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"rate": 0.5}, "rate was 0.001, is 0.5", id="options"),
        pytest.param({"network": nn.Flatten()}, "other network", id="network"),
        pytest.param({"data": images(seed=1)}, "other images", id="images"),
        pytest.param({"training": np.arange(20)}, "other images", id="split"),
        pytest.param({"augment": lambda x, g: x}, "other augmentation", id="augmentation"),
        pytest.param({"mean": (0.1,)}, "other scaling", id="scaling"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(tmp_path, changes, said):
    options = TrainingOptions(epochs=1, batch=15)
    train(assignment(options), options=options, folder=tmp_path, progress=quiet)
    if "network" in changes:
        changes = {"network": nn.Sequential(nn.Flatten(), nn.Linear(64, 2))}
    if "rate" in changes:
        options, changes = replace(options, **changes), {}

    with pytest.raises(InputError, match=f"is of another training .*{said}"):
        train(assignment(options, **changes), options=options, folder=tmp_path, progress=quiet)


def test_a_full_disk_keeps_the_last_checkpoint_and_training_goes_on_later(tmp_path):
    options = TrainingOptions(epochs=3, batch=15)
    whole = train(assignment(options), options=options, folder=tmp_path / "a", progress=quiet)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill_the_disk(done, total):
        if done == 3:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))

    try:
        with pytest.raises(FileError, match="cannot be written"):
            train(
                assignment(options),
                options=options,
                folder=tmp_path / "b",
                progress=fill_the_disk,
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    told = []
    resumed = train(
        assignment(options),
        options=options,
        folder=tmp_path / "b",
        progress=lambda *steps: told.append(steps),
    )

    assert told[0] == (2, 6)
    assert same(whole.network, resumed.network)


def test_no_training_images_are_refused(tmp_path):
    options = TrainingOptions()

    with pytest.raises(InputError, match="no training images"):
        train(
            assignment(options, training=np.array([], np.int64)),
            options=options,
            folder=tmp_path,
            progress=quiet,
        )


def test_images_without_classes_cannot_be_mixed(tmp_path):
    data = images()
    unlabelled = replace(data, samples=tuple(Sample(name=s.name) for s in data.samples))
    options = TrainingOptions(mix=0.2)

    with pytest.raises(OptionError, match="'mix' mixes classes"):
        train(
            assignment(options, data=unlabelled), options=options, folder=tmp_path, progress=quiet
        )


def test_volumes_are_trained_too(tmp_path):
    labels = np.arange(12) % 2
    values = np.random.default_rng(0).integers(0, 200, (12, 1, 6, 6, 6)) + 50 * labels.reshape(
        -1, 1, 1, 1, 1
    )
    data = replace(images(12), values=values.astype(np.uint8))
    torch.manual_seed(0)
    own = nn.Sequential(
        nn.Conv3d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(4, 2)
    )
    options = TrainingOptions(epochs=8, batch=6, rate=0.05)
    course = train(
        assignment(
            options,
            own=own,
            data=data,
            training=np.arange(12),
            validation=np.arange(12),
            augment=augment(AugmentationOptions(rotation_deg=5, mirror=True)),
        ),
        options=options,
        folder=tmp_path,
        progress=quiet,
    )

    assert course.epochs[-1].training_loss < course.epochs[0].training_loss

"""The gate names what would make a training or its judgement wrong, and lets the rest through."""

import csv
import time

import numpy as np
import pytest

from aegle.learning.gate import GateOptions, accepted, grouped, inspect, plain
from aegle.learning.near_duplicates import difference_code
from aegle.learning.reading_samples import DataOptions, read_samples
from aegle.learning.samples import UNLABELLED


def look_at(samples, **options):
    return inspect(samples, options=GateOptions(**options), progress=lambda done, total: None)


def kinds(gate):
    return [offence.kind for offence in gate.offences if offence.kind != "no-groups"]


@pytest.fixture
def clean(made_set, scene):
    """Return a function that makes a set without fault, but for what it is given."""

    def make(count=12, extra=(), **changes):
        images = {f"{i:02d}": scene(i) for i in range(count)} | dict(extra)
        total = len(images)
        facts = {
            "label": [i % 2 for i in range(total)],
            "group": [f"p{i}" for i in range(total)],
            "split": ["val" if i % 4 == 3 else "train" for i in range(total)],
        }
        for key, values in changes.items():
            facts.setdefault(key, [{}] * total)
            for index, value in values.items():
                facts[key][index] = value
        return made_set(images, classes=("well", "ill"), **facts)

    return make


def test_a_clean_set_passes(clean):
    samples = clean()

    gate = look_at(samples)

    assert gate.is_open
    assert gate.offences == ()
    assert gate.counts == {
        "train": {"well": 6, "ill": 3},
        "val": {"ill": 3},
    }
    assert accepted(gate, samples).samples == samples.samples


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        pytest.param(None, "unreadable", id="cut off"),
        pytest.param(np.full((64, 64), np.nan), "unreadable", id="not a number"),
        pytest.param(np.zeros((64, 64), np.uint8), "constant", id="one value"),
    ],
)
def test_images_that_show_nothing_must_leave(clean, image, kind):
    samples = clean(extra={"bad": image})

    gate = look_at(samples)

    assert kinds(gate) == [kind]
    assert gate.removed == ("bad",)
    assert not gate.is_open
    assert "bad" not in {s.name for s in accepted(gate, samples).samples}


def test_labels_outside_the_list_must_leave(clean):
    gate = look_at(clean(label={4: UNLABELLED}))

    assert (kinds(gate), gate.removed) == (["label"], ("04",))
    assert "(well, ill)" in str(gate.offences[0].finding)


def test_a_patient_in_two_splits_leaves_training(clean):
    samples = clean(group={0: "P", 2: "P", 3: "P", 1: "Q", 5: "Q"})

    gate = look_at(samples)

    assert kinds(gate) == ["group-leak"]
    assert gate.offences[0].names == ("00", "02", "03")
    assert gate.removed == ("00", "02"), "03 is in validation and stays"
    assert look_at(accepted(gate, samples)).is_open


def test_test_images_stay_before_validation_images(clean):
    gate = look_at(clean(group={3: "P", 4: "P", 7: "P"}, split={7: "test"}))

    assert gate.removed == ("03", "04")


def test_a_copy_of_a_validation_image_leaves_training(clean, scene):
    samples = clean(extra={"copy": scene(3)}, label={12: 1})

    gate = look_at(samples)

    assert kinds(gate) == ["duplicate-leak"]
    assert gate.offences[0].names == ("03", "copy")
    assert gate.removed == ("copy",)


def test_copies_with_different_labels_all_leave(clean, scene):
    gate = look_at(clean(extra={"copy": scene(3)}))

    assert kinds(gate) == ["conflicting-duplicates"]
    assert gate.removed == ("03", "copy")


def test_copies_within_a_split_are_only_named(clean, scene):
    gate = look_at(clean(extra={"copy": scene(2)}))

    assert kinds(gate) == ["exact-duplicates"]
    assert gate.is_open
    assert gate.removed == ()


def darker(image):
    return (image * 0.97).astype(np.uint8)


def test_images_that_look_the_same_leave_training(clean, scene):
    gate = look_at(clean(extra={"dark": darker(scene(3))}, label={12: 1}))

    assert kinds(gate) == ["near-duplicate-leak"]
    assert gate.removed == ("dark",)
    assert "labels" not in str(gate.offences[0].finding)


def test_images_that_look_the_same_may_have_different_labels(clean, scene):
    across = look_at(clean(extra={"dark": darker(scene(3))}))
    within = look_at(clean(extra={"dark": darker(scene(1))}))

    assert "different labels" in str(across.offences[0].finding)
    assert "different labels" in str(within.offences[0].finding)
    assert within.is_open


def test_known_clusters_are_not_named_again(clean, scene):
    gate = look_at(clean(extra={"dark": darker(scene(2))}, group={2: "P", 12: "P"}))

    assert kinds(gate) == []


def test_alike_begins_at_the_distance_given(clean, scene):
    noise = np.random.default_rng(0).normal(0, 6, (64, 64))
    noisy = np.clip(scene(3) + noise, 0, 255).astype(np.uint8)
    differing = difference_code(noisy) ^ difference_code(scene(3))
    distance = int(np.bitwise_count(differing).sum())
    assert 0 < distance <= 16
    samples = clean(extra={"noisy": noisy}, label={12: 1})

    assert kinds(look_at(samples, distance=distance)) == ["near-duplicate-leak"]
    assert kinds(look_at(samples, distance=distance - 1)) == []


def test_splits_do_not_matter_where_folds_are_drawn(clean, scene):
    samples = clean(extra={"dark": darker(scene(3))}, group={0: "P", 3: "P"})

    gate = look_at(samples, use_splits=False)

    assert kinds(gate) == ["near-duplicates"]
    assert gate.is_open


def test_grouping_joins_duplicates_with_their_patients(clean, scene):
    extra = {"copy": scene(0), "dark": darker(scene(4))}
    samples = clean(extra=extra, group={0: "P", 1: "P", 13: "P"})

    after = grouped(look_at(samples, use_splits=False), samples)

    groups = {s.name: s.group for s in after.samples}
    # P holds 00, 01 and dark; copy is 00 again, and dark looks like 04.
    assert {name for name, group in groups.items() if group == "P"} == {
        "00", "01", "04", "copy", "dark",
    }  # fmt: skip
    assert groups["02"] == "p2"
    assert len(set(groups.values())) == 10


def test_images_of_no_group_are_joined_by_name(made_set, scene):
    samples = made_set({"a": scene(1), "b": scene(2), "c": scene(1)})

    gate = look_at(samples)

    assert [o.kind for o in gate.offences] == ["exact-duplicates", "no-groups"]
    assert [s.group for s in grouped(gate, samples).samples] == ["a", "", "a"]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda image: 255 - image // 8, id="almost white"),
        pytest.param(lambda image: image // 8, id="almost black"),
        pytest.param(lambda image: image.astype(np.uint16) * 256, id="other scale"),
    ],
)
def test_unusual_brightness_is_named(clean, scene, change):
    gate = look_at(clean(count=30, extra={"odd": change(scene(99))}))

    assert kinds(gate) == ["intensity"]
    assert gate.offences[0].names[0] == "odd"
    assert gate.is_open


def test_unusual_size_is_named(clean, scene):
    wide = np.tile(scene(98), (1, 3))

    gate = look_at(clean(count=20, extra={"huge": scene(99, size=160), "wide": wide}))

    assert kinds(gate) == ["size"]
    assert gate.offences[0].names == ("wide", "huge"), "9 = 3 squared times, then 6.25 times"


def test_unusual_spacing_is_named(clean):
    columns = {i: {"pixel_spacing": "[0.5, 0.5]"} for i in range(12)} | {
        5: {"pixel_spacing": r"0.5\1.5"}
    }

    gate = look_at(clean(columns=columns))

    assert kinds(gate) == ["spacing"]
    assert gate.offences[0].names == ("05",)
    assert "(0.5 × 0.5 mm)" in str(gate.offences[0].finding)


def test_volumes_among_pictures_must_leave(clean):
    volume = np.random.default_rng(0).integers(0, 255, (64, 64, 64), dtype=np.uint8)

    gate = look_at(clean(extra={"volume": volume}))

    assert "mixed" in kinds(gate)
    assert gate.removed == ("volume",)


def test_what_stops_comes_first_and_json_holds_it(clean, scene):
    gate = look_at(clean(count=30, extra={"copy": scene(2), "cut": None}))

    tree = plain(gate)

    assert [o["kind"] for o in tree["offences"]] == ["unreadable", "exact-duplicates"]
    assert tree["offences"][0]["finding"] == "cut cannot be used: it is cut off. Fetch it again."
    assert tree["removed"] == ["cut"]
    assert tree["is_open"] is False


def test_progress_is_told_image_by_image(clean):
    told = []

    inspect(clean(), options=GateOptions(), progress=lambda *step: told.append(step))

    assert told == [(done, 12) for done in range(1, 13)]


def test_the_10_known_duplicates_of_the_given_radiographs_leave(shared_data):
    path = shared_data("pneumoniamnist_28", "pneumoniamnist_trainval.npz")
    samples = read_samples(path, options=DataOptions(classes=("normal", "pneumonia")))
    start = time.process_time()

    gate = look_at(samples)

    flag = "train_in_val_duplicate"
    known = {s.name for s in samples.samples if s.columns.get(flag) == "True"}
    assert len(known) == 10
    assert set(gate.removed) == known
    assert len(accepted(gate, samples).samples) == 5222
    assert time.process_time() - start < 20


def test_a_planted_patient_leak_is_found(shared_data, tmp_path):
    folder = shared_data("cxr_nih_pneumonia")
    with (folder / "manifest.csv").open(newline="") as manifest:
        rows = list(csv.DictReader(manifest))[::7]
    patients = [row["patient_id"] for row in rows]
    leak = next(i for i, p in enumerate(patients) if patients.count(p) == 2)
    assert rows[leak]["split"] == "train"
    rows[leak]["split"] = "val"
    (tmp_path / "images.zip").symlink_to(folder / "images.zip")
    with (tmp_path / "manifest.csv").open("w", newline="") as planted:
        writer = csv.DictWriter(planted, rows[0])
        writer.writeheader()
        writer.writerows(rows)

    gate = look_at(read_samples(tmp_path, options=DataOptions(group="patient_id")))

    leaks = [offence for offence in gate.offences if offence.kind == "group-leak"]
    assert [o.finding.values["group"] for o in leaks] == [patients[leak]]
    assert rows[leak]["file"] in leaks[0].names
    assert rows[leak]["file"] not in gate.removed
    assert len(gate.removed) == 1

"""What belongs together stays together, and nobody both trains and judges."""

import numpy as np
import pytest

from aegle.domain.errors import InputError, OptionError
from aegle.learning.samples import Sample, SampleSet
from aegle.workflow.learning.looking import described
from aegle.workflow.learning.parts import everyone, fewer_labels, parts_of, require_part
from aegle.workflow.learning.recipe import ValidateOptions


def made(splits=None):
    """Return 60 images of 20 patients."""
    samples = tuple(
        Sample(
            name=f"{n:02}",
            label=n // 3 % 2,
            group=f"p{n // 3}",
            split=splits(n) if splits else "",
        )
        for n in range(60)
    )
    return SampleSet(
        classes=("a", "b"),
        samples=samples,
        load=lambda _: np.zeros((4, 4)),
        content=lambda sample: sample.name.encode(),
        source="made",
    )


def patients(names):
    return {int(name) // 3 for name in names}


@pytest.mark.parametrize("how", ["folds", "holdout"])
@pytest.mark.parametrize("tune", [0.0, 0.2])
def test_no_patient_has_two_roles(how, tune):
    for part in parts_of(made(), ValidateOptions(how=how, folds=4, tune=tune)):
        roles = [patients(names) for names in (part.training, part.tuning, part.judged)]

        assert sum(map(len, roles)) == 20
        assert len(set.union(*roles)) == 20
        assert bool(roles[1]) == bool(tune)


def test_every_image_is_judged_once_over_the_folds():
    parts = parts_of(made(), ValidateOptions(how="folds", folds=4))

    judged = [name for part in parts for name in part.judged]
    assert sorted(judged) == [f"{n:02}" for n in range(60)]


def test_given_validation_images_judge_and_others_choose_the_epoch():
    samples = made(lambda n: "val" if n >= 45 else "train")

    (part,) = parts_of(samples, ValidateOptions())

    assert patients(part.judged) == {15, 16, 17, 18, 19}
    assert part.tuning
    assert patients(part.tuning) | patients(part.training) == set(range(15))


def test_given_test_images_judge_and_validation_images_choose_the_epoch():
    samples = made(lambda n: ("train", "val", "test")[n // 20])

    (part,) = parts_of(samples, ValidateOptions())

    assert part.tuning == tuple(f"{n:02}" for n in range(20, 40))
    assert part.judged == tuple(f"{n:02}" for n in range(40, 60))


def test_data_without_a_split_are_refused():
    with pytest.raises(InputError, match=r"validate\.how to folds or holdout"):
        parts_of(made(), ValidateOptions())


def test_the_kept_model_learns_from_everyone():
    part = everyone(made(), ValidateOptions(tune=0.1))

    assert len(part.training) + len(part.tuning) == 60
    assert part.judged == ()


def test_fewer_labels_are_nested_and_judged_alike():
    samples = made()
    (whole,) = parts_of(samples, ValidateOptions(how="holdout"))

    few, more = (fewer_labels(samples, whole, share, seed=3) for share in (0.2, 0.5))

    assert set(few.training) < set(more.training) < set(whole.training)
    assert few.judged == whole.judged
    assert len(few.training) == pytest.approx(0.2 * len(whole.training), abs=3)
    assert len({few.name, more.name, whole.name}) == 3
    assert fewer_labels(samples, whole, 1.0, seed=3) == whole


def test_a_part_that_is_not_there_is_refused():
    parts = parts_of(made(), ValidateOptions(how="folds", folds=4))

    assert require_part(parts, None) == parts[0]
    with pytest.raises(OptionError, match="no part 4 to judge on; this recipe has 0 to 3"):
        require_part(parts, 4)


def test_groups_that_the_given_split_divides_are_named():
    samples = made(lambda n: "val" if n in (4, 50) else "train")

    found = described(samples)

    assert found["images"] == 60
    assert found["groups"] == 20
    assert found["groups_in_several_splits"] == ["p1", "p16"]
    assert found["by_split"]["val"] == {"a": 1, "b": 1}

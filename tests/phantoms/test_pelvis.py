import numpy as np
import pytest
from scipy import ndimage

from aegle.domain.codes import StructureType
from aegle.phantoms.pelvis import PelvisOptions, make_pelvis

SMALL = PelvisOptions(shape=(60, 133, 133))


@pytest.fixture(scope="module")
def pelvis():
    return make_pelvis(options=SMALL)


def _inner(pelvis, name):
    return pelvis.ct.values[ndimage.binary_erosion(pelvis.structures[name].mask, iterations=2)]


def test_femoral_heads_are_balls_of_47_mm(pelvis):
    ball_ml = 4 / 3 * np.pi * 2.35**3
    for side, x in (("right", -89), ("left", 90)):
        head = pelvis.structures[f"femoral_head_{side}"]
        assert head.volume_ml == pytest.approx(ball_ml, rel=0.03)
        assert head.centroid_mm[0] == pytest.approx(x, abs=1)


def test_bladder_before_prostate_before_rectum(pelvis):
    y = {name: pelvis.structures[name].centroid_mm[1] for name in ("bladder", "prostate", "rectum")}
    z = {name: pelvis.structures[name].centroid_mm[2] for name in ("bladder", "prostate")}

    assert y["bladder"] < y["prostate"] < y["rectum"]
    assert z["bladder"] > z["prostate"] + 30


def test_the_lesion_lies_in_the_right_half_of_the_prostate(pelvis):
    lesion, prostate = pelvis.structures["prostate_lesion"], pelvis.structures["prostate"]

    assert lesion.type is StructureType.LESION
    assert lesion.centroid_mm[0] < prostate.centroid_mm[0] - 5
    assert not np.any(lesion.mask & ~prostate.mask)
    assert lesion.volume_ml == pytest.approx(pelvis.lesions[0].volume_ml, rel=0.15)


def test_tissues_have_their_radiodensity(pelvis):
    assert np.median(_inner(pelvis, "bladder")) == pytest.approx(8, abs=4)
    assert np.median(_inner(pelvis, "prostate")) == pytest.approx(42, abs=6)
    assert np.median(_inner(pelvis, "femoral_head_left")) > 250
    assert pelvis.ct.values[pelvis.structures["rectum"].mask].min() < -850


def test_structures_do_not_overlap(pelvis):
    masks = [pelvis.structures[name].mask for name in ("bladder", "prostate", "rectum", "bone")]

    assert np.sum(masks, axis=0).max() == 1


def test_the_same_seed_gives_the_same_bytes(pelvis):
    again = make_pelvis(options=SMALL)

    assert again.ct.values.tobytes() == pelvis.ct.values.tobytes()

import numpy as np
import pytest

from aegle.domain.finding import LesionKind
from aegle.phantoms.breathing import Motion
from aegle.phantoms.thorax import ThoraxOptions, make_visit
from aegle.phantoms.variation import DIAMETERS_MM, draw_build, draw_courses, draw_visit

SEEDS = range(1, 9)
SHAPE = (40, 64, 64)


@pytest.fixture(scope="module")
def varied():
    return {
        seed: make_visit(0, options=ThoraxOptions(seed=seed, shape=SHAPE, varied=True))
        for seed in (1, 2)
    }


@pytest.fixture(scope="module")
def lung_lesions():
    """Of each patient."""
    return [
        [c for c in draw_courses(seed, draw_build(seed)) if c.kind is not LesionKind.LYMPH_NODE]
        for seed in SEEDS
    ]


def test_the_same_seed_gives_the_same_bytes(varied):
    again = make_visit(0, options=ThoraxOptions(seed=1, shape=SHAPE, varied=True))

    assert again.ct.values.tobytes() == varied[1].ct.values.tobytes()


def test_patients_differ_in_every_organ(varied):
    one, two = varied[1].structures, varied[2].structures
    for name in ("lung_right", "lung_left", "heart", "oesophagus", "spinal_cord", "body"):
        shared = np.count_nonzero(one[name].mask & two[name].mask)
        assert shared < 0.97 * np.count_nonzero(one[name].mask | two[name].mask)


def test_organs_have_the_volumes_of_adults(varied):
    bounds_ml = {
        "heart": (250, 1500),
        "lung_right": (1000, 4500),
        "lung_left": (1000, 4500),
        "oesophagus": (15, 120),
        "spinal_cord": (10, 40),
    }
    for made in varied.values():
        for name, (least_ml, most_ml) in bounds_ml.items():
            assert least_ml < made.structures[name].volume_ml < most_ml


def test_the_right_lung_lies_on_the_right(varied):
    for made in varied.values():
        assert made.structures["lung_right"].centroid_mm[0] < 0
        assert made.structures["lung_left"].centroid_mm[0] > 0


def test_every_patient_has_a_tumour_of_a_size_within_the_range(lung_lesions):
    sizes_mm = []
    for lesions in lung_lesions:
        assert lesions[0].name == "tumour"
        sizes_mm += [float(np.cbrt(np.prod(lesion.diameters_mm[0]))) for lesion in lesions]

    assert DIAMETERS_MM[0] <= min(sizes_mm) < 15
    assert 30 < max(sizes_mm) <= DIAMETERS_MM[1]


def test_lesions_of_a_patient_keep_apart(lung_lesions):
    for lesions in lung_lesions:
        for number, one in enumerate(lesions):
            for other in lesions[number + 1 :]:
                apart_mm = np.linalg.norm(np.subtract(one.centre_mm, other.centre_mm))
                radii_mm = [np.cbrt(np.prod(c.diameters_mm[0])) / 2 for c in (one, other)]
                assert apart_mm > 0.85 * sum(radii_mm) + 6


def test_a_lesion_keeps_its_volume_wherever_it_is_painted(varied):
    for made in varied.values():
        for lesion in made.lesions:
            if lesion.volume_ml > 2:
                assert made.structures[lesion.name].volume_ml == pytest.approx(
                    lesion.volume_ml, rel=0.1
                )


def test_phases_from_native_to_arterial_occur():
    build = draw_build(1)
    arteries_hu = [draw_visit(seed, 0, Motion(), build).perfused.artery.hu for seed in range(1, 60)]

    assert min(arteries_hu) < 55
    assert max(arteries_hu) > 220

import numpy as np
import pytest

from aegle.domain.codes import BODY_PARTS, StructureType, body_part
from aegle.phantoms.head_neck import HeadNeckOptions, make_head_neck

SMALL = (65, 65, 65)


@pytest.fixture(scope="module", params=["tonsil", "pharynx"])
def made(request):
    return make_head_neck(options=HeadNeckOptions(tumour=request.param, shape=SMALL))


def test_every_organ_lies_in_the_body_and_has_a_name_that_is_known(made):
    body = made.structures["body"]
    for organ in made.structures.of_type(StructureType.ORGAN):
        assert not np.any(organ.mask & ~body.mask), organ.name
        assert organ.name in BODY_PARTS
        if not organ.name.startswith("constrictor"):
            assert body_part(organ.name) == organ.name


def test_glands_are_ellipsoids_of_their_volume(made):
    for side in ("left", "right"):
        expected_ml = 4 / 3 * np.pi * 10 * 15 * 22 / 1000
        assert made.structures[f"parotid_{side}"].volume_ml == pytest.approx(expected_ml, rel=0.05)
    left, right = (made.structures[f"parotid_{side}"].centroid_mm for side in ("left", "right"))
    assert left[0] == pytest.approx(51, abs=1)
    assert right[0] == pytest.approx(-51, abs=1)


def test_target_encloses_the_tumour_and_stays_under_the_skin(made):
    gross, clinical, planned = (made.structures[name].mask for name in ("GTV", "CTV", "PTV"))

    assert not np.any(gross & ~clinical)
    assert not np.any(clinical & ~planned)
    assert planned.sum() > 1.5 * clinical.sum() > 1.5 * 1.5 * gross.sum()


def test_a_tumour_of_the_tonsil_is_treated_on_its_side_and_one_of_the_pharynx_on_both():
    tonsil, pharynx = (
        make_head_neck(options=HeadNeckOptions(tumour=tumour, shape=SMALL)).structures["PTV"]
        for tumour in ("tonsil", "pharynx")
    )

    assert tonsil.centroid_mm[0] > 25
    assert abs(pharynx.centroid_mm[0]) < 1


def test_radiodensities_are_those_of_the_tissues(made):
    hu, body = made.ct.values, made.structures["body"].mask

    assert np.median(hu[~body]) == pytest.approx(-1000, abs=15)
    assert np.median(hu[made.structures["mandible"].mask]) > 400
    assert np.median(hu[made.structures["oral_cavity"].mask]) == pytest.approx(45, abs=10)
    assert hu.max() < 1200


def test_the_same_seed_gives_the_same_image():
    one, two = (make_head_neck(options=HeadNeckOptions(shape=SMALL)).ct.values for _ in range(2))

    assert one.tobytes() == two.tobytes()

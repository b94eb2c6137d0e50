from math import pi

import numpy as np
import pytest

from aegle.domain.codes import StructureType
from aegle.domain.errors import QuantityError
from aegle.domain.grid import Grid
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.volume import Quantity, Volume
from aegle.imaging.measure import diameters
from aegle.phantoms.thorax import ThoraxOptions, make_visit
from aegle.recognition.lesions import CandidateOptions, candidates, smallest_found_mm
from aegle.recognition.thorax_ct import ClassicalOptions, segment

from .conftest import Chest

OPTIONS = CandidateOptions()
GRID = Grid(shape=(40, 62, 62), spacing_mm=(2.0, 1.3, 1.3), origin_mm=(-40.0, -40.0, -40.0))


class Lung(Chest):
    """A ball of lung in soft tissue."""

    def __post_init__(self):
        super().__post_init__()
        self.hu[:] = 40
        self.inside = self.paint(self.ball((0, 0, 0), 36), -850)

    def found(self, options=OPTIONS, **noise):
        lung = Structure.of("lung_right", self.inside, self.grid)
        return candidates(self.volume(**noise), StructureSet((lung,)), options=options)


@pytest.fixture
def lung():
    return Lung(GRID)


@pytest.mark.parametrize("radius_mm", [3.5, 5, 9, 14])
def test_a_lone_ball_is_found_with_its_place_and_size(lung, radius_mm):
    lung.paint(lung.ball((4, -6, 3), radius_mm), 40)

    (lesion,) = lung.found()

    assert lesion.type is StructureType.LESION
    assert lesion.name == "lesion 1"
    np.testing.assert_allclose(lesion.centroid_mm, (4, -6, 3), atol=0.6)
    assert diameters(lesion).longest_mm == pytest.approx(2 * radius_mm, abs=1.3)
    assert lesion.volume_ml == pytest.approx(4 / 3 * pi * radius_mm**3 / 1000, rel=0.15)


def test_lesions_are_named_from_the_largest_on(lung):
    for centre, radius_mm in (((-15, 0, 0), 4), ((15, 5, 5), 8), ((0, -18, -10), 6)):
        lung.paint(lung.ball(centre, radius_mm), 40)

    found = lung.found()

    assert [lesion.name for lesion in found] == ["lesion 1", "lesion 2", "lesion 3"]
    np.testing.assert_allclose(found[0].centroid_mm, (15, 5, 5), atol=1)
    np.testing.assert_allclose(found[2].centroid_mm, (-15, 0, 0), atol=1)


@pytest.mark.parametrize("radius_mm", [2, 3, 4.5])
def test_vessels_and_their_crossings_are_no_lesions(lung, radius_mm):
    lung.paint(lung.rod((-40, 0, 0), (40, 8, 5), radius_mm), 50)
    lung.paint(lung.rod((0, -40, 0), (5, 40, 8), radius_mm), 50)
    lung.paint(lung.rod((10, 0, -40), (-10, 5, 40), radius_mm * 0.8), 50)

    assert lung.found() == ()


def test_a_branching_vessel_is_no_lesion(lung):
    lung.paint(lung.rod((-40, 0, 0), (0, 0, 0), 4), 50)
    lung.paint(lung.rod((0, 0, 0), (30, 20, 10), 3), 50)
    lung.paint(lung.rod((0, 0, 0), (30, -20, -10), 3), 50)

    assert lung.found() == ()


def test_a_bulge_of_a_thick_vessel_is_no_lesion(lung):
    lung.paint(lung.rod((-40, 0, 0), (40, 0, 0), 3), 50)
    lung.paint(lung.ball((0, 0, 0), 6), 50)

    assert lung.found() == ()


def test_a_vessel_is_cut_off_the_nodule_on_it(lung):
    nodule = lung.paint(lung.ball((2, 3, 0), 7), 40)
    lung.paint(lung.rod((2, 3, 0), (40, 3, 0), 2), 50)

    (lesion,) = lung.found()

    assert lesion.volume_ml == pytest.approx(nodule.sum() * GRID.voxel_volume_ml, rel=0.15)
    assert diameters(lesion).longest_mm == pytest.approx(14, abs=2.0)


def test_a_nodule_on_the_pleura_is_found(lung):
    where = lung.ball((30, 0, 0), 6)
    lung.paint(where & lung.inside, 40)

    (lesion,) = lung.found()

    assert np.linalg.norm(np.subtract(lesion.centroid_mm, (29, 0, 0))) < 3


def test_bone_that_bulges_into_the_lung_is_no_lesion(lung):
    lung.paint(lung.ball((30, 0, 0), 6) & lung.inside, 400)

    assert lung.found() == ()


def test_what_is_smaller_than_asked_for_is_left_out(lung):
    lung.paint(lung.ball((0, 0, 0), 4), 40)

    assert len(lung.found(CandidateOptions(smallest_mm=7))) == 1
    assert lung.found(CandidateOptions(smallest_mm=10)) == ()


@pytest.mark.parametrize("seed_hu", [20, 45])
def test_noise_is_no_lesion(lung, seed_hu):
    assert lung.found(noise_hu=seed_hu) == ()


def test_a_lesion_does_not_depend_on_the_way_slices_run(lung):
    lung.paint(lung.ball((4, -6, 3), 6), 40)
    lung.paint(lung.rod((4, -6, 3), (4, 40, 3), 2), 50)
    volume = lung.volume()
    last_mm = tuple(GRID.to_patient(np.array([GRID.shape[0] - 1.0, 0.0, 0.0])).tolist())
    down = Grid(
        shape=GRID.shape,
        spacing_mm=GRID.spacing_mm,
        origin_mm=last_mm,
        axes=((0.0, 0.0, -1.0), *GRID.axes[1:]),
    )
    flipped = Volume(values=volume.values[::-1], grid=down, quantity=Quantity.RADIODENSITY)
    mirrored = Structure.of("lung_left", lung.inside[::-1], down)

    (first,) = lung.found()
    (second,) = candidates(flipped, StructureSet((mirrored,)), options=OPTIONS)

    np.testing.assert_allclose(first.centroid_mm, second.centroid_mm, atol=1e-6)
    assert first.volume_ml == pytest.approx(second.volume_ml)


def test_without_lungs_there_are_no_candidates(lung):
    body = Structure.of("body", np.ones(GRID.shape), GRID)
    empty = Structure.of("lung_left", np.zeros(GRID.shape), GRID)

    assert candidates(lung.volume(), StructureSet((body, empty)), options=OPTIONS) == ()


def test_other_quantities_are_refused(lung):
    pet = Volume(values=lung.hu, grid=GRID, quantity=Quantity.STANDARDISED_UPTAKE)

    with pytest.raises(QuantityError):
        candidates(pet, StructureSet(()), options=OPTIONS)


@pytest.mark.parametrize(
    ("spacing_mm", "least_mm"),
    [
        pytest.param((2.0, 2.0, 1.0), 5.25, id="1.75 diagonals of 3 mm"),
        pytest.param((0.5, 0.5, 0.5), 5.0, id="never below the option"),
    ],
)
def test_smallest_lesion_grows_with_the_voxel(spacing_mm, least_mm):
    grid = Grid(shape=(2, 2, 2), spacing_mm=spacing_mm)

    assert smallest_found_mm(grid, CandidateOptions()) == pytest.approx(least_mm)


def test_cuts_through_vessels_on_coarse_voxels_are_no_lesions():
    made = make_visit(2, options=ThoraxOptions(shape=(60, 128, 128)))
    organs = segment(made.ct, options=ClassicalOptions())

    found = candidates(made.ct, organs, options=CandidateOptions())

    tumour = next(lesion for lesion in made.lesions if lesion.name == "tumour")
    (only,) = found
    assert np.linalg.norm(np.subtract(only.centroid_mm, tumour.centre_mm)) < 3

import numpy as np
import pytest

from aegle.domain.codes import BODY_PARTS, StructureType
from aegle.domain.errors import QuantityError
from aegle.domain.grid import Grid
from aegle.domain.structure import StructureSet
from aegle.domain.volume import Quantity, Volume
from aegle.recognition.thorax_ct import ClassicalOptions, notices, segment

from .conftest import AXIAL, Chest, grid_along, made_chest

OPTIONS = ClassicalOptions()
TILT = (np.cos(np.deg2rad(20)), np.sin(np.deg2rad(20)))


def dice(one, other):
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))


def assert_agree(structures, truth, *, least=0.97, most_percent=3.0):
    for name in ("body", "lung_right", "lung_left"):
        mask = structures[name].mask
        assert dice(mask, truth[name]) >= least, name
        assert mask.sum() == pytest.approx(truth[name].sum(), rel=most_percent / 100), name


@pytest.mark.parametrize("touching", [False, True], ids=["apart", "touching"])
@pytest.mark.parametrize(
    "axes",
    [
        pytest.param(AXIAL, id="slices to the head"),
        pytest.param(((0, 0, -1), (0, -1, 0), (-1, 0, 0)), id="every axis flipped"),
        pytest.param(((0, 0, -1), (0, 1, 0), (1, 0, 0)), id="slices to the feet"),
        pytest.param(((1, 0, 0), (0, 0, -1), (0, 1, 0)), id="sagittal"),
        pytest.param(((0, -1, 0), (0, 0, -1), (1, 0, 0)), id="coronal"),
        pytest.param(((0, TILT[1], TILT[0]), (0, TILT[0], -TILT[1]), (1, 0, 0)), id="oblique"),
    ],
)
def test_right_and_left_lung_are_found_on_any_grid(axes, touching):
    chest, truth = made_chest(grid_along(axes, (4.0, 4.0, 4.0)), touching=touching)

    structures = segment(chest.volume(), options=OPTIONS)

    assert_agree(structures, truth)
    assert structures["lung_right"].centroid_mm[0] < -50
    assert structures["lung_left"].centroid_mm[0] > 50
    assert not np.any(structures["lung_right"].mask & structures["lung_left"].mask)


def test_every_organ_of_the_chest_agrees_with_the_truth(axial_chest):
    volume, truth = axial_chest

    structures = segment(volume, options=OPTIONS)

    assert_agree(structures, truth, least=0.99, most_percent=1)
    assert dice(structures["airways"].mask, truth["airways"]) > 0.95
    assert dice(structures["bone"].mask, truth["bone"]) > 0.95
    assert dice(structures["spinal_cord"].mask, truth["spinal_cord"]) > 0.9
    assert {s.name for s in structures} <= set(BODY_PARTS)
    assert structures["body"].type is StructureType.EXTERNAL
    assert all(s.type is StructureType.ORGAN for s in structures if s.name != "body")
    assert all(s.grid == volume.grid and s.origin == "automatic" for s in structures)
    assert [str(n) for n in notices(structures)] == [
        "The spinal cord is delineated as the whole spinal canal."
    ]


def test_the_table_is_no_part_of_the_body(axial_chest):
    volume, _ = axial_chest
    table = volume.grid.to_indices(np.array([0.0, 113.0, 0.0]))

    body = segment(volume, options=OPTIONS)["body"].mask

    assert not body[tuple(np.rint(table).astype(int))]


def test_a_table_that_touches_the_back_is_cut_off():
    chest, truth = made_chest(grid_along(AXIAL))
    chest.paint((chest.y > 96) & (chest.y < 102) & (np.abs(chest.x) < 150), 100)

    body = segment(chest.volume(), options=OPTIONS)["body"].mask

    beside = (chest.y > 96) & (chest.y < 102) & (np.abs(chest.x) > 60)
    assert not np.any(body & beside)
    assert dice(body, truth["body"]) > 0.99


def test_fine_voxels_keep_their_own_border():
    chest, truth = made_chest(grid_along(AXIAL, (5.0, 1.4, 1.4)))

    structures = segment(chest.volume(noise_hu=40), options=OPTIONS)

    assert_agree(structures, truth, least=0.99, most_percent=1)


def test_a_tumour_and_vessels_inside_a_lung_belong_to_it():
    chest, truth = made_chest(grid_along(AXIAL))
    tumour = chest.paint(chest.ball((-80, -10, -30), 16), 40)
    vessel = chest.paint(chest.rod((-60, 10, 0), (-100, 10, -20), 4), 60)
    at_wall = chest.paint(truth["lung_right"] & chest.ball((-113, 0, 0), 6), 40)

    lung = segment(chest.volume(), options=OPTIONS)["lung_right"].mask

    assert lung[tumour & truth["lung_right"]].mean() > 0.99
    assert lung[vessel & truth["lung_right"]].mean() > 0.99
    assert lung[at_wall].mean() > 0.75
    assert dice(lung, truth["lung_right"]) > 0.99


@pytest.mark.parametrize("name", ["lung_right", "lung_left"])
def test_a_single_lung_is_named_by_its_side(name):
    chest, _ = made_chest(grid_along(AXIAL, (4.0, 4.0, 4.0)), lungs=(name,))

    structures = segment(chest.volume(), options=OPTIONS)

    lungs = [s.name for s in structures if s.name.startswith("lung")]
    assert lungs == [name]
    side = name.removeprefix("lung_")
    assert f"Only the {side} lung is in the field of view." in map(str, notices(structures))


def test_gas_in_the_bowel_is_no_lung():
    chest, _ = made_chest(grid_along(AXIAL), lungs=())
    chest.paint(chest.rod((-60, -20, -50), (-60, -20, 50), 22), -1000)

    structures = segment(chest.volume(), options=OPTIONS)

    assert {s.name for s in structures} == {"body", "bone"}
    assert [str(n) for n in notices(structures)] == ["No lungs in the field of view of the CT."]


def test_two_legs_are_one_body_without_lungs_or_spine():
    chest = Chest(grid_along(AXIAL, (4.0, 4.0, 4.0)))
    legs = chest.rod((-70, 0, -200), (-70, 0, 200), 55) | chest.rod((70, 0, -200), (70, 0, 200), 55)
    chest.paint(legs, 40)
    for x in (-70, 70):
        chest.paint(chest.rod((x, 0, -200), (x, 0, 200), 16), 900)
        chest.paint(chest.rod((x, 0, -200), (x, 0, 200), 8), -50)

    structures = segment(chest.volume(), options=OPTIONS)

    assert {s.name for s in structures} == {"body", "bone"}
    assert dice(structures["body"].mask, legs) > 0.99


def volume_of(values, spacing_mm=(2.0, 2.0, 2.0)):
    values = np.asarray(values, np.float32)
    grid = Grid(shape=values.shape, spacing_mm=spacing_mm)
    return Volume(values=values, grid=grid, quantity=Quantity.RADIODENSITY)


def test_an_image_of_air_holds_no_patient():
    structures = segment(volume_of(np.full((6, 20, 20), -1000)), options=OPTIONS)

    assert len(structures) == 0
    assert [str(n) for n in notices(structures)] == ["No patient in the field of view of the CT."]


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 40, 40), (30, 1, 30), (5, 5, 5)])
@pytest.mark.parametrize("hu", [-1000, -850, 40, 3000])
def test_odd_shapes_and_uniform_values_end_in_an_answer(shape, hu):
    structures = segment(volume_of(np.full(shape, hu)), options=OPTIONS)

    assert notices(structures)
    assert all(not s.name.startswith("lung") for s in structures)


def test_one_slice_through_the_chest_still_shows_both_lungs():
    chest, truth = made_chest(grid_along(AXIAL))
    middle = chest.grid.shape[0] // 2
    values = chest.volume().values[middle : middle + 1]
    grid = Grid(shape=values.shape, spacing_mm=(10.0, 3.0, 3.0), origin_mm=chest.grid.origin_mm)

    structures = segment(
        Volume(values=values, grid=grid, quantity=Quantity.RADIODENSITY), options=OPTIONS
    )

    for name in ("lung_right", "lung_left"):
        assert dice(structures[name].mask[0], truth[name][middle]) > 0.97


def test_the_same_ct_gives_the_same_masks(axial_chest):
    volume, _ = axial_chest

    first, second = (segment(volume, options=OPTIONS) for _ in range(2))

    assert [s.name for s in first] == [s.name for s in second]
    assert all(np.array_equal(a.box, b.box) for a, b in zip(first, second, strict=True))


def test_values_that_are_no_radiodensities_are_refused():
    pet = Volume(
        values=np.zeros((3, 3, 3), np.float32),
        grid=Grid(shape=(3, 3, 3), spacing_mm=(1, 1, 1)),
        quantity=Quantity.STANDARDISED_UPTAKE,
    )

    with pytest.raises(QuantityError):
        segment(pet, options=OPTIONS)


def test_notices_of_nothing_say_that_no_patient_is_in_view():
    assert len(notices(StructureSet(()))) == 1

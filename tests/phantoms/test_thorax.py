import numpy as np
import pytest
from scipy import ndimage

from aegle.domain.codes import BODY_PARTS, StructureType
from aegle.domain.errors import OptionError
from aegle.phantoms import chest_wall, lung_vessels, torso
from aegle.phantoms.thorax import ThoraxOptions, make_visit, thorax_grid

TINY = ThoraxOptions(shape=(30, 64, 64))


def _inner(structure, steps=1):
    return ndimage.binary_erosion(structure.mask, iterations=steps)


def _inside(visit, name, points_mm):
    grid = visit.ct.grid
    index = np.rint(grid.to_indices(points_mm)).astype(int)
    index = np.clip(index, 0, np.asarray(grid.shape) - 1)
    return visit.structures[name].mask[tuple(index.T)]


def _shell(lesion, beyond_mm):
    """Points that lie beyond the surface of a lesion by some mm."""
    directions = np.random.default_rng(0).normal(size=(400, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    half = np.asarray(lesion.shape.half_axes) + beyond_mm
    return np.asarray(lesion.centre_mm) + (directions * half) @ lesion.shape.axes.T


def test_the_field_of_view_is_the_same_at_every_size():
    fine, coarse = thorax_grid((120, 256, 256)), thorax_grid((40, 96, 96))

    assert fine.spacing_mm == (2.5, 1.5, 1.5)
    assert coarse.spacing_mm == (7.5, 4.0, 4.0)
    np.testing.assert_allclose(fine.centre_mm, coarse.centre_mm, atol=1e-9)


def test_the_same_seed_gives_the_same_bytes():
    first = make_visit(1, options=TINY)
    for remembered in (chest_wall.wall, torso.lung_map, lung_vessels.lung_vessels):
        remembered.cache_clear()
    second = make_visit(1, options=TINY)

    assert first.ct.values.tobytes() == second.ct.values.tobytes()
    assert first.pet.values.tobytes() == second.pet.values.tobytes()


def test_another_seed_gives_another_patient():
    one, two = (make_visit(0, options=ThoraxOptions(seed=s, shape=TINY.shape)) for s in (1, 2))

    assert np.any(one.structures["body"].mask != two.structures["body"].mask)
    assert one.lesions[0].longest_mm == two.lesions[0].longest_mm


def test_there_is_no_fourth_visit():
    with pytest.raises(OptionError, match="visits 0 to 2"):
        make_visit(3, options=TINY)


def test_only_the_first_visit_is_screening(visits):
    assert ["screening" in visit.description.lower() for visit in visits] == [True, False, False]
    assert visits[0].acquired < visits[1].acquired < visits[2].acquired


def test_only_the_second_visit_has_a_pet(visits):
    assert [visit.pet is not None for visit in visits] == [False, True, False]


def test_values_are_whole_hounsfield_units(visits):
    for visit in visits:
        np.testing.assert_array_equal(visit.ct.values, np.rint(visit.ct.values))


def test_structures_have_known_names_and_types(visits):
    for visit in visits:
        named = {lesion.name for lesion in visit.lesions}
        assert {s.name for s in visit.structures.of_type(StructureType.LESION)} == named
        assert visit.structures["body"].type is StructureType.EXTERNAL
        known = {s.name for s in visit.structures} & set(BODY_PARTS)
        assert known >= {
            "body", "lung_right", "lung_left", "airways", "heart", "aorta", "spine", "ribs",
            "spinal_cord", "oesophagus", "liver", "bone",
        }  # fmt: skip
        assert all(lesion.site in BODY_PARTS for lesion in visit.lesions)
        assert not any(s.is_empty for s in visit.structures if s.name != "nodule_left")


def test_liver_right_spleen_left_heart_to_the_left(visits):
    for visit in visits:
        x = {s.name: s.centroid_mm[0] for s in visit.structures if not s.is_empty}
        assert x["liver"] < -25
        assert x["spleen"] > 60
        assert x["stomach"] > 30
        assert 5 < x["heart"] < 40
        assert x["lung_right"] < -50 < 50 < x["lung_left"]
        assert abs(x["spinal_cord"]) < 12


def test_the_heart_points_to_the_left_front_and_down(visits):
    heart = visits[0].structures["heart"]
    positions = visits[0].ct.grid.to_patient(np.argwhere(heart.mask).astype(float))
    lowest_left = positions[positions[:, 0] > np.quantile(positions[:, 0], 0.97)].mean(axis=0)

    assert lowest_left[1] < heart.centroid_mm[1]
    assert lowest_left[2] < heart.centroid_mm[2]


def test_the_aorta_descends_left_of_the_spine_and_behind_the_heart(visits):
    visit = visits[0]
    k = round(visit.ct.grid.to_indices(np.array([0.0, 0, -40]))[0])
    x, y = (
        visit.ct.grid.to_patient(np.argwhere(visit.structures[name].mask[k : k + 1]) * 1.0).mean(
            axis=0
        )[:2]
        for name in ("aorta", "spine")
    )

    assert x[0] > y[0] + 10
    assert x[1] < y[1]
    assert x[1] > visit.structures["heart"].centroid_mm[1] + 30


def test_the_right_lung_is_larger_and_its_diaphragm_higher(visits):
    visit = visits[0]
    right, left = (visit.structures[f"lung_{side}"] for side in ("right", "left"))
    grid = visit.ct.grid

    def floor_mm(lung, x):
        _, row, column = np.rint(grid.to_indices(np.array([x, -10.0, 0]))).astype(int)
        k = np.flatnonzero(lung.mask[:, row, column])[0]
        return grid.to_patient(np.array([k, row, column]) * 1.0)[2]

    assert right.volume_ml > 1.05 * left.volume_ml
    assert 3500 < right.volume_ml + left.volume_ml < 6500
    assert floor_mm(right, -68) > floor_mm(left, 66) + 7


@pytest.mark.parametrize(
    ("name", "visit", "low", "high"),
    [
        ("lung_right", 0, -890, -830),
        ("lung_left", 2, -890, -830),
        ("liver", 0, 50, 66),
        ("liver", 1, 84, 100),
        ("aorta", 0, 32, 52),
        ("aorta", 1, 170, 200),
        ("heart", 0, 35, 55),
        ("tumour", 0, 28, 42),
        ("tumour", 2, 20, 45),
        ("lymph_node", 0, 28, 50),
        ("spine", 0, 150, 420),
    ],
)
def test_tissues_have_their_radiodensity(visits, name, visit, low, high):
    inner = _inner(visits[visit].structures[name])

    assert low <= np.median(visits[visit].ct.values[inner]) <= high


def test_the_low_dose_image_is_noisier(visits):
    noise = [v.ct.values[_inner(v.structures["spleen"], 2)].std() for v in visits]

    assert noise == pytest.approx([25, 12, 12], rel=0.15)


def test_air_around_the_patient_is_air_and_the_couch_is_no_patient(visits):
    for visit in visits:
        outside = ~ndimage.binary_dilation(visit.structures["body"].mask, iterations=2)
        y = visit.ct.grid.to_patient(
            np.stack([np.zeros(128), np.arange(128), np.zeros(128)], axis=-1)
        )[:, 1]
        front, behind = outside.copy(), outside.copy()
        front[:, y > 90] = False
        behind[:, y < 135] = False
        assert np.median(visit.ct.values[front]) == pytest.approx(-1000, abs=3)
        assert (visit.ct.values[behind] > -700).sum() > 5000


def test_the_body_has_no_holes(visits):
    for visit in visits:
        for k in (10, 30, 50):
            body = visit.structures["body"].mask[k]
            np.testing.assert_array_equal(ndimage.binary_fill_holes(body), body)
            assert ndimage.label(body)[1] == 1


def test_lung_lesions_lie_clear_of_pleura_heart_and_great_vessels(visits):
    for visit in visits:
        for lesion in visit.lesions:
            if lesion.site == "mediastinum":
                continue
            assert _inside(visit, lesion.site, _shell(lesion, 6.0)).all(), lesion.name
            for organ in ("heart", "aorta", "great_vessels", "airways", "liver"):
                assert not _inside(visit, organ, _shell(lesion, 6.0)).any()


def test_the_lymph_node_lies_in_mediastinal_fat(visits):
    for visit in visits:
        node = next(m for m in visit.lesions if m.name == "lymph_node")
        around = _shell(node, 2.0)
        for organ in ("lung_right", "lung_left", "aorta", "great_vessels", "airways", "heart"):
            assert not _inside(visit, organ, around).any(), organ


def test_lesion_masks_are_the_voxels_whose_centre_lies_inside(visits):
    visit = visits[0]
    tumour = visit.lesions[0]
    centres = visit.ct.grid.to_patient(np.stack(np.indices(visit.ct.grid.shape), axis=-1) * 1.0)
    local = (centres - np.asarray(tumour.centre_mm)) @ tumour.shape.axes
    inside = (np.square(local / np.asarray(tumour.shape.half_axes)).sum(axis=-1)) < 1

    np.testing.assert_array_equal(visit.structures["tumour"].mask, inside)


@pytest.mark.parametrize("visit", [0, 1, 2])
def test_a_midway_threshold_finds_the_volume_of_the_tumour(visits, visit):
    tumour = visits[visit].lesions[0]
    grid = visits[visit].ct.grid
    reach = max(tumour.shape.half_axes) + 5
    centres = grid.to_patient(np.stack(np.indices(grid.shape), axis=-1) * 1.0)
    near = np.abs(centres - np.asarray(tumour.centre_mm)).max(axis=-1) < reach
    dense = (visits[visit].ct.values > (35 - 860) / 2) & near

    assert dense.sum() * grid.voxel_volume_ml == pytest.approx(tumour.volume_ml, rel=0.1)


@pytest.mark.parametrize("visit", [0, 1, 2])
def test_thresholding_and_closing_find_the_lungs_within_3_percent(visits, visit):
    made = visits[visit]
    body, airways = (made.structures[name].mask for name in ("body", "airways"))
    airy = (made.ct.values < -430) & body & ~ndimage.binary_dilation(airways)
    labels, _ = ndimage.label(airy)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    ball = ndimage.iterate_structure(ndimage.generate_binary_structure(3, 1), 2)
    lungs = ndimage.binary_closing(np.isin(labels, np.flatnonzero(sizes > 2000)), ball)
    for k, plane in enumerate(lungs):
        lungs[k] = ndimage.binary_fill_holes(plane)
    truth_ml = sum(made.structures[f"lung_{side}"].volume_ml for side in ("right", "left"))

    assert lungs.sum() * made.ct.grid.voxel_volume_ml == pytest.approx(truth_ml, rel=0.03)


@pytest.mark.parametrize("visit", [1, 2])
@pytest.mark.parametrize("name", ["heart", "liver", "spine", "lung_right", "lung_left", "ribs"])
def test_the_motion_carries_each_organ_onto_itself(visits, visit, name):
    first, later = visits[0], visits[visit]
    grid = first.ct.grid
    inner = _inner(first.structures[name]) if name != "ribs" else first.structures[name].mask
    positions = grid.to_patient(np.argwhere(inner).astype(float))
    moved = later.motion.from_reference(positions)
    held = np.abs(moved[:, 2]) < 140

    agreement = _inside(later, name, moved[held]).mean()
    unmoved = _inside(later, name, positions[held]).mean()
    assert agreement > (0.75 if name == "ribs" else 0.98)
    assert agreement > unmoved


def test_the_diaphragm_rises_10_to_18_mm_at_visit_1_with_the_patient(visits):
    dome = np.array([[-68.0, -12.0, -60.0]])
    rise_mm = visits[1].motion.from_reference(dome)[0, 2] - dome[0, 2]

    assert 10 < rise_mm < 18


def test_the_pet_shines_brightest_in_the_tumour(visits):
    pet, tumour = visits[1].pet, visits[1].lesions[0]
    hottest = np.unravel_index(pet.values.argmax(), pet.grid.shape)
    at_mm = pet.grid.to_patient(np.asarray(hottest, dtype=float))

    assert pet.grid.spacing_mm == (4.0, 4.0, 4.0)
    assert np.linalg.norm(at_mm - np.asarray(tumour.centre_mm)) < 7
    assert 5 < pet.values.max() < 10
    np.testing.assert_allclose(pet.grid.centre_mm, visits[1].ct.grid.centre_mm, atol=1e-6)


def test_the_liver_takes_up_as_much_as_it_should(visits):
    visit = visits[1]
    liver = visit.ct.grid.to_patient(
        np.argwhere(_inner(visit.structures["liver"], 4)).astype(float)
    )
    index = np.rint(visit.pet.grid.to_indices(liver)).astype(int)
    index = index[(index >= 0).all(axis=1) & (index < visit.pet.grid.shape).all(axis=1)]

    assert visit.pet.values[tuple(index.T)].mean() == pytest.approx(2.3, abs=0.15)

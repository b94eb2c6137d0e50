import numpy as np
import pytest
from scipy.spatial.distance import pdist

from aegle.domain.finding import LesionKind
from aegle.domain.grid import Grid
from aegle.phantoms.breathing import Motion
from aegle.phantoms.canvas import Canvas
from aegle.phantoms.lesions import axial_diameters_mm, lesions_at
from aegle.phantoms.lung_vessels import lung_vessels
from aegle.phantoms.painting import paint_lesions
from aegle.phantoms.shapes import Ellipsoid

AT_REST = {visit: {m.name: m for m in lesions_at(visit, Motion())} for visit in range(3)}


def test_an_upright_ellipsoid_shows_its_axes():
    shape = Ellipsoid.turned((0, 0, 0), (5, 3, 20), first=(1, 2, 0), second=(-2, 1, 0))

    assert axial_diameters_mm(shape) == pytest.approx((10, 6))


def test_a_tilted_ellipsoid_is_cut_shorter():
    # The long axis (half 10) leans 60 degrees out of the plane: r = 1 / sqrt(c²/10² + s²/4²).
    shape = Ellipsoid.turned((0, 0, 0), (10, 3, 4), first=(0.5, 0, 3**0.5 / 2), second=(0, 1, 0))

    longest = 2 / np.sqrt(0.25 / 100 + 0.75 / 16)
    assert axial_diameters_mm(shape) == pytest.approx((longest, 6))


@pytest.mark.parametrize(
    ("visit", "name", "longest_mm", "perpendicular_mm"),
    [
        (0, "tumour", 34, 27),
        (1, "tumour", 20, 16),
        (2, "tumour", 21, 16.5),
        (0, "lymph_node", 24, 17),
        (1, "lymph_node", 13, 9),
        (2, "lymph_node", 13, 9),
        (0, "nodule_right", 9, 8),
        (2, "nodule_left", 7, 6),
        (2, "new_lesion", 14, 12),
    ],
)
def test_diameters_of_a_patient_lying_straight(visit, name, longest_mm, perpendicular_mm):
    lesion = AT_REST[visit][name]

    assert lesion.longest_mm == pytest.approx(longest_mm)
    assert lesion.perpendicular_mm == pytest.approx(perpendicular_mm)


def test_the_tumour_at_visit_0_has_the_volume_of_its_ellipsoid():
    assert AT_REST[0]["tumour"].volume_ml == pytest.approx(np.pi / 6 * 3.4 * 2.7 * 3.0)


@pytest.mark.parametrize("name", ["tumour", "lymph_node", "nodule_left"])
def test_painted_masks_have_the_closed_form_volume_and_diameter(name):
    lesion = AT_REST[0][name]
    step = 0.6
    first = tuple(float(c) - 60 * step / 2 for c in lesion.centre_mm)
    grid = Grid(shape=(60, 60, 60), spacing_mm=(step, step, step), origin_mm=first)
    canvas, masks = Canvas.blank(grid, with_uptake=False), {}

    paint_lesions(canvas, masks, [lesion])

    mask = masks[name]
    part = (canvas.hu + 1000) / (lesion.hu + 1000)
    fullest = mask[mask.sum(axis=(1, 2)).argmax()]
    longest_mm = pdist(np.argwhere(fullest)).max() * step
    assert mask.sum() * grid.voxel_volume_ml == pytest.approx(lesion.volume_ml, rel=0.015)
    assert part.sum() * grid.voxel_volume_ml == pytest.approx(lesion.volume_ml, rel=0.005)
    assert longest_mm == pytest.approx(lesion.longest_mm, abs=step)


def test_painted_lesions_lie_where_they_are_said_to_lie():
    lesion = AT_REST[0]["lymph_node"]
    grid = Grid(shape=(40, 70, 72), spacing_mm=(1.5, 1.0, 1.0), origin_mm=(-60, -20, 25))
    canvas, masks = Canvas.blank(grid, with_uptake=True), {}

    paint_lesions(canvas, masks, [lesion])

    for weight in (canvas.hu + 1000, canvas.suv, masks["lymph_node"]):
        centre = [(weight * axis).sum() / weight.sum() for axis in np.indices(grid.shape)]
        np.testing.assert_allclose(grid.to_patient(np.array(centre)), lesion.centre_mm, atol=0.1)


def test_a_turned_patient_turns_the_lesions():
    straight, turned = (
        lesions_at(0, Motion(turn_deg=(0, 0, angle)))[0].shape.axes[:, 0] for angle in (0, 90)
    )

    np.testing.assert_allclose(turned, [-straight[1], straight[0], 0], atol=1e-9)


def _sum_mm(visit, *, with_node):
    names = ["tumour", "lymph_node"] if with_node else ["tumour"]
    return sum(AT_REST[visit][name].recist_diameter_mm for name in names)


@pytest.mark.parametrize("with_node", [True, False])
def test_the_course_is_partial_response_then_progression_by_a_new_lesion_alone(with_node):
    sums = [_sum_mm(visit, with_node=with_node) for visit in range(3)]

    assert sums[1] <= 0.7 * sums[0]
    assert sums[2] - sums[1] < 5
    assert sums[2] < 1.2 * sums[1]
    assert set(AT_REST[2]) - set(AT_REST[1]) == {"new_lesion"}
    assert AT_REST[2]["new_lesion"].longest_mm >= 10


def test_a_lymph_node_counts_by_its_short_axis():
    node = AT_REST[0]["lymph_node"]

    assert node.kind is LesionKind.LYMPH_NODE
    assert node.recist_diameter_mm == pytest.approx(17)


def test_small_nodules_are_not_measurable():
    for visit in range(3):
        for name in ("nodule_right", "nodule_left"):
            assert AT_REST[visit][name].longest_mm < 10


def test_lesions_keep_their_shape_but_move_with_the_anatomy():
    motion = Motion(diaphragm_mm=12, shift_mm=(4, 0, 6))
    moved = {m.name: m for m in lesions_at(0, motion)}

    low = moved["nodule_right"].centre_mm[2] - AT_REST[0]["nodule_right"].centre_mm[2]
    high = moved["tumour"].centre_mm[2] - AT_REST[0]["tumour"].centre_mm[2]
    assert moved["tumour"].longest_mm == pytest.approx(34)
    assert 9 < low < 18
    assert high == pytest.approx(6, abs=0.5)


def test_no_lung_vessel_comes_near_a_lesion():
    ends = np.concatenate([tube.points for tube in lung_vessels(1)])
    middles = np.concatenate([tube.points.mean(axis=0, keepdims=True) for tube in lung_vessels(1)])
    radius = max(tube.radii.max() for tube in lung_vessels(1))
    assert radius < 8

    for visit in AT_REST.values():
        for lesion in visit.values():
            reach = max(lesion.shape.half_axes)
            for points in (ends, middles):
                apart = np.linalg.norm(points - np.asarray(lesion.centre_mm), axis=1)
                assert apart.min() > reach + 3

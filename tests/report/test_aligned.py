"""The same place at every visit: a mark that moved is shown where it was."""

from dataclasses import replace

import numpy as np
import pytest

from aegle.domain.grid import Grid
from aegle.domain.registration import DisplacementField, Motion, Registration, Verdict
from aegle.domain.text import Text
from aegle.domain.volume import Quantity, Volume
from aegle.report.aligned import LESION_RGB, OUTSIDE_RGB, aligned_slices, pixel_places
from aegle.report.planes import Plane, View
from aegle.report.slices import native_view

MARK = (-40.0, 20.0, 126.0)
MOVED_MM = np.array([18.0, -12.0, 30.0])


def registration_of(verdict=Verdict.GOOD, field=None, shift=MOVED_MM):
    matrix = np.eye(4)
    matrix[:3, 3] = shift
    return Registration(
        matrix=tuple(map(tuple, matrix.tolist())),
        correlation_before=0.5,
        correlation_after=0.9,
        verdict=verdict,
        reason=Text("made"),
        motion=Motion.RIGID if field is None else Motion.DEFORMABLE,
        displacement=field,
    )


def with_bright_mark(image, places_mm):
    """Return the image with soft tissue everywhere and bright spots of 8 mm radius."""
    grid = image.volume.grid
    at = grid.to_patient(np.moveaxis(np.indices(grid.shape), 0, -1).astype(float))
    values = np.full(grid.shape, -1350.0, np.float32)
    for place in places_mm:
        values[((at - place) ** 2).sum(-1) < 64] = 1000.0
    volume = Volume(values=values, grid=grid, quantity=Quantity.RADIODENSITY)
    return replace(image, volume=volume)


def two_visits(case, registration, moved=MOVED_MM):
    """A case of which visit 2 shows the mark moved."""
    first, second = case.examinations.visits[:2]
    ct = with_bright_mark(first.images[0], [np.array(MARK)])
    later = with_bright_mark(second.images[0], [np.array(MARK) + moved])
    visits = (replace(first, images=(ct,)), replace(second, images=(later,)))
    follow_up = case.following.follow_up
    timeline = replace(
        follow_up.timeline,
        study_uids=tuple(v.study_uid for v in visits),
        entries=tuple(e for e in follow_up.timeline.entries if e.visit < 2),
        registrations=(registration,),
    )
    results = replace(case, examinations=replace(case.examinations, visits=visits))
    return results, replace(follow_up, timeline=timeline)


def bright_middle(frames):
    """Return where the bright spot lies: slice, down, right."""
    bright = frames[..., 0] > 200
    bright &= ~(frames == LESION_RGB).all(-1)
    return np.argwhere(bright).mean(axis=0)


def field_of(shift_mm):
    grid = Grid(
        shape=(2, 2, 2), spacing_mm=(400.0, 400.0, 400.0), origin_mm=(-200.0, -200.0, -80.0)
    )
    vectors = np.broadcast_to(np.float32(shift_mm), (2, 2, 2, 3)).copy()
    return DisplacementField(vectors_mm=vectors, grid=grid)


@pytest.mark.parametrize(
    "registration",
    [
        pytest.param(registration_of(), id="by a matrix"),
        pytest.param(
            registration_of(field=field_of(MOVED_MM), shift=(0, 0, 0)), id="by a deformation"
        ),
    ],
)
def test_a_place_that_moved_is_shown_where_it_was(case, registration):
    results, follow_up = two_visits(case, registration)

    slices = aligned_slices(results, follow_up)

    first, second = (bright_middle(p.frames) for p in slices.panels)
    # A pixel has about 1 mm, a slice 6 mm; without alignment they lie 5 slices apart.
    np.testing.assert_allclose(first, second, atol=1.5)
    where = slices.heights_mm[round(first[0])]
    assert where == pytest.approx(MARK[2], abs=6)


def test_without_alignment_the_places_differ(case):
    results, follow_up = two_visits(case, registration_of(shift=(0, 0, 0)))

    slices = aligned_slices(results, follow_up)

    first, second = (bright_middle(p.frames) for p in slices.panels)
    assert second[0] - first[0] > 3


def test_what_lies_outside_of_the_later_image_is_marked(case):
    results, follow_up = two_visits(case, registration_of(shift=(0, 0, 200)))

    slices = aligned_slices(results, follow_up)

    assert (slices.panels[1].frames[-1] == OUTSIDE_RGB).all()
    assert not (slices.panels[1].frames[0] == OUTSIDE_RGB).all(-1).any()


def test_a_failed_alignment_shows_nothing(case):
    results, follow_up = two_visits(case, registration_of(Verdict.FAILED))

    assert len(aligned_slices(results, follow_up).panels[1].frames) == 0


def test_three_central_slices_are_different_and_within(case):
    slices = aligned_slices(case, case.following.follow_up)

    assert len(set(slices.central)) == 3
    assert slices.start in slices.central
    assert all(0 <= n < len(slices.heights_mm) for n in slices.central)


def test_pixels_are_square_and_lie_on_the_slice():
    """A picture of 60 × 120 mm: the longer side has 300 pixels of 0.4 mm.

    The image begins half a voxel before the middle of its first one (10 - 1.5, 20 - 1) mm.
    """
    grid = Grid(shape=(5, 30, 40), spacing_mm=(4.0, 2.0, 3.0), origin_mm=(10.0, 20.0, 30.0))
    places = pixel_places(View(grid, Plane.AXIAL), 2)

    assert places.shape == (150, 300, 3)
    np.testing.assert_allclose(places[0, 0], [8.7, 19.2, 38])
    np.testing.assert_allclose(places[0, 1] - places[0, 0], [0.4, 0, 0], atol=1e-9)
    np.testing.assert_allclose(places[1, 0] - places[0, 0], [0, 0.4, 0], atol=1e-9)


def test_the_slice_of_the_largest_lesion_is_shown_first(case):
    slices = aligned_slices(case, case.following.follow_up)
    ct = case.examinations.visits[0].ct
    height = case.findings.visits[0].lesions[0].structure.centroid_mm[2]

    assert slices.heights_mm[slices.start] == pytest.approx(
        height, abs=ct.volume.grid.spacing_mm[native_view(ct).normal]
    )

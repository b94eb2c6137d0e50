"""Made patients from images to response: eight of them, three visits each, the truth known."""

import math

import pytest

from aegle.imaging.rigid_ct import RigidOptions
from aegle.phantoms.build import MODEL
from aegle.phantoms.thorax import ThoraxOptions, make_visit
from aegle.phantoms.treated import SMALLEST_MM, draw_treated
from aegle.workflow.made_courses import followed_course
from aegle.workflow.options import CaseOptions

SEEDS = range(8)
FEWER_SAMPLES = CaseOptions(registration=RigidOptions(sampling=0.1))
"""Only to save time; benchmarks/ follows 50 patients with what users get."""


@pytest.fixture(scope="module")
def followed():
    """Both later visits of every patient: images of 60 x 128 x 128 voxels, given label maps."""
    return [row for seed in SEEDS for row in followed_course(seed, options=FEWER_SAMPLES)]


def test_every_patient_is_followed(followed):
    assert [(row.seed, row.visit) for row in followed] == [(s, v) for s in SEEDS for v in (1, 2)]


def test_the_category_is_right_wherever_the_true_sums_are_clear_of_the_limits(followed):
    """By max(3 mm, 5 %)."""
    clear = [row for row in followed if row.is_clear]

    assert len(clear) >= 12
    assert {row.expected for row in clear} >= {"CR", "PR", "SD", "PD"}
    assert [row for row in clear if row.found != row.expected] == []


def test_what_is_nearer_to_a_limit_is_reported_as_uncertain(followed):
    near = [row for row in followed if not row.is_clear]

    assert near
    assert [row for row in near if not row.is_called_uncertain] == []


def test_sums_are_measured_within_8_percent_or_3_mm(followed):
    """Voxels are 5 x 3 x 3 mm; whole sums of one to six diameters."""
    for row in followed:
        if math.isfinite(row.sum_mm):
            assert row.sum_mm == pytest.approx(row.true_sum_mm, rel=0.08, abs=3.0)


def test_lesions_of_treated_patients_vanish_appear_and_never_come_back():
    courses = [course for seed in range(12) for course in draw_treated(seed, MODEL)]
    seen = [[size is not None for size in course.diameters_mm] for course in courses]

    assert [True, False, False] in seen
    assert [False, True, True] in seen or [False, False, True] in seen
    assert [True, False, True] not in seen
    sizes = [max(size) for course in courses for size in course.diameters_mm if size]
    assert min(sizes) >= SMALLEST_MM
    assert max(sizes) <= 45.0 + 1e-9


def test_a_treated_patient_shows_the_lesions_that_are_there():
    options = ThoraxOptions(seed=3, shape=(30, 64, 64), varied=True, treated=True)

    made = [make_visit(visit, options=options) for visit in range(3)]

    assert len(made[0].lesions) > 0
    assert made[1].lesions == made[2].lesions == ()

"""Draws made chest patients under treatment: lesions that shrink, stay, grow, vanish and appear.

All lesions of a patient change by a common factor from visit to visit, each a little differently,
so that the sums of diameters fall everywhere around the limits of response criteria. A lesion is
never larger than there is room for, so none grows into another.
"""

from dataclasses import replace

import numpy as np

from aegle.domain.finding import LesionKind
from aegle.phantoms.build import Build, Triple
from aegle.phantoms.lesions import LesionCourse
from aegle.phantoms.variation import draw_courses

LARGEST_MM = 45.0
"""Longest axis of a lesion when it is largest."""
SMALLEST_MM = 6.0
"""Longest axis below which a lesion is gone: slices of 5 mm hardly show less."""
_FIRST_LOG, _SECOND_LOG = (-0.9, 0.45), (-0.5, 0.5)
"""Range of the logarithm of the common factor from each visit to the next."""
_OWN_LOG = 0.08
_ALL_GONE, _ONE_GONE, _ONE_NEW = 0.12, 0.2, 0.25
"""Probabilities that all lesions in the lungs vanish, that one does, and that one is new."""
_TREATED = 24
"""Stream of random numbers of one seed."""


def draw_treated(seed: int, build: Build) -> tuple[LesionCourse, ...]:
    """Return the lesions of the patient of a seed, at three visits.

    The lesions and their places are those of :func:`variation.draw_courses`; how they change is
    drawn anew.
    """
    rng = np.random.default_rng([seed, _TREATED])
    drawn = draw_courses(seed, build)
    common = np.cumsum([0.0, rng.uniform(*_FIRST_LOG), rng.uniform(*_SECOND_LOG)])
    in_lungs = [c.name for c in drawn if c.kind is not LesionKind.LYMPH_NODE]
    gone_from = dict.fromkeys(in_lungs, 1) if rng.random() < _ALL_GONE else {}
    if not gone_from and rng.random() < _ONE_GONE:
        gone_from[str(rng.choice(in_lungs))] = int(rng.integers(1, 3))
    new_from = {}
    if len(in_lungs) > 1 and rng.random() < _ONE_NEW:
        # The last one drawn is never the tumour.
        new_from[in_lungs[-1]] = int(rng.integers(1, 3))
        gone_from.pop(in_lungs[-1], None)
    courses = []
    for course in drawn:
        own = common + np.concatenate([[0.0], rng.normal(0, _OWN_LOG, 2)])
        begin, end = new_from.get(course.name, 0), gone_from.get(course.name, 3)
        courses.append(_changed(course, np.exp(own - own[begin:].max()), begin, end))
    return tuple(c for c in courses if any(c.diameters_mm))


def _changed(course: LesionCourse, factors: np.ndarray, begin: int, end: int) -> LesionCourse:
    first = course.diameters_mm[0]
    assert first is not None
    largest = np.asarray(first) * min(1.0, LARGEST_MM / max(first))
    sizes: list[Triple | None] = []
    for visit, factor in enumerate(factors):
        x, y, z = (largest * factor).tolist()
        is_seen = begin <= visit < end and max(x, y, z) >= SMALLEST_MM
        # What has vanished does not come back.
        is_seen = is_seen and not (visit > begin and sizes[-1] is None)
        sizes.append((x, y, z) if is_seen else None)
    return replace(course, diameters_mm=tuple(sizes))

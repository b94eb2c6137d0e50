"""Following lesions: 300 made courses with a known truth, and what measuring costs."""

import time
from collections.abc import Iterator

import numpy as np

from benchmarks.line import Line, best

COURSES = 300
RESIDUAL_MM = 8.0


def matching() -> Iterator[Line]:
    """Match 40 lesions through 300 courses, 8 mm (root mean square) beside their places."""
    from aegle.domain.registration import Registration, Verdict
    from aegle.domain.text import Text
    from aegle.phantoms.lesion_course import CourseKind
    from aegle.response.followed import pooled, tally

    aligned = Registration(
        matrix=(
            (1.0, 0.0, 0.0, 0.0),
            (0.0, 1.0, 0.0, 0.0),
            (0.0, 0.0, 1.0, 0.0),
            (0.0, 0.0, 0.0, 1.0),
        ),
        correlation_before=1.0,
        correlation_after=1.0,
        verdict=Verdict.GOOD,
        reason=Text("made"),
    )
    start = time.process_time()
    found = pooled(
        [tally(seed, CourseKind(residual_mm=RESIDUAL_MM), aligned) for seed in range(COURSES)]
    )
    seconds = (time.process_time() - start) / COURSES
    nearest = nearest_f1(CourseKind(residual_mm=RESIDUAL_MM))
    what = f"40 lesions at {RESIDUAL_MM:.0f} mm, {COURSES} courses"
    peer = "Hungarian by distance within 10 mm"
    yield _share(f"F1 of links, {what}", found.f1, peer, nearest)
    yield _share("links that are decided and right", found.decided_precision, "wanted", 0.98)
    yield _share("new lesions called new", found.new_recall, "wanted", 0.95)
    yield _share("vanished lesions without an heir", found.gone_right, "wanted", 0.95)
    yield _share("lesions in parts with exactly these parts", found.split_right, "wanted", 0.95)
    yield _share("lesions grown together, best guess", found.merged_right, "wanted", 0.95)
    changed = found.gone + found.split + found.merged
    yield _least("of these three, wrong and not asked about", found.misjudged / changed, 0.05)
    yield _least("lesions that are asked about", found.asked, 0.1)
    yield Line(what="matching one visit", ours=seconds, unit="CPU-s", peer="allowed", theirs=1.0)


def nearest_f1(kind: object) -> float:
    """Return the F1 of the plain assignment that many programs use, on the same courses."""
    from scipy.optimize import linear_sum_assignment

    from aegle.phantoms.lesion_course import CourseKind, lesion_course

    assert isinstance(kind, CourseKind)
    right = linked = true = 0
    for seed in range(COURSES):
        course = lesion_course(seed, kind)
        before, after = (
            np.array([o.structure.centroid_mm for o in visit.lesions])
            for visit in (course.baseline, course.later)
        )
        apart_mm = np.linalg.norm(before[:, None] - after[None], axis=-1)
        rows, columns = linear_sum_assignment(np.where(apart_mm <= 10, apart_mm, 1e6))
        links = {
            (course.baseline.lesions[r].id, course.later.lesions[c].id)
            for r, c in zip(rows, columns, strict=True)
            if apart_mm[r, c] <= 10
        }
        right += len(links & course.links)
        linked += len(links)
        true += len(course.links)
    return 2 * right / (linked + true)


def diameters() -> Iterator[Line]:
    """Measure the diameters of a lesion of 240 by 180 pixels on 60 slices of 512 by 512."""
    import SimpleITK as sitk

    from aegle.domain.grid import Grid
    from aegle.domain.structure import Structure
    from aegle.imaging.measure import diameters as measured

    z, y, x = np.mgrid[:60, :512, :512]
    mask = ((z - 30) / 28) ** 2 + ((y - 250) / 120) ** 2 + ((x - 250) / 90) ** 2 <= 1
    structure = Structure.of("lesion", mask, Grid(shape=mask.shape, spacing_mm=(1.0, 1.0, 1.0)))
    ours = best(lambda: measured(structure), clock=time.process_time)
    image = sitk.GetImageFromArray(mask[30:31].astype(np.uint8))
    feret = sitk.LabelShapeStatisticsImageFilter()
    feret.ComputeFeretDiameterOn()
    theirs = best(lambda: feret.Execute(image), clock=time.process_time, repetitions=1)
    yield Line(
        what="longest diameter and perpendicular, 60 slices of 512x512",
        ours=ours,
        unit="CPU-s",
        peer="SimpleITK Feret diameter, one slice",
        theirs=theirs,
    )
    yield Line(what="the same", ours=ours, unit="CPU-s", peer="allowed", theirs=0.3)


def _share(what: str, ours: float, peer: str, theirs: float) -> Line:
    return Line(what=what, ours=ours, unit="", peer=peer, theirs=theirs, higher_is_better=True)


def _least(what: str, ours: float, allowed: float) -> Line:
    return Line(what=what, ours=ours, unit="", peer="allowed", theirs=allowed)

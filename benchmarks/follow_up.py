"""Following lesions: 300 made courses with a known truth, and what measuring costs."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.line import Line, best

COURSES = 300
RESIDUAL_MM = 8.0
PATIENTS = 50
KEPT = Path(__file__).with_name(".work") / "response"
"""Patients that were followed already; a run that was stopped goes on where it was."""


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


def response() -> Iterator[Line]:
    """Follow 50 made patients over three visits, 60 slices of 128 by 128, from images on."""
    followed = [_followed(seed) for seed in range(PATIENTS)]
    rows = [row for one in followed for row in one["visits"]]
    clear = [row for row in rows if row["is_clear"]]
    near = [row for row in rows if not row["is_clear"]]
    what = f"RECIST category right, {len(clear)} visits with true sums >= max(3 mm, 5 %) away"
    yield _share(what, _part(clear, "is_right"), "wanted", 1.0)
    yield _share(
        f"called uncertain, {len(near)} nearer visits", _part(near, "is_uncertain"), "wanted", 1.0
    )
    yield _share("category right at the nearer ones", _part(near, "is_right"), "guessing", 0.5)
    yield _least("called uncertain although clear", _part(clear, "is_uncertain"), 0.5)
    off = [abs(row["sum_mm"] - row["true_sum_mm"]) for row in rows if row["true_sum_mm"] > 0]
    yield Line(
        what="sum of diameters, median error",
        ours=float(np.median(off)),
        unit="mm",
        peer="voxel",
        theirs=3.0,
    )
    seconds = float(np.median([one["seconds"] for one in followed]))
    yield Line(
        what="making and following one patient",
        ours=seconds,
        unit="CPU-s",
        peer="allowed",
        theirs=15.0,
    )


def _part(rows: list[dict[str, Any]], name: str) -> float:
    return float(np.mean([row[name] for row in rows]))


def _followed(seed: int) -> dict[str, Any]:
    """Follow one patient, or take what an earlier run found with the same source."""
    from aegle.workflow.made_courses import followed_course
    from aegle.workflow.pipeline import code_digest

    file = KEPT / f"{code_digest()[:12]}-{seed}.json"
    if file.exists():
        return dict(json.loads(file.read_text()))
    start = time.process_time()
    visits = followed_course(seed)
    found: dict[str, Any] = {
        "seconds": time.process_time() - start,
        "visits": [
            {
                "is_right": row.found == row.expected,
                "is_clear": row.is_clear,
                "is_uncertain": row.is_called_uncertain,
                "sum_mm": row.sum_mm,
                "true_sum_mm": row.true_sum_mm,
            }
            for row in visits
        ],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(found))
    return found


def _share(what: str, ours: float, peer: str, theirs: float) -> Line:
    return Line(what=what, ours=ours, unit="", peer=peer, theirs=theirs, higher_is_better=True)


def _least(what: str, ours: float, allowed: float) -> Line:
    return Line(what=what, ours=ours, unit="", peer="allowed", theirs=allowed)

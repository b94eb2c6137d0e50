"""Whether an alignment can be relied on.

Judged by how alike self-similarity is where both images show the patient (concordance), by how
much of the patient both show, and by the turn. Images of two contrasts are never wholly alike, so
a motion is judged by how far the agreement lies above that of the same images displaced, and by
whether it holds at a finer scale: two patients share their shape, not its details. For a
deformation it counts how far the coarse answers of both directions were apart: two patients can be
bent into each other, but not the same way from both sides.
"""

from dataclasses import dataclass
from itertools import product
from typing import Protocol

import numpy as np

from aegle.domain.grid import Points
from aegle.domain.registration import RegistrationQuality, Verdict
from aegle.domain.text import Text
from aegle.imaging.motion_search import Likeness, likeness
from aegle.imaging.working_image import WorkingImage

FAILED = Verdict.FAILED
LEAST_ABOVE_CHANCE = 0.4
"""Made patients reach 0.85 with themselves, 0.42 and more in another contrast, 0.31 with another
patient; T1 and FLAIR of one brain 0.50, of two brains 0.37."""
GOOD_ABOVE_CHANCE = 0.65
LEAST_HELD = 0.88
"""Share of the coarse scale's agreement above chance that must hold at the fine scale, below
``GOOD_ABOVE_CHANCE``. Brains of two patients reach 0.81, T1 and FLAIR of one 1.5."""
DISPLACED_MM = 24.0
"""How far images are displaced for what they agree on by chance; beyond the reach of a block."""
LEAST_BENT_AGREEMENT = 0.5
GOOD_BENT_AGREEMENT = 0.65
"""After a deformation, at its own spacing. Pairs of one patient reach 0.73 and more."""
SMALL_TURN_DEGREE = 10.0
LEAST_OVERLAP = 0.2
GOOD_OVERLAP = 0.5
MOST_DISAGREEMENT_MM = 8.0
GOOD_DISAGREEMENT_MM = 4.0


class Limits(Protocol):
    """The option that a judgement needs."""

    @property
    def largest_turn_degree(self) -> float:
        """Turn about each axis that was searched [degree]."""


def has_failed(verdict: Verdict) -> bool:
    """Return whether nothing may be carried through the alignment."""
    return verdict is Verdict.FAILED


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What speaks for a motion at one scale."""

    likeness: Likeness
    chance: float
    """Mean agreement of the same images, displaced."""

    @property
    def above_chance(self) -> float:
        """Agreement above chance, of what is possible: 1 wholly alike, 0 no more than displaced."""
        return (self.likeness.agreement - self.chance) / max(1 - self.chance, 1e-6)


def evidence(fixed: WorkingImage, moving: WorkingImage, matrix: Points) -> Evidence:
    """Compare two images through a motion, and displaced along each of their axes both ways."""
    found = []
    for axis, way in product(range(fixed.is_flat, 3), (-1.0, 1.0)):
        displaced = np.eye(4)
        displaced[:3, 3] = way * DISPLACED_MM * np.asarray(fixed.grid.axes)[axis]
        found.append(likeness(fixed, moving, matrix @ displaced).agreement)
    return Evidence(likeness=likeness(fixed, moving, matrix), chance=float(np.mean(found)))


def of_motion(
    before: Likeness, fine: Evidence, coarse: Evidence, matrix: Points, limits: Limits
) -> tuple[Verdict, Text]:
    """Judge a rigid or affine motion that is the whole alignment.

    Args:
        before: At the coordinates, at the fine scale.
        fine: After the motion.
        coarse: After the motion.
        matrix: The motion.
        limits: The turn that was searched.
    """
    turn = float(np.degrees(np.arccos(np.clip((np.trace(matrix[:3, :3]) - 1) / 2, -1, 1))))
    facts = {"after": fine.likeness.agreement, "chance": fine.chance}
    is_absent = fine.likeness.overlap < LEAST_OVERLAP
    if is_absent or fine.above_chance >= GOOD_ABOVE_CHANCE:
        return _judged(before, fine.likeness, turn, limits, (0.0, 0.0))
    if fine.above_chance < LEAST_ABOVE_CHANCE:
        return Verdict.FAILED, Text(
            "The images stay unlike: agreement {after:.2f}, displaced {chance:.2f}.", facts
        )
    held = fine.above_chance / max(coarse.above_chance, 1e-6)
    if held < LEAST_HELD:
        facts["held_percent"] = 100 * held
        return Verdict.FAILED, Text(
            "The images agree in their shape, but only {held_percent:.0f} % of that in details.",
            facts,
        )
    return Verdict.DOUBTFUL, Text(
        "Agreement {after:.2f}, displaced {chance:.2f}, leaves doubt.", facts
    )


def is_start(after: Likeness) -> bool:
    """Return whether a deformation may start from here: it mends unlikeness, not absence."""
    return after.overlap >= LEAST_OVERLAP


def _judged(
    before: Likeness, after: Likeness, turn: float, limits: Limits, wanted: tuple[float, float]
) -> tuple[Verdict, Text]:
    least, good = wanted
    facts = {
        "before": before.agreement,
        "after": after.agreement,
        "overlap_percent": 100 * after.overlap,
        "rotation_degree": turn,
    }
    if after.overlap < LEAST_OVERLAP:
        return Verdict.FAILED, Text(
            "The images share only {overlap_percent:.0f} % of the body.", facts
        )
    if after.agreement < least:
        return Verdict.FAILED, Text("The images stay unlike: agreement {after:.2f}.", facts)
    if after.agreement < good:
        return Verdict.DOUBTFUL, Text(
            "Agreement {after:.2f} (was {before:.2f}) leaves doubt.", facts
        )
    if after.overlap < GOOD_OVERLAP:
        return Verdict.DOUBTFUL, Text(
            "Agreement {after:.2f}, but only {overlap_percent:.0f} % of the body is shared.", facts
        )
    if turn > 2 * max(SMALL_TURN_DEGREE, limits.largest_turn_degree):
        return Verdict.DOUBTFUL, Text(
            "Agreement {after:.2f}, but turned by {rotation_degree:.0f}°.", facts
        )
    return Verdict.GOOD, Text("Agreement {after:.2f} (was {before:.2f}).", facts)


def of_deformation(
    before: Likeness, quality: RegistrationQuality, limits: Limits
) -> tuple[Verdict, Text]:
    """Judge a deformation by its quality; its motion has been judged."""
    after = Likeness(agreement=quality.agreement, overlap=quality.overlap)
    wanted = (LEAST_BENT_AGREEMENT, GOOD_BENT_AGREEMENT)
    verdict, reason = _judged(before, after, 0.0, limits, wanted)
    if verdict is Verdict.FAILED:
        return verdict, reason
    facts = {
        "after": after.agreement,
        "apart_mm": quality.disagreement_mm,
        "folded_percent": quality.folded_percent,
    }
    if quality.disagreement_mm > MOST_DISAGREEMENT_MM:
        return Verdict.FAILED, Text(
            "Forward and backward answers lie {apart_mm:.1f} mm apart.", facts
        )
    if quality.disagreement_mm > GOOD_DISAGREEMENT_MM:
        return Verdict.DOUBTFUL, Text(
            "Agreement {after:.2f}, but forward and backward answers lie {apart_mm:.1f} mm apart.",
            facts,
        )
    if quality.folded_percent > 0:
        return Verdict.DOUBTFUL, Text(
            "Agreement {after:.2f}, but {folded_percent:.3f} % of the field folds.", facts
        )
    return verdict, reason

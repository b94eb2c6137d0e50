"""Whether an alignment can be relied on.

Judged by how alike self-similarity is where both images show the patient (concordance), by how
much of the patient both show, by the turn, and for a deformation by how far the coarse answers
of both directions were apart: two patients can be bent into each other, but not the same way
from both sides.
"""

from typing import Protocol

import numpy as np

from aegle.domain.grid import Points
from aegle.domain.registration import RegistrationQuality, Verdict
from aegle.domain.text import Text
from aegle.imaging.motion_search import Likeness

FAILED = Verdict.FAILED
CT_AGREEMENTS = (0.8, 0.85)
"""Least, and from which good, after a motion between CTs, at 8 mm. Made patients reach 0.88
with themselves, 0.64 and 0.75 with another."""
OTHER_AGREEMENTS = (0.55, 0.72)
"""Where contrasts may differ: a right pair of two made kinds reaches 0.74."""
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


def of_motion(
    before: Likeness, after: Likeness, matrix: Points, limits: Limits, *, is_ct: bool
) -> tuple[Verdict, Text]:
    """Judge a rigid or affine motion that is the whole alignment."""
    turn = float(np.degrees(np.arccos(np.clip((np.trace(matrix[:3, :3]) - 1) / 2, -1, 1))))
    wanted = CT_AGREEMENTS if is_ct else OTHER_AGREEMENTS
    return _judged(before, after, turn, limits, wanted)


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

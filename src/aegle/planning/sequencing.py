"""Step-and-shoot leaf sequencing: from a fluence to apertures that a multileaf collimator forms.

Each pair of leaves exposes one row of beamlets, so a row's aperture is an interval. A fluence of
whole levels is taken apart greedily: every aperture gets the most monitor units with which what
remains still needs that much less beam-on time. The total then is the least possible, the largest
sum of rises along a row, and the number of apertures is close to the least known.

Methods:
    Engel K. Discrete Appl Math 2005;152:35-51, doi:10.1016/j.dam.2004.10.008 (this one).
    Xia P, Verhey LJ. Med Phys 1998;25:1424-34, doi:10.1118/1.598315, and Siochi RAC. Int J Radiat
    Oncol Biol Phys 1999;43:671-80, doi:10.1016/S0360-3016(98)00430-1 need more apertures or more
    monitor units.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass as validated

from aegle.domain.errors import GeometryError, InputError
from aegle.domain.plan import Aperture, Beam
from aegle.options import option

Levels = NDArray[np.int64]
"""Whole levels of fluence, shape (leaf pair, column)."""

_ON_LATTICE = 1e-3
"""Largest distance from the lattice, in beamlets."""


@validated(frozen=True, kw_only=True)
class SequencingOptions:
    """How fluence is cut into levels, and what the collimator can do."""

    levels: Annotated[
        int, option("Levels that the largest fluence of a beam is cut into", ge=1, le=100)
    ] = 15
    smallest_mu: Annotated[
        float, option("Apertures of fewer monitor units are left out", unit="MU", ge=0)
    ] = 0.0
    interdigitation: Annotated[
        bool, option("Whether a leaf may pass the opposite leaf of the neighbouring pair")
    ] = True
    leaf_span_mm: Annotated[
        float,
        option(
            "Largest distance of the tips of one bank's leaves", unit="mm", gt=0, source="usual"
        ),
    ] = 150.0


@dataclass(frozen=True, eq=False)
class Lattice:
    """The rows and columns that a beam's beamlets lie on."""

    rows: NDArray[np.int64]
    """Of each beamlet, from the least y."""
    columns: NDArray[np.int64]
    """Of each beamlet, from the least x."""
    first_mm: tuple[float, float]
    """Beam x and y of column and row 0 [mm]."""
    shape: tuple[int, int]

    @classmethod
    def of(cls, beam: Beam) -> "Lattice":
        """Return the lattice of a beam.

        Raises:
            GeometryError: Beamlets do not lie on one.
        """
        low = beam.positions_mm.min(axis=0)
        places = (beam.positions_mm - low) / beam.beamlet_mm
        whole = np.rint(places).astype(np.int64)
        if np.abs(places - whole).max() > _ON_LATTICE:
            raise GeometryError(
                f"Beamlets at gantry {beam.gantry_deg:g}° do not lie on a lattice of "
                f"{beam.beamlet_mm:g} mm; leaves of that width cannot form their fluence."
            )
        columns, rows = whole.T
        x, y = low.tolist()
        return cls(rows, columns, (x, y), (int(rows.max()) + 1, int(columns.max()) + 1))

    def image(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return weights of beamlets as an image, zero elsewhere."""
        image = np.zeros(self.shape)
        image[self.rows, self.columns] = weights
        return image


def sequence(beam: Beam, *, options: SequencingOptions) -> tuple[Aperture, ...]:
    """Return apertures whose sum is near a beam's fluence.

    Every pair of leaves is as wide as a beamlet, moves along beam x and stops at the edges of
    beamlets.

    Args:
        beam: With optimised weights [MU].
        options: Levels and the collimator's limits.

    Returns:
        Apertures in the order in which they are found, the largest parts first; none for a beam
        without fluence.

    Raises:
        GeometryError: Beamlets lie off a lattice.
        InputError: The field is wider than leaves can span.
    """
    peak_mu = float(beam.weights.max(initial=0.0))
    if peak_mu <= 0:
        return ()
    lattice = Lattice.of(beam)
    width_mm = lattice.shape[1] * beam.beamlet_mm
    if width_mm > options.leaf_span_mm:
        raise InputError(
            f"The field at gantry {beam.gantry_deg:g}° is {width_mm:g} mm wide, leaves span "
            f"{options.leaf_span_mm:g} mm; turn the collimator or split the field."
        )
    unit_mu = peak_mu / options.levels
    levels = np.rint(lattice.image(beam.weights) / unit_mu).astype(np.int64)
    parts = decomposed(levels, interdigitation=options.interdigitation)
    return tuple(
        _aperture(intervals, count * unit_mu, lattice, beam)
        for count, intervals in parts
        if count * unit_mu >= options.smallest_mu
    )


def opened_by(beam: Beam, apertures: Sequence[Aperture]) -> NDArray[np.float64]:
    """Return which beamlets each aperture opens, 1 or 0, shape (beamlet, aperture)."""
    opening = np.zeros((len(beam.weights), len(apertures)))
    x, y = beam.positions_mm.T
    for number, one in enumerate(apertures):
        pair = np.searchsorted(one.borders_mm, y, side="right") - 1
        is_pair = (pair >= 0) & (pair < len(one.left_mm))
        pair = pair.clip(0, len(one.left_mm) - 1)
        opening[:, number] = is_pair & (x > one.left_mm[pair]) & (x < one.right_mm[pair])
    return opening


def delivered(beam: Beam, apertures: Sequence[Aperture]) -> NDArray[np.float64]:
    """Return the fluence of a beam's beamlets that apertures give together [MU]."""
    units = np.array([one.monitor_units for one in apertures])
    return np.asarray(opened_by(beam, apertures) @ units)


@dataclass(frozen=True)
class Collimator:
    """A multileaf collimator that moves between apertures while the beam is off."""

    options: SequencingOptions

    def apertures(self, beam: Beam) -> tuple[Aperture, ...]:
        """Return apertures whose sum is near a beam's fluence; see :func:`sequence`."""
        return sequence(beam, options=self.options)

    def given(self, beam: Beam, apertures: Sequence[Aperture]) -> Beam:
        """Return the beam that apertures give, without those of too few monitor units."""
        least_mu = self.options.smallest_mu
        kept = tuple(a for a in apertures if a.monitor_units > 0 and a.monitor_units >= least_mu)
        return replace(beam, weights=delivered(beam, kept), apertures=kept)


def beam_on_time(levels: Levels) -> int:
    """Return the least sum of monitor units that gives some levels, in levels.

    The largest sum of rises along a row (Engel 2005, theorem 1; interdigitation allowed).
    """
    rises = np.diff(levels, axis=1, prepend=0).clip(min=0)
    return int(rises.sum(axis=1).max(initial=0))


def decomposed(
    levels: Levels, *, interdigitation: bool = True
) -> list[tuple[int, NDArray[np.int64]]]:
    """Take whole levels apart into intervals.

    Args:
        levels: Not negative, shape (leaf pair, column).
        interdigitation: Whether leaves may pass the opposite leaf of a neighbouring pair. If not,
            more monitor units may be needed.

    Returns:
        How many levels, and for each pair the first open column and the one after the last,
        shape (pair, 2); closed where both are equal.
    """
    left = levels.astype(np.int64).copy()
    parts = []
    while left.any():
        count, intervals = _largest_part(left)
        if not interdigitation:
            intervals = _without_overlap(left, intervals)
        _subtract(left, intervals, count)
        parts.append((count, intervals))
    return parts


def _subtract(levels: Levels, intervals: NDArray[np.int64], count: int) -> None:
    columns = np.arange(levels.shape[1])
    levels -= count * ((columns >= intervals[:, :1]) & (columns < intervals[:, 1:]))


def _largest_part(levels: Levels) -> tuple[int, NDArray[np.int64]]:
    """Return the most levels that an aperture can take, and its intervals.

    With ``u`` levels taken, each row's sum of rises must not exceed the largest one less ``u``.
    """
    rises = np.diff(levels, axis=1, prepend=0, append=0)
    sums = rises.clip(min=0).sum(axis=1)
    slack = sums.max() - sums
    lowest = _least_within(levels)
    for count in range(int(levels.max()), 0, -1):
        change = _changes(rises, count)
        allowed = (lowest >= count) & (change <= (slack - count)[:, None, None])
        fits = allowed.any(axis=(1, 2)) | (slack >= count)
        if fits.all():
            return count, _chosen(allowed, rises, count, slack)
    raise AssertionError("One level can always be taken.")


def _least_within(levels: Levels) -> Levels:
    """Return the least level from a column to before another, (pair, first, stop); 0 if empty."""
    pairs, columns = levels.shape
    lowest = np.zeros((pairs, columns + 1, columns + 1), np.int64)
    for first in range(columns):
        lowest[:, first, first + 1 :] = np.minimum.accumulate(levels[:, first:], axis=1)
    return lowest


def _changes(rises: Levels, count: int) -> Levels:
    """Return how sums of rises change where an interval loses levels, (pair, first, stop)."""
    before = rises.clip(min=0)
    at_first = (rises - count).clip(min=0) - before
    at_stop = (rises + count).clip(min=0) - before
    return np.asarray(at_first[:, :, None] + at_stop[:, None, :])


def _chosen(
    allowed: NDArray[np.bool_], rises: Levels, count: int, slack: Levels
) -> NDArray[np.int64]:
    """Return the interval of each row that leaves the fewest steps, the longest of those.

    Steps are places where the levels of a row change; few of them make few apertures.
    """
    ends = (rises == count)[:, :, None].astype(np.int64) + (rises == -count)[:, None, :]
    starts = (rises == 0)[:, :, None].astype(np.int64) + (rises == 0)[:, None, :]
    columns = np.arange(rises.shape[1])
    length = (columns[None, :] - columns[:, None]) / (2 * rises.shape[1])
    worth = np.where(allowed, ends - starts + length, -np.inf)
    flat = worth.reshape(len(worth), -1).argmax(axis=1)
    intervals = np.stack(np.unravel_index(flat, worth.shape[1:]), axis=1)
    best = worth.reshape(len(worth), -1).max(axis=1)
    is_closed = (best < 0) & (slack >= count)
    intervals[is_closed | np.isinf(best)] = 0
    return np.asarray(_parked(intervals))


def _parked(intervals: NDArray[np.int64]) -> NDArray[np.int64]:
    """Close pairs beside the opening of the nearest pair that is open, not at the field's edge."""
    is_open = intervals[:, 0] < intervals[:, 1]
    if not is_open.any():
        return intervals
    open_rows = np.flatnonzero(is_open)
    for row in np.flatnonzero(~is_open):
        nearest = open_rows[np.abs(open_rows - row).argmin()]
        intervals[row] = intervals[nearest].sum() // 2
    return intervals


def _without_overlap(levels: Levels, intervals: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return intervals of which neighbours overlap or touch; the others are closed.

    From the row with the longest opening outwards, a row keeps its opening only as far as no leaf
    passes the opposite leaf of the row before it.
    """
    lengths = intervals[:, 1] - intervals[:, 0]
    start = int(lengths.argmax())
    result = intervals.copy()
    for step in (1, -1):
        row = start + step
        while 0 <= row < len(levels):
            first, stop = result[row - step]
            own_first, own_stop = result[row]
            if own_first > stop or own_stop < first or own_first >= own_stop:
                result[row] = np.clip((own_first + own_stop) // 2, first, stop)
            row += step
    return result


def _aperture(
    intervals: NDArray[np.int64], monitor_units: float, lattice: Lattice, beam: Beam
) -> Aperture:
    x, y = lattice.first_mm
    width_mm = beam.beamlet_mm
    tips_mm = x + width_mm * (intervals.astype(np.float64) - 0.5)
    borders_mm = y + width_mm * (np.arange(len(intervals) + 1, dtype=np.float64) - 0.5)
    return Aperture(
        monitor_units=monitor_units,
        left_mm=tips_mm[:, 0],
        right_mm=tips_mm[:, 1],
        borders_mm=borders_mm,
    )

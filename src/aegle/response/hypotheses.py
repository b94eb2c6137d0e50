"""What may have become of lesions between two visits, each with its likelihood.

A hypothesis explains some known lesions (tracks) and some lesions of the later visit: a lesion
goes on, is gone, is new, fell into parts, or several grew together. A place has a normal
density about where the alignment expects it (wider for large lesions, which shrink unevenly),
a size a log-normal one about the earlier size; parts count together, by their common centre and
their summed volume. Parts lie no farther apart than the whole was long.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from aegle.response.matching import MatchOptions

Place = NDArray[np.float64]

NEW_SIZE_MM = 10.0
NEW_SIZE_SPREAD = 0.8
"""Median diameter of new lesions and standard deviation of its logarithm: what a scanner shows
first lies between 3 and 30 mm."""
PART_SHARE_DENSITY = 1 / 1.5
"""Density of the logarithm of a part's size: even over a factor of 4.5."""
TOUCHING_MM = 5.0
"""Gap between two lesions over which growing together becomes unlikely."""
PRIOR_LINKS = 8
"""As many lesions as the assumed spreads count for when they are learned."""
_NEAREST = 6


@dataclass(frozen=True, kw_only=True, eq=False)
class Spot:
    """A lesion as the matching sees it, at its place in the baseline image."""

    name: str
    place_mm: Place
    size_mm: float
    volume_ml: float
    is_lymph_node: bool
    variance_mm2: float = 0.0
    """Of the place per axis, for lesions that first appeared at a later visit."""


@dataclass(frozen=True)
class Hypothesis:
    """One explanation for some earlier and some later lesions."""

    earlier: tuple[int, ...]
    """Indices of the known lesions it explains."""
    later: tuple[int, ...]
    """Indices of the lesions of the later visit it explains."""
    cost: float
    """Minus the logarithm of its likelihood."""
    distance_mm: float = 0.0
    size_ratio: float = 1.0
    """Diameter now to diameter before; of the cube root of volumes if there are several."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How far places and sizes of the same lesion differ between two visits."""

    residual_mm: float
    """Standard deviation of places per axis after alignment [mm]."""
    size_spread: float
    """Standard deviation of the logarithm of the diameter ratio."""
    size_drift: float = 0.0
    """Mean of the logarithm: lesions of one patient tend to respond together."""

    def learned(self, sure: Sequence[Hypothesis]) -> "Spread":
        """Return what the lesions that certainly went on tell, held back by what was assumed.

        Args:
            sure: Hypotheses of one lesion before and one after.
        """
        count = PRIOR_LINKS + len(sure)
        squares = sum(h.distance_mm**2 / 3 for h in sure)
        ratios = [math.log(h.size_ratio) for h in sure]
        drift = sum(ratios) / count
        spread = sum((r - drift) ** 2 for r in ratios) + PRIOR_LINKS * self.size_spread**2
        return Spread(
            residual_mm=math.sqrt((PRIOR_LINKS * self.residual_mm**2 + squares) / count),
            size_spread=math.sqrt(spread / count),
            size_drift=drift,
        )


def hypotheses(
    earlier: Sequence[Spot], later: Sequence[Spot], options: "MatchOptions", spread: Spread
) -> tuple[Hypothesis, ...]:
    """Return everything that may have happened, in a fixed order.

    Args:
        earlier: Known lesions, as they were last seen.
        later: Lesions of the later visit.
        options: Frequencies and the gate.
        spread: How far places and sizes differ.
    """
    model = _Model(earlier, later, options, spread)
    return tuple(model.all())


class _Model:
    """Likelihoods between two sets of lesions."""

    def __init__(
        self,
        earlier: Sequence[Spot],
        later: Sequence[Spot],
        options: "MatchOptions",
        spread: Spread,
    ) -> None:
        self.earlier, self.later = earlier, later
        self.options, self.spread = options, spread
        before = np.array([s.place_mm for s in earlier]).reshape(-1, 3)
        after = np.array([s.place_mm for s in later]).reshape(-1, 3)
        self.apart_mm = np.linalg.norm(before[:, None] - after[None], axis=-1)

    def all(self) -> Iterator[Hypothesis]:
        """Yield every hypothesis within the gate."""
        options = self.options
        for i in range(len(self.earlier)):
            yield Hypothesis((i,), (), -math.log(options.gone_probability))
        for j, lesion in enumerate(self.later):
            yield Hypothesis((), (j,), self._appears(lesion))
        for i, j in np.argwhere(self.apart_mm <= options.gate_mm):
            yield self._explained((int(i),), (int(j),), self._stays())
        yield from self._of_parts()

    def _of_parts(self) -> Iterator[Hypothesis]:
        """Yield what falls into parts and what grows together."""
        for i in range(len(self.earlier)):
            for parts in self._groups(self.apart_mm[i], self.later, self.earlier[i]):
                spread = self._parts_cost(self.earlier[i], [self.later[j] for j in parts])
                yield self._explained((i,), parts, spread)
        for j in range(len(self.later)):
            for parts in self._groups(self.apart_mm[:, j], self.earlier, self.later[j]):
                yield self._explained(
                    parts, (j,), self._union_cost([self.earlier[i] for i in parts])
                )

    def _stays(self) -> float:
        options = self.options
        return -math.log((1 - options.gone_probability) * (1 - options.split_probability))

    def _appears(self, lesion: Spot) -> float:
        density = self.options.new_lesions / (1000.0 * self.options.body_volume_ml)
        size = math.log(max(lesion.size_mm, 0.1) / NEW_SIZE_MM)
        return -math.log(density) + _normal(size, NEW_SIZE_SPREAD)

    def _groups(
        self, apart_mm: NDArray[np.float64], parts: Sequence[Spot], whole: Spot
    ) -> Iterator[tuple[int, ...]]:
        """Yield the groups of lesions that may be parts of a whole."""
        reach_mm = whole.size_mm + self.options.part_gap_mm
        near = np.flatnonzero((apart_mm <= self.options.gate_mm) & (apart_mm <= 2 * reach_mm))
        nearest = near[np.argsort(apart_mm[near], kind="stable")][:_NEAREST].tolist()
        same = [k for k in nearest if parts[k].is_lymph_node == whole.is_lymph_node]
        for count in range(2, self.options.most_parts + 1):
            for group in combinations(sorted(same), count):
                places = np.array([parts[k].place_mm for k in group])
                widest = np.linalg.norm(places[:, None] - places[None], axis=-1).max()
                if widest <= reach_mm and all(parts[k].size_mm <= reach_mm for k in group):
                    yield group

    def _parts_cost(self, whole: Spot, parts: Sequence[Spot]) -> float:
        """Return the cost of falling into parts, but for their common place and volume."""
        largest = max(parts, key=lambda part: part.volume_ml)
        deviation_mm = 0.3 * whole.size_mm + 1.0
        cost = -math.log((1 - self.options.gone_probability) * self.options.split_probability)
        for part in parts:
            if part is not largest:
                away_mm = float(np.linalg.norm(part.place_mm - largest.place_mm))
                cost += _normal_3d(away_mm, deviation_mm) - math.log(PART_SHARE_DENSITY)
        return cost

    def _union_cost(self, parts: Sequence[Spot]) -> float:
        """Return the cost of growing together: only neighbours do."""
        cost = -len(parts) * math.log(1 - self.options.gone_probability)
        cost -= (len(parts) - 1) * math.log(self.options.merge_probability)
        joined = [parts[0]]
        for part in parts[1:]:
            gap_mm = min(
                float(np.linalg.norm(part.place_mm - o.place_mm)) - (part.size_mm + o.size_mm) / 2
                for o in joined
            )
            cost += 0.5 * (max(gap_mm, 0.0) / TOUCHING_MM) ** 2
            joined.append(part)
        return cost

    def _explained(
        self, before: tuple[int, ...], after: tuple[int, ...], cost: float
    ) -> Hypothesis:
        """Add the likelihood of place and size to a hypothesis with both sides."""
        known = [self.earlier[i] for i in before]
        seen = [self.later[j] for j in after]
        distance_mm = float(np.linalg.norm(_centre(known) - _centre(seen)))
        size_mm = max(s.size_mm for s in known)
        variance = self.spread.residual_mm**2 + (self.options.residual_share * size_mm) ** 2
        variance += max(s.variance_mm2 for s in known)
        if len(known) == len(seen) == 1:
            ratio = max(seen[0].size_mm, 0.1) / max(size_mm, 0.1)
        else:
            ratio = (_volume(seen) / _volume(known)) ** (1 / 3)
        same_kind = known[0].is_lymph_node == seen[0].is_lymph_node
        other = self.options.other_kind_probability
        cost += -math.log(1 - other if same_kind else other)
        cost += _normal_3d(distance_mm, math.sqrt(variance))
        cost += _normal(math.log(ratio) - self.spread.size_drift, self.spread.size_spread)
        return Hypothesis(before, after, cost, distance_mm, ratio)


def _centre(spots: Sequence[Spot]) -> Place:
    weights = [max(s.volume_ml, 1e-6) for s in spots]
    return np.asarray(np.average([s.place_mm for s in spots], axis=0, weights=weights))


def _volume(spots: Sequence[Spot]) -> float:
    return sum(max(s.volume_ml, 1e-6) for s in spots)


def _normal(value: float, deviation: float) -> float:
    """Return minus the logarithm of a normal density."""
    return 0.5 * math.log(2 * math.pi * deviation**2) + 0.5 * (value / deviation) ** 2


def _normal_3d(distance: float, deviation: float) -> float:
    return 1.5 * math.log(2 * math.pi * deviation**2) + 0.5 * (distance / deviation) ** 2

"""The most likely story and the probability of its parts, against counting all stories."""

from math import exp

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aegle.response.explanation import explain
from aegle.response.hypotheses import Hypothesis, Spot, Spread, hypotheses
from aegle.response.matching import MatchOptions


def spot(name, x_mm, size_mm=10.0):
    place_mm = np.array([x_mm, 0.0, 0.0])
    return Spot(
        name=name, place_mm=place_mm, size_mm=size_mm, volume_ml=size_mm**3, is_lymph_node=False
    )


def stories(possible, earlier, later):
    """Yield every set of hypotheses that explains each lesion exactly once."""
    if not earlier and not later:
        yield ()
        return
    for hypothesis in possible:
        before, after = set(hypothesis.earlier), set(hypothesis.later)
        first = ("e", min(earlier)) if earlier else ("l", min(later))
        own = {("e", i) for i in before} | {("l", j) for j in after}
        if first in own and before <= earlier and after <= later:
            for rest in stories(possible, earlier - before, later - after):
                yield (hypothesis, *rest)


coordinates = st.lists(st.integers(0, 60), min_size=0, max_size=3)


@settings(max_examples=60, deadline=None)
@given(coordinates, coordinates, st.integers(5, 25))
def test_probabilities_are_shares_of_all_stories(before, after, size_mm):
    earlier = [spot(f"T{n}", x, size_mm) for n, x in enumerate(before)]
    later = [spot(f"L{n}", x, 12) for n, x in enumerate(after)]
    spread = Spread(residual_mm=5.0, size_spread=0.5)
    possible = hypotheses(earlier, later, MatchOptions(), spread)
    told = list(stories(possible, set(range(len(earlier))), set(range(len(later)))))
    weights = [exp(-sum(h.cost for h in story)) for story in told]

    story = explain(earlier, later, possible)

    best = max(weights)
    found = exp(-sum(t.hypothesis.cost for t in story))
    assert found == pytest.approx(best, rel=1e-6)
    for part in story:
        having = [w for w, s in zip(weights, told, strict=True) if part.hypothesis in s]
        # What is e^12 times less likely than chance is left out.
        assert part.probability == pytest.approx(sum(having) / sum(weights), abs=1e-4)


def test_a_dense_group_is_still_explained():
    random = np.random.default_rng(1)
    places = random.uniform(0, 45, (30, 3))
    earlier, later = (
        [
            Spot(
                name=f"{name}{n}",
                place_mm=place + random.normal(0, 3, 3),
                size_mm=8.0,
                volume_ml=0.3,
                is_lymph_node=False,
            )
            for n, place in enumerate(places)
        ]
        for name in ("T", "L")
    )
    spread = Spread(residual_mm=5.0, size_spread=0.5)

    story = explain(earlier, later, hypotheses(earlier, later, MatchOptions(), spread))

    assert sorted(i for t in story for i in t.hypothesis.earlier) == list(range(30))
    assert sorted(j for t in story for j in t.hypothesis.later) == list(range(30))
    assert all(0 <= t.probability <= 1 + 1e-9 for t in story)


def test_places_and_sizes_are_learned_from_what_is_sure():
    links = [Hypothesis((n,), (n,), 0.0, 2.0 * 3**0.5, 0.8) for n in range(1000)]

    spread = Spread(residual_mm=5.0, size_spread=0.5).learned(links)

    # 2 mm along each axis, all sizes 0.8 times what they were.
    assert spread.residual_mm == pytest.approx(2.0, abs=0.05)
    assert exp(spread.size_drift) == pytest.approx(0.8, abs=0.01)
    assert spread.size_spread < 0.1
    assert Spread(residual_mm=5.0, size_spread=0.5).learned([]).residual_mm == 5.0

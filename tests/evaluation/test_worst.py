"""The few worst of many."""

from hypothesis import given, settings
from hypothesis import strategies as st

from aegle.evaluation.worst import Worst


@settings(deadline=None)
@given(st.lists(st.integers(0, 5), max_size=30), st.integers(1, 6))
def test_it_keeps_what_sorting_all_would_give(scores, most):
    kept = Worst(most)
    for place, score in enumerate(scores):
        if kept.takes(score):
            kept.put(score, place, (score, place))

    expected = sorted((score, place) for place, score in enumerate(scores))[:most]
    assert list(kept.ordered()) == expected

"""Reviews replace one another without anything being changed."""

from datetime import datetime

import pytest

from aegle.domain.errors import OptionError
from aegle.domain.suggestion import Decision, Review, replacing, standing


def review(key, suggestion="S-1", **more):
    facts = {"decision": Decision.ACCEPTED, "by": "Dr Wu", "at": datetime(2026, 1, 5)}
    return Review(id=key, suggestion=suggestion, **(facts | more))


def test_a_later_review_names_the_one_it_replaces():
    first, other = review("R-1"), review("R-2", "S-2")
    second = replacing(review("R-3"), (first, other))
    third = replacing(review("R-4"), (first, other, second))

    assert (second.replaces, third.replaces) == ("R-1", "R-3")
    assert standing((first, other, second, third)) == {"S-1": third, "S-2": other}
    assert replacing(review("R-5", "S-3"), (first,)).replaces == ""


@pytest.mark.parametrize(
    "missing",
    [
        {"by": " "},
        {"decision": Decision.OVERRIDDEN},
        {"decision": Decision.OVERRIDDEN, "reason": "\n"},
    ],
)
def test_a_review_needs_a_name_and_an_override_a_reason(missing):
    with pytest.raises(OptionError, match=r"--by NAME|--reason TEXT"):
        review("R-1", **missing)

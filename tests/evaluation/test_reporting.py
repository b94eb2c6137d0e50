"""Reporting checklists: complete, and open where nothing answers."""

import re

from aegle.evaluation.card import LOCATED, CardFacts, _answers
from aegle.evaluation.reporting import OPEN, checklists, reporting_section

PLAIN = CardFacts(
    name="m", task="t", network="n", parameters=1, classes=("a", "b"), licence="CC BY 4.0"
)
MEASURED = {"metrics", "intervals", "groups", "counts", "sources", "subgroups", "audit", "limits"}
NOT_YET = {"agreements"}
"""Known to an evaluation, but not shown on a card of a classifier."""


def test_the_checklists_have_all_their_items():
    """CLAIM 2024 has 44 items; TRIPOD+AI 27, which with their parts are 52."""
    claim, tripod = checklists()

    assert [item.number for item in claim.items] == [str(n) for n in range(1, 45)]
    assert len({item.number for item in tripod.items}) == len(tripod.items) == 52
    whole = [int(re.match(r"\d+", item.number)[0]) for item in tripod.items]
    assert whole == sorted(whole)
    assert set(whole) == set(range(1, 28))


def test_every_item_is_filled_by_a_part_of_the_card_or_by_nobody():
    named = {item.filled_by for one in checklists() for item in one.items} - {""}

    assert named <= set(_answers(PLAIN)) | MEASURED | set(LOCATED) | NOT_YET


def test_what_nothing_answers_is_open():
    bare = reporting_section({})
    some = reporting_section(_answers(PLAIN))

    assert bare.count(f"| {OPEN} |") == 44 + 52
    assert "0 of 44 items answered" in bare
    # Title, aims and layers of CLAIM; title, objectives, outcome and output of TRIPOD+AI.
    assert "3 of 44 items answered" in some
    assert "4 of 52 items answered" in some
    assert "| 44 | Funding, and the role of funders | open |" in some

"""The order in which examinations are read."""

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegle.operations.triage import TriageOptions, WaitingExamination, order

NOON = datetime(2026, 3, 1, 12, 0)


def waiting(uid, *, minutes=0, **facts):
    """Return an examination that arrived some minutes after noon."""
    time = None if minutes is None else NOON + timedelta(minutes=minutes)
    return WaitingExamination(study_uid=uid, patient_id=f"P{uid}", time=time, **facts)


def uids(*items, now=None, **options):
    worklist = order(items, options=TriageOptions(**options), now=now)
    assert [i.position for i in worklist.items] == list(range(1, len(items) + 1))
    return "".join(i.study_uid for i in worklist.items)


@pytest.mark.parametrize(
    "urgent",
    [{"response": "PD"}, {"highest_category": "4B"}, {"highest_category": "4X"}],
)
def test_progression_and_4b_come_before_what_arrived_earlier(urgent):
    assert uids(waiting("a", highest_category="2"), waiting("b", minutes=60, **urgent)) == "ba"


def test_urgency_falls_with_the_category():
    categories = {"a": "1", "b": "4A", "c": "3", "d": "4B", "e": "REVIEW", "f": ""}
    items = [
        waiting(uid, minutes=n, highest_category=c) for n, (uid, c) in enumerate(categories.items())
    ]

    assert uids(*items) == "dbecaf"


def test_equal_urgency_goes_by_arrival():
    assert (
        uids(
            waiting("a", minutes=9, response="PD"),
            waiting("b", minutes=5, highest_category="4B"),
            waiting("c", minutes=7, highest_category="4X"),
        )
        == "bca"
    )


@pytest.mark.parametrize("response", ["CR", "PR", "SD", None])
def test_what_responds_or_is_stable_waits_its_turn(response):
    assert uids(waiting("a", minutes=5, response=response), waiting("b")) == "ba"


def test_the_worse_of_suggestion_and_response_counts():
    items = waiting("a", minutes=1, highest_category="4B", response="CR"), waiting("b")

    assert uids(*items) == "ab"


def test_unknown_arrival_comes_last_among_equals():
    assert uids(waiting("a", minutes=None), waiting("b", minutes=99)) == "ba"
    assert uids(waiting("a", minutes=None, response="PD"), waiting("b")) == "ab"


def test_zones_are_compared_as_instants():
    east = timezone(timedelta(hours=8))
    later = WaitingExamination(
        study_uid="a", patient_id="", time=datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
    )
    earlier = WaitingExamination(
        study_uid="b", patient_id="", time=datetime(2026, 3, 1, 20, 15, tzinfo=east)
    )

    assert uids(later, earlier, waiting("c", minutes=20)) == "bca"


@pytest.mark.parametrize(
    ("waited_minutes", "expected"),
    [
        pytest.param(240, "ba", id="at the limit it still waits"),
        pytest.param(241, "ab", id="beyond it competes by arrival"),
    ],
)
def test_waiting_beyond_the_limit_competes_with_the_urgent(waited_minutes, expected):
    now = NOON + timedelta(minutes=waited_minutes)

    assert uids(waiting("a"), waiting("b", minutes=100, response="PD"), now=now) == expected


def test_waiting_never_outranks_an_older_urgent_examination():
    now = NOON + timedelta(days=30)

    assert uids(waiting("b", minutes=1), waiting("a", response="PD"), now=now) == "ab"


def test_without_a_present_nobody_has_waited_too_long():
    assert uids(waiting("a"), waiting("b", minutes=9999, response="PD")) == "ba"


def test_reasons_name_category_and_size():
    items = (
        waiting("a", highest_category="4B", largest_mm=34.2),
        waiting("b", response="PD", largest_mm=21.0),
        waiting("c"),
        waiting("d", response="NE"),
    )

    reasons = {i.study_uid: str(i.reason) for i in order(items, options=TriageOptions()).items}

    assert reasons == {
        "a": "Suggested category 4B, largest lesion 34 mm.",
        "b": "Progressive disease, largest lesion 21 mm.",
        "c": "Nothing urgent; by time of arrival.",
        "d": "The response could not be judged.",
    }


examinations = st.lists(
    st.builds(
        waiting,
        st.integers(0, 999).map(str),
        minutes=st.one_of(st.none(), st.integers(0, 600)),
        highest_category=st.sampled_from(["", "1", "2", "3", "4A", "4B", "4X", "0", "REVIEW"]),
        response=st.sampled_from([None, "CR", "PR", "SD", "PD", "NE"]),
    ),
    max_size=12,
    unique_by=lambda i: i.study_uid,
)
presents = st.one_of(st.none(), st.integers(0, 900).map(lambda m: NOON + timedelta(minutes=m)))


@given(examinations, presents, st.randoms())
def test_the_same_examinations_always_come_in_the_same_order(items, now, random):
    shuffled = random.sample(items, len(items))

    one, other = (order(tuple(i), options=TriageOptions(), now=now) for i in (items, shuffled))

    assert one == other
    assert sorted(i.study_uid for i in one.items) == sorted(i.study_uid for i in items)


@given(examinations, presents)
def test_of_two_equally_urgent_the_earlier_comes_first(items, now):
    listed = order(tuple(items), options=TriageOptions(), now=now).items

    for first, second in pairwise(listed):
        assert first.urgency >= second.urgency
        if first.urgency == second.urgency and first.time and second.time:
            assert first.time <= second.time

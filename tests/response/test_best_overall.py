"""The best response, confirmed (RECIST 1.1, table 3) and over many visits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegle.domain.errors import InputError
from aegle.response.best_overall import (
    BestResponseOptions,
    TimedResponse,
    best_response,
    confirmed_pair,
)
from aegle.response.criterion import load

MONTH = BestResponseOptions(stable_days=28)


def best(*visits, options=MONTH):
    timed = [TimedResponse(day=day, category=category) for day, category in visits]
    found = best_response(timed, options=options)
    return found.category, found.day


# Table 3 of Eisenhauer 2009, every row: with and without the shortest time for SD.
@pytest.mark.parametrize(
    ("first", "second", "met", "early"),
    [
        ("CR", "CR", "CR", "CR"),
        ("CR", "PR", "SD", "PD"),
        ("CR", "SD", "SD", "PD"),
        ("CR", "PD", "SD", "PD"),
        ("CR", "NE", "SD", "NE"),
        ("PR", "CR", "PR", "PR"),
        ("PR", "PR", "PR", "PR"),
        ("PR", "SD", "SD", "SD"),
        ("PR", "PD", "SD", "PD"),
        ("PR", "NE", "SD", "NE"),
        ("NE", "NE", "NE", "NE"),
    ],
)
def test_table_3(first, second, met, early):
    pair = confirmed_pair(first, second)

    assert (pair.category, pair.if_too_early) == (met, early)


def test_complete_then_partial_response_is_left_to_judgement():
    assert confirmed_pair("CR", "PR").alternatives == ("SD", "PD", "PR")


@pytest.mark.parametrize(("gap", "expected"), [(27, "SD"), (28, "PR")])
def test_confirmation_takes_four_weeks(gap, expected):
    assert best((40, "PR"), (40 + gap, "PR"))[0] == expected


@pytest.mark.parametrize(("day", "expected"), [(27, "NE"), (28, "SD")])
def test_stable_disease_takes_its_time(day, expected):
    assert best((day, "SD")) == (expected, day)


@pytest.mark.parametrize(
    ("visits", "options", "expected"),
    [
        pytest.param([(30, "PR"), (45, "NE"), (60, "PR")], {}, ("PR", 30), id="one NE between"),
        pytest.param(
            [(30, "PR"), (40, "NE"), (50, "NE"), (60, "PR")], {}, ("SD", 30), id="two are too many"
        ),
        pytest.param(
            [(30, "PR"), (40, "NE"), (50, "NE"), (60, "PR")],
            {"most_not_evaluable": 2},
            ("PR", 30),
            id="unless allowed",
        ),
        pytest.param([(30, "PR"), (45, "SD"), (60, "PR")], {}, ("SD", 30), id="SD between"),
        pytest.param(
            [(30, "PR"), (45, "SD"), (60, "PR")],
            {"stable_between": True},
            ("PR", 30),
            id="SD between, allowed",
        ),
        pytest.param([(30, "PR"), (45, "CR"), (60, "PR")], {}, ("SD", 30), id="PR after CR"),
        pytest.param([(30, "PR"), (45, "CR"), (80, "CR")], {}, ("CR", 45), id="CR confirmed"),
        pytest.param([(30, "CR"), (60, "SD")], {}, ("SD", 30), id="CR not confirmed"),
        pytest.param([(30, "CR")], {"is_confirmed": False}, ("CR", 30), id="none is asked for"),
        pytest.param([(15, "PD"), (60, "CR"), (90, "CR")], {}, ("PD", 15), id="PD ends it"),
        pytest.param(
            [(10, "PR"), (135, "NON-CR/NON-PD")], {}, ("NON-CR/NON-PD", 135), id="other lesions"
        ),
        pytest.param([], {}, ("MISSING", None), id="no visit"),
        pytest.param([(30, "ND")], {}, ("ND", 30), id="not done"),
    ],
)
def test_over_many_visits(visits, options, expected):
    assert best(*visits, options=BestResponseOptions(stable_days=28, **options)) == expected


@given(st.lists(st.sampled_from(["CR", "PR", "SD", "NE"]), min_size=1, max_size=6))
def test_confirmation_never_improves_the_best_response(categories):
    order = ["CR", "PR", "SD", "NE"]
    visits = [(28 * n, c) for n, c in enumerate(categories, start=1)]
    confirmed, _ = best(*visits)
    loose, _ = best(*visits, options=BestResponseOptions(stable_days=28, is_confirmed=False))

    assert order.index(loose) <= order.index(confirmed)


def test_defaults_are_those_of_the_criterion():
    rules, options = load("recist-1.1"), BestResponseOptions()

    assert options.confirmation_days == rules["confirmation_days"] == 28
    assert options.stable_days == rules["stable_days"] == 42


def test_refuses_what_is_no_response():
    with pytest.raises(InputError, match=r"'PRR' is no response; known: CR, PR"):
        best((30, "PRR"))
    with pytest.raises(InputError, match="not in order of time"):
        best((30, "PR"), (20, "PR"))
    with pytest.raises(InputError, match="'iCR' is no response"):
        confirmed_pair("iCR", "PR")

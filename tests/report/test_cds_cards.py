"""Cards and feedback hold to CDS Hooks; the check accepts the standard's examples, rejects others.

Examples: CDS Hooks specification, sections "CDS Service Response" and "Feedback".
"""

import copy
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from aegle.domain.case import AllSuggestions
from aegle.domain.errors import InputError
from aegle.domain.finding import Suggestion
from aegle.domain.suggestion import Decision, Review
from aegle.domain.text import Text
from aegle.report import cds_cards
from aegle.report.cds_check import card_problems, feedback_problems

CODING = {"system": "http://example.org/CodeSystem/reasons", "code": "12354"}
ACTION = {
    "type": "create",
    "description": "Create a prescription for Acetaminophen 250 MG",
    "resource": {"resourceType": "MedicationRequest", "id": "medrx001"},
}
RESPONSE = {
    "cards": [
        {
            "uuid": "4e0a3a1e-3283-4575-ab82-028d55fe2719",
            "summary": "Example Card",
            "indicator": "info",
            "detail": "This is an example card.",
            "source": {
                "label": "Static CDS Service Example",
                "url": "https://example.com",
                "icon": "https://example.com/img/icon-100px.png",
                "topic": {**CODING, "display": "Mosquito born virus"},
            },
            "links": [
                {"label": "Google", "url": "https://google.com", "type": "absolute"},
                {
                    "label": "SMART Example App",
                    "url": "https://smart.example.com/launch",
                    "type": "smart",
                    "appContext": '{"session":3456356,"settings":{"module":4235}}',
                },
            ],
            "suggestions": [
                {"label": "one", "uuid": "a", "isRecommended": True, "actions": [ACTION]},
                {"label": "two", "isRecommended": False},
            ],
            "selectionBehavior": "at-most-one",
        },
        {
            "summary": "Another card",
            "indicator": "warning",
            "source": {"label": "Static CDS Service Example"},
            "overrideReasons": [{**CODING, "display": "Contraindicated"}],
        },
    ],
    "systemActions": [
        {"type": "update", "resource": {"resourceType": "ServiceRequest", "id": "example-MRI"}},
        {
            "type": "delete",
            "description": "Remove the inappropriate order",
            "resourceId": "ServiceRequest/procedure-request-1",
        },
    ],
}
FEEDBACK = {
    "feedback": [
        {
            "card": "4e0a3a1e-3283-4575-ab82-028d55fe2719",
            "outcome": "accepted",
            "acceptedSuggestions": [{"id": "e56e1945-20b3-4393-8503-a1a20fd73152"}],
            "outcomeTimestamp": "2020-12-11T00:00:00Z",
        },
        {
            "card": "f6b95768-b1c8-40dc-8385-bf3504b82ffb",
            "outcome": "overridden",
            "outcomeTimestamp": "2020-12-11T00:00:00Z",
        },
        {
            "card": "9368d37b-283f-44a0-93ea-547cebab93ed",
            "outcome": "overridden",
            "overrideReason": {"reason": CODING, "userComment": "A comment."},
            "outcomeTimestamp": "2020-12-11T00:00:00Z",
        },
    ]
}
GONE = object()


def changed(tree, path, value):
    """Return a deep copy with the value at a path set, or taken away."""
    made = copy.deepcopy(tree)
    *steps, last = path
    node = made
    for step in steps:
        node = node[step]
    if value is GONE:
        del node[last]
    else:
        node[last] = value
    return made


def test_the_examples_of_the_standard_are_sound():
    assert card_problems(RESPONSE) == []
    assert card_problems({"cards": []}) == []
    assert feedback_problems(FEEDBACK) == []


CARD = ("cards", 0)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("cards",), GONE),
        (("cards",), {}),
        (CARD, "a card"),
        ((*CARD, "summary"), GONE),
        ((*CARD, "summary"), "x" * 140),
        ((*CARD, "summary"), " "),
        ((*CARD, "summary"), 7),
        ((*CARD, "indicator"), GONE),
        ((*CARD, "indicator"), "hard-stop"),
        ((*CARD, "source"), GONE),
        ((*CARD, "source"), "ACR"),
        ((*CARD, "source", "label"), GONE),
        ((*CARD, "source", "url"), "example.com"),
        ((*CARD, "source", "topic"), {"display": "x"}),
        ((*CARD, "uuid"), 12),
        ((*CARD, "selectionBehavior"), GONE),
        ((*CARD, "selectionBehavior"), "all"),
        ((*CARD, "suggestions"), "none"),
        ((*CARD, "suggestions", 0, "label"), GONE),
        ((*CARD, "suggestions", 0, "isRecommended"), "yes"),
        ((*CARD, "suggestions", 1, "isRecommended"), True),
        ((*CARD, "suggestions", 0, "actions", 0, "type"), "suspend"),
        ((*CARD, "suggestions", 0, "actions", 0, "description"), GONE),
        ((*CARD, "suggestions", 0, "actions", 0, "resource"), GONE),
        ((*CARD, "suggestions", 0, "actions", 0, "resource"), {"id": "x"}),
        ((*CARD, "links", 0, "type"), "relative"),
        ((*CARD, "links", 0, "url"), GONE),
        ((*CARD, "links", 0, "appContext"), "x"),
        (("cards", 1, "overrideReasons", 0, "display"), GONE),
        (("cards", 1, "overrideReasons", 0, "code"), GONE),
        (("systemActions", 0, "resource"), GONE),
    ],
)
def test_broken_cards_are_rejected(path, value):
    assert card_problems(changed(RESPONSE, path, value))


def test_139_characters_are_a_summary():
    assert card_problems(changed(RESPONSE, (*CARD, "summary"), "x" * 139)) == []


def test_any_number_of_suggestions_may_be_recommended_where_any_may_be_chosen():
    several = changed(RESPONSE, (*CARD, "suggestions", 1, "isRecommended"), True)

    assert card_problems(changed(several, (*CARD, "selectionBehavior"), "any")) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("feedback",), GONE),
        (("feedback",), []),
        (("feedback", 0, "card"), GONE),
        (("feedback", 0, "outcome"), "ignored"),
        (("feedback", 0, "acceptedSuggestions"), GONE),
        (("feedback", 0, "acceptedSuggestions"), []),
        (("feedback", 0, "acceptedSuggestions", 0, "id"), GONE),
        (("feedback", 0, "outcomeTimestamp"), "2020-12-11"),
        (("feedback", 0, "outcomeTimestamp"), "2020-13-11T00:00:00Z"),
        (("feedback", 0, "overrideReason"), {"userComment": "no"}),
        (("feedback", 1, "outcomeTimestamp"), GONE),
        (("feedback", 2, "overrideReason", "reason", "code"), GONE),
        (("feedback", 2, "overrideReason"), "no"),
    ],
)
def test_broken_feedback_is_rejected(path, value):
    assert feedback_problems(changed(FEEDBACK, path, value))


SAID = Suggestion(
    rule="Lung-RADS v2022 " * 12,
    applies=True,
    category="4B",
    subject="L1",
    reason=Text("*bold* <script> [link](http://x) of `code`"),
    next_step=Text("Referral"),
    citation="Christensen J et al. doi:10.1016/j.jacr.2023.09.009",
    id="S-1",
)


@pytest.fixture
def suggested(case):
    open_one = replace(SAID, category="REVIEW", id="S-2")
    return replace(case, suggestions=AllSuggestions(((SAID, open_one), (), ())))


def test_cards_are_sound_and_say_how_urgent_it_is(suggested, tmp_path):
    written = json.loads(cds_cards.write(suggested, tmp_path / "cards.json").read_text("utf-8"))

    assert card_problems({"cards": written["cards"]}) == []
    serious, open_one = written["cards"]
    assert (serious["indicator"], open_one["indicator"]) == ("critical", "warning")
    assert len(serious["summary"]) == 139
    assert serious["source"]["url"] == "https://doi.org/10.1016/j.jacr.2023.09.009"
    assert serious["suggestions"][0]["actions"][0]["resource"]["status"] == "draft"
    assert not serious["suggestions"][0]["isRecommended"]
    assert "suggestions" not in open_one
    assert r"\*bold\* \<script\> \[link\](http://x) of \`code\`" in serious["detail"]
    assert serious["uuid"] != open_one["uuid"]


def test_reviews_become_feedback_and_only_those_that_stand(suggested):
    made = {"by": "Dr Wu", "at": datetime(2026, 1, 5, 8, 30, tzinfo=UTC)}
    first = Review(id="R-1", suggestion="S-1", decision=Decision.ACCEPTED, **made)
    second = Review(
        id="R-2",
        suggestion="S-1",
        decision=Decision.OVERRIDDEN,
        reason="spiculated",
        replaces="R-1",
        **made,
    )
    cards = cds_cards.response(suggested)["cards"]

    (accepted,) = cds_cards.feedback(replace(suggested, reviews=(first,)))["feedback"]
    (overridden,) = cds_cards.feedback(replace(suggested, reviews=(first, second)))["feedback"]

    assert feedback_problems({"feedback": [accepted, overridden]}) == []
    assert accepted["card"] == cards[0]["uuid"]
    assert accepted["acceptedSuggestions"] == [{"id": cards[0]["suggestions"][0]["uuid"]}]
    assert accepted["outcomeTimestamp"] == "2026-01-05T08:30:00Z"
    assert overridden["overrideReason"]["userComment"] == "spiculated"


def test_unsound_cards_are_not_written(suggested, tmp_path):
    nameless = AllSuggestions(((replace(SAID, rule=""),), (), ()))

    with pytest.raises(InputError, match=r"source\.label"):
        cds_cards.write(replace(suggested, suggestions=nameless), tmp_path / "cards.json")
    assert not (tmp_path / "cards.json").exists()

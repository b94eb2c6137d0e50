"""Whether data hold to CDS Hooks 2.0: the response of a service, and feedback to it.

Written from the tables of the specification (Card, Source, Suggestion, Action, Coding, Link,
Feedback). What the specification does not forbid is allowed.
"""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any
from urllib.parse import urlparse

LONGEST_SUMMARY = 140
"""A summary has fewer characters."""
INDICATORS = ("info", "warning", "critical")
SELECTIONS = ("at-most-one", "any")
ACTIONS = ("create", "update", "delete")
LINKS = ("absolute", "smart")
OUTCOMES = ("accepted", "overridden")
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
Check = Callable[[Any], bool]


def card_problems(response: Any) -> list[str]:
    """Return what is wrong with the body of a service's response; nothing if it is sound."""
    if not isinstance(response, dict) or not isinstance(response.get("cards"), list):
        return ["cards: there is no list"]
    found = [p for place, one in _each(response, "cards") for p in _card(place, one)]
    for place, one in _each(response, "systemActions"):
        # The standard's own example of a system action has no description.
        found += [p for p in _action(place, one) if not p.endswith(".description: is missing")]
    return found


def feedback_problems(body: Any) -> list[str]:
    """Return what is wrong with the body of a feedback request; nothing if it is sound."""
    if not isinstance(body, dict) or not isinstance(body.get("feedback"), list):
        return ["feedback: there is no list"]
    if not body["feedback"]:
        return ["feedback: the list is empty"]
    return [p for place, one in _each(body, "feedback") for p in _feedback(place, one)]


def _card(place: str, card: Any) -> Iterator[str]:
    required: dict[str, Check] = {
        "summary": lambda v: _is_text(v) and len(v) < LONGEST_SUMMARY,
        "indicator": _one_of(INDICATORS),
        "source": lambda v: isinstance(v, dict),
    }
    optional: dict[str, Check] = {
        "uuid": _is_text,
        "detail": _is_text,
        "selectionBehavior": _one_of(SELECTIONS),
    }
    yield from _fields(place, card, required, optional)
    if not isinstance(card, dict):
        return
    if isinstance(card.get("source"), dict):
        yield from _source(f"{place}.source", card["source"])
    suggestions = list(_each(card, "suggestions"))
    if suggestions and "selectionBehavior" not in card:
        yield f"{place}: selectionBehavior is missing, but there are suggestions"
    for where, one in suggestions:
        yield from _suggestion(where, one)
    recommended = [s for _, s in suggestions if isinstance(s, dict) and s.get("isRecommended")]
    if card.get("selectionBehavior") == "at-most-one" and len(recommended) > 1:
        yield f"{place}: more than one suggestion is recommended, but at most one can be chosen"
    for where, reason in _each(card, "overrideReasons"):
        yield from _coding(where, reason, display=True)
    for where, link in _each(card, "links"):
        yield from _link(where, link)


def _source(place: str, source: Any) -> Iterator[str]:
    yield from _fields(place, source, {"label": _is_text}, {"url": _is_url, "icon": _is_url})
    if "topic" in source:
        yield from _coding(f"{place}.topic", source["topic"], display=False)


def _suggestion(place: str, suggestion: Any) -> Iterator[str]:
    optional: dict[str, Check] = {
        "uuid": _is_text,
        "isRecommended": lambda v: isinstance(v, bool),
    }
    yield from _fields(place, suggestion, {"label": _is_text}, optional)
    for where, action in _each(suggestion, "actions"):
        yield from _action(where, action)


def _action(place: str, action: Any) -> Iterator[str]:
    required: dict[str, Check] = {"type": _one_of(ACTIONS), "description": _is_text}
    yield from _fields(place, action, required, {"resourceId": _is_text})
    if not isinstance(action, dict):
        return
    needs_resource = action.get("type") in ("create", "update")
    resource = action.get("resource")
    if needs_resource and not (
        isinstance(resource, dict) and _is_text(resource.get("resourceType"))
    ):
        yield f"{place}.resource: is no FHIR resource"


def _coding(place: str, coding: Any, *, display: bool) -> Iterator[str]:
    required: dict[str, Check] = {"code": _is_text, "system": _is_uri}
    if display:
        required["display"] = _is_text
    yield from _fields(place, coding, required, {"display": _is_text})


def _link(place: str, link: Any) -> Iterator[str]:
    required: dict[str, Check] = {"label": _is_text, "url": _is_url, "type": _one_of(LINKS)}
    yield from _fields(place, link, required, {"appContext": _is_text})
    if isinstance(link, dict) and link.get("type") == "absolute" and link.get("appContext"):
        yield f"{place}.appContext: is for links of type smart"


def _feedback(place: str, entry: Any) -> Iterator[str]:
    required: dict[str, Check] = {
        "card": _is_text,
        "outcome": _one_of(OUTCOMES),
        "outcomeTimestamp": _is_instant,
    }
    yield from _fields(place, entry, required, {})
    if not isinstance(entry, dict):
        return
    accepted = list(_each(entry, "acceptedSuggestions"))
    if entry.get("outcome") == "accepted" and not accepted:
        yield f"{place}.acceptedSuggestions: is missing of a card that was accepted"
    for where, one in accepted:
        yield from _fields(where, one, {"id": _is_text}, {})
    reason = entry.get("overrideReason")
    if reason is None:
        return
    if entry.get("outcome") != "overridden":
        yield f"{place}.overrideReason: is stated of a card that was not overridden"
    yield from _fields(f"{place}.overrideReason", reason, {}, {"userComment": _is_text})
    if isinstance(reason, dict) and "reason" in reason:
        yield from _coding(f"{place}.overrideReason.reason", reason["reason"], display=False)


def _fields(
    place: str, node: Any, required: dict[str, Check], optional: dict[str, Check]
) -> Iterator[str]:
    if not isinstance(node, dict):
        yield f"{place}: is no object"
        return
    for name in required:
        if name not in node:
            yield f"{place}.{name}: is missing"
    for name, check in {**required, **optional}.items():
        if name in node and not check(node[name]):
            yield f"{place}.{name}: cannot be {node[name]!r}"


def _each(node: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield the items of a list with their places; something else yields what is no object."""
    if not isinstance(node, dict) or name not in node:
        return
    items = node[name] if isinstance(node[name], list) else [None]
    for number, item in enumerate(items):
        yield f"{name}[{number}]", item


def _one_of(values: tuple[str, ...]) -> Check:
    return lambda value: isinstance(value, str) and value in values


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_uri(value: Any) -> bool:
    return _is_text(value) and bool(urlparse(value).scheme)


def _is_url(value: Any) -> bool:
    return _is_uri(value) and bool(urlparse(value).netloc)


def _is_instant(value: Any) -> bool:
    if not isinstance(value, str) or not INSTANT.fullmatch(value):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True

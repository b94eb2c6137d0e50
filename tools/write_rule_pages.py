"""Write a page for each published rule, and their list, from the rules themselves."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aegle.diagnosis.published import BASIS
from aegle.diagnosis.rule import Fact, Range, Rule, Sum, Weight, load, names
from aegle.diagnosis.rule_facts import limits

FOLDER = Path(__file__).parents[1] / "docs" / "reference" / "rules"
MARK = {"checked": "", "agrees": "◐", "memory": "◌"}

INTRODUCTION = f"""# Published rules

Written by `tools/write_rule_pages.py` from `src/aegle/diagnosis/rules/`. A rule is data; one engine
reads them all. `aegle rule NAME --input FILE` asks one, `api.rule(name, facts)` in Python.

- **REVIEW** is the answer, with the reason, where facts are impossible, contradict each other or
  are missing, where the rule is not made for the patient, and where it leaves a situation open. It
  never falls back in silence: what was not stated and therefore assumed is listed with the result.
- An **error** (status 2) is the answer to what is malformed: an unknown name, text where a number
  belongs, another unit. Numbers are in the unit of the table, or say it:
  `{{"value": 8, "unit": "mm"}}`.
- Flags are `true`, `false`, `1` or `0`. `null` is the same as not stated, but for a sequence of
  PI-RADS, which it calls inadequate.
- Unmarked parts are {BASIS["checked"]}, named on the page.
  ◐ marks what {BASIS["agrees"]}; ◌ marks what is {BASIS["memory"]}.
  Before clinical use, a clinician has to compare each rule with its primary document.
"""


def pages() -> dict[Path, str]:
    """Return every page by its place."""
    rules = [load(name) for name in names()]
    return {FOLDER / "index.md": _index(rules)} | {
        FOLDER / f"{rule.id}.md": _page(rule) for rule in rules
    }


def _index(rules: list[Rule]) -> str:
    rows = [
        (f"[{r.title}]({r.id}.md)", f"`{r.id}`", r.effective, r.applies_to, _confirmed(r.basis))
        for r in rules
    ]
    return "\n".join(
        [
            INTRODUCTION,
            *_table(("rule", "name", "effective", "applies to", "rows"), rows),
            "",
            "Research software, not a medical device. Texts are our own wording.",
            "",
        ]
    )


def _page(rule: Rule) -> str:
    source = (
        f"{rule.citation}." if not rule.doi else f"[{rule.citation}](https://doi.org/{rule.doi})."
    )
    return "\n".join(
        [
            f"# {rule.title}",
            "",
            f"`{rule.id}`, version {rule.version}, from {rule.effective}. {source}",
            "",
            f"**Applies to** {rule.applies_to}.",
            "",
            f"**Confirmed:** rows {_confirmed(rule.basis)} ({rule.checked_against}); next steps "
            f"{_confirmed(rule.next_step_basis)}. Rows marked otherwise say so.",
            "",
            *(f"- {note}" for note in rule.notes),
            "",
            *_example(rule),
            "",
            "## Facts",
            "",
            *_table(("name", "meaning", "values", "if not stated"), _facts(rule)),
            "",
            *_derived(rule),
            *_scores(rule),
            *_gaps("## Whom it is not made for (REVIEW)", rule.excludes, rule),
            *_gaps("## What contradicts itself (REVIEW)", rule.contradictions, rule),
            *_gaps("## What it leaves open (REVIEW)", rule.gaps, rule),
            "## Rows",
            "",
            _how(rule),
            "",
            *_table(("", "category", "when", "row"), _rows(rule)),
            "",
            *_gaps("## Cautions beside a result", rule.cautions, rule),
            "## Next steps",
            "",
            *_table(("", "category", "next step"), _steps(rule)),
            "",
        ]
    )


def _confirmed(basis: str) -> str:
    return f"{MARK[basis]} {BASIS[basis]}".strip()


def _example(rule: Rule) -> list[str]:
    asked = json.dumps(rule.example, ensure_ascii=False)
    return ["```sh", f"echo '{asked}' | aegle rule {rule.id} --input -", "```"]


def _facts(rule: Rule) -> Iterable[tuple[str, ...]]:
    for name, fact in rule.facts.items():
        if fact.given:
            yield f"`{name}`", fact.meaning, _values(fact), _unstated(fact)


def _values(fact: Fact) -> str:
    if fact.flag:
        return "yes or no"
    if fact.values:
        several = "list of " if fact.many else ""
        also = ", ".join(f"`{word}` for `{value}`" for word, value in fact.spellings.items())
        null = f"; `null` for `{fact.null}`" if fact.null else ""
        return (
            several
            + ", ".join(f"`{v}`" for v in fact.values)
            + (f" (also {also})" if also else "")
            + null
        )
    rounded = f", rounded half up to {10**-fact.decimals:g}" if fact.decimals < 9 else ""
    most = f", at most `{fact.at_most}`" if fact.at_most else ""
    return f"{fact.unit or 'number'} {limits(fact.bounds, whole=fact.whole)}{rounded}{most}"


def _unstated(fact: Fact) -> str:
    if fact.default is None:
        return f"taken as {fact.unstated}, and listed" if fact.unstated else "not known"
    if isinstance(fact.default, bool):
        return f"`{'yes' if fact.default else 'no'}`, and listed"
    several = fact.default if isinstance(fact.default, tuple) else (str(fact.default),)
    return f"`{', '.join(several) or 'none'}`, and listed"


def _derived(rule: Rule) -> list[str]:
    rows = [
        (f"{d.fact} {'no' if d.value is False else d.value}", _when(d.when, rule), d.note)
        for d in rule.derivations
    ]
    head = ["## What follows where it is not stated", ""]
    return [*head, *_table(("fact", "when", "assumed by that"), rows), ""] if rows else []


def _scores(rule: Rule) -> list[str]:
    lines: list[str] = []
    for name, sums in rule.scores.items():
        for one in sums:
            kind = "1 / (1 + exp(−x)) of the sum x" if one.logistic else "the sum"
            lines += [
                f"## {rule.facts[name].meaning.capitalize()}"
                + (f": {_when(one.when, rule)}" if one.when else ""),
                "",
                f"`{name}` is {kind}, which starts at {one.start:g}.",
                "",
                *(_table(("fact", "adds"), _weights(one)) if one.adds else ["Nothing is added."]),
                "",
            ]
    return lines


def _weights(one: Sum) -> Iterable[tuple[str, str]]:
    for name, weight in one.adds.items():
        yield f"`{name}`", _weight(name, weight)


def _weight(name: str, weight: Weight) -> str:
    if weight.points:
        return ", ".join(f"{choice} {points:g}" for choice, points in weight.points.items())
    inner = name if weight.scale == 1 else f"{name} / {weight.scale:g}"
    if weight.power != 1:
        inner = f"({inner})^{weight.power:g}"
    if weight.centre:
        inner = f"({inner} − {weight.centre:.9g})"
    return f"{weight.coefficient:.9g} · {inner}"


def _gaps(heading: str, gaps: Iterable[Any], rule: Rule) -> list[str]:
    rows = [(_when(gap.when, rule), gap.reason) for gap in gaps]
    return [heading, "", *_table(("when", "reason"), rows), ""] if rows else []


def _how(rule: Rule) -> str:
    """Say in what order rows decide."""
    first = "Rows marked *first* decide before gaps, in their order. " if _overrides(rule) else ""
    return (
        f"{first}Of the rows that hold, the one with the last category of this order decides: "
        + (", ".join(map(str, rule.order)) + ".")
    )


def _overrides(rule: Rule) -> bool:
    return any(row.overrides for row in rule.rows)


def _rows(rule: Rule) -> Iterable[tuple[str, ...]]:
    for row in rule.rows:
        said = f"{row.category}: {row.action}" if row.action else str(row.category)
        mark, when = MARK[row.basis or rule.basis], _when(row.when, rule)
        yield mark, said, f"*first* {when}" if row.overrides else when, row.text
    for change in rule.modifiers:
        when = f"{', '.join(map(str, change.of))} → {_when(change.when, rule)}"
        yield MARK[change.basis or rule.basis], str(change.category), when, change.text
    for suffix in rule.suffixes:
        when = f"{', '.join(map(str, suffix.of))} and {_when(suffix.when, rule)}"
        yield MARK[rule.basis], f"…{suffix.letter}", when, suffix.text


def _steps(rule: Rule) -> Iterable[tuple[str, ...]]:
    mark = MARK[rule.next_step_basis]
    for row in rule.rows:
        if row.next_step:
            yield mark, f"{row.category} {row.action}".strip(), row.next_step
    for category, step in rule.management.items():
        yield mark, category, step


def _when(when: Mapping[str, Any], rule: Rule) -> str:
    return " and ".join(_condition(name, wanted, rule) for name, wanted in when.items())


def _condition(name: str, wanted: Any, rule: Rule) -> str:
    if isinstance(wanted, Range):
        return f"{name} {limits(wanted) or 'known'}"
    if isinstance(wanted, bool):
        return name if wanted else f"not {name}"
    values = wanted if isinstance(wanted, tuple) else (wanted,)
    if set(values) == set(rule.facts[name].values):
        return f"{name} stated"
    return f"{name} {' or '.join(map(str, values))}"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    head = tuple(head)
    lines = [head, ("---",) * len(head), *(tuple(row) for row in rows)]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for place, text in pages().items():
        place.write_text(text)

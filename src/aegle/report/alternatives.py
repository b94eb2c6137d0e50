"""Plans that a patient could be given, beside each other, and why one of them is suggested."""

from collections.abc import Mapping

from aegle.domain.alternatives import Alternative, Comparison, Estimate
from aegle.report.blocks import Block, Card, Cell, Paragraph, Subheading, Table, Tone, plain
from aegle.report.language import Words, clean
from aegle.report.plan_words import is_of_protons, weighted

LEAST_POINTS = 0.1
"""Differences below this number of percentage points are not told: they are not shown either."""


def alternative_blocks(comparison: Comparison, words: Words) -> list[Block]:
    """Return the suggested plan with its reasons, and what the others would gain and cost."""
    if not comparison.alternatives:
        return []
    first = comparison.alternatives[0]
    blocks: list[Block] = [Subheading(words("Alternatives")), _suggested(comparison, words)]
    blocks.append(_table(comparison.alternatives, words))
    if _names(comparison.alternatives, words):
        blocks.append(_expected(comparison.alternatives, words))
        blocks.append(
            Paragraph(
                words(
                    "Intervals (95 %) come from the published errors of each model's coefficients "
                    "alone; gains and costs are counted against {name}.",
                    name=words.text(first.name),
                ),
                Tone.CALM,
            )
        )
    return blocks


def _suggested(comparison: Comparison, words: Words) -> Card:
    """Return what is suggested and why it is this patient's choice."""
    reasons = "\n".join(words.text(reason) for reason in comparison.reasons)
    return Card(
        title=words.text(comparison.alternatives[0].name),
        chip=Cell(text=words("suggested; a person decides"), tone=Tone.CALM),
        facts=((words("Why, and what differs for this patient"), reasons or words("not told")),),
    )


def _table(alternatives: tuple[Alternative, ...], words: Words) -> Table:
    heads = (
        *("Alternative", "Radiation", "Beams", "Prescription", "Goals met"),
        *("Gains against the first", "Costs against the first"),
    )
    first = alternatives[0]
    return Table(
        caption=words("Alternative plans"),
        heads=tuple(map(words, heads)),
        rows=tuple(_row(one, first, words) for one in alternatives),
        numeric=frozenset({2}),
        widths=(1.7, 1, 0.7, 1.3, 1, 2, 2),
    )


def _row(one: Alternative, first: Alternative, words: Words) -> tuple[Cell, ...]:
    asked = one.plan.prescription
    met, goals = sum(goal.is_met for goal in one.plan.goals), len(one.plan.goals)
    tone = Tone.GOOD if met == goals else Tone.WARN
    return (
        *plain(
            words.text(one.name),
            words("protons") if is_of_protons(one.plan) else words("photons"),
            str(len(one.plan.beams)),
            weighted(f"{asked.fractions} × {asked.dose_gy / asked.fractions:.3g} Gy", one.plan),
        ),
        Cell(text=words("{met} of {asked}", met=met, asked=goals), tone=tone),
        *plain(*_gains_and_costs(one, first, words)),
    )


def _gains_and_costs(one: Alternative, first: Alternative, words: Words) -> tuple[str, str]:
    if one is first:
        return "–", "–"
    gains: list[str] = []
    costs: list[str] = []
    before = _by_name(first, words)
    for name, estimate in _by_name(one, words).items():
        if name not in before:
            continue
        points = 100 * (estimate.probability - before[name].probability)
        if abs(points) < LEAST_POINTS:
            continue
        told = words("{name}: {points} points", name=name, points=_signed(points))
        (gains if (points < 0) == estimate.is_harm else costs).append(told)
    none = words("none")
    return "\n".join(gains) or none, "\n".join(costs) or none


def _expected(alternatives: tuple[Alternative, ...], words: Words) -> Table:
    """Return every probability with its interval: a row for each, a column for each plan."""
    rows = []
    for name, source in _names(alternatives, words).items():
        found = [_by_name(one, words).get(name) for one in alternatives]
        rows.append(plain(name, *(_probability(e, words) for e in found), clean(source)))
    names = tuple(words.text(one.name) for one in alternatives)
    return Table(
        caption=words("What is expected for this patient"),
        heads=(words("Outcome"), *names, words("Source")),
        rows=tuple(rows),
        widths=(1.6, *(1.2 for _ in names), 1.3),
    )


def _names(alternatives: tuple[Alternative, ...], words: Words) -> Mapping[str, str]:
    """Return what may happen, in order, with the source of its model."""
    return {
        name: estimate.source
        for one in reversed(alternatives)
        for name, estimate in _by_name(one, words).items()
    }


def _by_name(one: Alternative, words: Words) -> Mapping[str, Estimate]:
    return {words.text(estimate.name): estimate for estimate in one.estimates}


def _probability(estimate: Estimate | None, words: Words) -> str:
    if estimate is None:
        return "–"
    told = f"{100 * estimate.probability:.1f} %"
    if estimate.interval is None:
        return f"{told}\n{words('interval not published')}"
    low, high = (100 * end for end in estimate.interval)
    return f"{told}\n{low:.1f}–{high:.1f} %"


def _signed(points: float) -> str:
    return f"{points:+.1f}".replace("-", "−")

"""What Lung-RADS v2022 says about the lung lesions of a screening CT.

Each lesion is judged as found at baseline: no earlier examination enters here. The density of
a nodule decides whether its rows can be read at all: what lies clearly below soft tissue may
be ground glass or part-solid, which a mean cannot tell apart, so it is left to a person.
"""

from typing import Annotated

from pydantic.dataclasses import dataclass

from aegle.diagnosis.rule import REVIEW, Rule, load
from aegle.diagnosis.rule_evaluation import Outcome, evaluate
from aegle.domain.codes import LUNGS, body_part
from aegle.domain.errors import OptionError
from aegle.domain.finding import Findings, Lesion, LesionKind, Statistics, Suggestion
from aegle.domain.text import Text
from aegle.options import option

FOR_IMAGES = ("lung-rads",)
"""Rules whose facts can be measured on images; the others are asked by hand."""


@dataclass(frozen=True, kw_only=True)
class SuggestOptions:
    """Which rule is asked, and when a nodule counts as solid."""

    rule: Annotated[str, option("Id of the published rule")] = "lung-rads"
    solid_from_hu: Annotated[
        float, option("Mean density from which a nodule counts as solid", unit="HU", ge=-900, le=0)
    ] = -300.0


def suggest(
    examination_is_screening: bool, findings: Findings, *, options: SuggestOptions
) -> tuple[Suggestion, ...]:
    """Say what the rule makes of an examination and of each lung lesion.

    Args:
        examination_is_screening: Whether the CT was made for lung cancer screening.
        findings: What was measured.
        options: The rule and the limit between solid and not.

    Returns:
        The examination first, then its lung lesions in the order given. The category of the
        examination is its most suspicious one. A single suggestion that does not apply if
        the CT was not made for screening.

    Raises:
        OptionError: There is no such rule.
    """
    if options.rule not in FOR_IMAGES:
        known = ", ".join(FOR_IMAGES)
        raise OptionError(f"No rule '{options.rule}' that asks images alone; known: {known}.")
    rule = load(options.rule)
    if not examination_is_screening:
        return (_not_applicable(rule),)
    lesions = [o for o in findings.lesions if _is_lung_nodule(o)]
    each = [(o, *_judge(rule, o, options)) for o in lesions]
    outcomes = [outcome for _, outcome, _ in each]
    return (
        _examination(rule, outcomes, _shows_lungs(findings)),
        *(_suggestion(rule, o.id, outcome, reason) for o, outcome, reason in each),
    )


def _not_applicable(rule: Rule) -> Suggestion:
    return Suggestion(
        rule=rule.title,
        applies=False,
        category="",
        subject="examination",
        reason=Text("not applicable: not a screening CT"),
        citation=rule.citation,
    )


def _is_lung_nodule(lesion: Lesion) -> bool:
    return lesion.site in LUNGS and lesion.kind is not LesionKind.LYMPH_NODE


def _shows_lungs(findings: Findings) -> bool:
    return any(body_part(organ.name) in LUNGS for organ in findings.organs)


def _judge(rule: Rule, lesion: Lesion, options: SuggestOptions) -> tuple[Outcome, Text]:
    """Return the outcome for one lesion and the measurements it rests on."""
    density = _density(lesion)
    if density is None:
        reason = Text("Density of the nodule is not known, so solid cannot be assumed.")
        return Outcome(category=REVIEW, reason=reason), reason
    facts = {
        "mean_mm": lesion.mean_diameter_mm,
        "longest_mm": lesion.diameters.longest_mm,
        "perpendicular_mm": lesion.diameters.perpendicular_mm,
        "mean_hu": density.mean,
    }
    if not density.mean >= options.solid_from_hu:
        reason = Text(
            "Mean density {mean_hu:.0f} HU: ground glass and part-solid cannot be told apart "
            "(mean diameter {mean_mm:.1f} mm).",
            facts,
        )
        return Outcome(category=REVIEW, reason=reason), reason
    outcome = evaluate(rule, {"type": "solid", "status": "baseline", "d": lesion.mean_diameter_mm})
    if outcome.category == REVIEW:
        return outcome, outcome.reason
    return outcome, Text(
        "Solid nodule at baseline, mean diameter {mean_mm:.1f} mm "
        "({longest_mm:.1f} × {perpendicular_mm:.1f} mm), mean density {mean_hu:.0f} HU.",
        facts,
    )


def _density(lesion: Lesion) -> Statistics | None:
    """Return the CT values inside, those of the image it was delineated on first."""
    on_ct = [s for s in lesion.statistics if s.unit == "HU"]
    return next((s for s in on_ct if s.image == lesion.image), next(iter(on_ct), None))


def _suggestion(rule: Rule, subject: str, outcome: Outcome, reason: Text) -> Suggestion:
    return Suggestion(
        rule=rule.title,
        applies=True,
        category=outcome.category,
        subject=subject,
        reason=reason,
        row=outcome.row,
        citation=rule.citation,
    )


def _examination(rule: Rule, outcomes: list[Outcome], shows_lungs: bool) -> Suggestion:
    """Return the most suspicious category; open findings count unless it needs action anyway."""
    category, reason, row = _summary(rule, outcomes, shows_lungs)
    return Suggestion(
        rule=rule.title,
        applies=True,
        category=category,
        subject="examination",
        reason=reason,
        row=row,
        next_step=rule.next_step(category),
        citation=rule.citation,
    )


def _summary(
    rule: Rule, outcomes: list[Outcome], shows_lungs: bool
) -> tuple[str, Text, Text | None]:
    if not outcomes and not shows_lungs:
        return REVIEW, Text("The lungs were not found, so nodules cannot be ruled out."), None
    if not outcomes:
        none = evaluate(rule, {"type": "none"})
        return none.category, none.reason, none.row
    decided = [o for o in outcomes if o.category != REVIEW]
    highest = max(decided, key=lambda o: rule.order.index(o.category), default=None)
    facts: dict[str, str | int | float] = {
        "count": len(outcomes),
        "open": len(outcomes) - len(decided),
        "category": highest.category if highest else "",
    }
    if highest is None:
        return REVIEW, Text("{open} of {count} nodules need review.", facts), None
    if len(decided) == len(outcomes):
        reason = Text("Most suspicious of {count} nodules.", facts)
        return highest.category, reason, highest.row
    if highest.category in rule.decides_despite_review:
        reason = Text("Most suspicious of {count} nodules; {open} of them need review.", facts)
        return highest.category, reason, highest.row
    reason = Text("At least {category}, but {open} of {count} nodules need review.", facts)
    return REVIEW, reason, highest.row

"""What Lung-RADS v2022 says about the lung lesions of a screening CT.

Each lesion is judged as found at baseline: no earlier examination enters here. The density of
a nodule decides whether its rows can be read at all: what lies clearly below soft tissue may
be ground glass or part-solid, which a mean cannot tell apart, so it is left to a person.
"""

import math
from dataclasses import replace
from typing import Annotated, Any

from pydantic.dataclasses import dataclass

from aegle.diagnosis.patient_facts import PatientFacts, Stated
from aegle.diagnosis.rule import REVIEW, Rule, load
from aegle.diagnosis.rule_evaluation import Outcome, evaluate
from aegle.diagnosis.rule_suggestion import Ruled, facts_for, measured, suggestion_of, values_of
from aegle.domain.codes import LUNGS, body_part
from aegle.domain.errors import OptionError
from aegle.domain.finding import Findings, Lesion, LesionKind, Statistics, Suggestion
from aegle.domain.suggestion import Alternative, Input, InputSource
from aegle.domain.text import Text
from aegle.options import option

EXAMINATION = "examination"
BASELINE = "baseline"
NOTHING_STATED = PatientFacts()
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
    examination_is_screening: bool,
    findings: Findings,
    *,
    options: SuggestOptions,
    stated: PatientFacts = NOTHING_STATED,
) -> tuple[Suggestion, ...]:
    """Say what the rule makes of an examination and of each lung lesion.

    Args:
        examination_is_screening: Whether the CT was made for lung cancer screening.
        findings: What was measured.
        options: The rule and the limit between solid and not.
        stated: What is stated of the patient and of single lesions; it goes before what is
            assumed, and a stated type before the density.

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
        return (_not_applicable(rule, findings),)
    each = [_judge(rule, o, options, stated) for o in lung_nodules(findings)]
    return (
        _examination(rule, each, findings, stated),
        *(suggestion_of(rule, one, findings.study_uid) for one in each),
    )


def _not_applicable(rule: Rule, findings: Findings) -> Suggestion:
    reason = Text("not applicable: not a screening CT")
    made = suggestion_of(
        rule,
        Ruled(subject=EXAMINATION, outcome=Outcome(category="", reason=reason), reason=reason),
        findings.study_uid,
    )
    return replace(made, applies=False)


def lung_nodules(findings: Findings) -> tuple[Lesion, ...]:
    """Return the lesions in the lungs that are no lymph nodes."""
    return tuple(o for o in findings.lesions if _is_lung_nodule(o))


def _is_lung_nodule(lesion: Lesion) -> bool:
    return lesion.site in LUNGS and lesion.kind is not LesionKind.LYMPH_NODE


def _shows_lungs(findings: Findings) -> bool:
    return any(body_part(organ.name) in LUNGS for organ in findings.organs)


def _judge(rule: Rule, lesion: Lesion, options: SuggestOptions, stated: PatientFacts) -> Ruled:
    """Return the outcome for one lesion and the measurements it rests on."""
    facts = {
        **density_type(lesion, options),
        **facts_for(rule, stated, lesion.id),
        "screening": Stated(value=True, source=InputSource.EXAMINATION),
        "d": measured(lesion.mean_diameter_mm),
    }
    known = values_of(facts)
    also = density_input(lesion)
    if "type" not in facts:
        reason = _why_no_type(lesion)
        return Ruled(
            subject=lesion.id,
            outcome=Outcome(category=REVIEW, reason=reason, missing=("type",)),
            reason=reason,
            facts=facts,
            lesion=lesion,
            alternatives=_by_type(rule, known),
            also=also,
        )
    outcome = evaluate(rule, known)
    return Ruled(
        subject=lesion.id,
        outcome=outcome,
        reason=outcome.reason if outcome.category == REVIEW else _measures(lesion, known),
        facts=facts,
        lesion=lesion,
        alternatives=_if_new(rule, known, outcome),
        also=also,
    )


def density_type(lesion: Lesion, options: SuggestOptions) -> dict[str, Stated]:
    """Return that a lesion is solid if its density says so, else nothing."""
    density = _density(lesion)
    if density is None or not density.mean >= options.solid_from_hu:
        return {}
    return {"type": measured("solid")}


def density_input(lesion: Lesion) -> tuple[Input, ...]:
    """Return the measured density that the type of a lesion rests on, if it is known."""
    density = _density(lesion)
    if density is None or math.isnan(density.mean):
        return ()
    return (
        Input(
            name="mean_hu",
            meaning="mean density",
            value=f"{density.mean:.0f}",
            unit="HU",
            source=InputSource.MEASURED,
        ),
    )


def _why_no_type(lesion: Lesion) -> Text:
    density = _density(lesion)
    if density is None or math.isnan(density.mean):
        return Text("Density of the nodule is not known, so solid cannot be assumed.")
    return Text(
        "Mean density {mean_hu:.0f} HU: ground glass and part-solid cannot be told apart "
        "(mean diameter {mean_mm:.1f} mm).",
        {"mean_hu": density.mean, "mean_mm": lesion.mean_diameter_mm},
    )


def _measures(lesion: Lesion, known: dict[str, Any]) -> Text:
    facts: dict[str, str | int | float] = {
        "mean_mm": lesion.mean_diameter_mm,
        "longest_mm": lesion.diameters.longest_mm,
        "perpendicular_mm": lesion.diameters.perpendicular_mm,
    }
    density, status = _density(lesion), known.get("status", BASELINE)
    if density is None or (known["type"], status) != ("solid", BASELINE):
        facts |= {"type": str(known["type"]), "status": str(status)}
        return Text(
            "Nodule ({type}, {status}), mean diameter {mean_mm:.1f} mm "
            "({longest_mm:.1f} × {perpendicular_mm:.1f} mm).",
            facts,
        )
    return Text(
        "Solid nodule at baseline, mean diameter {mean_mm:.1f} mm "
        "({longest_mm:.1f} × {perpendicular_mm:.1f} mm), mean density {mean_hu:.0f} HU.",
        facts | {"mean_hu": density.mean},
    )


def _by_type(rule: Rule, known: dict[str, Any]) -> tuple[Alternative, ...]:
    """Return what the rule says for each type that the density leaves open."""
    wholly_solid = known["d"]
    open_types = (
        (Text("if it is solid"), {"type": "solid"}),
        (
            Text("if it is part-solid and almost wholly solid"),
            {"type": "part_solid", "s": wholly_solid},
        ),
        (Text("if it is ground glass"), {"type": "ggn"}),
    )
    said = [(why, evaluate(rule, known | facts)) for why, facts in open_types]
    return tuple(Alternative(category=o.category, reason=why) for why, o in said)


def _if_new(rule: Rule, known: dict[str, Any], outcome: Outcome) -> tuple[Alternative, ...]:
    """Return what holds if a nodule taken as seen for the first time is new."""
    if known.get("status", BASELINE) != BASELINE:
        return ()
    new = evaluate(rule, known | {"status": "new"})
    if new.category == outcome.category:
        return ()
    why = Text("if it is new since an earlier screening examination")
    return (Alternative(category=new.category, reason=why, next_step=new.next_step),)


def _density(lesion: Lesion) -> Statistics | None:
    """Return the CT values inside, those of the image it was delineated on first."""
    on_ct = [s for s in lesion.statistics if s.unit == "HU"]
    return next((s for s in on_ct if s.image == lesion.image), next(iter(on_ct), None))


def _examination(
    rule: Rule, each: list[Ruled], findings: Findings, stated: PatientFacts
) -> Suggestion:
    """Return the most suspicious category; open findings count unless it needs action anyway."""
    outcomes = [one.outcome for one in each]
    category, reason, row = _summary(rule, outcomes, _shows_lungs(findings))
    basis = next((o.row_basis for o in outcomes if o.row is row and row is not None), None)
    outcome = Outcome(
        category=category,
        reason=reason,
        row=row,
        row_basis=basis,
        next_step=rule.next_step(category),
    )
    facts = facts_for(rule, stated, "")
    categories = tuple(
        Input(
            name=one.subject,
            meaning="category of the nodule",
            value=f"{one.subject}: {one.outcome.category}",
            source=InputSource.MEASURED,
        )
        for one in each
    )
    ruled = Ruled(subject=EXAMINATION, outcome=outcome, reason=reason, facts=facts, also=categories)
    return suggestion_of(rule, ruled, findings.study_uid)


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

"""All suggestions for one examination: the rules that apply, and what models said.

A screening CT is judged by Lung-RADS, with Brock's model where its facts are stated; nodules
found otherwise by Fleischner 2017, with Mayo's model. Fleischner's table depends on age, risk,
cancer and immunity, of which an image says nothing: unlike a person who asks the rule, an
image does not answer for their absence, so each has to be stated.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Any

from aegle.diagnosis.patient_facts import PatientFacts, Stated
from aegle.diagnosis.rule import REVIEW, Rule, load
from aegle.diagnosis.rule_evaluation import Outcome, evaluate
from aegle.diagnosis.rule_suggestion import (
    Ruled,
    facts_for,
    identity,
    measured,
    suggestion_of,
    values_of,
)
from aegle.diagnosis.suggest import (
    NOTHING_STATED,
    SuggestOptions,
    density_input,
    density_type,
    lung_nodules,
    suggest,
)
from aegle.diagnosis.whose_facts import caution_of
from aegle.domain.assessment import ImageClassification, VisitAssessments
from aegle.domain.errors import OptionError
from aegle.domain.finding import Findings, Lesion, Suggestion
from aegle.domain.study import Examination
from aegle.domain.suggestion import (
    Alternative,
    Evidence,
    Input,
    InputSource,
    Maker,
    MakerKind,
)
from aegle.domain.text import Text

FLEISCHNER_NEEDS = ("age", "known_cancer", "immunosuppressed", "type", "high_risk")
"""What has to be known of an incidental nodule before the table is read."""
MODELS = {
    "brock": ("fam", "emph", "spic", "upper"),
    "mayo": ("smoke", "cancer", "spic", "upper"),
}
"""Published models, and the facts of which one has to be stated before they are asked."""
NO_COUNTERFACTUAL = (
    "No counterfactual image is shown: no autoencoder comes with this model. With one, aegle "
    "explain --counterfactual draws what would have to look different."
)
SAME_IMAGE = 0.05
"""Distance below which an image is one that the model learned from; others lie near 1."""
KNOWN_IMAGE = (
    "One of the images that the model learned from looks the same; its probability is then too "
    "good."
)
SOLITARY = "The Mayo model is made for a solitary nodule; there are {count}."
EITHER_RISK = ((False, Text("if the risk is low")), (True, Text("if the risk is high")))


def suggest_all(
    visit: Examination,
    findings: Findings,
    *,
    options: SuggestOptions,
    assessed: VisitAssessments | None = None,
    stated: PatientFacts = NOTHING_STATED,
) -> tuple[Suggestion, ...]:
    """Say what every rule that applies, and every model that was run, makes of an examination.

    Args:
        visit: The examination.
        findings: What was measured in it.
        options: The screening rule and the limit between solid and not.
        assessed: What models said of its images.
        stated: What is stated of the patient and of single lesions.

    Returns:
        Lung-RADS first: the examination, then its lung nodules; then the other rules by nodule,
        then the models. What the facts leave open is ``REVIEW`` with what is missing.

    Raises:
        IdentityError: What is stated is of another patient.
        OptionError: A lesion that is stated does not exist, or a stated fact is of another type
            or unit.
    """
    doubt = caution_of(stated.whose, visit.patient)
    _require_lesions(findings, stated)
    known = replace(stated, patient={**_from_examination(visit), **stated.patient})
    nodules = lung_nodules(findings)
    said = [*suggest(visit.is_screening, findings, options=options, stated=known)]
    if not visit.is_screening:
        said += _fleischner(nodules, findings, known, options)
    said += _models(nodules, findings, known, options, is_screening=visit.is_screening)
    shown = [_with_times(_with_records(one, known, doubt), visit) for one in said]
    models = assessed.classifications if assessed else ()
    return (*shown, *(of_classification(c, visit.study_uid) for c in models))


def _require_lesions(findings: Findings, stated: PatientFacts) -> None:
    known = [o.id for o in lung_nodules(findings)]
    if unknown := sorted(set(stated.lesions) - set(known)):
        raise OptionError(
            f"Facts are stated of {', '.join(unknown)}, but the lung nodules are "
            f"{', '.join(known) or 'none'}."
        )


def _from_examination(visit: Examination) -> dict[str, Stated]:
    """Return age and sex as the examination states them."""
    found: dict[str, Stated] = {}
    source = InputSource.EXAMINATION
    patient = visit.patient
    if patient.birth_date and visit.time and patient.birth_date <= visit.time.date():
        years = _whole_years(patient.birth_date, visit.time.date())
        found["age"] = Stated(value=years, source=source, time=visit.time)
    if patient.sex in ("F", "M"):
        found["female"] = Stated(value=patient.sex == "F", source=source, time=visit.time)
    return found


def _whole_years(born: date, day: date) -> int:
    is_before_birthday = (day.month, day.day) < (born.month, born.day)
    return day.year - born.year - is_before_birthday


def _with_records(suggestion: Suggestion, stated: PatientFacts, doubt: Text | None) -> Suggestion:
    """Show laboratory values, and that what is stated may be of another patient."""
    return replace(
        suggestion,
        inputs=(*suggestion.inputs, *stated.laboratory),
        cautions=(*suggestion.cautions, *((doubt,) if doubt else ())),
    )


def _with_times(suggestion: Suggestion, visit: Examination) -> Suggestion:
    """Say that what was measured is of the time of the examination."""
    inputs = tuple(
        replace(i, time=visit.time) if i.source is InputSource.MEASURED else i
        for i in suggestion.inputs
    )
    return replace(suggestion, inputs=inputs)


def _fleischner(
    nodules: tuple[Lesion, ...], findings: Findings, stated: PatientFacts, options: SuggestOptions
) -> Iterator[Suggestion]:
    rule = load("fleischner")
    for nodule in nodules:
        facts = {
            **density_type(nodule, options),
            **facts_for(rule, stated, nodule.id),
            "screening": Stated(value=False, source=InputSource.EXAMINATION),
            "d": measured(nodule.mean_diameter_mm),
            "multiple": measured(len(nodules) > 1),
        }
        outcome = _asked(rule, facts, FLEISCHNER_NEEDS)
        alternatives = _either_risk(rule, values_of(facts)) if outcome.missing else ()
        ruled = Ruled(
            subject=nodule.id,
            outcome=outcome,
            reason=outcome.reason,
            facts=facts,
            lesion=nodule,
            alternatives=alternatives,
            also=density_input(nodule),
        )
        yield suggestion_of(rule, ruled, findings.study_uid)


def _asked(rule: Rule, facts: dict[str, Stated], needs: tuple[str, ...]) -> Outcome:
    """Ask a rule; nothing that it needs is assumed, unless it stays silent anyway."""
    outcome = evaluate(rule, values_of(facts))
    missing = tuple(name for name in needs if name not in facts)
    if not missing or (outcome.category == REVIEW and not outcome.missing):
        return outcome
    named = [Text(rule.facts[name].meaning) for name in missing]
    reason = Text("Not decided without: {missing}.", {"missing": _joined(named)})
    return Outcome(category=REVIEW, reason=reason, missing=missing)


def _joined(texts: list[Text]) -> Text:
    """Return sentences as a list that can be read in another language."""
    first, *others = texts
    if not others:
        return first
    return Text("{first}, {others}", {"first": first, "others": _joined(others)})


def _either_risk(rule: Rule, known: dict[str, Any]) -> tuple[Alternative, ...]:
    """Return what the table says for low and for high risk, if all else is as assumed."""
    if "type" not in known or "high_risk" in known:
        return ()
    said = [(why, evaluate(rule, known | {"high_risk": risk})) for risk, why in EITHER_RISK]
    return tuple(
        Alternative(category=o.category, reason=why, next_step=o.next_step)
        for why, o in said
        if o.category != REVIEW
    )


def _models(
    nodules: tuple[Lesion, ...],
    findings: Findings,
    stated: PatientFacts,
    options: SuggestOptions,
    *,
    is_screening: bool,
) -> Iterator[Suggestion]:
    """Yield the published model of each nodule for which any of its own facts is stated."""
    name = "brock" if is_screening else "mayo"
    rule = load(name)
    for nodule in nodules:
        facts = facts_for(rule, stated, nodule.id)
        if not set(MODELS[name]) & set(facts):
            continue
        facts["d"] = measured(round(nodule.diameters.longest_mm, 1))
        if "count" in rule.facts:
            facts["count"] = measured(len(nodules))
        if "type" in rule.facts:
            facts = {**density_type(nodule, options), **facts}
        outcome = evaluate(rule, values_of(facts))
        if name == "mayo" and len(nodules) > 1:
            several = Text(SOLITARY, {"count": len(nodules)})
            outcome = Outcome(category=REVIEW, reason=several)
        ruled = Ruled(
            subject=nodule.id,
            outcome=outcome,
            reason=outcome.reason,
            facts=facts,
            lesion=nodule,
        )
        yield suggestion_of(rule, ruled, findings.study_uid)


def of_classification(said: ImageClassification, study_uid: str) -> Suggestion:
    """Return what a model says of an image as a suggestion.

    Args:
        said: Classes and calibrated probabilities.
        study_uid: Examination of the image.
    """
    order = sorted(zip(said.probabilities, said.classes, strict=True), reverse=True)
    (probability, likeliest), *others = order
    maker = Maker(
        kind=MakerKind.MODEL,
        id=said.model,
        version=said.model_digest[:12],
        digest=said.model_digest,
    )
    image = Input(
        name=said.image, meaning="image", value=said.image, source=InputSource.EXAMINATION
    )
    reason = Text(
        "The model gives {likeliest} a probability of {percent:.0f} %.",
        {"likeliest": likeliest, "percent": 100 * probability},
    )
    measured_score = (said.measured,) if str(said.measured) else ()
    of_map = (said.heat_map.trust,) if said.heat_map is not None else ()
    outside = said.out_of_distribution is not None and said.out_of_distribution.is_outside
    if outside:
        reason = said.notices[0]
    return Suggestion(
        rule=said.model,
        applies=not outside,
        category="" if outside else likeliest,
        subject=said.image,
        reason=reason,
        id=identity(study_uid, maker, (said.image, likeliest, str(reason)), (image,)),
        made_by=maker,
        probability=None if outside else probability,
        prediction_set=said.prediction_set,
        out_of_distribution=said.out_of_distribution,
        inputs=(image,),
        cautions=(*said.notices, *_known_image(said)),
        evidence=(_evidence(said),),
        neighbours=said.neighbours,
        alternatives=()
        if outside
        else tuple(
            Alternative(category=name, reason=Text("other class of the model"), probability=share)
            for share, name in others
        ),
        limits=(
            *measured_score,
            *of_map,
            *(() if outside else (Text(NO_COUNTERFACTUAL),)),
            Text("The model has not seen this patient's history and does not replace a reading."),
        ),
    )


def _known_image(said: ImageClassification) -> tuple[Text, ...]:
    is_known = any(one.distance < SAME_IMAGE for one in said.neighbours)
    return (Text(KNOWN_IMAGE),) if is_known else ()


def _evidence(said: ImageClassification) -> Evidence:
    """Return the map with its measured score, if one was made."""
    found = said.heat_map
    if found is None:
        return Evidence(image=said.image)
    chance = "" if found.chance is None else f" (chance {found.chance:.2f})"
    return Evidence(
        image=said.image,
        map_file=found.file,
        map_method=found.method,
        map_score=found.score,
        map_score_name=f"AUPRC{chance}",
    )

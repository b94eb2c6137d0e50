"""Plans that differ in radiation, beams or fractions, and which of them serves this patient best.

Alternatives come in the order of the effort that they take. One is preferred to those before it
only if it lowers a complication by as much as the Dutch protocol asks of protons (10 percentage
points of grade 2 or more, 5 of grade 3, 15 of both together: Langendijk JA et al. Int J Part Ther
2021;8:354-365), and raises none by as much. Outside the head and neck that is a convention of
Aegle. The system suggests; a person decides.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from pydantic.dataclasses import dataclass as validated

from aegle.domain.alternatives import Alternative, Comparison, Estimate
from aegle.domain.errors import InputError
from aegle.domain.plan import Goal, Metric, Plan, Prescription
from aegle.domain.structure import StructureSet
from aegle.domain.text import Text
from aegle.domain.volume import Volume
from aegle.options import option
from aegle.planning import photon_plan, proton_plan
from aegle.planning.dose_volume import DoseAtVolumeOptions, dose_at_volume
from aegle.planning.equivalent_dose import biologically_effective_dose, fraction_for
from aegle.planning.expected_harm import Expected, Harm, PatientFacts, harms
from aegle.planning.photon_options import PhotonPlanOptions
from aegle.planning.proton_options import ProtonPlanOptions
from aegle.planning.proton_selection import (
    Complaint,
    HeadNeckPatient,
    Setting,
    Site,
    thresholds,
)

TUMOUR_ALPHA_BETA_GY = 10.0
"""Of most carcinomas; fewer fractions are chosen to do the same to the tumour."""

COVERAGE = 0.01
"""A plan whose target receives so much less is never preferred."""

Progress = Callable[[int, int], None]


@validated(frozen=True, kw_only=True)
class AlternativeOptions:
    """Whether alternatives are planned, and what is known of the patient beside the images."""

    compared: Annotated[
        bool, option("Plan alternatives and compare them by what they do to this patient")
    ] = False
    fractions: Annotated[
        tuple[int, ...],
        option("Numbers of fractions to try, each with the dose that does the same to the tumour"),
    ] = ()
    factors: Annotated[
        tuple[str, ...],
        option(
            "Facts that models of complications know, such as current_smoker, "
            "pulmonary_comorbidity or concurrent_chemotherapy"
        ),
    ] = ()
    head_neck: Annotated[
        Literal["no", "primary", "postoperative"],
        option("Whether the tumour is one of the head and neck, and what radiotherapy follows"),
    ] = "no"
    site: Annotated[
        Literal["oral_cavity", "pharynx", "larynx"],
        option("Where a tumour of the head and neck lies"),
    ] = "pharynx"
    xerostomia: Annotated[
        Literal["none", "mild", "moderate"],
        option("Dry mouth before treatment: none, a bit, quite a bit or worse (EORTC QLQ-H&N35)"),
    ] = "none"
    dysphagia: Annotated[
        Literal["none", "mild", "moderate"],
        option("Trouble with swallowing before treatment: grade 0 to 1, 2, 3 or worse (CTCAE 4.0)"),
    ] = "none"

    @property
    def facts(self) -> PatientFacts:
        """What is known of the patient."""
        if self.head_neck == "no":
            return PatientFacts(factors=self.factors)
        return PatientFacts(
            factors=self.factors,
            head_neck=HeadNeckPatient(
                setting=Setting(self.head_neck),
                site=Site(self.site),
                xerostomia=Complaint(self.xerostomia),
                dysphagia=Complaint(self.dysphagia),
            ),
        )


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A way to treat."""

    name: Text
    prescription: Prescription
    options: PhotonPlanOptions | ProtonPlanOptions


def usual_choices(
    prescription: Prescription,
    *,
    photons: PhotonPlanOptions,
    protons: ProtonPlanOptions,
    fractions: Sequence[int] = (),
) -> tuple[Choice, ...]:
    """Return photons, photons of more beams, photons in other fractions, and protons.

    Args:
        prescription: As asked.
        photons: How photons are planned.
        protons: How protons are planned.
        fractions: Numbers of fractions to try, each with the dose that does the same to a tumour
            of α/β 10 Gy.
    """
    more = replace(photons, beams=photons.beams + 2, gantry_deg=None)
    found = [
        Choice(name=_beams("photons", photons), prescription=prescription, options=photons),
        Choice(name=_beams("photons", more), prescription=prescription, options=more),
    ]
    for count in fractions:
        other = in_fractions(prescription, count)
        name = Text(
            "photons, {fractions} fractions of {dose:.2f} Gy",
            {"fractions": count, "dose": other.dose_gy / count},
        )
        found.append(Choice(name=name, prescription=other, options=photons))
    found.append(
        Choice(name=_beams("protons", protons), prescription=prescription, options=protons)
    )
    return tuple(found)


def in_fractions(
    prescription: Prescription, fractions: int, *, alpha_beta_gy: float = TUMOUR_ALPHA_BETA_GY
) -> Prescription:
    """Return the prescription that does the same to the tumour in another number of fractions.

    Equal biologically effective dose; doses of the target's goals change alike. Limits of other
    organs stay as they are.

    Raises:
        OptionError: α/β is not positive.
    """
    each_gy = prescription.dose_gy / prescription.fractions
    bed_gy = biologically_effective_dose(prescription.dose_gy, each_gy, alpha_beta_gy)
    dose_gy = fractions * fraction_for(float(bed_gy), fractions, alpha_beta_gy)
    scale = dose_gy / prescription.dose_gy
    goals = tuple(
        _scaled(goal, scale) if goal.structure == prescription.target else goal
        for goal in prescription.goals
    )
    return replace(prescription, dose_gy=dose_gy, fractions=fractions, goals=goals)


def compare(
    ct: Volume,
    structures: StructureSet,
    choices: Sequence[Choice],
    patient: PatientFacts,
    *,
    progress: Progress | None = None,
) -> Comparison:
    """Plan every choice and say which serves the patient best, and why.

    Args:
        ct: Planning CT [HU].
        structures: Targets, body and organs.
        choices: In the order of the effort that they take; the first is what others are measured
            against.
        patient: Facts beside the images.
        progress: Called with plans done and plans in all.

    Returns:
        The alternatives, the preferred one first, and the reasons.

    Raises:
        InputError: There is no choice, or a plan cannot be made; see the plans.
    """
    if not choices:
        raise InputError("There is nothing to compare; give at least one choice.")
    plans = []
    for done, choice in enumerate(choices):
        if progress is not None:
            progress(done, len(choices))
        plans.append(_planned(ct, structures, choice, patient))
    judged = harms(structures, structures[choices[0].prescription.target], patient)
    best, reasons = _preferred(plans, choices, judged)
    order = [best, *(number for number in range(len(plans)) if number != best)]
    if progress is not None:
        progress(len(choices), len(choices))
    return Comparison(
        alternatives=tuple(
            Alternative(
                name=choices[number].name,
                plan=plans[number],
                estimates=tuple(
                    _estimate(e) for harm in judged for e in harm.expected(plans[number])
                ),
            )
            for number in order
        ),
        reasons=reasons,
    )


def _planned(ct: Volume, structures: StructureSet, choice: Choice, patient: PatientFacts) -> Plan:
    asked, options = choice.prescription, choice.options
    if isinstance(options, ProtonPlanOptions):
        return proton_plan.plan(ct, structures, asked, options=options, patient=patient)
    return photon_plan.plan(ct, structures, asked, options=options, patient=patient)


def _preferred(
    plans: Sequence[Plan], choices: Sequence[Choice], judged: Sequence[Harm]
) -> tuple[int, tuple[Text, ...]]:
    best = 0
    reasons: tuple[Text, ...] = ()
    for number in range(1, len(plans)):
        found = _reasons(plans[best], plans[number], judged)
        if found:
            said = Text(
                "{name} rather than {other}:",
                {"name": choices[number].name, "other": choices[best].name},
            )
            best, reasons = number, (said, *found)
    return best, reasons or _kept(plans, choices, judged)


def _reasons(first: Plan, second: Plan, judged: Sequence[Harm]) -> tuple[Text, ...]:
    """Return why the second plan is preferred, with its causes; nothing if it is not."""
    if any(harm.reasons(second, first) for harm in judged) or _covers_less(first, second):
        return ()
    found = []
    for harm in judged:
        reasons = harm.reasons(first, second)
        found += [*reasons, *(harm.causes(first, second) if reasons else ())]
    return tuple(found)


def _covers_less(first: Plan, second: Plan) -> bool:
    """Return whether the target's D95, relative to what is prescribed, is lower in the second."""
    shares = []
    for plan in (first, second):
        target = plan.structures[plan.prescription.target]
        covered_gy = dose_at_volume(plan.dose, target, options=DoseAtVolumeOptions())
        shares.append(covered_gy / plan.prescription.dose_gy)
    return shares[1] < shares[0] * (1 - COVERAGE)


def _kept(
    plans: Sequence[Plan], choices: Sequence[Choice], judged: Sequence[Harm]
) -> tuple[Text, ...]:
    """Say why no alternative is preferred to the first."""
    if not judged:
        return (
            Text(
                "No organ with a published model is delineated, so the alternatives are not "
                "weighed; the first is the one that takes least effort."
            ),
        )
    gains = [
        (gain, number, harm)
        for number in range(1, len(plans))
        for harm in judged
        for gain in harm.gains(plans[0], plans[number])
    ]
    if not gains:
        return ()
    gain, number, harm = max(gains, key=lambda found: found[0].estimate.value)
    largest = Text(
        "No alternative makes a complication less likely by enough. The largest difference is that "
        "of {name}, {gain:.1f} points with {other} ({interval}); at least {least:g} count.",
        {
            "name": gain.name,
            "gain": 100 * gain.estimate.value,
            "other": choices[number].name,
            "interval": _interval(gain),
            "least": thresholds()["grade_2"],
        },
    )
    return (largest, *harm.causes(plans[0], plans[number]))


def _interval(gain: Expected) -> Text:
    low, high = gain.estimate.low, gain.estimate.high
    if low is None or high is None:
        return Text("interval not published")
    return Text("95 % interval {low:.1f} to {high:.1f}", {"low": 100 * low, "high": 100 * high})


def _estimate(found: Expected) -> Estimate:
    low, high = found.estimate.low, found.estimate.high
    return Estimate(
        name=found.name,
        probability=found.estimate.value,
        interval=None if low is None or high is None else (low, high),
        source=found.source,
    )


def _beams(kind: str, options: PhotonPlanOptions | ProtonPlanOptions) -> Text:
    count = len(options.gantry_deg) if options.gantry_deg else options.beams
    return Text("{kind}, {beams} beams", {"kind": Text(kind), "beams": count})


def _scaled(goal: Goal, scale: float) -> Goal:
    if goal.metric is Metric.VOLUME_AT_DOSE:
        assert goal.at is not None
        return replace(goal, at=goal.at * scale)
    limits = {
        name: limit * scale
        for name in ("at_least", "at_most")
        if (limit := getattr(goal, name)) is not None
    }
    return replace(goal, **limits)

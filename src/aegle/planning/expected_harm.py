"""What a plan is expected to do to a patient's organs, by published models.

Which models apply follows from the organs that are delineated and from what is known of the
patient. Probabilities carry the interval of their coefficients, or say that none is published.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from aegle.domain.plan import Plan
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.text import Text
from aegle.planning.complication import ComplicationModel, complication_model
from aegle.planning.dose_volume import doses_inside, mean_dose
from aegle.planning.prescription import lungs_of, recognised
from aegle.planning.proton_selection import (
    Complaint,
    Endpoint,
    HeadNeckDoses,
    HeadNeckPatient,
    Number,
    complication_probability,
    log_odds,
    select,
    thresholds,
)
from aegle.planning.targets import LUNGS_MINUS_GTV, with_lungs_minus_gtv
from aegle.planning.uncertainty import Estimate, PropagationOptions, estimate, estimate_difference

CONSIDERED = (
    "rectum_bleeding",
    "lung_pneumonitis_with_factors",
    "lung_pneumonitis",
    "oesophagitis_with_factors",
    "oesophagitis_chemotherapy",
)
"""Models that are asked, of those for one organ the first that knows the patient's factors; one
with factors is asked only where the patient has some."""
LEAST_GY = 0.01
"""Smaller mean doses count as this one where the gradient would be endless."""
QUANTILES = 1000
"""Doses that stand for an organ's voxels."""


@dataclass(frozen=True, kw_only=True)
class PatientFacts:
    """What else than dose decides how likely a complication is."""

    factors: tuple[str, ...] = ()
    """Of the models in ``complication_models.toml``, as ``current_smoker``."""
    head_neck: HeadNeckPatient | None = None
    """For tumours of the head and neck."""


@dataclass(frozen=True, kw_only=True)
class Expected:
    """A complication and how likely it is, or how much likelier with one plan than another."""

    name: Text
    estimate: Estimate
    source: str


class Harm(Protocol):
    """A complication, or several that are judged together."""

    def expected(self, plan: Plan) -> tuple[Expected, ...]:
        """Return how likely it is with a plan."""
        ...

    def gains(self, first: Plan, second: Plan) -> tuple[Expected, ...]:
        """Return how much likelier it is with the first plan than with the second."""
        ...

    @property
    def organs(self) -> tuple[Structure, ...]:
        """Those whose dose decides."""
        ...

    def penalty(self, doses_gy: Mapping[str, Tensor], fractions: int) -> Tensor:
        """Return the summed probabilities for the doses of some voxels of each organ, by name.

        Differentiable in the doses.
        """
        ...

    def reasons(self, first: Plan, second: Plan) -> tuple[Text, ...]:
        """Return why the second plan is worth more than the first; none if it is not."""
        ...

    def causes(self, first: Plan, second: Plan) -> tuple[Text, ...]:
        """Return what of this patient makes the difference."""
        ...


def harms(structures: StructureSet, target: Structure, patient: PatientFacts) -> tuple[Harm, ...]:
    """Return what is to be judged for a patient.

    Args:
        structures: Delineated organs.
        target: Tells which side is the tumour's.
        patient: Facts beside the images.
    """
    lungs = lungs_of(structures)
    if lungs and LUNGS_MINUS_GTV not in structures:
        structures = with_lungs_minus_gtv(structures, lungs, ())
    found = recognised(structures)
    judged: list[Harm] = [
        OrganHarm(model, structures[found[model.organ]], factors)
        for model, factors in _asked(patient.factors)
        if model.organ in found
    ]
    glands = _Glands.among(structures, target)
    if patient.head_neck is not None and glands is not None:
        judged.append(HeadNeckHarm(glands, patient.head_neck))
    return tuple(judged)


def _asked(factors: Sequence[str]) -> Iterator[tuple[ComplicationModel, tuple[str, ...]]]:
    organs: set[str] = set()
    for name in CONSIDERED:
        model = complication_model(name)
        known = tuple(factor for factor in factors if factor in model.factors)
        if model.organ not in organs and bool(known) == bool(model.factors):
            organs.add(model.organ)
            yield model, known


@dataclass(frozen=True, eq=False)
class OrganHarm:
    """A complication of one organ by a model of its dose distribution."""

    model: ComplicationModel
    organ: Structure
    factors: tuple[str, ...] = ()

    @property
    def name(self) -> Text:
        """The complication and the organ."""
        return Text(
            "{endpoint} ({organ})", {"endpoint": self.model.endpoint, "organ": self.organ.name}
        )

    @property
    def organs(self) -> tuple[Structure, ...]:
        """The organ."""
        return (self.organ,)

    def penalty(self, doses_gy: Mapping[str, Tensor], fractions: int) -> Tensor:
        """Return the probability for doses of the organ's voxels, differentiable in them."""
        return self.model.probability(
            doses_gy[self.organ.name], fractions=fractions, factors=self.factors
        )

    def expected(self, plan: Plan) -> tuple[Expected, ...]:
        """Return how likely it is with a plan."""
        found = estimate(
            self.model,
            self._doses(plan),
            options=PropagationOptions(),
            fractions=plan.prescription.fractions,
            factors=self.factors,
        )
        return (Expected(name=self.name, estimate=found, source=self.model.doi),)

    def gains(self, first: Plan, second: Plan) -> tuple[Expected, ...]:
        """Return how much likelier it is with the first plan than with the second."""
        found = estimate_difference(
            self.model,
            self._doses(first),
            self._doses(second),
            options=PropagationOptions(),
            fractions=(first.prescription.fractions, second.prescription.fractions),
            factors=self.factors,
        )
        return (Expected(name=self.name, estimate=found, source=self.model.doi),)

    def reasons(self, first: Plan, second: Plan) -> tuple[Text, ...]:
        """Return why the second plan is worth more than the first; none if it is not."""
        (gain,) = self.gains(first, second)
        least = thresholds()["grade_2"]
        if 100 * gain.estimate.value < least:
            return ()
        return (_gained(gain, least),)

    def causes(self, first: Plan, second: Plan) -> tuple[Text, ...]:
        """Return what of this patient makes the difference."""
        before_gy, after_gy = (mean_dose(plan.dose, self.organ) for plan in (first, second))
        doses = _dose_change(self.organ.name, before_gy, after_gy)
        if not self.factors:
            return (doses,)
        (bare,) = replace(self, factors=()).gains(first, second)
        sentence = Text(
            "This patient has {factors}; without, the difference would be {gain:.1f} points.",
            {
                "factors": ", ".join(f.replace("_", " ") for f in self.factors),
                "gain": 100 * bare.estimate.value,
            },
        )
        return doses, sentence

    def _doses(self, plan: Plan) -> Tensor:
        inside = doses_inside(plan.dose, self.organ).astype(np.float64)
        if inside.size > QUANTILES:
            inside = np.quantile(inside, (np.arange(QUANTILES) + 0.5) / QUANTILES)
        return torch.from_numpy(inside)


@dataclass(frozen=True, eq=False)
class _Glands:
    """Organs that the Dutch protocol looks at."""

    parotids: tuple[Structure, Structure]
    """On the tumour's side first."""
    submandibular: tuple[Structure, ...]
    oral_cavity: Structure
    constrictors: tuple[Structure, Structure, Structure]
    """Superior, middle and inferior."""

    @classmethod
    def among(cls, structures: StructureSet, target: Structure) -> "_Glands | None":
        found = recognised(structures)
        pharynx = [f"constrictor_{part}" for part in ("superior", "middle", "inferior")]
        needed = ("oral_cavity", "parotid_left", "parotid_right", *pharynx)
        under = [f"submandibular_{s}" for s in ("left", "right") if f"submandibular_{s}" in found]
        if not under or not all(name in found for name in needed):
            return None
        organ = {name: structures[found[name]] for name in (*needed, *under)}

        def away_mm(gland: Structure) -> float:
            return float(np.linalg.norm(np.subtract(gland.centroid_mm, target.centroid_mm)))

        near, far = sorted((organ["parotid_left"], organ["parotid_right"]), key=away_mm)
        superior, middle, inferior = (organ[name] for name in pharynx)
        return cls(
            parotids=(near, far),
            submandibular=tuple(organ[name] for name in under),
            oral_cavity=organ["oral_cavity"],
            constrictors=(superior, middle, inferior),
        )

    @property
    def all(self) -> tuple[Structure, ...]:
        return (*self.parotids, *self.submandibular, self.oral_cavity, *self.constrictors)

    def doses(self, plan: Plan) -> HeadNeckDoses:
        return HeadNeckDoses(**self.means(lambda organ: mean_dose(plan.dose, organ)))

    def means(self, mean_gy: Callable[[Structure], Number]) -> dict[str, Number]:
        """Return mean doses under the names of the protocol."""
        near, far, cavity, superior, middle, inferior = (
            mean_gy(organ) for organ in (*self.parotids, self.oral_cavity, *self.constrictors)
        )
        volume_ml = sum(gland.volume_ml for gland in self.submandibular)
        parts = [mean_gy(gland) * (gland.volume_ml / volume_ml) for gland in self.submandibular]
        return {
            "parotid_ipsilateral": near,
            "parotid_contralateral": far,
            "submandibular": parts[0] if len(parts) == 1 else parts[0] + parts[1],
            "oral_cavity": cavity,
            "constrictor_superior": superior,
            "constrictor_middle": middle,
            "constrictor_inferior": inferior,
        }


@dataclass(frozen=True, eq=False)
class HeadNeckHarm:
    """Dry mouth and trouble with swallowing, as the Dutch protocol weighs them."""

    glands: _Glands
    patient: HeadNeckPatient

    @cached_property
    def source(self) -> str:
        """The protocol."""
        return "Langendijk 2021, PMC8270079"

    @property
    def organs(self) -> tuple[Structure, ...]:
        """The glands and muscles."""
        return self.glands.all

    def penalty(self, doses_gy: Mapping[str, Tensor], fractions: int) -> Tensor:  # noqa: ARG002
        """Return the summed probabilities for doses of the organs' voxels, differentiable.

        The protocol takes physical doses, whatever the fractions.
        """
        means = self.glands.means(lambda organ: doses_gy[organ.name].mean().clamp(min=LEAST_GY))
        odds = [log_odds(endpoint, means, self.patient) for endpoint in Endpoint]
        return torch.stack(odds).sigmoid().sum()

    def expected(self, plan: Plan) -> tuple[Expected, ...]:
        """Return how likely each is with a plan."""
        doses = self.glands.doses(plan)
        return tuple(
            self._of(endpoint, complication_probability(endpoint, doses, self.patient))
            for endpoint in Endpoint
        )

    def gains(self, first: Plan, second: Plan) -> tuple[Expected, ...]:
        """Return how much likelier each is with the first plan than with the second."""
        pairs = zip(self.expected(first), self.expected(second), strict=True)
        return tuple(
            self._of(endpoint, a.estimate.value - b.estimate.value)
            for endpoint, (a, b) in zip(Endpoint, pairs, strict=True)
        )

    def reasons(self, first: Plan, second: Plan) -> tuple[Text, ...]:
        """Return the protocol's thresholds that the difference meets."""
        found = select(self.glands.doses(first), self.glands.doses(second), self.patient)
        return tuple(
            Text("{reason} (interval not published).", {"reason": reason})
            for reason in found.reasons
        )

    def causes(self, first: Plan, second: Plan) -> tuple[Text, ...]:
        """Return which organs are spared, and what the complaints before treatment change."""
        before, after = self.glands.doses(first), self.glands.doses(second)
        changes = {
            self.glands.parotids[0].name: (before.parotid_ipsilateral, after.parotid_ipsilateral),
            self.glands.parotids[1].name: (
                before.parotid_contralateral,
                after.parotid_contralateral,
            ),
            self.glands.oral_cavity.name: (before.oral_cavity, after.oral_cavity),
            "submandibular glands": (before.submandibular, after.submandibular),
        }
        most = sorted(changes.items(), key=lambda item: item[1][1] - item[1][0])[:2]
        found = [_dose_change(organ, *doses) for organ, doses in most]
        healthy = replace(self.patient, xerostomia=Complaint.NONE, dysphagia=Complaint.NONE)
        if healthy != self.patient:
            bare = select(before, after, healthy)
            found.append(
                Text(
                    "Complaints before treatment: dry mouth {xerostomia}, swallowing {dysphagia}. "
                    "Without them both complications of grade 2 or more would be {gain:.1f} "
                    "points less likely together.",
                    {
                        "xerostomia": self.patient.xerostomia.value,
                        "dysphagia": self.patient.dysphagia.value,
                        "gain": bare.summed_gain,
                    },
                )
            )
        return tuple(found)

    def _of(self, endpoint: Endpoint, value: float) -> Expected:
        name = Text(
            "{complication} of grade {grade} or more at six months",
            {"complication": endpoint.complication, "grade": endpoint.grade},
        )
        bare = Estimate(
            value=value, low=None, high=None, level_percent=95.0, not_published=("all",)
        )
        return Expected(name=name, estimate=bare, source=self.source)


def _gained(gain: Expected, least: float) -> Text:
    facts: dict[str, str | int | float | Text] = {
        "name": gain.name,
        "gain": 100 * gain.estimate.value,
        "least": least,
    }
    if gain.estimate.low is None or gain.estimate.high is None:
        return Text(
            "{name}: {gain:.1f} points less likely, at least {least:g} count (interval not "
            "published).",
            facts,
        )
    facts |= {"low": 100 * gain.estimate.low, "high": 100 * gain.estimate.high}
    return Text(
        "{name}: {gain:.1f} points less likely (95 % interval {low:.1f} to {high:.1f}), at least "
        "{least:g} count.",
        facts,
    )


def _dose_change(organ: str, before_gy: float, after_gy: float) -> Text:
    return Text(
        "Mean dose of {organ}: {after:.1f} Gy instead of {before:.1f} Gy.",
        {"organ": organ, "before": before_gy, "after": after_gy},
    )

"""Photons or protons for the head and neck, by the complications that protons spare this patient.

The Dutch model-based protocol: Langendijk JA et al. Int J Part Ther 2021;8:354-365, PMC8270079.
Coefficients and thresholds are data (``proton_selection.toml``). The system suggests; a person
decides.
"""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import Enum
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any, TypeVar

from torch import Tensor

from aegle.domain.errors import InputError
from aegle.domain.text import Text
from aegle.planning.dose_response import logistic

Number = TypeVar("Number", float, Tensor)

ROUNDING = 1e-9
"""In percentage points; a threshold met to this precision is met."""


class Setting(Enum):
    """What the radiotherapy follows."""

    PRIMARY = "primary"
    POSTOPERATIVE = "postoperative"


class Complaint(Enum):
    """A complaint before treatment.

    Xerostomia: none, a bit, quite a bit or worse (EORTC QLQ-H&N35). Dysphagia: grade 0 to 1, 2, 3
    or worse (CTCAE 4.0).
    """

    NONE = "none"
    MILD = "mild"
    MODERATE = "moderate"


class Site(Enum):
    """Where the tumour lies."""

    ORAL_CAVITY = "oral_cavity"
    PHARYNX = "pharynx"
    LARYNX = "larynx"


class Endpoint(Enum):
    """A complication at six months, and its grade."""

    XEROSTOMIA_2 = ("xerostomia", 2)
    XEROSTOMIA_3 = ("xerostomia", 3)
    DYSPHAGIA_2 = ("dysphagia", 2)
    DYSPHAGIA_3 = ("dysphagia", 3)

    @property
    def complication(self) -> str:
        """``xerostomia`` or ``dysphagia``."""
        return self.value[0]

    @property
    def grade(self) -> int:
        """Least grade that counts."""
        return self.value[1]


@dataclass(frozen=True, kw_only=True)
class HeadNeckPatient:
    """What else than dose decides."""

    setting: Setting
    site: Site
    xerostomia: Complaint = Complaint.NONE
    dysphagia: Complaint = Complaint.NONE


@dataclass(frozen=True, kw_only=True)
class HeadNeckDoses:
    """Mean doses of the organs that matter [Gy]."""

    parotid_ipsilateral: float
    parotid_contralateral: float
    submandibular: float
    """Of both glands together."""
    oral_cavity: float
    constrictor_superior: float
    constrictor_middle: float
    constrictor_inferior: float

    def __post_init__(self) -> None:
        for part in fields(self):
            dose_gy = getattr(self, part.name)
            if not (math.isfinite(dose_gy) and dose_gy >= 0):
                raise InputError(
                    f"The mean dose of '{part.name}' must be at least 0 Gy, got {dose_gy}."
                )


NO_DOSE = HeadNeckDoses(
    parotid_ipsilateral=0.0,
    parotid_contralateral=0.0,
    submandibular=0.0,
    oral_cavity=0.0,
    constrictor_superior=0.0,
    constrictor_middle=0.0,
    constrictor_inferior=0.0,
)
"""What protons would give at the very best."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What protons spare, and whether that suffices."""

    photons: Mapping[Endpoint, float]
    """NTCP in [0, 1]."""
    protons: Mapping[Endpoint, float]
    reasons: tuple[Text, ...]
    """Thresholds that are met; none means photons."""
    source: str

    @property
    def gains(self) -> Mapping[Endpoint, float]:
        """NTCP with photons less that with protons [percentage points]."""
        return {e: 100 * (self.photons[e] - self.protons[e]) for e in Endpoint}

    @property
    def summed_gain(self) -> float:
        """Of both complications of grade 2 or more [percentage points]."""
        return sum(gain for endpoint, gain in self.gains.items() if endpoint.grade == 2)

    @property
    def is_for_protons(self) -> bool:
        """Whether the protocol selects protons."""
        return bool(self.reasons)


def complication_probability(
    endpoint: Endpoint, doses: HeadNeckDoses, patient: HeadNeckPatient
) -> float:
    """Return the probability of a complication."""
    return float(logistic(log_odds(endpoint, vars(doses), patient)))


def log_odds(
    endpoint: Endpoint, doses_gy: Mapping[str, Number], patient: HeadNeckPatient
) -> Number:
    """Return the logarithm of a complication's odds.

    Args:
        endpoint: The complication.
        doses_gy: Mean doses under the names of :class:`HeadNeckDoses`, numbers or tensors.
        patient: Setting, site and complaints.
    """
    row = _table()[patient.setting.value][endpoint.complication][str(endpoint.grade)]
    if endpoint.complication == "xerostomia":
        near, far = doses_gy["parotid_ipsilateral"], doses_gy["parotid_contralateral"]
        effect = row["parotid"] * (near**0.5 + far**0.5)
        effect = effect + row["submandibular"] * doses_gy["submandibular"]
        other = row["complaint"][patient.xerostomia.value]
    else:
        effect = (
            row["oral_cavity"] * doses_gy["oral_cavity"]
            + row["superior"] * doses_gy["constrictor_superior"]
            + row["middle"] * doses_gy["constrictor_middle"]
            + row["inferior"] * doses_gy["constrictor_inferior"]
        )
        other = row["complaint"][patient.dysphagia.value] + row["site"][patient.site.value]
    found: Number = row["intercept"] + effect + other
    return found


def select(photons: HeadNeckDoses, protons: HeadNeckDoses, patient: HeadNeckPatient) -> Selection:
    """Compare a photon and a proton plan by the protocol's thresholds.

    Args:
        photons: Mean doses of the photon plan.
        protons: Mean doses of the proton plan.
        patient: Setting, site and complaints.

    Returns:
        Probabilities of both plans and the thresholds that the difference meets.
    """
    first, second = (
        {e: complication_probability(e, doses, patient) for e in Endpoint}
        for doses in (photons, protons)
    )
    bare = Selection(
        photons=MappingProxyType(first),
        protons=MappingProxyType(second),
        reasons=(),
        source=_table()["source"],
    )
    return Selection(
        photons=bare.photons, protons=bare.protons, reasons=_reasons(bare), source=bare.source
    )


def thresholds() -> Mapping[str, float]:
    """Return the least differences of NTCP that count [percentage points].

    Keys are ``grade_2``, ``grade_3`` and ``sum_of_grade_2``.
    """
    return MappingProxyType(_table()["thresholds"])


def prescreen(photons: HeadNeckDoses, patient: HeadNeckPatient) -> Selection:
    """Compare a photon plan with protons that spare everything.

    If that does not meet a threshold, no proton plan can, and none need be made.
    """
    return select(photons, NO_DOSE, patient)


def _reasons(selection: Selection) -> tuple[Text, ...]:
    limits = thresholds()
    found = [
        Text(
            "{complication} of grade {grade} or more: {gain:.1f} points less, at least "
            "{limit:g} count",
            {
                "complication": endpoint.complication,
                "grade": endpoint.grade,
                "gain": gain,
                "limit": limits[f"grade_{endpoint.grade}"],
            },
        )
        for endpoint, gain in selection.gains.items()
        if gain >= limits[f"grade_{endpoint.grade}"] - ROUNDING
    ]
    if selection.summed_gain >= limits["sum_of_grade_2"] - ROUNDING:
        found.append(
            Text(
                "both complications of grade 2 or more: {gain:.1f} points less, at least "
                "{limit:g} count",
                {"gain": selection.summed_gain, "limit": limits["sum_of_grade_2"]},
            )
        )
    return tuple(found)


@cache
def _table() -> dict[str, Any]:
    file = resources.files("aegle.planning") / "proton_selection.toml"
    return tomllib.loads(file.read_text(encoding="utf-8"))

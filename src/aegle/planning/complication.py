"""How likely a treatment harms an organ.

Models and their coefficients are data (``complication_models.toml``), each with its source, what
it was checked against and its published confidence intervals. Doses are converted to fractions of
2 Gy voxel by voxel where the number of fractions is given.
"""

import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from statistics import NormalDist
from types import MappingProxyType
from typing import Any

from torch import Tensor

from aegle.domain.errors import OptionError
from aegle.planning.dose_response import logistic, probit
from aegle.planning.equivalent_dose import as_doses, generalised_eud, voxels_in_2gy

LKB, LOGIT, LOGIT50 = "lkb", "logit", "logit50"
WIDTH_95 = 2 * NormalDist().inv_cdf(0.975)
"""Width of a 95 % interval in standard errors."""


@dataclass(frozen=True, kw_only=True)
class Coefficient:
    """A fitted number and its published 95 % confidence interval, if any."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def is_published(self) -> bool:
        """Whether an interval is published."""
        return self.low is not None and self.high is not None


@dataclass(frozen=True, kw_only=True)
class ComplicationModel:
    """A dose-response curve of one organ and endpoint."""

    name: str
    organ: str
    endpoint: str
    kind: str
    """``lkb``, ``logit`` or ``logit50``; see ``complication_models.toml``."""
    alpha_beta_gy: float
    coefficients: Mapping[str, Coefficient]
    factors: Mapping[str, Coefficient] = field(default_factory=dict)
    """What else changes the odds: logarithms of odds ratios."""
    correlations: tuple[tuple[str, str, float], ...] = ()
    """Pairs of coefficients whose errors are known to go together."""
    source: str
    doi: str
    checked: str

    def __post_init__(self) -> None:
        for name in ("coefficients", "factors"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def __reduce__(self) -> tuple[Any, ...]:
        """Rebuild from plain values (models cross process borders)."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        plain = {k: dict(v) if isinstance(v, MappingProxyType) else v for k, v in values.items()}
        return _rebuilt, (plain,)

    def used(self, factors: Sequence[str] = ()) -> dict[str, Coefficient]:
        """Return the coefficients that take part, with those of the patient's factors.

        Raises:
            OptionError: The model does not know a factor.
        """
        unknown = sorted(set(factors) - set(self.factors))
        if unknown:
            known = ", ".join(self.factors) or "none"
            raise OptionError(
                f"Model '{self.name}' has no factor {', '.join(unknown)}; known: {known}."
            )
        return dict(self.coefficients) | {name: self.factors[name] for name in factors}

    def in_2gy(self, doses_gy: Tensor, fractions: int | None) -> Tensor:
        """Return the doses as the model takes them [Gy]; unchanged if ``fractions`` is None."""
        if fractions is None:
            return doses_gy
        return voxels_in_2gy(doses_gy, fractions, self.alpha_beta_gy)

    def probability(
        self,
        doses_gy: Tensor | list[float] | tuple[float, ...],
        *,
        shares: Tensor | list[float] | None = None,
        fractions: int | None = None,
        factors: Sequence[str] = (),
        coefficients: Mapping[str, float] | None = None,
    ) -> Tensor:
        """Return the probability of the complication, differentiable in the doses.

        Args:
            doses_gy: Doses of the organ's voxels or of a histogram's bins over all fractions.
            shares: Volumes of the bins; equal if not given.
            fractions: Converts the doses to fractions of 2 Gy; None if they are already.
            factors: Those that the patient has.
            coefficients: Values in place of the published ones, by name.

        Raises:
            OptionError: The model does not know a factor.
            InputError: There is no dose.
        """
        values = {name: used.value for name, used in self.used(factors).items()}
        values |= dict(coefficients or {})
        doses = self.in_2gy(as_doses(doses_gy), fractions)
        volumes = None if shares is None else as_doses(shares).to(doses)
        if self.kind == LKB:
            eud_gy = generalised_eud(doses, 1 / values["n"], volumes)
            return probit(eud_gy, values["td50_gy"], values["m"])
        extra = sum(values[name] for name in factors)
        return logistic(self._log_odds(generalised_eud(doses, 1.0, volumes), values) + extra)

    def _log_odds(self, mean_gy: Tensor, values: Mapping[str, float]) -> Tensor:
        if self.kind == LOGIT:
            return values["intercept"] + values["per_gy"] * mean_gy
        return 4 * values["gamma50"] * (mean_gy / values["d50_gy"] - 1)


def complication_model(name: str) -> ComplicationModel:
    """Return a published model.

    Raises:
        OptionError: There is no model of that name.
    """
    if name not in complication_models():
        raise OptionError(
            f"No complication model '{name}'; known: {', '.join(complication_models())}."
        )
    return complication_models()[name]


@cache
def complication_models() -> Mapping[str, ComplicationModel]:
    """Return all published models by name."""
    file = resources.files("aegle.planning") / "complication_models.toml"
    table = tomllib.loads(file.read_text(encoding="utf-8"))
    found = [_model(row) for row in table["model"]]
    found += _burman(table["burman"])
    return MappingProxyType({model.name: model for model in found})


def models_of(organ: str) -> tuple[ComplicationModel, ...]:
    """Return the published models of an organ, by Aegle's name of it."""
    return tuple(model for model in complication_models().values() if model.organ == organ)


def _rebuilt(values: dict[str, Any]) -> ComplicationModel:
    return ComplicationModel(**values)


def _model(row: Mapping[str, Any]) -> ComplicationModel:
    plain = {k: v for k, v in row.items() if k not in ("coefficients", "factors", "correlations")}
    return ComplicationModel(
        coefficients={k: Coefficient(**v) for k, v in row["coefficients"].items()},
        factors={k: _factor(v) for k, v in row.get("factors", {}).items()},
        correlations=tuple((a, b, float(r)) for a, b, r in row.get("correlations", ())),
        **plain,
    )


def _factor(row: Mapping[str, float]) -> Coefficient:
    """Return the log odds of a factor, with the interval that follows from its p value."""
    value = row["log_odds"] if "log_odds" in row else math.log(row["odds_ratio"])
    if "p_value" not in row:
        return Coefficient(value=value)
    error = abs(value) / NormalDist().inv_cdf(1 - row["p_value"] / 2)
    half = error * WIDTH_95 / 2
    return Coefficient(value=value, low=value - half, high=value + half)


def _burman(table: Mapping[str, Any]) -> Iterator[ComplicationModel]:
    shared = {k: v for k, v in table.items() if k != "organs"}
    for row in table["organs"]:
        yield ComplicationModel(
            name=f"{row['organ']}_burman",
            organ=row["organ"],
            endpoint=row["endpoint"],
            kind=LKB,
            coefficients={k: Coefficient(value=row[k]) for k in ("td50_gy", "m", "n")},
            **shared,
        )

"""PERCIST 1.0: response by the uptake of the hottest lesion.

Sources:
    Wahl RL et al. J Nucl Med 2009;50(Suppl 1):122S-150S, table 6, doi:10.2967/jnumed.108.057307.
    O JH et al. Radiology 2016;280:576-584 (PMC4976461), on how its thresholds are read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from aegle.domain.errors import InputError
from aegle.domain.text import Text
from aegle.response.criterion import Criterion, JudgedVisit, Judgement, is_within_error, load

CMR, PMR, SMD, PMD, NE = "CMR", "PMR", "SMD", "PMD", "NE"
CATEGORIES = (CMR, PMR, SMD, PMD, NE)


@dataclass(frozen=True, kw_only=True)
class Uptake:
    """What one PET shows. The lesion need not be the same at each visit."""

    sul_peak: Decimal | None
    """Of the hottest lesion [g/mL]; None if it was not measured."""
    is_complete: bool = False
    """Whether no lesion differs from its surroundings and all lie below the liver."""
    has_new_lesion: bool = False
    others_progressed: bool = False
    glycolysis_g: Decimal | None = None
    """Total lesion glycolysis [g]."""

    def __post_init__(self) -> None:
        for name, value in (("SULpeak", self.sul_peak), ("glycolysis", self.glycolysis_g)):
            if value is not None and (not value.is_finite() or value < 0):
                raise InputError(f"{name} is {value}; give 0 or more, null if it was not measured.")


def measurable_from(
    mean: Decimal, deviation: Decimal, *, liver_is_diseased: bool = False
) -> Decimal:
    """Return the SULpeak from which a lesion is measurable at baseline [g/mL].

    Args:
        mean: Mean SUL of the liver, or of the blood pool if the liver is diseased.
        deviation: Standard deviation of the same region.
        liver_is_diseased: Whether the region is the blood pool of the descending aorta.
    """
    criterion = load("percist-1.0")
    factor = criterion[
        "measurable_blood_factor" if liver_is_diseased else "measurable_liver_factor"
    ]
    return factor * mean + criterion["measurable_liver_sd"] * deviation


def judge(
    visits: Sequence[Uptake],
    *,
    policies: Mapping[str, str] | None = None,
    measurable_sul: Decimal | None = None,
) -> Judgement:
    """Judge every visit after baseline by PERCIST 1.0.

    Args:
        visits: Baseline first.
        policies: Choices that differ from the defaults; see ``criteria/percist_1_0.toml``.
        measurable_sul: From ``measurable_from``; below it at baseline nothing can be judged.

    Returns:
        One verdict per later visit: CMR, PMR, SMD, PMD or NE.

    Raises:
        InputError: There is no later visit, or baseline was not measured.
        OptionError: There is no such policy or choice.
    """
    criterion = load("percist-1.0")
    chosen = criterion.choose(policies)
    if len(visits) < 2:
        raise InputError(
            f"Response compares with a baseline: expected at least 2 visits, got {len(visits)}."
        )
    baseline = visits[0]
    if baseline.sul_peak is None:
        raise InputError("SULpeak has no value at baseline; measure the hottest lesion.")
    is_measurable = measurable_sul is None or baseline.sul_peak >= measurable_sul
    verdicts, nadir = [], baseline.sul_peak
    for number, visit in enumerate(visits[1:], start=1):
        against = nadir if chosen["reference"] == "nadir" else baseline.sul_peak
        category, rule = _response(visit, baseline, against, criterion, chosen)
        if not is_measurable and rule not in ("new-lesion", "non-target-progression"):
            category, rule = NE, "not-measurable"
        verdicts.append(_verdict(number, (category, rule), visit, (baseline, against), criterion))
        nadir = nadir if visit.sul_peak is None else min(nadir, visit.sul_peak)
    return Judgement(criterion=criterion, policies=chosen, verdicts=tuple(verdicts))


def _verdict(
    number: int,
    found: tuple[str, str],
    visit: Uptake,
    references: tuple[Uptake, Decimal],
    criterion: Criterion,
) -> JudgedVisit:
    category, rule = found
    baseline, against = references
    reference = against if category == PMD else baseline.sul_peak
    now = visit.sul_peak
    known = now is not None and reference is not None
    return JudgedVisit(
        visit=number,
        category=category,
        rule=rule,
        reason=Text(criterion.rules[rule].text),
        facts={"sul_peak": now, "baseline": baseline.sul_peak, "reference": against},
        is_within_error=is_within_error(now, reference, criterion.error)  # type: ignore[arg-type]
        if known
        else None,
    )


def _response(
    visit: Uptake,
    baseline: Uptake,
    against: Decimal,
    criterion: Criterion,
    chosen: Mapping[str, str],
) -> tuple[str, str]:
    if visit.has_new_lesion:
        return PMD, "new-lesion"
    if visit.others_progressed:
        return PMD, "non-target-progression"
    if _glycolysis_grew(visit, baseline, criterion):
        return PMD, "glycolysis-progression"
    if visit.sul_peak is None:
        return (CMR, "complete") if visit.is_complete else (NE, "not-assessed")
    if _grew(visit.sul_peak, against, criterion, chosen):
        return PMD, "uptake-progression"
    if visit.is_complete or visit.sul_peak == 0:
        return CMR, "complete"
    before = baseline.sul_peak or Decimal(0)
    decrease = before - visit.sul_peak
    if (
        before > 0
        and decrease >= criterion["response_decrease"] * before
        and decrease >= criterion["response_decrease_absolute"]
    ):
        return PMR, "uptake-response"
    return SMD, "stable"


def _grew(now: Decimal, before: Decimal, criterion: Criterion, chosen: Mapping[str, str]) -> bool:
    increase = now - before
    least = criterion["progression_increase"] * before
    reaches = increase > least if chosen["progression_bound"] == "above" else increase >= least
    return increase > 0 and reaches and increase >= criterion["progression_increase_absolute"]


def _glycolysis_grew(visit: Uptake, baseline: Uptake, criterion: Criterion) -> bool:
    now, before = visit.glycolysis_g, baseline.glycolysis_g
    if now is None or before is None or before <= 0:
        return False
    return now - before >= criterion["glycolysis_increase"] * before

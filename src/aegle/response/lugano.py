"""The Lugano classification: response of lymphoma by CT and by FDG PET (Deauville).

Source: Cheson BD et al. J Clin Oncol 2014;32:3059-3068, table 3, doi:10.1200/JCO.2013.54.8800.
Sizes are centimetres, as in the publication. Nadirs are per lesion.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from aegle.domain.errors import InputError
from aegle.domain.text import Text
from aegle.response.criterion import Criterion, JudgedVisit, Judgement, is_within_error, load
from aegle.response.patient_course import Seen

CR, PR, SD, PD, NE = "CR", "PR", "SD", "PD", "NE"
CMR, PMR, NMR, PMD = "CMR", "PMR", "NMR", "PMD"
CATEGORIES = (CR, PR, SD, PD, NE)
METABOLIC_CATEGORIES = (CMR, PMR, NMR, PMD, NE)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A node or extranodal lesion at one visit."""

    lesion: str
    longest_cm: Decimal | None
    """LDi; None if it was not assessed."""
    shortest_cm: Decimal | None
    """SDi, perpendicular to it."""
    is_extranodal: bool = False
    is_too_small: bool = False

    def __post_init__(self) -> None:
        longest, shortest = self.longest_cm, self.shortest_cm
        if (longest is None) != (shortest is None):
            raise InputError(f"Lesion '{self.lesion}' has one diameter; give both or neither.")
        if longest is None or shortest is None:
            return
        if not (longest.is_finite() and shortest.is_finite() and 0 <= shortest <= longest):
            raise InputError(
                f"Lesion '{self.lesion}' has the diameters {longest} and {shortest} cm; the "
                "longest comes first and neither is negative."
            )

    @property
    def product_cm2(self) -> Decimal:
        """Product of both diameters."""
        return (self.longest_cm or Decimal(0)) * (self.shortest_cm or Decimal(0))


@dataclass(frozen=True, kw_only=True)
class LymphomaVisit:
    """What one examination shows."""

    lesions: tuple[Measured, ...] = ()
    others: Seen | None = None
    """Lesions that are not measured, together; None if there are none."""
    has_new_lesion: bool = False
    spleen_cm: Decimal | None = None
    marrow_is_involved: bool | None = None
    deauville: int | None = None
    """1 to 5."""
    uptake: str = ""
    """``reduced``, ``unchanged`` or ``increased`` against baseline; for Deauville 4 and 5."""

    def __post_init__(self) -> None:
        if self.deauville is not None and self.deauville not in range(1, 6):
            raise InputError(f"Deauville score {self.deauville} is none; give 1 to 5.")
        if self.uptake not in ("", "reduced", "unchanged", "increased"):
            raise InputError(f"Uptake is '{self.uptake}'; give reduced, unchanged or increased.")


def node_progresses(now: Measured, nadir: Measured, criterion: Criterion | None = None) -> bool:
    """Return whether one lesion progressed since its nadir.

    It must be abnormal, its product must have risen by half, and one of its diameters by 0.5 cm if
    its longest was at most 2 cm at nadir, else by 1.0 cm. An extranodal lesion is abnormal whatever
    its size.
    """
    rules = criterion or load("lugano-2014")
    if now.longest_cm is None or nadir.longest_cm is None:
        return False
    is_small = nadir.longest_cm <= rules["small_lesion_cm"]
    least_cm = rules["increase_small_cm" if is_small else "increase_large_cm"]
    grew_cm = max(
        now.longest_cm - nadir.longest_cm,
        (now.shortest_cm or Decimal(0)) - (nadir.shortest_cm or Decimal(0)),
    )
    rise_cm2 = now.product_cm2 - nadir.product_cm2
    return (
        now.longest_cm > rules["progression_longest_cm"]
        and rise_cm2 >= rules["progression_increase"] * nadir.product_cm2
        and grew_cm >= least_cm
    )


def spleen_limit_cm(baseline_cm: Decimal, *, normal_cm: Decimal | None = None) -> Decimal:
    """Return the length that the spleen must reach or exceed to progress [cm].

    An enlarged one must exceed its baseline by half of its excess over normal: 16 cm for 15 cm. One
    that was normal must reach 2 cm more than at baseline.

    Args:
        baseline_cm: Length at baseline.
        normal_cm: Up to which a spleen is normal; 13 cm by default.
    """
    rules = load("lugano-2014")
    excess_cm = baseline_cm - (rules["normal_spleen_cm"] if normal_cm is None else normal_cm)
    if excess_cm <= 0:
        return baseline_cm + rules["spleen_increase_cm"]
    return baseline_cm + rules["spleen_progression"] * excess_cm


def spleen_progresses(
    now_cm: Decimal, baseline_cm: Decimal, *, normal_cm: Decimal | None = None
) -> bool:
    """Return whether the spleen grew by what progression asks for, and is enlarged.

    Args:
        now_cm: Length now.
        baseline_cm: Length at baseline.
        normal_cm: Up to which a spleen is normal; 13 cm by default.
    """
    most_cm = load("lugano-2014")["normal_spleen_cm"] if normal_cm is None else normal_cm
    limit_cm = spleen_limit_cm(baseline_cm, normal_cm=most_cm)
    if baseline_cm > most_cm:
        return now_cm > limit_cm
    return now_cm >= limit_cm and now_cm > most_cm


def new_lesion_counts(
    axis_cm: Decimal, *, is_extranodal: bool, is_unequivocal: bool = False
) -> bool:
    """Return whether a new lesion is progression.

    Args:
        axis_cm: Its largest axis.
        is_extranodal: Whether it is no lymph node.
        is_unequivocal: Whether it is lymphoma beyond doubt; smaller extranodal ones count then.
    """
    rules = load("lugano-2014")
    if is_extranodal and is_unequivocal:
        return axis_cm > 0
    return axis_cm > rules["new_extranodal_cm" if is_extranodal else "new_node_cm"]


def judge(
    visits: Sequence[LymphomaVisit], *, policies: Mapping[str, str] | None = None
) -> tuple[Judgement, Judgement]:
    """Judge every visit after baseline, by sizes and by uptake.

    Args:
        visits: Baseline first.
        policies: Choices that differ from the defaults; see ``criteria/lugano_2014.toml``.

    Returns:
        The response by CT (CR, PR, SD, PD, NE) and the metabolic one (CMR, PMR, NMR, PMD, NE).

    Raises:
        InputError: There is no later visit, or a lesion was not measured at baseline.
        OptionError: There is no such policy or choice.
    """
    criterion = load("lugano-2014")
    chosen = criterion.choose(policies)
    if len(visits) < 2:
        raise InputError(
            f"Response compares with a baseline: expected at least 2 visits, got {len(visits)}."
        )
    for lesion in visits[0].lesions:
        if lesion.longest_cm is None and not lesion.is_too_small:
            raise InputError(f"Lesion '{lesion.lesion}' has no size at baseline; measure it.")
    sizes, uptakes, nadirs = [], [], _sized(visits[0], criterion)
    for number, visit in enumerate(visits[1:], start=1):
        sizes.append(_by_size(number, visit, (visits[0], nadirs), criterion))
        uptakes.append(_by_uptake(number, visit, criterion, chosen))
        for name, lesion in _sized(visit, criterion).items():
            if name in nadirs and lesion.product_cm2 <= nadirs[name].product_cm2:
                nadirs[name] = lesion
    return (
        Judgement(
            criterion=criterion, policies=chosen, verdicts=tuple(sizes), notes=_notes(visits[0])
        ),
        Judgement(criterion=criterion, policies=chosen, verdicts=tuple(uptakes)),
    )


def _notes(baseline: LymphomaVisit) -> tuple[Text, ...]:
    most = load("lugano-2014")["most_targets"]
    if len(baseline.lesions) <= most:
        return ()
    template = "{count} targets were chosen; at most {most} are allowed."
    return (Text(template, {"count": len(baseline.lesions), "most": str(most)}),)


def _sized(visit: LymphomaVisit, criterion: Criterion) -> dict[str, Measured]:
    """Return the lesions that were assessed; those too small to measure by their default."""
    least_cm = criterion["too_small_cm"]
    return {
        item.lesion: Measured(
            lesion=item.lesion,
            longest_cm=least_cm if item.is_too_small else item.longest_cm,
            shortest_cm=least_cm if item.is_too_small else item.shortest_cm,
            is_extranodal=item.is_extranodal,
        )
        for item in visit.lesions
        if item.is_too_small or item.longest_cm is not None
    }


def _by_size(
    number: int,
    visit: LymphomaVisit,
    references: tuple[LymphomaVisit, Mapping[str, Measured]],
    criterion: Criterion,
) -> JudgedVisit:
    baseline, nadirs = references
    start, now = _sized(baseline, criterion), _sized(visit, criterion)
    category, rule = _size_response(visit, baseline, (start, now, nadirs), criterion)
    before_cm2 = sum((m.product_cm2 for m in start.values()), Decimal(0))
    now_cm2 = sum((now[name].product_cm2 for name in start if name in now), Decimal(0))
    is_full = set(start) <= set(now)
    return JudgedVisit(
        visit=number,
        category=category,
        rule=rule,
        reason=Text(criterion.rules[rule].text),
        facts={"sum": now_cm2, "baseline": before_cm2, "spleen_cm": visit.spleen_cm},
        is_within_error=is_within_error(now_cm2, before_cm2, criterion.error) if is_full else None,
    )


def _size_response(
    visit: LymphomaVisit,
    baseline: LymphomaVisit,
    lesions: tuple[Mapping[str, Measured], Mapping[str, Measured], Mapping[str, Measured]],
    criterion: Criterion,
) -> tuple[str, str]:
    start, now, nadirs = lesions
    if rule := _progression(visit, baseline, (now, nadirs), criterion):
        return PD, rule
    if not start and visit.others is None and baseline.spleen_cm is None:
        return NE, "not-evaluable"
    if not set(start) <= set(now) or visit.others is Seen.NOT_ASSESSED:
        return NE, "target-missing"
    spleen = _spleen_response(visit, baseline, criterion)
    others_gone = visit.others in (None, Seen.ABSENT)
    no_marrow = not visit.marrow_is_involved
    if spleen == CR and others_gone and no_marrow and _are_normal(start, now, criterion):
        return CR, "complete"
    before_cm2 = sum((m.product_cm2 for m in start.values()), Decimal(0))
    now_cm2 = sum((now[name].product_cm2 for name in start), Decimal(0))
    halved = before_cm2 - now_cm2 >= criterion["response_decrease"] * before_cm2
    if start and halved and spleen in (CR, PR) and visit.others is not Seen.INCREASED:
        return PR, "partial"
    return SD, "stable"


def _progression(
    visit: LymphomaVisit,
    baseline: LymphomaVisit,
    lesions: tuple[Mapping[str, Measured], Mapping[str, Measured]],
    criterion: Criterion,
) -> str:
    now, nadirs = lesions
    if visit.has_new_lesion:
        return "new-lesion"
    if any(node_progresses(now[n], nadirs[n], criterion) for n in now if n in nadirs):
        return "node-progression"
    spleens_cm = (visit.spleen_cm, baseline.spleen_cm)
    if None not in spleens_cm and spleen_progresses(*spleens_cm):  # type: ignore[arg-type]
        return "spleen-progression"
    if visit.others is Seen.PROGRESSION:
        return "non-target-progression"
    if visit.marrow_is_involved and baseline.marrow_is_involved is False:
        return "marrow-progression"
    return ""


def _are_normal(
    start: Mapping[str, Measured], now: Mapping[str, Measured], criterion: Criterion
) -> bool:
    def limit_cm(name: str) -> Decimal:
        kind = "extranodal" if start[name].is_extranodal else "node"
        return criterion[f"normal_{kind}_cm"]

    return all((now[name].longest_cm or Decimal(0)) <= limit_cm(name) for name in start)


def _spleen_response(visit: LymphomaVisit, baseline: LymphomaVisit, criterion: Criterion) -> str:
    """Judge the spleen alone: normal, shrunk by more than half of its excess, or neither."""
    normal_cm = criterion["normal_spleen_cm"]
    if baseline.spleen_cm is None or baseline.spleen_cm <= normal_cm:
        return CR
    if visit.spleen_cm is None:
        return SD
    if visit.spleen_cm <= normal_cm:
        return CR
    excess_cm = baseline.spleen_cm - normal_cm
    shrank_cm = baseline.spleen_cm - visit.spleen_cm
    return PR if shrank_cm > criterion["spleen_response"] * excess_cm else SD


def _by_uptake(
    number: int, visit: LymphomaVisit, criterion: Criterion, chosen: Mapping[str, str]
) -> JudgedVisit:
    category, rule = _uptake_response(visit, criterion, chosen)
    score = None if visit.deauville is None else Decimal(visit.deauville)
    return JudgedVisit(
        visit=number,
        category=category,
        rule=rule,
        reason=Text(criterion.rules[rule].text),
        facts={"deauville": score, "uptake": visit.uptake},
    )


def _uptake_response(
    visit: LymphomaVisit, criterion: Criterion, chosen: Mapping[str, str]
) -> tuple[str, str]:
    if visit.deauville is None:
        return NE, "not-evaluable"
    if visit.has_new_lesion:
        return PMD, "new-lesion"
    most = criterion["complete_deauville"] - (1 if chosen["deauville_3"] == "residual" else 0)
    if visit.deauville <= most:
        return CMR, "metabolic-complete"
    return {
        "reduced": (PMR, "metabolic-partial"),
        "unchanged": (NMR, "metabolic-stable"),
        "increased": (PMD, "metabolic-progression"),
        "": (NE, "not-evaluable"),
    }[visit.uptake]

"""The best response over all visits, with and without confirmation, and the date of progression.

Sources:
    Eisenhauer EA et al. RECIST 1.1, Eur J Cancer 2009;45:228-247, section 4.6 and table 3.
    Seymour L et al. iRECIST, Lancet Oncol 2017;18:e143-e152, table 3.
    admiralonco (pharmaverse), derivation of the confirmed best overall response: how table 3 is
        read over more than two visits, with up to one NE between a response and its confirmation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic.dataclasses import dataclass as options_dataclass

from aegle.domain.errors import InputError
from aegle.options import option
from aegle.response.irecist import ICPD, ICR, IPR, ISD, IUPD, NON_ICR_NON_IUPD
from aegle.response.sum_criteria import CR, NE, NON_CR_NON_PD, PD, PR, SD

ND, MISSING = "ND", "MISSING"
ORDER = (CR, PR, SD, NON_CR_NON_PD, PD, NE, ND, MISSING)
IMMUNE_ORDER = (ICR, IPR, ISD, NON_ICR_NON_IUPD)


@options_dataclass(frozen=True, kw_only=True)
class BestResponseOptions:
    """What a best response asks for; the protocol decides."""

    is_confirmed: Annotated[
        bool, option("CR and PR need a second examination", source="RECIST 1.1, 4.6")
    ] = True
    confirmation_days: Annotated[
        int,
        option("Shortest time to the second examination", unit="d", source="RECIST 1.1, 4.6", ge=0),
    ] = 28
    stable_days: Annotated[
        int,
        option(
            "Shortest time from start for SD",
            unit="d",
            source="RECIST 1.1, 4.6: set by the protocol, in general 6 to 8 weeks",
            ge=0,
        ),
    ] = 42
    most_not_evaluable: Annotated[
        int,
        option(
            "Most visits NE between a response and its confirmation", source="admiralonco", ge=0
        ),
    ] = 1
    stable_between: Annotated[
        bool,
        option("One SD may lie between PR and its confirmation", source="RECIST 1.1, 4.6"),
    ] = False


@dataclass(frozen=True, kw_only=True)
class TimedResponse:
    """The response at one visit."""

    day: int
    """Since the start of treatment."""
    category: str


@dataclass(frozen=True, kw_only=True)
class BestResponse:
    """The best response and the visit that gives it."""

    category: str
    day: int | None
    """None if there is no visit."""


def best_response(
    responses: Sequence[TimedResponse], *, options: BestResponseOptions
) -> BestResponse:
    """Return the best overall response up to the first progression.

    Args:
        responses: In order of time, each with the days since the start of treatment.
        options: Confirmation and the shortest time for SD.

    Returns:
        The best category with the first visit that gives it; ``MISSING`` without visits. A
        response that comes before the shortest time for SD and is not confirmed is ``NE``.

    Raises:
        InputError: A category is not one of RECIST 1.1, or the visits are not in order.
    """
    _check(responses)
    ends = [n for n, r in enumerate(responses) if r.category == PD]
    counted = responses[: ends[0] + 1] if ends else responses
    candidates = [
        BestResponse(category=category, day=response.day)
        for number, response in enumerate(counted)
        for category in _claims(counted, number, options)
    ]
    if not candidates:
        return BestResponse(category=MISSING, day=None)
    return min(candidates, key=lambda c: (ORDER.index(c.category), c.day))


def _check(responses: Sequence[TimedResponse]) -> None:
    for response in responses:
        if response.category not in ORDER[:-1]:
            known = ", ".join(ORDER[:-1])
            raise InputError(f"'{response.category}' is no response; known: {known}.")
    days = [response.day for response in responses]
    if sorted(set(days)) != days:
        raise InputError("The visits are not in order of time; give each day once, earliest first.")


def _claims(
    counted: Sequence[TimedResponse], number: int, options: BestResponseOptions
) -> list[str]:
    """Return what one visit may make the best response be."""
    response = counted[number]
    own = response.category
    claims = []
    if own in (CR, PR) and (not options.is_confirmed or _is_confirmed(counted, number, options)):
        claims.append(own)
    if own in (PD, ND, NE):
        claims.append(own)
    elif response.day < options.stable_days:
        claims.append(NE)
    else:
        claims.append(own if own == NON_CR_NON_PD else SD)
    return claims


def _is_confirmed(
    counted: Sequence[TimedResponse], number: int, options: BestResponseOptions
) -> bool:
    """Look for the first later visit that confirms, and at what lies between."""
    response = counted[number]
    wanted = (CR,) if response.category == CR else (CR, PR)
    later = counted[number + 1 :]
    for place, other in enumerate(later):
        if other.category in wanted and other.day - response.day >= options.confirmation_days:
            between = [r.category for r in later[: place + 1]]
            return _may_lie_between(between, response.category, options)
    return False


def _may_lie_between(between: list[str], category: str, options: BestResponseOptions) -> bool:
    """Judge what follows a response up to and including its confirmation."""
    allowed = {CR, NE} if category == CR else {CR, PR, SD, NE}
    if not set(between) <= allowed or between.count(NE) > options.most_not_evaluable:
        return False
    if category == CR:
        return True
    if between.count(SD) > int(options.stable_between):
        return False
    # A partial response after a complete one is not its confirmation: disease came back.
    return CR not in between or PR not in between[between.index(CR) :]


@dataclass(frozen=True, kw_only=True)
class ConfirmedPair:
    """Best response from two visits at least four weeks apart (RECIST 1.1, table 3)."""

    category: str
    """If the first visit meets the shortest time for SD."""
    if_too_early: str
    """If it does not."""
    alternatives: tuple[str, ...] = ()
    """What table 3 leaves to judgement."""
    note: str = ""


_FOOTNOTE = (
    "If CR was truly met first, disease seen again is PD; SD if the shortest time is met, or PR if "
    "small lesions had been overlooked and CR is taken back."
)
_SINGLE = {CR: (SD, NE), PR: (SD, NE), SD: (SD, NE), PD: (PD, PD), NE: (NE, NE)}
TABLE_3: dict[tuple[str, str], ConfirmedPair] = {
    (CR, CR): ConfirmedPair(category=CR, if_too_early=CR),
    (CR, PR): ConfirmedPair(
        category=SD, if_too_early=PD, alternatives=(SD, PD, PR), note=_FOOTNOTE
    ),
    (CR, SD): ConfirmedPair(category=SD, if_too_early=PD),
    (CR, PD): ConfirmedPair(category=SD, if_too_early=PD),
    (CR, NE): ConfirmedPair(category=SD, if_too_early=NE),
    (PR, CR): ConfirmedPair(category=PR, if_too_early=PR),
    (PR, PR): ConfirmedPair(category=PR, if_too_early=PR),
    (PR, SD): ConfirmedPair(category=SD, if_too_early=SD),
    (PR, PD): ConfirmedPair(category=SD, if_too_early=PD),
    (PR, NE): ConfirmedPair(category=SD, if_too_early=NE),
    (NE, NE): ConfirmedPair(category=NE, if_too_early=NE),
}


def confirmed_pair(first: str, second: str) -> ConfirmedPair:
    """Return the best response that two visits give (RECIST 1.1, table 3).

    Pairs that the table does not list follow from section 4.6: without CR or PR at the first visit
    nothing is confirmed, so the second gives SD if it is no progression.

    Raises:
        InputError: A category is not CR, PR, SD, PD or NE.
    """
    for category in (first, second):
        if category not in _SINGLE:
            raise InputError(f"'{category}' is no response; known: {', '.join(_SINGLE)}.")
    if (first, second) in TABLE_3:
        return TABLE_3[first, second]
    if first == PD:
        return ConfirmedPair(category=PD, if_too_early=PD, note="Progression ends the assessment.")
    if PD in (first, second):
        met = SD if first == SD else PD
        return ConfirmedPair(category=met, if_too_early=PD)
    met, early = _SINGLE[SD if SD in (first, second) else second]
    return ConfirmedPair(category=met, if_too_early=early)


def best_immune_response(categories: Sequence[str]) -> str:
    """Return the best iRECIST response, which need not be confirmed (table 3).

    Visits after confirmed progression do not count. Unconfirmed progression that was followed by
    a response does not take it away.

    Raises:
        InputError: A category is not one of iRECIST.
    """
    known = (*IMMUNE_ORDER, IUPD, ICPD, NE)
    for category in categories:
        if category not in known:
            raise InputError(f"'{category}' is no iRECIST response; known: {', '.join(known)}.")
    end = categories.index(ICPD) + 1 if ICPD in categories else len(categories)
    counted = categories[:end]
    return next((c for c in (*IMMUNE_ORDER, ICPD, IUPD) if c in counted), NE)


def immune_progression_index(
    categories: Sequence[str], *, unconfirmed_counts: bool = False
) -> int | None:
    """Return the visit whose date is that of progression by iRECIST.

    It is the first iUPD since the bar was last reset, if iCPD follows.

    Args:
        categories: One per visit after baseline.
        unconfirmed_counts: Whether an iUPD that nothing followed to reset counts as well, as for
            patients who stop treatment.
    """
    block: int | None = None
    for number, category in enumerate(categories):
        if category == ICPD:
            return number if block is None else block
        if category == IUPD:
            block = number if block is None else block
        elif category != NE:
            block = None
    return block if unconfirmed_counts else None

"""Questions about iRECIST."""

from collections.abc import Sequence
from typing import Any

from aegle.domain.errors import InputError
from aegle.response import irecist
from aegle.response.answers_sums import course, sequence
from aegle.response.best_overall import best_immune_response, immune_progression_index
from aegle.response.patient_course import (
    NewLesion,
    NonTarget,
    PatientCourse,
    Seen,
    Target,
    Visit,
)
from aegle.response.plain_judgement import Facts, Policies, Questions, judged
from aegle.response.sum_criteria import NONE
from aegle.response.written import day_of, decimal

_OTHERS = {
    "CR": Seen.ABSENT,
    "NON-CR/NON-PD": Seen.PRESENT,
    "PD": Seen.PROGRESSION,
    "NE": Seen.NOT_ASSESSED,
}
_BEFORE_DAYS = 56
"""How long before the first visit baseline lies, where its date is not given."""


def _immune_series(subject: str, facts: Facts, policies: Policies) -> dict[str, Any]:
    """Judge by iRECIST a course of sums: ``t`` of the targets, ``new`` of new lesions."""
    baseline = decimal(facts["baseline"], "baseline")
    later = [
        _immune_visit(v, day_of(v["d"], f"visit {n}"), n)
        for n, v in enumerate(facts["visits"], start=1)
    ]
    start = min((visit.day for visit in later), default=0) - _BEFORE_DAYS
    if "baseline_date" in facts:
        start = day_of(facts["baseline_date"], "baseline_date")
    others = any("nontarget" in v or "nt" in v for v in facts["visits"])
    first = Visit(
        day=start,
        targets=(Target(lesion="sum", parts=(baseline,)),),
        non_targets=(NonTarget(lesion="others", seen=Seen.PRESENT),) if others else (),
    )
    return judged(PatientCourse(visits=(first, *later)), subject, policies)


def _immune_visit(plain_visit: Facts, day: int, number: int) -> Visit:
    where = f"visit {number}"
    size = plain_visit.get("t")
    new: tuple[NewLesion, ...] = ()
    if "new" in plain_visit:
        value = plain_visit["new"]
        values = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        new = tuple(_new_of_sum(v, n, where) for n, v in enumerate(values, start=1))
    other = plain_visit.get("nontarget", plain_visit.get("nt"))
    seen = _OTHERS.get(str(other)) or (None if other is None else Seen(other))
    return Visit(
        day=day,
        targets=(
            Target(lesion="sum", parts=None if size is None else (decimal(size, f"{where}, t"),)),
        ),
        non_targets=() if seen is None else (NonTarget(lesion="others", seen=seen),),
        new=new,
    )


def _new_of_sum(value: Any, number: int, where: str) -> NewLesion:
    if value is None:
        return NewLesion(lesion=f"new {number}", seen=Seen.NOT_ASSESSED)
    return NewLesion(lesion=f"new {number}", size=decimal(value, f"{where}, new"))


def _immune_best(subject: str, facts: Facts, _policies: Policies) -> dict[str, Any]:
    categories = [str(c) for c in facts["tpr"]]
    return {
        "criterion": subject,
        "rule": "table 3",
        "ibor": best_immune_response(categories),
        "pd_index": immune_progression_index(categories),
        "pd_index_if_unconfirmed_counts": immune_progression_index(
            categories, unconfirmed_counts=True
        ),
    }


def _immune_overall(subject: str, facts: Facts, _policies: Policies) -> dict[str, Any]:
    """Put the parts of one visit together (iRECIST, table 2)."""
    target, other = facts["target"], facts["nontarget"]
    targets = (None, irecist.ICR, irecist.IPR, irecist.ISD, irecist.IUPD, irecist.ICPD, "NE")
    others = (None, irecist.ICR, irecist.NON_ICR_NON_IUPD, irecist.IUPD, irecist.ICPD, "NE")
    if target not in targets or other not in others:
        raise InputError(f"target {target!r} with nontarget {other!r} is no row of table 2.")
    found = irecist.overall(target or NONE, other or NONE, has_new=bool(facts["new"]))
    return {"criterion": subject, "category": found, "overall": found, "rule": "table 2"}


IMMUNE: Questions = [
    ({"target", "nontarget", "new"}, _immune_overall),
    ({"baseline", "visits"}, _immune_series),
    ({"tpr"}, _immune_best),
    ({"sums"}, sequence),
    ({"visits"}, course),
]

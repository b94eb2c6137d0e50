"""Questions about sums of sizes: RECIST 1.1 and the criteria that judge like it."""

from dataclasses import asdict
from datetime import timedelta
from decimal import Decimal
from typing import Any

from aegle.domain.errors import InputError
from aegle.response import irecist, sum_criteria
from aegle.response.best_overall import (
    MISSING,
    BestResponseOptions,
    TimedResponse,
    best_response,
    confirmed_pair,
)
from aegle.response.criterion import load
from aegle.response.patient_course import PatientCourse, Target, Visit, of_sums
from aegle.response.plain_judgement import Facts, Policies, Questions, judged
from aegle.response.written import FIRST_DAY, course_of, day_of, decimal


def course(subject: str, facts: Facts, policies: Policies) -> dict[str, Any]:
    """Judge a whole course."""
    return judged(course_of(facts), subject, policies)


def _target(subject: str, facts: Facts, policies: Policies) -> dict[str, Any]:
    """Judge the targets of one visit from the sums at baseline, at nadir and now."""
    base = facts.get("b", facts.get("base", facts.get("nadir", facts.get("n"))))
    nadir = facts.get("n", facts.get("nadir", base))
    start, least = decimal(base, "baseline"), decimal(nadir, "nadir")
    now = decimal(facts.get("c", facts.get("now")), "now")
    if least > start:
        raise InputError(f"The nadir {least} is above baseline {start}; it includes the baseline.")
    if subject == "rano-2.0" and str(facts.get("kind", "")).upper().startswith("3D"):
        subject = "rano-2.0-volume"
    patient = _one_visit((start, least, now), facts)
    found: dict[str, dict[str, Any]] = {}
    for choice in ("strict", "carried"):
        own = {**policies, "response": choice}
        found[choice] = judged(patient, subject, own)["visits"][-1]
    chosen = load(subject).choose(policies)
    return found[chosen["response"]] | {
        "criterion": subject,
        "policies": chosen,
        "r": found["strict"]["category"],
        "r_carry_pr": found["carried"]["category"],
    }


def _one_visit(sums: tuple[Decimal, Decimal, Decimal], facts: Facts) -> PatientCourse:
    """Return a course of up to three visits that has these sums."""
    start, least, now = sums
    nodes = [decimal(size, "nodes_sa") for size in facts.get("nodes_sa", ())]
    missing = int(facts.get("missing_lesions", 0) or 0)
    if sum(nodes, Decimal(0)) > now:
        raise InputError(f"The nodes alone ({sum(nodes)} mm) exceed the sum now ({now} mm).")

    def visit(day: int, total: Decimal) -> Visit:
        return Visit(day=day, targets=(Target(lesion="sum", parts=(total,)),))

    rest = now - sum(nodes, Decimal(0))
    if facts.get("all_nonnodal_absent") and not nodes and rest:
        nodes, rest = [now], Decimal(0)
    last = (
        Target(lesion="sum", parts=(rest,)),
        *(Target(lesion=f"node {n}", parts=(s,), is_node=True) for n, s in enumerate(nodes)),
        *(Target(lesion=f"missing {n}", parts=None) for n in range(missing)),
    )
    names_now = [t.lesion for t in last[1:]]

    def with_rest(day: int, total: Decimal) -> Visit:
        none = (Target(lesion=n, parts=(Decimal(0),), is_node=n[0] == "n") for n in names_now)
        return Visit(day=day, targets=(*visit(day, total).targets, *none))

    visits = [with_rest(0, start)]
    if least < start:
        visits.append(with_rest(56, least))
    visits.append(Visit(day=112, targets=last))
    return PatientCourse(visits=tuple(visits))


def sequence(subject: str, facts: Facts, policies: Policies) -> dict[str, Any]:
    """Judge a course of which only the sums are known."""
    sums = [None if s is None else decimal(s, f"sums[{n}]") for n, s in enumerate(facts["sums"])]
    patient = of_sums(sums)
    found: dict[str, Any] = {}
    for name, choice in (("strict", "strict"), ("carry_pr", "carried")):
        own = {k: v for k, v in policies.items() if k != "early_scan"} | {"response": choice}
        basis = "recist-1.1" if subject == "irecist" else subject
        found[name] = [None, *sum_criteria.judge(patient, basis, policies=own).categories]
    if subject in ("recist-1.1", "irecist"):
        immune = policies if subject == "irecist" else {}
        found["irecist"] = [None, *irecist.judge(patient, policies=immune).categories]
    return judged(patient, subject, policies) | found


def _overall(subject: str, facts: Facts, _policies: Policies) -> dict[str, Any]:
    """Put the parts of one visit together (RECIST 1.1, tables 1 and 2)."""
    target, other = facts["target"], facts["nontarget"]
    targets = (None, "CR", "PR", "SD", "PD", "NE")
    others = (None, "CR", "NON-CR/NON-PD", "PD", "NE")
    if target not in targets or other not in others:
        raise InputError(f"target {target!r} with nontarget {other!r} is no row of tables 1 and 2.")
    if facts["new"] not in (True, False, 0, 1):
        raise InputError(f"new is {facts['new']!r}; give true or false.")
    none = sum_criteria.NONE
    category, rule = sum_criteria.overall(target or none, other or none, has_new=bool(facts["new"]))
    return {"criterion": subject, "category": category, "overall": category, "rule": rule}


def _pair(subject: str, facts: Facts, _policies: Policies) -> dict[str, Any]:
    """Say what two visits confirm (RECIST 1.1, table 3)."""
    pair = confirmed_pair(str(facts["first"]), str(facts["second"]))
    words = pair.category
    if pair.alternatives:
        words = "|".join(pair.alternatives)
    elif pair.category != pair.if_too_early:
        words = f"{pair.category} if min SD duration met else {pair.if_too_early}"
    return {"criterion": subject, "rule": "table 3", "bor": words, **asdict(pair)}


def _series(subject: str, facts: Facts, _policies: Policies) -> dict[str, Any]:
    """Return the confirmed best response of each patient of a table of dated responses."""
    options = BestResponseOptions(
        confirmation_days=int(facts.get("ref_confirm_days", 28)),
        stable_days=int(facts.get("ref_start_window_days", 42)),
        most_not_evaluable=int(facts.get("max_nr_ne", 1)),
        stable_between=bool(facts.get("accept_sd", False)),
    )
    found: dict[str, list[str | None]] = {}
    for patient, rows in dict(facts["series"]).items():
        start = day_of(facts["treatment_start"][patient], f"treatment_start of {patient}")
        timed = [
            TimedResponse(day=day_of(when, f"date of {patient}") - start, category=str(category))
            for when, category in rows
        ]
        best = best_response(timed, options=options)
        when = None
        if best.day is not None:
            when = (FIRST_DAY + timedelta(days=start + best.day)).isoformat()
        is_missing = best.category == MISSING and facts.get("missing_as_ne")
        found[patient] = [when, sum_criteria.NE if is_missing else best.category]
    return {"criterion": subject, "rule": "table 3", "expected": found, "options": asdict(options)}


SUMS: Questions = [
    ({"b", "c"}, _target),
    ({"base", "now"}, _target),
    ({"nadir", "now"}, _target),
    ({"sums"}, sequence),
    ({"target", "nontarget", "new"}, _overall),
    ({"first", "second"}, _pair),
    ({"treatment_start", "series"}, _series),
    ({"visits"}, course),
]

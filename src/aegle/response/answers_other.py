"""Questions about lymphoma (Lugano), uptake (PERCIST) and growth."""

import math
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from aegle.domain.errors import InputError
from aegle.domain.growth import growth, growth_of_diameter
from aegle.response import lugano, percist
from aegle.response.criterion import Judgement
from aegle.response.patient_course import Seen
from aegle.response.plain_judgement import Facts, Policies, Questions, plain, with_chances
from aegle.response.probability_by_judging import (
    FEW,
    sampled,
    scaled_lymphoma_visit,
    scaled_uptake,
)
from aegle.response.written import decimal, lymphoma_visit_of, uptake_of


def _spleen(subject: str, facts: Facts, _policies: Policies) -> dict[str, Any]:
    baseline = decimal(facts["baseline_cm"], "baseline_cm")
    normal = decimal(facts["normal_cm"], "normal_cm") if "normal_cm" in facts else None
    limit = lugano.spleen_limit_cm(baseline, normal_cm=normal)
    answers: dict[str, Any] = {
        "criterion": subject,
        "rule": "spleen-progression",
        "progression_if_gt_cm": float(limit),
    }
    if "now_cm" in facts:
        now = decimal(facts["now_cm"], "now_cm")
        grew = lugano.spleen_progresses(now, baseline, normal_cm=normal)
        answers["r"] = "PD" if grew else "not PD"
    return answers


def _node(subject: str, facts: Facts, _policies: Policies) -> dict[str, Any]:
    sizes = {
        when: lugano.Measured(
            lesion="node",
            longest_cm=decimal(facts[f"{when}_ldi"], f"{when}_ldi"),
            shortest_cm=decimal(facts[f"{when}_sdi"], f"{when}_sdi"),
        )
        for when in ("nadir", "now")
    }
    grew = lugano.node_progresses(sizes["now"], sizes["nadir"])
    return {"criterion": subject, "rule": "node-progression", "r": "PD" if grew else "not PD"}


def _lymphoma(subject: str, facts: Facts, policies: Policies) -> dict[str, Any]:
    visits = [lymphoma_visit_of(v, f"visit {n}") for n, v in enumerate(facts["visits"])]
    sizes, uptakes = lugano.judge(visits, policies=policies)
    chances = sampled(
        visits,
        lambda drawn: lugano.judge(drawn, policies=policies)[0],
        scaled_lymphoma_visit,
        options=FEW,
    )
    found = with_chances(plain(sizes), chances) | {"expected": list(sizes.categories)}
    return found | {"criterion": subject, "metabolic": plain(uptakes)["visits"]}


def _with_uptake_chances(
    judgement: Judgement, visits: list[percist.Uptake], policies: Policies, least: Decimal | None
) -> dict[str, Any]:
    chances = sampled(
        visits,
        lambda drawn: percist.judge(drawn, policies=policies, measurable_sul=least),
        scaled_uptake,
        options=FEW,
    )
    return with_chances(plain(judgement), chances)


def _uptake(subject: str, facts: Facts, policies: Policies) -> dict[str, Any]:
    first = {"sul_peak": facts["base"]}
    now = {k: v for k, v in facts.items() if k in ("new", "complete", "others_progressed")}
    visits = [uptake_of(first, "base"), uptake_of({"sul_peak": facts["now"], **now}, "now")]
    judgement = percist.judge(visits, policies=policies)
    found = _with_uptake_chances(judgement, visits, policies, None)
    verdict: dict[str, Any] = found["visits"][0]
    return verdict | {
        "assumed_error": found["assumed_error"],
        "criterion": subject,
        "r": verdict["category"],
        "policies": dict(judgement.policies),
    }


def _uptakes(subject: str, facts: Facts, policies: Policies) -> dict[str, Any]:
    visits = [uptake_of(v, f"visit {n}") for n, v in enumerate(facts["visits"])]
    written = facts.get("measurable_sul")
    least = None if written is None else decimal(written, "measurable_sul")
    judgement = percist.judge(visits, policies=policies, measurable_sul=least)
    found = _with_uptake_chances(judgement, visits, policies, least)
    return found | {"expected": list(judgement.categories), "criterion": subject}


def doubling_time(facts: Facts) -> dict[str, Any]:
    """Return how fast a volume or the volume of a sphere doubles."""
    if {"v1", "v2", "days"} <= set(facts):
        first, second = (float(decimal(facts[k], k)) for k in ("v1", "v2"))
        cv = float(facts.get("cv", 0))
        found = growth(
            first,
            second,
            float(facts["days"]),
            first_deviation_ml=cv * first,
            second_deviation_ml=cv * second,
        )
    elif {"d1", "d2", "days"} <= set(facts):
        first, second = (float(decimal(facts[k], k)) for k in ("d1", "d2"))
        found = growth_of_diameter(first, second, float(facts["days"]))
    else:
        raise InputError("A doubling time needs v1, v2, days (volumes) or d1, d2, days.")
    days = found.doubling_days
    return {"vdt": "inf" if math.isinf(days) else round(days, 4), **asdict(found)}


def _products(subject: str, facts: Facts, policies: Policies) -> dict[str, Any]:
    """Judge the sum of products of one visit; progression is judged for each lesion alone."""
    before, now = decimal(facts["base"], "base"), decimal(facts["now"], "now")
    one = decimal(1, "one")

    def visit(product: Decimal) -> lugano.LymphomaVisit:
        longest, shortest = max(product, one), min(product, one)
        if not product:
            longest = shortest = product
        lesion = lugano.Measured(lesion="sum", longest_cm=longest, shortest_cm=shortest)
        # One lesion stands for several, so neither its size nor its growth may decide alone.
        return lugano.LymphomaVisit(lesions=(lesion,), others=Seen.PRESENT if product else None)

    if now > before:
        raise InputError("The sum of products rose; progression is judged for each lesion alone.")
    (verdict,) = lugano.judge([visit(before), visit(now)], policies=policies)[0].verdicts
    return {
        "criterion": subject,
        "r": verdict.category,
        "category": verdict.category,
        "rule": verdict.rule,
    }


def _deauville(subject: str, facts: Facts, policies: Policies) -> dict[str, Any]:
    known = ("deauville", "uptake", "new")
    visit = lymphoma_visit_of({k: facts[k] for k in known if k in facts}, "the visit")
    _, uptakes = lugano.judge([lugano.LymphomaVisit(), visit], policies=policies)
    (verdict,) = uptakes.verdicts
    return {
        "criterion": subject,
        "r": verdict.category,
        "category": verdict.category,
        "rule": verdict.rule,
        "policies": dict(uptakes.policies),
    }


def _measurable(subject: str, facts: Facts, _policies: Policies) -> dict[str, Any]:
    region = "blood" if "blood_mean" in facts else "liver"
    least = percist.measurable_from(
        decimal(facts[f"{region}_mean"], f"{region}_mean"),
        decimal(facts[f"{region}_sd"], f"{region}_sd"),
        liver_is_diseased=region == "blood",
    )
    return {"criterion": subject, "rule": "not-measurable", "measurable_from": float(least)}


LYMPHOMA: Questions = [
    ({"baseline_cm"}, _spleen),
    ({"nadir_ldi", "nadir_sdi", "now_ldi", "now_sdi"}, _node),
    ({"visits"}, _lymphoma),
    ({"base", "now"}, _products),
    ({"deauville"}, _deauville),
]
UPTAKE: Questions = [
    ({"base", "now"}, _uptake),
    ({"visits"}, _uptakes),
    ({"liver_mean", "liver_sd"}, _measurable),
    ({"blood_mean", "blood_sd"}, _measurable),
]

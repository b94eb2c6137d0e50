"""The numbers of a case as plain data, for ``--json`` and ``results.json``."""

from dataclasses import asdict
from typing import Any

from aegle.domain.case import CaseResults, Planning
from aegle.domain.finding import Lesion, Suggestion
from aegle.domain.response import FollowUp


def summary(results: CaseResults) -> dict[str, Any]:
    """Return what was found, suggested, planned and followed as JSON data."""
    follow_up = results.following.follow_up
    return {
        "patient": results.examinations.patient.id,
        "visits": [_visit(results, index) for index in range(len(results.examinations.visits))],
        "plan": plan_summary(results.planning),
        "follow_up": {"reason": str(results.following.reason)}
        if follow_up is None
        else _follow_up(follow_up)
        | {
            "note": str(results.following.reason),
            "cautions": [str(text) for text in results.following.cautions],
        },
        "worklist": [
            {"position": i.position, "study": i.study_uid, "reason": str(i.reason)}
            for i in results.worklist.items
        ],
        "aegle": results.provenance.version,
        "now": results.provenance.now.isoformat(),
    }


def _visit(results: CaseResults, index: int) -> dict[str, Any]:
    visit = results.examinations.visits[index]
    findings = results.findings.visits[index]
    segmented = results.segmentations.visits[index]
    assessed = results.assessments.visits[index]
    notices = (*visit.notices, *assessed.notices, *segmented.notices, *findings.notices)
    return {
        "study": visit.study_uid,
        "time": visit.time.isoformat() if visit.time else None,
        "images": [
            {
                "name": image.name,
                "modality": image.series.modality,
                "shape": list(image.volume.grid.shape),
                "spacing_mm": list(image.volume.grid.spacing_mm),
                "unit": image.volume.quantity.value,
            }
            for image in visit.images
        ]
        + [
            {
                "name": projection.name,
                "modality": projection.series.modality,
                "shape": list(projection.image.values.shape),
            }
            for projection in visit.projections
        ],
        "quality": [
            {
                "image": q.image,
                "grade": q.grade.value,
                "measures": [
                    {"name": m.name, "value": m.value, "unit": m.unit, "grade": m.grade.value}
                    for m in q.measures
                ],
            }
            for q in assessed.qualities
        ],
        "classifications": [
            {
                "image": c.image,
                "model": c.model,
                "sha256": c.model_digest,
                "probabilities": dict(zip(c.classes, c.probabilities, strict=True)),
            }
            for c in assessed.classifications
        ],
        "organs": [
            {"name": o.name, "image": o.statistics.image, "volume_ml": o.volume_ml}
            for o in findings.organs
        ],
        "lesions": [_lesion(lesion) for lesion in findings.lesions],
        "suggestions": [_suggestion(s) for s in results.suggestions.visits[index]],
        "notices": [str(notice) for notice in notices],
    }


def _lesion(lesion: Lesion) -> dict[str, Any]:
    return {
        "id": lesion.id,
        "name": lesion.structure.name,
        "image": lesion.image,
        "kind": lesion.kind.value,
        "site": lesion.site,
        "longest_mm": lesion.diameters.longest_mm,
        "perpendicular_mm": lesion.diameters.perpendicular_mm,
        "volume_ml": lesion.volume_ml,
        "centre_mm": list(lesion.structure.centroid_mm),
        "tracking_uid": lesion.tracking_uid,
        "statistics": [
            {"image": s.image, "unit": s.unit, "mean": s.mean, "maximum": s.maximum}
            for s in lesion.statistics
        ],
        "uptake": None if lesion.uptake is None else asdict(lesion.uptake),
    }


def _suggestion(suggestion: Suggestion) -> dict[str, Any]:
    return {
        "rule": suggestion.rule,
        "applies": suggestion.applies,
        "category": suggestion.category,
        "subject": suggestion.subject,
        "reason": str(suggestion.reason),
        "cautions": [str(caution) for caution in suggestion.cautions],
    }


def plan_summary(planning: Planning) -> dict[str, Any]:
    """Return what a plan asks for and reaches as JSON data, or why there is none."""
    if planning.plan is None:
        return {"reason": str(planning.reason)}
    made = planning.plan
    return {
        "reason": str(planning.reason),
        "visit": planning.visit + 1,
        "target": made.prescription.target,
        "dose_gy": made.prescription.dose_gy,
        "fractions": made.prescription.fractions,
        "gantry_deg": [beam.gantry_deg for beam in made.beams],
        "notices": [str(notice) for notice in made.notices],
        "goals": [
            {
                "structure": g.goal.structure,
                "metric": g.goal.metric.value,
                "at": g.goal.at,
                "at_least": g.goal.at_least,
                "at_most": g.goal.at_most,
                "value": g.value,
                "is_met": g.is_met,
            }
            for g in made.goals
        ],
    }


def _follow_up(follow_up: FollowUp) -> dict[str, Any]:
    return {
        "alignments": [
            {"verdict": r.verdict.value, "reason": str(r.reason)}
            for r in follow_up.timeline.registrations
        ],
        "lesions": [
            {
                "track": e.track,
                "visit": e.visit + 1,
                "status": e.status.value,
                "lesion": e.lesion_id,
                "diameter_mm": e.diameter_mm,
                "is_target": e.is_target,
                "parts": list(e.parts),
                "part_names": list(e.part_names),
                "merged_into": e.merged_into,
                "question": str(e.question) if e.question is not None else None,
            }
            for e in follow_up.timeline.entries
        ],
        "changes": [
            {"visit": one.visit + 1, "net_ml": one.change.net_ml}
            | {"net_interval_ml": list(one.change.net_interval_ml)}
            | {
                name: {
                    "regions": part.count,
                    "volume_ml": part.volume_ml,
                    "interval_ml": list(part.interval_ml),
                }
                for name, part in (("grown", one.change.grown), ("shrunk", one.change.shrunk))
            }
            | {"notices": [str(text) for text in one.change.notices]}
            for one in follow_up.changes
        ],
        "responses": [
            {
                "visit": r.visit + 1,
                "criterion": r.criterion,
                "category": r.category.value,
                "sum_mm": r.sum_mm,
                "reason": str(r.reason),
                "rule": r.rule,
                "probabilities": dict(r.probabilities),
                "uncertain": str(r.doubt) if r.doubt is not None else None,
            }
            for r in follow_up.responses
        ],
    }

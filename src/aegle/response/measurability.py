"""Which lesions can be targets, and what should be known of those that were chosen.

Source: Eisenhauer EA et al. RECIST 1.1, Eur J Cancer 2009;45:228-247, sections 3.1 and 3.2 and
appendix II, doi:10.1016/j.ejca.2008.10.026; that all lymph nodes are one organ is an EORTC
clarification (recist.eortc.org).
"""

from collections import Counter
from decimal import Decimal

from aegle.domain.text import Text
from aegle.response.criterion import Criterion
from aegle.response.patient_course import PatientCourse, Target

LYMPH_NODES, PORTA_HEPATIS = "lymph nodes", "porta hepatis"


def smallest_size(criterion: Criterion, target: Target) -> Decimal:
    """Return the size from which a target is measurable [mm].

    On CT and MR with slices above 5 mm a lesion measures at least two slices. A node needs its own
    short axis, whatever the method.
    """
    if target.method in ("caliper", "radiograph") and not target.is_node:
        return criterion[f"measurable_{target.method}"]
    least = criterion["measurable_node" if target.is_node else "measurable"]
    if target.is_node and target.organ.lower() == PORTA_HEPATIS:
        least = criterion.thresholds.get(
            "measurable_porta_hepatis_node", criterion.thresholds["measurable_node"]
        ).value
    slice_mm = target.slice_mm or Decimal(0)
    if slice_mm > criterion["thick_slice"]:
        return max(least, criterion["slices_per_lesion"] * slice_mm)
    return least


def is_measurable(criterion: Criterion, target: Target) -> bool:
    """Return whether a lesion can be a target of this criterion."""
    size = sum(target.parts or (), Decimal(0))
    return size >= smallest_size(criterion, target)


def organ_of(target: Target) -> str:
    """Return the organ under which a target counts."""
    return LYMPH_NODES if target.is_node else target.organ


def notes_on(criterion: Criterion, course: PatientCourse) -> tuple[Text, ...]:
    """Return what speaks against the choice of targets; it does not change the category.

    Only where the sizes are diameters and the criterion says what is measurable.
    """
    if criterion.unit != "mm" or course.target_names == ("sum",):
        return ()
    targets = course.visits[0].targets
    notes = [
        Text(
            "Target {lesion} was not measurable at baseline: {size} mm, not {least} mm.",
            {
                "lesion": t.lesion,
                "size": str(sum(t.parts or (), Decimal(0))),
                "least": str(smallest_size(criterion, t)),
            },
        )
        for t in targets
        if not is_measurable(criterion, t)
    ]
    if len(targets) > criterion["most_targets"]:
        template = "{count} targets were chosen; at most {most} are allowed."
        most = str(criterion["most_targets"])
        notes.append(Text(template, {"count": len(targets), "most": most}))
    per_organ = Counter(organ_of(t) for t in targets if organ_of(t))
    for organ, count in sorted(per_organ.items()):
        if count > criterion["most_targets_per_organ"]:
            most = str(criterion["most_targets_per_organ"])
            template = "{count} targets lie in one organ ({organ}); at most {most} are allowed."
            notes.append(Text(template, {"count": count, "organ": organ, "most": most}))
    return tuple(notes)

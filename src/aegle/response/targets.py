"""Which lesions are measured at every visit, chosen once at baseline.

Source: Eisenhauer EA et al. RECIST 1.1, Eur J Cancer 2009;45:228-247, sections 3.1 and 3.2,
doi:10.1016/j.ejca.2008.10.026; that all lymph nodes count as one organ is an EORTC
clarification (recist.eortc.org).
"""

from collections import Counter
from collections.abc import Sequence

from aegle.domain.finding import Lesion, LesionKind

MEASURABLE_MM = 10.0
"""Longest diameter on CT with slices of at most 5 mm."""
MEASURABLE_NODE_MM = 15.0
"""Short axis."""
MOST_TARGETS = 5
MOST_TARGETS_PER_ORGAN = 2

ONE_ORGAN = {"lung_right": "lungs", "lung_left": "lungs"}
"""Paired organs count as one."""


def measured_mm(lesion: Lesion, *, as_node: bool) -> float:
    """Return the RECIST diameter as it is shown and judged, to 0.1 mm.

    Args:
        lesion: The lesion.
        as_node: Measure the short axis. A lesion keeps its baseline way of measuring.
    """
    diameters = lesion.diameters
    return round(diameters.perpendicular_mm if as_node else diameters.longest_mm, 1)


def is_node(lesion: Lesion) -> bool:
    """Return whether a lesion is measured as a lymph node."""
    return lesion.kind is LesionKind.LYMPH_NODE


def is_measurable(lesion: Lesion) -> bool:
    """Return whether a lesion is large enough to be a target."""
    node = is_node(lesion)
    least_mm = MEASURABLE_NODE_MM if node else MEASURABLE_MM
    return measured_mm(lesion, as_node=node) >= least_mm


def choose_targets(lesions: Sequence[Lesion]) -> tuple[bool, ...]:
    """Return for each lesion whether it is a target.

    Args:
        lesions: All lesions at baseline, the ones to prefer first.
    """
    per_organ: Counter[str] = Counter()
    chosen = []
    for lesion in lesions:
        organ = "lymph nodes" if is_node(lesion) else ONE_ORGAN.get(lesion.site, lesion.site)
        is_target = (
            is_measurable(lesion)
            and per_organ.total() < MOST_TARGETS
            and per_organ[organ] < MOST_TARGETS_PER_ORGAN
        )
        per_organ[organ] += is_target
        chosen.append(is_target)
    return tuple(chosen)

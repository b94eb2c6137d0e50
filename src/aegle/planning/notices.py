"""What a reader of a plan must know before believing its numbers."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

from aegle.domain.codes import body_part
from aegle.domain.grid import Points
from aegle.domain.plan import Beam, Prescription
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.text import Text
from aegle.planning.beams import frame
from aegle.planning.prescription import is_conventional, lung_alone
from aegle.planning.targets import CTV, GTV, box_around

REACH_MM = 20.0
"""Slices this near to the target count as reached by its beams."""
DEEPEST_SKIN_MM = 20.0
"""What lies deeper is not in the skin layer; the greatest skin margin of ``TargetOptions``."""


def other_fractions(prescription: Prescription) -> tuple[Text, ...]:
    """Say that published limits of organs do not hold at a dose per fraction."""
    if is_conventional(prescription):
        return ()
    sentence = Text(
        "Limits for organs at risk are published for about 2 Gy per fraction and were not "
        "applied at {dose:.1f} Gy per fraction.",
        {"dose": prescription.dose_gy / prescription.fractions},
    )
    return (sentence,)


def single_lung(structures: StructureSet) -> tuple[Text, ...]:
    """Say that limits for both lungs cannot be judged where only one is delineated."""
    lung = lung_alone(structures)
    if lung is None:
        return ()
    side = "left" if body_part(lung.name) == "lung_left" else "right"
    sentence = Text(
        "Only the {side} lung is delineated; its dose is shown, but goals for both lungs together "
        "were not evaluated because the other lung is not in view.",
        {"side": side},
    )
    return (sentence,)


def lying_outside(structures: StructureSet, target: Structure, body: Structure) -> tuple[Text, ...]:
    """Say how much of ``GTV`` and ``CTV`` lies outside the target and why.

    Args:
        structures: May hold ``GTV`` and ``CTV``; all on one grid.
        target: The planning target volume.
        body: Outline of the patient.
    """
    tumours = [s for s in structures if s.name in (GTV, CTV) and s.name != target.name]
    return tuple(text for tumour in tumours for text in _missed(tumour, target, body))


def _missed(tumour: Structure, target: Structure, body: Structure) -> Iterator[Text]:
    if tumour.is_empty:
        return
    box = box_around(tumour, DEEPEST_SKIN_MM)
    inside, planned = body.mask[box], target.mask[box]
    missed = tumour.mask[box] & ~planned
    in_air, in_body = missed & ~inside, missed & inside

    def facts(part: NDArray[np.bool_]) -> dict[str, str | float]:
        volume_ml = np.count_nonzero(part) * tumour.grid.voxel_volume_ml
        return {"volume_ml": volume_ml, "structure": tumour.name, "target": target.name}

    if in_air.any():
        yield Text(
            "{volume_ml:.2f} mL of {structure} lie outside the outline of the body and "
            "receive no dose.",
            {name: fact for name, fact in facts(in_air).items() if name != "target"},
        )
    if not in_body.any():
        return
    depth_mm = _depths_mm(inside, tumour.grid.spacing_mm)
    deepest_mm = float(depth_mm[in_body].max())
    # Only where all that the target holds lies deeper was a layer left out.
    planned_mm = depth_mm[planned & inside]
    if planned_mm.size and deepest_mm <= DEEPEST_SKIN_MM and planned_mm.min() > deepest_mm:
        yield Text(
            "{volume_ml:.2f} mL of {structure} lie outside {target}, in the layer of "
            "{depth_mm:.1f} mm under the skin that {target} leaves out because dose only builds "
            "up there; this part may receive less than prescribed.",
            {**facts(in_body), "depth_mm": deepest_mm},
        )
        return
    yield Text(
        "{volume_ml:.2f} mL of {structure} lie outside {target} and may receive less than "
        "prescribed.",
        facts(in_body),
    )


def _depths_mm(
    inside: NDArray[np.bool_], spacing_mm: tuple[float, float, float]
) -> NDArray[np.float64]:
    """Return how far each voxel lies from the nearest one outside the body."""
    if inside.all():
        return np.full(inside.shape, np.inf)
    return np.asarray(distance_transform_edt(inside, sampling=spacing_mm))


def cut_off(
    body: Structure, target: Structure, beams: Sequence[Beam], sad_mm: float
) -> tuple[Text, ...]:
    """Say that the body goes on beyond the image where the beams are, and which enter there.

    Rows and columns have edges that cut a patient off; first and last slice are not looked at.

    Args:
        body: Outline of the patient.
        target: What the beams are aimed at.
        beams: Beams with their fluence.
        sad_mm: Distance of the source from the axis [mm].
    """
    cuts = list(_cuts(body))
    entered = [b for b in beams if any(_enters(b, sad_mm, *cut) for cut in cuts)]
    if entered:
        angles = ", ".join(f"{beam.gantry_deg:g}°" for beam in entered)
        sentence = Text(
            "The patient is cut off by the edge of the image near {target}. Beams at gantry "
            "{angles} enter through what is missing, so their dose is too high and not reliable.",
            {"target": target.name, "angles": angles},
        )
        return (sentence,)
    if _reaches_edge(body, target):
        sentence = Text(
            "The patient is cut off by the edge of the image near {target}. No beam enters there, "
            "but scatter from what is missing is not part of the dose.",
            {"target": target.name},
        )
        return (sentence,)
    return ()


def _cuts(body: Structure) -> Iterator[tuple[Points, Points]]:
    """Return LPS positions [mm] of the body on each lateral edge, and the edge's way out."""
    for axis in (1, 2):
        ends = (0, -1.0), (body.grid.shape[axis] - 1, 1.0)
        for index, sign in ends:
            voxels = _on_edge(body, axis, index)
            if len(voxels):
                yield (
                    body.grid.to_patient(voxels.astype(np.float64)),
                    sign * np.asarray(body.grid.axes[axis]),
                )


def _on_edge(body: Structure, axis: int, index: int) -> NDArray[np.int64]:
    """Return the body's voxels whose index along an axis is given, shape (voxel, 3)."""
    place = index - body.start[axis]
    if not 0 <= place < body.box.shape[axis]:
        return np.zeros((0, 3), np.int64)
    voxels = np.argwhere(np.take(body.box, [place], axis=axis))
    voxels[:, axis] = place
    return np.asarray(voxels + np.asarray(body.start))


def _enters(beam: Beam, sad_mm: float, positions_mm: Points, outward: Points) -> bool:
    """Return whether a beam's fluence comes from outside the image through an edge."""
    aimed = frame(beam, sad_mm)
    to_source_mm = aimed.source_mm - positions_mm
    through = (to_source_mm @ outward > 0) & (to_source_mm @ aimed.axes[2] > 0)
    used_mm = beam.positions_mm[beam.weights > 0]
    if not through.any() or not len(used_mm):
        return False
    seen_mm = aimed.project(positions_mm[through])
    apart_mm, _ = cKDTree(used_mm).query(seen_mm, p=np.inf)
    return bool(np.any(apart_mm <= beam.beamlet_mm / 2))


def _reaches_edge(body: Structure, target: Structure) -> bool:
    """Return whether the body touches a lateral edge on slices near the target."""
    near = box_around(target, REACH_MM)[0]
    part = body.mask[near]
    return bool(part[:, [0, -1]].any() or part[:, :, [0, -1]].any())

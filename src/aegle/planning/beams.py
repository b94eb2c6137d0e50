"""Where beams come from and which beamlets they open.

Angles follow IEC 61217 for a patient lying head first and supine: gantry 0° shines from
anterior to posterior, 90° from the patient's left; positive couch angles turn the table
counter-clockwise seen from above; positive collimator angles turn the beam limiting device
counter-clockwise seen from the source. The beam's own axes are IEC beam limiting device x and
y, and z towards the source.
"""

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass as validated
from scipy.ndimage import binary_dilation

from aegle.domain.errors import GeometryError, InputError
from aegle.domain.grid import Points
from aegle.domain.plan import Beam
from aegle.domain.structure import Structure
from aegle.options import option

LATERAL_TARGET_MM = 20.0
"""A target this far from the middle of the body is approached from its own side."""
OWN_SIDE_ARC_DEG = 210.0
"""Arc over which the beams of a lateral target spread."""


@validated(frozen=True, kw_only=True)
class BeamletOptions:
    """How finely a beam is divided and how far it reaches beyond the target."""

    beamlet_mm: Annotated[
        float, option("Side of a beamlet on the isocentre plane", unit="mm", ge=2, le=20)
    ] = 5.0
    margin_beamlets: Annotated[
        int, option("Beamlets added around the target's outline for the penumbra", ge=0, le=5)
    ] = 1


@dataclass(frozen=True)
class BeamFrame:
    """The coordinate system of a beam, centred on its isocentre."""

    axes: NDArray[np.float64]
    """Rows: beam x, beam y and the direction towards the source, as LPS unit vectors."""
    isocentre_mm: NDArray[np.float64]
    sad_mm: float

    @property
    def source_mm(self) -> NDArray[np.float64]:
        """LPS position of the source [mm]."""
        return np.asarray(self.isocentre_mm + self.sad_mm * self.axes[2])

    def project(self, positions_mm: Points) -> Points:
        """Return where rays to ``[..., 3]`` LPS positions cross the isocentre plane [mm].

        Raises:
            GeometryError: A position lies at or behind the source.
        """
        local_mm = (positions_mm - self.isocentre_mm) @ self.axes.T
        from_source_mm = self.sad_mm - local_mm[..., 2:]
        if np.any(from_source_mm <= 0):
            raise GeometryError("A position lies behind the source; check isocentre and units.")
        return np.asarray(local_mm[..., :2] * self.sad_mm / from_source_mm)


def frame(beam: Beam, sad_mm: float) -> BeamFrame:
    """Return the coordinate system of a beam whose source is ``sad_mm`` from the axis."""
    return BeamFrame(
        axes(beam.gantry_deg, beam.couch_deg, beam.collimator_deg),
        np.asarray(beam.isocentre_mm, np.float64),
        sad_mm,
    )


def axes(gantry_deg: float, couch_deg: float, collimator_deg: float = 0.0) -> NDArray[np.float64]:
    """Return beam x, beam y and the direction to the source as rows of LPS unit vectors."""
    sin_b, cos_b = np.sin(np.deg2rad(collimator_deg)), np.cos(np.deg2rad(collimator_deg))
    turned = np.array([(cos_b, sin_b, 0.0), (-sin_b, cos_b, 0.0), (0.0, 0.0, 1.0)])
    sin_g, cos_g = np.sin(np.deg2rad(gantry_deg)), np.cos(np.deg2rad(gantry_deg))
    sin_c, cos_c = np.sin(np.deg2rad(couch_deg)), np.cos(np.deg2rad(couch_deg))
    gantry = np.array(
        [
            (cos_g * cos_c, sin_g, -cos_g * sin_c),
            (sin_c, 0.0, cos_c),
            (sin_g * cos_c, -cos_g, -sin_g * sin_c),
        ]
    )
    return np.asarray(turned @ gantry)


def gantry_angles(target: Structure, body: Structure, count: int) -> tuple[float, ...]:
    """Choose coplanar gantry angles.

    A target more than 20 mm left or right of the body's middle is approached over an arc of
    210° on its own side, so that no beam enters through the opposite lung; any other target
    from all around, equally spaced from 0°.

    Returns:
        ``count`` angles in whole degrees in [0°, 360°), ascending along the arc.
    """
    offset_mm = target.centroid_mm[0] - body.centroid_mm[0]
    if abs(offset_mm) <= LATERAL_TARGET_MM or count == 1:
        return tuple(float(round(360 * n / count)) for n in range(count))
    middle_deg = 90.0 if offset_mm > 0 else 270.0
    places = np.linspace(-OWN_SIDE_ARC_DEG / 2, OWN_SIDE_ARC_DEG / 2, count)
    return tuple(float(round(middle_deg + place) % 360) for place in places)


def equal_angles(count: int, first_deg: float = 0.0) -> tuple[float, ...]:
    """Return gantry angles spread evenly over a whole turn, ``first_deg`` first, in [0°, 360°)."""
    return tuple((first_deg + 360 * number / count) % 360 for number in range(count))


def arc_angles(
    start_deg: float, stop_deg: float, spacing_deg: float, *, clockwise: bool = True
) -> tuple[float, ...]:
    """Sample an arc, both ends included, as evenly as the wanted spacing allows.

    Args:
        start_deg: Where the gantry starts.
        stop_deg: Where it stops; the same as ``start_deg`` means a whole turn.
        spacing_deg: Greatest distance of two angles.
        clockwise: Seen by an observer who faces the gantry, the way IEC 61217 angles grow.

    Raises:
        InputError: The spacing is not positive.
    """
    if spacing_deg <= 0:
        raise InputError(f"An arc cannot be sampled every {spacing_deg:g}°; give more than 0°.")
    sweep_deg = (stop_deg - start_deg if clockwise else start_deg - stop_deg) % 360 or 360.0
    steps = int(np.ceil(sweep_deg / spacing_deg - 1e-9))
    turn = 1 if clockwise else -1
    places = start_deg + turn * sweep_deg * np.arange(steps + 1) / steps
    return tuple((places % 360).tolist())


def aim(
    target: Structure,
    gantry_deg: float,
    couch_deg: float,
    sad_mm: float,
    *,
    collimator_deg: float = 0.0,
    options: BeamletOptions,
) -> Beam:
    """Open the beamlets that see a target, isocentre in its centre, one unit of fluence each.

    Beamlet centres lie at whole multiples of the beamlet's side from the beam axis, along the
    axes of the turned collimator.

    Raises:
        InputError: The target is empty.
    """
    if target.is_empty:
        raise InputError(f"'{target.name}' is empty; delineate the target before planning.")
    beam = Beam(
        gantry_deg=gantry_deg,
        couch_deg=couch_deg,
        isocentre_mm=target.centroid_mm,
        beamlet_mm=options.beamlet_mm,
        positions_mm=np.zeros((0, 2)),
        weights=np.zeros(0),
        collimator_deg=collimator_deg,
    )
    voxels = np.argwhere(target.box) + np.asarray(target.start)
    seen_mm = frame(beam, sad_mm).project(target.grid.to_patient(voxels))
    cells = np.rint(seen_mm / options.beamlet_mm).astype(int)
    margin = options.margin_beamlets
    first = cells.min(axis=0) - margin
    field = np.zeros(cells.max(axis=0) - first + 1 + margin, dtype=np.bool_)
    field[tuple((cells - first).T)] = True
    if margin:
        field = binary_dilation(field, np.ones((3, 3), bool), iterations=margin)
    positions_mm = (np.argwhere(field) + first) * options.beamlet_mm
    return replace(beam, positions_mm=positions_mm, weights=np.ones(len(positions_mm)))

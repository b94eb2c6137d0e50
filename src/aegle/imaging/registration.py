"""Alignment of two images of one patient, of the same or of different kinds.

A motion is searched first (``motion_search``): rigid, or affine if asked for. A deformation follows
(``deformation``): self-similarity features, a coarse search over all shifts, Gauss-Newton
refinement at three resolutions, and for images of one kind a last step on the values themselves.
One set of defaults serves all of them; only the stiffness depends on their kind. Engines of ITK
stand behind the same signature (``itk_engines``).

An alignment that cannot be relied on says so in its verdict; see ``alignment_trust``.
"""

from typing import Annotated, Literal

import numpy as np
import torch
from pydantic.dataclasses import dataclass

from aegle.domain.errors import GeometryError, InputError, OptionError, QuantityError
from aegle.domain.grid import Points
from aegle.domain.registration import Motion, Registration, RegistrationQuality
from aegle.domain.structure import Structure
from aegle.domain.text import Text
from aegle.domain.volume import Quantity, Volume
from aegle.imaging import alignment_trust, itk_engines
from aegle.imaging.deformation import Course, Deformation, deformed
from aegle.imaging.motion_search import Likeness, likeness, motion_between
from aegle.imaging.working_image import WorkingImage, working_image
from aegle.options import option

LEAST_SLICES = 4
"""Thinner stacks show too little of what moves across slices."""
KEPT = 0.8
"""Scanner coordinates stand as the start of a deformation if they fit this share as well as the
best motion: a motion follows the largest organ and takes others along."""
MOTION_SPACING_MM = 6.0
"""Finest comparison of a motion that a deformation follows."""
START_SPACING_MM = 8.0
"""At which the start of a deformation is chosen; noise averages out at this scale."""
TRUST_SPACING_MM = 4.0
"""At which a motion is judged; another patient is less alike there than at coarser scales."""


@dataclass(frozen=True, kw_only=True)
class RegistrationOptions:
    """What may move, how finely to look, and when to believe the result."""

    motion: Annotated[
        Literal["rigid", "affine", "deformable"], option("What the alignment leaves free")
    ] = "deformable"
    engine: Annotated[
        Literal["gauss-newton", "demons", "b-spline"],
        option("Who deforms: our own, or ITK's diffeomorphic demons or B-splines"),
    ] = "gauss-newton"
    start: Annotated[
        Literal["search", "coordinates"],
        option("Whether a motion is searched first or the scanner's coordinates hold"),
    ] = "search"
    largest_turn_degree: Annotated[
        float, option("Turn about each axis that is searched", unit="degree", ge=0, le=180)
    ] = 20.0
    spacing_mm: Annotated[
        float, option("Voxel size at which images are compared", unit="mm", gt=0, le=10)
    ] = 2.0
    most_voxels: Annotated[
        int, option("Voxels above which images are compared more coarsely", ge=10_000)
    ] = 3_000_000
    reach_mm: Annotated[
        float, option("Deformation that the coarse search covers", unit="mm", gt=0, le=100)
    ] = 32.0
    stiffness: Annotated[
        float,
        option(
            "Weight of smoothness over that of the images; 0: 1.5 for images of one kind that are "
            "not CT, 4 for all others",
            ge=0,
            le=100,
        ),
    ] = 0.0
    polish: Annotated[
        bool, option("Whether images of one kind are fitted by their values in the end")
    ] = True
    allow_folds: Annotated[bool, option("Whether folds are left as they are")] = False
    device: Annotated[str, option("Where to calculate: cpu, cuda, cuda:1, ...")] = "cpu"


def register(
    fixed: Volume,
    moving: Volume,
    *,
    options: RegistrationOptions,
    fixed_mask: Structure | None = None,
    moving_mask: Structure | None = None,
    sliding: Structure | None = None,
) -> Registration:
    """Find where each point of ``fixed`` lies in ``moving``.

    Args:
        fixed: The earlier image, any quantity but a dose; one slice is aligned in its plane.
        moving: The later image; kind, grid and frame of reference may differ.
        options: What may move, how finely, on which device.
        fixed_mask: What counts in the fixed image, on its grid; None: the patient.
        moving_mask: Likewise in the moving image.
        sliding: A part of the fixed image, on its grid, whose border slides along the rest
            (lungs along the chest wall).

    Returns:
        The alignment with its verdict. One that failed has the identity as its matrix.

    Raises:
        QuantityError: A dose, or an engine that compares values given images of two kinds.
        GeometryError: One slice against many, slices in different planes, a mask on another
            grid, or coordinates that must hold but do not overlap.
        InputError: Two or three slices.
        OptionError: The device does not exist.
    """
    _check(fixed, moving, options)
    for mask, image in ((fixed_mask, fixed), (moving_mask, moving), (sliding, fixed)):
        if mask is not None and not mask.grid.is_same_as(image.grid):
            raise GeometryError(
                f"'{mask.name}' and its image lie on different grids; resample the mask first."
            )
    pair = _Pair(fixed, moving, fixed_mask, moving_mask, options)
    bends = options.motion == "deformable"
    still, moved = pair.at(START_SPACING_MM if bends else TRUST_SPACING_MM)
    nothing = Likeness(agreement=0.0, overlap=0.0)
    if still.is_empty or moved.is_empty:
        return _failed(nothing, nothing, Text("One of the images shows no patient."))
    before = likeness(still, moved, np.eye(4))
    matrix = _motion(pair, before, options)
    after = likeness(still, moved, matrix)
    if bends and alignment_trust.is_start(after):
        if before.merit >= KEPT * after.merit:
            matrix = np.eye(4)
        return _deformable(before, matrix, _deform(pair, matrix, sliding, options), options)
    fine = alignment_trust.evidence(still, moved, matrix)
    coarse = alignment_trust.evidence(*pair.at(START_SPACING_MM), matrix)
    verdict, reason = alignment_trust.of_motion(before, fine, coarse, matrix, options)
    if alignment_trust.has_failed(verdict):
        return _failed(before, after, reason)
    return Registration(
        matrix=_rows(matrix),
        correlation_before=before.agreement,
        correlation_after=after.agreement,
        verdict=verdict,
        reason=reason,
        motion=Motion(options.motion),
        quality=RegistrationQuality(agreement=after.agreement, overlap=after.overlap),
    )


class _Pair:
    """Two images, made ready at any spacing."""

    def __init__(
        self,
        fixed: Volume,
        moving: Volume,
        fixed_mask: Structure | None,
        moving_mask: Structure | None,
        options: RegistrationOptions,
    ) -> None:
        self.fixed, self.moving = fixed, moving
        self._masks = [None if m is None else m.mask for m in (fixed_mask, moving_mask)]
        self.is_masked = fixed_mask is not None
        self._most = options.most_voxels
        try:
            # Making an empty tensor is the only way to learn whether the device is there.
            self._device = torch.empty(0, device=options.device).device
        except (RuntimeError, AssertionError) as error:
            raise OptionError(
                f"No device '{options.device}' on this machine; use 'cpu'. ({error})"
            ) from error
        self._made: dict[float, tuple[WorkingImage, WorkingImage]] = {}

    def at(self, spacing_mm: float) -> tuple[WorkingImage, WorkingImage]:
        """Return both at a spacing [mm], coarser if neither shows more or there is too much."""
        if spacing_mm not in self._made:
            images = (self.fixed, self.moving)
            grids = [v.grid for v in images]
            volume_mm3 = max(float(np.prod(np.multiply(g.shape, g.spacing_mm))) for g in grids)
            own_mm = min(float(np.prod(g.spacing_mm)) for g in grids) ** (1 / 3)
            least_mm = (
                spacing_mm
                if grids[0].shape[0] == 1
                else max(spacing_mm, own_mm, (volume_mm3 / self._most) ** (1 / 3))
            )
            still, moved = (
                working_image(v, least_mm, device=self._device, mask=m)
                for v, m in zip(images, self._masks, strict=True)
            )
            self._made[spacing_mm] = (still, moved)
        return self._made[spacing_mm]


def _check(fixed: Volume, moving: Volume, options: RegistrationOptions) -> None:
    for image in (fixed, moving):
        if image.quantity is Quantity.ABSORBED_DOSE:
            raise QuantityError(
                "A dose shows no anatomy; align the CT that it was calculated on and carry the "
                "dose through that alignment."
            )
        if 1 < image.grid.shape[0] < LEAST_SLICES:
            raise InputError(
                f"An image of {image.grid.shape[0]} slices is too thin to be aligned; "
                f"it takes one slice or at least {LEAST_SLICES}."
            )
    if options.engine != "gauss-newton" and fixed.quantity is not moving.quantity:
        raise QuantityError(
            f"'{options.engine}' compares values, but these are {fixed.quantity.name.lower()} and "
            f"{moving.quantity.name.lower()}; use 'gauss-newton'."
        )
    flat = [image.grid.shape[0] == 1 for image in (fixed, moving)]
    if any(flat) and not all(flat):
        raise GeometryError("One image is a single slice, the other is not; take slices of both.")
    if all(flat):
        normals = [np.asarray(image.grid.axes)[0] for image in (fixed, moving)]
        if abs(float(normals[0] @ normals[1])) < 0.999:
            raise GeometryError("The two slices lie in different planes.")


def _motion(pair: _Pair, before: Likeness, options: RegistrationOptions) -> Points:
    """Return the rigid or affine motion, or none where coordinates must hold."""
    if options.start == "search":
        return motion_between(
            pair.at,
            is_affine=options.motion == "affine",
            finest_mm=MOTION_SPACING_MM if options.motion == "deformable" else options.spacing_mm,
            largest_turn_degree=options.largest_turn_degree,
        )
    if before.overlap <= 0:
        raise GeometryError(
            "The images do not overlap at their own coordinates; let a motion be searched "
            "(start = 'search')."
        )
    return np.eye(4)


def _deform(
    pair: _Pair, matrix: Points, sliding: Structure | None, options: RegistrationOptions
) -> Deformation:
    if options.engine != "gauss-newton":
        return itk_engines.deformed(
            pair.fixed, pair.moving, matrix, engine=options.engine, spacing_mm=options.spacing_mm
        )
    course = Course(
        reach_mm=options.reach_mm,
        stiffness=options.stiffness or _stiffness(pair),
        is_one_kind=options.polish and pair.fixed.quantity is pair.moving.quantity,
        is_ct=pair.fixed.quantity is Quantity.RADIODENSITY,
        is_masked=pair.is_masked,
        allow_folds=options.allow_folds,
    )
    return deformed(*pair.at(options.spacing_mm), matrix, course=course, sliding=sliding)


def _stiffness(pair: _Pair) -> float:
    """Return the weight of smoothness for a kind of images.

    Chosen on landmarks: of breathing livers on MR, two people with two breaths each, 1, 1.5, 2 and
    4 leave 1.68, 1.69, 1.74 and 1.94 mm; of a breathing lung on CT, 4 leaves least.
    """
    is_ct = pair.fixed.quantity is Quantity.RADIODENSITY
    is_one_kind = pair.fixed.quantity is pair.moving.quantity
    return 1.5 if is_one_kind and not is_ct else 4.0


def _deformable(
    before: Likeness, matrix: Points, deformation: Deformation, options: RegistrationOptions
) -> Registration:
    quality = deformation.quality
    after = Likeness(agreement=quality.agreement, overlap=quality.overlap)
    verdict, reason = alignment_trust.of_deformation(before, quality, options)
    if alignment_trust.has_failed(verdict):
        return _failed(before, after, reason)
    return Registration(
        matrix=_rows(matrix),
        correlation_before=before.agreement,
        correlation_after=after.agreement,
        verdict=verdict,
        reason=reason,
        motion=Motion.DEFORMABLE,
        displacement=deformation.displacement,
        inverse=deformation.inverse,
        quality=quality,
    )


def _failed(before: Likeness, after: Likeness, reason: Text) -> Registration:
    return Registration(
        matrix=_rows(np.eye(4)),
        correlation_before=before.agreement,
        correlation_after=after.agreement,
        verdict=alignment_trust.FAILED,
        reason=reason,
        quality=RegistrationQuality(agreement=after.agreement, overlap=after.overlap),
    )


def _rows(matrix: Points) -> tuple[tuple[float, float, float, float], ...]:
    # Sums over another number of threads differ in the last digits.
    rows = matrix.round(9).tolist()
    return tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in rows)

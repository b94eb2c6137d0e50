"""Our dose engine on the voxels and beamlets of other planning systems."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import SimpleITK as sitk
import torch

from aegle.domain.grid import Grid
from aegle.domain.plan import Beam
from aegle.domain.volume import Quantity, Volume
from aegle.planning.dose_grid import DoseGrid
from aegle.planning.gamma import GammaOptions, gamma
from aegle.planning.influence import total
from aegle.planning.machine import machine
from aegle.planning.optimise import OptimiserOptions, optimise
from aegle.planning.pencil_beam import BeamDose, DoseOptions, Medium, beam_dose
from aegle.planning.ray_trace import DensityField

FOLDER = Path(__file__).parents[2] / "shared" / "data" / "rt" / "reference"
TG119 = FOLDER / "tg119_ct_structures.npz"
MOST_ITERATIONS = 400
NAMES = ("Core", "OuterTarget", "BODY")
CUTOFFS_MM = {"pyradplan": 50.0, "matrad": 53.5}
"""matRad adds half the diagonal of a beamlet."""
PLANS = (
    ("pyradplan_tg119_ph_5b_bw5_g5", "dose_opt", (5.0, 5.0, 5.0)),
    ("pyradplan_tg119_ph_2b_bw10_ct", "dose_opt", (2.5, 3.0, 3.0)),
    ("matrad_tg119_ph_5b_bw5_g5_opt", "dose", (5.0, 5.0, 5.0)),
)
LINAC = machine("generic_6mv")


@dataclass(frozen=True, eq=False)
class _Phantom:
    """TG-119 with the table of densities that the references use."""

    images: Sequence[tuple[sitk.Image, int]]
    """Densities and body, and how each is interpolated."""

    @classmethod
    def read(cls) -> "_Phantom":
        content = np.load(TG119)
        body = content["mask_BODY"] | content["mask_OuterTarget"] | content["mask_Core"]
        table = content["hlut"]
        density = np.interp(content["hu"], table[:, 0], table[:, 1]) * body
        images = [sitk.GetImageFromArray(density.astype(np.float32))]
        images.append(sitk.GetImageFromArray(body.astype(np.uint8)))
        for image in images:
            image.SetOrigin(content["origin_xyz"].tolist())
            image.SetSpacing(content["spacing_xyz"].tolist())
        return cls(list(zip(images, (sitk.sitkLinear, sitk.sitkNearestNeighbor), strict=True)))

    def on(self, grid: Grid) -> Medium:
        """Return the patient on a grid, as pyRadPlan resamples it in its own set-up."""
        frame = sitk.Image(grid.shape[::-1], sitk.sitkUInt8)
        frame.SetOrigin(grid.origin_mm)
        frame.SetSpacing(grid.spacing_mm[::-1])
        values, inside = (
            sitk.GetArrayFromImage(
                sitk.Resample(image, frame, sitk.Transform(), kind, 0.0, image.GetPixelID())
            )
            for image, kind in self.images
        )
        field = DensityField(torch.from_numpy(values), grid)
        voxels = np.flatnonzero(inside)
        return Medium(DoseGrid.of(grid, 0.1), field, inside > 0, voxels)


@dataclass(frozen=True, eq=False)
class _Case:
    """The peer's plan: its files in a folder."""

    folder: Path

    @cached_property
    def task(self) -> Any:
        return json.loads((self.folder / "task.json").read_text())

    @cached_property
    def found(self) -> Any:
        return dict(np.load(self.folder / "found.npz"))

    @property
    def grid(self) -> Grid:
        found = self.found
        return Grid(
            shape=tuple(found["shape"].tolist()),
            spacing_mm=tuple(found["spacing_mm"].tolist()),
            origin_mm=tuple(found["origin_mm"].tolist()),
        )

    @property
    def beams(self) -> list[Beam]:
        rays = self.found["rays"]
        return [
            Beam(
                gantry_deg=angle,
                couch_deg=0.0,
                isocentre_mm=tuple(self.found["isocentre_mm"].tolist()),
                beamlet_mm=self.task["beamlet_mm"],
                positions_mm=rays[rays[:, 0] == number, 1:],
                weights=np.ones(np.count_nonzero(rays[:, 0] == number)),
            )
            for number, angle in enumerate(self.task["gantry_deg"])
        ]

    def objective(self, doses: Sequence[Any]) -> Any:
        """Return the peer's objective for the doses of core, target and body."""
        core, target, body = doses
        (low, a), (middle, b), (high, c) = (self.task[n] for n in ("core", "target", "body"))
        return (
            a * (core - low).clip(0, None).pow(2).mean()
            + b * (target - middle).pow(2).mean()
            + c * (body - high).clip(0, None).pow(2).mean()
        )

    def on_matrix(self, weights: Any) -> float:
        """Return the objective by the peer's own matrix."""
        dose = torch.from_numpy(sp.load_npz(self.folder / "matrix.npz") @ weights)
        return float(self.objective([dose[torch.from_numpy(self.found[n])] for n in NAMES]))


def five_beams(folder: Path) -> dict[str, Any]:
    """Set up and optimise the peer's case.

    Its voxels, structures, beamlets and objective; what the optimiser finds is judged on the
    peer's own matrix as well.
    """
    case, phantom = _Case(folder), _Phantom.read()
    options = DoseOptions(lateral_cutoff_mm=50.0, fluence_shift_mm=-0.25)
    beams = case.beams
    beam_dose(phantom.on(case.grid), beams[0], LINAC, options=options)
    start = time.process_time()
    patient = phantom.on(case.grid)
    prepared = [beam_dose(patient, beam, LINAC, options=options) for beam in beams]
    set_up_s = time.process_time() - start
    found = _optimised(case, patient, prepared)
    return {"set_up_s": set_up_s, **found, "theirs": case.on_matrix(case.found["weights"])}


def _optimised(case: _Case, patient: Medium, prepared: Sequence[BeamDose]) -> dict[str, Any]:
    number = np.full(int(np.prod(case.grid.shape)), -1)
    number[patient.voxels] = np.arange(patient.voxels.size)
    points = [torch.from_numpy(number[case.found[name]]) for name in NAMES]
    if any(bool((place < 0).any()) for place in points):
        raise RuntimeError("A structure of the peer reaches beyond our body.")
    ends = np.cumsum([one.beamlets for one in prepared])[:-1].tolist()

    def objective(weights: Any) -> Any:
        parts = torch.tensor_split(weights / LINAC.gy_per_mu, ends)
        dose = total(prepared, parts, len(patient.voxels))
        return case.objective([dose[place] for place in points])

    times: list[float] = []
    clock = time.process_time()
    theirs = case.found["weights"]
    result = optimise(
        objective,
        torch.full((theirs.size,), float(theirs.mean())),
        options=OptimiserOptions(iterations=MOST_ITERATIONS, tolerance=1e-9),
        progress=lambda _done, _of: times.append(time.process_time() - clock),
    )
    return {
        "times_s": [0.0, *times],
        "values": list(result.values),
        "ours_on_matrix": case.on_matrix(result.weights),
    }


def references(_folder: Path) -> dict[str, Any]:
    """Judge our dose against stored plans of other systems by gamma 1 %/1 mm."""
    phantom = _Phantom.read()
    return {name: _judged(phantom, name, key, spacing) for name, key, spacing in PLANS}


def _judged(
    phantom: _Phantom, name: str, key: str, spacing_mm: tuple[float, float, float]
) -> dict[str, float]:
    content = np.load(FOLDER / f"{name}.npz")
    weighed = content if "ray_pos_bev" in content else np.load(FOLDER / f"{PLANS[0][0]}.npz")
    meta = json.loads(str(weighed["meta"]))
    origin = [float(content[a][0]) for a in "xyz"] if "x" in content else meta["origin"]
    dose = content[key]
    grid = Grid(shape=dose.shape, spacing_mm=spacing_mm, origin_mm=(*origin,))
    patient = phantom.on(grid)
    options = DoseOptions(lateral_cutoff_mm=CUTOFFS_MM[name.split("_")[0]], fluence_shift_mm=-0.25)
    ours = np.zeros(dose.size, np.float32)
    for number, angle in enumerate(meta["gantry"]):
        own = weighed["beam_of_bixel"] == number
        beam = Beam(
            gantry_deg=angle,
            couch_deg=0.0,
            isocentre_mm=tuple(meta["iso"]),
            beamlet_mm=meta["bixel_mm"],
            positions_mm=weighed["ray_pos_bev"][own][:, [0, 2]],
            weights=content["w"][own] / LINAC.gy_per_mu,
        )
        one = beam_dose(patient, beam, LINAC, options=options)
        weights = torch.from_numpy(beam.weights.astype(np.float32))
        ours[patient.voxels[one.points.numpy()]] += one(weights).numpy()
    given, made = (
        Volume(values=v.reshape(dose.shape), grid=grid, quantity=Quantity.ABSORBED_DOSE)
        for v in (dose, ours)
    )
    found = gamma(given, made, options=GammaOptions(dose_percent=1.0, distance_mm=1.0))
    high = dose > 0.1 * dose.max()
    return {
        "pass_percent": 100 * float((found.values[np.isfinite(found.values)] <= 1).mean()),
        "median_ratio": float(np.median(ours.reshape(dose.shape)[high] / dose[high])),
    }

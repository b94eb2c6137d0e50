"""What of ``registration`` runs in our own environment, each in a process of its own."""

import json
import re
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from aegle.domain.grid import Grid, Points
from aegle.domain.registration import DisplacementField, Motion, Registration, Verdict
from aegle.domain.text import Text
from aegle.domain.volume import Quantity, Volume
from aegle.imaging.registration import RegistrationOptions, register
from aegle.imaging.warp import warp
from aegle.phantoms.thorax import ThoraxOptions, make_visit

DATA = Path(__file__).parents[2] / "shared" / "data" / "registration"
LIVER = ((18, "cyc_1_10"), (18, "cyc_3_10"), (23, "cyc_1_4"), (23, "cyc_5_4"))
NOISE_HU = 20.0
Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Pair:
    """Two images and where points of the first lie in the second."""

    name: str
    fixed: Volume
    moving: Volume
    points_mm: Points
    wanted_mm: Points

    def error_mm(self, result: Registration) -> float:
        """Return the mean distance from where the points lie [mm]."""
        return float(
            np.linalg.norm(result.to_moving(self.points_mm) - self.wanted_mm, axis=1).mean()
        )


def all_pairs() -> list[Pair]:
    """Return the pairs whose data are there, the made CT last."""
    pairs = []
    if DATA.exists():
        pairs = [_lung(), *(_liver(subject, cycle) for subject, cycle in LIVER)]
    return [*pairs, made_pair()]


def made_pair() -> Pair:
    """Return a made chest CT and itself bent by a closed-form field; mean 6, maximum 17 mm."""
    made = make_visit(0, options=ThoraxOptions(seed=3, shape=(100, 128, 128), varied=True))
    grid = made.ct.grid
    centre = grid.centre_mm

    def to_fixed(points: Points) -> Points:
        x, y, z = np.moveaxis(points - centre, -1, 0)
        fade = np.exp(-((x / 230) ** 2 + (y / 230) ** 2 + (z / 230) ** 2))
        moves = (7 * np.sin(z / 31), 6 * np.cos(x / 37 + 1), 17 * np.cos(y / 70) * np.cos(x / 90))
        return points + fade[..., None] * np.stack(moves, -1)

    index = np.moveaxis(np.indices(grid.shape), 0, -1).astype(float)
    vectors = np.empty((*grid.shape, 3), np.float32)
    for number in range(grid.shape[0]):
        here = grid.to_patient(index[number])
        vectors[number] = to_fixed(here) - here
    bending = Registration(
        matrix=_rows(np.eye(4)),
        correlation_before=0.0,
        correlation_after=0.0,
        verdict=Verdict.GOOD,
        reason=Text("made"),
        motion=Motion.DEFORMABLE,
        displacement=DisplacementField(vectors_mm=vectors, grid=grid),
    )
    moving = _noisy(warp(made.ct, bending, grid, outside=-1000.0), 2)
    inside = np.argwhere(made.ct.values > -950)[::101].astype(float)
    points = grid.to_patient(inside)
    # The moving image at y shows what lay at to_fixed(y).
    return Pair(
        name="made CT",
        fixed=_noisy(made.ct, 1),
        moving=moving,
        points_mm=points,
        wanted_mm=bending.to_fixed(points),
    )


def _noisy(volume: Volume, seed: int) -> Volume:
    noise = np.random.default_rng(seed).normal(0, NOISE_HU, volume.values.shape)
    return replace(volume, values=(volume.values + noise).astype(np.float32))


def _lung() -> Pair:
    folder = DATA / "lung_ct"
    return Pair(
        name="lung CT, 51 landmarks",
        fixed=_volume(folder / "3DCT_lung_baseline_small.mha", Quantity.RADIODENSITY),
        moving=_volume(folder / "3DCT_lung_followup_RECONSTRUCTED.nii.gz", Quantity.RADIODENSITY),
        points_mm=_landmarks(folder / "CT_3D_lung_fixed_point_set_corrected.txt"),
        wanted_mm=_landmarks(folder / "CT_3D_lung_moving_point_set_corrected.txt"),
    )


def _liver(subject: int, cycle: str) -> Pair:
    folder = DATA / "liver_mr" / f"dataset{subject}"
    fixed = _volume(folder / "exhMaster_unmasked.force_direction.mha", Quantity.SIGNAL)
    moving = _volume(folder / f"{cycle}.force_direction.mha", Quantity.SIGNAL)
    points, wanted = (
        np.vstack([_landmarks(folder / f"{name}LM{part}.vtk") for part in ("liver", "outside")])
        for name in ("exhMaster", cycle)
    )
    # The header of dataset18/cyc_1_10 says 5.0 mm; the master's spacing is right.
    grid = replace(moving.grid, spacing_mm=fixed.grid.spacing_mm)
    return Pair(
        name=f"liver MR {subject} {cycle}",
        fixed=fixed,
        moving=replace(moving, grid=grid),
        points_mm=points,
        wanted_mm=wanted,
    )


def _volume(path: Path, quantity: Quantity) -> Volume:
    image = sitk.Cast(sitk.ReadImage(str(path)), sitk.sitkFloat32)
    direction = np.array(image.GetDirection()).reshape(3, 3)
    grid = Grid(
        shape=image.GetSize()[::-1],
        spacing_mm=image.GetSpacing()[::-1],
        origin_mm=image.GetOrigin(),
        axes=tuple(map(tuple, direction.T[::-1])),
    )
    return Volume(values=sitk.GetArrayFromImage(image), grid=grid, quantity=quantity)


def _landmarks(path: Path) -> Array:
    text = path.read_text()
    if path.suffix == ".vtk":
        found = re.search(r"POINTS\s+\d+\s+\w+\s+([-\d.eE+\s]*)", text)
        assert found is not None
        return np.array(found[1].split(), float).reshape(-1, 3)
    return np.array(text.split()[2:], float).reshape(-1, 3)


def pairs(folder: Path) -> dict[str, Any]:
    """Align every pair, and leave it for the peers after our motion."""
    found = {}
    for number, pair in enumerate(all_pairs()):
        options = RegistrationOptions()
        wall, cpu = time.perf_counter(), time.process_time()
        result = register(pair.fixed, pair.moving, options=options)
        times = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
        quality = result.quality
        assert quality is not None
        found[pair.name] = {
            **times,
            "error_mm": pair.error_mm(result),
            "folded_percent": quality.folded_percent,
            "matrix": result.matrix,
            "number": number,
        }
        moved = replace(result, displacement=None, inverse=None)
        low = float(pair.moving.values.min())
        brought = warp(pair.moving, moved, pair.fixed.grid, outside=low)
        for name, volume in (("fixed", pair.fixed), ("moving", brought)):
            sitk.WriteImage(
                _image(volume.values, volume.grid), str(folder / f"{number}_{name}.nii.gz")
            )
    (folder / "ours.json").write_text(json.dumps(found))
    return found


def _image(values: NDArray[Any], grid: Grid) -> sitk.Image:
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(grid.spacing_mm[::-1])
    image.SetOrigin(grid.origin_mm)
    image.SetDirection(np.asarray(grid.axes)[::-1].T.ravel().tolist())
    return image


def judge(folder: Path, peer: str) -> dict[str, Any]:
    """Return a peer's errors and times by pair."""
    ours = json.loads((folder / "ours.json").read_text())
    found = {}
    for pair in all_pairs():
        mine = ours[pair.name]
        stem = f"{mine['number']}_{peer}"
        field = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / f"{stem}.nii.gz")))
        result = Registration(
            matrix=mine["matrix"],
            correlation_before=0.0,
            correlation_after=0.0,
            verdict=Verdict.GOOD,
            reason=Text("peer"),
            motion=Motion.DEFORMABLE,
            displacement=DisplacementField(
                vectors_mm=field.reshape(*pair.fixed.grid.shape, 3).astype(np.float32),
                grid=pair.fixed.grid,
            ),
        )
        times = json.loads((folder / f"{stem}.json").read_text())
        found[pair.name] = {**times, "error_mm": pair.error_mm(result)}
    return found


def _rows(matrix: Points) -> tuple[tuple[float, float, float, float], ...]:
    return tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in matrix.tolist())


if __name__ == "__main__":
    part, *rest = sys.argv[1:]
    answer: Any = pairs(Path(rest[0])) if part == "pairs" else judge(Path(rest[0]), rest[1])
    print(json.dumps(answer))

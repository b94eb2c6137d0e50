"""How often a motion is found, and how often a verdict on it is right, on made patients.

``python -m benchmarks.registration_trials FIRST COUNT [PARTS]`` takes seeds FIRST, FIRST + 1, ...
Each seed is a made chest, moved at random (each turn up to 20°, each shift up to 60 mm), and:

- ``one kind``: the chest against itself, moved, with noise of its own;
- ``two kinds``: the same, the moved one with every tissue's brightness drawn anew (no order kept);
- ``another patient`` and ``another patient, two kinds``: against the chest of another seed;
- ``empty``: against air with noise.

The limits of the verdict were chosen on seeds from 1000 on; 0 to 99 only measure. What is done is
kept under ``benchmarks/.work`` by a digest of the package's imaging code, so that a run that was
stopped goes on.
"""

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

import aegle.imaging
from aegle.domain.grid import Grid, Points
from aegle.domain.registration import Registration, Verdict
from aegle.domain.text import Text
from aegle.domain.volume import Quantity, Volume
from aegle.imaging.registration import RegistrationOptions, register
from aegle.imaging.warp import warp
from aegle.phantoms.thorax import ThoraxOptions, make_visit
from benchmarks.peers import WORK

OPTIONS = RegistrationOptions(motion="rigid", spacing_mm=4.0)
APART = 500
"""Difference of the seeds of two patients."""
NOISE_HU = 20.0
TISSUES_HU = (-1000, -850, -200, -80, 0, 60, 150, 400, 800)
NOISE = 15.0
BRIGHTEST = 800.0
PARTS = ("one kind", "two kinds", "another patient", "another patient, two kinds", "empty")


def trial(part: str, seed: int) -> dict[str, Any]:
    """Return the verdict on one pair, and its mean error [mm] where the truth is known."""
    fixed = made(seed)
    truth = random_motion(np.random.default_rng(seed), fixed.grid)
    makers: dict[str, Callable[[], Volume]] = {
        "one kind": lambda: _noisy(_moved(fixed, truth), seed),
        "two kinds": lambda: other_kind(_moved(fixed, truth), seed),
        "another patient": lambda: made(seed + APART),
        "another patient, two kinds": lambda: other_kind(made(seed + APART), seed),
        "empty": lambda: _noisy(
            replace(fixed, values=np.full(fixed.grid.shape, -1000.0, np.float32)), seed
        ),
    }
    result = register(fixed, makers[part](), options=OPTIONS)
    quality = result.quality
    assert quality is not None
    found: dict[str, Any] = {
        "part": part,
        "seed": seed,
        "verdict": result.verdict.value,
        "agreement": round(quality.agreement, 4),
        "reason": str(result.reason),
    }
    if part in PARTS[:2]:
        points = fixed.grid.to_patient(np.argwhere(fixed.values > -500)[::97].astype(float))
        wanted = points @ truth[:3, :3].T + truth[:3, 3]
        apart_mm = np.linalg.norm(result.to_moving(points) - wanted, axis=1)
        found["error_mm"] = round(float(apart_mm.mean()), 4)
    return found


def made(seed: int) -> Volume:
    """Return the CT of a made patient who differs from seed to seed."""
    return make_visit(0, options=ThoraxOptions(seed=seed, shape=(60, 80, 80), varied=True)).ct


def random_motion(rng: np.random.Generator, grid: Grid) -> Points:
    """Return a turn up to 20° about each axis through the middle and a shift up to 60 mm."""
    motion = np.eye(4)
    turn = Rotation.from_euler("xyz", rng.uniform(-20, 20, 3), degrees=True).as_matrix()
    motion[:3, :3] = turn
    motion[:3, 3] = grid.centre_mm - turn @ grid.centre_mm + rng.uniform(-60, 60, 3)
    return motion


def other_kind(ct: Volume, seed: int) -> Volume:
    """Return an image in which every tissue's brightness is drawn anew, air apart."""
    rng = np.random.default_rng((seed, 1))
    bright = BRIGHTEST * np.r_[0.0, rng.permutation(np.linspace(0.15, 1, len(TISSUES_HU) - 1))]
    values = np.interp(ct.values, TISSUES_HU, bright) + rng.normal(0, NOISE, ct.values.shape)
    return Volume(values=values.astype(np.float32), grid=ct.grid, quantity=Quantity.SIGNAL)


def _moved(fixed: Volume, truth: Points) -> Volume:
    rows = np.linalg.inv(truth).tolist()
    bring = Registration(
        matrix=(tuple(rows[0]), tuple(rows[1]), tuple(rows[2]), tuple(rows[3])),
        correlation_before=0.0,
        correlation_after=0.0,
        verdict=Verdict.GOOD,
        reason=Text("made"),
    )
    return warp(fixed, bring, fixed.grid, outside=-1000.0)


def _noisy(volume: Volume, seed: int) -> Volume:
    noise = np.random.default_rng((seed, 2)).normal(0, NOISE_HU, volume.values.shape)
    return replace(volume, values=(volume.values + noise).astype(np.float32))


def counts(first: int, count: int, parts: tuple[str, ...] = PARTS) -> dict[str, int]:
    """Return how often what was wanted came true over some seeds, by part."""
    kept = _kept()
    known = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    done = {(row["part"], row["seed"]): row for row in known}
    for seed, part in product(range(first, first + count), parts):
        if (part, seed) not in done:
            row = done[part, seed] = trial(part, seed)
            with kept.open("a") as file:
                file.write(json.dumps(row) + "\n")
    found = {}
    for part in parts:
        rows = [done[part, seed] for seed in range(first, first + count)]
        failed = sum(row["verdict"] == Verdict.FAILED.value for row in rows)
        found[f"{part}: called failed"] = failed
        if "error_mm" in rows[0]:
            found[f"{part}: within 1 mm"] = sum(row["error_mm"] < 1.0 for row in rows)
    return found


def _kept() -> Path:
    """Return the file of what is done by this very code."""
    folder = Path(aegle.imaging.__file__).parent
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for path in sorted(folder.glob("*.py")):
        digest.update(path.read_bytes())
    WORK.mkdir(exist_ok=True)
    return WORK / f"registration_trials-{digest.hexdigest()[:12]}.jsonl"


if __name__ == "__main__":
    start, number, *chosen = sys.argv[1:]
    print(json.dumps(counts(int(start), int(number), tuple(chosen) or PARTS)))

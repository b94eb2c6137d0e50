"""Outlining whole volumes: resampling, the sliding window and the way back to the image's grid.

Everything runs in processes of its own on one thread; times are of the processor. nnU-Net lives in
an environment of its own under ``benchmarks/.work``, made on the first run. MONAI is a package
that we depend on; its sliding window runs the same network, trained in the benchmark, on the same
volume.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.line import Line
from benchmarks.peers import environment
from benchmarks.segmentation_parts import (
    BATCHES,
    CLASSES,
    CT,
    CT_SHAPE,
    FINE,
    MANY_CLASSES,
    SIDE,
    Result,
)

NNUNET = "nnunetv2==2.8.1"
NNUNET_NEEDS = (
    *("torch==2.13.0", "numpy==2.4.6", "scipy==1.17.1", "pandas==3.1.1"),
    *("scikit-image==0.26.0", "batchgenerators==0.25.5"),
)
"""What importing its resampling takes; the rest of it needs torchvision."""
BUDGET_GB = 3.0
LARGEST_CHANGE = 0.002
"""Of the Dice coefficient, that bfloat16 may make."""
LARGEST_ERROR_HU = 0.01


def resampling() -> Iterator[Line]:
    """Measure cubic resampling of a CT to 1.5 mm beside nnU-Net's."""
    import numpy as np

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours = _measured("cubic", folder)
        theirs = _nnunet("image", folder, CT, repetitions=2)
        result = np.load(folder / "result.npy")[0]
        apart_hu = float(np.abs(result - np.load(folder / "ours.npy")).max())
    size = "x".join(map(str, CT_SHAPE))
    what = f"cubic resampling {size} to 1.5 mm, 1 thread"
    yield Line(what=what, ours=ours["seconds"], unit="CPU-s", peer=NNUNET, theirs=theirs)
    yield Line(
        what="its largest difference from nnU-Net's",
        ours=apart_hu,
        unit="HU",
        peer="allowed",
        theirs=LARGEST_ERROR_HU,
    )


def export() -> Iterator[Line]:
    """Measure labels of 25 classes on a CT's grid beside nnU-Net's scores of all classes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours = _measured("export", folder)
        one = _nnunet("scores", folder, FINE, repetitions=1)
    size = "x".join(map(str, FINE["shape"]))
    yield Line(
        what=f"labels of {CLASSES} classes at {size}, 1 thread",
        ours=ours["seconds"],
        unit="CPU-s",
        peer=f"{NNUNET}, one class times {CLASSES}, without argmax",
        theirs=CLASSES * one,
    )
    yield Line(
        what="its voxels unlike those of interpolating every class",
        ours=ours["unlike"],
        unit="voxels",
        peer="compared",
        theirs=ours["compared"],
    )
    held_gb = CLASSES * ours["voxels"] * 4 / 1e9
    yield Line(
        what="its memory beside the scores and the labels",
        ours=ours["gigabytes"],
        unit="GB",
        peer="all classes at full resolution",
        theirs=held_gb,
    )


def sliding_window() -> Iterator[Line]:
    """Measure the sliding window beside MONAI's, and what bfloat16 does to outlines."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _measured("learn", folder)
        ours = {kind: _measured(kind, folder) for kind in ("bfloat16", "float32")}
        theirs = {batch: _measured(f"monai-{batch}", folder) for batch in BATCHES}
        shipped = _measured("shipped", folder)
    fastest = min(BATCHES, key=lambda batch: float(theirs[batch]["seconds"]))
    for kind, measured in ours.items():
        for batch, remark in ((1, "default"), (fastest, "its best")):
            yield Line(
                what=f"sliding window {SIDE}³, U-Net, {kind}, 1 thread",
                ours=measured["seconds"],
                unit="CPU-s",
                peer=f"MONAI SlidingWindowInferer, float32, batch {batch} ({remark})",
                theirs=theirs[batch]["seconds"],
            )
    yield from _changes("this U-Net", {kind: found["dice"] for kind, found in ours.items()})
    yield from _changes("shipped thorax-ct", shipped)


def _changes(network: str, dice: Result) -> Iterator[Line]:
    for organ, exact in dice["float32"].items():
        yield Line(
            what=f"change of Dice by bfloat16, {network}: {organ} ({exact:.4f} in float32)",
            ours=abs(dice["bfloat16"][organ] - exact),
            unit="",
            peer="allowed",
            theirs=LARGEST_CHANGE,
        )


def many_classes() -> Iterator[Line]:
    """Measure the peak memory of a process that outlines 118 classes."""
    with tempfile.TemporaryDirectory() as name:
        found = _measured("many", Path(name))
    yield Line(
        what=f"{MANY_CLASSES} classes at {SIDE}³, peak memory of the process",
        ours=found["peak_gb"],
        unit="GB",
        peer="budget",
        theirs=BUDGET_GB,
    )


def _measured(part: str, folder: Path) -> Result:
    """Run a part in a fresh process on one thread."""
    command = [sys.executable, "-m", "benchmarks.segmentation_parts", part, str(folder)]
    found: Result = json.loads(_run(command))
    return found


def _nnunet(kind: str, folder: Path, task: Result, *, repetitions: int) -> float:
    python = environment("nnunet", NNUNET_NEEDS, alone=(NNUNET,))
    (folder / "task.json").write_text(json.dumps(task))
    script = Path(__file__).with_name("nnunet_resampling.py")
    return float(_run([str(python), str(script), kind, str(folder), str(repetitions)]))


def _run(command: list[str]) -> str:
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "-1"},
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout.splitlines()[-1]

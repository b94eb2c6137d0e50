"""Write made chest patients with their outlines, to train and judge the shipped segmenter on.

    python tools/make_thorax_set.py models/thorax-set

Seeds below 1000 are for training; 1000 and above are never trained on. Every fourth training
patient is the model patient, as ``aegle demo`` shows; all others differ in build, lesions,
contrast and noise. Images lie on grids of about 3 mm, which the segmenter works at; half of
them have other voxels. The same seeds give the same files.
"""

import argparse
import csv
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from aegle.domain.finding import LesionKind
from aegle.domain.grid import Grid
from aegle.phantoms.made import MadeVisit
from aegle.phantoms.thorax import VISITS, ThoraxOptions, make_visit

CLASSES = ("lungs", "heart", "spinal_cord", "oesophagus", "tumour")
"""Class k has the number k + 1; what comes later lies on what comes before.

Both lungs are one class: right and left look alike within a patch, and shape tells them apart.
"""
LUNGS = ("lung_right", "lung_left")
UNSEEN = 1000
"""Seeds from here on judge."""
USUAL = (100, 128, 128)
SLICES = (60, 75, 100, 120, 150)
COLUMNS = (110, 128, 160, 192)
COLUMN_NAMES = ("file", "mask", "patient", "split", "seed", "visit", "varied", "shape")


def main() -> None:
    """Make, write, list."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--train", type=int, default=100, help="patients to train on")
    parser.add_argument("--test", type=int, default=20, help="patients that judge")
    parser.add_argument("--processes", type=int, default=1)
    given = parser.parse_args()
    for name in ("images", "masks"):
        (given.folder / name).mkdir(parents=True, exist_ok=True)
    seeds = [*range(1, given.train + 1), *range(UNSEEN, UNSEEN + given.test)]
    started = time.perf_counter()
    with ProcessPoolExecutor(given.processes) as processes:
        rows = list(processes.map(write, seeds, [given.folder] * len(seeds)))
    with (given.folder / "manifest.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, COLUMN_NAMES)
        table.writeheader()
        table.writerows(rows)
    print(f"{len(rows)} patients in {time.perf_counter() - started:.0f} s")  # noqa: T201


def write(seed: int, folder: Path) -> dict[str, object]:
    """Write the patient of a seed unless it is there; return its row of the manifest."""
    visit, options = options_of(seed)
    name = f"made-{seed:04d}.nii.gz"
    row: dict[str, object] = {
        "file": f"images/{name}",
        "mask": f"masks/{name}",
        "patient": f"made-{seed:04d}",
        "split": "test" if seed >= UNSEEN else "train",
        "seed": seed,
        "visit": visit,
        "varied": options.varied,
        "shape": "x".join(map(str, options.shape)),
    }
    if not (folder / "masks" / name).exists():
        made = make_visit(visit, options=options)
        _write(folder / "images" / name, made.ct.values.astype(np.int16), made.ct.grid)
        _write(folder / "masks" / name, labels_of(made), made.ct.grid)
    return row


def options_of(seed: int) -> tuple[int, ThoraxOptions]:
    """Return which visit of which patient a seed stands for."""
    rng = np.random.default_rng([seed, 31])
    slices, columns = int(rng.choice(SLICES)), int(rng.choice(COLUMNS))
    shape = USUAL if rng.random() < 0.5 else (slices, columns, columns)
    is_varied = seed >= UNSEEN or seed % 4 != 0
    return seed % VISITS, ThoraxOptions(seed=seed, shape=shape, varied=is_varied)


def labels_of(made: MadeVisit) -> NDArray[np.uint8]:
    """Return the number of the class of each voxel; all lesions of the lungs are tumour."""
    labels = np.zeros(made.ct.grid.shape, np.uint8)
    for name in LUNGS:
        labels[made.structures[name].mask] = 1
    for number, name in enumerate(CLASSES[1:-1], start=2):
        labels[made.structures[name].mask] = number
    for lesion in made.lesions:
        if lesion.kind is not LesionKind.LYMPH_NODE:
            labels[made.structures[lesion.name].mask] = len(CLASSES)
    return labels


def _write(path: Path, values: NDArray[np.generic], grid: Grid) -> None:
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(grid.spacing_mm[::-1])
    image.SetOrigin(grid.origin_mm)
    part = path.with_name(f"part-{path.name}")
    sitk.WriteImage(image, str(part), useCompression=True)
    part.replace(path)


if __name__ == "__main__":
    main()

"""Judge what ``aegle run`` shows on made chests, by rules alone and with the shipped network.

    python tools/thorax_baseline.py models/thorax-set models/thorax-ct/model.safetensors

Every patient of the set's test part is delineated twice: by radiodensity and shape alone, and
with the network where its result is plausible. Values are means of the Dice coefficient against
the outlines that the patients were made with.
"""

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from aegle.domain.structure import StructureSet
from aegle.domain.volume import Quantity, Volume
from aegle.image_files import read
from aegle.recognition.network_thorax import OrganOptions, delineate
from aegle.recognition.tumours import LesionOptions, find_lesions

ORGANS = {
    "lungs": ("lung_right", "lung_left"),
    "heart": ("heart",),
    "spinal_cord": ("spinal_cord",),
    "oesophagus": ("oesophagus",),
}
"""Structures that make up a class; classes have the numbers 1, 2, ..."""
TUMOUR = len(ORGANS) + 1

Means = dict[str, float]


def judged(folder: Path, model: Path) -> dict[str, Means]:
    """Return the mean Dice coefficient of each class, by rules alone and with the network.

    Args:
        folder: Of ``make_thorax_set.py``.
        model: File of the network.
    """
    ways = {
        "rules": (OrganOptions(method="classical"), LesionOptions(finder="rules")),
        "with network": (
            OrganOptions(method="network", model=str(model)),
            LesionOptions(finder="both"),
        ),
    }
    with (folder / "manifest.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    found: dict[str, list[Means]] = {way: [] for way in ways}
    for row in rows:
        ct = read(folder / row["file"], quantity=Quantity.RADIODENSITY)
        if not isinstance(ct, Volume):
            raise TypeError(f"{row['file']} is no volume.")
        truth = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / row["mask"])))
        for way, options in ways.items():
            found[way].append(_dice(ct, truth, *options))
    return {
        way: {name: round(float(np.nanmean([one[name] for one in all_])), 4) for name in all_[0]}
        for way, all_ in found.items()
    }


def _dice(ct: Volume, truth: NDArray[Any], organs: OrganOptions, lesions: LesionOptions) -> Means:
    seen = delineate(ct, options=organs)
    tumours = find_lesions(ct, seen.organs, seen.tumours, options=lesions)
    values = {
        name: _overlap(_union(seen.organs, parts, truth.shape), truth == number)
        for number, (name, parts) in enumerate(ORGANS.items(), start=1)
    }
    lesion = np.zeros(truth.shape, bool)
    for one in tumours:
        lesion[one.window] |= one.box
    return values | {"tumour": _overlap(lesion, truth == TUMOUR)}


def _union(organs: StructureSet, names: tuple[str, ...], shape: tuple[int, ...]) -> NDArray[Any]:
    mask = np.zeros(shape, bool)
    for name in names:
        if name in organs:
            mask |= organs[name].mask
    return mask


def _overlap(mask: NDArray[Any], truth: NDArray[Any]) -> float:
    """Return the Dice coefficient; not a number where there is nothing to find."""
    if not truth.any():
        return float("nan")
    return float(2 * (mask & truth).sum() / (mask.sum() + truth.sum()))


if __name__ == "__main__":
    print(json.dumps(judged(Path(sys.argv[1]), Path(sys.argv[2])), indent=1))  # noqa: T201

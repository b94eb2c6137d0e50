"""What the benchmarks of outlining measure, each in a process of its own on one thread.

``python -m benchmarks.segmentation_parts PART FOLDER`` measures one part and prints what it found.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.line import best

Result = dict[str, Any]

CT = {"shape": (133, 267, 267), "spacing_mm": (1.0, 0.78, 0.78), "wanted_mm": (1.5, 1.5, 1.5)}
CT_SHAPE = (200, 512, 512)
CLASSES = 25
SCORES_SHAPE = (160, 133, 134)
FINE = {"shape": (321, 512, 512), "spacing_mm": (2.0, 2.0, 2.0), "wanted_mm": (1.0, 0.52, 0.52)}
SIDE, TILE, STEP = 256, 96, 0.75
BATCHES = (1, 2, 4, 8)
"""Tiles per step of MONAI; its default is 1."""
MANY_CLASSES = 118
TRAINED_S = 150.0
UNSEEN = 901
"""Seed of a made patient that no shipped model has learned from."""


def cubic(folder: Path) -> Result:
    """Resample a made CT, and leave it and the result in the folder."""
    import numpy as np
    from scipy import ndimage

    from aegle.imaging.cubic import resized

    # Organs with sharp edges, and noise: values where splines swing most.
    random = np.random.default_rng(0)
    soft = ndimage.gaussian_filter(random.standard_normal((50, 128, 128)).astype(np.float32), 4)
    body = np.digitize(soft / soft.std(), (-1.5, -0.5, 0.5, 1.5)).repeat(4, 0).repeat(4, 1)
    organs = np.array([-1000, -800, 0, 60, 1200], np.float32)[body.repeat(4, 2)]
    values = organs + random.normal(0, 25, CT_SHAPE).astype(np.float32)
    np.save(folder / "values.npy", values[None])
    seconds = best(
        lambda: resized(values, CT["shape"], order=3, keep_range=True), clock=time.process_time
    )
    np.save(folder / "ours.npy", resized(values, CT["shape"], order=3, keep_range=True))
    return {"seconds": seconds}


def export_labels(folder: Path) -> Result:
    """Export labels of smooth scores with noise, and leave one class in the folder."""
    import numpy as np
    import torch
    from torch.nn import functional

    from aegle.imaging.label_export import upsampled_labels

    scores = _made_scores()
    np.save(folder / "values.npy", scores[:1].numpy())
    upsampled_labels(scores[:, :4, :8, :8], (8, 16, 16))
    before = _held_gb(afresh=True)
    labels = upsampled_labels(scores, FINE["shape"])
    grown_gb = _held_gb() - before
    seconds = best(
        lambda: upsampled_labels(scores, FINE["shape"]), clock=time.process_time, repetitions=2
    )
    unlike = compared = 0
    positions = (torch.arange(FINE["shape"][0]) + 0.5) * SCORES_SHAPE[0] / FINE["shape"][0] - 0.5
    for number, place in enumerate(positions.clamp(0, SCORES_SHAPE[0] - 1).tolist()):
        if number % 8:
            continue
        below = min(int(place), SCORES_SHAPE[0] - 2)
        plane = torch.lerp(scores[:, below], scores[:, below + 1], place - below)
        fine = functional.interpolate(plane[None], FINE["shape"][1:], mode="bilinear")[0]
        unlike += int((fine.argmax(0).numpy() != labels[number]).sum())
        compared += labels[number].size
    return {
        "seconds": seconds,
        "unlike": unlike,
        "compared": compared,
        "voxels": labels.size,
        "gigabytes": grown_gb - labels.nbytes / 1e9,
    }


def _held_gb(*, afresh: bool = False) -> float:
    """Return the most memory that the process has held, or holds from now on (Linux) [GB]."""
    if afresh:
        Path("/proc/self/clear_refs").write_text("5")
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(line for line in lines if line.startswith("VmHWM"))
    return int(peak.split()[1]) * 1024 / 1e9


def _made_scores() -> Any:
    """Return scores of organs with smooth borders inside a body."""
    import torch
    from torch.nn import functional

    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(1, CLASSES, 20, 17, 17, generator=generator)
    scores = 4 * functional.interpolate(coarse, SCORES_SHAPE, mode="trilinear")[0]
    sides = [torch.linspace(-1, 1, side) for side in SCORES_SHAPE]
    away = sum(part**2 for part in torch.meshgrid(*sides, indexing="ij"))
    scores[0] += 2 + 40 * (away - 0.8).clamp(min=0)
    return scores + 0.02 * torch.randn(scores.shape, generator=generator)


def learn(folder: Path) -> Result:
    """Train a small U-Net for some minutes on a made chest, and leave another one to outline."""
    import numpy as np
    import torch
    from torch.nn import functional

    torch.manual_seed(0)
    generator = np.random.default_rng(0)
    values, labels = _made_chest(1)
    lungs, heart = (np.argwhere(labels == number) for number in (1, 2))
    network = _small_unet(3).train()
    rate = 3e-3
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate)
    start = time.process_time()
    step = 0
    while (spent := (time.process_time() - start) / TRAINED_S) < 1:
        optimiser.param_groups[0]["lr"] = rate * (1 - spent)
        # Lungs, heart and twice anywhere in turn; patches are as large as the tiles, since the
        # network normalises by what it sees.
        step += 1
        anywhere = generator.integers(0, SIDE, (1, 3))
        among = (lungs, heart, anywhere, anywhere)[step % 4]
        first = np.clip(among[generator.integers(len(among))] - TILE // 2, 0, SIDE - TILE)
        window = tuple(slice(a, a + TILE) for a in first)
        with torch.autocast("cpu", torch.bfloat16):
            scores = network(torch.from_numpy(values[None, None, *window]))
        optimiser.zero_grad()
        truth = torch.from_numpy(labels[None, *window]).long()
        functional.cross_entropy(scores.float(), truth).backward()
        optimiser.step()
    torch.save(network.state_dict(), folder / "weights.pt")
    values, labels = _made_chest(2)
    np.save(folder / "chest.npy", values)
    np.save(folder / "truth.npy", labels)
    return {}


def _made_chest(seed: int) -> tuple[Any, Any]:
    """Return a made CT as a network sees it, and its lungs (1) and heart (2)."""
    import numpy as np

    from aegle.phantoms.thorax import ThoraxOptions, make_visit

    made = make_visit(0, options=ThoraxOptions(seed=seed, shape=(SIDE,) * 3, varied=True))
    labels = np.zeros((SIDE,) * 3, np.uint8)
    for structure in made.structures:
        if "lung" in structure.name.lower():
            labels[structure.window][structure.box] = 1
    heart = made.structures["heart"]
    labels[heart.window][heart.box] = 2
    return (np.clip(made.ct.values, -1000, 400) + 300) / 500, labels


def _small_unet(classes: int) -> Any:
    """Return MONAI's U-Net with 1.19 million parameters."""
    from monai.networks.nets import UNet

    return UNet(
        spatial_dims=3,
        in_channels=1,
        out_channels=classes,
        channels=(16, 32, 64, 128),
        strides=(2, 2, 2),
        num_res_units=2,
    )


def _trained(folder: Path) -> tuple[Any, Any]:
    import numpy as np
    import torch

    network = _small_unet(3).eval()
    network.load_state_dict(torch.load(folder / "weights.pt", weights_only=True))
    return network, np.load(folder / "chest.npy")[None]


def ours(folder: Path, precision: Any) -> Result:
    """Outline the chest, and compare with the truth."""
    import numpy as np

    from aegle.learning.dense.engines import tile_need, torch_engine
    from aegle.learning.dense.sliding_window import Window3D, labels_of

    network, values = _trained(folder)
    tile = (TILE,) * 3
    window = Window3D(tile=tile, axes=3, step=STEP, memory_mb=2000, precision=precision)
    need = tile_need(network, (1, *tile))
    engine = torch_engine(network, precision=precision)
    times = []
    for _ in range(2):
        start = time.process_time()
        labels = labels_of(engine, values, values.shape[1:], need=need, window=window)
        times.append(time.process_time() - start)
    truth = np.load(folder / "truth.npy")
    dice = {
        organ: _dice(labels == number, truth == number)
        for number, organ in ((1, "lungs"), (2, "heart"))
    }
    return {"seconds": min(times), "dice": dice}


def shipped() -> Result:
    """Outline a made chest's organs with the network of the package, in both formats."""
    import numpy as np

    from aegle.imaging.morphology import margin, window
    from aegle.learning.annotations import PlacedImage
    from aegle.learning.dense.inference import InferenceOptions, outline
    from aegle.learning.model import load
    from aegle.phantoms.thorax import ThoraxOptions, make_visit
    from aegle.recognition.network_thorax import (
        AROUND_LUNGS_MM,
        LUNGS,
        SHIPPED,
        VOLUMES_ML,
        model_path,
    )

    path = model_path(SHIPPED)
    assert path is not None
    model = load(path)
    made = make_visit(0, options=ThoraxOptions(seed=UNSEEN, varied=True))
    lungs = made.structures["lung_right"].mask | made.structures["lung_left"].mask
    box = window(lungs, margin(AROUND_LUNGS_MM, made.ct.grid.spacing_mm))
    values = np.ascontiguousarray(made.ct.values[box])[None]
    grid = replace(made.ct.grid, shape=values.shape[1:])
    image = PlacedImage(values=values, grid=grid, is_picture=False)
    labels = {
        precision: outline(model, image, options=InferenceOptions(precision=precision))
        for precision in ("float32", "bfloat16")
    }
    dice: Result = {precision: {} for precision in labels}
    for organ in (LUNGS, *VOLUMES_ML):
        number = model.facts.classes.index(organ) + 1
        truth = lungs if organ == LUNGS else made.structures[organ].mask
        for precision, found in labels.items():
            dice[precision][organ] = _dice(found == number, truth[box])
    return dice


def _dice(found: Any, truth: Any) -> float:
    return 2 * float((found & truth).sum()) / float(found.sum() + truth.sum())


def monai(folder: Path, batch: int) -> Result:
    """Move the same network over the same chest by MONAI."""
    import torch
    from monai.inferers import SlidingWindowInferer

    network, values = _trained(folder)
    inferer = SlidingWindowInferer(
        (TILE,) * 3, sw_batch_size=batch, overlap=1 - STEP, mode="gaussian", sigma_scale=0.125
    )
    image = torch.from_numpy(values)[None]
    times = []
    for _ in range(2):
        start = time.process_time()
        with torch.inference_mode():
            inferer(image, network)
        times.append(time.process_time() - start)
    return {"seconds": min(times)}


def many() -> Result:
    """Outline 118 classes with a network that was not trained."""
    import numpy as np
    import torch

    from aegle.catalogue import load
    from aegle.learning.dense.engines import tile_need, torch_engine
    from aegle.learning.dense.sliding_window import Window3D, labels_of

    torch.manual_seed(0)
    threes, twos = [(3, 3, 3)] * 4, [(1, 1, 1), *[(2, 2, 2)] * 3]
    network = load("network", "unet")(
        classes=MANY_CLASSES, widths=(16, 32, 64, 128), strides=twos, kernels=threes
    ).eval()
    values = np.random.default_rng(0).standard_normal((1, *(SIDE,) * 3)).astype(np.float32)
    tile = (TILE,) * 3
    window = Window3D(tile=tile, axes=3, step=STEP, memory_mb=2000, precision="bfloat16")
    labels_of(
        torch_engine(network, precision="bfloat16"),
        values,
        values.shape[1:],
        need=tile_need(network, (1, *tile)),
        window=window,
    )
    return {"peak_gb": _held_gb()}


PARTS: dict[str, Callable[[Path], Result]] = {
    "cubic": cubic,
    "export": export_labels,
    "learn": learn,
    "bfloat16": lambda folder: ours(folder, "bfloat16"),
    "float32": lambda folder: ours(folder, "float32"),
    "shipped": lambda _: shipped(),
    "many": lambda _: many(),
}


def main() -> None:
    """Measure one part and print what was found."""
    import torch

    torch.set_num_threads(1)
    part, folder = sys.argv[1], Path(sys.argv[2])
    if part.startswith("monai-"):
        found = monai(folder, int(part.removeprefix("monai-")))
    else:
        found = PARTS[part](folder)
    print(json.dumps(found))


if __name__ == "__main__":
    main()

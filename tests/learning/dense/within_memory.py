"""Configure, prepare and train three steps on made images; print expected and measured memory.

``python within_memory.py AXES MEMORY_MB [PRETRAINED]`` is a process of its own, since the largest
memory of a process never shrinks.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from aegle import catalogue
from aegle.domain.grid import Grid
from aegle.learning.annotations import Annotation, PlacedImage
from aegle.learning.assignment import Assignment, TrainingOptions
from aegle.learning.dense.augmentation import DenseAugmentOptions, dense_augment
from aegle.learning.dense.configure import OutlineOptions, configure
from aegle.learning.dense.fingerprint import fingerprint
from aegle.learning.dense.losses import outline_loss
from aegle.learning.dense.patches import PatchSource
from aegle.learning.dense.prepared import prepare_dense
from aegle.learning.samples import Sample, SampleSet
from aegle.learning.training import train

IMAGES, STEPS = 24, 3
SHAPES = {2: (1, 400, 360), 3: (72, 96, 80)}
A_LONG_TIME = 600.0
"""Minutes, so that memory alone decides."""


def made(axes):
    """Return noise with a bright ball in it."""
    shape = SHAPES[axes]
    grid = Grid(shape=shape, spacing_mm=(1.0, 1.0, 1.0))
    centre = np.indices(shape) - np.array(shape).reshape(3, 1, 1, 1) / 2
    labels = (np.sqrt((centre**2).sum(0)) < min(shape[1:]) / 4).astype(np.int32)

    def place(sample):
        noise = np.random.default_rng(int(sample.name)).normal(100, 20, shape)
        values = (noise + 60 * labels).clip(1, 255).astype(np.float32)
        return PlacedImage(values=values[None], grid=grid, is_picture=axes == 2)

    return SampleSet(
        classes=("ball",),
        samples=tuple(Sample(name=str(number)) for number in range(IMAGES)),
        load=lambda sample: place(sample).values,
        content=lambda sample: sample.name.encode(),
        source="made",
        place=place,
        annotate=lambda sample: Annotation(labels=labels),
    )


def quiet(done, total):
    """Tell nobody."""


def largest_mb():
    """Return the largest resident memory of this process [MB].

    What ``getrusage`` says begins with the memory of the process that started this one.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    (peak,) = (line for line in lines if line.startswith("VmHWM"))
    return int(peak.split()[1]) * 1024 / 1e6


def main(axes, memory_mb, pretrained=False):
    """Train and return what was expected and what was measured [MB]."""
    torch.set_num_threads(1)
    samples = made(axes)
    found = fingerprint(samples, modality="", progress=quiet)
    chosen = configure(
        found,
        options=OutlineOptions(memory_mb=memory_mb, minutes=A_LONG_TIME),
        task="segment",
        pretrained=pretrained,
    )
    network = catalogue.load("network", chosen.network)(**chosen.settings)
    with tempfile.TemporaryDirectory() as folder:
        data = prepare_dense(samples, Path(folder), configuration=chosen, progress=quiet)
        assignment = Assignment(
            network=network,
            data=data,
            training=np.resize(np.arange(IMAGES), chosen.batch * STEPS),
            validation=np.arange(0),
            loss=outline_loss(),
            mean=(),
            deviation=(),
            source=lambda device, layout, seed: PatchSource(
                data=data,
                device=device,
                layout=layout,
                seed=seed,
                augment=dense_augment(DenseAugmentOptions(), chosen),
            ),
        )
        options = TrainingOptions(epochs=1, batch=chosen.batch, **chosen.training)
        train(assignment, options=options, folder=Path(folder) / "run", progress=quiet)
    return {
        "expected_mb": chosen.memory_mb,
        "measured_mb": largest_mb(),
        "patch": chosen.patch,
        "batch": chosen.batch,
        "widths": chosen.settings["widths"],
        "network": chosen.network,
    }


if __name__ == "__main__":
    said = main(int(sys.argv[1]), float(sys.argv[2]), len(sys.argv) > 3)
    sys.stdout.write(json.dumps(said) + "\n")

"""Training the base network per image: ours, plain PyTorch and Keras with TensorFlow.

Each runs in a process of its own on the same number of threads, with the same batch, several
times in turn; the best step counts. Ours is the whole loop (stored values to normalised images,
step, bfloat16); the peers get images that are ready. Keras lives in an environment of its own
under ``benchmarks/.work``, made on the first run.

``python -m benchmarks.training ours BATCH THREADS`` measures one of them alone.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

from benchmarks.line import Line
from benchmarks.reading import processors

BATCH = 16
STEPS = 12
WARM_UP = 3
ROUNDS = 2
KERAS = ("tensorflow==2.21.0", "keras==3.15.1")
WORK = Path(__file__).with_name(".work")
WHAT = f"base CNN, training per image, batch {BATCH}"

Instant = tuple[float, float]


def base_cnn() -> Iterator[Line]:
    """Measure milliseconds per image, by the wall clock and of the processors."""
    keras = keras_environment()
    commands = {
        "ours": [sys.executable, "-m", "benchmarks.training", "ours"],
        "eager": [sys.executable, "-m", "benchmarks.training", "eager"],
        "keras": [str(keras), str(Path(__file__).with_name("keras_training.py"))],
    }
    threads = processors()
    runs: dict[str, list[Instant]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            runs[name].append(_measured(command, threads))
    peers = {"eager": "plain PyTorch, float32", "keras": f"{KERAS[1]}, {KERAS[0]}"}
    for clock, unit in enumerate(("ms", "CPU-ms")):
        best = {name: min(run[clock] for run in found) for name, found in runs.items()}
        for name, peer in peers.items():
            yield Line(
                what=f"{WHAT}, {threads} threads",
                ours=best["ours"],
                unit=unit,
                peer=peer,
                theirs=best[name],
            )


def keras_environment() -> Path:
    """Return the Python of an environment with Keras, made if it is not there."""
    folder = WORK / "keras"
    python = folder / "bin" / "python"
    marker = folder / ".installed"
    if not marker.exists() or marker.read_text() != " ".join(KERAS):
        venv.create(folder, clear=True, with_pip=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--no-cache-dir", *KERAS]
        subprocess.run(install, check=True)
        marker.write_text(" ".join(KERAS))
    return python


def per_image(instants: list[Instant], batch: int) -> Instant:
    """Return the least time between two steps by each clock, per image [ms]."""
    steps = list(pairwise(instants[WARM_UP:]))
    wall, own = (min(b[clock] - a[clock] for a, b in steps) for clock in (0, 1))
    return 1e3 * wall / batch, 1e3 * own / batch


def ours(batch: int) -> list[Instant]:
    """Return when the steps of our loop ended."""
    import numpy as np

    from aegle.catalogue import load
    from aegle.learning.losses import classification_loss
    from aegle.learning.preparation import PreparationOptions
    from aegle.learning.prepared import PreparedSet
    from aegle.learning.samples import Sample
    from aegle.learning.training import Assignment, TrainingOptions, train

    count = batch * STEPS
    labels = np.arange(count) % 2
    values = np.random.default_rng(0).integers(0, 256, (count, 3, 224, 224), np.uint8)
    options = TrainingOptions(epochs=1, batch=batch, optimiser="adam", precision="bfloat16")
    assignment = Assignment(
        network=load("network", "base-cnn")(classes=2),
        data=PreparedSet(
            classes=("a", "b"),
            samples=tuple(Sample(name=str(n), label=int(c)) for n, c in enumerate(labels)),
            values=values,
            preparation=PreparationOptions(),
        ),
        training=np.arange(count),
        validation=np.array([], np.int64),
        loss=classification_loss(options, (count // 2, count // 2)),
        mean=(0.5,) * 3,
        deviation=(0.25,) * 3,
    )
    instants: list[Instant] = []
    with tempfile.TemporaryDirectory() as name:
        train(
            assignment,
            options=options,
            folder=Path(name),
            progress=lambda *_: instants.append(now()),
        )
    return instants[: STEPS + 1]


def eager(batch: int) -> list[Instant]:
    """Return when the steps of PyTorch as its tutorials use it ended."""
    import torch
    from torch import nn

    network = nn.Sequential(
        *(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(64, 128, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(128 * 26 * 26, 512), nn.ReLU(), nn.Linear(512, 2)),
    )
    optimiser = torch.optim.Adam(network.parameters())
    loss = nn.CrossEntropyLoss()
    images, labels = torch.rand(batch, 3, 224, 224), torch.arange(batch) % 2
    instants = [now()]
    for _ in range(STEPS):
        optimiser.zero_grad()
        loss(network(images), labels).backward()
        optimiser.step()
        instants.append(now())
    return instants


def now() -> Instant:
    """Return wall clock and processor time [s]."""
    return time.perf_counter(), time.process_time()


def _measured(command: list[str], threads: int) -> Instant:
    """Run one of the three and return its milliseconds per image."""
    environment = os.environ | {
        "OMP_NUM_THREADS": str(threads),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
    }
    done = subprocess.run(
        [*command, str(BATCH), str(threads)],
        check=False,
        capture_output=True,
        env=environment,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    instants = json.loads(done.stdout.splitlines()[-1])
    return per_image(instants, BATCH)


def main() -> None:
    """Measure ours or plain PyTorch and print when its steps ended."""
    import torch

    kinds: dict[str, Callable[[int], list[Instant]]] = {"ours": ours, "eager": eager}
    torch.set_num_threads(int(sys.argv[3]))
    print(json.dumps(kinds[sys.argv[1]](int(sys.argv[2]))))


if __name__ == "__main__":
    main()

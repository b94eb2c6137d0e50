"""Two processes with a batch each are one process with twice the batch."""

import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

TOLERANCE = 1e-5
"""Relative difference of weights: processes sum in another order, in 32-bit numbers."""

SCRIPT = """
import os, sys
from pathlib import Path
import numpy as np, torch
from torch import nn
from safetensors.torch import save_file
from aegle.learning.augmentation import AugmentationOptions, augment
from aegle.learning.losses import classification_loss
from aegle.learning.preparation import PreparationOptions
from aegle.learning.prepared import PreparedSet
from aegle.learning.samples import Sample
from aegle.learning.training import Assignment, TrainingOptions, train

labels = np.arange(22) % 2
values = np.random.default_rng(0).integers(0, 256, (22, 1, 8, 8)).astype(np.uint8)
data = PreparedSet(
    classes=("a", "b"),
    samples=tuple(Sample(name=str(n), label=int(c)) for n, c in enumerate(labels)),
    values=values,
    preparation=PreparationOptions(size=8),
)

def run(folder, batch):
    torch.manual_seed(0)
    own = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    options = TrainingOptions(
        epochs=3, batch=batch, accumulate=2, rate=0.02, average=0.5, class_weights=True,
        optimiser="sgd", clip=1.0,
    )
    course = train(
        Assignment(
            network=own, data=data, training=np.arange(17), validation=np.arange(17, 22),
            loss=classification_loss(options, (9, 8)), mean=(0.5,), deviation=(0.25,),
            augment=augment(AugmentationOptions(rotation_deg=20, noise=0.1)),
            before_epoch=lambda number: own[0].requires_grad_(number > 1),
        ),
        options=options, folder=folder / "run", progress=lambda done, total: None,
    )
    losses = [(e.training_loss, e.validation_loss) for e in course.epochs]
    state = {n: t.contiguous() for n, t in course.network.state_dict().items()}
    rank = os.environ.get("RANK", "0")
    save_file(state | {"losses": torch.tensor(losses)}, folder / f"result-{rank}.safetensors")

if __name__ == "__main__":
    torch.set_num_threads(1)
    run(Path(sys.argv[1]), int(sys.argv[2]))
"""


def launch(command, folder):
    """Run a command with all its children, and leave none behind."""
    source = Path(__file__).parents[2] / "src"
    environment = os.environ | {"PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        output, _ = process.communicate(timeout=120)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert process.returncode == 0, output


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Return the results of one process with a batch of 8, and of two with 4 each."""
    folder = tmp_path_factory.mktemp("processes")
    script = folder / "script.py"
    script.write_text(SCRIPT)
    for name in ("one", "two"):
        (folder / name).mkdir()
    runpy.run_path(str(script))["run"](folder / "one", 8)
    together = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    launch([sys.executable, *together, str(script), str(folder / "two"), "4"], folder)
    return {str(path.relative_to(folder)): load_file(path) for path in folder.rglob("result-*")}


def test_both_processes_hold_the_same_weights(results):
    first, second = (results[f"two/result-{rank}.safetensors"] for rank in (0, 1))

    for name in first:
        np.testing.assert_array_equal(first[name], second[name])


def test_weights_and_losses_are_those_of_one_process(results):
    one, two = (results[f"{name}/result-0.safetensors"] for name in ("one", "two"))

    for name in one:
        np.testing.assert_allclose(two[name], one[name], rtol=TOLERANCE, atol=1e-6)

"""The code of the tutorials runs as it stands, and stays short."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

PAGE = Path(__file__).parents[1] / "docs/tutorial/first-network.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """Lay a folder of made pictures, some with a disc, into the working folder."""
    generator = np.random.default_rng(0)
    rows, columns = np.indices((48, 48))
    for number in range(16):
        name = ("normal", "nodule")[number % 2]
        values = generator.normal(90, 12, (48, 48))
        centre = generator.integers(14, 34, 2)
        if name == "nodule":
            values[np.hypot(rows - centre[0], columns - centre[1]) < 7] += 110
        place = tmp_path / "images" / name / f"{number:02d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values.clip(0, 255).astype(np.uint8)).save(place)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("block", "run"),
    list(zip(BLOCKS, ("run-cnn", "run-autoencoder"), strict=True)),
    ids=["cnn", "autoencoder"],
)
def test_the_code_of_the_tutorial_trains_a_network(block, run, pictures):
    scope = {}

    exec(block, scope)

    assert len(block.splitlines()) <= 15
    assert (pictures / run / "model.safetensors").exists()

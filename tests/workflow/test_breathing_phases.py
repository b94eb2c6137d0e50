"""Phases of breathing from files: vectors keep their direction, and a plan sums over phases."""

import json
from datetime import datetime

import numpy as np
import pytest
import SimpleITK as sitk

from aegle import api, cli
from aegle.domain.errors import FileError, GeometryError, OptionError
from aegle.domain.grid import Grid
from aegle.workflow.breathing_phases import read_displacement

NOW = datetime(2026, 1, 2, 3, 4, 5)
GRID = Grid(shape=(14, 30, 36), spacing_mm=(5.0, 5.0, 5.0), origin_mm=(-87.5, -72.5, -32.5))
PHASES = """
[[phase]]
name = "inhale"
ct = "inhale.nii.gz"
displacement = "to_inhale.mha"
share = 0.25
"""


def written(values, path, *, is_vector=False):
    image = sitk.GetImageFromArray(values, isVector=is_vector)
    image.SetSpacing(GRID.spacing_mm[::-1])
    image.SetOrigin(GRID.origin_mm)
    sitk.WriteImage(image, str(path))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A cylinder with a ball that moves 5 mm to the feet while all around it stays."""
    folder = tmp_path_factory.mktemp("breathing")
    points_mm = GRID.to_patient(np.moveaxis(np.indices(GRID.shape, dtype=np.float64), 0, -1))
    x, y, z = np.moveaxis(points_mm, -1, 0)
    body = np.hypot(x, y) < 65
    ball = x**2 + y**2 + z**2 < 18**2
    moved = x**2 + y**2 + (z + 5) ** 2 < 18**2
    for name, where in (("ct", ball), ("inhale", moved)):
        hu = np.where(body, np.where(where, 30.0, -700.0), -1000.0).astype(np.int16)
        written(hu, folder / f"{name}.nii.gz")
    (folder / "masks").mkdir()
    written(body.astype(np.uint8), folder / "masks" / "body.nii.gz")
    written(ball.astype(np.uint8), folder / "masks" / "PTV.nii.gz")
    field = np.zeros((*GRID.shape, 3), np.float32)
    field[..., 2] = -5.0
    written(field, folder / "to_inhale.mha", is_vector=True)
    (folder / "phases.toml").write_text(PHASES, "utf-8")
    return folder


@pytest.mark.parametrize("ending", ["mha", "nrrd", "nii.gz"])
def test_vectors_keep_their_axes_and_signs(tmp_path, ending):
    field = np.random.default_rng(0).normal(size=(*GRID.shape, 3)).astype(np.float32)
    path = written(field, tmp_path / f"field.{ending}", is_vector=True)

    np.testing.assert_allclose(read_displacement(path, GRID), field, atol=1e-6)


def test_what_is_no_field_on_the_ct_is_refused(tmp_path, folder):
    with pytest.raises(FileError, match="no vectors of three parts"):
        read_displacement(folder / "ct.nii.gz", GRID)
    moved = Grid(shape=GRID.shape, spacing_mm=GRID.spacing_mm, origin_mm=(0.0, 0.0, 0.0))
    with pytest.raises(GeometryError, match="resample them to the CT"):
        read_displacement(folder / "to_inhale.mha", moved)
    with pytest.raises(FileError, match="cannot be read"):
        read_displacement(folder / "phases.toml", GRID)


def run(folder, out, phases="phases.toml"):
    return cli.main(
        [
            *("plan", "--ct", str(folder / "ct.nii.gz"), "--structures", str(folder / "masks")),
            *("--phases", str(folder / phases), "--out", str(out), "--now", NOW.isoformat()),
            *("--set", "choice.radiation=protons", "--set", "protons.gantry_deg=90"),
            *("--set", "protons.robust=expected", "--set", "protons.setup_mm=0"),
            *("--set", "protons.range_percent=0", "--set", "protons.iterations=5"),
            *("--set", "protons.dose_grid_mm=5", "--json"),
        ]
    )


def test_a_plan_from_files_sums_over_the_phases(folder, tmp_path, capsys):
    assert run(folder, tmp_path / "plan") == 0

    found = json.loads(capsys.readouterr().out)
    assert any("summed over 2 phases of breathing" in notice for notice in found["notices"])
    assert {"phases.toml", "inhale.nii.gz", "to_inhale.mha"} <= {
        one["name"] for one in found["made_from"]["inputs"]
    }
    page = (tmp_path / "plan" / "plan.html").read_text("utf-8")
    assert "phase of breathing: inhale" in page


def test_a_file_that_names_no_phases_is_refused(folder, tmp_path):
    (folder / "none.toml").write_text("phase = 3", "utf-8")
    inputs = {"ct": folder / "ct.nii.gz", "structures": folder / "masks"}

    with pytest.raises(FileError, match="names no phases"):
        api.plan(api.PlanInputs(**inputs, phases=folder / "none.toml"), tmp_path / "out", now=NOW)
    (folder / "odd.toml").write_text(PHASES.replace("share = 0.25", "share = 2"), "utf-8")
    with pytest.raises(OptionError, match="share"):
        api.plan(api.PlanInputs(**inputs, phases=folder / "odd.toml"), tmp_path / "out", now=NOW)

"""Leaf positions and monitor units go out and come back as the same numbers."""

import subprocess
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from tests.dicom.test_radiotherapy import NOW, PATIENT, grid_of, image_on, plan_on

from aegle.dicom import radiotherapy
from aegle.dicom.plan_beams import read_beams
from aegle.domain.errors import FileError
from aegle.domain.plan import Beam
from aegle.planning.sequencing import SequencingOptions, delivered, sequence


@pytest.fixture(scope="module")
def beam():
    """A field of 4 x 6 beamlets of 5 mm with fluence of several levels."""
    rows, columns = np.indices((4, 6)).reshape(2, -1)
    ideal = Beam(
        gantry_deg=40,
        couch_deg=350,
        collimator_deg=15,
        isocentre_mm=(1.5, -2.0, 3.25),
        beamlet_mm=5,
        positions_mm=5.0 * np.stack([columns - 3, rows - 2], axis=1),
        weights=np.random.default_rng(3).random(24) * 900,
    )
    apertures = sequence(ideal, options=SequencingOptions())
    return replace(ideal, apertures=apertures, weights=delivered(ideal, apertures))


@pytest.fixture
def written(beam, tmp_path):
    made = replace(plan_on(grid_of()), beams=(beam, replace(beam, gantry_deg=200)))
    path = tmp_path / "plan.dcm"
    return radiotherapy.write_plan(made, image_on(made.dose.grid), PATIENT, path, now=NOW)


def test_beams_come_back_as_they_were(beam, written):
    first, second = read_beams(written)

    assert (first.gantry_deg, first.couch_deg, first.collimator_deg) == (40, 350, 15)
    assert second.gantry_deg == 200
    assert first.isocentre_mm == beam.isocentre_mm
    assert len(first.apertures) == len(beam.apertures)
    for found, known in zip(first.apertures, beam.apertures, strict=True):
        assert found.monitor_units == pytest.approx(known.monitor_units, rel=1e-9)
        np.testing.assert_array_equal(found.left_mm, known.left_mm)
        np.testing.assert_array_equal(found.right_mm, known.right_mm)
        np.testing.assert_array_equal(found.borders_mm, known.borders_mm)
    np.testing.assert_allclose(first.positions_mm, beam.positions_mm)
    np.testing.assert_allclose(delivered(first, first.apertures), beam.weights)


def test_pydicom_reads_meterset_of_a_fraction_and_still_leaves_while_the_beam_is_on(beam, written):
    dataset = pydicom.dcmread(written)
    fractions = dataset.FractionGroupSequence[0]
    (found, _) = dataset.BeamSequence
    total_mu = sum(one.monitor_units for one in beam.apertures)

    meterset = fractions.ReferencedBeamSequence[0].BeamMeterset
    assert meterset == pytest.approx(total_mu / fractions.NumberOfFractionsPlanned)
    assert found.FinalCumulativeMetersetWeight == pytest.approx(float(meterset))
    assert found.NumberOfControlPoints == len(found.ControlPointSequence)
    assert found.NumberOfControlPoints == 2 * len(beam.apertures)
    for start, stop in zip(
        found.ControlPointSequence[::2], found.ControlPointSequence[1::2], strict=True
    ):
        assert "BeamLimitingDevicePositionSequence" in start
        assert "BeamLimitingDevicePositionSequence" not in stop
        assert stop.CumulativeMetersetWeight > start.CumulativeMetersetWeight
    assert "Not for treatment" in dataset.RTPlanDescription


def test_the_validator_finds_no_error(written, require_program):
    program = require_program("dciodvfy", "dicom3tools")

    found = subprocess.run([program, written], capture_output=True, text=True, check=False)

    assert "RTPlan" in found.stderr
    assert [line for line in found.stderr.splitlines() if line.startswith("Error")] == []


def test_a_plan_of_ideal_fluence_has_no_leaves_to_read(tmp_path):
    made = plan_on(grid_of())
    path = tmp_path / "plan.dcm"
    radiotherapy.write_plan(made, image_on(made.dose.grid), PATIENT, path, now=NOW)

    with pytest.raises(FileError, match="no leaves along x"):
        read_beams(path)


def test_another_object_is_refused(tmp_path):
    made = plan_on(grid_of())
    path = tmp_path / "dose.dcm"
    radiotherapy.write_dose(made, image_on(made.dose.grid), PATIENT, path, now=NOW)

    with pytest.raises(FileError, match="no RT Plan"):
        read_beams(path)

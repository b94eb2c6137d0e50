"""Scanned protons as an RT Ion Plan: read by pydicom, by this package, and by a validator."""

import subprocess
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.dicom.test_exchange import NOW, PATIENT, grid_of, image_on, plan_on

from aegle.dicom import radiotherapy
from aegle.dicom.ion_beams import read_ion_beams
from aegle.dicom.plan_beams import read_beams
from aegle.domain.errors import FileError, InputError
from aegle.domain.plan import ProtonBeam
from aegle.planning.beams import frame

FRACTIONS = 28
ENERGIES = (118.5, 97.25, 71.3)


def spots_of(gantry=275.5, couch=0.0, shifter_mm=0.0, seed=3, collimator=0.0):
    """Return a field of three energies whose spots form no symmetric shape; some are empty."""
    chance = np.random.default_rng(seed)
    places = np.stack(np.meshgrid(np.arange(-2, 5) * 4.0, np.arange(-4, 2) * 4.0), -1)
    places = places.reshape(-1, 2)
    kept = [chance.random(len(places)) < share for share in (0.3, 0.9, 0.6)]
    positions = np.concatenate([places[k] for k in kept])
    weights = chance.uniform(0.01, 900, len(positions))
    weights[::7] = 0
    return ProtonBeam(
        gantry_deg=gantry,
        couch_deg=couch,
        collimator_deg=collimator,
        isocentre_mm=(-91.0625, 41.7, 820.3),
        beamlet_mm=4.0,
        positions_mm=positions,
        weights=weights,
        energies_mev=np.concatenate(
            [np.full(k.sum(), e) for k, e in zip(kept, ENERGIES, strict=True)]
        ),
        range_shifter_mm=shifter_mm,
        sad_mm=10_000.0,
        nozzle_to_axis_mm=421.5,
    )


BEAMS = (spots_of(), spots_of(10.25, 349.5, 65.0, seed=4))


def protons(beams=BEAMS):
    return replace(plan_on(grid_of()), machine="Generic protons", beams=beams, rbe=1.1)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder, plan = tmp_path_factory.mktemp("protons"), protons()
    image = image_on(plan.dose.grid)
    return {
        "RTIonPlan": radiotherapy.write_plan(plan, image, PATIENT, folder / "rp.dcm", now=NOW),
        "RTDose": radiotherapy.write_dose(plan, image, PATIENT, folder / "rd.dcm", now=NOW),
    }


@pytest.mark.parametrize("kind", ["RTIonPlan", "RTDose"])
def test_the_validator_finds_no_error(files, require_program, kind):
    program = require_program("dciodvfy", "dicom3tools")

    found = subprocess.run([program, files[kind]], capture_output=True, text=True, check=False)

    assert kind in found.stderr
    assert [line for line in found.stderr.splitlines() if line.startswith("Error")] == []


def test_pydicom_counts_the_protons_of_every_spot(files):
    plan = pydicom.dcmread(files["RTIonPlan"])
    references = plan.FractionGroupSequence[0].ReferencedBeamSequence

    assert plan.SOPClassUID.name == "RT Ion Plan Storage"
    for item, reference, beam in zip(plan.IonBeamSequence, references, BEAMS, strict=True):
        points = item.IonControlPointSequence
        first = points[0]
        assert (item.RadiationType, item.ScanMode) == ("PROTON", "MODULATED")
        assert (first.GantryAngle, first.PatientSupportAngle) == (beam.gantry_deg, beam.couch_deg)
        assert tuple(map(float, first.IsocenterPosition)) == beam.isocentre_mm
        assert item.VirtualSourceAxisDistances == [10_000, 10_000]
        assert first.SnoutPosition == 421.5
        assert item.NumberOfControlPoints == len(points) == 2 * len(ENERGIES)
        # Protons of a fraction: the meterset shared out by the weights.
        per_weight = reference.BeamMeterset / item.FinalCumulativeMetersetWeight
        for layer, (start, stop) in enumerate(zip(points[::2], points[1::2], strict=True)):
            here = (beam.energies_mev == ENERGIES[layer]) & (beam.weights > 0)
            assert start.NominalBeamEnergy == ENERGIES[layer]
            np.testing.assert_array_equal(
                np.reshape(start.ScanSpotPositionMap, (-1, 2)), beam.positions_mm[here]
            )
            np.testing.assert_allclose(
                np.array(start.ScanSpotMetersetWeights) * float(per_weight),
                beam.weights[here] * 1e6 / FRACTIONS,
                rtol=2e-7,
            )
            assert not np.any(stop.ScanSpotMetersetWeights)
            rise = stop.CumulativeMetersetWeight - start.CumulativeMetersetWeight
            assert float(rise) == pytest.approx(sum(start.ScanSpotMetersetWeights), rel=1e-9)


def test_pydicom_finds_the_range_shifter_where_there_is_one(files):
    without, shifted = pydicom.dcmread(files["RTIonPlan"]).IonBeamSequence

    assert without.NumberOfRangeShifters == 0
    assert "RangeShifterSequence" not in without
    assert shifted.NumberOfRangeShifters == 1
    (setting,) = shifted.IonControlPointSequence[0].RangeShifterSettingsSequence
    assert setting.RangeShifterSetting == "IN"
    assert setting.RangeShifterWaterEquivalentThickness == 65.0
    assert (
        setting.ReferencedRangeShifterNumber == shifted.RangeShifterSequence[0].RangeShifterNumber
    )


def test_dose_and_histograms_are_declared_as_weighted(files):
    dose = pydicom.dcmread(files["RTDose"])

    assert (dose.DoseUnits, dose.DoseType) == ("GY", "EFFECTIVE")
    assert "RBE of 1.1" in dose.DoseComment
    assert {one.DoseType for one in dose.DVHSequence} == {"EFFECTIVE"}
    plan_uid = dose.ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID
    assert plan_uid == pydicom.dcmread(files["RTIonPlan"]).SOPInstanceUID


def same(found, beam):
    used = beam.weights > 0
    assert (found.gantry_deg, found.couch_deg) == (beam.gantry_deg, beam.couch_deg)
    assert (found.isocentre_mm, found.beamlet_mm) == (beam.isocentre_mm, beam.beamlet_mm)
    assert (found.sad_mm, found.nozzle_to_axis_mm) == (beam.sad_mm, beam.nozzle_to_axis_mm)
    assert found.range_shifter_mm == beam.range_shifter_mm
    np.testing.assert_array_equal(found.positions_mm, beam.positions_mm[used])
    np.testing.assert_array_equal(found.energies_mev, beam.energies_mev[used])
    np.testing.assert_allclose(found.weights, beam.weights[used], rtol=2e-7)


def test_our_reader_gives_the_beams_back(files):
    for found, beam in zip(read_ion_beams(files["RTIonPlan"]), BEAMS, strict=True):
        same(found, beam)


@settings(max_examples=20, deadline=None)
@given(
    gantry=st.floats(0, 359.9).map(lambda a: round(a, 4)),
    couch=st.floats(0, 359.9).map(lambda a: round(a, 4)),
    shifter_mm=st.sampled_from([0.0, 23.5, 74.0]),
    seed=st.integers(0, 999),
)
def test_what_is_read_is_written_again_as_it_was(tmp_path_factory, gantry, couch, shifter_mm, seed):
    folder, plan = (
        tmp_path_factory.mktemp("again"),
        protons((spots_of(gantry, couch, shifter_mm, seed),)),
    )
    image = image_on(plan.dose.grid)
    once = radiotherapy.write_plan(plan, image, PATIENT, folder / "1.dcm", now=NOW)
    back = read_ion_beams(once)
    same(back[0], plan.beams[0])

    twice = radiotherapy.write_plan(
        replace(plan, beams=back), image, PATIENT, folder / "2.dcm", now=NOW
    )

    for one, two in zip(
        pydicom.dcmread(once).IonBeamSequence[0].IonControlPointSequence,
        pydicom.dcmread(twice).IonBeamSequence[0].IonControlPointSequence,
        strict=True,
    ):
        np.testing.assert_allclose(
            one.ScanSpotMetersetWeights, two.ScanSpotMetersetWeights, rtol=2e-7
        )
        assert one.ScanSpotPositionMap == two.ScanSpotPositionMap


def test_spots_on_turned_axes_are_written_along_those_of_the_gantry(tmp_path):
    turned = spots_of(couch=12.0, collimator=33.0)
    plan = protons((turned,))

    path = radiotherapy.write_plan(
        plan, image_on(plan.dose.grid), PATIENT, tmp_path / "rp.dcm", now=NOW
    )

    (found,) = read_ion_beams(path)
    used = turned.weights > 0
    before, after = frame(turned, 10_000.0), frame(found, 10_000.0)
    np.testing.assert_allclose(
        found.positions_mm @ after.axes[:2], turned.positions_mm[used] @ before.axes[:2], atol=1e-4
    )


def test_other_plans_are_refused(tmp_path, files):
    photons = plan_on(grid_of())
    image = image_on(photons.dose.grid)
    path = radiotherapy.write_plan(photons, image, PATIENT, tmp_path / "rp.dcm", now=NOW)

    with pytest.raises(FileError, match="is no RT Ion Plan"):
        read_ion_beams(path)
    with pytest.raises(FileError, match="is no RT Plan"):
        read_beams(files["RTIonPlan"])
    mixed = replace(photons, beams=(*photons.beams, *BEAMS))
    with pytest.raises(InputError, match="mixes photons and protons"):
        radiotherapy.write_plan(mixed, image, PATIENT, tmp_path / "mixed.dcm", now=NOW)


def test_a_plan_that_counts_monitor_units_is_refused(tmp_path, files):
    other = pydicom.dcmread(files["RTIonPlan"])
    other.IonBeamSequence[0].PrimaryDosimeterUnit = "MU"
    other.save_as(tmp_path / "mu.dcm")

    with pytest.raises(FileError, match="no number of protons for beam 1"):
        read_ion_beams(tmp_path / "mu.dcm")

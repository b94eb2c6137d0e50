"""Standardised uptake after the recipe of QIBA, and no number where the recipe has none.

Expected values are computed here by hand: SUVbw = activity · weight / injected activity, all at
one moment. 370 MBq of F-18 (half-life 6586.2 s), 70 kg, scan one half-life after injection.
"""

import numpy as np
import pytest
from pydicom.dataset import Dataset

from aegle.domain.volume import Quantity

PET = "1.2.840.10008.5.1.4.1.1.128"
HALF_LIFE_S = 6600.0
DOSE_BQ = 370e6
# 09:00:00 + 6600 s = 10:50:00.
INJECTED, START = "090000", "105000"


@pytest.fixture
def pet(tmp_path, make_slice, write_series):
    """Return a function that writes a PET of three slices of 5000 Bq/mL."""

    def write(tracer=(), **changes):
        item = Dataset()
        item.RadiopharmaceuticalStartTime = INJECTED
        item.RadionuclideTotalDose = DOSE_BQ
        item.RadionuclideHalfLife = HALF_LIFE_S
        for keyword, value in dict(tracer).items():
            setattr(item, keyword, value)
            if value is None:
                delattr(item, keyword)
        facts = {
            "SOPClassUID": PET,
            "Modality": "PT",
            "Units": "BQML",
            "DecayCorrection": "START",
            "CorrectedImage": ["ATTN", "DECY"],
            "PatientWeight": 70,
            "SeriesDate": "20260102",
            "SeriesTime": START,
            "AcquisitionDate": "20260102",
            "RescaleSlope": 5,
            "RadiopharmaceuticalInformationSequence": [item],
            **changes,
        }
        slices = []
        for i in range(3):
            one = {"AcquisitionTime": f"1050{10 * i:02d}", **facts}
            if isinstance(one["AcquisitionTime"], list):
                one["AcquisitionTime"] = one["AcquisitionTime"][i]
            one = {k: v for k, v in one.items() if v is not None}
            slices.append(make_slice(i, pixels=np.full((2, 2), 1000, np.int16), **one))
        return write_series(tmp_path / "pet", slices)

    return write


AT_START = 5000 * 70e3 / (DOSE_BQ / 2)
AT_INJECTION = 5000 * 70e3 / DOSE_BQ


def test_images_corrected_to_the_start_use_the_activity_left_then(pet, read_series):
    reading = read_series(pet())

    volume = reading.image.volume
    assert volume.quantity is Quantity.STANDARDISED_UPTAKE
    np.testing.assert_allclose(volume.values, AT_START, rtol=1e-6)
    assert "70.0 kg, 185.0 MBq" in str(reading.notices[0])


def test_images_corrected_to_the_injection_use_the_whole_activity(pet, read_series):
    volume = read_series(pet(DecayCorrection="ADMIN")).image.volume

    np.testing.assert_allclose(volume.values, AT_INJECTION, rtol=1e-6)


def test_a_full_date_and_time_of_injection_wins(pet, read_series):
    full = {"RadiopharmaceuticalStartDateTime": "20260102090000.00"}

    volume = read_series(pet({**full, "RadiopharmaceuticalStartTime": "100000"})).image.volume

    np.testing.assert_allclose(volume.values, AT_START, rtol=1e-6)


def test_an_injection_before_midnight_is_of_the_day_before(pet, read_series):
    reading = read_series(
        pet(
            {"RadiopharmaceuticalStartTime": "231000"},
            SeriesTime="010000",
            AcquisitionTime="010000",
        )
    )

    np.testing.assert_allclose(reading.image.volume.values, AT_START, rtol=1e-6)
    assert "before midnight, at 23:10" in str(reading.notices[1])


def test_values_given_as_uptake_stay(pet, read_series):
    volume = read_series(pet(Units="GML")).image.volume

    assert volume.quantity is Quantity.STANDARDISED_UPTAKE
    np.testing.assert_allclose(volume.values, 5000)


def test_uptake_by_lean_mass_is_not_taken_for_uptake_by_weight(pet, read_series):
    reading = read_series(pet(Units="GML", SUVType="LBM"))

    assert reading.image.volume.quantity is Quantity.SIGNAL
    assert "uptake by LBM" in str(reading.notices[0])


class TestSeriesDatedAfterAcquisition:
    """A later reconstruction stamps the series; decay is still corrected to the true start."""

    def test_the_frame_tells_the_start(self, pet, read_series):
        # The first frame starts 30 s after the scan and lasts 120 s; its reference time is
        # where its activity has its mean value.
        decay = np.log(2) / HALF_LIFE_S * 120
        mean_s = 120 * np.log(decay / (1 - np.exp(-decay))) / decay
        folder = pet(
            SeriesTime="150000",
            AcquisitionTime=["105030", "105230", "105430"],
            FrameReferenceTime=(30 + mean_s) * 1000,
            ActualFrameDuration=120_000,
        )

        volume = read_series(folder).image.volume

        np.testing.assert_allclose(volume.values, AT_START, rtol=1e-6)

    def test_the_private_scan_time_of_ge_counts(self, pet, read_series, tmp_path):
        import pydicom

        folder = pet(SeriesTime="150000", SeriesDate="20260105")
        for path in folder.iterdir():
            item = pydicom.dcmread(path)
            block = item.private_block(0x0009, "GEMS_PETD_01", create=True)
            block.add_new(0x0D, "DT", "20260102105000.00")
            item.save_as(path)

        np.testing.assert_allclose(read_series(folder).image.volume.values, AT_START, rtol=1e-6)

    @pytest.mark.parametrize("time", ["150000", "105015"], ids=["hours later", "amid the slices"])
    def test_without_either_the_values_stay(self, pet, read_series, time):
        reading = read_series(pet(SeriesTime=time))

        assert reading.image.volume.quantity is Quantity.ACTIVITY_CONCENTRATION
        assert "dated after its acquisition" in str(reading.notices[0])


@pytest.mark.parametrize(
    ("tracer", "changes", "reason"),
    [
        ({}, {"PatientWeight": None}, "weight is not stated"),
        ({}, {"PatientWeight": 0}, "weight is not stated"),
        ({}, {"DecayCorrection": "NONE"}, "to which moment"),
        ({}, {"CorrectedImage": ["ATTN"]}, "not corrected"),
        ({}, {"RadiopharmaceuticalInformationSequence": None}, "tracer is not described"),
        ({}, {"AcquisitionTime": None}, "time of acquisition"),
        ({"RadionuclideTotalDose": None}, {}, "injected activity"),
        ({"RadionuclideHalfLife": None}, {}, "half-life"),
        ({"RadiopharmaceuticalStartTime": None}, {}, "time of injection"),
        ({"RadiopharmaceuticalStartTime": "110000"}, {}, "more than 12 hours"),
        ({"RadiopharmaceuticalStartDateTime": "20260103090000"}, {}, "dated after the scan"),
    ],
)
def test_nothing_is_assumed(pet, read_series, tracer, changes, reason):
    reading = read_series(pet(tracer, **changes))

    assert reading.image.volume.quantity is Quantity.ACTIVITY_CONCENTRATION
    np.testing.assert_allclose(reading.image.volume.values, 5000)
    assert "stay in Bq/mL" in str(reading.notices[0])
    assert reason in str(reading.notices[0])


def test_counts_without_a_factor_are_a_signal(pet, read_series):
    reading = read_series(pet(Units="CNTS"))

    assert reading.image.volume.quantity is Quantity.SIGNAL
    assert "no factor" in str(reading.notices[0])


def test_the_given_pet_is_uptake(shared_data, tmp_path):
    from aegle.dicom import images
    from aegle.dicom.image_options import ImageOptions
    from aegle.dicom.scan import ScanOptions, scan

    path = shared_data("dicom_series", "sts_025_ct_pet_mr_rtstruct.zip")
    (series,) = (s for s in scan([path], options=ScanOptions()).series if s.modality == "PT")

    volume = images.read(series, options=ImageOptions()).image.volume

    assert volume.quantity is Quantity.STANDARDISED_UPTAKE
    assert 1 < volume.values.max() < 30

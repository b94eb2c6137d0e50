"""Values mean what the file says, and what must not be mixed is not."""

from datetime import datetime

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from aegle.dicom import images
from aegle.dicom.image_options import ImageOptions
from aegle.dicom.scan import ScanOptions, scan
from aegle.domain.errors import FileError, GantryTiltError, InputError, MixedSeriesError
from aegle.domain.study import Image, Projection
from aegle.domain.volume import Quantity

MR, CR, SECONDARY = (f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("4", "1", "7"))
ENHANCED_CT, ENHANCED_MR = (f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("2.1", "4.1"))


@pytest.fixture
def write(tmp_path, write_series):
    return lambda slices: write_series(tmp_path / "series", slices)


def test_a_ct_is_in_hounsfield_units(make_slice, write, read_series):
    pixels = np.array([[0, 1024, 4095]], np.uint16)
    slices = [make_slice(i, pixels=pixels, RescaleIntercept=-1024) for i in range(3)]

    image = read_series(write(slices)).image

    assert image.volume.quantity is Quantity.RADIODENSITY
    assert image.volume.values[1].tolist() == [[-1024, 0, 3071]]


def test_every_slice_is_rescaled_by_its_own_slope(make_slice, write, read_series):
    pixels = np.array([[100, 30000]], np.int16)
    slices = [
        make_slice(i, pixels=pixels, RescaleSlope=0.1234567 * (i + 1), RescaleIntercept=0.5)
        for i in range(3)
    ]

    values = read_series(write(slices)).image.volume.values

    for i in range(3):
        expected = np.array([100, 30000]) * 0.1234567 * (i + 1) + 0.5
        np.testing.assert_allclose(values[i, 0], expected, rtol=1e-7)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"RescaleSlope": None, "RescaleIntercept": None}, id="no rescaling"),
        pytest.param({"RescaleType": "Z_EFF"}, id="another unit"),
        pytest.param({"Modality": "MR", "SOPClassUID": MR}, id="another modality"),
    ],
)
def test_other_values_are_only_a_signal(make_slice, write, read_series, changes):
    slices = [make_slice(i, **changes) for i in range(2)]

    assert read_series(write(slices)).image.volume.quantity is Quantity.SIGNAL


def test_padding_of_a_ct_becomes_air(make_slice, write, read_series):
    pixels = np.array([[-2000, -1000, 0, 50]], np.int16)
    changes = {"RescaleIntercept": -1024, "PixelPaddingValue": -2000}
    slices = [make_slice(i, pixels=pixels, **changes) for i in range(2)]

    reading = read_series(write(slices))

    # Only padding changes: -1000 is stored, and dark, but an image value.
    assert reading.image.volume.values[0, 0].tolist() == [-1024, -2024, -1024, -974]
    assert "-1024 HU" in str(reading.notices[0])


def test_padding_lighter_than_air_stays(make_slice, write, read_series):
    pixels = np.array([[-500, 20]], np.int16)
    slices = [make_slice(i, pixels=pixels, PixelPaddingValue=-500) for i in range(2)]

    reading = read_series(write(slices))

    assert reading.image.volume.values[0, 0].tolist() == [-500, 20]
    assert reading.notices == ()


def test_padding_may_be_a_range(make_slice, write, read_series):
    pixels = np.array([[-3000, -2500, -2000, -1999]], np.int16)
    changes = {"PixelPaddingValue": -3000, "PixelPaddingRangeLimit": -2000}
    slices = [make_slice(i, pixels=pixels, **changes) for i in range(2)]

    values = read_series(write(slices)).image.volume.values

    assert values[0, 0].tolist() == [-1024, -1024, -1024, -1999]


@pytest.mark.parametrize(
    ("facts", "scanner"),
    [
        ({}, ""),
        ({"Manufacturer": "SIEMENS"}, "SIEMENS"),
        (
            {"Manufacturer": "SIEMENS", "ManufacturerModelName": "SOMATOM Force", "KVP": "120"},
            "SIEMENS SOMATOM Force, 120 kV",
        ),
        ({"Manufacturer": "Philips", "ManufacturerModelName": "PHILIPS iCT"}, "PHILIPS iCT"),
        # What this package wrote was made on no scanner.
        ({"Manufacturer": "Aegle", "ManufacturerModelName": "Aegle", "KVP": "120"}, ""),
    ],
)
def test_the_scanner_is_named_as_the_file_does(make_slice, write, read_series, facts, scanner):
    image = read_series(write([make_slice(i, **facts) for i in range(3)])).image

    assert image.series.scanner == scanner


def test_the_reference_repeats_the_series_in_grid_order(make_slice, write, read_series):
    slices = [
        make_slice(i, ImagePositionPatient=[0, 0, z], SeriesDescription="thorax", StudyID="7")
        for i, z in enumerate((6, 0, 3))
    ]

    reference = read_series(write(slices)).image.series

    assert reference.sop_instance_uids == ("1.2.3.4.2", "1.2.3.4.3", "1.2.3.4.1")
    assert (reference.study_uid, reference.series_uid) == ("1.2.3", "1.2.3.4")
    assert reference.frame_of_reference_uid == "1.2.9"
    assert (reference.modality, reference.description, reference.study_id) == ("CT", "thorax", "7")
    assert reference.study_date == datetime(2026, 1, 2, 10, 11, 12)
    assert reference.slice_thickness_mm == 5


class TestProjections:
    def test_a_radiograph_has_frames_but_no_place(self, make_slice, write, read_series):
        pixels = np.array([[1, 2], [3, 4]], np.uint16)
        item = make_slice(
            pixels=pixels,
            SOPClassUID=CR,
            Modality="CR",
            ImagePositionPatient=None,
            ImageOrientationPatient=None,
            PixelSpacing=None,
            ImagerPixelSpacing=[0.2, 0.1],
        )

        image = read_series(write([item])).image

        assert isinstance(image, Projection)
        assert image.image.values.tolist() == [[[1, 2], [3, 4]]]
        assert image.image.spacing_mm == (0.2, 0.1)
        assert image.name == "CR"

    @pytest.mark.parametrize(
        ("kind", "expected"),
        [(np.uint16, [4095 - 0, 4095 - 4095, 4095 - 100]), (np.int16, [-1, -2048, 99])],
        ids=["unsigned", "signed"],
    )
    def test_white_on_black_is_reversed(self, make_slice, write, read_series, kind, expected):
        stored = [0, 4095, 100] if kind is np.uint16 else [0, 2047, -100]
        item = make_slice(
            pixels=np.array([stored], kind),
            SOPClassUID=CR,
            Modality="CR",
            ImagePositionPatient=None,
            BitsStored=12,
            HighBit=11,
            PhotometricInterpretation="MONOCHROME1",
        )

        reading = read_series(write([item]))

        assert reading.image.image.values[0, 0].tolist() == expected
        assert "MONOCHROME1" in str(reading.notices[0])

    def test_a_modality_table_is_applied(self, make_slice, write, read_series):
        table = Dataset()
        table.LUTDescriptor = [3, 10, 16]
        table.add_new(0x00283006, "US", [7, 70, 700])
        table.ModalityLUTType = "US"
        item = make_slice(
            pixels=np.array([[9, 10, 11, 12, 13]], np.uint16),
            SOPClassUID=CR,
            Modality="CR",
            ImagePositionPatient=None,
            ModalityLUTSequence=[table],
        )

        values = read_series(write([item])).image.image.values

        assert values[0, 0].tolist() == [7, 7, 70, 700, 700]

    def test_each_file_without_a_place_is_an_image_of_its_own(self, make_slice, write, only_series):
        slices = [
            make_slice(i, pixels=np.full((2 + i, 3), i, np.uint16), ImagePositionPatient=None)
            for i in range(3)
        ]
        series = only_series(write(slices))

        readings = images.read_all(series, options=ImageOptions())

        assert [r.image.name for r in readings] == ["CT", "CT 2", "CT 3"]
        assert all("where its pixels lie" in str(r.notices[0]) for r in readings)
        assert [r.image.image.values.shape for r in readings] == [(1, 2, 3), (1, 3, 3), (1, 4, 3)]
        with pytest.raises(MixedSeriesError, match="3 separate images"):
            images.read(series, options=ImageOptions())

    def test_a_scout_is_no_volume(self, make_slice, write, read_series):
        scout = make_slice(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])

        image = read_series(write([scout])).image

        assert isinstance(image, Projection)
        assert image.image.quantity is Quantity.SIGNAL


class TestMixedSeries:
    @pytest.mark.parametrize(
        ("changes", "finding"),
        [
            pytest.param({"pixels": np.zeros((4, 6), np.int16)}, "size", id="size"),
            pytest.param(
                {"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}, "orientation", id="turn"
            ),
            pytest.param({"PixelSpacing": [0.9, 0.9]}, "pixel spacing", id="pixel spacing"),
            pytest.param({"EchoTime": 90}, "echo time", id="echo time"),
            pytest.param({"DiffusionBValue": 800.0}, "b-value", id="b-value"),
        ],
    )
    def test_slices_that_do_not_belong_together_are_refused(
        self, make_slice, write, only_series, changes, finding
    ):
        first = [make_slice(i, EchoTime=30, DiffusionBValue=0.0) for i in range(3)]
        last = {"EchoTime": 30, "DiffusionBValue": 0.0, **changes}
        series = only_series(write([*first, make_slice(3, **last)]))

        with pytest.raises(
            MixedSeriesError, match=f"differ in {finding}.*--set images.mixed=split"
        ):
            images.read(series, options=ImageOptions())

        readings = images.read_all(series, options=ImageOptions(mixed="split"))
        assert [r.image.volume.grid.shape[0] for r in readings] == [3, 1]

    @pytest.mark.parametrize(
        ("keyword", "values", "finding"),
        [
            ("AcquisitionNumber", (1, 2), "acquisition"),
            ("TemporalPositionIdentifier", (1, 2), "time point"),
            ("TriggerTime", (0, 400), "trigger time"),
            (
                "ImageType",
                (["ORIGINAL", "PRIMARY", "M"], ["ORIGINAL", "PRIMARY", "P"]),
                "image type",
            ),
        ],
    )
    def test_several_acquisitions_at_one_position_are_refused_or_separated(
        self, make_slice, write, only_series, keyword, values, finding
    ):
        slices = [
            make_slice(
                i + 3 * k,
                pixels=np.full((2, 2), 10 * k + i, np.int16),
                ImagePositionPatient=[0, 0, 4 * i],
                **{keyword: value},
            )
            for i in range(3)
            for k, value in enumerate(values)
        ]
        series = only_series(write(slices))

        with pytest.raises(MixedSeriesError, match=f"2 slices at each position.*{finding}"):
            images.read(series, options=ImageOptions())

        readings = images.read_all(series, options=ImageOptions(mixed="split"), name="X")
        assert [r.image.name for r in readings] == ["X", "X 2"]
        for k, reading in enumerate(readings):
            assert reading.image.volume.values[:, 0, 0].tolist() == [10 * k, 10 * k + 1, 10 * k + 2]

    def test_acquisitions_that_follow_each_other_are_one_volume(
        self, make_slice, write, read_series
    ):
        slices = [make_slice(i, AcquisitionNumber=1 + i // 2) for i in range(4)]

        assert read_series(write(slices)).image.volume.grid.shape[0] == 4


class TestMultiFrame:
    """Enhanced objects, whose frames come in any order."""

    HEIGHTS = (6.0, 0.0, 3.0)

    def enhanced(self, make_slice, heights=HEIGHTS, sop_class=ENHANCED_CT, extra=None):
        frames = np.stack([np.full((4, 5), 100 + z, np.uint16) for z in heights])
        item = make_slice(pixels=frames[0], SOPClassUID=sop_class)
        for keyword in (
            "ImagePositionPatient",
            "ImageOrientationPatient",
            "PixelSpacing",
            "SliceThickness",
            "RescaleSlope",
            "RescaleIntercept",
        ):
            delattr(item, keyword)
        item.NumberOfFrames = len(heights)
        item.PixelData = frames.tobytes()
        shared, orientation, measures, transform = (Dataset() for _ in range(4))
        orientation.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
        measures.PixelSpacing, measures.SliceThickness = [0.75, 0.5], 3
        shared.PlaneOrientationSequence = [orientation]
        shared.PixelMeasuresSequence = [measures]
        if sop_class == ENHANCED_CT:
            transform.RescaleSlope, transform.RescaleIntercept = 2, -1000
            transform.RescaleType = "HU"
            shared.PixelValueTransformationSequence = [transform]
        item.SharedFunctionalGroupsSequence = [shared]
        item.PerFrameFunctionalGroupsSequence = [
            self._frame(z, extra[i] if extra else None) for i, z in enumerate(heights)
        ]
        return item

    @staticmethod
    def _frame(height, extra):
        group, position = Dataset(), Dataset()
        # Sagittal planes: the normal is (0,1,0)x(0,0,-1) = (-1,0,0).
        position.ImagePositionPatient = [-height, 20, 30]
        group.PlanePositionSequence = [position]
        if extra is not None:
            diffusion = Dataset()
            diffusion.DiffusionBValue = float(extra)
            group.MRDiffusionSequence = [diffusion]
        return group

    @pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"])
    def test_frames_are_ordered_by_position_and_rescaled(
        self, make_slice, write, read_series, syntax
    ):
        item = self.enhanced(make_slice)
        item.file_meta.TransferSyntaxUID = syntax

        image = read_series(write([item])).image

        assert isinstance(image, Image)
        assert image.volume.quantity is Quantity.RADIODENSITY
        assert image.volume.values[:, 0, 0].tolist() == [-800, -794, -788]
        positions = image.volume.grid.to_patient(np.vstack([np.zeros(3), np.eye(3)]))
        np.testing.assert_allclose(
            positions, [[0, 20, 30], [-3, 20, 30], [0, 20, 29.25], [0, 20.5, 30]]
        )
        assert image.series.sop_instance_uids == ("1.2.3.4.1",)

    def test_b_values_are_separated(self, make_slice, write, only_series):
        item = self.enhanced(make_slice, (0, 3, 0, 3), ENHANCED_MR, extra=(0, 0, 800, 800))
        series = only_series(write([item]))

        with pytest.raises(MixedSeriesError, match="b-value: 0 \\(2\\); 800 \\(2\\)"):
            images.read(series, options=ImageOptions())
        readings = images.read_all(series, options=ImageOptions(mixed="split"))
        assert [r.image.volume.grid.shape[0] for r in readings] == [2, 2]

    def test_a_damaged_group_names_the_file(self, make_slice, write, read_series, tmp_path):
        item = self.enhanced(make_slice)
        folder = write([item])
        path = folder / "0000.dcm"
        content = path.read_bytes()
        # The item tag inside the plane position sequence of a frame becomes another.
        place = content.index(b"\x20\x00\x13\x91SQ")
        path.write_bytes(content[: place + 12] + b"\xfe\xff\x01\xe0" + content[place + 16 :])

        with pytest.raises(FileError, match=r"0000\.dcm"):
            read_series(folder)

    def test_slices_are_sheared_alike_in_frames(self, make_slice, write, read_series):
        item = self.enhanced(make_slice)
        for group, z in zip(item.PerFrameFunctionalGroupsSequence, self.HEIGHTS, strict=True):
            group.PlanePositionSequence[0].ImagePositionPatient = [-z, 20 + z, 30]

        with pytest.raises(GantryTiltError, match=r"45\.00 degrees"):
            read_series(write([item]))


def test_cine_frames_stay_in_order(make_slice, write, read_series):
    frames = np.arange(5 * 6, dtype=np.uint8).reshape(5, 2, 3)
    item = make_slice(
        pixels=frames[0], SOPClassUID=SECONDARY, ImagePositionPatient=None, NumberOfFrames=5
    )
    item.PixelData = frames.tobytes()

    np.testing.assert_array_equal(read_series(write([item])).image.image.values, frames)


def test_images_larger_than_allowed_are_refused(make_slice, write, read_series):
    folder = write([make_slice(i, pixels=np.zeros((600, 600), np.int16)) for i in range(2)])

    with pytest.raises(FileError, match="more than the 1 allowed"):
        read_series(folder, max_image_mib=1)


def test_other_objects_are_not_read_as_images(make_slice, write):
    item = make_slice(SOPClassUID="1.2.840.10008.5.1.4.1.1.481.3")
    (series,) = scan([write([item])], options=ScanOptions()).objects

    with pytest.raises(InputError, match="RT Structure Set"):
        images.read(series, options=ImageOptions())


def test_large_series_equal_those_of_simpleitk(make_slice, write, read_series):
    import SimpleITK as sitk

    random = np.random.default_rng(2)
    slices = [
        make_slice(
            i,
            pixels=random.integers(0, 4096, (64, 48)).astype(np.uint16),
            BitsStored=12,
            HighBit=11,
            RescaleIntercept=-1024,
            ImagePositionPatient=[-100.5, 20.25, -80 + 1.25 * i],
        )
        for i in range(40)
    ]
    folder = write(slices)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    peer = reader.Execute()

    volume = read_series(folder).image.volume

    np.testing.assert_array_equal(volume.values, sitk.GetArrayFromImage(peer))
    np.testing.assert_allclose(volume.grid.origin_mm, peer.GetOrigin())
    np.testing.assert_allclose(volume.grid.spacing_mm[::-1], peer.GetSpacing())


def test_a_file_that_lies_about_its_layout_is_read_by_pydicom(tmp_path, make_slice, read_series):
    path = tmp_path / "odd.dcm"
    item = make_slice(pixels=np.array([[1, 2], [3, 4]], np.uint16))
    pydicom.dcmwrite(path, item, enforce_file_format=True)
    content = path.read_bytes()
    # A value representation that does not exist, in an element that nobody needs.
    path.write_bytes(content.replace(b"\x08\x00\x30\x00TM", b"\x08\x00\x30\x00ZZ"))

    assert read_series(path).image.volume.values[0].tolist() == [[1, 2], [3, 4]]

"""Voxels lie where DICOM PS3.3 C.7.6.2.1.1 puts them, and nowhere else.

The expected positions are computed here from the formula of the standard,
P = position + column · columns_apart · along_row + row · rows_apart · along_column.
"""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from aegle.dicom import images
from aegle.dicom.image_options import ImageOptions
from aegle.dicom.scan import ScanOptions, scan
from aegle.domain.errors import GantryTiltError, GeometryError, SliceSpacingError

SAGITTAL = ([0, 1, 0], [0, 0, -1])
AXIAL = ([1, 0, 0], [0, 1, 0])


def tagged(index, rows=3, columns=4):
    """Pixels whose value says where they are: 100 · slice + 10 · row + column."""
    r, c = np.mgrid[:rows, :columns]
    return (100 * index + 10 * r + c).astype(np.int16)


def decimal(vector):
    """Sixteen characters are all that a decimal string holds."""
    return [f"{v:.12f}"[:16] for v in vector]


def position_by_the_standard(origin, directions, apart, row, column):
    along_row, along_column = np.asarray(directions, float)
    return np.asarray(origin) + column * apart[1] * along_row + row * apart[0] * along_column


finite = st.floats(-300, 300).map(lambda v: round(v, 3))


@settings(max_examples=25, deadline=None)
@given(
    turn=st.tuples(*[st.floats(-180, 180)] * 3),
    origin=st.tuples(finite, finite, finite),
    apart=st.tuples(*[st.floats(0.3, 3).map(lambda v: round(v, 3))] * 2),
    between=st.floats(0.5, 6).map(lambda v: round(v, 3)),
    seed=st.integers(0, 99),
)
def test_every_voxel_of_an_oblique_series_lies_where_its_file_says(
    make_slice, turn, origin, apart, between, seed
):
    x, y, z = Rotation.from_euler("xyz", turn, degrees=True).as_matrix().T
    origins = [np.asarray(origin) + between * i * z for i in range(4)]
    shuffled = np.random.default_rng(seed).permutation(4)
    with tempfile.TemporaryDirectory() as folder:
        for number, i in enumerate(shuffled):
            item = make_slice(
                number,
                pixels=tagged(i),
                ImagePositionPatient=decimal(origins[i]),
                ImageOrientationPatient=decimal([*x, *y]),
                PixelSpacing=list(apart),
            )
            item.save_as(Path(folder) / f"{number}.dcm", enforce_file_format=True)
        (series,) = scan([Path(folder)], options=ScanOptions()).series
        volume = images.read(series, options=ImageOptions()).image.volume

    for index in np.ndindex(volume.grid.shape):
        there = volume.grid.to_patient(np.array(index, float))
        slice_, rest = divmod(int(volume.values[index]), 100)
        row, column = divmod(rest, 10)
        expected = position_by_the_standard(origins[slice_], (x, y), apart, row, column)
        np.testing.assert_allclose(there, expected, atol=1e-6)


@pytest.fixture
def write_stack(tmp_path, make_slice, write_series):
    """Return a function that writes slices at given positions and gives the folder."""

    def write(positions, directions=AXIAL, rows=3, columns=4, **changes):
        slices = [
            make_slice(
                i,
                pixels=tagged(i, rows, columns),
                ImagePositionPatient=decimal(p),
                ImageOrientationPatient=[*directions[0], *directions[1]],
                **changes,
            )
            for i, p in enumerate(positions)
        ]
        return write_series(tmp_path / "stack", slices)

    return write


def test_a_sagittal_series_grows_along_its_own_axes(write_stack, read_series):
    # Rows go back, columns go down, so slices go from left to right: (0,1,0)x(0,0,-1)=(-1,0,0).
    folder = write_stack([[10 - 4 * i, 20, 30] for i in range(3)], SAGITTAL)

    volume = read_series(folder).image.volume

    positions = volume.grid.to_patient(np.vstack([np.zeros(3), np.eye(3)]))
    np.testing.assert_allclose(
        positions, [[10, 20, 30], [6, 20, 30], [10, 20, 29.25], [10, 20.5, 30]]
    )
    np.testing.assert_array_equal(volume.values[2], tagged(2))


def test_slices_are_ordered_by_position_not_by_number(write_stack, read_series):
    volume = read_series(write_stack([[0, 0, z] for z in (9, 3, 6)])).image.volume

    assert volume.values[:, 0, 0].tolist() == [100, 200, 0]
    assert volume.grid.origin_mm == (0, 0, 3)


def test_a_single_slice_is_as_thick_as_it_says(write_stack, read_series):
    volume = read_series(write_stack([[1, 2, 3]])).image.volume

    assert volume.grid.spacing_mm == (5, 0.75, 0.5)


def test_directions_with_few_decimals_are_made_perpendicular(write_stack, read_series):
    directions = ([0.9659, 0.2588, 0], [-0.2588, 0.9659, 0.0])

    axes = np.array(
        read_series(write_stack([[0, 0, 0], [0, 0, 5]], directions)).image.volume.grid.axes
    )

    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(axes[2], [np.cos(np.pi / 12), np.sin(np.pi / 12), 0], atol=1e-4)


def test_directions_that_are_not_perpendicular_are_refused(write_stack, read_series):
    folder = write_stack([[0, 0, 0], [0, 0, 5]], ([1, 0, 0], [0.1, 0.995, 0]))

    with pytest.raises(GeometryError, match="not perpendicular"):
        read_series(folder)


class TestSpacing:
    def test_a_missing_slice_is_named(self, write_stack, read_series):
        folder = write_stack([[0, 0, z] for z in (0, 3, 6, 12, 15)])

        with pytest.raises(
            SliceSpacingError,
            match=r"1 slice\(s\) are missing.*after slice 3.*6\.00 mm.*images\.spacing=resample",
        ):
            read_series(folder)

    def test_a_missing_slice_is_interpolated_if_chosen(self, write_stack, read_series):
        folder = write_stack([[0, 0, z] for z in (0, 3, 6, 12, 15)])

        reading = read_series(folder, spacing="resample")

        volume = reading.image.volume
        assert volume.grid.shape == (6, 3, 4)
        assert volume.grid.spacing_mm[0] == 3
        # Slice value 100 · index: the missing one lies half way between 200 and 300.
        assert volume.values[:, 0, 0].tolist() == [0, 100, 200, 250, 300, 400]
        assert "5 slices" in str(reading.notices[0])
        assert "6 slices every 3.000 mm" in str(reading.notices[0])

    def test_uneven_slices_are_interpolated_linearly_in_position(self, write_stack, read_series):
        heights = np.array([0, 2, 4, 6, 9, 12])
        folder = write_stack([[0, 0, z] for z in heights])
        with pytest.raises(
            SliceSpacingError, match=r"unevenly spaced.*2\.00 to 3\.00.*images\.spacing"
        ):
            read_series(folder)

        volume = read_series(folder, spacing="resample").image.volume

        centres = volume.grid.to_patient(np.array([[i, 0, 0] for i in range(7)]))[:, 2]
        expected = np.interp(centres, heights, 100 * np.arange(6))
        np.testing.assert_allclose(volume.values[:, 0, 0], expected, rtol=1e-6)

    def test_doubled_slices_are_refused_or_the_first_is_kept(self, write_stack, read_series):
        folder = write_stack([[0, 0, z] for z in (0, 3, 3, 6)])
        with pytest.raises(
            SliceSpacingError,
            match=r"1 of 4 slices lie where another does.*--set images\.doubled=keep-first",
        ):
            read_series(folder)

        reading = read_series(folder, doubled="keep-first")

        assert reading.image.volume.values[:, 0, 0].tolist() == [0, 100, 300]
        assert "1 doubled" in str(reading.notices[0])
        assert reading.image.series.sop_instance_uids == ("1.2.3.4.1", "1.2.3.4.2", "1.2.3.4.4")

    @pytest.mark.parametrize(
        ("wobble_mm", "accepted"),
        [
            pytest.param(0.04, True, id="rounded positions are even"),
            pytest.param(0.06, False, id="a shift beyond the tolerance is uneven"),
        ],
    )
    def test_tolerance(self, write_stack, read_series, wobble_mm, accepted):
        folder = write_stack([[0, 0, z] for z in (0, 3 + wobble_mm, 6, 9)])

        if accepted:
            assert read_series(folder).image.volume.grid.spacing_mm[0] == 3
        else:
            with pytest.raises(SliceSpacingError):
                read_series(folder)

    def test_slices_shifted_without_order_are_refused(self, write_stack, read_series):
        folder = write_stack([[x, 0, 3 * i] for i, x in enumerate((0, 0, 5, 0))])

        with pytest.raises(GeometryError, match="without order"):
            read_series(folder, tilt="resample", spacing="resample")


class TestTilt:
    """Slices whose rows lean by 20 degrees, at equal heights of the table."""

    def write(self, folder, make_slice, write_series, degrees=20.0):
        angle = np.deg2rad(degrees)
        along_column = np.array([0, np.cos(angle), -np.sin(angle)])
        origins = [np.array([-10.0, -20.0, 4.0 * i]) for i in range(5)]
        slices = []
        for i, origin in enumerate(origins):
            r, c = np.mgrid[:40, :6]
            points = origin + (0.8 * r[..., None]) * along_column + (1.0 * c[..., None]) * [1, 0, 0]
            # A field that is linear in space is reproduced exactly by linear interpolation.
            values = points @ [3.0, 5.0, 7.0] * 20 + 5000
            slices.append(
                make_slice(
                    i,
                    pixels=np.rint(values).astype(np.int16),
                    ImagePositionPatient=decimal(origin),
                    ImageOrientationPatient=decimal([1, 0, 0, *along_column]),
                    PixelSpacing=[0.8, 1.0],
                )
            )
        return write_series(folder, slices)

    def test_is_refused_with_its_angle(self, tmp_path, make_slice, write_series, read_series):
        folder = self.write(tmp_path / "t", make_slice, write_series)

        with pytest.raises(
            GantryTiltError, match=r"gantry tilt of 20\.00 degrees.*--set images\.tilt=resample"
        ):
            read_series(folder)

    @pytest.mark.parametrize("degrees", [20.0, -12.5])
    def test_is_corrected_exactly(self, tmp_path, make_slice, write_series, read_series, degrees):
        folder = self.write(tmp_path / "t", make_slice, write_series, degrees)

        reading = read_series(folder, tilt="resample")

        volume = reading.image.volume
        assert volume.grid.spacing_mm[0] == pytest.approx(4 * np.cos(np.deg2rad(degrees)), abs=1e-6)
        index = np.moveaxis(np.indices(volume.grid.shape), 0, -1)
        expected = volume.grid.to_patient(index.astype(float)) @ [3.0, 5.0, 7.0] * 20 + 5000
        covered = volume.values > volume.values.min()
        assert covered.sum() >= 5 * 38 * 6
        np.testing.assert_allclose(volume.values[covered], expected[covered], atol=1.01)
        assert f"{abs(degrees):.2f}°" in str(reading.notices[0])

    def test_a_tilted_gantry_without_shear_is_a_plain_oblique_series(
        self, write_stack, read_series
    ):
        angle = np.deg2rad(15)
        directions = ([1, 0, 0], decimal([0, np.cos(angle), np.sin(angle)]))
        normal = np.array([0, -np.sin(angle), np.cos(angle)])

        reading = read_series(write_stack([normal * 3 * i for i in range(4)], directions))

        assert reading.notices == ()
        assert reading.image.volume.grid.spacing_mm[0] == pytest.approx(3, abs=1e-6)


class TestGivenSeries:
    @pytest.mark.parametrize(
        ("archive", "modality"),
        [
            ("ibsi1_ct_with_rtstruct.zip", "CT"),
            ("sts_025_ct_pet_mr_rtstruct.zip", "CT"),
            ("sts_025_ct_pet_mr_rtstruct.zip", "PT"),
            ("sts_025_ct_pet_mr_rtstruct.zip", "MR"),
            ("prostatex_0000_t2w_adc_bval.zip", "MR"),
        ],
    )
    def test_values_and_geometry_equal_those_of_simpleitk(
        self, shared_data, tmp_path, archive, modality
    ):
        import SimpleITK as sitk

        found = scan([shared_data("dicom_series", archive)], options=ScanOptions())
        for series in [s for s in found.series if s.modality == modality]:
            reading = images.read(series, options=ImageOptions(uptake=False))
            for i in series.instances:
                target = tmp_path / series.uid / f"{i.sop_instance_uid}.dcm"
                target.parent.mkdir(exist_ok=True)
                target.write_bytes(i.source.read())
            reader = sitk.ImageSeriesReader()
            reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path / series.uid)))
            peer = reader.Execute()

            volume = reading.image.volume
            np.testing.assert_allclose(
                volume.values, sitk.GetArrayFromImage(peer), rtol=1e-6, atol=1e-3
            )
            size = np.array(peer.GetSize())
            for corner in np.ndindex(2, 2, 2):
                index = np.array(corner) * (size - 1)
                there = peer.TransformIndexToPhysicalPoint([int(v) for v in index])
                ours = volume.grid.to_patient(index[::-1].astype(float))
                np.testing.assert_allclose(ours, there, atol=1e-3)

    def test_the_tilted_phantom_is_refused_and_accepted_on_demand(self, shared_data):
        path = shared_data("dicom_series", "ct_phantom_gantry_tilt_minus18.5.zip")
        for series in scan([path], options=ScanOptions()).series:
            with pytest.raises(GantryTiltError, match=r"18\.50 degrees"):
                images.read(series, options=ImageOptions())

            volume = images.read(series, options=ImageOptions(tilt="resample")).image.volume
            assert volume.grid.shape[0] == len(series.instances)

    def test_the_missing_slice_is_refused_and_interpolated_on_demand(self, shared_data):
        whole = scan(
            [shared_data("dicom_series", "prostatex_0000_t2w_adc_bval.zip")], options=ScanOptions()
        )
        lacking = scan(
            [shared_data("dicom_series", "prostatex_0000_bval_missing_slice.zip")],
            options=ScanOptions(),
        ).series[0]
        with pytest.raises(SliceSpacingError, match=r"1 slice\(s\) are missing"):
            images.read(lacking, options=ImageOptions())

        made = images.read(lacking, options=ImageOptions(spacing="resample")).image.volume

        (same,) = (s for s in whole.series if s.uid == lacking.uid)
        expected = images.read(same, options=ImageOptions()).image.volume
        assert made.grid.is_same_as(expected.grid)
        differs = np.any(made.values != expected.values, axis=(1, 2))
        assert np.flatnonzero(differs).tolist() == [13]

"""The box around what is seen leaves out empty borders, and nothing else."""

import numpy as np
import pytest
import SimpleITK as sitk

from aegle.learning.foreground import foreground, otsu


def test_the_threshold_is_otsus():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(20, 5, 3000), rng.normal(90, 12, 1000)]).astype(np.float32)
    peer = sitk.OtsuThresholdImageFilter()
    peer.SetNumberOfHistogramBins(256)
    peer.Execute(sitk.GetImageFromArray(values.reshape(40, 100)))

    assert otsu(values) == pytest.approx(peer.GetThreshold(), abs=float(np.ptp(values)) / 128)


def test_a_bright_block_is_found_with_a_margin():
    image = np.zeros((200, 300), np.float32)
    image[50:150, 100:220] = 80

    rows, columns = foreground(image)

    # The threshold at half of Otsu's lies outside the edge by less than the smoothing.
    assert 40 <= rows.start <= 50
    assert 150 <= rows.stop <= 160
    assert 84 <= columns.start <= 100
    assert 220 <= columns.stop <= 236


def test_small_bright_marks_beside_it_are_left_out():
    image = np.zeros((128, 128), np.float32)
    image[20:100, 40:110] = 100
    image[2:8, 2:12] = 255

    rows, columns = foreground(image)

    assert rows.start > 8
    assert columns.start > 20


def test_a_tiny_foreground_is_not_trusted():
    image = np.random.default_rng(0).random((128, 128)).astype(np.float32)
    image[60:70, 60:70] = 500

    assert foreground(image) == (slice(0, 128), slice(0, 128))


def test_volumes_are_cropped_along_all_axes():
    volume = np.zeros((40, 60, 50), np.float32)
    volume[10:30, 20:50, 5:45] = 1

    for side, (start, stop) in zip(foreground(volume), [(10, 30), (20, 50), (5, 45)], strict=True):
        assert start - 5 <= side.start <= start
        assert stop <= side.stop <= stop + 5


def test_lungs_at_the_border_stay_in():
    radiograph = np.full((160, 160), 200, np.float32)
    radiograph[30:120, 10:65] = 70
    radiograph[30:120, 95:150] = 70
    radiograph[:, :2] = 5

    rows, columns = foreground(radiograph)

    assert (rows.start, rows.stop) == (0, 160)
    assert columns.start <= 10
    assert columns.stop == 160


def test_dim_deep_tissue_stays_in():
    echo = np.zeros((160, 160), np.float32)
    echo[:60] = 150
    echo[60:130] = 55

    rows, _ = foreground(echo)

    assert 125 <= rows.stop <= 140

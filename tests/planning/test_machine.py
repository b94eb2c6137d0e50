"""The shipped beam model against its source, its calibration and published beam quality."""

import json
from importlib import resources

import numpy as np
import pytest
from scipy.io import loadmat, savemat
from scipy.special import erf

from aegle.domain.errors import InputError, OptionError
from aegle.planning.machine import machine, read_matrad

SHIPPED = machine("generic_6mv")


def on_axis(depth_mm, field_mm=100.0, ssd_mm=1000.0):
    """Dose per MU on the axis, written out from the formula and the shipped file."""
    file = resources.files("aegle.planning") / "machines" / "generic_6mv.json"
    data = json.loads(file.read_text())
    radial = np.asarray(data["kernels_per_mm2"])[data["ssd_mm"].index(ssd_mm)]
    side = np.arange(-180, 180.25, 0.5)
    blur = 5.0 / np.sqrt(8 * np.log(2)) * np.sqrt(2)
    profile = (erf((side + field_mm / 2) / blur) - erf((side - field_mm / 2) / blur)) / 2
    radii = np.hypot(*np.meshgrid(side, side))
    m, betas = data["attenuation_per_mm"], data["build_up_per_mm"]
    dose = 0.0
    for beta, kernel in zip(betas, radial, strict=True):
        plane = np.interp(radii, data["radii_mm"], kernel, right=0) * np.outer(profile, profile)
        term = beta / (beta - m) * (np.exp(-m * depth_mm) - np.exp(-beta * depth_mm))
        dose += term * plane.sum() * 0.25
    return dose * (1000 / (ssd_mm + depth_mm)) ** 2


def test_one_mu_gives_10_mgy_at_the_maximum_of_the_reference_field():
    depths_mm = np.arange(1, 40, 0.05)
    doses = np.array([on_axis(d) for d in depths_mm[::20]])
    deepest = depths_mm[::20][doses.argmax()]

    assert SHIPPED.reference_depth_mm == pytest.approx(deepest, abs=1.0)
    assert on_axis(SHIPPED.reference_depth_mm) * SHIPPED.gy_per_mu == pytest.approx(0.01, rel=1e-5)
    assert doses.max() * SHIPPED.gy_per_mu <= 0.01 * (1 + 1e-5)


def test_beam_quality_is_that_of_6_mv():
    # IAEA TRS-398, section 6.3.1: TPR20,10 = 1.2661 PDD20,10 - 0.0595; 6 MV lies at 0.66-0.70.
    quality = 1.2661 * on_axis(200.0) / on_axis(100.0) - 0.0595

    assert 0.66 < quality < 0.70
    assert 10 < SHIPPED.reference_depth_mm < 17


def test_surface_receives_nothing_and_depth_terms_match_their_formula():
    depth_mm = np.array([0.0, 10.0, 100.0])

    terms = SHIPPED.depth_terms(depth_mm)

    assert terms.shape == (3, 3)
    np.testing.assert_allclose(terms[:, 0], 0, atol=1e-12)
    # β = 0.016, m = 0.005066 at 100 mm.
    expected = 0.016 / (0.016 - 0.005066) * (np.exp(-0.5066) - np.exp(-1.6))
    assert terms[1, 2] == pytest.approx(expected, rel=1e-12)


def test_slit_profile_is_half_at_the_edge_and_whole_in_a_wide_field():
    edge, middle, far = SHIPPED.field_profile(np.array([50.0, 0.0, 80.0]), 100.0)

    assert edge == pytest.approx(0.5, abs=1e-9)
    assert middle == pytest.approx(1.0, abs=1e-9)
    assert far == pytest.approx(0.0, abs=1e-9)


def test_beamlets_add_up_to_the_open_field():
    centres = np.arange(-47.5, 50, 5)
    whole = SHIPPED.beamlet_kernels(100.0, np.zeros(1), 900.0)[:, 0, 0]

    parts = SHIPPED.beamlet_kernels(5.0, centres, 900.0).sum(axis=(1, 2))

    np.testing.assert_allclose(parts, whole, rtol=1e-6)


def test_kernels_between_two_distances_are_their_mean_and_beyond_them_the_nearest():
    np.testing.assert_allclose(
        SHIPPED.kernels(925.0), (SHIPPED.kernels(900.0) + SHIPPED.kernels(950.0)) / 2
    )
    np.testing.assert_array_equal(SHIPPED.kernels(1200.0), SHIPPED.kernels(1000.0))
    np.testing.assert_array_equal(SHIPPED.kernels(300.0), SHIPPED.kernels(500.0))


def test_shipped_kernels_keep_the_integral_of_their_source(shared_data):
    source = loadmat(
        shared_data("rt", "machines", "photons_Generic.mat"),
        squeeze_me=True,
        struct_as_record=False,
    )["machine"].data
    rings_mm2 = 2 * np.pi * source.kernelPos * 0.5
    rings_mm2[0] = 0.25
    depths_mm = np.array([15.0, 50, 100, 200])
    terms = SHIPPED.depth_terms(depths_mm)
    for kernel in source.kernel[::10]:
        given = np.stack([kernel.kernel1, kernel.kernel2, kernel.kernel3]) @ rings_mm2
        shipped = [
            np.interp(source.kernelPos, SHIPPED.radii_mm, k) @ rings_mm2
            for k in SHIPPED.kernels(float(kernel.SSD))
        ]
        np.testing.assert_allclose(shipped @ terms, given @ terms, rtol=2.5e-3)


def test_unknown_machine_is_refused_with_those_known():
    with pytest.raises(OptionError, match="generic_6mv"):
        machine("linac")


def test_shipped_file_is_small():
    file = resources.files("aegle.planning") / "machines" / "generic_6mv.json"

    assert len(file.read_bytes()) < 150_000


def test_machine_files_of_matrad_are_read(shared_data):
    path = shared_data("rt", "machines", "photons_Generic.mat")
    data = loadmat(path, squeeze_me=True, struct_as_record=False)["machine"].data

    read = read_matrad(path)

    assert read.sad_mm == 1000
    assert read.attenuation_per_mm == 0.005066
    assert read.penumbra_fwhm_mm == 5
    np.testing.assert_allclose(read.build_up_per_mm, [0.3252, 0.016, 0.0051])
    assert data.kernel[321].SSD == 821
    np.testing.assert_allclose(read.kernels(821.0)[1], data.kernel[321].kernel2)
    assert read.gy_per_mu == pytest.approx(SHIPPED.gy_per_mu, rel=1e-3)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "machine.mat"
    savemat(path, {"machine": {"meta": {"radiationMode": "protons"}, "data": [1.0]}})
    with pytest.raises(InputError, match="not a photon machine"):
        read_matrad(path)

    savemat(path, {"machine": {"meta": {"radiationMode": "photons"}, "data": {"m": 0.005}}})
    with pytest.raises(InputError, match="lacks betas, kernel"):
        read_matrad(path)

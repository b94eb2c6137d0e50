import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from aegle.domain.grid import Grid
from aegle.domain.volume import Quantity, Volume
from aegle.imaging.denoising import (
    DenoisingOptions,
    denoise,
    denoised_plane,
    edge_contrast_kept,
)
from aegle.imaging.noise import white_noise

OPTIONS = DenoisingOptions()


def noisy(plane, deviation, seed=3):
    return (plane + np.random.default_rng(seed).normal(0, deviation, plane.shape)).astype(
        np.float32
    )


@pytest.fixture(scope="module")
def plane(head):
    return np.kron(head.clean[8], np.ones((2, 2), np.float32))


@pytest.fixture(scope="module")
def on_edge(plane):
    slope = ndimage.gaussian_gradient_magnitude(plane.astype(float), 1.0)
    return slope > 0.5 * slope.max()


def test_noise_falls_to_less_than_a_third(plane, head):
    even = np.kron(head.white[8], np.ones((2, 2))).astype(bool)
    result = denoised_plane(noisy(plane, 10), 10, options=OPTIONS)

    assert result[even].std() < 10 / 3
    assert result[even].mean() == pytest.approx(200, abs=1)


def test_edges_keep_their_slope(plane, on_edge):
    result = denoised_plane(noisy(plane, 10), 10, options=OPTIONS)

    assert edge_contrast_kept(plane, result, on_edge) > 0.9


def error(result, true):
    return float(np.sqrt(np.square(result - true).mean()))


@pytest.mark.parametrize(("texture", "share"), [(0.0, 0.97), (12.0, 1.05)])
def test_it_errs_no_more_than_diffusion_at_its_best_number_of_steps(plane, texture, share):
    ripple = texture * np.sin(np.arange(plane.shape[1]) / 2.2) * (plane > 150)
    image = noisy(plane + ripple, 10)
    diffused = [
        sitk.GetArrayFromImage(
            sitk.CurvatureAnisotropicDiffusion(sitk.GetImageFromArray(image), 0.1, 3.0, 1, steps)
        )
        for steps in (4, 8, 12, 16)
    ]
    best = min(error(result, plane + ripple) for result in diffused)

    assert error(denoised_plane(image, 10, options=OPTIONS), plane + ripple) < share * best


def test_plane_without_noise_stays(plane):
    assert np.array_equal(denoised_plane(plane, 0, options=OPTIONS), plane)


def test_dark_signal_of_a_magnitude_image_is_not_lifted():
    rng = np.random.default_rng(5)
    true = np.full((64, 64), 15.0)
    magnitude = np.hypot(true + rng.normal(0, 10, true.shape), rng.normal(0, 10, true.shape))
    plain, rician = (
        denoised_plane(
            magnitude.astype(np.float32), 10, options=DenoisingOptions(is_rician=is_rician)
        ).mean()
        for is_rician in (False, True)
    )

    assert plain > 18
    assert rician == pytest.approx(15, abs=1)


def test_result_says_the_noise_before_and_after(head):
    grid = Grid(shape=head.clean.shape, spacing_mm=(3.0, 1.0, 1.0))
    image = Volume(values=noisy(head.clean, 8), grid=grid, quantity=Quantity.SIGNAL)
    result = denoise(image, options=OPTIONS)

    assert result.noise_before == pytest.approx(8, rel=0.25)
    assert result.noise_after < 0.4 * result.noise_before


def test_planes_move_with_their_picture(plane):
    turned = denoised_plane(noisy(plane, 10)[:, ::-1], 10, options=OPTIONS)

    np.testing.assert_allclose(
        turned[:, ::-1], denoised_plane(noisy(plane, 10), 10, options=OPTIONS), atol=1e-2
    )


def test_real_prostate_mr_keeps_its_edges(shared_data, read_signal):
    image = read_signal(shared_data("totalsegmentator_examples", "example_mr_sm.nii.gz"))
    plane = image.values[len(image.values) // 2]
    deviation = white_noise(plane)
    result = denoised_plane(plane, deviation, options=OPTIONS)
    slope = ndimage.gaussian_gradient_magnitude(plane.astype(float), 1.0)

    assert white_noise(result) < 0.8 * deviation
    assert edge_contrast_kept(plane, result, slope > np.percentile(slope, 95)) > 0.85

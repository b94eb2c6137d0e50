import numpy as np
import pytest

from aegle.domain.errors import GeometryError, InputError, QuantityError
from aegle.domain.grid import Grid
from aegle.domain.volume import Quantity, Volume
from aegle.imaging.bias_field import (
    BiasFieldOptions,
    correct_bias_field,
    foreground,
    variation_coefficient,
)

QUICK = BiasFieldOptions(shrink=2, levels=2, iterations=25)


def signal(values):
    values = np.asarray(values, dtype=np.float32)
    grid = Grid(shape=values.shape, spacing_mm=(3.0, 1.0, 1.0))
    return Volume(values=values, grid=grid, quantity=Quantity.SIGNAL)


@pytest.fixture(scope="module")
def corrected(head):
    noise = np.random.default_rng(1).normal(0, 2, head.clean.shape)
    image = signal(np.maximum(head.clean * head.field + noise, 0))
    return image, correct_bias_field(image, options=QUICK)


def test_tissue_becomes_even(head, corrected):
    image, correction = corrected
    for tissue in (head.white, head.grey):
        before = variation_coefficient(image.values, tissue)
        after = variation_coefficient(correction.volume.values, tissue)
        assert before > 0.07
        assert after < 0.4 * before


def test_the_field_is_the_one_that_was_laid_over_the_image(head, corrected):
    _, correction = corrected
    inside = head.white | head.grey
    ratio = correction.field[inside] / head.field[inside]

    # A constant factor cannot be told; direction and depth of the field can.
    assert np.corrcoef(correction.field[inside], head.field[inside])[0, 1] > 0.97
    assert ratio.std() / ratio.mean() < 0.05


def test_field_times_corrected_image_is_the_image(corrected):
    image, correction = corrected

    np.testing.assert_allclose(correction.field * correction.volume.values, image.values, rtol=1e-4)


def test_mean_inside_stays(corrected):
    image, correction = corrected
    inside = correction.inside

    assert correction.volume.values[inside].mean() == pytest.approx(
        image.values[inside].mean(), rel=1e-4
    )


def test_image_without_a_field_is_left_nearly_as_it_is(head):
    correction = correct_bias_field(signal(head.clean), options=QUICK)

    assert correction.field[head.white | head.grey].std() < 0.02


def test_same_image_gives_the_same_bytes(head):
    image = signal(head.clean * head.field)
    first, second = (correct_bias_field(image, options=QUICK).volume.values for _ in range(2))

    assert first.tobytes() == second.tobytes()


def test_single_plane_can_be_corrected(head):
    plane = signal((head.clean * head.field)[8:9])
    correction = correct_bias_field(plane, options=QUICK)
    white = head.white[8:9]

    assert variation_coefficient(correction.volume.values, white) < 0.5 * variation_coefficient(
        plane.values, white
    )


def test_background_is_no_foreground(head):
    inside = foreground(head.clean)

    assert inside[head.white].all()
    assert not inside[:, :3].any()


@pytest.mark.parametrize("values", [np.zeros((4, 8, 8)), np.full((4, 8, 8), np.nan)])
def test_image_without_signal_is_refused(values):
    with pytest.raises(InputError, match="no signal"):
        correct_bias_field(signal(values), options=QUICK)


def test_mask_of_another_shape_is_refused(head):
    with pytest.raises(GeometryError, match="mask has shape"):
        correct_bias_field(signal(head.clean), options=QUICK, inside=np.ones((2, 2, 2), bool))


def test_ct_is_refused(head):
    grid = Grid(shape=head.clean.shape, spacing_mm=(3.0, 1.0, 1.0))
    ct = Volume(values=head.clean, grid=grid, quantity=Quantity.RADIODENSITY)

    with pytest.raises(QuantityError):
        correct_bias_field(ct, options=QUICK)


def test_variation_of_an_empty_mask_is_refused(head):
    with pytest.raises(InputError, match="positive mean"):
        variation_coefficient(head.clean, np.zeros(head.clean.shape, bool))


def test_real_flair_becomes_more_even_where_one_tissue_dominates(shared_data, read_signal):
    folder = shared_data("ms_longitudinal_flair", "patient01")
    flair = signal(read_signal(folder / "study1_FLAIR.nii.gz").values[10:34:2, ::3, ::3])
    low, high = np.percentile(flair.values[foreground(flair.values)], (25, 75))
    # The middle half of the values is mostly white matter and thalamus.
    y, x = (np.linspace(-1, 1, n) for n in flair.grid.shape[1:])
    made = flair.values * np.exp(0.3 * (x[None, None] + y[None, :, None])).astype(np.float32)
    tissue = (flair.values > low) & (flair.values < high)
    correction = correct_bias_field(signal(made), options=QUICK)

    before = variation_coefficient(made, tissue)
    assert variation_coefficient(correction.volume.values, tissue) < 0.75 * before

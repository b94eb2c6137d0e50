import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aegle.domain.errors import InputError
from aegle.domain.grid import Grid
from aegle.domain.volume import Quantity, Volume
from aegle.imaging.bias_field import foreground
from aegle.imaging.intensity import (
    IntensityScale,
    LandmarkOptions,
    PercentileOptions,
    landmark_spread,
    learn_scale,
    percentile_scaled,
    standardised,
    z_scored,
)


def signal(values):
    values = np.asarray(values, dtype=np.float32)
    grid = Grid(shape=values.shape, spacing_mm=(3.0, 1.0, 1.0))
    return Volume(values=values, grid=grid, quantity=Quantity.SIGNAL)


def scanned(head, gain, offset, curve=1.0, seed=0):
    """Return the head as another scanner shows it."""
    noise = np.random.default_rng(seed).normal(0, 4, head.clean.shape)
    shade = ((head.clean + noise).clip(0) / 220) ** curve
    return signal(gain * shade + offset)


@pytest.fixture(scope="module")
def scanners(head):
    return [
        scanned(head, 100, 10, 1.0, 1),
        scanned(head, 900, 30, 1.25, 2),
        scanned(head, 400, 5, 0.8, 3),
        scanned(head, 2500, 90, 1.1, 4),
    ]


def test_z_score_has_mean_nought_and_deviation_one_in_the_foreground(head):
    image = scanned(head, 300, 20)
    inside = foreground(image.values)
    result = z_scored(image)

    assert result.values[inside].mean() == pytest.approx(0, abs=1e-5)
    assert result.values[inside].std() == pytest.approx(1, rel=1e-5)
    assert result.values[~inside].mean() < -2


def test_percentiles_become_nought_and_one(head):
    image = scanned(head, 300, 20)
    inside = foreground(image.values)
    result = percentile_scaled(image, options=PercentileOptions(is_clipped=False))

    np.testing.assert_allclose(np.percentile(result.values[inside], (1, 99)), (0, 1), atol=1e-5)
    clipped = percentile_scaled(image, options=PercentileOptions()).values
    assert (clipped.min(), clipped.max()) == (0, 1)


def test_scale_brings_scanners_together(scanners):
    options = LandmarkOptions()
    scale = learn_scale(scanners, options=options)
    after = [standardised(image, scale) for image in scanners]

    before = landmark_spread(scanners, options=options)
    assert before > 0.3
    assert landmark_spread(after, options=options) < 0.05 * before


def test_scale_brings_an_image_that_it_never_saw_along(scanners, head):
    scale = learn_scale(scanners[:3], options=LandmarkOptions())
    tissues = [
        [standardised(image, scale).values[part].mean() for part in (head.grey, head.white)]
        for image in scanners
    ]

    np.testing.assert_allclose(tissues[3], np.mean(tissues[:3], axis=0), atol=4)


def test_landmarks_are_the_mean_of_the_shares():
    first = np.repeat(np.arange(101.0), 10).reshape(1, 10, 101) + 1000
    options = LandmarkOptions(percentiles=(0.0, 50.0, 100.0), highest=1.0)
    inside = first[foreground(first.astype(np.float32))]
    middle = (np.median(inside) - inside.min()) / np.ptp(inside)

    scale = learn_scale([signal(first), signal(7 * first)], options=options)

    np.testing.assert_allclose(scale.landmarks, (0, middle, 1), atol=1e-6)


def test_values_beyond_the_landmarks_go_straight_on():
    values = np.concatenate([np.zeros(500), np.linspace(100, 200, 499), [300]])
    image = signal(values.reshape(1, 10, 100))
    scale = IntensityScale(percentiles=(0.0, 50.0, 90.0), landmarks=(0.0, 1.0, 3.0), images=1)
    inside = image.values[foreground(image.values)]
    low, middle, high = np.percentile(inside, (0, 50, 90))

    result = standardised(image, scale).values.ravel()

    assert result[-1] == pytest.approx(3 + 2 * (300 - high) / (high - middle), rel=1e-4)
    assert result[0] == pytest.approx((0 - low) / (middle - low), rel=1e-4)


@settings(max_examples=8, deadline=None)
@given(gain=st.floats(0.1, 50), offset=st.floats(0, 50))
def test_standardising_forgets_gain_and_keeps_the_order(head, gain, offset):
    scale = IntensityScale(percentiles=(1.0, 50.0, 99.0), landmarks=(0.0, 30.0, 100.0), images=1)
    noise = np.random.default_rng(0).normal(0, 4, head.clean.shape)
    base = (head.clean + noise).clip(0)
    plain = standardised(signal(base), scale).values
    other = standardised(signal(gain * (base + offset)), scale).values

    np.testing.assert_allclose(plain, other, atol=0.5)
    order = np.argsort(base.ravel(), kind="stable")
    assert (np.diff(plain.ravel()[order]) >= -1e-3).all()


def test_scale_survives_json(scanners):
    scale = learn_scale(scanners, options=LandmarkOptions())

    assert IntensityScale.from_json(json.loads(json.dumps(scale.as_json()))) == scale


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"percentiles": [1, 99], "landmarks": [5, 5], "images": 1},
        {"percentiles": [1, 50, 99], "landmarks": [0, 1], "images": 1},
        {"percentiles": "ab", "landmarks": [0, 1], "images": 1},
    ],
)
def test_broken_scale_is_refused(values):
    with pytest.raises(InputError):
        IntensityScale.from_json(values)


@pytest.mark.parametrize(
    "call",
    [
        lambda flat: z_scored(flat, inside=np.ones(flat.grid.shape, bool)),
        lambda flat: percentile_scaled(
            flat, options=PercentileOptions(), inside=np.ones(flat.grid.shape, bool)
        ),
        lambda flat: learn_scale([flat], options=LandmarkOptions()),
        lambda flat: landmark_spread([flat], options=LandmarkOptions()),
        lambda flat: learn_scale([], options=LandmarkOptions()),
    ],
)
def test_image_of_one_value_sets_no_scale(call):
    with pytest.raises(InputError):
        call(signal(np.full((2, 8, 8), 7.0)))


def test_real_flairs_of_two_patients_get_one_scale(shared_data, read_signal):
    files = [
        shared_data("ms_longitudinal_flair", f"patient{n}", f"study{k}_FLAIR.nii.gz")
        for n in ("01", "03")
        for k in (1, 2)
    ]
    images = [signal(read_signal(file).values[::3, ::2, ::2]) for file in files]
    options = LandmarkOptions()
    scale = learn_scale(images[:3], options=options)
    before = landmark_spread(images, options=options)
    after = landmark_spread([standardised(image, scale) for image in images], options=options)

    assert after < 0.1 * before

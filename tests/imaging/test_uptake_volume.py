"""Uptake of a lesion on PET."""

import numpy as np
import pytest

from aegle.domain.errors import InputError, QuantityError
from aegle.domain.grid import Grid
from aegle.domain.structure import Structure
from aegle.domain.volume import Quantity, Volume
from aegle.imaging.uptake_volume import PEAK_RADIUS_MM, UptakeOptions, peaks, uptake

SPACING_MM = (3.0, 4.0, 4.0)


@pytest.fixture(scope="module")
def hot():
    random = np.random.default_rng(2)
    values = random.uniform(0.5, 1.5, (14, 16, 18)).astype(np.float32)
    inside = np.zeros(values.shape, bool)
    inside[4:9, 5:11, 6:12] = True
    values[inside] += random.uniform(2, 9, np.count_nonzero(inside)).astype(np.float32)
    grid = Grid(shape=values.shape, spacing_mm=SPACING_MM)
    image = Volume(values=values, grid=grid, quantity=Quantity.STANDARDISED_UPTAKE)
    return image, Structure.of("lesion", inside, grid)


def test_the_peak_is_the_highest_mean_of_all_balls(hot):
    image, lesion = hot
    indices = np.argwhere(np.ones(image.grid.shape, bool))
    means = {
        tuple(centre): image.values[
            tuple(
                indices[np.linalg.norm((indices - centre) * SPACING_MM, axis=1) <= PEAK_RADIUS_MM].T
            )
        ].mean()
        for centre in np.argwhere(lesion.mask)
    }
    hottest = max(means, key=lambda index: image.values[index])

    found = uptake(image, lesion, "PET", options=UptakeOptions())

    assert found.peak == pytest.approx(max(means.values()), rel=1e-6)
    assert found.peak_at_maximum == pytest.approx(means[hottest], rel=1e-6)
    assert found.peak < found.maximum


def test_glycolysis_is_mean_times_volume_above_the_threshold(hot):
    image, lesion = hot
    values = image.values[lesion.mask].astype(float)

    for options, limit in (
        (UptakeOptions(), 0.41 * values.max()),
        (UptakeOptions(threshold="fixed", fixed_suv=5.0), 5.0),
        (UptakeOptions(threshold="delineation"), 0.0),
    ):
        active = values[values >= limit]
        found = uptake(image, lesion, "PET", options=options)
        assert found.mtv_ml == pytest.approx(active.size * 0.048)
        assert found.tlg_g == pytest.approx(active.mean() * active.size * 0.048)
        assert found.mean == pytest.approx(values.mean())


def test_a_lesion_below_the_threshold_has_no_active_volume(hot):
    image, lesion = hot

    found = uptake(image, lesion, "PET", options=UptakeOptions(threshold="fixed", fixed_suv=50.0))

    assert (found.mtv_ml, found.tlg_g, found.active_mean) == (0.0, 0.0, 0.0)


def test_the_ball_stops_at_the_edge_of_the_image():
    values = np.full((3, 3, 3), 2.0)

    assert peaks(values, np.ones((3, 3, 3), bool), (2.0, 2.0, 2.0)) == (2.0, 2.0)


def test_refuses_other_quantities_and_empty_lesions(hot):
    image, lesion = hot
    ct = Volume(values=image.values, grid=image.grid, quantity=Quantity.RADIODENSITY)
    with pytest.raises(QuantityError):
        uptake(ct, lesion, "CT", options=UptakeOptions())
    empty = Structure.of("none", np.zeros(image.grid.shape, bool), image.grid)
    with pytest.raises(InputError, match="empty"):
        uptake(image, empty, "PET", options=UptakeOptions())

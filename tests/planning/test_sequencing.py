"""Apertures add up to the fluence, take the least beam-on time, and keep the leaves' limits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from aegle.domain.errors import GeometryError, InputError
from aegle.domain.plan import Beam
from aegle.planning.sequencing import (
    SequencingOptions,
    beam_on_time,
    decomposed,
    delivered,
    sequence,
)

KALINOWSKI = np.array(
    [[4, 5, 0, 1, 4, 5], [2, 4, 1, 3, 1, 4], [2, 3, 2, 1, 2, 4], [5, 3, 3, 2, 5, 3]]
)
"""The running example of Kalinowski T. A duality based algorithm for multileaf collimator field
segmentation with interdigitation constraint. Discrete Appl Math 2005;152:52-88."""

LEVELS = arrays(
    np.int64, st.tuples(st.integers(1, 6), st.integers(1, 8)), elements=st.integers(0, 9)
)


def field(image, *, beamlet_mm=5.0):
    """Return a beam whose beamlets have an image's values."""
    image = np.asarray(image, float)
    rows, columns = np.indices(image.shape).reshape(2, -1)
    positions_mm = np.stack([columns - 3, rows - 2], axis=1) * beamlet_mm
    return Beam(
        gantry_deg=0,
        couch_deg=0,
        isocentre_mm=(0, 0, 0),
        beamlet_mm=beamlet_mm,
        positions_mm=positions_mm,
        weights=image.ravel(),
    )


def summed(parts, shape):
    columns = np.arange(shape[1])
    total = np.zeros(shape, np.int64)
    for count, intervals in parts:
        total += count * ((columns >= intervals[:, :1]) & (columns < intervals[:, 1:]))
    return total


def test_the_example_of_the_paper_takes_ten_monitor_units():
    parts = decomposed(KALINOWSKI)

    assert beam_on_time(KALINOWSKI) == 10
    assert sum(count for count, _ in parts) == 10
    assert len(parts) <= 7
    np.testing.assert_array_equal(summed(parts, KALINOWSKI.shape), KALINOWSKI)


@given(levels=LEVELS)
@settings(deadline=None)
def test_apertures_add_up_and_take_the_least_beam_on_time(levels):
    parts = decomposed(levels)

    np.testing.assert_array_equal(summed(parts, levels.shape), levels)
    assert sum(count for count, _ in parts) == beam_on_time(levels)


@given(levels=LEVELS)
@settings(deadline=None)
def test_without_interdigitation_no_leaf_passes_its_opposite_neighbour(levels):
    parts = decomposed(levels, interdigitation=False)

    np.testing.assert_array_equal(summed(parts, levels.shape), levels)
    for _, intervals in parts:
        first, stop = intervals.T
        assert (first[1:] <= stop[:-1]).all()
        assert (first[:-1] <= stop[1:]).all()


def test_fluence_is_met_to_half_a_level():
    image = np.random.default_rng(0).random((9, 12)) * 80
    beam = field(image)
    apertures = sequence(beam, options=SequencingOptions(levels=20))

    apart_mu = np.abs(delivered(beam, apertures) - beam.weights)
    assert apart_mu.max() <= image.max() / 20 / 2 + 1e-9


def test_leaves_stand_at_the_edges_of_beamlets():
    """A field of 10 x 5 mm whose beamlets lie around beam x = -10 mm and y = -10 mm."""
    (aperture,) = sequence(field([[0, 7, 7, 0]]), options=SequencingOptions())

    assert aperture.monitor_units == 7
    assert (aperture.left_mm[0], aperture.right_mm[0]) == (-12.5, -2.5)
    np.testing.assert_array_equal(aperture.borders_mm, [-12.5, -7.5])


def test_small_apertures_are_left_out():
    beam = field([[10, 10, 1]])

    assert len(sequence(beam, options=SequencingOptions(levels=10))) == 2
    (kept,) = sequence(beam, options=SequencingOptions(levels=10, smallest_mu=2.0))
    assert kept.monitor_units == 9


def test_dark_field_has_no_apertures():
    assert sequence(field(np.zeros((2, 3))), options=SequencingOptions()) == ()


def test_wider_fields_than_leaves_span_are_refused():
    with pytest.raises(InputError, match="turn the collimator"):
        sequence(field(np.ones((1, 31))), options=SequencingOptions())


def test_beamlets_off_a_lattice_are_refused():
    beam = Beam(
        gantry_deg=0,
        couch_deg=0,
        isocentre_mm=(0, 0, 0),
        beamlet_mm=5,
        positions_mm=[[0, 0], [7, 0]],
        weights=[1, 1],
    )

    with pytest.raises(GeometryError, match="lattice of 5 mm"):
        sequence(beam, options=SequencingOptions())

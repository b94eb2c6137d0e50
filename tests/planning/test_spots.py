"""Spots fill the target, no more and no less."""

from dataclasses import replace

import numpy as np
import pytest

from aegle.domain.errors import InputError
from aegle.domain.structure import Structure
from aegle.planning.pencil_beam import DoseOptions, medium
from aegle.planning.proton_machine import proton_machine
from aegle.planning.spots import SpotOptions, place_spots

MACHINE = proton_machine()


@pytest.fixture(scope="module")
def water(grid_of, positions_of, patient_of):
    """Water from y = -100 mm downwards."""
    grid = grid_of((41, 111, 41), (2.5, 2.0, 2.5))
    positions = positions_of(grid)
    ct, body = patient_of(grid, positions[1] > -101)
    return medium(ct, body, options=DoseOptions(dose_grid_mm=0.1)), grid, positions


def box(grid, positions, half_mm, middle_y=0.0, half_y=20.0):
    x, y, z = positions
    mask = (np.abs(x) <= half_mm) & (np.abs(z) <= half_mm) & (np.abs(y - middle_y) <= half_y)
    return Structure.of("PTV", mask, grid)


def test_layers_reach_from_the_near_to_the_far_side_of_the_target(water):
    patient, grid, positions = water
    options = SpotOptions(depth_margin_mm=0.0, margin_spots=0)
    beam = place_spots(patient, box(grid, positions, 20), (0.0, 0.0), MACHINE, options=options)

    numbers = [MACHINE.number_of(e) for e in np.unique(beam.energies_mev)]
    peaks_mm = MACHINE.peaks_mm[numbers]
    # The target's voxels lie 81 to 121 mm deep.
    assert 81 <= peaks_mm.min() < 85
    assert 117 < peaks_mm.max() <= 122
    assert np.diff(peaks_mm).min() >= 3.0


def test_spots_cover_the_outline_and_one_more(water):
    patient, grid, positions = water
    beam = place_spots(
        patient, box(grid, positions, 20), (0.0, 0.0), MACHINE, options=SpotOptions()
    )

    np.testing.assert_allclose(np.abs(beam.positions_mm).max(axis=0), [25, 25])
    assert len(np.unique(beam.positions_mm, axis=0)) == 11 * 11


def test_rays_get_peaks_only_where_they_cross_the_target(water):
    patient, grid, positions = water
    x, y, z = positions
    wedge = (np.abs(x) <= 20) & (np.abs(z) <= 20) & (np.abs(y) <= 20 + x)
    options = SpotOptions(margin_spots=0, depth_margin_mm=2.0)
    beam = place_spots(
        patient, Structure.of("PTV", wedge, grid), (0.0, 0.0), MACHINE, options=options
    )
    centre_x = beam.isocentre_mm[0]

    for ray_x in (-10.0, 20.0 - 5 * round(centre_x / 5)):
        own = np.abs(beam.positions_mm[:, 0] - ray_x) < 1
        peaks = [MACHINE.peaks_mm[MACHINE.number_of(e)] for e in np.unique(beam.energies_mev[own])]
        half_mm = 20 + centre_x + ray_x
        assert min(peaks) >= 101 - half_mm - 2 - 4
        assert max(peaks) <= 101 + half_mm + 2 + 4


def test_a_range_shifter_asks_for_higher_energies(water):
    patient, grid, positions = water
    target = box(grid, positions, 10)
    bare, shifted = (
        place_spots(patient, target, (0.0, 0.0), MACHINE, options=SpotOptions(range_shifter_mm=mm))
        for mm in (0.0, 40.0)
    )

    deepest = [MACHINE.peaks_mm[MACHINE.number_of(b.energies_mev.max())] for b in (bare, shifted)]
    assert deepest[1] - deepest[0] == pytest.approx(40, abs=3.5)
    assert shifted.range_shifter_mm == 40


def test_targets_out_of_reach_are_refused_with_what_to_do(water):
    patient, grid, positions = water
    few = slice(20, 25)
    weak = replace(
        MACHINE,
        energies_mev=MACHINE.energies_mev[few],
        tables=MACHINE.tables[few],
        air_widths_mm=MACHINE.air_widths_mm[few],
    )

    with pytest.raises(InputError, match=r"reaches 121 mm of water deep.*only 80 mm"):
        place_spots(patient, box(grid, positions, 10), (0.0, 0.0), weak, options=SpotOptions())
    shallow = box(grid, positions, 10, middle_y=-75.0, half_y=10.0)
    with pytest.raises(InputError, match=r"range shifter of at least 5\d mm"):
        place_spots(patient, shallow, (0.0, 0.0), weak, options=SpotOptions())
    empty = Structure.of("PTV", np.zeros(grid.shape, bool), grid)
    with pytest.raises(InputError, match="'PTV' is empty"):
        place_spots(patient, empty, (0.0, 0.0), MACHINE, options=SpotOptions())

"""Margins as distances in the patient, and what the body takes away from them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aegle.domain.codes import StructureType
from aegle.domain.errors import GeometryError, InputError
from aegle.domain.grid import Grid
from aegle.domain.structure import Structure, StructureSet
from aegle.planning.targets import (
    LUNGS_MINUS_GTV,
    TargetOptions,
    grown,
    make_targets,
    with_lungs_minus_gtv,
)

GRID = Grid(shape=(24, 40, 48), spacing_mm=(3.0, 2.0, 1.5))
spacings = st.tuples(*[st.floats(0.7, 5.0)] * 3)


def voxel(index, grid=GRID):
    mask = np.zeros(grid.shape, bool)
    mask[index] = True
    return Structure.of("L1", mask, grid, type=StructureType.LESION)


def body_of(mask, grid=GRID):
    return Structure.of("body", mask, grid, type=StructureType.EXTERNAL)


def within(index, margin_mm, grid=GRID):
    """Brute force: voxels whose centre lies within a margin of one voxel's centre."""
    away = (np.stack(np.indices(grid.shape), -1) - index) * np.asarray(grid.spacing_mm)
    return np.linalg.norm(away, axis=-1) <= margin_mm + 1e-6


@settings(max_examples=30)
@given(spacings, st.floats(0, 12))
def test_margin_is_a_ball_in_the_patient_whatever_the_voxels(spacing_mm, margin_mm):
    grid = Grid(shape=(19, 21, 23), spacing_mm=spacing_mm)
    seed = np.zeros(grid.shape, bool)
    seed[9, 10, 11] = True

    np.testing.assert_array_equal(
        grown(seed, grid, margin_mm), within((9, 10, 11), margin_mm, grid)
    )


def test_margins_follow_each_other():
    options = TargetOptions(ctv_margin_mm=6, ptv_margin_mm=5)

    targets = make_targets(None, voxel((12, 20, 24)), options=options)

    assert [s.name for s in targets] == ["GTV", "CTV", "PTV"]
    assert [s.type.value for s in targets] == ["GTV", "PTV", "PTV"]
    np.testing.assert_array_equal(targets["CTV"].mask, within((12, 20, 24), 6))
    # Along a row, 6 + 5 mm are four voxels of 1.5 mm and then three: 10.5 mm.
    row = targets["PTV"].mask[12, 20]
    assert np.flatnonzero(row).tolist() == list(range(24 - 7, 24 + 8))
    assert np.all(targets["PTV"].mask[targets["CTV"].mask])


def test_target_at_the_edge_of_the_image_stays_in_it():
    targets = make_targets(None, voxel((0, 0, 0)), options=TargetOptions())

    assert targets["PTV"].mask[0, 0, 0]
    assert targets["PTV"].start == (0, 0, 0)


def test_skin_is_spared_by_the_planning_target_only():
    mask = np.zeros(GRID.shape, bool)
    mask[:, 10:, :] = True
    gross = voxel((12, 13, 24))
    options = TargetOptions(ctv_margin_mm=8, ptv_margin_mm=5, skin_margin_mm=5)

    targets = make_targets(body_of(mask), gross, options=options)

    first_row = {s.name: np.flatnonzero(s.mask.any(axis=(0, 2)))[0] for s in targets}
    # Row 9 is outside; 5 mm from its centre lie rows 10 and 11 (2 and 4 mm), not row 12 (6 mm).
    assert first_row == {"GTV": 13, "CTV": 10, "PTV": 12}


def test_body_cut_by_the_end_of_the_image_has_no_skin_there():
    targets = make_targets(
        body_of(np.ones(GRID.shape, bool)), voxel((0, 20, 24)), options=TargetOptions()
    )

    assert targets["PTV"].mask[0, 20, 24]


@pytest.mark.parametrize(
    ("body", "gross", "error", "words"),
    [
        (None, np.zeros(GRID.shape, bool), InputError, "is empty"),
        (np.arange(24) < 5, (20, 20, 24), InputError, "outside"),
        (np.arange(24) < 1, (0, 20, 24), InputError, "skin"),
    ],
    ids=["nothing drawn", "tumour outside the body", "tumour in the skin layer"],
)
def test_refuses(body, gross, error, words):
    drawn = Structure.of("L1", gross, GRID) if isinstance(gross, np.ndarray) else voxel(gross)
    outline = None
    if body is not None:
        outline = body_of(np.broadcast_to(body[:, None, None], GRID.shape))

    with pytest.raises(error, match=words):
        make_targets(outline, drawn, options=TargetOptions())


def test_refuses_a_body_on_another_grid():
    other = Grid(shape=GRID.shape, spacing_mm=(3.0, 2.0, 2.0))

    with pytest.raises(GeometryError, match="different grids"):
        make_targets(
            body_of(np.ones(other.shape, bool), other), voxel((5, 5, 5)), options=TargetOptions()
        )


def test_lungs_without_the_tumour():
    left, right, tumour = np.zeros((3, *GRID.shape), bool)
    left[:, :, 30:40], right[:, :, 5:15], tumour[10:12, 10:12, 38:42] = True, True, True
    parts = [Structure.of(n, m, GRID) for n, m in (("l", left), ("r", right), ("t", tumour))]

    lungs = with_lungs_minus_gtv(StructureSet(()), tuple(parts[:2]), (parts[2],))

    np.testing.assert_array_equal(lungs[LUNGS_MINUS_GTV].mask, (left | right) & ~tumour)

"""Lesions by rules and by a network are joined: each once, with the better border."""

import numpy as np
import pytest

from aegle.domain.grid import Grid
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.volume import Quantity, Volume
from aegle.recognition.tumours import LesionOptions, find_lesions

GRID = Grid(shape=(60, 60, 80), spacing_mm=(2.0, 2.0, 2.0))
LUNG = (slice(5, 55), slice(5, 55), slice(5, 60))


def _ball(centre, radius_mm):
    at = np.stack(np.meshgrid(*map(np.arange, GRID.shape), indexing="ij"), axis=-1)
    return np.linalg.norm((at - centre) * GRID.spacing_mm, axis=-1) <= radius_mm


@pytest.fixture
def scene():
    """A box of lung in soft tissue, and what is painted into it."""
    lung = np.zeros(GRID.shape, bool)
    lung[LUNG] = True
    return lung


def _find(lung, tumour, network, **options):
    """Search a lung at -850 HU with a tumour at 40 HU in tissue at 50 HU."""
    values = np.where(lung, np.float32(-850), np.float32(50))
    values[tumour] = 40
    ct = Volume(values=values, grid=GRID, quantity=Quantity.RADIODENSITY)
    organs = StructureSet((Structure.of("lung_left", lung, GRID),))
    return find_lesions(ct, organs, network, options=LesionOptions(**options))


def _dice(one, other):
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))


def test_what_both_see_is_reported_once_with_the_rules_border(scene):
    tumour = _ball((30, 30, 30), 10)

    by_rules = _find(scene, tumour, None)
    both = _find(scene, tumour, _ball((30, 30, 31), 11))

    assert len(by_rules) == len(both) == 1
    np.testing.assert_array_equal(both[0].mask, by_rules[0].mask)


def test_a_tumour_that_broadly_touches_the_wall_is_the_networks(scene):
    tumour = _ball((30, 30, 58), 24)

    assert _find(scene, tumour, None) == ()
    (lesion,) = _find(scene, tumour, tumour)
    assert _dice(lesion.mask, tumour) > 0.97


def test_the_networks_border_is_drawn_by_radiodensity_towards_the_lung(scene):
    tumour = _ball((30, 30, 58), 24)
    # The network sees it one voxel too large towards the lung.
    rough = _ball((30, 30, 58), 26)

    (lesion,) = _find(scene, tumour, rough)

    aerated = scene & ~tumour
    assert not (lesion.mask & aerated).any()
    assert _dice(lesion.mask, tumour) > 0.93


def test_soft_tissue_that_borders_on_no_lung_is_no_lesion_of_the_lungs(scene):
    assert _find(scene, np.zeros_like(scene), _ball((30, 30, 72), 9)) == ()


def test_aerated_lung_is_no_tumour_whatever_the_network_says(scene):
    assert _find(scene, np.zeros_like(scene), _ball((30, 30, 30), 12)) == ()


def test_bone_is_no_tumour(scene):
    values = np.where(scene, np.float32(-850), np.float32(600))
    ct = Volume(values=values, grid=GRID, quantity=Quantity.RADIODENSITY)
    organs = StructureSet((Structure.of("lung_left", scene, GRID),))

    assert find_lesions(ct, organs, _ball((30, 30, 60), 12), options=LesionOptions()) == ()


@pytest.mark.parametrize(("radius_mm", "found"), [(4.0, 0), (8.0, 1)])
def test_the_network_alone_finds_lesions_from_10_mm_on(scene, radius_mm, found):
    # Half in the wall, so that the rules do not find it.
    tumour = _ball((30, 30, 59), radius_mm)

    assert len(_find(scene, tumour, tumour, finder="network")) == found


def test_lesions_are_numbered_by_size(scene):
    small, large = _ball((15, 30, 25), 6), _ball((40, 30, 58), 20)

    lesions = _find(scene, small | large, large)

    assert [lesion.name for lesion in lesions] == ["lesion 1", "lesion 2"]
    assert lesions[0].volume_ml > lesions[1].volume_ml
    assert _dice(lesions[1].mask, small) > 0.9


def test_rules_and_network_can_each_be_asked_alone(scene):
    alone, attached = _ball((15, 30, 25), 8), _ball((40, 30, 58), 20)

    (by_rules,) = _find(scene, alone | attached, attached, finder="rules")
    (by_network,) = _find(scene, alone | attached, attached, finder="network")

    assert _dice(by_rules.mask, alone) > 0.9
    assert _dice(by_network.mask, attached) > 0.9

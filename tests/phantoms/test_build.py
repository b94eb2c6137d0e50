import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aegle.phantoms import mediastinum
from aegle.phantoms.breathing import Motion
from aegle.phantoms.build import MODEL, Build, BuiltMotion, Swelling, Wave
from aegle.phantoms.variation import draw_build, draw_visit

POINTS_MM = np.random.default_rng(0).uniform(-130, 130, (200, 3))


def test_the_model_build_moves_nothing():
    motion = Motion(diaphragm_mm=8, turn_deg=(1, 2, 3), shift_mm=(4, 5, 6))
    built = BuiltMotion(diaphragm_mm=8, turn_deg=(1, 2, 3), shift_mm=(4, 5, 6), build=MODEL)

    np.testing.assert_allclose(
        built.from_reference(POINTS_MM), motion.from_reference(POINTS_MM), atol=1e-9
    )


def test_a_larger_patient_has_the_model_anatomy_further_out_along_its_own_axes():
    built = BuiltMotion(build=Build(size=(1.1, 1.2, 0.5)))

    np.testing.assert_allclose(built.from_reference(np.array([10, 20, 30])), [11, 24, 15])
    np.testing.assert_allclose(built.to_reference(np.array([11, 24, 15])), [10, 20, 30])


def test_a_swollen_organ_lies_further_from_its_middle():
    heart = Swelling(centre_mm=(10, -20, -30), reach_mm=40, growth=0.2)
    built = BuiltMotion(build=Build(swellings=(heart,)))
    edge = np.array([10.0, -20.0, -10.0])

    assert built.from_reference(edge)[2] > -10 + 0.15 * 20
    np.testing.assert_allclose(built.from_reference(np.array([10, -20, -30])), [10, -20, -30])


def test_a_shifted_organ_moves_towards_the_shift():
    heart = Swelling(centre_mm=(0, 0, 0), reach_mm=60, growth=0, moved_mm=(0, 0, 5))
    built = BuiltMotion(build=Build(swellings=(heart,)))

    assert built.from_reference(np.zeros(3)) == pytest.approx([0, 0, 5], abs=0.05)


def test_a_wave_moves_by_its_height():
    wave = Wave(moved_mm=(3, 0, 0), turns_per_mm=(0, 0, np.pi / 100), phase=0)
    built = BuiltMotion(build=Build(waves=(wave,)))

    np.testing.assert_allclose(
        built.to_reference(np.array([[0, 0, 0], [0, 0, 50], [0, 0, 150]])),
        [[0, 0, 0], [3, 0, 50], [-3, 0, 150]],
        atol=1e-5,
    )


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(1, 10**6), visit=st.integers(0, 2))
def test_every_drawn_patient_can_be_mapped_to_the_model_and_back(seed, visit):
    motion = draw_visit(seed, visit, Motion(), draw_build(seed)).motion

    there = motion.from_reference(POINTS_MM)

    np.testing.assert_allclose(motion.to_reference(there), POINTS_MM, atol=1e-4)


def test_axes_of_a_grid_are_mapped_as_its_points():
    motion = draw_visit(5, 1, Motion(), draw_build(5)).motion
    x, y, z = np.array([-60.0, 20, 90]), np.array([-40.0, 50]), np.array([-100.0, 0, 30, 80])

    mapped = motion.reference_axes(x, y, z)

    grid = np.stack(np.meshgrid(z, y, x, indexing="ij")[::-1], axis=-1)
    np.testing.assert_allclose(np.stack(mapped, axis=-1), motion.to_reference(grid), atol=2e-3)


def test_the_gullet_is_shifted_at_its_own_heights():
    (model,) = mediastinum.oesophagus()
    (shifted,) = Build(gullet_mm=((5, 0), (0, 0), (0, -3)), gullet_width=1.5).gullet()

    np.testing.assert_allclose(shifted.points[0] - model.points[0], [5, 0, 0], atol=1e-9)
    np.testing.assert_allclose(shifted.points[-1] - model.points[-1], [0, -3, 0], atol=1e-9)
    np.testing.assert_allclose(shifted.radii, 1.5 * model.radii)


def test_air_in_the_gullet_lies_within_it():
    build = Build(gullet_air=(0.25, 0.75))
    (gullet,), (air,) = build.gullet(), build.gullet_lumen()

    assert set(map(tuple, air.points)) < set(map(tuple, gullet.points))
    assert air.radii.max() < 0.5 * gullet.radii.max()
    assert MODEL.gullet_lumen() == ()

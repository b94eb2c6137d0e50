"""What is kept of earlier patients, and the file that it is kept in."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from aegle.domain.codes import StructureType
from aegle.domain.errors import FileError, GeometryError, InputError, QuantityError
from aegle.domain.grid import Grid
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.volume import Quantity, Volume
from aegle.planning.experience import (
    MOST_VOXELS,
    VOLUMES_PERCENT,
    Library,
    Surroundings,
    curve_of,
    remember,
)
from aegle.planning.experience_file import load, save
from aegle.planning.geometry_features import PrescribedDose

GRID = Grid(shape=(8, 10, 12), spacing_mm=(3.0, 2.5, 2.5))
PRESCRIBED_GY = {"PTV70": 70.0, "PTV56": 56.0}


def structures(grid=GRID):
    slices, rows, columns = np.indices(grid.shape)
    return StructureSet(
        (
            Structure.of("body", np.ones(grid.shape, bool), grid, type=StructureType.EXTERNAL),
            Structure.of("GTV", columns < 2, grid, type=StructureType.LESION),
            Structure.of("PTV70", columns < 4, grid, type=StructureType.TARGET),
            Structure.of("PTV56", columns < 6, grid, type=StructureType.TARGET),
            Structure.of("SpinalCord", (columns > 8) & (rows > 5), grid),
            Structure.of("Larynx", slices < 0, grid),
        )
    )


def dose(grid=GRID, quantity=Quantity.ABSORBED_DOSE):
    values = 70.0 - 5.0 * np.indices(grid.shape)[2] + 0.1 * np.indices(grid.shape)[0]
    return Volume(values=values.astype(np.float32), grid=grid, quantity=quantity)


@pytest.fixture
def library():
    patients = [remember(name, structures(), dose(), PRESCRIBED_GY) for name in ("a", "b")]
    only = replace(patients[0], name="only", structures=patients[0].structures[2:])
    return Library((*patients, only))


def surrounded(name, level=None):
    return Surroundings(name=name, level=level, volume_ml=1.0, around=np.zeros((1, 7)))


def test_targets_and_organs_are_kept_with_doses_relative_to_the_highest():
    kept = remember("a", structures(), dose(), PRESCRIBED_GY)

    assert [s.name for s in kept.structures] == ["PTV70", "PTV56", "SpinalCord"]
    assert [s.level for s in kept.structures] == [1.0, pytest.approx(0.8), None]
    cord = kept.structures[2]
    assert len(cord.dose) == len(cord.around) == 8 * 4 * 3
    assert 70 * cord.curve[0] == pytest.approx(70 - 5 * 11)
    assert 70 * cord.curve[-1] == pytest.approx(70 - 5 * 9 + 0.7)
    assert len(kept.structures[0].dose) == 8 * 10 * 4
    assert len(kept.structures[1].dose) == MOST_VOXELS


def test_kept_doses_belong_to_the_kept_surroundings():
    chosen = StructureSet(tuple(s for s in structures() if s.name[:3] in ("PTV", "Spi")))
    voxels = np.argwhere(np.ones(GRID.shape, bool))
    around = PrescribedDose(chosen, PRESCRIBED_GY).around(voxels)[:, 1].reshape(GRID.shape)
    same = Volume(values=70 * around, grid=GRID, quantity=Quantity.ABSORBED_DOSE)

    kept = remember("a", structures(), same, PRESCRIBED_GY).structures[1]

    assert len(kept.dose) == MOST_VOXELS
    assert np.ptp(kept.dose) > 0.15
    np.testing.assert_allclose(kept.dose, kept.around[:, 1], rtol=1e-5)


@given(arrays(np.float32, st.integers(1, 90), elements=st.floats(0, 1.25, width=32)))
def test_curve_is_the_highest_dose_that_the_volume_receives(doses):
    found = curve_of(doses)

    for volume_percent, highest in zip(VOLUMES_PERCENT, found, strict=True):
        assert np.mean(doses >= highest) >= volume_percent / 100 - 1e-9
        above = np.mean(doses > highest)
        assert above == 0 if volume_percent == 0 else above < volume_percent / 100


@pytest.mark.parametrize(
    ("one", "other", "is_like"),
    [
        (surrounded("SpinalCord"), surrounded("Spinal-Cord"), True),
        (surrounded("SpinalCord"), surrounded("myelon"), True),
        (surrounded("Parotid_L"), surrounded("parotid l"), True),
        (surrounded("Parotid_L"), surrounded("Parotid_R"), False),
        (surrounded("PTV63", 0.9), surrounded("PTV_mid", 63 / 70), True),
        (surrounded("PTV", 54 / 70), surrounded("PTV", 56 / 70), True),
        (surrounded("PTV", 56 / 70), surrounded("PTV", 63 / 70), False),
        (surrounded("PTV", 1.0), surrounded("PTV"), False),
    ],
)
def test_organs_are_told_by_name_and_targets_by_their_dose(one, other, is_like):
    assert one.is_like(other) is is_like
    assert other.is_like(one) is is_like


def test_library_gives_the_closest_target_and_can_leave_one_out(library):
    found = library.like(surrounded("high", 0.97))

    assert [(name, s.name) for name, s in found] == [("a", "PTV70"), ("b", "PTV70")]
    assert [name for name, _ in library.without("b").like(surrounded("cord"))] == ["a", "only"]


def test_one_patient_counts_once(library):
    with pytest.raises(InputError, match="named twice: a"):
        Library((*library.patients, library.patients[0]))


def test_file_gives_the_same_library_back(library, tmp_path):
    save(library, tmp_path / "first.npz")
    back = load(tmp_path / "first.npz")
    save(back, tmp_path / "second.npz")

    assert (tmp_path / "first.npz").read_bytes() == (tmp_path / "second.npz").read_bytes()
    assert [p.name for p in back] == ["a", "b", "only"]
    for one, other in zip(library, back, strict=True):
        assert one.prescribed_gy == other.prescribed_gy
        for kept, read in zip(one.structures, other.structures, strict=True):
            assert (kept.name, kept.level, kept.volume_ml) == (
                read.name,
                read.level,
                read.volume_ml,
            )
            for array in ("around", "dose", "curve"):
                np.testing.assert_array_equal(getattr(kept, array), getattr(read, array))


def changed(file, **arrays_or_facts):
    """Write a library file again with some of its arrays replaced."""
    with np.load(file) as found:
        arrays = {name: found[name] for name in found.files}
    if "facts" in arrays_or_facts:
        facts = {**json.loads(arrays["facts"].tobytes()), **arrays_or_facts.pop("facts")}
        arrays["facts"] = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    np.savez(file, **{**arrays, **arrays_or_facts}, allow_pickle=True)


FACTS_OF_NONE = {"name": "a", "prescribed_gy": 70.0, "structures": []}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"facts": {"format": 2}}, "another format"),
        ({"facts": {"around_mm": [1.0]}}, "other widths"),
        ({"facts": {"patients": "all"}}, "contradicts itself"),
        ({"facts": {"patients": []}}, "contradicts itself"),
        ({"facts": {"patients": [FACTS_OF_NONE]}}, "contradicts itself"),
        ({"dose": np.zeros(3, np.float32)}, "'dose'"),
        ({"curves": np.full((7, len(VOLUMES_PERCENT)), np.nan, np.float32)}, "'curves'"),
        ({"around": np.array([{}], dtype=object)}, "not a library"),
    ],
)
def test_a_changed_file_is_refused(library, tmp_path, change, says):
    file = tmp_path / "library.npz"
    save(library, file)
    changed(file, **change)

    with pytest.raises(FileError, match=says):
        load(file)


def test_a_damaged_file_is_refused(library, tmp_path):
    file = tmp_path / "library.npz"
    save(library, file)
    whole = file.read_bytes()
    chance = np.random.default_rng(1)
    for kept in (0, 3, 100, len(whole) // 2, len(whole) - 10):
        file.write_bytes(whole[:kept])
        with pytest.raises(FileError, match="library"):
            load(file)
    for place in chance.integers(0, len(whole), 60):
        spoilt = bytearray(whole)
        spoilt[place] ^= 0xFF
        file.write_bytes(spoilt)
        # A flipped bit is noticed, or lies where it changes nothing.
        try:
            assert len(load(file)) == len(library)
        except FileError:
            continue


@pytest.mark.parametrize("content", [pickle.dumps({"a": 1}), b"text", b"\x93NUMPY"])
def test_other_files_are_refused(tmp_path, content):
    file = tmp_path / "library.npz"
    file.write_bytes(content)

    with pytest.raises(FileError, match=r"library\.npz"):
        load(file)
    with pytest.raises(FileError, match="missing"):
        load(tmp_path / "missing.npz")


def test_nothing_to_keep_is_refused(tmp_path):
    with pytest.raises(InputError, match="no experience"):
        save(Library(()), tmp_path / "library.npz")


def test_refuses_a_dose_that_cannot_be_used():
    other = Grid(shape=GRID.shape, spacing_mm=(3.0, 2.5, 2.6))
    holes = np.where(np.indices(GRID.shape)[2] == 9, np.nan, 50).astype(np.float32)
    broken = Volume(values=holes, grid=GRID, quantity=Quantity.ABSORBED_DOSE)

    with pytest.raises(GeometryError, match="different grids"):
        remember("a", structures(), dose(other), PRESCRIBED_GY)
    with pytest.raises(QuantityError, match="radiodensity"):
        remember("a", structures(), dose(quantity=Quantity.RADIODENSITY), PRESCRIBED_GY)
    with pytest.raises(InputError, match="'SpinalCord' is not a number"):
        remember("a", structures(), broken, PRESCRIBED_GY)
    with pytest.raises(InputError, match="'PTV63'"):
        remember("a", structures(), dose(), {"PTV63": 63.0})

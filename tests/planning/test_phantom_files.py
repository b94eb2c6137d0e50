"""Phantoms of matRad and .npz phantoms: every voxel where matRad puts it."""

import numpy as np
import pytest
from scipy.io import savemat

from aegle.domain.codes import StructureType
from aegle.domain.errors import FileError, GeometryError
from aegle.domain.plan import Goal, Metric
from aegle.planning.phantom_files import is_phantom, read

# Rows (y), columns (x) and slices (z), none of them equal, with voxels of three sizes.
SIZE = (3, 4, 5)
SIDES_MM = {"x": 1.5, "y": 2.0, "z": 3.0}


def linear(row, column, slice_):
    """Return MATLAB's index of a voxel: column after column, counted from 1."""
    rows, columns, _ = SIZE
    return 1 + row + rows * (column + columns * slice_)


def objective(name, *parameters, penalty=100.0):
    cell = np.empty(len(parameters), dtype=object)
    cell[:] = parameters
    kind = "Objectives" if not name.startswith("MinMax") else "Constraints"
    full = f"Dose{kind}.matRad_{name}"
    return {"className": full, "parameters": cell, "penalty": penalty}


def cst(*rows):
    table = np.empty((len(rows), 6), dtype=object)
    for number, (name, kind, voxels, objectives) in enumerate(rows):
        cell = np.empty(1, dtype=object)
        cell[0] = np.array(voxels, dtype=np.float64).reshape(-1, 1)
        given = np.empty(len(objectives), dtype=object)
        given[:] = objectives
        table[number] = [number, name, kind, cell, {"Priority": 1}, given]
    return table


EVERYTHING = [linear(y, x, z) for z in range(5) for x in range(4) for y in range(3)]
TARGET = [linear(2, 1, 3), linear(2, 2, 3)]
ROWS = (
    ("BODY", "OAR", EVERYTHING, [objective("SquaredOverdosing", 30.0)]),
    ("Target", "TARGET", TARGET, [objective("SquaredDeviation", 60.0)]),
)


@pytest.fixture
def mat(tmp_path):
    def write(rows=ROWS, **changes):
        hu = np.arange(60.0).reshape(SIZE, order="F")
        cubes = np.empty(1, dtype=object)
        cubes[0] = hu
        ct = {"cubeHU": cubes, "cubeDim": np.array(SIZE), "resolution": SIDES_MM, **changes}
        path = tmp_path / "phantom.mat"
        ct = {name: value for name, value in ct.items() if value is not None}
        savemat(path, {"ct": ct, "cst": cst(*rows)})
        return path

    return write


def test_values_and_structures_lie_where_matlab_counts_them(mat):
    found = read(mat())

    grid = found.ct.grid
    assert (grid.shape, grid.spacing_mm) == ((5, 3, 4), (3.0, 2.0, 1.5))
    # matRad's own axes begin at minus half the size of the cube.
    assert grid.origin_mm == (-3.0, -3.0, -7.5)
    assert found.ct.values[3, 2, 1] == linear(2, 1, 3) - 1
    target = found.structures["Target"]
    assert np.argwhere(target.mask).tolist() == [[3, 2, 1], [3, 2, 2]]
    assert found.structures["BODY"].mask.all()
    assert target.type is StructureType.TARGET
    assert found.structures["BODY"].type is StructureType.EXTERNAL


def test_stored_coordinates_are_believed(mat):
    places = {axis: 10.0 + np.arange(n) for axis, n in zip("xyz", (4, 3, 5), strict=True)}

    assert read(mat(**places)).ct.grid.origin_mm == (10.0, 10.0, 10.0)


def test_the_corner_of_the_dicom_header_comes_next(mat):
    corner = {"ImagePositionPatient": np.array([-7.0, -8.0, -9.0])}

    assert read(mat(dicomInfo=corner)).ct.grid.origin_mm == (-7.0, -8.0, -9.0)


def test_the_squared_deviation_of_a_target_is_its_dose(mat):
    found = read(mat())

    assert (found.target, found.dose_gy) == ("Target", 60.0)
    assert found.goals == ()
    # The outline holds the target, so its objective is none that a plan could meet.
    assert "SquaredOverdosing of BODY" in str(found.notices[0])


# Order of parameters as in matRad's classes, doses over all fractions.
@pytest.mark.parametrize(
    ("given", "metric", "at", "least", "most", "must"),
    [
        (("MeanDose", 20.0), Metric.MEAN_DOSE, None, None, 20.0, False),
        (("SquaredOverdosing", 40.0), Metric.MAXIMUM_DOSE, None, None, 40.0, False),
        (("MaxDVH", 30.0, 20.0), Metric.VOLUME_AT_DOSE, 30.0, None, 20.0, False),
        (("MinDVH", 57.0, 95.0), Metric.VOLUME_AT_DOSE, 57.0, 95.0, None, False),
        (("EUD", 25.0, 3.5), Metric.EQUIVALENT_UNIFORM_DOSE, 3.5, None, 25.0, False),
        (("MinMaxDose", 0.0, 50.0, 1.0), Metric.MAXIMUM_DOSE, None, None, 50.0, True),
        (("MinMaxMeanDose", 0.0, 26.0), Metric.MEAN_DOSE, None, None, 26.0, True),
        (("MinMaxEUD", 5.0, 0.0, 30.0), Metric.EQUIVALENT_UNIFORM_DOSE, 5.0, None, 30.0, True),
        (("MinMaxDVH", 20.0, 0.0, 30.0), Metric.VOLUME_AT_DOSE, 20.0, None, 30.0, True),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_objectives_with_a_limit_become_goals(mat, given, metric, at, least, most, must):
    (goal,) = read(mat((*ROWS, ("Cord", "OAR", TARGET, [objective(*given)])))).goals

    assert goal == Goal(
        structure="Cord",
        metric=metric,
        at=at,
        at_least=least,
        at_most=most,
        priority=3 if given[0] == "SquaredOverdosing" else 2,
        source=f"matRad: {given[0]}",
        is_constraint=must,
    )


def test_limits_on_both_sides_are_two_goals(mat):
    both = ("Boost", "TARGET", TARGET, [objective("MinMaxDose", 57.0, 66.0, 1.0)])

    lower, upper = read(mat((*ROWS, both))).goals

    assert (lower.metric, lower.at, lower.at_least) == (Metric.DOSE_AT_VOLUME, 100.0, 57.0)
    assert (upper.metric, upper.at_most) == (Metric.MAXIMUM_DOSE, 66.0)


def test_objectives_of_another_kind_are_said(mat):
    other = ("Cord", "OAR", TARGET, [objective("Fluff", 1.0), objective("MaxDVH", 1.0)])

    found = read(mat((*ROWS, other)))

    said = " ".join(map(str, found.notices))
    assert found.goals == ()
    assert "Fluff of Cord" in said
    assert "MaxDVH of Cord" in said


def test_one_slice_and_a_plain_cube_are_read(mat):
    rows = (("BODY", "OAR", [1, 2], []), ("T", "TARGET", [2], []))

    found = read(mat(rows, cubeHU=np.arange(12.0).reshape(3, 4), cubeDim=np.array([3, 4])))

    assert found.ct.grid.shape == (1, 3, 4)
    assert found.ct.values[0, 1, 2] == 6


def test_a_structure_outside_the_cube_is_refused(mat):
    with pytest.raises(GeometryError, match="'T' names voxel 61 of a CT with 60"):
        read(mat((*ROWS, ("T", "TARGET", [61], []))))


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"cubeHU": None}, FileError, "no cubeHU"),
        ({"cubeDim": np.array([3, 4, 6])}, GeometryError, "cubeDim says"),
        ({"resolution": {"x": 1.0}}, GeometryError, "resolution cannot be used"),
        ({"resolution": {"x": 1.0, "y": 0.0, "z": 1.0}}, GeometryError, "positive"),
        ({"cubeHU": np.full(SIZE, np.nan)}, FileError, "no numbers"),
    ],
)
def test_a_ct_that_cannot_be_used_is_refused(mat, changes, error, said):
    with pytest.raises(error, match=said) as caught:
        read(mat(**changes))

    assert "phantom.mat" in str(caught.value)


def test_other_mat_files_are_told_apart(tmp_path):
    savemat(tmp_path / "machine.mat", {"machine": 1})
    (tmp_path / "newer.mat").write_bytes(b"MATLAB 7.3 MAT-file, Platform: GLNXA64" + bytes(500))
    (tmp_path / "cut.mat").write_bytes((tmp_path / "machine.mat").read_bytes()[:150])

    with pytest.raises(FileError, match="no ct and cst"):
        read(tmp_path / "machine.mat")
    with pytest.raises(FileError, match=r"version 7\.3.*'-v7'"):
        read(tmp_path / "newer.mat")
    with pytest.raises(FileError, match=r"cut\.mat: it cannot be read"):
        read(tmp_path / "cut.mat")
    with pytest.raises(FileError, match="no such file"):
        read(tmp_path / "none.mat")


@pytest.fixture
def npz(tmp_path):
    def write(**changes):
        content = {
            "hu": np.arange(60, dtype=np.int16).reshape(5, 3, 4),
            "spacing_xyz": np.array([1.5, 2.0, 3.0]),
            "origin_xyz": np.array([-1.0, -2.0, -3.0]),
            "mask_BODY": np.ones((5, 3, 4), bool),
            **changes,
        }
        path = tmp_path / "phantom.npz"
        np.savez(path, **{name: value for name, value in content.items() if value is not None})
        return path

    return write


def test_an_npz_phantom_is_read(npz):
    found = read(npz(hlut=np.array([[-1000.0, 0.0], [0.0, 1.0], [1000.0, 1.6]])))

    assert is_phantom(npz())
    grid = found.ct.grid
    assert (grid.spacing_mm, grid.origin_mm) == ((3.0, 2.0, 1.5), (-1.0, -2.0, -3.0))
    assert found.ct.values[3, 2, 1] == 3 * 12 + 2 * 4 + 1
    assert found.structures["BODY"].type is StructureType.EXTERNAL
    assert found.densities is not None
    assert found.densities.density == (0.0, 1.0, 1.6)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"hu": None}, "lacks hu"),
        ({"mask_BODY": None}, "lacks any structure"),
        ({"spacing_xyz": np.ones(2)}, "spacing_xyz"),
        ({"spacing_xyz": np.zeros(3)}, "positive shape and spacing"),
        ({"mask_T": np.ones((5, 3, 5), bool)}, "mask 'T' has shape"),
        ({"hu": np.zeros((0, 3, 4))}, "positive shape"),
        ({"hu": np.full((5, 3, 4), np.inf)}, "no numbers"),
        ({"hlut": np.ones(4)}, "hlut has shape"),
        ({"hlut": np.array([[0.0, -1000.0], [1.0, 0.0]])}, "hlut cannot be used"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_an_npz_that_cannot_be_used_is_refused(npz, changes, said):
    with pytest.raises((FileError, GeometryError), match=said) as caught:
        read(npz(**changes))

    assert "phantom.npz" in str(caught.value)


def test_what_is_no_npz_is_refused(tmp_path):
    (tmp_path / "x.npz").write_bytes(b"PK\x03\x04 cut off")

    with pytest.raises(FileError, match=r"x\.npz: it cannot be read"):
        read(tmp_path / "x.npz")


@pytest.mark.parametrize(
    ("parts", "target", "dose_gy"),
    [
        (("phantoms", "BOXPHANTOM.mat"), "OuterTarget", 60.0),
        (("matrad_tests", "photons_testData.mat"), "Target", 45.0),
    ],
)
def test_phantoms_of_matrad_are_water_inside_and_air_outside(shared_data, parts, target, dose_gy):
    found = read(shared_data("rt", *parts))

    assert (found.target, found.dose_gy) == (target, dose_gy)
    (body,) = found.structures.of_type(StructureType.EXTERNAL)
    inside = body.mask | found.structures[target].mask
    assert np.all(found.ct.values[inside] == 0)
    assert np.all(found.ct.values[~inside] < -900)


def test_the_c_shape_has_the_published_counts(shared_data):
    found = read(shared_data("rt", "reference", "tg119_ct_structures.npz"))

    counts = {s.name: int(np.count_nonzero(s.box)) for s in found.structures}
    assert counts == {"Core": 1320, "OuterTarget": 7458, "BODY": 601736}


def test_a_single_array_is_no_phantom(tmp_path):
    with (tmp_path / "x.npz").open("wb") as file:
        np.save(file, np.zeros(3))

    with pytest.raises(FileError, match=r"x\.npz: it cannot be read"):
        read(tmp_path / "x.npz")

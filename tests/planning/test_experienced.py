"""A library of earlier patients adds goals for organs, and the plan says so."""

import numpy as np
import pytest

from aegle.domain.codes import StructureType
from aegle.domain.errors import FileError
from aegle.domain.grid import Grid
from aegle.domain.plan import Goal, Metric, Prescription
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.volume import Quantity, Volume
from aegle.planning.experience import Library, remember
from aegle.planning.experience_file import save
from aegle.planning.experienced import ExperienceOptions, experienced

GRID = Grid(shape=(40, 40, 40), spacing_mm=(3.0, 3.0, 3.0))
COVERAGE = Goal(structure="PTV", metric=Metric.DOSE_AT_VOLUME, at=95.0, at_least=60.0)
ASKED = Prescription(target="PTV", dose_gy=60.0, fractions=30, goals=(COVERAGE,))


@pytest.fixture(scope="module")
def structures():
    distance = np.linalg.norm(np.indices(GRID.shape) - 20, axis=0)
    return StructureSet(
        (
            Structure.of("PTV", distance < 5, GRID, type=StructureType.TARGET),
            Structure.of("SpinalCord", (distance > 7) & (distance < 9), GRID),
        )
    )


@pytest.fixture(scope="module")
def library(structures, tmp_path_factory):
    """Three patients whose cord got 20 Gy everywhere."""
    doses = np.full(GRID.shape, 60.0, np.float32)
    doses[structures["SpinalCord"].mask] = 20.0
    dose = Volume(values=doses, grid=GRID, quantity=Quantity.ABSORBED_DOSE)
    earlier = [remember(name, structures, dose, {"PTV": 60.0}) for name in "abc"]
    path = tmp_path_factory.mktemp("library") / "earlier.npz"
    save(Library(tuple(earlier)), path)
    return path


def test_organs_get_what_earlier_patients_had_and_the_target_stays(structures, library):
    found, said = experienced(ASKED, structures, options=ExperienceOptions(library=str(library)))

    assert found.goals[0] == COVERAGE
    added = found.goals[1:]
    assert {goal.structure for goal in added} == {"SpinalCord"}
    assert Metric.MEAN_DOSE in {goal.metric for goal in added}
    assert [goal.at_most for goal in added] == pytest.approx([20.0] * len(added), abs=0.1)
    assert all("3 earlier patients" in goal.source for goal in added)
    assert f"{len(added)} goals come from 3 earlier patients (earlier.npz)" in str(said[0])


def test_without_a_library_nothing_changes(structures):
    assert experienced(ASKED, structures, options=ExperienceOptions()) == (ASKED, ())


def test_a_library_that_is_not_there_is_refused(structures, tmp_path):
    options = ExperienceOptions(library=str(tmp_path / "none.npz"))

    with pytest.raises(FileError, match=r"none\.npz"):
        experienced(ASKED, structures, options=options)

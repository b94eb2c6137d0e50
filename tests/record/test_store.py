"""What is kept comes back the same, and the same result gives the same bytes."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pytest

from aegle.domain.case import AllSuggestions, Examinations, Planning
from aegle.domain.codes import StructureType
from aegle.domain.errors import FileError
from aegle.domain.finding import Suggestion
from aegle.domain.grid import Grid
from aegle.domain.plan import Beam, ProtonBeam
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.study import Examination, Image, Patient, SeriesReference
from aegle.domain.text import Text
from aegle.domain.volume import Quantity, Volume
from aegle.record import store

GRID = Grid(shape=(3, 4, 5), spacing_mm=(2.5, 0.1 + 0.2, 1.0), origin_mm=(-1 / 3, 2.0, 3.0))


@pytest.fixture
def examinations():
    random = np.random.default_rng(3)
    mask = random.random(GRID.shape) > 0.5
    lesion = Structure.of("GTV", mask, GRID, type=StructureType.LESION, origin="SEG")
    series = SeriesReference(
        study_uid="1.2",
        series_uid="1.2.3",
        frame_of_reference_uid="1.2.4",
        modality="CT",
        sop_class_uid="1.2.5",
        sop_instance_uids=("1.1", "1.2", "1.3"),
        study_date=datetime(2025, 1, 14, 9, 30),
    )
    image = Image(
        name="CT",
        volume=Volume(
            values=random.normal(size=GRID.shape), grid=GRID, quantity=Quantity.RADIODENSITY
        ),
        series=series,
        structures=StructureSet((lesion,)),
    )
    visit = Examination(
        patient=Patient(id="p", name="Ä^患者"),
        study_uid="1.2",
        time=None,
        images=(image,),
        notices=(Text("{n} files set aside", {"n": 2}),),
    )
    return Examinations(visit.patient, (visit,))


def test_images_structures_and_words_come_back(examinations, tmp_path):
    store.write(examinations, tmp_path)

    (visit,) = store.read(Examinations, tmp_path).visits

    (image,), (was,) = visit.images, examinations.visits[0].images
    np.testing.assert_array_equal(image.volume.values, was.volume.values)
    np.testing.assert_array_equal(image.structures["GTV"].mask, was.structures["GTV"].mask)
    assert image.structures["GTV"].type is StructureType.LESION
    assert image.volume.grid == GRID
    assert image.volume.quantity is Quantity.RADIODENSITY
    assert image.series == was.series
    assert visit.patient.name == "Ä^患者"
    assert str(visit.notices[0]) == "2 files set aside"
    assert visit.time is None


def test_same_result_gives_the_same_bytes_again_after_reading(examinations, tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()

    digest = store.write(examinations, first)
    again = store.write(store.read(Examinations, first), second)

    assert digest == again
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes()


def test_digest_sees_a_single_changed_voxel(examinations, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    digest = store.write(examinations, tmp_path / "a")
    values = examinations.visits[0].images[0].volume.values.copy()
    values[0, 0, 0] += 1
    image = Image(
        name="CT",
        volume=Volume(values=values, grid=GRID, quantity=Quantity.RADIODENSITY),
        series=examinations.visits[0].images[0].series,
        structures=examinations.visits[0].images[0].structures,
    )
    was = examinations.visits[0]
    changed = Examination(
        patient=was.patient, study_uid="1.2", time=None, images=(image,), notices=was.notices
    )

    other = store.write(Examinations(was.patient, (changed,)), tmp_path / "b")

    assert other != digest


@pytest.mark.parametrize(
    "result",
    [
        Planning(plan=None, reason=Text("no CT")),
        Planning(plan=None, reason=Text("{n} {why}", {"n": 2, "why": Text("no {x}", {"x": "CT"})})),
        AllSuggestions(
            (
                (
                    Suggestion(
                        rule="r", applies=True, category="4B", subject="L1", reason=Text("big")
                    ),
                ),
                (),
            )
        ),
    ],
    ids=["nothing planned", "a sentence in a sentence", "suggestions of two visits"],
)
def test_small_results_come_back_equal(result, tmp_path):
    store.write(result, tmp_path)

    back = store.read(type(result), tmp_path)

    assert repr(back) == repr(result)


def test_damaged_store_says_what_to_do(tmp_path):
    (tmp_path / "result.json").write_text('{"plan": ')

    with pytest.raises(FileError, match=r"not a stored Planning.*Delete the folder"):
        store.read(Planning, tmp_path)


def test_a_beam_of_protons_comes_back_as_one(tmp_path):
    spots = ProtonBeam(
        gantry_deg=90.0,
        couch_deg=0.0,
        isocentre_mm=(1.0, 2.0, 3.0),
        beamlet_mm=5.0,
        positions_mm=np.zeros((2, 2)),
        weights=np.ones(2),
        energies_mev=np.array([100.0, 120.0]),
        sad_mm=10_000.0,
        nozzle_to_axis_mm=420.0,
    )
    store.write(Held((spots,)), tmp_path)

    (back,) = store.read(Held, tmp_path).beams

    assert type(back) is ProtonBeam
    assert back.energies_mev.tolist() == [100, 120]


@dataclass(frozen=True)
class Held:
    """A field whose type has kinds of its own."""

    beams: tuple[Beam, ...]

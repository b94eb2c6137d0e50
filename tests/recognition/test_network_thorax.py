"""What a network says of a chest CT is taken over where it is plausible, on any grid."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aegle.domain.errors import InputError, OptionError
from aegle.domain.grid import Grid
from aegle.domain.volume import Quantity, Volume
from aegle.learning.dense import inference
from aegle.phantoms.thorax import ThoraxOptions, make_visit
from aegle.recognition import network_thorax
from aegle.recognition.network_thorax import OrganOptions, delineate, model_path
from aegle.recognition.thorax_ct import ClassicalOptions, segment

NAMES = ("lungs", "heart", "spinal_cord", "oesophagus", "tumour")


class _Model:
    """A stand-in for a loaded model."""

    class facts:  # noqa: N801
        classes = NAMES


@pytest.fixture(scope="module")
def made():
    return make_visit(0, options=ThoraxOptions(seed=4, shape=(60, 96, 96), varied=True))


@pytest.fixture(scope="module")
def classical(made):
    return segment(made.ct, options=ClassicalOptions())


@pytest.fixture(scope="module")
def truth(made):
    labels = np.zeros(made.ct.grid.shape, np.uint8)
    for name in ("lung_right", "lung_left"):
        labels[made.structures[name].mask] = 1
    for number, name in enumerate(NAMES[1:], start=2):
        labels[made.structures[name].mask] = number
    return labels


@pytest.fixture
def oracle(monkeypatch, classical):
    """Let the network say what it is told to; organs by radiodensity are found once."""

    def says(labels):
        monkeypatch.setattr(network_thorax, "model_path", lambda name: Path(name))
        monkeypatch.setattr(network_thorax, "_model", lambda path: _Model)
        monkeypatch.setattr(network_thorax, "segment", lambda ct, options: classical)
        monkeypatch.setattr(network_thorax, "_labels", lambda *given: (labels, NAMES))

    return says


def _said(found):
    return " ".join(str(notice) for notice in found.notices)


def _dice(one, other):
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))


def test_heart_oesophagus_and_cord_are_the_networks_and_lungs_stay(made, truth, classical, oracle):
    oracle(truth)

    found = delineate(made.ct, options=OrganOptions(method="network"))

    assert _dice(found.organs["heart"].mask, truth == 2) == 1
    assert _dice(found.organs["oesophagus"].mask, truth == 4) == 1
    assert _dice(found.organs["spinal_cord"].mask, truth == 3) > 0.95
    assert not found.is_canal
    np.testing.assert_array_equal(found.tumours, truth == 5)
    for name in ("body", "lung_right", "lung_left", "airways", "bone"):
        assert found.organs[name] is classical[name]


def test_a_network_that_misses_a_lung_is_not_believed(made, truth, classical, oracle):
    one_lung = np.where(made.structures["lung_left"].mask, 0, truth)
    oracle(one_lung)

    found = delineate(made.ct, options=OrganOptions(method="network"))

    assert found.organs is classical
    assert found.tumours is None
    assert "lungs agree" in _said(found)


def test_a_heart_of_a_few_millilitres_is_not_shown(made, truth, oracle):
    shrunk = truth.copy()
    shrunk[truth == 2] = 0
    shrunk[30, 48, 48] = 2
    oracle(shrunk)

    found = delineate(made.ct, options=OrganOptions(method="network"))

    assert "heart" not in found.organs
    assert "heart is not shown" in _said(found)


def test_stray_parts_of_the_heart_are_left_out(made, truth, oracle):
    strewn = truth.copy()
    strewn[0:2, 0:2, 0:2] = 2
    oracle(strewn)

    heart = delineate(made.ct, options=OrganOptions(method="network")).organs["heart"]

    assert not heart.mask[0, 0, 0]


def test_a_cord_beside_the_canal_leaves_the_canal(made, truth, classical, oracle):
    beside = truth.copy()
    beside[truth == 3] = 0
    beside[np.roll(truth == 3, 10, axis=2)] = 3
    oracle(beside)

    found = delineate(made.ct, options=OrganOptions(method="network"))

    assert found.organs["spinal_cord"] is classical["spinal_cord"]
    assert found.is_canal


def test_the_canal_stands_for_the_cord_where_the_network_sees_none(made, truth, classical, oracle):
    broken = truth.copy()
    broken[20:30][truth[20:30] == 3] = 0
    oracle(broken)

    cord = delineate(made.ct, options=OrganOptions(method="network")).organs["spinal_cord"].mask

    np.testing.assert_array_equal(cord[20:30], classical["spinal_cord"].mask[20:30])
    np.testing.assert_array_equal(cord[31:40], truth[31:40] == 3)


def test_what_the_network_cannot_do_is_said(made, classical, oracle, monkeypatch):
    def fails(*given):
        raise InputError("There is no memory for it.")

    oracle(None)
    monkeypatch.setattr(network_thorax, "_labels", fails)

    found = delineate(made.ct, options=OrganOptions(method="network"))

    assert found.organs is classical
    assert "not used: There is no memory for it." in _said(found)


def test_without_the_shipped_model_the_organs_are_classical_and_it_is_said(
    made, classical, oracle, monkeypatch
):
    oracle(None)
    monkeypatch.setattr(network_thorax, "model_path", lambda name: None)

    found = delineate(made.ct, options=OrganOptions(method="network"))

    assert found.organs is classical
    assert "thorax-ct is not installed" in _said(found)


def test_classical_asks_no_network(made, classical, oracle):
    oracle(None)

    found = delineate(made.ct, options=OrganOptions(method="classical"))

    assert found.organs is classical
    assert found.notices == ()


def test_a_model_that_is_not_there_is_an_error():
    with pytest.raises(OptionError, match="No model 'elsewhere'"):
        model_path("elsewhere")


def test_half_a_chest_is_not_given_to_the_network(made, oracle, monkeypatch):
    low = Volume(
        values=made.ct.values[:14],
        grid=replace(made.ct.grid, shape=(14, 96, 96)),
        quantity=Quantity.RADIODENSITY,
    )
    organs = segment(low, options=ClassicalOptions())
    oracle(None)
    monkeypatch.setattr(network_thorax, "segment", lambda ct, options: organs)

    said = _said(delineate(low, options=OrganOptions(method="network")))

    assert "field of view" in said


def test_voxels_of_8_mm_are_not_given_to_the_network(made, oracle, monkeypatch):
    grid = replace(made.ct.grid, spacing_mm=(8.0, 4.0, 4.0))
    coarse = Volume(values=made.ct.values, grid=grid, quantity=Quantity.RADIODENSITY)
    oracle(None)

    assert "voxels are too large" in _said(
        delineate(coarse, options=OrganOptions(method="network"))
    )


def _sagittal(ct):
    """The same image with slices to the patient's right, rows to the feet, columns forward."""
    grid = ct.grid
    last = grid.to_patient(np.subtract(grid.shape, 1))
    turned = Grid(
        shape=(grid.shape[2], grid.shape[0], grid.shape[1]),
        spacing_mm=(grid.spacing_mm[2], grid.spacing_mm[0], grid.spacing_mm[1]),
        origin_mm=tuple(last.tolist()),
        axes=((-1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, -1.0, 0.0)),
    )
    values = np.ascontiguousarray(ct.values[::-1, ::-1, ::-1].transpose(2, 0, 1))
    return Volume(values=values, grid=turned, quantity=ct.quantity)


def test_the_network_sees_the_patient_upright_and_its_answer_lies_in_place(
    made, truth, classical, monkeypatch
):
    """The network is asked of a sagittal image; it answers by place, as if it knew the truth."""
    turned = _sagittal(made.ct)
    seen = []

    def answers(model, image, *, options):
        seen.append(image)
        index = np.stack(np.meshgrid(*map(np.arange, image.grid.shape), indexing="ij"), axis=-1)
        at = np.rint(made.ct.grid.to_indices(image.grid.to_patient(index.astype(float))))
        return truth[tuple(at.astype(int).transpose(3, 0, 1, 2))]

    monkeypatch.setattr(inference, "outline", answers)
    organs = segment(turned, options=ClassicalOptions())

    labels, names = network_thorax._labels(turned, organs, _Model)

    assert names == NAMES
    (image,) = seen
    np.testing.assert_allclose(image.grid.axes, [[0, 0, 1], [0, 1, 0], [1, 0, 0]])
    first = np.rint(made.ct.grid.to_indices(np.asarray(image.grid.origin_mm))).astype(int)
    assert image.values[0, 0, 0, 0] == made.ct.values[tuple(first)]
    expected = truth[::-1, ::-1, ::-1].transpose(2, 0, 1)
    for number in (1, 2, 4):
        np.testing.assert_array_equal(labels == number, (expected == number) & (labels > 0))
        assert np.count_nonzero(labels == number) > 0.9 * np.count_nonzero(expected == number)


def test_a_model_of_other_classes_is_refused(made, classical):
    class Other:
        class facts:  # noqa: N801
            name = "brains 1"
            classes = ("lungs", "heart", "tumour")

    with pytest.raises(InputError, match="'brains 1' does not tell oesophagus, spinal_cord"):
        network_thorax._labels(made.ct, classical, Other)

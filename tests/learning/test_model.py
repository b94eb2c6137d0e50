"""A model file holds all that is needed, and nothing else is taken for one."""

import errno
import hashlib
import json
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from aegle import catalogue
from aegle.domain.errors import FileError, InputError
from aegle.learning.model import Model, ModelFacts, load, save
from aegle.learning.preparation import PreparationOptions, prepare

FACTS = ModelFacts(
    name="test 1",
    task="classify",
    network="small-cnn",
    network_settings={"classes": 3, "width": 8},
    classes=("a", "b", "c"),
    preparation=PreparationOptions(size=28, crop="foreground", equalise=0.25),
    mean=(0.4,),
    deviation=(0.2,),
    temperature=1.5,
    modalities=("DX", "CR"),
    licence="CC BY 4.0",
    trained_on=("A set (Somebody 2020)",),
    measured={"auc": {"value": np.float64(0.9), "low": 0.85}, "count": np.int64(7)},
    extras={"limit": 2.5},
)


def made(facts=FACTS, seed=0):
    torch.manual_seed(seed)
    network = catalogue.load("network", facts.network)(**facts.network_settings)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    return Model(facts=facts, network=network)


@pytest.fixture(scope="module")
def model():
    return made()


@pytest.fixture
def file(model, tmp_path):
    return save(model, tmp_path / "m.safetensors")


def values(count=5, channels=1, size=28, seed=0):
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (count, channels, size, size), dtype=np.uint8)


def test_read_model_is_the_written_one(model, file):
    found = load(file)

    assert found.facts == replace(FACTS, measured={"auc": {"value": 0.9, "low": 0.85}, "count": 7})
    assert found.digest == hashlib.sha256(file.read_bytes()).hexdigest()
    assert not found.network.training
    np.testing.assert_array_equal(
        found.probabilities_of(values()), model.probabilities_of(values())
    )


@pytest.mark.parametrize(
    ("network", "settings"),
    [
        ("base-cnn", {"size": 28, "channels": 1}),
        ("mobilenet-v2", {"channels": 1, "batch_norm": False}),
        ("narrow-autoencoder", {"size": 16, "code": 3}),
        ("variational-autoencoder", {"size": 16}),
        ("small-resnet-3d", {"width": 4}),
    ],
)
def test_every_weight_and_statistic_survives(tmp_path, network, settings):
    model = made(replace(FACTS, network=network, network_settings=settings))
    for buffer in model.network.buffers():
        buffer.add_(3)
    found = load(save(model, tmp_path / "m.safetensors")).network.state_dict()

    assert list(found) == list(model.network.state_dict())
    for name, value in model.network.state_dict().items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value)


def test_same_model_gives_the_same_bytes_in_whatever_order_its_facts_are_given(model, tmp_path):
    turned = replace(FACTS, measured=dict(reversed(FACTS.measured.items())))
    first, second = (save(m, tmp_path / n) for m, n in [(model, "a"), (made(turned), "b")])

    assert first.read_bytes() == second.read_bytes()


def test_reading_draws_no_random_number(file):
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    load(file)

    assert torch.equal(torch.rand(1), expected)


def test_half_precision_halves_the_file_and_keeps_small_differences(tmp_path):
    model = made(
        replace(FACTS, network="mobilenet-v2", network_settings={}, channels=3, classes=("a", "b"))
    )
    full, half = (save(model, tmp_path / str(on), half=on) for on in (False, True))
    found = load(half)

    assert half.stat().st_size < 6e6 < full.stat().st_size
    assert {p.dtype for p in found.network.parameters()} == {torch.float32}
    for one, other in zip(model.network.parameters(), found.network.parameters(), strict=True):
        torch.testing.assert_close(other, one, rtol=2**-11, atol=1e-7)
        assert torch.equal(other, one) == (one.ndim == 1)


def test_weights_beyond_half_precision_stay_whole(tmp_path):
    model = made()
    with torch.no_grad():
        model.network.stem[0].weight[0] = 1e6

    found = load(save(model, tmp_path / "m", half=True))
    assert torch.equal(found.network.stem[0].weight, model.network.stem[0].weight)


def test_arrays_beside_the_weights_survive(model, tmp_path):
    bank = np.arange(6, dtype=np.float16).reshape(2, 3).T
    found = load(save(replace(model, arrays={"bank": bank}), tmp_path / "m"))

    np.testing.assert_array_equal(found.arrays["bank"], bank)
    assert found.arrays["bank"].dtype == np.float16
    np.testing.assert_array_equal(found.logits_of(values()), model.logits_of(values()))


def test_probabilities_are_softmax_of_logits_over_temperature(model):
    logits = torch.from_numpy(model.logits_of(values()))
    expected = torch.softmax(logits / 1.5, dim=1)

    np.testing.assert_allclose(model.probabilities_of(values()), expected, rtol=1e-12)


def test_huge_logits_give_numbers():
    model = made()
    with torch.no_grad():
        model.network.head[2].bias.copy_(torch.tensor([0.0, 1e5, 0]))

    assert model.probabilities_of(values())[:, 1] == pytest.approx(1)


def test_images_are_scaled_less_the_mean_over_the_deviation(model):
    images = (torch.from_numpy(values()).float() / 255 - 0.4) / 0.2

    torch.testing.assert_close(
        torch.from_numpy(model.logits_of(values())).float(), model.network(images)
    )


def test_one_channel_is_repeated_and_each_scaled_on_its_own():
    facts = replace(
        FACTS,
        network_settings={"classes": 3, "channels": 3},
        channels=3,
        mean=(0.1, 0.2, 0.3),
        deviation=(1.0, 2.0, 4.0),
    )
    model = made(facts)
    grey = torch.from_numpy(values()).float() / 255
    images = torch.cat([(grey - 0.1) / 1, (grey - 0.2) / 2, (grey - 0.3) / 4], 1)

    torch.testing.assert_close(
        torch.from_numpy(model.logits_of(values())).float(), model.network(images)
    )
    with pytest.raises(InputError, match="3 channels, the images have 2"):
        model.logits_of(values(channels=2))


def test_one_scale_serves_all_repeated_channels():
    facts = replace(FACTS, network_settings={"classes": 3, "channels": 3}, channels=3)

    assert made(facts).logits_of(values()).shape == (5, 3)


def test_mirror_image_counts_half():
    model, plain = made(replace(FACTS, flips=True)), made()
    mirrored = np.ascontiguousarray(values()[..., ::-1])
    both = (plain.logits_of(values()) + plain.logits_of(mirrored)) / 2

    np.testing.assert_allclose(model.logits_of(values()), both, atol=1e-5)
    np.testing.assert_allclose(model.logits_of(values()), model.logits_of(mirrored), atol=1e-5)
    assert np.abs(plain.logits_of(values()) - both).max() > 1e-2


def test_same_images_give_the_same_bits_and_neighbours_hardly_matter(model):
    many = values(40)
    whole = model.probabilities_of(many)

    np.testing.assert_array_equal(whole, model.probabilities_of(many))
    alone = np.concatenate([model.probabilities_of(many[i : i + 1]) for i in range(40)])
    np.testing.assert_allclose(alone, whole, atol=1e-6)


def test_network_left_in_training_mode_is_used_in_evaluation_mode(model):
    expected = model.logits_of(values())
    model.network.train()

    np.testing.assert_array_equal(model.logits_of(values()), expected)


def test_images_as_stored_are_prepared_first(model):
    generator = np.random.default_rng(0)
    pixels = [generator.integers(0, 4000, (40 + 9 * n, 60)).astype(np.uint16) for n in range(3)]
    prepared = np.stack([prepare(image, options=FACTS.preparation) for image in pixels])

    np.testing.assert_array_equal(model.probabilities(pixels), model.probabilities_of(prepared))
    np.testing.assert_array_equal(model.logits(pixels), model.logits_of(prepared))


def test_no_image_is_refused(model):
    with pytest.raises(InputError, match="no image"):
        model.probabilities_of(values(0))


def autoencoder(**changes):
    settings = {"size": 16, "code": 3}
    facts = replace(FACTS, task="reconstruct", network="narrow-autoencoder", **changes)
    return made(replace(facts, network_settings=settings, classes=()))


def test_autoencoder_draws_on_the_scale_of_the_image():
    images = values(size=16)
    model = autoencoder(mean=(0.4,), deviation=(0.2,))
    normal = (torch.from_numpy(images).float() / 255 - 0.4) / 0.2
    model.network.start_from(normal)
    with torch.no_grad():
        model.network.image_correction[-1].weight.zero_()
        model.network.image_correction[-1].bias.zero_()
    components = model.network(normal).detach().numpy() * 0.2 + 0.4

    np.testing.assert_allclose(model.reconstruct_of(images), components, atol=1e-5)
    # Five images lie in four directions around their mean; three of them are kept.
    assert 0 < ((model.reconstruct_of(images) - images / 255) ** 2).mean() < np.var(images / 255)


def test_autoencoder_gives_codes_and_a_classifier_does_not(model):
    assert autoencoder().encode_of(values(size=16)).shape == (5, 3)
    with pytest.raises(InputError, match="no autoencoder"):
        model.encode_of(values())


@pytest.mark.parametrize(
    "change",
    [
        {"mean": (0.1, 0.2)},
        {"deviation": (0.0,)},
        {"temperature": 0.0},
        {"temperature": float("nan")},
    ],
)
def test_facts_that_cannot_be_used_are_refused(change):
    with pytest.raises(InputError, match="test 1"):
        replace(FACTS, **change)


def test_facts_are_plain_data(model, tmp_path):
    with pytest.raises(InputError, match="plain data"):
        save(Model(facts=replace(FACTS, extras={"x": nn.ReLU()}), network=model.network), tmp_path)


def forged(path, *, facts=None, tensors=None, text=None):
    """Write a file with other facts or tensors than those of a model."""
    model = made()
    known = json.loads(header(save(model, path))["__metadata__"]["aegle"])
    state = {k: v.contiguous() for k, v in model.network.state_dict().items()}
    content = json.dumps(known | (facts or {})) if text is None else text
    save_file(state | (tensors or {}), path, metadata={"aegle": content})
    return path


def header(path):
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length])


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ({"text": "{"}, "facts"),
        ({"text": "[1]"}, "no table"),
        ({"text": "[" * 100_000}, "facts"),
        ({"facts": {"colour": 1}}, "colour"),
        ({"facts": {"temperature": -1}}, "temperature"),
        ({"facts": {"preparation": {"size": 3}}}, "preparation"),
        ({"facts": {"network": "oracle"}}, "oracle"),
        ({"facts": {"network_settings": {"depth": 3}}}, "depth"),
        ({"facts": {"network_settings": {"classes": -3}}}, "cannot be built"),
        ({"facts": {"network_settings": {"classes": 4}}}, "do not fit"),
        ({"facts": {"network_settings": {"classes": 3, "width": 10**6}}}, "do not fit"),
        ({"facts": {"network": "mobilenet-v2", "network_settings": {}}}, "do not fit"),
        ({"tensors": {"more": torch.ones(1)}}, "'more'"),
        ({"tensors": {"stem.0.weight": torch.ones(2)}}, "'stem.0.weight'"),
        ({"tensors": {"stem.1.bias": torch.full((8,), torch.nan)}}, "not numbers"),
    ],
)
def test_file_that_does_not_fit_is_refused(tmp_path, change, finding):
    path = forged(tmp_path / "m.safetensors", **change)

    with pytest.raises(FileError, match=finding) as caught:
        load(path)
    assert str(path) in str(caught.value)


def test_forged_file_without_change_is_taken(tmp_path):
    assert load(forged(tmp_path / "m.safetensors")).facts.name == "test 1"


def test_foreign_safetensors_file_is_no_model(tmp_path):
    save_file({"w": torch.ones(2)}, tmp_path / "w.safetensors")

    with pytest.raises(FileError, match="no model of Aegle"):
        load(tmp_path / "w.safetensors")


@pytest.mark.parametrize("share", [0, 0.0001, 0.01, 0.5, 0.999])
def test_cut_off_file_is_refused(file, share):
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])

    with pytest.raises(FileError, match="damaged"):
        load(file)


@pytest.mark.parametrize("content", [b"\x00" * 100, b"PK\x03\x04" + b"x" * 100, b"\xff" * 8])
def test_something_else_is_refused(tmp_path, content):
    (tmp_path / "m").write_bytes(content)

    with pytest.raises(FileError, match="damaged"):
        load(tmp_path / "m")


def test_missing_file_and_folder_are_named(tmp_path):
    for path in (tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(FileError, match="cannot be read"):
            load(path)


def test_full_disk_leaves_the_last_good_model(model, file, monkeypatch):
    before = file.read_bytes()
    write = Path.write_bytes

    def full(path, content):
        write(path, content[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(FileError, match="No space left"):
        save(made(seed=1), file)

    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_folder_that_is_none_is_named(model, tmp_path):
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(FileError, match="cannot be written"):
        save(model, tmp_path / "file" / "m.safetensors")


def test_file_is_read_whole_so_that_it_may_be_replaced(model, file):
    found = load(file)
    expected = found.logits_of(values())
    file.write_bytes(b"")

    np.testing.assert_array_equal(found.logits_of(values()), expected)

"""Weights from files and servers, and how their names and shapes meet a network."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from aegle import catalogue
from aegle.domain.errors import FileError, InputError, OptionError
from aegle.learning.networks.mobilenet_v2 import mobilenet_v2
from aegle.learning.networks.plain import small_cnn
from aegle.learning.networks.stages import head
from aegle.learning.weights import fetch, load_into, map_keys, read_state

CONTENT = bytes(range(256)) * 20
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MOBILENET = (
    "weights",
    "mobilenet_v2_imagenet",
    "mobilenet_v2_torchvision_int8_bnfolded.npz",
)


class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        if self.path == "/missing.bin":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[:100] if self.path == "/cut.bin" else CONTENT)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as running:
        running.asked = []
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def url(server, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server.asked.clear()
    return f"http://127.0.0.1:{server.server_address[1]}"


def left(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_fetches_a_url_once(url, server, tmp_path):
    told = []
    first = fetch(f"{url}/w.bin", SHA256.upper(), tmp_path, progress=lambda *at: told.append(at))
    again = fetch(f"{url}/w.bin", SHA256, tmp_path)

    assert first.read_bytes() == CONTENT
    assert first == again
    assert first.name == f"{SHA256[:16]}-w.bin"
    assert server.asked == ["/w.bin"]
    assert told[-1] == (len(CONTENT), len(CONTENT))


def test_fetches_again_what_was_changed_in_the_cache(url, server, tmp_path):
    fetch(f"{url}/w.bin", SHA256, tmp_path).write_bytes(b"changed")

    assert fetch(f"{url}/w.bin", SHA256, tmp_path).read_bytes() == CONTENT
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("name", "sha256", "finding"),
    [
        pytest.param("w.bin", "0" * 64, SHA256, id="another file than expected"),
        pytest.param("missing.bin", SHA256, "404", id="not there"),
        pytest.param("cut.bin", SHA256, "100 of 5120 bytes", id="connection cut"),
    ],
)
def test_download_that_fails_leaves_nothing(url, tmp_path, name, sha256, finding):
    with pytest.raises(FileError, match=finding) as caught:
        fetch(f"{url}/{name}", sha256, tmp_path)

    assert name in str(caught.value)
    assert left(tmp_path) == []


def test_names_a_server_that_does_not_answer(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(FileError, match="cannot be downloaded"):
        fetch("http://127.0.0.1:9/w.bin", SHA256, tmp_path)

    assert left(tmp_path) == []


@pytest.mark.parametrize("sha256", ["", "abc", "g" * 64])
def test_url_needs_a_whole_sha256(url, server, tmp_path, sha256):
    with pytest.raises(OptionError, match="SHA-256"):
        fetch(f"{url}/w.bin", sha256, tmp_path)

    assert server.asked == []


def test_refuses_other_schemes(tmp_path):
    with pytest.raises(OptionError, match="ftp"):
        fetch("ftp://host/w.bin", SHA256, tmp_path)


def test_local_file_is_taken_where_it_is_and_checked_if_asked(tmp_path):
    path = tmp_path / "w.bin"
    path.write_bytes(CONTENT)

    assert fetch(str(path), "", tmp_path / "cache") == path
    assert fetch(str(path), SHA256, tmp_path / "cache") == path
    with pytest.raises(FileError, match="expected 1111"):
        fetch(str(path), "1" * 64, tmp_path / "cache")
    with pytest.raises(FileError, match="is no file"):
        fetch(str(tmp_path / "none.bin"), "", tmp_path)


STATE = {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.tensor([1.0, -1.0])}


def write_safetensors(path):
    save_file(STATE, path)


def write_npz(path):
    np.savez(path, **{name: value.numpy() for name, value in STATE.items()})


def write_torch(path):
    torch.save(STATE, path)


def write_checkpoint(path):
    torch.save({"epoch": 3, "state_dict": STATE}, path)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("w.safetensors", write_safetensors),
        ("w.npz", write_npz),
        ("w.pt", write_torch),
        ("w.pth", write_checkpoint),
        ("w.pth.tar", write_checkpoint),
    ],
)
def test_reads_each_kind_of_file_and_refuses_half_of_it(tmp_path, name, write):
    path = tmp_path / name
    write(path)
    state = read_state(path)

    assert list(state) == list(STATE) or sorted(state) == sorted(STATE)
    assert all(torch.equal(state[key], value) for key, value in STATE.items())

    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(FileError, match=name):
        read_state(path)


class Greeting:
    def __reduce__(self):
        return (print, ("run by whoever reads the file",))


def test_reads_no_file_that_would_run_something(tmp_path, capsys):
    for content in ({"w": torch.ones(1), "x": Greeting()}, Greeting()):
        torch.save(content, tmp_path / "w.pt")
        with pytest.raises(FileError, match="holds more than weights"):
            read_state(tmp_path / "w.pt")
    np.savez(tmp_path / "w.npz", w=np.array([Greeting()], object))
    with pytest.raises(FileError, match="cannot be read"):
        read_state(tmp_path / "w.npz")

    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["w.h5", "w.safetensors", "w.npz", "w.pt"])
def test_names_a_file_of_another_kind(tmp_path, name):
    (tmp_path / name).write_bytes(b"something else")

    with pytest.raises(FileError, match=name):
        read_state(tmp_path / name)


def test_refuses_a_file_without_weights(tmp_path):
    torch.save({"state_dict": {}}, tmp_path / "w.pt")

    with pytest.raises(FileError, match="no weights"):
        read_state(tmp_path / "w.pt")


def test_gives_whole_numbers_back_their_scale_per_output(tmp_path):
    np.savez(
        tmp_path / "w.npz",
        **{
            "a.weight_int8": np.array([[[[2]]], [[[-3]]]], np.int8),
            "a.scale": np.float32([0.5, 10]),
            "b.weight_int8": np.array([[1, 2], [3, 4]], np.int8),
            "b.scale": np.float32([0.25]),
            "b.bias": np.float32([7, 8]),
        },
    )
    state = read_state(tmp_path / "w.npz")

    assert state["a.weight"].flatten().tolist() == [1, -30]
    assert state["b.weight"].tolist() == [[0.25, 0.5], [0.75, 1]]
    assert state["b.bias"].tolist() == [7, 8]
    assert set(state) == {"a.weight", "b.weight", "b.bias"}


def build(name, seed=0, **settings):
    torch.manual_seed(seed)
    return catalogue.load("network", name)(**settings).eval()


def lively(network):
    """Give batch normalisation other values than those it starts with."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network


def torchvision_densenet_name(name):
    """As in torchvision's densenet.py; ``norm.1`` as in the files of before 2018."""
    return (
        name.replace(".layers.norm", ".norm.")
        .replace(".layers.conv", ".conv")
        .replace("class_layers.out", "classifier")
    )


def test_densenet_of_torchvision_fits():
    source, target = lively(build("densenet-121")), build("densenet-121", seed=1)
    state = {torchvision_densenet_name(k): v for k, v in source.state_dict().items()}
    matched = load_into(target, state)
    images = torch.randn(1, 3, 64, 64)

    assert "features.denseblock1.denselayer1.norm.1.weight" in state
    assert "features.transition1.conv.weight" in state
    assert (matched.missing, matched.unexpected, matched.mismatched) == ((), (), ())
    assert torch.equal(source(images), target(images))


def test_residual_network_of_torchvision_fits_with_the_names_it_has():
    names = set(build("resnet-18").state_dict())

    # From torchvision's resnet.py.
    assert {
        "conv1.weight",
        "bn1.running_var",
        "layer1.0.conv1.weight",
        "layer2.0.downsample.0.weight",
        "layer2.0.downsample.1.bias",
        "layer4.1.bn2.num_batches_tracked",
        "fc.bias",
    } <= names
    assert len(names) == 122


def test_residual_network_of_medicalnet_fits_but_for_its_segmentation_head():
    source = build("small-resnet-3d", width=64)
    state = {f"module.{k}": v for k, v in source.state_dict().items() if not k.startswith("fc.")}
    state["module.conv_seg.0.weight"] = torch.zeros(512, 32, 2, 2, 2)
    target = build("small-resnet-3d", seed=1, width=64, classes=5)
    matched = load_into(target, state)

    assert matched.missing == ("fc.bias", "fc.weight")
    assert matched.unexpected == ("conv_seg.0.weight",)
    assert torch.equal(target.layer4[0].conv2.weight, source.layer4[0].conv2.weight)
    assert "1 unexpected" in str(matched)


def test_head_for_other_classes_keeps_its_own_weights_and_is_reported():
    source, target = small_cnn(classes=3), small_cnn(classes=5)
    own = head(target).weight.clone()
    matched = load_into(target, source.state_dict())

    assert matched.mismatched == ("head.2.bias", "head.2.weight")
    assert torch.equal(head(target).weight, own)
    assert torch.equal(target.stem[0].weight, source.stem[0].weight)


def test_grey_picture_gets_the_answer_of_a_colour_network():
    source, target = lively(build("mobilenet-v2")), build("mobilenet-v2", seed=1, channels=1)
    matched = load_into(target, source.state_dict())
    grey = torch.randn(2, 1, 64, 64)

    assert matched.adapted == ("features.0.0.weight",)
    torch.testing.assert_close(target(grey), source(grey.expand(-1, 3, -1, -1)))


def test_colour_network_takes_a_grey_picture_as_the_grey_network_did():
    source = lively(build("small-cnn"))
    target = build("small-cnn", seed=1, channels=3)
    matched = load_into(target, source.state_dict())
    grey = torch.randn(2, 1, 28, 28)

    assert matched.adapted == ("stem.0.weight",)
    torch.testing.assert_close(target(grey.expand(-1, 3, -1, -1)), source(grey))


def test_normalisation_is_folded_into_a_network_without():
    source = lively(build("mobilenet-v2"))
    target = build("mobilenet-v2", seed=1, batch_norm=False)
    matched = load_into(target, source.state_dict())
    images = torch.randn(2, 3, 64, 64)

    assert (matched.missing, matched.unexpected, matched.mismatched) == ((), (), ())
    torch.testing.assert_close(target(images), source(images), atol=1e-4, rtol=1e-4)


def test_refuses_weights_of_another_network_and_leaves_the_own_ones():
    target = build("small-cnn")
    before = {k: v.clone() for k, v in target.state_dict().items()}

    with pytest.raises(InputError, match="another network"):
        load_into(target, build("mobilenet-v2").state_dict())
    assert all(torch.equal(v, before[k]) for k, v in target.state_dict().items())


@pytest.mark.parametrize(
    ("kept", "taken"), [pytest.param(0.6, True, id="60 %"), pytest.param(0.4, False, id="40 %")]
)
def test_half_of_the_body_must_fit(kept, taken):
    network = small_cnn()
    names = [name for name, _ in network.named_parameters() if not name.startswith("head")]
    state = {name: network.state_dict()[name] for name in names[: round(kept * len(names))]}

    if taken:
        assert len(load_into(network, state).matched) == round(kept * len(names))
    else:
        with pytest.raises(InputError, match=f"of {len(names)} weights"):
            load_into(network, state)


def test_old_files_without_step_counters_lack_nothing():
    state = {k: v for k, v in small_cnn().state_dict().items() if "num_batches" not in k}

    assert map_keys(state, small_cnn()).missing == ()


class FromTheReadme:
    """MobileNetV2 as the README beside the weights describes it, on plain functions."""

    STRIDES = {2: 2, 4: 2, 7: 2, 14: 2}  # noqa: RUF012

    def __init__(self, path: Path):
        self.file = np.load(path)

    def convolve(self, name, x, stride=1, clipped=True):
        numbers = self.file[f"{name}.weight_int8"].astype(np.float32)
        scale = self.file[f"{name}.scale"].reshape(-1, 1, 1, 1)
        weight, bias = (
            torch.from_numpy(numbers * scale),
            torch.from_numpy(self.file[f"{name}.bias"]),
        )
        groups = x.shape[1] // weight.shape[1]
        x = functional.conv2d(x, weight, bias, stride, weight.shape[-1] // 2, 1, groups)
        return x.clamp(0, 6) if clipped else x

    def __call__(self, x):
        x = self.convolve("features.0.0", x, 2)
        x = self.convolve("features.1.conv.0.0", x)
        x = self.convolve("features.1.conv.1", x, clipped=False)
        for number in range(2, 18):
            block = f"features.{number}.conv"
            y = self.convolve(f"{block}.0.0", x)
            y = self.convolve(f"{block}.1.0", y, self.STRIDES.get(number, 1))
            y = self.convolve(f"{block}.2", y, clipped=False)
            x = x + y if x.shape == y.shape else y
        x = self.convolve("features.18.0", x).mean((2, 3))
        weight = self.file["classifier.1.weight_int8"].astype(np.float32)
        return x @ torch.from_numpy(weight * self.file["classifier.1.scale"]).T + torch.from_numpy(
            self.file["classifier.1.bias"]
        )


@pytest.mark.parametrize("batch_norm", [False, True])
def test_imagenet_weights_give_the_function_they_were_made_for(shared_data, batch_norm):
    path = shared_data(*MOBILENET)
    network = mobilenet_v2(classes=1000, batch_norm=batch_norm).eval()
    matched = load_into(network, read_state(path))
    images = torch.randn(3, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        logits, expected = network(images), FromTheReadme(path)(images)

    assert (matched.missing, matched.unexpected, matched.mismatched) == ((), (), ())
    assert expected.std() > 0.5
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=0)

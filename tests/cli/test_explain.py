"""``aegle explain``: overlays, and an audit whose scores stand beside every later map."""

import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from aegle import cli
from aegle.diagnosis.explain.trust import trust
from aegle.learning.model import Model, ModelFacts, load, save
from aegle.learning.networks.autoencoders import narrow_autoencoder
from aegle.learning.networks.plain import small_cnn
from aegle.learning.preparation import PreparationOptions

SIDE = 32


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A network that calls bright spots lesions: its first filters are means, its head counts."""
    network = small_cnn(width=4, blocks=1, dropout=0.0)
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
        if isinstance(module, nn.Linear):
            with torch.no_grad():
                module.weight.copy_(torch.stack([-torch.ones(32), torch.ones(32)]))
                module.bias.copy_(torch.tensor([40.0, -40.0]))
    facts = ModelFacts(
        name="spots 1",
        task="classify",
        network="small-cnn",
        network_settings={"width": 4, "blocks": 1, "dropout": 0.0},
        classes=("none", "lesion"),
        preparation=PreparationOptions(size=SIDE, low_percentile=0, high_percentile=100),
        mean=(0.2,),
        deviation=(0.05,),
    )
    made = Model(facts=facts, network=network)
    return save(made, tmp_path_factory.mktemp("model") / "m.safetensors")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Six pictures with a bright square, one of them in two masks, and one without."""
    folder = tmp_path_factory.mktemp("spots")
    rows = [("6.png", "", "none")]
    Image.fromarray(np.full((SIDE, SIDE), 51, np.uint8)).save(folder / "6.png")
    for number, (row, column) in enumerate(np.random.default_rng(0).integers(2, 22, (6, 2))):
        image, mask = np.full((SIDE, SIDE), 51, np.uint8), np.zeros((SIDE, SIDE), np.uint8)
        image[row : row + 8, column : column + 8] = 255
        mask[row : row + 8, column : column + 8] = 255
        Image.fromarray(image).save(folder / f"{number}.png")
        parts = (mask,) if number else (mask * (np.arange(SIDE) < row + 4)[:, None], mask)
        names = [f"{number}-{part}-mask.png" for part in range(len(parts))]
        for name, part in zip(names, parts, strict=True):
            Image.fromarray(part.astype(np.uint8)).save(folder / name)
        rows.append((f"{number}.png", ";".join(names), "lesion"))
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "mask", "label"), *rows])
    return folder


def test_an_audit_measures_a_method_and_the_model_then_says_so(model, pictures, tmp_path, capsys):
    out, shown = tmp_path / "audit", tmp_path / "shown"
    command = ["explain", str(model), str(pictures), "--audit", "--method", "grad-cam"]

    assert cli.main([*command, "--seeds", "2", "--keep", "--out", str(out), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    by_name = {row["method"]: row for row in found["methods"]}
    assert list(by_name) == ["grad-cam", "random", "edges"]
    assert by_name["grad-cam"]["images"] == 6
    assert by_name["grad-cam"]["seeds"] == 2
    assert by_name["grad-cam"]["chance"] == pytest.approx(64 / SIDE**2)
    assert by_name["grad-cam"]["precision"] > 2 * by_name["random"]["precision"]
    rows = list(csv.DictReader((out / "audit.csv").read_text().splitlines()))
    assert [row["method"] for row in rows] == list(by_name)

    kept = load(out / "model.safetensors")
    assert str(trust(kept, "grad-cam")).startswith(f"On 6 images of {pictures.name} ")
    assert "not measured" in str(trust(load(model), "grad-cam"))
    asked = [str(out / "model.safetensors"), str(pictures / "1.png"), "--out", str(shown)]
    assert cli.main(["explain", *asked, "--method", "grad-cam"]) == 0
    assert "On 6 images" in "".join(capsys.readouterr().out.split("\n"))
    (image,) = json.loads((shown / "explanations.json").read_text())["images"]
    assert (image["class"], image["is_flat"]) == ("lesion", False)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["--method", "lime"], "No explanation 'lime'"),
        (["--seeds", "0"], "at least one image and one network"),
    ],
)
def test_what_cannot_be_audited_ends_with_status_two(
    model, pictures, tmp_path, capsys, asked, said
):
    command = ["explain", str(model), str(pictures), "--audit", "--out", str(tmp_path / "out")]

    assert cli.main([*command, *asked]) == 2
    assert said in capsys.readouterr().err


def test_a_mask_of_another_size_is_named(model, pictures, tmp_path, capsys):
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "small.png")
    Image.open(pictures / "1.png").save(tmp_path / "1.png")
    (tmp_path / "manifest.csv").write_text("file,mask,label\n1.png,small.png,lesion\n")
    command = ["explain", str(model), str(tmp_path), "--audit", "--out", str(tmp_path / "out")]

    assert cli.main(command) == 1
    assert "small.png" in capsys.readouterr().err


@pytest.fixture(scope="module")
def autoencoder(pictures, tmp_path_factory):
    """Principal components of the pictures, in a model file."""
    network = narrow_autoencoder(code=6, size=SIDE)
    shown = [np.array(Image.open(pictures / f"{n}.png")) / 255 for n in range(7)]
    network.start_from(torch.tensor(np.array(shown, np.float32)[:, None]))
    facts = ModelFacts(
        name="drawn 1",
        task="reconstruct",
        network="narrow-autoencoder",
        network_settings={"code": 6, "size": SIDE},
        preparation=PreparationOptions(size=SIDE, low_percentile=0, high_percentile=100),
        mean=(0.0,),
        deviation=(1.0,),
    )
    made = Model(facts=facts, network=network)
    return save(made, tmp_path_factory.mktemp("autoencoder") / "a.safetensors")


def test_a_counterfactual_takes_the_lesion_away(model, autoencoder, pictures, tmp_path, capsys):
    command = ["explain", str(model), str(pictures / "1.png"), "--out", str(tmp_path / "out")]

    assert cli.main([*command, "--counterfactual", str(autoencoder)]) == 0

    assert "1 of 1 images came to another class." in capsys.readouterr().out
    (image,) = json.loads((tmp_path / "out" / "explanations.json").read_text())["images"]
    found = image["counterfactual"]
    assert (image["class"], found["class"], found["is_changed"]) == ("lesion", "none", True)
    with Image.open(tmp_path / "out" / found["file"]) as panels:
        assert panels.size == (3 * SIDE, SIDE)
        before, after = np.split(np.array(panels.convert("L"), float), 3, axis=1)[:2]
    with Image.open(pictures / "1-0-mask.png") as mask:
        lesion = np.array(mask) > 0
    assert (before - after)[lesion].mean() > 3 * np.abs((before - after)[~lesion]).mean()


@pytest.mark.parametrize(
    ("rest", "code", "said"),
    [
        (["--audit"], 2, "goes without --audit"),
        ([], 1, "needs an autoencoder"),
    ],
)
def test_what_cannot_be_changed_is_said(model, pictures, tmp_path, capsys, rest, code, said):
    command = ["explain", str(model), str(pictures / "1.png"), "--out", str(tmp_path / "out")]

    assert cli.main([*command, "--counterfactual", str(model), *rest]) == code
    assert said in "".join(capsys.readouterr().err.split("\n"))

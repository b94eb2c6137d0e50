"""The page shows the offenders side by side, by itself, and trusts no name."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from aegle.domain.errors import FileError
from aegle.learning import gate_page
from aegle.learning.gate import GateOptions, inspect


def look_at(samples):
    return inspect(samples, options=GateOptions(), progress=lambda done, total: None)


@pytest.fixture
def faulty(made_set, scene):
    images = {
        "<script>alert(1)</script>.png": scene(1),
        "twin.png": scene(1),
        "cut & off.png": None,
        "fine.png": scene(2),
    }
    return made_set(
        images, classes=("a<b", "c"), label=[0, 0, 1, 1], split=["val", "train", "train", "val"]
    )


class Pictures(HTMLParser):
    def __init__(self):
        super().__init__()
        self.alternatives = []
        self.tags = set()

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        if tag == "img":
            assert dict(attributes)["src"].startswith("data:image/png;base64,")
            self.alternatives.append(dict(attributes)["alt"])


def test_offenders_are_shown_side_by_side_and_names_are_escaped(faulty):
    page = gate_page.render(look_at(faulty), faulty)
    found = Pictures()
    found.feed(page)

    assert found.alternatives == ["<script>alert(1)</script>.png", "twin.png"]
    assert "script" not in found.tags
    assert "cut &amp; off.png cannot be used: it is cut off." in page
    assert "2 image(s) leave" in page
    assert page.count("leaves the set") == 2
    assert "Research software" in page
    assert "a&lt;b" in page


def test_the_page_asks_nothing_of_the_net(faulty):
    page = gate_page.render(look_at(faulty), faulty)

    assert re.findall(r"(?:src|href)=\"(?!data:)", page) == []
    assert "http" not in page.replace('http-equiv="Content-Security-Policy"', "")


def test_page_and_data_are_written_whole(faulty, tmp_path):
    gate = look_at(faulty)

    page, data = gate_page.write(gate, faulty, tmp_path / "new")
    again, _ = gate_page.write(gate, faulty, tmp_path / "other")

    assert page.read_bytes() == again.read_bytes()
    assert sorted(p.name for p in page.parent.iterdir()) == ["gate.html", "offences.json"]
    tree = json.loads(data.read_text())
    assert tree["removed"] == ["cut & off.png", "twin.png"]
    assert [o["kind"] for o in tree["offences"]][:2] == ["unreadable", "duplicate-leak"]


def test_a_folder_that_cannot_be_written_to_is_an_error(faulty, tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(FileError, match="cannot be written there"):
        gate_page.write(look_at(faulty), faulty, tmp_path / "file")


def test_many_offences_are_counted_but_not_all_shown(made_set):
    samples = made_set({f"{i}.png": None for i in range(100)})

    page = gate_page.render(look_at(samples), samples)

    assert page.count("cannot be used") == gate_page.MOST_OFFENCES
    assert "60 more are in offences.json." in page


def test_both_sides_of_a_large_leak_are_shown(made_set, scene):
    count = 30
    samples = made_set(
        {f"{i:02d}": scene(i) for i in range(count)},
        group=["p"] * count,
        split=["train"] * 20 + ["val"] * 10,
    )

    page = gate_page.render(look_at(samples), samples)

    assert page.count("<img") == gate_page.MOST_PICTURES
    assert page.count("leaves the set") == gate_page.MOST_PICTURES // 2
    assert f"{count - gate_page.MOST_PICTURES} more" in page


def test_a_clean_set_is_said_to_be_clean(made_set, scene):
    samples = made_set({"a": scene(1), "b": scene(2)}, group=["p", "q"])

    assert "Nothing was found on 2 images." in gate_page.render(look_at(samples), samples)


def test_every_sentence_passes_the_translator(faulty):
    page = gate_page.render(look_at(faulty), faulty, say=lambda text: f"«{text}»")

    assert "«Research software: not for use in the care of patients.»" in page
    assert "«Same pixels in several splits»" in page
    assert "«2 images with the same pixels lie in several splits (train, val).»" in page


@pytest.mark.parametrize(
    "image",
    [
        np.random.default_rng(0).random((20, 300)),
        np.random.default_rng(0).integers(0, 255, (30, 20, 3), dtype=np.uint8),
        np.random.default_rng(0).random((9, 30, 30)) * 1e6,
        np.array([[np.nan, 1.0], [np.inf, 2.0]]),
    ],
    ids=["flat", "colour", "volume", "not all numbers"],
)
def test_any_image_has_a_thumbnail(made_set, image):
    samples = made_set({"a": image, "b": image.copy()})

    assert gate_page.render(look_at(samples), samples).count("<img") == 2

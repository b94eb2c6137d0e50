"""A map laid over its image, and what stands beside it."""

import io

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image

from aegle.domain.assessment import HeatMap
from aegle.domain.text import Text
from aegle.report.blocks import Paragraph, Pictures
from aegle.report.heat_maps import blocks, encoded, overlay
from aegle.report.language import words

SEEN = np.full((20, 30), 100, np.uint8)


def heat_map(**more):
    share = np.zeros((20, 30), np.uint8)
    share[4, 25] = 255
    made = {
        "category": "pneumonia",
        "method": "grad-cam",
        "seen": SEEN,
        "share": share,
        "file": "evidence/x.png",
        "trust": Text("never measured"),
    }
    return HeatMap(**made | more)


def test_no_evidence_leaves_grey_and_the_most_gives_six_tenths_of_colour():
    share = np.zeros((20, 30))
    share[4, 25] = 1
    pixels = np.asarray(overlay(SEEN, share))

    assert pixels[0, 0].tolist() == [100, 100, 100]
    wanted = 0.4 * 100 + 0.6 * 255 * np.array(colormaps["inferno"](1.0)[:3])
    np.testing.assert_allclose(pixels[4, 25], wanted, atol=0.51)


def test_the_file_is_the_map_where_the_evidence_lies():
    pixels = np.asarray(Image.open(io.BytesIO(encoded(heat_map()))).convert("RGB"), float)
    coloured = np.ptp(pixels, axis=2)

    assert np.unravel_index(coloured.argmax(), coloured.shape) == (4, 25)


@pytest.mark.parametrize(
    ("language", "said"), [("en", "Where the model sees evidence"), ("zh", "模型认为支持")]
)
def test_the_page_shows_the_image_beside_the_map_and_how_far_to_trust_it(language, said):
    pictures, trust = blocks(heat_map(), words(language))

    assert isinstance(pictures, Pictures)
    assert pictures.title.startswith(said)
    assert [(p.width, p.height) for p in pictures.items] == [(336, 224)] * 2
    assert trust == Paragraph("never measured", trust.tone)

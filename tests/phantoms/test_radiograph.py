import numpy as np
import pytest

from aegle.phantoms.radiograph import RadiographOptions, make_radiograph

SHAPE = (100, 128)


@pytest.fixture(scope="module")
def radiograph():
    return make_radiograph(options=RadiographOptions(shape=SHAPE))


@pytest.fixture(scope="module")
def healthy():
    return make_radiograph(options=RadiographOptions(shape=SHAPE, nodule_mm=0))


def _columns(outline):
    return np.argwhere(outline)[:, 1].mean()


def test_one_frame_with_the_spacing_of_the_detector(radiograph):
    assert radiograph.image.values.shape == (1, *SHAPE)
    assert radiograph.image.spacing_mm == (3.0, 3.0)
    assert radiograph.image.values.min() >= 0
    assert radiograph.image.values.max() <= 4095


def test_the_right_lung_is_on_the_left_of_the_image_and_the_heart_on_its_right(radiograph):
    middle = (SHAPE[1] - 1) / 2

    assert _columns(radiograph.outlines["lung_right"]) < middle - 10
    assert _columns(radiograph.outlines["lung_left"]) > middle + 10
    assert _columns(radiograph.outlines["heart"]) > middle + 2


def test_the_head_is_up(radiograph):
    rows = {n: np.argwhere(radiograph.outlines[n])[:, 0] for n in ("lung_right", "heart")}

    assert rows["lung_right"].min() < rows["heart"].min()
    assert rows["heart"].mean() > rows["lung_right"].mean()


def test_dense_is_bright(radiograph):
    values, outlines = radiograph.image.values[0], radiograph.outlines
    lungs = (outlines["lung_right"] | outlines["lung_left"]) & ~outlines["heart"]
    upper = np.zeros(SHAPE, dtype=bool)
    upper[20:55] = True

    assert np.median(values[lungs & upper]) < 0.5 * np.median(values[outlines["heart"]])
    assert np.median(values[~outlines["body"]]) < np.median(values[lungs & upper])


def test_a_nodule_brightens_its_shadow_and_nothing_else(radiograph, healthy):
    nodule = radiograph.outlines["nodule"]
    brighter = radiograph.image.values[0] - healthy.image.values[0]

    assert "nodule" not in healthy.outlines
    assert nodule.sum() * 9 == pytest.approx(np.pi / 4 * 18 * 16.2, rel=0.35)
    assert brighter[nodule].mean() > 5 * np.abs(brighter[~nodule].mean())
    assert brighter[nodule].mean() > 40


def test_the_same_seed_gives_the_same_bytes(radiograph):
    again = make_radiograph(options=RadiographOptions(shape=SHAPE))

    assert again.image.values.tobytes() == radiograph.image.values.tobytes()

"""One window for every picture of an image, by what lies around its largest lesion."""

from dataclasses import replace

import numpy as np
import pytest
from tests.report.conftest import ellipsoid, lesion

from aegle.domain.codes import StructureType
from aegle.domain.grid import Grid
from aegle.domain.structure import Structure
from aegle.domain.volume import Quantity, Volume
from aegle.report import document
from aegle.report.blocks import Pictures
from aegle.report.planes import Plane
from aegle.report.shades import LUNG, SOFT_TISSUE
from aegle.report.slices import NO_PALETTE, Subject, close_up, slice_of

GRID = Grid(shape=(40, 60, 60), spacing_mm=(3.0, 3.0, 3.0), origin_mm=(-90.0, -90.0, 0.0))
MIDDLE = (0.0, 0.0, 60.0)


def subject(case, surrounding_hu, longest_mm=80.0):
    """A soft lesion in the middle of something."""
    found = lesion(GRID, 1, MIDDLE, longest_mm)
    hu = np.full(GRID.shape, surrounding_hu, np.float32)
    hu[found.structure.mask] = 35
    image = replace(
        case.examinations.visits[0].images[0],
        volume=Volume(values=hu, grid=GRID, quantity=Quantity.RADIODENSITY),
        structures=type(case.examinations.visits[0].images[0].structures)(()),
    )
    return Subject(image=image, lesions=(found,))


@pytest.mark.parametrize(("hu", "expected"), [(-820, LUNG), (-100, SOFT_TISSUE), (40, SOFT_TISSUE)])
def test_all_pictures_of_an_image_have_the_window_of_what_surrounds_the_lesion(case, hu, expected):
    """The axial slice through an 80 mm mass shows mostly mass, which must not decide."""
    large = subject(case, hu)

    shown = [slice_of(large, plane, NO_PALETTE).window for plane in Plane]
    shown.append(close_up(large, large.lesions[0], NO_PALETTE).window)

    assert shown == [expected] * 4


def test_air_beside_the_body_is_not_lung(case):
    """A limb: a lesion under the skin, with air of -900 HU around."""
    limb = subject(case, -900, longest_mm=40.0)
    inside = ellipsoid(GRID, MIDDLE, (30.0, 30.0, 500.0))
    hu = np.where(inside, 40, -900).astype(np.float32)
    volume = Volume(values=hu, grid=GRID, quantity=Quantity.RADIODENSITY)
    body = Structure.of("body", inside, GRID, type=StructureType.EXTERNAL)

    outlined = replace(limb, image=replace(limb.image, volume=volume), structures=(body,))

    assert outlined.window == SOFT_TISSUE
    assert replace(outlined, structures=()).window == LUNG


def test_a_lung_mass_is_shown_in_the_soft_tissue_window_too(case):
    blocks = document.build(case, "en").sections[0].blocks
    captions = [
        [item.caption for item in block.items]
        for block in blocks
        if isinstance(block, Pictures) and block.title.startswith("CT")
    ]

    first, second, third = captions
    assert first[:2] == ["CT · axial · C −600 W 1500 HU", "CT · axial · C 40 W 400 HU"]
    for later in (second, third):
        assert [caption for caption in later if "C 40" in caption] == []


def test_pictures_of_one_lesion_over_time_share_their_window(case, monkeypatch):
    from aegle.report import follow

    windows = []
    for name in ("close_up", "empty_close_up"):
        draw = getattr(follow, name)

        def recording(*arguments, draw=draw, **options):
            shown = draw(*arguments, **options)
            windows.append(shown.window)
            return shown

        monkeypatch.setattr(follow, name, recording)

    document._build(case, document.words("en"))

    assert len(windows) == 6
    assert set(windows) == {LUNG}

"""Changed tissue between two images, where nobody delineated lesions."""

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from aegle.domain.errors import GeometryError, InputError
from aegle.domain.grid import Grid
from aegle.domain.registration import Registration, Verdict
from aegle.domain.structure import Structure
from aegle.domain.text import Text
from aegle.domain.volume import Quantity, Volume
from aegle.imaging.tissue_change import ChangeOptions, tissue_change

GRID = Grid(shape=(24, 72, 64), spacing_mm=(3.0, 1.5, 1.5), origin_mm=(-48.0, -54.0, -36.0))
NEW, SHRINKING = ((12, 30, 40), 5.0), ((10, 45, 22), 5.0)
NOISE = 8.0


def aligned(verdict=Verdict.GOOD, shift_mm=(0.0, 0.0, 0.0)):
    matrix = np.eye(4)
    matrix[:3, 3] = shift_mm
    return Registration(
        matrix=tuple(tuple(float(x) for x in row) for row in matrix),
        correlation_before=0.5,
        correlation_after=0.9,
        verdict=verdict,
        reason=Text("made"),
    )


def ball(place, radius_mm, grid=GRID):
    middle = GRID.to_patient(np.array(place, float))
    indices = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), -1)
    return np.linalg.norm(grid.to_patient(indices.astype(float)) - middle, axis=-1) <= radius_mm


@pytest.fixture(scope="module")
def head():
    """Return the brain and a function that makes an image of it with given lesions."""
    random = np.random.default_rng(3)
    z, y, x = np.indices(GRID.shape)
    brain = ((z - 11.5) / 11) ** 2 + ((y - 35.5) / 33) ** 2 + ((x - 31.5) / 29) ** 2 <= 1
    texture = ndimage.gaussian_filter(random.normal(size=GRID.shape), (1, 2, 2))
    tissue = 200 + 25 * np.sign(texture) * (np.abs(texture) > 0.5 * texture.std())

    def image(lesions, seed, grid=GRID, gain=1.0, tilt=0.0):
        values = np.where(brain, tissue, 0.0)
        for place, radius_mm in lesions:
            values[ball(place, radius_mm)] = 330
        values = ndimage.gaussian_filter(values, (0.3, 0.6, 0.6))
        values = values * gain * (1 + tilt * (x - 32) / 64)
        values = values + np.random.default_rng(seed).normal(0, NOISE, values.shape)
        return Volume(values=values.astype(np.float32), grid=grid, quantity=Quantity.SIGNAL)

    return Structure.of("brain", brain, GRID), image


def test_what_grew_and_what_shrank_is_found_with_its_volume(head):
    brain, image = head
    earlier = image([SHRINKING], 1)
    later = image([NEW, (SHRINKING[0], 2.5)], 2, gain=1.4, tilt=0.2)

    change = tissue_change(earlier, later, aligned(), brain, options=ChangeOptions())

    grew, gone = ball(*NEW), ball(*SHRINKING) & ~ball(SHRINKING[0], 2.5)
    assert change.grown.count == 1
    assert change.shrunk.count == 1
    for found, truth in ((change.grown, grew), (change.shrunk, gone)):
        mask = found.structure.mask
        assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.75
        low, high = found.interval_ml
        assert low <= found.volume_ml <= high
        assert low * 0.8 <= truth.sum() * GRID.voxel_volume_ml <= high * 1.2
    assert change.net_interval_ml[0] <= change.net_ml <= change.net_interval_ml[1]


def test_nothing_changes_between_two_noisy_images_of_the_same(head):
    brain, image = head
    for seed in range(3):
        earlier, later = image([NEW], 10 + seed), image([NEW], 20 + seed, gain=0.7, tilt=-0.2)
        change = tissue_change(earlier, later, aligned(), brain, options=ChangeOptions())
        assert change.grown.count == change.shrunk.count == 0
        inside = change.difference.values[change.compared.mask]
        assert inside.std() == pytest.approx(1.0, abs=0.25)


def test_the_later_image_may_lie_on_another_grid(head):
    brain, image = head
    elsewhere = Grid(
        shape=GRID.shape,
        spacing_mm=GRID.spacing_mm,
        origin_mm=(GRID.origin_mm[0] + 20, GRID.origin_mm[1] - 7, GRID.origin_mm[2] + 9),
    )
    later = image([NEW], 2, grid=elsewhere)

    change = tissue_change(
        image([], 1), later, aligned(shift_mm=(20.0, -7.0, 9.0)), brain, options=ChangeOptions()
    )

    assert change.grown.count == 1
    assert change.grown.structure.mask[NEW[0]]
    assert change.shrunk.count == 0


def test_dark_lesions_are_told_from_bright_ones(head):
    brain, image = head
    bright = tissue_change(
        image([], 1), image([NEW], 2), aligned(), brain, options=ChangeOptions(lesions="dark")
    )

    assert bright.grown.count == 0


def test_other_contrast_and_doubtful_alignments_are_said(head):
    brain, image = head
    later = image([], 2)
    inverted = Volume(
        values=np.where(brain.mask, 400 - later.values, 0.0), grid=GRID, quantity=Quantity.SIGNAL
    )

    unlike = tissue_change(image([], 1), inverted, aligned(), brain, options=ChangeOptions())
    doubtful = tissue_change(
        image([], 1), later, aligned(Verdict.DOUBTFUL), brain, options=ChangeOptions()
    )

    assert any("contrast" in str(n) for n in unlike.notices)
    assert any("doubtful" in str(n) for n in doubtful.notices)


def test_refuses_what_cannot_be_compared(head):
    brain, image = head
    pair = image([], 1), image([], 2)
    with pytest.raises(InputError, match="alignment failed"):
        tissue_change(*pair, aligned(Verdict.FAILED), brain, options=ChangeOptions())
    with pytest.raises(InputError, match="below the seed"):
        tissue_change(*pair, aligned(), brain, options=ChangeOptions(limit=6.0))
    with pytest.raises(InputError, match="share fewer"):
        tissue_change(*pair, aligned(shift_mm=(900.0, 0, 0)), brain, options=ChangeOptions())
    small = Structure.of(
        "brain", np.ones((2, 2, 2), bool), Grid(shape=(2, 2, 2), spacing_mm=(1,) * 3)
    )
    with pytest.raises(GeometryError):
        tissue_change(*pair, aligned(), small, options=ChangeOptions())


def test_the_new_lesion_of_a_real_patient_is_found(shared_data):
    """Patient 01 of Lesjak et al., Neuroinformatics 2016, doi:10.1007/s12021-016-9301-1."""
    folder = shared_data("ms_longitudinal_flair", "patient01")
    names = ("study1_FLAIR", "study2_FLAIR", "brainmask", "lesion_change_gt")
    images = [sitk.ReadImage(str(folder / f"{name}.nii.gz")) for name in names]
    first, second, brain, truth = map(sitk.GetArrayFromImage, images)
    step_mm = images[0].GetSpacing()
    grid = Grid(shape=first.shape, spacing_mm=(step_mm[2], step_mm[1], step_mm[0]))
    earlier, later = (
        Volume(values=v.astype(np.float32), grid=grid, quantity=Quantity.SIGNAL)
        for v in (first, second)
    )

    change = tissue_change(
        earlier, later, aligned(), Structure.of("brain", brain > 0, grid), options=ChangeOptions()
    )

    mask, expert = change.grown.structure.mask, truth > 0
    assert 2 * (mask & expert).sum() / (mask.sum() + expert.sum()) >= 0.55
    labels, _ = ndimage.label(expert, np.ones((3, 3, 3)))
    largest = labels == np.bincount(labels.ravel())[1:].argmax() + 1
    assert (mask & largest).sum() >= 0.6 * largest.sum()
    # The expert also drew faint rims of ventricles; the volume is too small by a quarter.
    assert change.net_ml == pytest.approx(expert.sum() * grid.voxel_volume_ml, rel=0.35)

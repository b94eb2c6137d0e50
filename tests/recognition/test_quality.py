"""Each fault moves its own measure, good images stay quiet, and reasons carry numbers."""

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from aegle.domain.assessment import QualityGrade
from aegle.domain.grid import Grid
from aegle.domain.study import Examination, Image, Patient, Projection, SeriesReference
from aegle.domain.volume import PlanarImage, Quantity, Volume
from aegle.phantoms.degradations import (
    Degradation,
    Harm,
    blurred,
    degraded,
    moved,
    with_grain,
    with_noise,
    with_streaks,
)
from aegle.phantoms.pelvis import PelvisOptions, make_pelvis
from aegle.phantoms.radiograph import RadiographOptions, make_radiograph
from aegle.phantoms.thorax import ThoraxOptions, make_visit
from aegle.recognition.model_chest import view_of
from aegle.recognition.quality import QualityOptions, assess_quality

OPTIONS = QualityOptions()
MEASURE = {
    Harm.NOISE: "noise",
    Harm.BLUR: "blur",
    Harm.MOTION: "blur",
    Harm.CUT: "coverage",
    Harm.METAL: "metal",
    Harm.TEXT: "text",
}


def series(modality, description="", **facts):
    return SeriesReference(
        study_uid="1",
        series_uid="2",
        frame_of_reference_uid="3",
        modality=modality,
        sop_class_uid="4",
        sop_instance_uids=(),
        description=description,
        **facts,
    )


def examined(volume=None, picture=None, modality="CT", description="", **facts):
    named = series(modality, description, **facts)
    images = () if volume is None else (Image(name="image", volume=volume, series=named),)
    projections = (
        () if picture is None else (Projection(name="image", image=picture, series=named),)
    )
    return Examination(
        patient=Patient(id="1"), study_uid="1", time=None, images=images, projections=projections
    )


def measures(examination, options=OPTIONS):
    (quality,) = assess_quality(examination, options=options)
    return {measure.name: measure for measure in quality.measures}


def not_good(found):
    return {name for name, measure in found.items() if measure.grade is not QualityGrade.GOOD}


def with_values(volume, values, grid=None):
    return Volume(
        values=np.asarray(values, dtype=np.float32),
        grid=grid or volume.grid,
        quantity=volume.quantity,
    )


@pytest.fixture(scope="module")
def ct():
    return make_visit(1, options=ThoraxOptions(shape=(60, 128, 128))).ct


@pytest.fixture(scope="module")
def made():
    return make_radiograph(options=RadiographOptions(shape=(250, 320)))


@pytest.fixture(scope="module")
def radiograph(made):
    return made.image


def chest(picture):
    return examined(picture=picture, modality="DX", description="Chest PA")


def as_picture(plane, spacing_mm=None):
    return PlanarImage(values=np.asarray(plane, np.float32)[None], spacing_mm=spacing_mm)


@pytest.mark.parametrize("visit", [0, 1, 2])
def test_made_chests_are_good(visit):
    made = make_visit(visit, options=ThoraxOptions(shape=(60, 128, 128)))

    assert not_good(measures(examined(made.ct))) == set()
    if made.pet is not None:
        assert not_good(measures(examined(made.pet, modality="PT"))) == set()


def test_made_pelvis_is_good():
    made = make_pelvis(options=PelvisOptions(shape=(48, 128, 128)))

    assert not_good(measures(examined(made.ct))) == set()


def test_made_radiograph_is_good(radiograph):
    found = measures(chest(radiograph))

    assert set(found) == {"noise", "blur", "coverage", "metal", "text"}
    assert not_good(found) == set()


def planes_of(ct, change):
    return with_values(ct, np.stack([change(plane) for plane in ct.values]))


def cropped(ct, rows=slice(None), slices=slice(None)):
    values = ct.values[slices, rows]
    return with_values(ct, values, replace(ct.grid, shape=values.shape))


CT_FAULTS = {
    "noise": ("noise", lambda ct: planes_of(ct, lambda plane: with_grain(plane, 90, seed=1))),
    "blur": ("blur", lambda ct: planes_of(ct, lambda plane: blurred(plane, 2.5))),
    "motion": ("blur", lambda ct: planes_of(ct, lambda plane: moved(plane, 14, angle_deg=45))),
    "front cut off": ("coverage", lambda ct: cropped(ct, rows=slice(45, None))),
    "lung bases cut off": ("coverage", lambda ct: cropped(ct, slices=slice(22, None))),
    "lung tips cut off": ("coverage", lambda ct: cropped(ct, slices=slice(None, 42))),
    "metal": (
        "metal",
        lambda ct: with_values(
            ct,
            [
                with_streaks(p, 15, spacing_mm=ct.grid.spacing_mm[1:], seed=2) if k < 8 else p
                for k, p in enumerate(ct.values)
            ],
        ),
    ),
}


@pytest.mark.parametrize("fault", CT_FAULTS)
def test_fault_of_a_ct_moves_its_own_measure_and_no_other(ct, fault):
    name, harm = CT_FAULTS[fault]

    assert not_good(measures(examined(harm(ct)))) == {name}


@pytest.mark.parametrize("harm", Harm)
def test_fault_of_a_radiograph_moves_its_own_measure_and_no_other(radiograph, harm):
    worse = degraded(radiograph.values[0], Degradation(harm=harm, grade=3, seed=0))

    assert not_good(measures(chest(as_picture(worse)))) == {MEASURE[harm]}


@pytest.mark.parametrize("harm", [Harm.NOISE, Harm.BLUR, Harm.METAL])
def test_more_of_a_fault_is_never_better(radiograph, harm):
    values = [measures(chest(radiograph))[MEASURE[harm]].value]
    for grade in (1, 2, 3):
        worse = degraded(radiograph.values[0], Degradation(harm=harm, grade=grade, seed=0))
        values.append(measures(chest(as_picture(worse)))[MEASURE[harm]].value)

    assert values == sorted(values)


def test_end_of_the_lungs_that_is_missing_is_named(ct):
    low, high = (
        str(measures(examined(cropped(ct, slices=part)))["coverage"].reason)
        for part in (slice(22, None), slice(None, 42))
    )

    assert "below the lowest slice" in low
    assert "above the highest slice" in high


def test_ends_of_the_lungs_are_told_on_slices_that_run_to_the_feet(ct):
    turned = Volume(
        values=ct.values[::-1][: 60 - 22],
        grid=replace(
            ct.grid,
            shape=(38, *ct.grid.shape[1:]),
            origin_mm=tuple(ct.grid.to_patient(np.array([59.0, 0, 0])).tolist()),
            axes=((0.0, 0.0, -1.0), *ct.grid.axes[1:]),
        ),
        quantity=ct.quantity,
    )

    assert "below the lowest slice" in str(measures(examined(turned))["coverage"].reason)


def test_reason_says_the_number_that_was_measured(ct):
    noisy = planes_of(ct, lambda plane: with_grain(plane, 90, seed=1))
    noise = measures(examined(noisy))["noise"]

    # Noise of the made scan, 12 HU, adds in squares.
    assert noise.value == pytest.approx(90, rel=0.2)
    assert f"{noise.value:.0f} HU" in str(noise.reason)
    assert noise.grade is QualityGrade.LIMITED


def test_twice_the_limit_is_poor(ct):
    noisy = planes_of(ct, lambda plane: with_grain(plane, 90, seed=1))
    strict = QualityOptions(noise_hu=30.0)

    assert measures(examined(noisy), strict)["noise"].grade is QualityGrade.POOR


@pytest.mark.parametrize(
    ("facts", "is_judged"),
    [
        ({"description": "Chest PA"}, True),
        ({"body_part": "CHEST"}, True),
        ({"description": "胸部正位"}, True),
        ({"description": "Chest", "view": "LL"}, False),
        ({"description": "Hand"}, False),
        ({}, False),
    ],
)
def test_only_frontal_chests_are_compared_with_the_model_chest(radiograph, facts, is_judged):
    found = measures(examined(picture=radiograph, modality="DX", **facts))

    assert ("coverage" in found) is is_judged


def test_ultrasound_is_not_asked_for_metal_or_coverage(radiograph):
    assert set(measures(examined(picture=radiograph, modality="US"))) == {"noise", "blur", "text"}


@pytest.mark.parametrize(
    "shown",
    [
        (slice(None), slice(96, None)),
        (slice(None), slice(128, None)),
        (slice(None), slice(None, 192)),
        (slice(None, 125), slice(None)),
        (slice(None, 150), slice(None)),
    ],
)
def test_share_of_the_lungs_outside_is_about_six_tenths_of_the_true_one(made, shown):
    lungs = made.outlines["lung_right"] | made.outlines["lung_left"]
    true_percent = 100 * (1 - lungs[shown].sum() / lungs.sum())
    found = view_of(made.image.values[0][shown])

    assert 0.5 * true_percent < found.lungs_outside_percent < 0.75 * true_percent
    assert found.likeness > 0.85


def test_colour_and_frames_are_read_as_the_middle_grey_frame(radiograph):
    plane = radiograph.values[0]
    colour = np.repeat(np.stack([0 * plane, plane, 0 * plane])[..., None], 3, axis=-1)
    found = measures(chest(PlanarImage(values=colour)))
    plain = measures(chest(as_picture(plane)))

    assert found["noise"].value == pytest.approx(plain["noise"].value, rel=1e-3)


@pytest.mark.parametrize("shape", [(375, 480), (500, 640)])
def test_finer_pixels_do_not_make_a_picture_blurred(radiograph, shape):
    fine = make_radiograph(options=RadiographOptions(shape=shape)).image
    usual, finer = (measures(chest(image))["blur"].value for image in (radiograph, fine))

    assert finer == pytest.approx(usual, rel=0.15)


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_even_images_are_not_judged(value):
    flat = np.full((1, 128, 128), value, np.float32)
    grid = Grid(shape=(1, 128, 128), spacing_mm=(3.0, 1.0, 1.0))
    mr = Volume(values=flat, grid=grid, quantity=Quantity.SIGNAL)

    assert assess_quality(examined(mr, modality="MR"), options=OPTIONS) == ()
    assert assess_quality(examined(picture=PlanarImage(values=flat)), options=OPTIONS) == ()


def test_small_and_odd_volumes_do_not_fail(ct):
    for shape in ((1, 128, 128), (3, 8, 9), (60, 1, 128), (1, 1, 1)):
        values = ct.values[: shape[0], : shape[1], : shape[2]]
        grid = replace(ct.grid, shape=values.shape)
        for quantity in (Quantity.RADIODENSITY, Quantity.SIGNAL, Quantity.STANDARDISED_UPTAKE):
            volume = Volume(values=values, grid=grid, quantity=quantity)
            assess_quality(examined(volume), options=OPTIONS)


def test_noise_of_a_pet_is_a_share_of_its_uptake():
    rng = np.random.default_rng(6)
    y, x = np.indices((64, 64))
    body = np.where(np.hypot(y - 32, x - 32) < 26, 2.0, 0.05)
    grid = Grid(shape=(20, 64, 64), spacing_mm=(4.0, 4.0, 4.0))
    values = []
    for share in (0.1, 0.6):
        noisy = body * (1 + share * rng.normal(size=grid.shape))
        pet = Volume(
            values=np.maximum(noisy, 0).astype(np.float32),
            grid=grid,
            quantity=Quantity.STANDARDISED_UPTAKE,
        )
        values.append(measures(examined(pet, modality="PT"))["noise"])

    assert values[0].value == pytest.approx(10, abs=2)
    assert values[0].grade is QualityGrade.GOOD
    assert values[1].grade is QualityGrade.LIMITED


@pytest.fixture(scope="module")
def head():
    z, y, x = np.indices((30, 96, 96)) / np.array([29, 95, 95])[:, None, None, None] - 0.5
    radius = np.sqrt((z / 0.42) ** 2 + (y / 0.42) ** 2 + (x / 0.36) ** 2)
    values = np.where(radius < 0.75, 300.0, np.where(radius < 1, 150.0, 5.0))
    values = ndimage.gaussian_filter(values, (0, 0.6, 0.6))
    rng = np.random.default_rng(2)
    grid = Grid(shape=values.shape, spacing_mm=(5.0, 2.0, 2.0))
    noisy = values + rng.normal(0, 2, values.shape)
    return Volume(values=noisy.astype(np.float32), grid=grid, quantity=Quantity.SIGNAL)


def of_head(volume):
    return examined(volume, modality="MR", description="MR brain T1")


def test_whole_head_is_good(head):
    found = measures(of_head(head))

    assert set(found) == {"noise", "blur", "coverage"}
    assert not_good(found) == set()


@pytest.mark.parametrize(
    ("harm", "expected"),
    [
        (lambda v: np.stack([with_noise(p, 20, seed=k) for k, p in enumerate(v)]), {"noise"}),
        (lambda v: np.stack([blurred(p, 2.5) for p in v]), {"blur"}),
        (lambda v: v[:, 30:], {"coverage"}),
        (lambda v: v[:, :, 25:], {"coverage"}),
        (lambda v: v[:18], {"coverage"}),
        (lambda v: v[12:], set()),
    ],
    ids=["noise", "blur", "front", "side", "vertex", "neck always goes on"],
)
def test_fault_of_a_head_moves_its_own_measure(head, harm, expected):
    values = harm(head.values)
    worse = with_values(head, values, replace(head.grid, shape=values.shape))

    assert not_good(measures(of_head(worse))) == expected


def test_metal_of_a_real_hip_is_found(shared_data):
    file = shared_data("totalsegmentator_examples", "example_ct.nii.gz")
    image = sitk.ReadImage(str(file), sitk.sitkFloat32)
    values = sitk.GetArrayFromImage(image)
    grid = Grid(shape=values.shape, spacing_mm=image.GetSpacing()[::-1])
    found = measures(examined(Volume(values=values, grid=grid, quantity=Quantity.RADIODENSITY)))

    assert found["metal"].value == pytest.approx(11, abs=1.5)
    assert found["noise"].grade is QualityGrade.GOOD
    assert found["blur"].grade is QualityGrade.GOOD


def test_real_chest_ct_is_good(shared_data):
    image = sitk.ReadImage(str(shared_data("lung1_001_ct", "ct.nii.gz")), sitk.sitkFloat32)
    values = sitk.GetArrayFromImage(image)
    grid = Grid(shape=values.shape, spacing_mm=image.GetSpacing()[::-1])

    found = measures(examined(Volume(values=values, grid=grid, quantity=Quantity.RADIODENSITY)))

    assert not_good(found) == set()

"""Visits of MR are followed like those of CT; where no lesions are drawn, changed tissue is."""

from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest
from scipy import ndimage

from aegle.dicom import image_series
from aegle.domain.case import (
    AllFindings,
    Examinations,
    ImageStructures,
    Segmentations,
    VisitStructures,
)
from aegle.domain.codes import StructureType
from aegle.domain.grid import Grid
from aegle.domain.registration import Verdict
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.study import Examination, Image, Patient
from aegle.domain.volume import Quantity, Volume
from aegle.imaging.brain import brain_of
from aegle.imaging.registration import RegistrationOptions
from aegle.imaging.resample import resample_structure
from aegle.phantoms.thorax import ThoraxOptions, make_visit
from aegle.workflow.following import FollowOptions, follow
from aegle.workflow.options import CaseOptions
from aegle.workflow.stage import silent
from aegle.workflow.stages import measure

PATIENT = Patient(id="P1")
GRID = Grid(shape=(40, 64, 56), spacing_mm=(4.0, 3.5, 3.5), origin_mm=(-96.0, -110.0, -78.0))
OPTIONS = CaseOptions(alignment=RegistrationOptions(spacing_mm=4.0))
LESION_MM, TURN_DEG, SHIFT_MM = (30.0, 10.0, 20.0), 4.0, (6.0, -4.0, 5.0)
TEXTURE = ndimage.gaussian_filter(np.random.default_rng(1).normal(size=(60, 60, 60)), 2.0)


def place(points_mm, visit):
    """Carry positions at a visit back to the first: visit 1 lies turned and shifted."""
    if visit == 0:
        return points_mm
    angle = np.deg2rad(TURN_DEG)
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    return (points_mm - np.array(SHIFT_MM)) @ turn


def head(visit, radius_mm):
    """Return a made head of 4 mm voxels with one lesion: brain, fluid, skull, scalp; its masks."""
    index = np.moveaxis(np.indices(GRID.shape), 0, -1).astype(float)
    at = place(GRID.to_patient(index), visit)
    x, y, z = np.moveaxis(at, -1, 0)
    depth = np.sqrt((x / 72) ** 2 + (y / 88) ** 2 + (z / 66) ** 2)
    grain = ndimage.map_coordinates(TEXTURE, np.moveaxis(at / 4 + 30, -1, 0), order=1)
    values = np.select(
        [depth < 0.84, depth < 0.9, depth < 0.97, depth < 1.04],
        [200 + 600 * grain, 60.0, 20.0, 260.0],
        0.0,
    )
    for side in (-1, 1):
        ventricle = ((x - side * 14) / 7) ** 2 + ((y - 5) / 26) ** 2 + ((z - 5) / 12) ** 2 < 1
        values[ventricle] = 50
    lesion = np.linalg.norm(at - np.array(LESION_MM), axis=-1) < radius_mm
    values[lesion] = 420
    values = ndimage.gaussian_filter(values, 0.5)
    values *= 1.0 if visit == 0 else 1.3
    values += np.random.default_rng(visit).normal(0, 5, values.shape)
    volume = Volume(values=values.astype(np.float32), grid=GRID, quantity=Quantity.SIGNAL)
    return volume, depth < 0.84, lesion


def examination(visit, radius_mm, *, is_drawn):
    volume, _, lesion = head(visit, radius_mm)
    series = image_series.reference(
        volume,
        PATIENT.id,
        modality="MR",
        study=f"visit {visit}",
        time=datetime(2026, 1 + visit, 1),
        description="FLAIR",
    )
    drawn = ()
    if is_drawn:
        drawn = (
            Structure.of("lesion", lesion, GRID, type=StructureType.LESION, origin="labelmap"),
        )
    image = Image(name="MR", volume=volume, series=series, structures=StructureSet(drawn))
    return Examination(
        patient=PATIENT, study_uid=series.study_uid, time=series.study_date, images=(image,)
    )


def followed(radii_mm, *, is_drawn):
    visits = tuple(examination(n, mm, is_drawn=is_drawn) for n, mm in enumerate(radii_mm))
    examinations = Examinations(PATIENT, visits)
    segmentations = Segmentations(
        tuple(
            VisitStructures(
                images=(ImageStructures(image="MR", structures=v.images[0].structures),)
            )
            for v in visits
        )
    )
    findings = measure(examinations, segmentations, options=OPTIONS.measure)
    assert isinstance(findings, AllFindings)
    return follow(examinations, findings, options=FollowOptions.of(OPTIONS), progress=silent)


@pytest.fixture(scope="module")
def with_lesions():
    return followed((12.0, 20.0), is_drawn=True)


def test_lesions_drawn_on_mr_are_aligned_matched_and_judged(with_lesions):
    """A ball of 24 mm has grown to 40 mm; head and couch have moved."""
    follow_up = with_lesions.follow_up
    (response,) = follow_up.responses
    (registration,) = follow_up.timeline.registrations

    assert registration.verdict is not Verdict.FAILED
    moved = registration.to_fixed(np.array([[0.0, 0, 0], [40, -50, 30], [-50, 40, -30]]))
    expected = place(np.array([[0.0, 0, 0], [40, -50, 30], [-50, 40, -30]]), 1)
    assert np.linalg.norm(moved - expected, axis=-1).max() < 2.0
    assert response.category.value == "PD"
    assert response.baseline_mm == pytest.approx(24, abs=3.5)
    assert response.sum_mm == pytest.approx(40, abs=3.5)
    assert [e.track for e in follow_up.timeline.at(1)] == ["T1"]
    assert follow_up.changes == ()


def test_changed_tissue_is_found_where_nobody_drew_lesions():
    """A new ball of 20 mm (4.2 mL) in a head whose brain nobody outlined."""
    following = followed((0.0, 10.0), is_drawn=False)
    (found,) = following.follow_up.changes

    assert following.follow_up.responses == ()
    assert "instead of a response" in str(following.reason)
    assert any("outlined roughly" in str(c) for c in following.cautions)
    assert found.visit == 1
    assert found.change.grown.count == 1
    assert found.change.shrunk.count == 0
    low, high = found.change.grown.interval_ml
    assert low <= 4.19 <= high
    centre = found.change.grown.structure.centroid_mm
    assert np.linalg.norm(np.subtract(centre, LESION_MM)) < 4.0


def test_the_brain_is_outlined_without_skull_and_scalp():
    volume, brain, _ = head(0, 0.0)

    found = brain_of(volume).mask

    assert 2 * (found & brain).sum() / (found.sum() + brain.sum()) > 0.93


def test_an_image_without_a_brain_has_none():
    ball = np.linalg.norm(np.indices((20, 30, 30)).T - np.array([10, 15, 15]), axis=-1).T < 8
    grid = Grid(shape=(20, 30, 30), spacing_mm=(3.0, 3.0, 3.0))
    volume = Volume(
        values=np.where(ball, 100, 0).astype(np.float32), grid=grid, quantity=Quantity.SIGNAL
    )

    assert brain_of(volume) is None
    nothing = replace(volume, values=np.zeros(grid.shape, np.float32))
    assert brain_of(nothing) is None


MOVED_MM = np.array([12.0, -8.0, 10.0])


@pytest.fixture(scope="module")
def pet_visits():
    """Two PET of a made patient: at the second the tumour takes up half, and the couch moved."""
    made = make_visit(1, options=ThoraxOptions(seed=5, shape=(60, 96, 96)))
    grid = made.pet.grid
    largest = max(made.lesions, key=lambda lesion: made.structures[lesion.name].volume_ml)
    tumour = resample_structure(made.structures[largest.name], grid)
    visits = []
    for number, share in enumerate((1.0, 0.5)):
        grain = np.random.default_rng(number).normal(0, 0.05, grid.shape)
        values = np.where(tumour.mask, share * made.pet.values, made.pet.values) + grain
        origin = tuple(np.add(grid.origin_mm, number * MOVED_MM).tolist())
        here = replace(grid, origin_mm=origin)
        volume = Volume(
            values=np.maximum(values, 0).astype(np.float32),
            grid=here,
            quantity=Quantity.STANDARDISED_UPTAKE,
        )
        series = image_series.reference(
            volume,
            PATIENT.id,
            modality="PT",
            study=f"PET {number}",
            time=datetime(2026, 1 + number, 1),
        )
        drawn = Structure.of(
            "tumour", tumour.mask, here, type=StructureType.LESION, origin="labelmap"
        )
        image = Image(name="PT", volume=volume, series=series, structures=StructureSet((drawn,)))
        visits.append(
            Examination(
                patient=PATIENT, study_uid=series.study_uid, time=series.study_date, images=(image,)
            )
        )
    return Examinations(PATIENT, tuple(visits))


def test_pet_without_ct_is_aligned_and_followed_by_its_uptake(pet_visits):
    segmentations = Segmentations(
        tuple(
            VisitStructures(
                images=(ImageStructures(image="PT", structures=v.images[0].structures),)
            )
            for v in pet_visits.visits
        )
    )
    findings = measure(pet_visits, segmentations, options=OPTIONS.measure)

    found = follow(pet_visits, findings, options=FollowOptions.of(OPTIONS), progress=silent)

    (registration,) = found.follow_up.timeline.registrations
    assert registration.verdict is not Verdict.FAILED
    corners = np.array([[0.0, 0, 0], [60, 40, 50], [-60, -40, -50]])
    missed = registration.to_moving(corners) - (corners + MOVED_MM)
    assert np.linalg.norm(missed, axis=-1).max() < 2.0
    assert [e.track for e in found.follow_up.timeline.at(1)] == ["T1"]
    before, after = (visit.lesions[0].uptake for visit in findings.visits)
    assert after.peak == pytest.approx(before.peak / 2, rel=0.1)
    assert after.tlg_g == pytest.approx(before.tlg_g / 2, rel=0.1)

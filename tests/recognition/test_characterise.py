from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from aegle.domain.case import ImageStructures, VisitStructures
from aegle.domain.codes import StructureType
from aegle.domain.finding import LesionKind
from aegle.domain.grid import Grid
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.study import Examination, Image, Patient, SeriesReference
from aegle.domain.volume import Quantity, Volume
from aegle.recognition.characterise import CharacteriseOptions, characterise

OPTIONS = CharacteriseOptions()
GRID = Grid(shape=(24, 50, 60), spacing_mm=(2.5, 2.0, 2.0), origin_mm=(-60.0, -50.0, -30.0))
PET_GRID = Grid(shape=(16, 26, 31), spacing_mm=(4.0, 4.0, 4.0), origin_mm=(-60.0, -50.0, -30.0))


def ball(grid, centre_mm, radius_mm):
    positions = grid.to_patient(np.stack(np.indices(grid.shape), -1).astype(float))
    return np.linalg.norm(positions - centre_mm, axis=-1) <= radius_mm


def lesion(name, centre_mm, radius_mm, *, origin="RTSTRUCT", grid=GRID, **facts):
    facts = {"type": StructureType.LESION, **facts}
    return Structure.of(name, ball(grid, centre_mm, radius_mm), grid, origin=origin, **facts)


def series(modality, frame="1.2.3"):
    return SeriesReference(
        study_uid="1.2",
        series_uid=f"1.2.{len(modality)}.{ord(modality[0])}",
        frame_of_reference_uid=frame,
        modality=modality,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        sop_instance_uids=("1",),
    )


@pytest.fixture
def ct():
    x = np.linspace(-60, 58, 60)
    values = np.broadcast_to(np.where(np.abs(x) < 8, 40.0, -850.0), GRID.shape)
    volume = Volume(values=values.astype(np.float32), grid=GRID, quantity=Quantity.RADIODENSITY)
    return Image(name="CT", volume=volume, series=series("CT"))


@pytest.fixture
def pet():
    values = 1 + 7 * ball(PET_GRID, (-35, 0, 0), 9).astype(np.float32)
    volume = Volume(values=values, grid=PET_GRID, quantity=Quantity.STANDARDISED_UPTAKE)
    return Image(name="PT", volume=volume, series=series("PT"))


def lung(name, low_mm, high_mm):
    x = np.linspace(-60, 58, 60)
    mask = np.broadcast_to((x >= low_mm) & (x <= high_mm), GRID.shape)
    return Structure.of(name, mask, GRID)


LUNGS = (lung("lung_right", -60, -10), lung("lung_left", 10, 58))


def examine(*images):
    return Examination(patient=Patient(id="P"), study_uid="1.2", time=None, images=images)


def characterised(examination, *structures, image="CT"):
    visit = VisitStructures(
        images=(ImageStructures(image=image, structures=StructureSet(structures)),),
    )
    return characterise(examination, visit, options=OPTIONS)


def test_lesions_are_numbered_from_the_longest_on(ct):
    small, large = lesion("GTV small", (-35, 0, 0), 5), lesion("GTV large", (35, 0, 0), 12)

    findings = characterised(examine(ct), *LUNGS, small, large)

    assert [(f.id, f.structure.name) for f in findings.lesions] == [
        ("L1", "GTV large"),
        ("L2", "GTV small"),
    ]
    assert findings.lesions[0].diameters.longest_mm == pytest.approx(24, abs=2)
    assert findings.study_uid == "1.2"


def test_the_side_of_a_lesion_is_the_lung_around_it(ct):
    findings = characterised(
        examine(ct),
        *LUNGS,
        lesion("GTV a", (-35, 0, 0), 9),
        lesion("GTV b", (35, 0, 0), 7),
        lesion("GTV c", (0, 0, 0), 5),
        lesion("GTV d", (-6, 20, 0), 6),
    )

    sites = {f.structure.name: f.site for f in findings.lesions}
    assert sites == {
        "GTV a": "lung_right",
        "GTV b": "lung_left",
        "GTV c": "unknown",
        "GTV d": "lung_right",
    }


@pytest.mark.parametrize(
    ("name", "origin", "radius_mm", "kind"),
    [
        pytest.param("lesion 1", "automatic", 7, LesionKind.NODULE, id="found and small"),
        pytest.param("lesion 1", "automatic", 16, LesionKind.MASS, id="found and 30 mm or more"),
        pytest.param("GTV-1", "RTSTRUCT", 7, LesionKind.TUMOUR, id="given is a tumour"),
        pytest.param("nodule_left", "labelmap", 5, LesionKind.NODULE, id="named nodule"),
        pytest.param("lymph_node", "SEG", 9, LesionKind.LYMPH_NODE, id="named lymph node"),
        pytest.param("GTV LN 4R", "RTSTRUCT", 9, LesionKind.LYMPH_NODE, id="abbreviated"),
        pytest.param("alnus", "RTSTRUCT", 9, LesionKind.TUMOUR, id="ln inside a word is no node"),
    ],
)
def test_kind_follows_name_origin_and_size(ct, name, origin, radius_mm, kind):
    given = lesion(name, (-35, 0, 0), radius_mm, origin=origin)

    (found,) = characterised(examine(ct), *LUNGS, given).lesions

    assert found.kind is kind


def test_a_gross_tumour_volume_that_came_as_an_organ_is_a_lesion(ct):
    given = lesion("gtv_mass", (-35, 0, 0), 8, type=StructureType.ORGAN)
    target = lesion("PTV", (-35, 0, 0), 12, type=StructureType.TARGET)

    findings = characterised(examine(ct), given, target)

    assert [f.structure.name for f in findings.lesions] == ["gtv_mass"]
    assert findings.organs == ()


def test_values_are_read_on_images_of_the_same_frame_only(ct, pet):
    other = replace(pet, name="PT 2", series=series("PT", frame="9.9"))
    nameless = replace(pet, name="MR", series=series("MR", frame=""))

    (found,) = characterised(
        examine(ct, pet, other, nameless), lesion("GTV", (-35, 0, 0), 7)
    ).lesions

    on_ct, on_pet = found.statistics
    assert (on_ct.image, on_ct.unit, on_ct.mean) == ("CT", "HU", -850)
    assert (on_pet.image, on_pet.unit, on_pet.maximum) == ("PT", "g/mL", 8)
    assert on_pet.mean == pytest.approx(8, abs=0.01)
    assert (found.uptake.image, found.uptake.maximum) == ("PT", 8)
    assert found.uptake.tlg_g == pytest.approx(8 * found.uptake.mtv_ml, rel=1e-3)
    assert found.uptake.mtv_ml == pytest.approx(found.volume_ml, rel=0.3)


def test_images_without_a_frame_of_reference_share_none(ct, pet):
    first, second = (replace(i, series=series(i.name, frame="")) for i in (ct, pet))

    (found,) = characterised(examine(first, second), lesion("GTV", (-35, 0, 0), 7)).lesions

    assert [s.image for s in found.statistics] == ["CT"]


def test_a_lesion_outside_the_pet_has_values_on_the_ct_only(ct, pet):
    far = replace(PET_GRID, origin_mm=(500.0, 0.0, 0.0))
    away = replace(pet, volume=replace(pet.volume, grid=far))

    (found,) = characterised(examine(ct, away), lesion("GTV", (-35, 0, 0), 7)).lesions

    assert [s.image for s in found.statistics] == ["CT"]


def test_a_lesion_drawn_on_the_pet_takes_its_site_from_the_ct(ct, pet):
    on_pet = lesion("GTV", (35, 0, 0), 9, grid=PET_GRID)
    visit = VisitStructures(
        images=(
            ImageStructures(image="CT", structures=StructureSet(LUNGS)),
            ImageStructures(image="PT", structures=StructureSet((on_pet,))),
        )
    )

    (found,) = characterise(examine(ct, pet), visit, options=OPTIONS).lesions

    assert (found.image, found.site) == ("PT", "lung_left")
    assert [s.image for s in found.statistics] == ["PT", "CT"]


def test_delineations_of_one_tumour_on_two_images_are_both_listed(ct, pet):
    visit = VisitStructures(
        images=(
            ImageStructures(image="CT", structures=StructureSet((lesion("GTV", (-35, 0, 0), 8),))),
            ImageStructures(
                image="PT",
                structures=StructureSet((lesion("GTV", (-35, 0, 0), 10, grid=PET_GRID),)),
            ),
        )
    )

    findings = characterise(examine(ct, pet), visit, options=OPTIONS)

    assert [f.image for f in findings.lesions] == ["PT", "CT"]
    assert len({f.tracking_uid for f in findings.lesions}) == 2
    assert any("several images" in str(n) for n in findings.notices)


def test_tracking_uids_depend_on_place_and_shape_alone(ct):
    first, again = (
        characterised(examine(ct), lesion("GTV", (-35, 0, 0), 8)).lesions[0] for _ in range(2)
    )
    moved = characterised(examine(ct), lesion("GTV", (-35, 4, 0), 8)).lesions[0]

    assert first.tracking_uid == again.tracking_uid
    assert first.tracking_uid != moved.tracking_uid
    assert first.tracking_uid.startswith("2.25.")
    assert len(first.tracking_uid) <= 64


def test_organ_volume_and_values_agree_with_simpleitk(ct):
    findings = characterised(examine(ct), *LUNGS)

    right = next(o for o in findings.organs if o.name == "lung_right")
    label = sitk.GetImageFromArray(LUNGS[0].mask.astype(np.uint8))
    label.SetSpacing(GRID.spacing_mm[::-1])
    shape = sitk.LabelShapeStatisticsImageFilter()
    shape.Execute(label)
    assert right.volume_ml == pytest.approx(shape.GetPhysicalSize(1) / 1000)
    assert (right.statistics.mean, right.statistics.deviation) == (-850, 0)


def test_what_is_empty_is_left_out_and_said(ct):
    empty = Structure.of("GTV 2", np.zeros(GRID.shape), GRID, type=StructureType.LESION)

    findings = characterised(examine(ct), empty)

    assert findings.lesions == ()
    assert [str(n) for n in findings.notices] == ["'GTV 2' on CT is empty and was left out."]


def test_found_lesions_are_measured_by_the_image_and_given_ones_by_their_mask(ct):
    away_mm = np.linalg.norm(
        GRID.to_patient(np.stack(np.indices(GRID.shape), -1).astype(float)) - (-35, 1, 0), axis=-1
    )
    share = np.clip((7.2 - away_mm) / 2.2 + 0.5, 0, 1)
    values = (-850 + 890 * share).astype(np.float32)
    image = replace(ct, volume=replace(ct.volume, values=values))
    mask = share >= 0.5

    measured = {}
    for origin in ("automatic", "RTSTRUCT"):
        given = Structure.of("x", mask, GRID, type=StructureType.LESION, origin=origin)
        (found,) = characterised(examine(image), *LUNGS, given).lesions
        measured[origin] = found.diameters.longest_mm

    assert measured["automatic"] == pytest.approx(14.4, abs=0.3)
    assert abs(measured["RTSTRUCT"] - 14.4) > abs(measured["automatic"] - 14.4)

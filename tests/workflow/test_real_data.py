"""Real patients go through every stage that their data allow; sizes agree with SimpleITK."""

import numpy as np
import pytest
import SimpleITK as sitk

from aegle import api

from .conftest import NOW

pytestmark = pytest.mark.xdist_group("real data")

CASES = {
    "sts": ("dicom_series", "sts_025_ct_pet_mr_rtstruct.zip"),
    "prostate": ("dicom_series", "prostatex_0000_t2w_adc_bval.zip"),
    "ibsi": ("dicom_series", "ibsi1_ct_with_rtstruct.zip"),
    "lung1": ("lung1_001_ct",),
}


@pytest.fixture(scope="module")
def case(shared_data, tmp_path_factory):
    done = {}

    def run(name):
        if name not in done:
            out = tmp_path_factory.mktemp(name) / "case"
            done[name] = (api.run([shared_data(*CASES[name])], out, now=NOW), out)
        return done[name]

    return run


def label_of(structure):
    label = sitk.GetImageFromArray(structure.mask.astype(np.uint8))
    label.SetSpacing(structure.grid.spacing_mm[::-1])
    return label


@pytest.mark.parametrize("name", CASES)
def test_report_is_written(case, name):
    _, out = case(name)

    assert (out / "report.html").stat().st_size > 50_000
    assert (out / "report.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("name", ["sts", "ibsi", "lung1"])
def test_volumes_agree_with_simpleitk_on_the_same_masks(case, name):
    results, _ = case(name)
    volumes = {}
    for item in results.segmentations.visits[0].images:
        for structure in item.structures:
            shape = sitk.LabelShapeStatisticsImageFilter()
            shape.Execute(label_of(structure))
            volumes[structure.name] = shape.GetPhysicalSize(1) / 1000
    found = results.findings.visits[0]

    assert found.lesions
    assert found.organs
    for organ in found.organs:
        assert organ.volume_ml == pytest.approx(volumes[organ.name], rel=1e-6)
    for lesion in found.lesions:
        assert lesion.volume_ml == pytest.approx(volumes[lesion.structure.name], rel=1e-6)


@pytest.mark.parametrize("name", ["sts", "ibsi", "lung1"])
def test_longest_diameter_agrees_with_simpleitk_feret_on_the_same_slice(case, name):
    results, _ = case(name)
    for lesion in results.findings.visits[0].lesions:
        structure, size = lesion.structure, lesion.diameters
        shape = sitk.LabelShapeStatisticsImageFilter()
        shape.ComputeFeretDiameterOn()
        shape.Execute(label_of(structure)[:, :, size.slice_index])
        pixel_mm = max(structure.grid.spacing_mm[1:])

        # SimpleITK measures between pixel centres, we between borders: at most a pixel more.
        assert shape.GetFeretDiameter(1) - 0.1 <= size.longest_mm
        assert size.longest_mm <= shape.GetFeretDiameter(1) + 1.5 * pixel_mm


def test_given_tumour_volumes_are_the_published_ones(case):
    lung1 = {o.structure.name: o for o in case("lung1")[0].findings.visits[0].lesions}

    # README of the set: GTV 160.7 mL at full resolution.
    assert lung1["GTV-1"].volume_ml == pytest.approx(160.7, abs=0.5)


def test_every_image_of_a_multimodal_study_is_there(case):
    (visit,) = case("sts")[0].examinations.visits

    assert [i.series.modality for i in visit.images] == ["CT", "PT", "MR"]
    assert {s.name for i in visit.images for s in i.structures} == {
        "GTV_Mass_CT",
        "GTV_Mass_PET",
        "GTV_Mass_MR_T1",
    }
    assert visit.image("PT").volume.quantity.value == "g/mL"


def test_mr_without_structures_says_what_is_missing(case):
    results, _ = case("prostate")

    assert str(results.planning.reason) == "Dose is calculated on CT, and there is none."
    assert "there are 0" in str(results.following.reason)
    notices = [str(n) for v in results.segmentations.visits for n in v.notices]
    assert "MR: lesions were not looked for: it is not a CT." in notices


def test_given_organs_stand_in_for_those_that_would_be_found(case):
    results, _ = case("lung1")
    (image,) = results.segmentations.visits[0].images

    names = [s.name for s in image.structures]
    assert {"Lung-Left", "Lung-Right", "Spinal-Cord", "GTV-1", "body", "bone"} <= set(names)
    assert not {"lung_left", "lung_right", "spinal_cord"} & set(names)
    assert results.findings.visits[0].lesions[0].site == "lung_left"
    notices = [str(n) for n in results.segmentations.visits[0].notices]
    assert notices == ["ct: lesions were not looked for: they came with it."]


def test_plan_warns_of_what_it_does_not_cover(case):
    superficial = [str(n) for n in case("sts")[0].planning.plan.notices]
    cut_off = [str(n) for n in case("ibsi")[0].planning.plan.notices]

    assert any("in the layer of 5.0 mm under the skin" in n for n in superficial)
    assert any("cut off by the edge of the image" in n for n in cut_off)
    assert any(n.startswith("Only the right lung is delineated") for n in cut_off)


def test_screening_rule_does_not_apply_to_any(case):
    for name in CASES:
        for said in case(name)[0].suggestions.visits:
            assert [s.applies for s in said if s.rule == "Lung-RADS v2022"] == [False]

"""Radiomic features against the reference values of the IBSI.

The digital phantom (design: Alex Zwanenburg, CC BY 4.0, theibsi/data_sets) and its values are
those of Zwanenburg A et al. Radiology 2020;295:328-338 and the IBSI reference manual.
"""

import csv

import numpy as np
import pytest
import SimpleITK as sitk

from aegle.domain.errors import GeometryError, InputError
from aegle.domain.grid import Grid
from aegle.domain.structure import Structure
from aegle.domain.volume import Quantity, Volume
from aegle.imaging.radiomics import RadiomicsOptions, radiomics

PHANTOM = np.array(
    [
        [[1, 4, 4, 1, 1], [1, 4, 6, 1, 1], [4, 1, 6, 4, 1], [4, 4, 6, 4, 1]],
        [[1, 4, 4, 1, 1], [1, 1, 6, 1, 1], [0, 1, 3, 1, 1], [4, 4, 6, 1, 1]],
        [[1, 4, 4, 0, 0], [1, 1, 1, 1, 1], [1, 1, 0, 1, 1], [1, 1, 6, 1, 1]],
        [[1, 4, 4, 0, 0], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 6, 1, 1]],
    ]
)
"""Grey levels; 0 where the phantom's mask leaves a voxel out."""
OUTSIDE = 9.0
PUBLISHED = {
    "morph_volume": (556, 4),
    "morph_area_mesh": (388, 3),
    "morph_sphericity": (0.843, 0.005),
    "morph_diam": (13.1, 0.1),
    "morph_pca_least_axis": (8.54, 0.05),
    "morph_area_dens_aee": (1.36, 0.01),
    "morph_vol_dens_conv_hull": (0.961, 0.006),
    "morph_moran_i": (0.0397, 0.0003),
    "loc_peak_glob": (3.1, 0),
    "stat_kurt": (-0.355, 0),
    "stat_qcod": (0.6, 0),
    "ih_entropy": (1.27, 0),
    "ih_min_grad": (-50, 0),
    "ivh_v90": (0.0946, 0),
    "ivh_i10": (5, 0),
    "cm_joint_entr_2D_avg": (2.05, 0),
    "cm_corr_2_5D_comb": (0.182, 0),
    "cm_info_corr1_3D_comb": (-0.0288, 0),
    "cm_clust_prom_3D_avg": (145, 0),
    "rlm_lrhge_2D_comb": (16.1, 0),
    "rlm_rlnu_3D_comb": (328, 0),
    "rlm_rl_entr_3D_avg": (2.43, 0),
    "szm_lzhge_2_5D": (107, 0),
    "szm_zs_var_3D": (331, 0),
    "dzm_zdnu_2D": (3.79, 0),
    "dzm_ldhge_3D": (15.6, 0),
    "ngt_coarseness_3D": (0.0296, 0),
    "ngt_strength_2D": (2.88, 0),
    "ngl_dc_entr_3D": (4.4, 0),
    "ngl_hdhge_2_5D": (50.8, 0),
}
"""Value and tolerance of one or more features of each family and way of adding up."""


def is_within(found, value, tolerance):
    """Return whether a value agrees as it is published: to three digits."""
    rounded = float(f"{found:.3g}")
    return min(abs(found - value), abs(rounded - value)) <= tolerance + 1e-9


def features(values, inside, spacing_mm, **options):
    grid = Grid(shape=values.shape, spacing_mm=spacing_mm)
    image = Volume(values=values.astype(np.float32), grid=grid, quantity=Quantity.RADIODENSITY)
    lesion = Structure.of("lesion", inside, grid)
    return radiomics(image, lesion, options=RadiomicsOptions(**options))


@pytest.fixture(scope="module")
def phantom():
    inside = PHANTOM > 0
    values = np.where(inside, PHANTOM, OUTSIDE)
    # The image goes on outside the mask; the peak of 1 cm3 sees it there.
    values[1, 2, 0] = values[2, 0, 3:] = values[3, 0, 3:] = 1
    return features(values, inside, (2.0, 2.0, 2.0), discretisation="none")


@pytest.mark.parametrize("tag", PUBLISHED)
def test_feature_of_the_digital_phantom(phantom, tag):
    assert is_within(phantom[tag], *PUBLISHED[tag])


@pytest.fixture(scope="module")
def data(shared_data):
    return shared_data("ibsi_reference")


def reference(path):
    with path.open() as rows:
        return {
            row["tag"]: (float(row["reference value"]), float(row["tolerance"]))
            for row in csv.DictReader(rows, delimiter=";")
            if row["reference value"]
        }


def test_every_feature_of_the_digital_phantom(phantom, data):
    folder = data / "ibsi_1_digital_phantom" / "nifti"
    values, inside = (
        sitk.GetArrayFromImage(sitk.ReadImage(str(folder / name)))
        for name in ("image/phantom.nii.gz", "mask/mask.nii.gz")
    )
    expected = reference(data / "reference_values" / "ibsi_1_dig_phantom.csv")

    found = features(values, inside > 0, (2.0, 2.0, 2.0), discretisation="none")

    assert np.array_equal(np.where(inside > 0, values, 0), PHANTOM)
    assert set(found) == set(expected)
    assert len(expected) == 482
    assert [tag for tag in expected if not is_within(found[tag], *expected[tag])] == []
    assert found == phantom


def test_every_feature_of_the_lung_tumour_as_acquired(data):
    """Configuration A: values from -500 to 400 HU, bins of 25 HU, no resampling."""
    folder = data / "ibsi_1_ct_radiomics_phantom" / "nifti"
    image, mask = (
        sitk.ReadImage(str(folder / name)) for name in ("image/phantom.nii.gz", "mask/mask.nii.gz")
    )
    expected = reference(data / "reference_values" / "ibsi_1_chest_config_a.csv")

    found = features(
        np.round(sitk.GetArrayFromImage(image)),
        sitk.GetArrayFromImage(mask) > 0,
        image.GetSpacing()[::-1],
        discretisation="bin width",
        bin_width=25.0,
        lowest=-500.0,
        highest=400.0,
    )

    both = set(found) & set(expected)
    assert len(both) == 346
    # Moran's I and Geary's C compare all pairs of voxels, too many here.
    left_out = {"morph_moran_i", "morph_geary_c"}
    assert all(np.isnan(found[tag]) for tag in left_out)
    assert [t for t in sorted(both - left_out) if not is_within(found[t], *expected[t])] == []


def test_turning_the_lesion_changes_no_feature_in_space():
    random = np.random.default_rng(4)
    values = random.integers(1, 6, (5, 5, 5)).astype(float)
    inside = random.random((5, 5, 5)) < 0.8
    inside[2] = True

    first = features(values, inside, (1.0, 1.0, 1.0), discretisation="none")
    turned = features(
        np.rot90(values, axes=(0, 2)).copy(),
        np.rot90(inside, axes=(0, 2)).copy(),
        (1.0, 1.0, 1.0),
        discretisation="none",
    )

    for tag in first:
        if "2D" not in tag and "2_5D" not in tag:
            assert turned[tag] == pytest.approx(first[tag], rel=1e-6, abs=1e-6), tag


def test_equal_bins_by_number_and_by_width_agree():
    random = np.random.default_rng(8)
    values = random.uniform(0, 100, (4, 6, 6))
    values[0, 0, 0], values[0, 0, 1] = 0, 99.999
    inside = np.ones(values.shape, bool)

    by_number = features(values, inside, (1.0, 1.0, 1.0), discretisation="bin number", bins=10)
    by_width = features(values, inside, (1.0, 1.0, 1.0), bin_width=9.99995)

    for tag in by_number:
        if not tag.startswith("ivh"):
            assert by_width[tag] == pytest.approx(by_number[tag], nan_ok=True), tag


def test_refuses_what_has_no_features():
    one = np.ones((3, 3, 3), bool)
    with pytest.raises(InputError, match="discretisation"):
        features(np.full((3, 3, 3), 0.5), one, (1.0, 1.0, 1.0), discretisation="none")
    with pytest.raises(InputError, match="no numbers"):
        features(np.full((3, 3, 3), np.nan), one, (1.0, 1.0, 1.0))
    with pytest.raises(InputError, match="fewer than 4"):
        features(np.zeros((3, 3, 3)), one, (1.0, 1.0, 1.0), lowest=5.0)
    grid = Grid(shape=(3, 3, 3), spacing_mm=(1.0, 1.0, 1.0))
    image = Volume(values=np.ones((3, 3, 3)), grid=grid, quantity=Quantity.SIGNAL)
    elsewhere = Structure.of("s", one, Grid(shape=(3, 3, 3), spacing_mm=(2.0, 1.0, 1.0)))
    with pytest.raises(GeometryError):
        radiomics(image, elsewhere, options=RadiomicsOptions())

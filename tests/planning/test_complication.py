"""Complication models against worked values and published tables."""

import json
import math
import pickle

import numpy as np
import pytest
import torch

from aegle.domain.errors import OptionError
from aegle.planning.complication import (
    Coefficient,
    ComplicationModel,
    complication_model,
    complication_models,
    models_of,
)
from aegle.planning.equivalent_dose import generalised_eud


def lkb(td50_gy, m, n):
    values = {"td50_gy": td50_gy, "m": m, "n": n}
    return ComplicationModel(
        name="made",
        organ="organ",
        endpoint="endpoint",
        kind="lkb",
        alpha_beta_gy=3.0,
        coefficients={k: Coefficient(value=v) for k, v in values.items()},
        source="made",
        doi="",
        checked="",
    )


# Worked values of the project's rules, section 10; four or five digits.
@pytest.mark.parametrize(
    ("td50_gy", "m", "n", "doses", "shares", "eud_gy", "probability"),
    [
        (76.9, 0.13, 0.09, [75, 50, 20], [0.2, 0.3, 0.5], 64.983, 0.1166),
        (76.9, 0.13, 0.09, [80, 20], [0.5, 0.5], 75.162, 0.4310),
        (39.8, 0.12, 0.97, [50, 20], [0.4, 0.6], 32.102, 0.0535),
        (24.5, 0.18, 0.87, [40, 5], [0.3, 0.7], 16.609, 0.0368),
    ],
)
def test_lyman_kutcher_burman(td50_gy, m, n, doses, shares, eud_gy, probability):
    found_gy = generalised_eud(torch.tensor(doses).double(), 1 / n, torch.tensor(shares).double())
    found = lkb(td50_gy, m, n).probability(doses, shares=shares)

    assert float(found_gy) == pytest.approx(eud_gy, abs=5e-4)
    assert float(found) == pytest.approx(probability, abs=5e-5)
    # The same to the last digits by the definition.
    eud = sum(v * d ** (1 / n) for v, d in zip(shares, doses, strict=True)) ** n
    exact = 0.5 * math.erfc(-(eud - td50_gy) / (m * td50_gy) / math.sqrt(2))
    assert float(found) == pytest.approx(exact, abs=1e-6)


# The table of Castelli 2016 (37 rows): 32 within 0.6 percentage points, a median of 0.07; two rows
# are printed in exchanged order, three more differ by 0.9 to 2.9 points.
def test_parotid_table(shared_data):
    rows = json.loads(shared_data("rules", "parotid_lkb.json").read_text())
    (table,) = rows.values()
    model = complication_model("parotid_flow")

    apart = [
        abs(100 * float(model.probability([row["mean_dose_Gy"]])) - row["ntcp_pct"])
        for row in table
    ]

    assert len(apart) == 37
    assert sum(a <= 0.6 for a in apart) == 32
    assert np.median(apart) == pytest.approx(0.07, abs=0.01)
    assert sorted(apart)[-5:][0] >= 0.9
    assert max(apart) <= 2.95


@pytest.mark.parametrize(
    ("mean_gy", "percent"), [(7, 4.8), (13, 9.7), (20, 20.6), (24, 30.0), (27, 38.5)]
)
def test_pneumonitis_of_quantec(mean_gy, percent):
    found = complication_model("lung_pneumonitis").probability([mean_gy])

    assert 100 * float(found) == pytest.approx(percent, abs=0.05)


# Log odds worked out by hand from the coefficients of each paper.
@pytest.mark.parametrize(
    ("name", "mean_gy", "factors", "log_odds"),
    [
        ("oesophagitis_chemotherapy", 30, (), -3.13 + 0.0688 * 30),
        ("oesophagitis_chemotherapy", 30, ("concurrent_chemotherapy",), -3.13 + 2.064 + 1.5),
        (
            "oesophagitis_with_factors",
            25,
            ("female", "stage_t3_or_t4"),
            -6.418 + 0.117 * 25 + 1.204 + 0.994,
        ),
        ("lung_pneumonitis_with_factors", 34.4, (), 0.0),
        ("lung_pneumonitis_with_factors", 17.2, (), -4 * 1.19 / 2),
        (
            "lung_pneumonitis_with_factors",
            34.4,
            ("older_than_63", "current_smoker"),
            math.log(1.66 * 0.62),
        ),
    ],
)
def test_logistic_models(name, mean_gy, factors, log_odds):
    # Two voxels, so that the mean is what counts.
    doses = [mean_gy - 10, mean_gy + 10]

    found = complication_model(name).probability(doses, factors=factors)

    assert float(found) == pytest.approx(1 / (1 + math.exp(-log_odds)), abs=1e-9)


# Appelt 2014 shifts D50 and γ50 by the odds ratio; on the log odds that is the same as adding it.
def test_factors_shift_d50_as_published():
    d50, gamma50, odds = 34.4, 1.19, 2.27 * 1.66
    shifted_d50 = (1 - math.log(odds) / (4 * gamma50)) * d50
    shifted_gamma50 = gamma50 - math.log(odds) / 4
    expected = 1 / (1 + math.exp(4 * shifted_gamma50 * (1 - 20 / shifted_d50)))

    found = complication_model("lung_pneumonitis_with_factors").probability(
        [20.0], factors=("pulmonary_comorbidity", "older_than_63")
    )

    assert float(found) == pytest.approx(expected, abs=1e-12)


def test_fractions_are_converted_voxel_by_voxel():
    model = complication_model("rectum_bleeding")
    doses, in_2gy = [60.0, 30.0], [60 * 6 / 5, 30 * 4.5 / 5]

    assert float(model.probability(doses, fractions=20)) == pytest.approx(
        float(model.probability(in_2gy)), abs=1e-12
    )


@pytest.mark.parametrize("name", ["rectum_bleeding", "lung_pneumonitis", "spinal_cord_burman"])
def test_has_the_slope_of_finite_differences(name):
    doses = torch.tensor([20.0, 55.0, 70.0], dtype=torch.float64, requires_grad=True)
    model = complication_model(name)

    assert torch.autograd.gradcheck(lambda d: model.probability(d, fractions=30), (doses,))


# Burman 1991 as listed in the rules, section 10: TD50, n, m.
def test_burman_set():
    expected = {
        "lung": (24.5, 0.87, 0.18),
        "heart": (48, 0.35, 0.10),
        "oesophagus": (68, 0.06, 0.11),
        "spinal_cord": (66.5, 0.05, 0.175),
        "brainstem": (65, 0.16, 0.14),
        "brain": (60, 0.25, 0.15),
        "optic_nerve": (65, 0.25, 0.14),
        "kidney": (28, 0.70, 0.10),
        "liver": (40, 0.32, 0.15),
        "small_bowel": (55, 0.15, 0.16),
        "bladder": (80, 0.5, 0.11),
    }

    for organ, values in expected.items():
        found = complication_model(f"{organ}_burman").coefficients
        assert tuple(found[k].value for k in ("td50_gy", "n", "m")) == values


def test_every_model_names_its_source_and_what_it_was_checked_against():
    for model in complication_models().values():
        assert model.doi.startswith("10.")
        assert model.source
        assert model.checked
        for used in (*model.coefficients.values(), *model.factors.values()):
            assert not used.is_published or used.low < used.value < used.high


def test_models_of_an_organ():
    assert {m.name for m in models_of("liver")} == {
        "liver_disease_metastatic",
        "liver_disease_primary",
        "liver_burman",
    }


def test_a_model_survives_another_process():
    model = complication_model("lung_pneumonitis_with_factors")

    assert pickle.loads(pickle.dumps(model)) == model


def test_refuses_unknown_names():
    with pytest.raises(OptionError, match="rectum_bleeding"):
        complication_model("rectum")
    with pytest.raises(OptionError, match="concurrent_chemotherapy"):
        complication_model("oesophagitis_chemotherapy").probability([30.0], factors=("female",))

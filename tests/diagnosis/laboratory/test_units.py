"""Factors from the definitions of the units and from molar masses, and what must not convert."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegle.diagnosis.laboratory.analytes import analytes
from aegle.diagnosis.laboratory.units import convert, unit_of
from aegle.domain.errors import QuantityError

ATOMIC_WEIGHTS = {
    # CIAAW abridged standard atomic weights, 2021.
    **{"H": 1.008, "C": 12.011, "N": 14.007, "O": 15.999, "Na": 22.990, "Mg": 24.305},
    **{"P": 30.974, "Cl": 35.45, "K": 39.098, "Ca": 40.078, "Fe": 55.845},
}


@pytest.mark.parametrize(
    ("analyte", "given_value", "unit", "expected"),
    [
        # Conventional to SI factors as printed in the AMA Manual of Style, 11th edition.
        pytest.param("glucose", 100, "mg/dL", 100 * 0.0555, id="glucose"),
        pytest.param("creatinine", 1, "mg/dL", 88.4, id="creatinine"),
        pytest.param("urea_nitrogen", 10, "mg/dL", 3.57, id="urea nitrogen"),
        pytest.param("cholesterol", 200, "mg/dL", 200 * 0.0259, id="cholesterol"),
        pytest.param("triglycerides", 100, "mg/dL", 1.13, id="triglycerides"),
        pytest.param("bilirubin_total", 1, "mg/dL", 17.1, id="bilirubin"),
        pytest.param("uric_acid", 5, "mg/dL", 297.4, id="uric acid"),
        pytest.param("calcium", 10, "mg/dL", 2.5, id="calcium"),
        pytest.param("calcium", 5, "meq/L", 2.5, id="calcium in equivalents"),
        pytest.param("sodium", 140, "mEq/L", 140, id="sodium in equivalents"),
        pytest.param("iron", 100, "ug/dL", 17.9, id="iron"),
        pytest.param("albumin", 4.2, "g/dL", 42, id="albumin"),
        pytest.param("haemoglobin", 13.5, "g/dL", 135, id="haemoglobin"),
        pytest.param("prostate_specific_antigen", 4, "ng/mL", 4, id="PSA"),
        pytest.param("troponin_i", 0.04, "ng/mL", 40, id="troponin"),
        pytest.param("leukocytes", 7.2, "10*3/uL", 7.2, id="leukocytes"),
        pytest.param("leukocytes", 7200, "/uL", 7.2, id="leukocytes per microlitre"),
        pytest.param("erythrocytes", 4.5, "10^6/µL", 4.5, id="erythrocytes"),
        pytest.param("platelets", 250, "x10^9/L", 250, id="platelets"),
        pytest.param("body_temperature", 98.6, "[degF]", 37, id="temperature"),
        pytest.param("alkaline_phosphatase", 1, "ukat/L", 60, id="katal"),
        pytest.param("glomerular_filtration_rate", 60, "mL/min", 60, id="annotation"),
    ],
)
def test_a_value_turns_into_the_unit_of_its_analyte(analyte, given_value, unit, expected):
    one = analytes()[analyte]

    found = convert(given_value, unit, one.unit, molar_mass=one.molar_mass, valence=one.valence)

    # The printed factors have three digits.
    assert found == pytest.approx(expected, rel=4e-3)


@pytest.mark.parametrize("name", [n for n, a in analytes().items() if a.formula])
def test_molar_mass_is_that_of_the_formula(name):
    one = analytes()[name]
    atoms = re.findall(r"([A-Z][a-z]?)(\d*)", one.formula)

    assert one.molar_mass == pytest.approx(
        sum(ATOMIC_WEIGHTS[atom] * int(count or 1) for atom, count in atoms), abs=6e-4
    )


@pytest.mark.parametrize(
    ("start", "end"),
    [("mg/dL", "mmol/L"), ("g/L", "g"), ("U/L", "[iU]/L"), ("%", "g/L"), ("10*9/L", "fL")],
)
def test_what_measures_something_else_is_refused(start, end):
    with pytest.raises(QuantityError, match="measure different things"):
        convert(1, start, end)


@pytest.mark.parametrize("text", ["mg/dl%%", "furlong", "mgg/L", "mmmol/L", "(score)"])
def test_unknown_units_are_refused(text):
    with pytest.raises(QuantityError, match="not known"):
        unit_of(text)


units_of_mass = st.sampled_from(["mg/dL", "g/L", "ug/mL", "ng/mL", "kg/L", "mmol/L", "nmol/dL"])


@given(st.floats(1e-3, 1e6), units_of_mass, units_of_mass, st.floats(1, 1e5))
def test_there_and_back_gives_the_same_value(value, start, end, molar_mass):
    there = convert(value, start, end, molar_mass=molar_mass)

    assert convert(there, end, start, molar_mass=molar_mass) == pytest.approx(value, rel=1e-9)


def test_every_analyte_has_a_unit_that_is_known_limits_in_order_and_codes_of_its_own():
    codes = [code for one in analytes().values() for code in one.loinc]

    assert len(codes) == len(set(codes))
    for one in analytes().values():
        unit_of(one.unit)
        assert one.low < one.high
        for other in one.others:
            convert(1, other, one.unit, molar_mass=one.molar_mass, valence=one.valence)


@pytest.mark.parametrize("code", [c for one in analytes().values() for c in one.loinc])
def test_every_code_has_the_check_digit_of_loinc(code):
    """LOINC ends in a Luhn (modulus 10) check digit (LOINC Users' Guide, appendix C)."""
    number, check = code.split("-")
    total = 0
    for place, digit in enumerate(reversed(number)):
        weighed = int(digit) * (2 if place % 2 == 0 else 1)
        total += weighed // 10 + weighed % 10

    assert (10 - total % 10) % 10 == int(check)

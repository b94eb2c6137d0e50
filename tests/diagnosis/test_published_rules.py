"""Each published rule at and beside its thresholds, and against published vectors."""

import json
import math

import pytest

from aegle.diagnosis.published import rule, rules
from aegle.diagnosis.rule import REVIEW, load, names

VECTORS = {
    "lung-rads": ("lungrads", 32),
    "fleischner": ("fleischner", 11),
    "ti-rads": ("tirads", 11),
    "li-rads": ("lirads", 17),
    "pi-rads": ("pirads", 13),
    "brock": ("brock", 6),
    "mayo": ("mayo", 6),
    "tnm9-lung": ("tnm9", 16),
}


def result(name, **facts):
    return rule(name, facts).result


def reason(name, **facts):
    answer = rule(name, facts)
    assert answer.result == REVIEW
    assert answer.outcome.next_step is None
    return str(answer.outcome.reason)


@pytest.mark.parametrize("name", VECTORS)
def test_published_vectors(name, shared_data):
    file, count = VECTORS[name]
    vectors = json.loads(shared_data("rules", f"{file}.json").read_text())

    judged = [rule(name, vector["input"]).result for vector in vectors]

    assert len(vectors) == count
    assert judged == [vector["expected"] for vector in vectors]
    assert [type(j) for j in judged] == [type(vector["expected"]) for vector in vectors]


def test_the_rules_that_are_shipped():
    assert names() == (
        *("aspects", "bi-rads", "bosniak-2019", "brock", "fleischner", "li-rads", "lung-rads"),
        *("mayo", "pi-rads", "ti-rads", "tnm9-lung"),
    )


@pytest.mark.parametrize("one", rules(), ids=lambda one: one["rule"])
def test_every_rule_names_its_source_and_answers_its_example(one):
    answer = rule(one["rule"], one["example"]).plain()

    assert one["rule"] == load(one["rule"]).id
    assert one["citation"]
    assert one["doi"] or "BI-RADS Atlas" in one["citation"]
    assert one["doi"] in one["citation"]
    assert one["effective"]
    assert answer["result"] != REVIEW
    assert answer["row"]
    assert answer["next_step"]
    assert answer["row_confirmed"]


@pytest.mark.parametrize("name", [n for n in names() if n != "fleischner"])
def test_no_rule_is_for_children(name):
    example = load(name).example

    assert result(name, **example | {"age": 18}) != REVIEW
    assert reason(name, **example | {"age": 17.9})


# Fleischner 2017, table 1 and table 2.


@pytest.mark.parametrize(
    ("facts", "limits"),
    [
        pytest.param(
            {},
            [(5.4, "none"), (5.5, "6-12 consider"), (8.4, "6-12 consider"), (8.5, "PET")],
            id="single solid, low risk",
        ),
        pytest.param(
            {"high_risk": 1},
            [(5.4, "optional"), (5.5, "6-12 then"), (8.4, "6-12 then"), (8.5, "PET")],
            id="single solid, high risk",
        ),
        pytest.param(
            {"multiple": 1},
            [(5.4, "none"), (5.5, "3-6 consider"), (8.4, "3-6 consider"), (8.5, "3-6 consider")],
            id="several solid, low risk",
        ),
        pytest.param(
            {"multiple": 1, "high_risk": 1},
            [(5.4, "optional"), (5.5, "3-6 then"), (8.4, "3-6 then"), (8.5, "3-6 then")],
            id="several solid, high risk",
        ),
        pytest.param(
            {"type": "ggn", "high_risk": 1}, [(5.4, "none"), (5.5, "until 5y")], id="ground glass"
        ),
        pytest.param(
            {"type": "part_solid"}, [(5.4, "none"), (5.5, "annual"), (12, "annual")], id="part"
        ),
        pytest.param(
            {"type": "ggn", "multiple": 1},
            [(5.4, "2y and 4y"), (5.5, "most suspicious")],
            id="several ground glass",
        ),
        pytest.param(
            {"type": "part_solid", "multiple": 1},
            [(5.4, "2y and 4y"), (5.5, "most suspicious")],
            id="several part-solid",
        ),
        pytest.param({"type": "perifissural"}, [(3, "none"), (12, "none")], id="perifissural"),
    ],
)
def test_fleischner(facts, limits):
    said = {
        "none": "none",
        "optional": "optional CT 12m",
        "6-12 consider": "CT 6-12m, then consider CT 18-24m",
        "6-12 then": "CT 6-12m, then CT 18-24m",
        "3-6 consider": "CT 3-6m, then consider CT 18-24m",
        "3-6 then": "CT 3-6m, then CT 18-24m",
        "PET": "consider CT 3m, PET/CT or tissue sampling",
        "until 5y": "CT 6-12m, then CT every 2y until 5y",
        "annual": "CT 3-6m; if unchanged and solid <6 mm annual CT 5y",
        "2y and 4y": "CT 3-6m; if stable consider CT 2y and 4y",
        "most suspicious": "CT 3-6m; then by most suspicious nodule",
    }

    judged = [(d, result("fleischner", **{"type": "solid", **facts}, d=d)) for d, _ in limits]

    assert judged == [(d, said[short]) for d, short in limits]


@pytest.mark.parametrize(
    ("volume", "like_d"), [(99.9, 5), (100, 6), (250, 8), (250.1, 9)], ids="{}".format
)
def test_fleischner_by_volume(volume, like_d):
    assert result("fleischner", type="solid", volume=volume) == result(
        "fleischner", type="solid", d=like_d
    )


def test_fleischner_is_not_for_everyone():
    nodule = {"type": "solid", "d": 9}

    assert result("fleischner", **nodule, age=35) != REVIEW
    assert "35 years" in reason("fleischner", **nodule, age=34.9)
    assert "cancer" in reason("fleischner", **nodule, known_cancer=True)
    assert "immunosuppressed" in reason("fleischner", **nodule, immunosuppressed=True)
    assert "Lung-RADS" in reason("fleischner", **nodule, screening=True)
    assert result("fleischner", **nodule | {"d": 30.4}) != REVIEW
    assert "mass" in reason("fleischner", **nodule | {"d": 30.5})
    assert result("fleischner", type="solid", volume=14137) != REVIEW
    assert "mass" in reason("fleischner", type="solid", volume=14138)
    assert "both" in reason("fleischner", **nodule, volume=300)
    assert "not part-solid" in reason("fleischner", **nodule, s=1)
    assert result("fleischner", **nodule, s=0) != REVIEW


@pytest.mark.parametrize(("s", "cautions"), [(5.4, 0), (5.5, 1)])
def test_fleischner_warns_of_a_large_solid_part(s, cautions):
    answer = rule("fleischner", {"type": "part_solid", "d": 10, "s": s})

    assert len(answer.outcome.cautions) == cautions


# ACR TI-RADS 2017, the chart of the white paper.


@pytest.mark.parametrize(
    ("facts", "points", "level"),
    [
        ({"comp": "cystic", "echo": "anechoic"}, 0, "TR1"),
        ({"comp": "mixed", "echo": "hyper"}, 2, "TR2"),
        ({"comp": "cystic", "echo": "hypo"}, 2, "TR2"),
        ({"comp": "solid", "echo": "iso"}, 3, "TR3"),
        ({"comp": "undetermined", "echo": "undetermined"}, 3, "TR3"),
        ({"comp": "solid", "echo": "hypo"}, 4, "TR4"),
        ({"comp": "solid", "echo": "iso", "margin": "ill_defined"}, 3, "TR3"),
        ({"comp": "solid", "echo": "iso", "margin": "undetermined"}, 3, "TR3"),
        ({"comp": "solid", "echo": "iso", "margin": "lobulated"}, 5, "TR4"),
        ({"comp": "solid", "echo": "iso", "margin": "irregular"}, 5, "TR4"),
        ({"comp": "solid", "echo": "iso", "margin": "ete"}, 6, "TR4"),
        ({"comp": "solid", "echo": "iso", "taller": 1}, 6, "TR4"),
        ({"comp": "solid", "echo": "hypo", "taller": 1}, 7, "TR5"),
        ({"comp": "solid", "echo": "very_hypo"}, 5, "TR4"),
        ({"comp": "solid", "echo": "iso", "foci": ["none"]}, 3, "TR3"),
        ({"comp": "solid", "echo": "iso", "foci": ["comet"]}, 3, "TR3"),
        ({"comp": "solid", "echo": "iso", "foci": "macro"}, 4, "TR4"),
        ({"comp": "solid", "echo": "iso", "foci": ["rim"]}, 5, "TR4"),
        ({"comp": "solid", "echo": "iso", "foci": ["punctate", "macro"]}, 7, "TR5"),
        ({"comp": "spongiform"}, 0, "TR1"),
        ({"comp": "spongiform", "echo": "hypo", "foci": ["macro"]}, 0, "TR1"),
    ],
)
def test_ti_rads_points(facts, points, level):
    assert result("ti-rads", **facts, cm=1.2)[:2] == [points, level]


@pytest.mark.parametrize(
    ("facts", "limits"),
    [
        (
            {"comp": "solid", "echo": "iso"},
            [(1.49, "none"), (1.5, "follow"), (2.49, "follow"), (2.5, "FNA")],
        ),
        (
            {"comp": "solid", "echo": "hypo"},
            [(0.99, "none"), (1.0, "follow"), (1.49, "follow"), (1.5, "FNA")],
        ),
        (
            {"comp": "solid", "echo": "hypo", "taller": 1},
            [(0.49, "none"), (0.5, "follow"), (0.99, "follow"), (1.0, "FNA")],
        ),
        ({"comp": "mixed", "echo": "iso"}, [(0.5, "none"), (6.0, "none")]),
    ],
)
def test_ti_rads_sizes(facts, limits):
    assert [(cm, result("ti-rads", **facts, cm=cm)[2]) for cm, _ in limits] == limits


def test_ti_rads_leaves_open_and_warns():
    one_point = {"comp": "cystic", "echo": "anechoic", "foci": ["macro"]}
    spongiform = {"comp": "spongiform", "foci": ["punctate"], "cm": 3}

    assert "1 point" in reason("ti-rads", **one_point, cm=3)
    assert "anechoic" in reason("ti-rads", comp="solid", echo="anechoic", cm=1)
    assert "'none' excludes" in reason("ti-rads", comp="solid", echo="iso", foci=["none", "rim"])
    assert "twice" in reason("ti-rads", comp="solid", echo="iso", foci=["rim", "rim"])
    assert "diameter" in reason("ti-rads", comp="solid", echo="iso")
    assert "composition (comp), echogenicity (echo)" in reason("ti-rads", cm=3)
    assert rule("ti-rads", spongiform).result == [0, "TR1", "none"]
    assert "reconsider" in str(rule("ti-rads", spongiform).outcome.cautions[0])
    assert "5 years" in str(
        rule("ti-rads", {"comp": "solid", "echo": "iso", "cm": 2}).outcome.next_step
    )


# LI-RADS v2018, the diagnostic table: rows by additional major features, columns by size.

TABLE_OF_LI_RADS = {
    # (washout, capsule, growth): none <20, none ≥20, nonrim <10, nonrim 10-19, nonrim ≥20
    (0, 0, 0): "33334",
    (1, 0, 0): "34455",
    (0, 1, 0): "34445",
    (0, 0, 1): "34455",
    (1, 1, 0): "44455",
    (1, 0, 1): "44455",
    (0, 1, 1): "44455",
    (1, 1, 1): "44455",
}


@pytest.mark.parametrize("features", TABLE_OF_LI_RADS)
def test_li_rads_table(features):
    major = dict(zip(("washout", "capsule", "growth"), features, strict=True))
    columns = [("none", (9, 10, 19.9)), ("none", (20, 40))]
    columns += [("nonrim", (5, 9.9)), ("nonrim", (10, 19.9)), ("nonrim", (20, 60))]

    judged = [{result("li-rads", aphe=a, d=d, **major) for d in sizes} for a, sizes in columns]

    assert judged == [{f"LR-{digit}"} for digit in TABLE_OF_LI_RADS[features]]


@pytest.mark.parametrize(
    ("facts", "plain", "malignant", "benign"),
    [
        ({"aphe": "none", "d": 9}, "LR-3", "LR-4", "LR-2"),
        ({"aphe": "nonrim", "d": 20}, "LR-4", "LR-4", "LR-3"),
        ({"aphe": "nonrim", "d": 20, "washout": 1}, "LR-5", "LR-5", "LR-4"),
        ({"aphe": "rim", "d": 20}, "LR-M", "LR-M", "LR-M"),
    ],
)
def test_li_rads_ancillary_features(facts, plain, malignant, benign):
    assert result("li-rads", **facts) == plain
    assert result("li-rads", **facts, af_malig=1) == malignant
    assert result("li-rads", **facts, af_benign=1) == benign
    assert result("li-rads", **facts, af_malig=1, af_benign=1) == plain


def test_li_rads_order_of_the_algorithm():
    steps = [
        ({"aphe": "nonrim", "d": 25, "washout": 1}, "LR-5"),
        ({"targetoid": 1}, "LR-M"),
        ({"probably_benign": 1}, "LR-2"),
        ({"definitely_benign": 1, "probably_benign": 0}, "LR-1"),
        ({"tiv": 1, "definitely_benign": 0}, "LR-TIV"),
        ({"inadequate": 1}, "LR-NC"),
    ]
    facts = {}
    for more, expected in steps:
        facts |= more
        assert result("li-rads", **facts) == expected


def test_li_rads_is_for_patients_at_risk():
    observation = {"aphe": "nonrim", "d": 25}

    assert result("li-rads", **observation, age=18) == "LR-4"
    assert "18 years" in reason("li-rads", **observation, age=17)
    assert "high risk" in reason("li-rads", **observation, at_risk=False)
    assert "vascular" in reason("li-rads", **observation, vascular_cirrhosis=1)
    assert "congenital" in reason("li-rads", **observation, congenital_fibrosis=1)
    assert "arterial phase" in reason("li-rads", d=25)
    assert "Probably benign, but" in reason("li-rads", probably_benign=1, af_malig=1)


# PI-RADS v2.1.


def test_pi_rads_peripheral_zone():
    judged = {
        dce: [result("pi-rads", zone="pz", t2=2, dwi=dwi, dce=dce) for dwi in range(1, 6)]
        for dce in ("-", "+", None)
    }

    assert judged == {"-": [1, 2, 3, 4, 5], "+": [1, 2, 4, 4, 5], None: [1, 2, 3, 4, 5]}


@pytest.mark.parametrize("dce", ["+", "-", None])
def test_pi_rads_transition_zone(dce):
    judged = [
        [result("pi-rads", zone="tz", t2=t2, dwi=dwi, dce=dce) for dwi in range(1, 6)]
        for t2 in range(1, 6)
    ]

    assert judged == [[1] * 5, [2, 2, 2, 3, 3], [3, 3, 3, 3, 4], [4] * 5, [5] * 5]


@pytest.mark.parametrize("zone", ["pz", "tz"])
def test_pi_rads_without_diffusion(zone):
    judged = {
        dce: [result("pi-rads", zone=zone, t2=t2, dwi=None, dce=dce) for t2 in range(1, 6)]
        for dce in ("-", "+", "X")
    }

    assert judged["-"] == [1, 2, 3, 4, 5]
    assert judged["+"] == [1, 2, 4, 4, 5]
    assert judged["X"] == ["staging only"] * 5


def test_pi_rads_leaves_open():
    assert "(dwi)" in reason("pi-rads", zone="tz", t2=3)
    assert "(zone)" in reason("pi-rads", t2=3, dwi=3)
    assert "T2" in reason("pi-rads", zone="tz", t2=None, dwi=4)
    assert "no table" in reason("pi-rads", zone="afs", t2=3, dwi=4)
    assert "cannot be '6'" in reason("pi-rads", zone="pz", t2=6, dwi=4)
    assert "treated" in reason("pi-rads", zone="pz", t2=3, dwi=4, treated=True)
    assert "child" in reason("pi-rads", zone="pz", t2=3, dwi=4, age=17)


# BI-RADS 5th edition: ranges of likelihood.


@pytest.mark.parametrize(
    ("category", "said", "inside", "outside"),
    [
        ("1", "0 %", (0,), (0.1,)),
        ("2", "0 %", (0,), (0.1,)),
        ("3", "> 0 to <= 2 %", (0.1, 2), (0, 2.1)),
        ("4", "> 2 to < 95 %", (2.1, 94.9), (2, 95)),
        ("4A", "> 2 to <= 10 %", (2.1, 10), (2, 10.1)),
        ("4B", "> 10 to <= 50 %", (10.1, 50), (10, 50.1)),
        ("4C", "> 50 to < 95 %", (50.1, 94.9), (50, 95)),
        ("5", ">= 95 %", (95, 100), (94.9,)),
        ("6", "proven", (100,), (99.9,)),
    ],
)
def test_bi_rads_ranges(category, said, inside, outside):
    assert result("bi-rads", category=category) == said
    for percent in inside:
        assert result("bi-rads", category=category, probability_percent=percent) == said
    for percent in outside:
        assert reason("bi-rads", category=category, probability_percent=percent)


def test_bi_rads_never_infers_a_category():
    assert "(category)" in reason("bi-rads")
    assert "(category)" in reason("bi-rads", probability_percent=60)
    assert result("bi-rads", category="0") == "not assessed"
    assert result("bi-rads", category=3) == result("bi-rads", category="3")
    assert set(load("bi-rads").facts) == {"age", "category", "probability_percent"}


# Bosniak 2019, CT.


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"wall_mm": 2, "hu": -9}, "I"),
        ({"wall_mm": 2, "hu": 20}, "I"),
        ({"wall_mm": 2, "hu": -10}, REVIEW),
        ({"wall_mm": 2, "hu": 21}, REVIEW),
        ({"wall_mm": 2.4, "hu": 10}, "I"),
        ({"wall_mm": 2.5, "hu": 10, "wall_enhances": 1}, "IIF"),
        ({"wall_mm": 3.4, "hu": 10, "wall_enhances": 1}, "IIF"),
        ({"wall_mm": 3.5, "hu": 10, "wall_enhances": 1}, "III"),
        ({"wall_mm": 3, "hu": 10, "wall_enhances": 0}, REVIEW),
        ({"wall_mm": 2, "hu": 10, "calcification": 1}, REVIEW),
        ({"wall_mm": 2, "hu": 21, "enhancement_hu": 19}, "II"),
        ({"wall_mm": 2, "hu": 21, "enhancement_hu": 20}, REVIEW),
        ({"wall_mm": 2, "septa": 1, "septa_mm": 2}, "II"),
        ({"wall_mm": 2, "septa": 3, "septa_mm": 2, "calcification": 1}, "II"),
        ({"wall_mm": 2, "septa": 4, "septa_mm": 2, "septa_enhance": 1}, "IIF"),
        ({"wall_mm": 2, "septa": 4, "septa_mm": 2, "septa_enhance": 0}, REVIEW),
        ({"wall_mm": 2, "septa": 2, "septa_mm": 3, "septa_enhance": 1}, "IIF"),
        ({"wall_mm": 2, "septa": 2, "septa_mm": 4, "septa_enhance": 1}, "III"),
        ({"wall_mm": 2, "protrusion": "obtuse", "protrusion_mm": 3}, "III"),
        ({"wall_mm": 2, "protrusion": "obtuse", "protrusion_mm": 4}, "IV"),
        ({"wall_mm": 2, "protrusion": "acute", "protrusion_mm": 1}, "IV"),
        ({"wall_mm": 2, "protrusion": "acute"}, "IV"),
        ({"phase": "noncontrast", "hu": 69}, REVIEW),
        ({"phase": "noncontrast", "hu": 70}, "II"),
        ({"phase": "noncontrast", "hu": -10}, REVIEW),
        ({"phase": "noncontrast", "hu": -9}, "II"),
        ({"phase": "noncontrast", "hu": 20}, "II"),
        ({"phase": "noncontrast", "hu": 21}, REVIEW),
        ({"phase": "noncontrast", "hu": 70, "homogeneous": False}, REVIEW),
        ({"phase": "portal", "wall_mm": 1, "hu": 20}, REVIEW),
        ({"phase": "portal", "wall_mm": 1, "hu": 21}, "II"),
        ({"phase": "portal", "wall_mm": 1, "hu": 30}, "II"),
        ({"phase": "portal", "wall_mm": 1, "hu": 31}, REVIEW),
        ({"too_small": 1}, "II"),
        ({"too_small": 1, "wall_mm": 2}, "II"),
        ({"too_small": 1, "wall_mm": 3}, REVIEW),
        ({"too_small": 1, "septa": 1}, REVIEW),
        ({"phase": "noncontrast", "hu": 70, "wall_mm": 2}, "II"),
        ({"phase": "noncontrast", "hu": 70, "wall_mm": 3}, REVIEW),
        ({"phase": "noncontrast", "hu": 70, "septa": 1, "septa_mm": 1}, REVIEW),
        ({"phase": "noncontrast", "hu": 10, "septa": 1, "septa_mm": 1}, REVIEW),
        ({"phase": "noncontrast", "wall_mm": 1, "septa": 1, "septa_mm": 2}, "II"),
        ({"phase": "noncontrast", "wall_mm": 1, "septa": 1, "septa_mm": 3}, REVIEW),
        ({"phase": "portal", "wall_mm": 1, "hu": 25, "septa": 1}, REVIEW),
        ({"wall_mm": 1, "hu": 30, "enhancement_hu": 9, "septa": 1}, REVIEW),
        ({"wall_mm": 1, "hu": 10, "septa": 1}, REVIEW),
        ({"wall_mm": 2, "hu": 20, "enhancement_hu": 19, "calcification": 1}, REVIEW),
        ({"wall_mm": 3, "wall_enhances": 0, "septa": 1, "septa_mm": 2}, REVIEW),
        ({"wall_mm": 2, "septa": 1, "septa_mm": 3, "septa_enhance": 0}, REVIEW),
        ({"wall_mm": 2, "septa": 1, "septa_mm": 3, "septa_enhance": 1}, "IIF"),
        ({"wall_mm": 2, "septa": 1, "septa_mm": 4, "septa_enhance": 1}, "III"),
        ({"wall_mm": 2, "septa": 3, "septa_mm": 2, "septa_enhance": 1}, "II"),
        ({"wall_mm": 2, "hu": 10, "enhancement_hu": 20}, REVIEW),
        ({"wall_mm": 2, "hu": 10, "enhancing_percent": 25}, "I"),
        ({"wall_mm": 2, "hu": 10, "enhancing_percent": 25.1}, REVIEW),
    ],
)
def test_bosniak(facts, expected):
    assert result("bosniak-2019", **{"phase": "protocol", "homogeneous": True, **facts}) == expected


def test_bosniak_stays_open_while_a_higher_class_may_hold():
    thickened = {"wall_mm": 3, "wall_enhances": 1, "septa": 2, "septa_mm": 4}

    assert "(septa_enhance)" in reason("bosniak-2019", **thickened)
    assert result("bosniak-2019", **thickened, septa_enhance=0) == "IIF"
    assert result("bosniak-2019", **thickened, septa_enhance=1) == "III"


def test_bosniak_contradictions():
    assert "No septa" in reason("bosniak-2019", septa=0, septa_mm=2)
    assert "No protrusion" in reason("bosniak-2019", protrusion="none", protrusion_mm=2)
    assert "without contrast" in reason("bosniak-2019", phase="noncontrast", wall_enhances=1)


# Brock and Mayo: the models written out again, and published worked examples.


WITH_SPICULATION = (-6.7892, 0.0287, 0.6011, 0.2961, 0.2953, -5.3854, 0.3770, -0.1276, 0.6581)
WITH_SPICULATION += (-0.0824, 0.7729)
WITHOUT_SPICULATION = (-6.8071, 0.0321, 0.5635, 0.3013, 0.3462, -5.6693, 0.3395, -0.3055, 0.7116)
WITHOUT_SPICULATION += (-0.0803, 0.0)
NAMES_OF_BROCK = ("age", "female", "fam", "emph", "d", "type", "upper", "count", "spic")


def brock(b, age, female, fam, emph, d, density, upper, count, spic):
    """Return the probability, with the coefficients as rules publish them."""
    start, of_age, of_sex, of_fam, of_emph, of_size, part, nonsolid, of_lobe, of_count, of_spic = b
    x = start + of_age * (age - 62) + of_sex * female + of_fam * fam + of_emph * emph
    x += of_size * ((d / 10) ** -0.5 - 1.58113883)
    x += {"solid": 0.0, "part": part, "nonsolid": nonsolid}[density]
    x += of_lobe * upper + of_count * (count - 4) + of_spic * spic
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize(
    ("values", "p"),
    [
        ((62, 0, 0, 0, 4, "solid", 0, 4, 0), 0.0011),
        ((62, 0, 0, 0, 10, "solid", 0, 4, 0), 0.0251),
        ((62, 1, 0, 0, 10, "solid", 1, 1, 0), 0.1040),
        ((65, 1, 1, 1, 15, "part", 1, 1, 1), 0.6598),
        ((50, 0, 0, 0, 5, "nonsolid", 0, 1, 0), 0.0022),
        ((70, 0, 0, 1, 20, "solid", 1, 1, 1), 0.5302),
        ((75, 1, 0, 1, 29.5, "nonsolid", 0, 7, 1), None),
        ((50, 0, 1, 0, 1, "part", 1, 1, 0), None),
    ],
)
def test_brock(values, p):
    said = result("brock", **dict(zip(NAMES_OF_BROCK, values, strict=True)))

    parts = rule("brock", dict(zip(NAMES_OF_BROCK, values, strict=True))).outcome.parts
    odds = math.log(1 / brock(WITH_SPICULATION, *values) - 1)
    assert sum(parts.values()) == pytest.approx(-odds, abs=1e-9)
    assert said == pytest.approx(brock(WITH_SPICULATION, *values), abs=5.1e-5)
    assert p is None or said == p


def test_brock_without_centring_has_the_printed_intercept():
    """PMC6717521 prints 0.2761 for the same model without centres."""
    parts = rule("brock", load("brock").example).outcome.parts
    size, age, count = -5.3854 * 1**-0.5, 0.0287 * 62, -0.0824 * 1

    centred = (parts["d"] - size) + (parts["age"] - age) + (parts["count"] - count)

    assert parts["start"] + centred == pytest.approx(0.2761, abs=5e-5)


@pytest.mark.parametrize(("age", "cautions"), [(49, 1), (50, 0), (75, 0), (76, 1)])
def test_brock_warns_outside_the_ages_it_was_developed_on(age, cautions):
    answer = rule("brock", load("brock").example | {"age": age})

    assert isinstance(answer.result, float)
    assert len(answer.outcome.cautions) == cautions


@pytest.mark.parametrize("density", ["solid", "part", "nonsolid"])
@pytest.mark.parametrize(
    "others",
    [
        (62, 0, 0, 0, 25, 0, 4),
        (100, 0, 0, 0, 25, 0, 4),
        (62, 1, 1, 0, 25, 0, 1),
        (20, 1, 1, 1, 60, 1, 12),
        (80, 0, 1, 1, 9, 1, 1),
    ],
)
def test_brock_without_spiculation(density, others):
    age, female, fam, emph, d, upper, count = others
    values = (age, female, fam, emph, d, density, upper, count, 0)
    facts = dict(zip(NAMES_OF_BROCK, values, strict=True)) | {"model": "no_spiculation"}
    answer = rule("brock", facts)

    assert answer.result == pytest.approx(brock(WITHOUT_SPICULATION, *values), abs=5.1e-5)
    odds = math.log(1 / brock(WITHOUT_SPICULATION, *values) - 1)
    assert sum(answer.outcome.parts.values()) == pytest.approx(-odds, abs=1e-9)


def test_brock_without_spiculation_does_not_take_it():
    facts = load("brock").example | {"model": "no_spiculation", "spic": 1}

    assert "without it" in reason("brock", **facts)


def test_brock_says_what_is_missing_or_excluded():
    known = load("brock").example

    assert "spiculated (spic)" in reason("brock", **{n: v for n, v in known.items() if n != "spic"})
    assert "child" in reason("brock", **known | {"age": 17})
    assert "count cannot be 0" in reason("brock", **known | {"count": 0})
    assert "count cannot be 1.5" in reason("brock", **known | {"count": 1.5})
    assert "d cannot be 0" in reason("brock", **known | {"d": 0})
    assert "known lung cancer" in reason("brock", **known, known_cancer=True)


@pytest.mark.parametrize(
    ("values", "p"),
    [
        ((62, 0, 0, 10, 0, 0), 0.0419),
        ((62, 1, 0, 10, 0, 1), 0.1746),
        ((70, 1, 1, 20, 1, 1), 0.9178),
        ((50, 1, 0, 8, 0, 0), 0.0447),
        ((67, 0, 0, 13, 0, 1), 0.1459),
        ((80, 0, 0, 9, 0, 0), 0.0723),
    ],
)
def test_mayo(values, p):
    names_of = ("age", "smoke", "cancer", "d", "spic", "upper")

    answer = rule("mayo", dict(zip(names_of, values, strict=True)))

    age, smoke, cancer, d, spic, upper = values
    x = -6.8272 + 0.0391 * age + 0.7917 * smoke + 1.3388 * cancer + 0.1274 * d
    assert answer.result == p
    assert sum(answer.outcome.parts.values()) == pytest.approx(x + 1.0407 * spic + 0.7838 * upper)


def test_mayo_holds_from_4_to_30_mm():
    known = load("mayo").example

    assert [isinstance(result("mayo", **known | {"d": d}), float) for d in (4, 30)] == [True, True]
    assert "smaller" in reason("mayo", **known | {"d": 3.9})
    assert "larger" in reason("mayo", **known | {"d": 30.1})
    assert "5 years" in reason("mayo", **known, recent_cancer=1)


def test_va_model_worked_example():
    """PMC6717521: 62 years, never smoked, 10 mm gives x = -2.454 and 0.079."""
    answer = rule("mayo", {"model": "va", "age": 62, "smoke": 0, "d": 10})
    quit_long_ago = {"model": "va", "age": 62, "smoke": 1, "d": 10, "years_quit": 10}

    assert sum(answer.outcome.parts.values()) == pytest.approx(-2.454, abs=5e-4)
    assert round(answer.result, 3) == 0.079
    x = -8.404 + 2.061 + 0.0779 * 62 + 1.12 - 0.567
    assert result("mayo", **quit_long_ago) == pytest.approx(1 / (1 + math.exp(-x)), abs=5e-5)
    assert "(years_quit)" in reason("mayo", model="va", age=62, smoke=1, d=10)
    assert "Never smoked" in reason("mayo", **quit_long_ago | {"smoke": 0, "years_quit": 0.5})
    assert result("mayo", **quit_long_ago | {"smoke": 0, "years_quit": 0}) == answer.result


# TNM 9, lung: the stage groups.

STAGES = {
    "N0": ("IA1", "IA1", "IA2", "IA3", "IB", "IIA", "IIB", "IIIA"),
    "N1": ("IIA", "IIA", "IIA", "IIA", "IIB", "IIB", "IIIA", "IIIA"),
    "N2a": ("IIB", "IIB", "IIB", "IIB", "IIIA", "IIIA", "IIIA", "IIIB"),
    "N2b": ("IIIA", "IIIA", "IIIA", "IIIA", "IIIB", "IIIB", "IIIB", "IIIB"),
    "N3": ("IIIB", "IIIB", "IIIB", "IIIB", "IIIB", "IIIB", "IIIC", "IIIC"),
}
COLUMNS = ("T1mi", "T1a", "T1b", "T1c", "T2a", "T2b", "T3", "T4")


@pytest.mark.parametrize("n", STAGES)
def test_tnm_9(n):
    assert tuple(result("tnm9-lung", t=t, n=n) for t in COLUMNS) == STAGES[n]
    for t in COLUMNS:
        assert {result("tnm9-lung", t=t, n=n, m=m) for m in ("M1a", "M1b")} == {"IVA"}
        assert {result("tnm9-lung", t=t, n=n, m=m) for m in ("M1c1", "M1c2", "M1c")} == {"IVB"}


@pytest.mark.parametrize(
    ("cm", "t"),
    [
        *((0.1, "T1a"), (1, "T1a"), (1.01, "T1b"), (2, "T1b"), (2.01, "T1c"), (3, "T1c")),
        *((3.01, "T2a"), (4, "T2a"), (4.01, "T2b"), (5, "T2b"), (5.01, "T3"), (7, "T3")),
        (7.01, "T4"),
    ],
)
def test_tnm_9_by_size(cm, t):
    by_size = rule("tnm9-lung", {"size_cm": cm, "n": "N0"})

    assert by_size.result == result("tnm9-lung", t=t, n="N0")
    assert "by size alone" in str(by_size.outcome.assumed[-1])


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"t": "T1c"}, "(n)"),
        ({"n": "N0"}, "(t)"),
        ({"t": "T2a", "n": "N2"}, "N2a"),
        ({"t": "T1", "n": "N0"}, "T1a"),
        ({"t": "T2", "n": "N0"}, "T2a"),
        ({"t": "TX", "n": "N1"}, "TX"),
        ({"t": "T1a", "n": "NX"}, "NX"),
        ({"t": "T1a", "n": "N0", "m": "M1"}, "M1a"),
        ({"t": "Tis", "n": "N1"}, "in situ"),
        ({"t": "Tis", "n": "N0", "m": "M1a"}, "in situ"),
        ({"t": "T1a", "n": "N0", "size_cm": 1.1}, "larger than 1 cm"),
        ({"t": "T9", "n": "N0"}, "T9"),
        ({"t": "T1a", "n": "N0", "age": 12}, "child"),
    ],
)
def test_tnm_9_leaves_open(facts, words):
    assert words in reason("tnm9-lung", **facts)


def test_tnm_9_where_a_coarse_category_is_enough():
    assert result("tnm9-lung", t="T4", n="N2") == "IIIB"
    assert result("tnm9-lung", t="T1", n="N1") == "IIA"
    assert result("tnm9-lung", t="T2", n="N2a") == "IIIA"
    assert result("tnm9-lung", t="TX", n="NX", m="M1b") == "IVA"


# ASPECTS.

REGIONS = ("C", "L", "IC", "I", "M1", "M2", "M3", "M4", "M5", "M6")


def test_aspects_counts_regions_down_from_10():
    scores = [result("aspects", affected=list(REGIONS[:count])) for count in range(11)]

    assert scores == list(range(10, -1, -1))
    assert {result("aspects", affected=[one]) for one in REGIONS} == {9}


def test_aspects_of_the_posterior_circulation():
    ones = [
        f"{part}_{side}" for part in ("thalamus", "cerebellum", "pca") for side in ("left", "right")
    ]

    def score(*regions):
        return result("aspects", territory="posterior", posterior_affected=list(regions))

    assert [score(one) for one in ones] == [9] * 6
    assert [score(one) for one in ("midbrain", "pons")] == [8, 8]
    assert score(*ones, "midbrain", "pons") == 0
    assert score() == 10


def test_aspects_needs_a_list():
    assert "(affected)" in reason("aspects")
    assert "(posterior_affected)" in reason("aspects", territory="posterior")
    assert "twice" in reason("aspects", affected=["C", "C"])
    assert "M7" in reason("aspects", affected=["M7"])
    assert "territory posterior" in reason("aspects", posterior_affected=["pons"])
    assert "posterior" in reason("aspects", territory="posterior", affected=["C"])

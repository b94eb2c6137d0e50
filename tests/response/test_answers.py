"""Questions in plain data: published tables of vectors, whole courses, and bad input."""

import json
import re
from decimal import Decimal

import pytest

from aegle.domain.errors import InputError, OptionError
from aegle.response.answers import answer, subjects
from aegle.response.criterion import load, names, read

# Which criterion answers the rows of each table, and under which names.
TABLES = {
    "recist_target": ("recist-1.1", ("r", "r_carry_pr")),
    "recist_sequence": ("recist-1.1", ("strict", "carry_pr", "irecist")),
    "recist_overall": ("recist-1.1", ("overall",)),
    "irecist": ("irecist", ("expected",)),
    "irecist_bor": ("irecist", ("ibor",)),
    "irecist_dates": ("irecist", ("pd_index",)),
    "lugano_ct": ("lugano-2014", ("r", "progression_if_gt_cm")),
    "percist": ("percist-1.0", ("r",)),
    "rano": ("rano-2.0", ("r",)),
}


@pytest.fixture(scope="module")
def vectors(shared_data):
    return json.loads(shared_data("rules", "response.json").read_text(), parse_float=Decimal)


@pytest.mark.parametrize("table", TABLES)
def test_published_vectors(vectors, table):
    subject, fields = TABLES[table]
    wanted = [(row, name, row[name]) for row in vectors[table] for name in fields if name in row]

    found = [(row, name, answer(subject, row)[name]) for row, name, _ in wanted]

    assert len(wanted) >= len(vectors[table])
    assert found == wanted


def test_published_doubling_times(vectors):
    for row in vectors["doubling_time"]:
        assert answer("doubling-time", row)["vdt"] == pytest.approx(
            float(row["vdt"]), abs=5e-5, nan_ok=False
        ) or (row["vdt"] == answer("doubling-time", row)["vdt"] == "inf")


def test_published_confirmed_pairs(vectors):
    for row in vectors["recist_confirmed_bor_pairs"]:
        found = answer("recist-1.1", row)
        met, *early = re.split(r" if .* else ", row["bor"].partition(" (")[0])
        assert found["bor"].partition(" if ")[0] == met
        assert found["if_too_early"] == (early[0] if early else found["if_too_early"])
        if not early and "|" not in met:
            assert found["category"] == found["if_too_early"] == met


def test_published_confirmed_series(vectors):
    table = vectors["recist_confirmed_bor_sequences"]

    assert answer("recist-1.1", table)["expected"] == table["expected"]


COURSE = {
    "visits": [
        {"date": "2026-01-05", "targets": {"T1": 42, "T2": 18}, "non_targets": {"N1": "present"}},
        {
            "date": "2026-03-02",
            "targets": {"T1": [12, 9], "T2": "too small"},
            "non_targets": {"N1": "absent"},
            "new": {"L1": "equivocal"},
        },
        {
            "date": "2026-04-30",
            "targets": {"T1": None, "T2": 30},
            "non_targets": {"N1": "absent"},
            "new": {"L1": 8},
        },
    ],
    "nodes": ["T2"],
    "organs": {"T1": "liver"},
}


def test_a_course_with_everything():
    found = answer("recist-1.1", COURSE)
    first, second = found["visits"]

    # 12 + 9 + 5 = 26 of 60 mm, but L1 proves to be a new lesion and is dated back.
    assert (first["sum"], first["baseline"]) == (26.0, 60.0)
    assert [first["category"], second["category"]] == ["PD", "PD"]
    assert first["rule"] == second["rule"] == "new-lesion"
    assert first["source"] == "4.3.5 and table 1"
    assert second["missing_targets"] == 1
    later = answer("recist-1.1", COURSE, {"equivocal": "when-confirmed"})
    assert later["visits"][0]["category"] == "PR"
    assert later["policies"]["equivocal"] == "when-confirmed"
    assert sum(first["probabilities"].values()) == pytest.approx(1)
    assert "10.1016/j.ejca.2008.10.026" in found["citation"]


def test_policies_may_stand_in_the_question():
    question = {"sums": [100, 70, 80], "policies": {"response": "strict"}}

    assert answer("recist-1.1", question)["expected"] == ["PR", "SD"]
    assert answer("recist-1.1", question, {"response": "carried"})["expected"] == ["PR", "PR"]


@pytest.mark.parametrize(
    ("subject", "question", "category"),
    [
        ("mrecist", {"b": 10, "n": 10, "c": 12}, "PD"),
        ("volumetric", {"b": 10, "n": 10, "c": 6.5}, "PR"),
        ("rano-2.0-volume", {"base": 10, "now": 3.5}, "PR"),
        ("recist-1.1", {"b": 20, "n": 20, "c": 10, "nodes_sa": [10]}, "PR"),
        ("recist-1.1", {"b": 20, "n": 20, "c": 12, "nodes_sa": [9]}, "PR"),
        ("recist-1.1", {"b": 20, "n": 0, "c": 3}, "PD"),
        ("recist-1.1", {"b": 50, "n": 50, "c": 80, "missing_lesions": 1}, "PD"),
        ("irecist", {"target": "iPR", "nontarget": "iUPD", "new": False}, "iUPD"),
        ("percist-1.0", {"base": 6, "now": 2, "new": True}, "PMD"),
        ("lugano-2014", {"kind": "SPD", "base": 10, "now": 5}, "PR"),
        ("lugano-2014", {"kind": "SPD", "base": 10, "now": 5.1}, "SD"),
        ("lugano-2014", {"kind": "SPD", "base": 10, "now": 0.6}, "PR"),
        ("lugano-2014", {"kind": "SPD", "base": 10, "now": 0}, "CR"),
        ("lugano-2014", {"deauville": 3}, "CMR"),
        ("lugano-2014", {"deauville": 4, "uptake": "reduced"}, "PMR"),
    ],
)
def test_short_questions(subject, question, category):
    assert answer(subject, question)["category"] == category


def test_lymphoma_and_uptake_over_visits():
    lymphoma = {
        "visits": [
            {"lesions": {"A": [4, 2], "B": "too small"}, "spleen_cm": 15},
            {"lesions": {"A": [1.5, 1], "B": [0, 0]}, "spleen_cm": 13, "deauville": 2},
        ]
    }
    found = answer("lugano-2014", lymphoma)
    assert found["expected"] == ["CR"]
    assert found["metabolic"][0]["category"] == "CMR"
    uptake = {"visits": [6, {"sul_peak": 4.2}, {"sul_peak": 8, "tlg": 3}], "measurable_sul": 3}
    assert answer("percist-1.0", uptake)["expected"] == ["PMR", "PMD"]


def test_measurable_uptake_and_options_of_a_series():
    assert answer("percist-1.0", {"liver_mean": 1.6, "liver_sd": 0.3})["measurable_from"] == 3.0
    assert answer("percist-1.0", {"blood_mean": 1.6, "blood_sd": 0.3})["measurable_from"] == 3.8
    series = {
        "treatment_start": {"1": "2020-01-01", "2": "2020-01-01"},
        "series": {
            "1": [["2020-02-01", "PR"], ["2020-02-20", "SD"], ["2020-03-20", "PR"]],
            "2": [],
        },
        "ref_start_window_days": 28,
    }
    assert answer("recist-1.1", series)["expected"] == {
        "1": ["2020-02-01", "SD"],
        "2": [None, "MISSING"],
    }
    more = series | {"accept_sd": True, "missing_as_ne": True}
    assert answer("recist-1.1", more)["expected"] == {"1": ["2020-02-01", "PR"], "2": [None, "NE"]}


def test_immune_courses_with_other_lesions():
    visits = [
        {"d": "2026-02-01", "t": 100, "nontarget": "PD"},
        {"d": "2026-03-08", "t": 100, "nontarget": "increased"},
    ]
    found = answer("irecist", {"baseline": 100, "visits": visits})

    assert found["expected"] == ["iUPD", "iCPD"]
    assert found["pd_index"] == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"visits": COURSE["visits"][:1]}, "at least 2 visits, got 1"),
        (
            {"visits": COURSE["visits"][::-1]},
            "T1.*no size at baseline|not in order|new lesion 'L1'",
        ),
        ({"visits": "x"}, "'visits' is 'x'; give a list"),
        ({"vists": []}, "the input has 'vists'"),
    ],
)
def test_refuses_courses_that_cannot_be(change, words):
    with pytest.raises(InputError, match=words):
        answer("recist-1.1", COURSE | change)


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        ({"T1": "large"}, r"visit 1, T1 is 'large'; give a number"),
        ({"T1": -3}, r"visit 1, T1 is -3; give a number of 0 or more"),
        ({"T1": float("nan")}, "visit 1, T1 is nan"),
        ({"T1": True}, "visit 1, T1 is True"),
        ({"T1": []}, "visit 1, T1 has no size"),
        ({"T1": {"mm": 3}}, r"visit 1, T1 has 'mm'; known: method, node"),
        ({"T9": 3}, "'T9' is not of that role at baseline"),
        (7, "visit 1, targets is 7"),
    ],
)
def test_refuses_sizes_that_cannot_be(targets, words):
    visits = [{"day": 0, "targets": {"T1": 30}}, {"day": 60, "targets": targets}]

    with pytest.raises(InputError, match=words):
        answer("recist-1.1", {"visits": visits})


@pytest.mark.parametrize(
    ("subject", "question", "words"),
    [
        ("recist-1.1", {"x": 1}, r"The input has x\. RECIST 1\.1 is asked with one of: b, c"),
        ("recist-1.1", {"b": 10, "n": 12, "c": 3}, "nadir 12 is above baseline 10"),
        ("recist-1.1", {"b": 10, "n": 10, "c": 3, "nodes_sa": [9]}, "exceed the sum"),
        ("recist-1.1", {"target": "XX", "nontarget": "CR", "new": False}, "no row of tables"),
        ("recist-1.1", {"target": "CR", "nontarget": "CR", "new": "no"}, "new is 'no'"),
        ("recist-1.1", {"first": "CR", "second": "?"}, "no response"),
        ("irecist", {"tpr": ["CR"]}, "no iRECIST response"),
        ("doubling-time", {"v1": 3}, "needs v1, v2, days"),
        ("percist-1.0", {"base": "hot", "now": 3}, "base, sul_peak is 'hot'"),
        ("lugano-2014", {"visits": [{"lesions": {"A": [1]}}, {}]}, "give both diameters"),
    ],
)
def test_refuses_questions_that_cannot_be_answered(subject, question, words):
    with pytest.raises(InputError, match=words):
        answer(subject, question)


def test_refuses_unknown_subjects():
    with pytest.raises(OptionError, match=r"'choi'; known: .*doubling-time"):
        answer("choi", {})


@pytest.mark.parametrize("name", names())
def test_every_criterion_is_complete(name):
    criterion = load(name)

    assert name in subjects()
    assert criterion.citation.endswith(criterion.doi)
    assert criterion.error.low < 0 < criterion.error.high
    assert all(t.meaning and t.source for t in criterion.thresholds.values())
    assert all(r.text.endswith(".") and r.source for r in criterion.rules.values())
    assert all(p.default in p.values and p.source for p in criterion.policies.values())


def test_a_broken_criterion_is_refused():
    with pytest.raises(InputError, match=r"(?s)criterion 'x': .*Compare the file with criteria"):
        read("id = 'x'", "x")
    with pytest.raises(InputError, match="criterion 'x'"):
        read("id = ", "x")


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (True, "PD"),
        (1.5, "CR"),
        (1.6, "PD"),
        ({"cm": 1.2, "extranodal": True}, "PD"),
        ({"cm": 0.8, "extranodal": True}, "CR"),
        ({"cm": 0.8, "extranodal": True, "certain": True}, "PD"),
    ],
)
def test_new_lesions_of_lymphoma(new, expected):
    visits = [{"lesions": {"A": [4, 2]}}, {"lesions": {"A": [1.5, 1]}, "new": new}]

    assert answer("lugano-2014", {"visits": visits})["expected"] == [expected]

"""Tables of many patients, and what is drawn and estimated from them."""

import csv
import io
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from PIL import Image

from aegle.domain.errors import FileError, InputError
from aegle.response import irecist
from aegle.response.best_overall import BestResponseOptions
from aegle.response.cohort import (
    Outcome,
    cox,
    kaplan_meier,
    outcome_of,
    survival_picture,
    waterfall,
)
from aegle.response.sum_criteria import judge
from aegle.response.tables import read_cohort

HEAD = "patient,date,lesion,role,size,node\n"
TABLE = (
    HEAD
    + """P1,2026-01-05,T1,target,42,
P1,2026-01-05,T2,target,18,y
P1,2026-01-05,N1,non-target,present,
P1,2026-03-02,T1,target,12+9,
P1,2026-03-02,T2,target,too small,y
P1,2026-03-02,N1,non-target,absent,
P2,2026-01-05,T1,target,50,
P2,2026-03-02,T1,target,NA,
P2,2026-05-02,T1,target,60,
P2,2026-05-02,L1,new,equivocal,
P3,2026-01-05,N1,non-target,present,
P3,2026-03-02,N1,non-target,present,
P3,2026-03-02,L1,new,12,
"""
)


@pytest.fixture
def table(tmp_path):
    file = tmp_path / "sizes.csv"
    file.write_text(TABLE)
    return file


def test_a_plain_table(table):
    entries = read_cohort(table)

    found = {e.patient: judge(e.course) for e in entries}
    assert {p: j.categories for p, j in found.items()} == {
        "P1": ("PR",),
        "P2": ("NE", "PD"),
        "P3": ("PD",),
    }
    assert found["P1"].verdicts[0].facts["sum"] == 26
    assert entries[0].visits == ("2026-01-05", "2026-03-02")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("P1,2026-01-05,T1,lump,42,\n", r"T1 of P1 has the role 'lump'\. Give one of target"),
        ("P1,2026-01-05,T1,target,42,\n", "P1: Response compares with a baseline"),
        (
            "P1,2026-01-05,T1,target,big,\nP1,2026-02-05,T1,target,3,\n",
            "T1 is 'big'; give a number",
        ),
        ("P1,2026-02-05,T1,target,4,\nP1,2026-01-05,T1,target,3,\n", "not in order of time"),
        ("P1,2026-02-05,N,non-target,odd,\nP1,2026-03-05,N,non-target,odd,\n", "N is 'odd'; known"),
    ],
)
def test_refuses_rows_that_cannot_be(tmp_path, rows, words):
    file = tmp_path / "sizes.csv"
    file.write_text(HEAD + rows)

    with pytest.raises(FileError, match=words) as caught:
        read_cohort(file)
    assert str(file) in str(caught.value)


def test_refuses_files_that_hold_no_table(tmp_path):
    with pytest.raises(FileError, match="there is no such file"):
        read_cohort(tmp_path / "none.csv")
    (tmp_path / "odd.csv").write_text("a,b\n1,2\n")
    with pytest.raises(FileError, match="no table of measurements"):
        read_cohort(tmp_path)


SDTM = """USUBJID,TRGRPID,TRLNKID,TRTESTCD,TRSTRESC,VISITNUM,VISIT,TREVAL,TREVALID,TRDTC
S1,TARGET,T1,LDIAM,30,1,BASE,INVESTIGATOR,NA,2026-01-05
S1,TARGET,T1,LPERP,18,1,BASE,INVESTIGATOR,NA,2026-01-05
S1,TARGET,T2,LDIAM,20,1,BASE,INVESTIGATOR,NA,2026-01-05
S1,TARGET,T1,LDIAM,15,2,WEEK 3,INVESTIGATOR,NA,2026-02
S1,TARGET,T1,LPERP,9.9,2,WEEK 3,INVESTIGATOR,NA,2026-02
S1,TARGET,T2,LDIAM,0,2,WEEK 3,INVESTIGATOR,NA,2026-02
"""
PLACES = """USUBJID,TULNKID,TULOC,TUTESTCD,TUEVAL,TUEVALID
S1,T1,LYMPH NODE,TUMIDENT,INVESTIGATOR,NA
S1,T2,LIVER,TUMIDENT,INVESTIGATOR,NA
"""


def test_sdtm_measures_the_short_axis_of_nodes(tmp_path):
    (tmp_path / "tr.csv").write_text(SDTM)
    (tmp_path / "tu.csv").write_text(PLACES)

    (entry,) = read_cohort(tmp_path)
    (verdict,) = judge(entry.course).verdicts

    # 18 + 20 mm at baseline; the node is normal below 10 mm of short axis.
    assert (entry.patient, entry.evaluator) == ("S1", "INVESTIGATOR")
    assert (verdict.facts["baseline"], verdict.category) == (38, "CR")
    assert entry.course.visits[1].day - entry.course.visits[0].day == 41


def rows_of(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_synthetic_sdtm_trial_by_recist(shared_data):
    folder = shared_data("tables", "recist_sdtm_synthetic")
    expected = {
        (r["USUBJID"], r["RSEVAL"], r["RSEVALID"], r["VISIT"]): r["RSSTRESC"]
        for r in rows_of(folder / "rs_onco_recist.csv")
    }
    found = {}
    for entry in read_cohort(folder):
        # In this trial disease that reappears progresses by its growth alone.
        judgement = judge(entry.course, policies={"reappearance": "growth"})
        evaluator, _, name = entry.evaluator.partition(" RADIOLOGIST")
        for verdict in judgement.verdicts:
            reader = f"RADIOLOGIST{name}" if name else "NA"
            key = (entry.patient, evaluator, reader, entry.visits[verdict.visit])
            found[key] = verdict.category

    assert len(expected) == 66
    assert found == expected


# Rows of the synthetic iRECIST table that contradict the published table or themselves.
CONTRADICTORY = {
    # Non-target and overall response are exchanged.
    ("01-701-1034", "WEEK 18"),
    ("01-701-1148", "WEEK 18 (T)"),
    ("01-701-1345", "WEEK 18 (T)"),
    # A new lesion without iUPD.
    ("01-701-1097", "WEEK 6"),
    ("01-701-1302", "WEEK 6"),
    # iSD with other lesions not evaluated is iSD, not NE.
    ("01-701-1415", "WEEK 24"),
}


def test_synthetic_sdtm_trial_by_irecist(shared_data):
    folder = shared_data("tables", "recist_sdtm_synthetic")
    visits = {}
    for row in rows_of(folder / "rs_onco_irecist.csv"):
        visits.setdefault((row["USUBJID"], row["VISIT"]), {})[row["RSTESTCD"]] = row["RSSTRESC"]
    wrong = set()
    for key, tests in visits.items():
        # One target response is written without its letter for immune.
        target = "iPR" if tests["TRGRESP"] == "PR" else tests["TRGRESP"]
        found = (
            irecist.overall(target, tests["NTRGRESP"], has_new=tests["NEWLIND"] == "Y")
            if (tests["NTRGRESP"] != "iSD")
            else ""
        )
        wrong |= {key} if found != tests["OVRLRESP"] else set()

    assert len(visits) == 75
    assert wrong == CONTRADICTORY


def outcome(patient, best, percent, days=100, progressed=False):
    return Outcome(
        patient=patient, best=best, best_percent=percent, days=days, progressed=progressed
    )


def test_the_outcome_of_a_patient(table):
    first, second, third = (
        outcome_of(e.course, judge(e.course), options=BestResponseOptions())
        for e in read_cohort(table)
    )

    assert first == outcome("P1", "SD", pytest.approx(-56.667, abs=1e-3), days=56)
    days = (date(2026, 5, 2) - date(2026, 1, 5)).days
    assert second == outcome("P2", "PD", pytest.approx(20), days=days, progressed=True)
    assert third == outcome("P3", "PD", None, days=56, progressed=True)


def test_a_waterfall_falls():
    outcomes = [outcome("A", "PR", -45.0), outcome("B", "PD", 33.0), outcome("C", "NE", None)]

    picture = waterfall(outcomes)

    assert picture.alt == "Waterfall plot of 2 patients: B +33 % PD; A -45 % PR."
    pixels = np.asarray(Image.open(io.BytesIO(picture.data)).convert("RGB"))
    assert pixels.std() > 10
    assert waterfall(outcomes[::-1]).data == picture.data
    with pytest.raises(InputError, match="No patient has a change of size"):
        waterfall([replace(outcomes[2])])


@pytest.fixture
def lifelines():
    return pytest.importorskip("lifelines", reason="lifelines is not installed")


def test_kaplan_meier_of_the_textbook(lifelines):
    # Freireich 1963, 6-mercaptopurine: remission of 21 patients in weeks, + censored.
    weeks = [6, 6, 6, 7, 10, 13, 16, 22, 23, 6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
    events = [True] * 9 + [False] * 12

    curve = kaplan_meier(weeks, events, name="6-MP")

    share = dict(zip(curve.days, curve.surviving, strict=True))
    assert [round(share[t], 3) for t in (6, 7, 10, 13, 16, 22, 23)] == [
        0.857,
        0.807,
        0.753,
        0.690,
        0.627,
        0.538,
        0.448,
    ]
    assert (curve.median_days, curve.events, curve.at_risk) == (23, 9, 21)
    assert np.all(np.array(curve.low) <= curve.surviving)
    assert np.all(np.array(curve.surviving) <= curve.high)
    assert "6-MP: median 23 days" in survival_picture([curve], "relapse").alt


def test_cox_finds_the_hazard_ratio_of_the_textbook(lifelines):
    # The same trial with its placebo arm; Cox 1972 reports exp(1.65) = 5.21 by exact ties,
    # Efron's method gives 4.82 (Breslow 4.52).
    treated = [6, 6, 6, 7, 10, 13, 16, 22, 23, 6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
    placebo = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]
    events = [True] * 9 + [False] * 12 + [True] * 21

    (ratio,) = cox(treated + placebo, events, {"placebo": [0] * 21 + [1] * 21})

    assert ratio.ratio == pytest.approx(4.82, abs=0.01)
    assert ratio.low < ratio.ratio < ratio.high
    assert ratio.p_value < 0.001


@pytest.mark.parametrize(
    ("days", "events", "covariates", "words"),
    [
        ([], [], {"a": []}, "0 times"),
        ([1, -2], [True, True], {"a": [0, 1]}, "negative"),
        ([1, 2], [False, False], {"a": [0, 1]}, "Nobody had the event"),
        ([1, 2], [True, True], {"a": [1, 1]}, "does not vary"),
        ([1, 2], [True, True], {"a": [1]}, "1 values for 2 patients"),
        ([1, 2], [True, True], {}, "at least one covariate"),
    ],
)
def test_refuses_what_no_model_can_fit(days, events, covariates, words):
    with pytest.raises(InputError, match=words):
        cox(days, events, covariates)

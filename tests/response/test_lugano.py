"""The Lugano classification at and beside its thresholds."""

from decimal import Decimal
from itertools import product

import pytest

from aegle.domain.errors import InputError
from aegle.response.lugano import (
    CATEGORIES,
    LymphomaVisit,
    Measured,
    judge,
    new_lesion_counts,
    node_progresses,
    spleen_limit_cm,
    spleen_progresses,
)
from aegle.response.patient_course import Seen


def node(longest, shortest, name="N", **facts):
    return Measured(
        lesion=name,
        longest_cm=Decimal(str(longest)),
        shortest_cm=Decimal(str(shortest)),
        **facts,
    )


def by_size(baseline, *later):
    visits = [LymphomaVisit(**v) for v in (baseline, *later)]
    return [(v.category, v.rule) for v in judge(visits)[0].verdicts]


@pytest.mark.parametrize(
    ("nadir", "now", "expected"),
    [
        # PPD 1.92 -> 3.08 (+60 %), +0.6 cm; 0.5 cm suffices up to 2 cm.
        pytest.param((1.6, 1.2), (2.2, 1.4), True, id="published example"),
        # PPD +56 % but only 0.8 cm where 1.0 cm is needed.
        pytest.param((2.4, 1.2), (3.2, 1.4), False, id="second published example"),
        pytest.param((2.4, 1.2), (3.4, 1.4), True, id="exactly 1.0 cm"),
        pytest.param((2.0, 1.0), (2.5, 1.2), True, id="exactly 2 cm and 0.5 cm, +50 %"),
        pytest.param((2.0, 1.0), (2.49, 1.3), False, id="just below 0.5 cm"),
        pytest.param((2.01, 1.0), (2.6, 1.4), False, id="just above 2 cm needs 1.0 cm"),
        pytest.param((2.0, 1.0), (2.5, 1.19), False, id="product just below +50 %"),
        pytest.param((1.0, 0.8), (1.5, 1.5), False, id="1.5 cm is normal"),
        pytest.param((1.0, 0.8), (1.51, 1.5), True, id="above 1.5 cm"),
        pytest.param((2.0, 1.0), (2.0, 1.5), True, id="the short diameter alone"),
    ],
)
def test_a_node_progresses(nadir, now, expected):
    assert node_progresses(node(*now), node(*nadir)) is expected


@pytest.mark.parametrize(
    ("baseline", "now", "expected"),
    [
        # Cheson 2014: a spleen of 15 cm must exceed 16 cm.
        (15, "16", False),
        (15, "16.1", True),
        (14, "14.5", False),
        (14, "14.6", True),
        (12, "13.9", False),
        (12, "14", True),
        (10, "12.5", False),
    ],
)
def test_the_spleen(baseline, now, expected):
    assert spleen_progresses(Decimal(now), Decimal(baseline)) is expected


def test_the_limit_of_the_spleen_follows_what_is_normal():
    assert spleen_limit_cm(Decimal(15)) == 16
    assert spleen_limit_cm(Decimal(15), normal_cm=Decimal(12)) == Decimal("16.5")
    assert spleen_limit_cm(Decimal(13)) == 15


BASELINE = {"lesions": (node(4, 2, "A"), node(3, 2, "B", is_extranodal=True))}


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        pytest.param((node(1.5, 1, "A"), node(0, 0, "B")), ("CR", "complete"), id="1.5 cm"),
        pytest.param((node(1.51, 1, "A"), node(0, 0, "B")), ("PR", "partial"), id="1.51 cm"),
        pytest.param(
            (node(1.5, 1, "A"), node(0.1, 0.1, "B")), ("PR", "partial"), id="extranodal left"
        ),
        pytest.param((node(3, 1, "A"), node(2, 2, "B")), ("PR", "partial"), id="14 to 7 cm²"),
        pytest.param((node(3, 1, "A"), node(2.01, 2, "B")), ("SD", "stable"), id="7.02 cm²"),
        pytest.param((node(4, 2, "A"),), ("NE", "target-missing"), id="one not assessed"),
        pytest.param(
            (node(5, 3, "A"),), ("PD", "node-progression"), id="one not assessed, one progresses"
        ),
    ],
)
def test_response_by_size(now, expected):
    assert by_size(BASELINE, {"lesions": now}) == [expected]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"has_new_lesion": True}, ("PD", "new-lesion")),
        ({"others": Seen.PROGRESSION}, ("PD", "non-target-progression")),
        ({"others": Seen.PRESENT}, ("PR", "partial")),
        ({"others": Seen.INCREASED}, ("SD", "stable")),
        ({"others": Seen.NOT_ASSESSED}, ("NE", "target-missing")),
        ({"marrow_is_involved": True}, ("PD", "marrow-progression")),
        ({"spleen_cm": Decimal("16.1")}, ("PD", "spleen-progression")),
        ({"spleen_cm": Decimal(14)}, ("SD", "stable")),
        ({"spleen_cm": Decimal("13.99")}, ("PR", "partial")),
        ({"spleen_cm": Decimal(13)}, ("CR", "complete")),
    ],
)
def test_everything_else_counts(change, expected):
    start = BASELINE | {"spleen_cm": Decimal(15), "marrow_is_involved": False}
    gone = {"lesions": (node(1, 1, "A"), node(0, 0, "B")), "spleen_cm": Decimal(13)}

    assert by_size(start, gone | change) == [expected]


@pytest.mark.parametrize(
    ("axis", "extranodal", "unequivocal", "expected"),
    [
        ("1.5", False, False, False),
        ("1.51", False, False, True),
        ("1.0", True, False, False),
        ("1.01", True, False, True),
        ("0.6", True, True, True),
        ("1.4", False, True, False),
    ],
)
def test_which_new_lesion_counts(axis, extranodal, unequivocal, expected):
    # Cheson 2014: a new node above 1.5 cm in any axis, a new extranodal site above 1.0 cm; a
    # smaller extranodal one if it is unequivocal and attributable to lymphoma.
    found = new_lesion_counts(Decimal(axis), is_extranodal=extranodal, is_unequivocal=unequivocal)

    assert found is expected


def test_more_than_6_measured_lesions_are_noted():
    def visit(count):
        return LymphomaVisit(lesions=tuple(node(3, 2, f"N{n}") for n in range(count)))

    assert judge([visit(6)] * 2)[0].notes == ()
    assert "7 targets were chosen; at most 6" in str(judge([visit(7)] * 2)[0].notes[0])


def test_growth_counts_from_the_nadir_of_each_lesion():
    small, again = node(1.6, 1.0), node(2.2, 1.2)

    visits = [{"lesions": (n,)} for n in (node(4, 3), small, again)]

    assert by_size(*visits)[-1] == ("PD", "node-progression")


def test_a_lesion_too_small_to_measure_counts_5_by_5_mm():
    tiny = Measured(lesion="N", longest_cm=None, shortest_cm=None, is_too_small=True)
    visits = [LymphomaVisit(lesions=(n,)) for n in (node(4, 3), tiny)]

    assert judge(visits)[0].verdicts[0].facts["sum"] == Decimal("0.25")


@pytest.mark.parametrize(
    ("score", "uptake", "policy", "expected"),
    [
        (1, "", "complete", "CMR"),
        (3, "", "complete", "CMR"),
        (3, "reduced", "residual", "PMR"),
        (2, "", "residual", "CMR"),
        (4, "reduced", "complete", "PMR"),
        (5, "unchanged", "complete", "NMR"),
        (5, "increased", "complete", "PMD"),
        (4, "", "complete", "NE"),
        (None, "", "complete", "NE"),
    ],
)
def test_metabolic_response(score, uptake, policy, expected):
    visits = [LymphomaVisit(), LymphomaVisit(deauville=score, uptake=uptake)]

    _, metabolic = judge(visits, policies={"deauville_3": policy})

    assert metabolic.categories == (expected,)


def test_more_tumour_never_improves_the_category():
    lengths = ((0, 0), (1.5, 1), (2, 1.5), (3, 2), (5, 3))
    spleens = (12, 14, 15, 17)
    others = (Seen.ABSENT, Seen.PRESENT, Seen.INCREASED, Seen.PROGRESSION)
    start = {"lesions": (node(3, 2),), "spleen_cm": Decimal(15), "others": Seen.PRESENT}
    ranks = {}
    for place in product(range(5), range(4), range(4), range(2)):
        size, spleen, other, new = place
        now = {
            "lesions": (node(*lengths[size]),),
            "spleen_cm": Decimal(spleens[spleen]),
            "others": others[other],
            "has_new_lesion": bool(new),
        }
        ranks[place] = CATEGORIES.index(by_size(start, now)[0][0])
    for place, rank in ranks.items():
        for axis in range(4):
            worse = tuple(p + (n == axis) for n, p in enumerate(place))
            assert ranks.get(worse, rank) >= rank, (place, axis)


def test_refuses_what_cannot_be():
    with pytest.raises(InputError, match="longest comes first"):
        node(1, 2)
    with pytest.raises(InputError, match="give both or neither"):
        Measured(lesion="N", longest_cm=Decimal(1), shortest_cm=None)
    with pytest.raises(InputError, match="Deauville score 6"):
        LymphomaVisit(deauville=6)
    with pytest.raises(InputError, match="give reduced, unchanged or increased"):
        LymphomaVisit(uptake="more")
    with pytest.raises(InputError, match="at least 2 visits"):
        judge([LymphomaVisit()])

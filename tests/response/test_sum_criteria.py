"""Criteria of sums, at and beside each published threshold."""

from decimal import Decimal
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegle.domain.errors import InputError, OptionError
from aegle.response.criterion import load
from aegle.response.patient_course import (
    NewLesion,
    NonTarget,
    PatientCourse,
    Seen,
    Target,
    Visit,
    of_sums,
)
from aegle.response.sum_criteria import CATEGORIES, judge, overall

SIZES = st.decimals(min_value=0, max_value=300, places=1)


def sized(lesion, size, **facts):
    parts = size if isinstance(size, tuple) or size is None else (size,)
    decimals = None if parts is None else tuple(Decimal(str(p)) for p in parts)
    return Target(lesion=lesion, parts=decimals, **facts)


def course(*visits):
    """Put visits together, each a mapping of the parts of a visit."""
    return PatientCourse(visits=tuple(Visit(day=56 * n, **v) for n, v in enumerate(visits)))


def by_sums(criterion, *sums, **policies):
    decimals = [None if s is None else Decimal(str(s)) for s in sums]
    return judge(of_sums(decimals), criterion, policies=policies)


@pytest.mark.parametrize(
    ("criterion", "sums", "category", "rule"),
    [
        # RECIST 1.1, 4.3.1: -30 % of baseline; +20 % and +5 mm of nadir.
        ("recist-1.1", (100, 70), "PR", "target-response"),
        ("recist-1.1", (100, 70.1), "SD", "stable"),
        ("recist-1.1", (14.0, 9.8), "PR", "target-response"),
        ("recist-1.1", (14.0, 9.9), "SD", "stable"),
        ("recist-1.1", (27, 32.4), "PD", "target-progression"),
        ("recist-1.1", (27, 32.3), "SD", "stable"),
        ("recist-1.1", (14.0, 3.2, 8.2), "PD", "target-progression"),
        ("recist-1.1", (14.0, 3.2, 8.1), "PR", "target-response"),
        ("recist-1.1", (30, 21, 25.2), "PR", "response-persists"),
        ("recist-1.1", (25, 30), "PD", "target-progression"),
        ("recist-1.1", (24.9, 29.88), "SD", "stable"),
        ("recist-1.1", (100, 119.9), "SD", "stable"),
        ("recist-1.1", (100, 20, 25), "PD", "target-progression"),
        ("recist-1.1", (40, 0), "CR", "all-gone"),
        ("recist-1.1", (40, 0, 0.1), "PD", "reappearance"),
        # mRECIST: no absolute increase.
        ("mrecist", (10, 12), "PD", "target-progression"),
        ("mrecist", (10, 11.9), "SD", "stable"),
        ("mrecist", (2, 2.4), "PD", "target-progression"),
        ("mrecist", (10, 7), "PR", "target-response"),
        ("mrecist", (10, 7.1), "SD", "stable"),
        # RANO 2.0 by areas: -50 %, +25 %; by volumes: -65 %, +40 %.
        ("rano-2.0", (400, 200), "PR", "target-response"),
        ("rano-2.0", (400, 200.1), "SD", "stable"),
        ("rano-2.0", (400, 500), "PD", "target-progression"),
        ("rano-2.0", (400, 499.9), "SD", "stable"),
        ("rano-2.0-volume", (10, 3.5), "PR", "target-response"),
        ("rano-2.0-volume", (10, 3.51), "SD", "stable"),
        ("rano-2.0-volume", (10, 14), "PD", "target-progression"),
        ("rano-2.0-volume", (10, 13.99), "SD", "stable"),
        # Neither RANO nor volumes ask for an absolute increase.
        ("rano-2.0", (0.8, 1), "PD", "target-progression"),
        ("rano-2.0-volume", (0.5, 0.7), "PD", "target-progression"),
        ("volumetric", (0.2, 0.31), "PD", "target-progression"),
        # Beaumont 2015: -35 %, +55 %.
        ("volumetric", (10, 6.5), "PR", "target-response"),
        ("volumetric", (10, 6.51), "SD", "stable"),
        ("volumetric", (10, 15.5), "PD", "target-progression"),
        ("volumetric", (10, 15.49), "SD", "stable"),
    ],
)
def test_at_and_beside_thresholds(criterion, sums, category, rule):
    verdict = by_sums(criterion, *sums).verdicts[-1]

    assert (verdict.category, verdict.rule) == (category, rule)
    assert str(verdict.reason) == load(criterion).rules[rule].text


@pytest.mark.parametrize(
    ("sums", "category"),
    [((1000, 343), "PR"), ((1000, 343.1), "SD"), ((1000, 1728), "PD"), ((1000, 1727.9), "SD")],
)
def test_sphere_volumes_follow_the_diameters_of_recist(sums, category):
    # 0.7³ = 0.343 and 1.2³ = 1.728.
    assert by_sums("volumetric", *sums, thresholds="sphere").categories == (category,)


def test_a_response_persists_or_not_by_policy():
    # EORTC, RECIST 1.1 questions and clarifications.
    sums = (100, 70, 70, 80, 80, 80)

    assert by_sums("recist-1.1", *sums).categories == ("PR",) * 5
    strict = by_sums("recist-1.1", *sums, response="strict")
    assert strict.categories == ("PR", "PR", "SD", "SD", "SD")
    assert strict.policies["response"] == "strict"
    assert strict.policies["reappearance"] == "any"


@pytest.mark.parametrize(
    ("size", "policy", "expected"),
    [(4.9, "any", "PD"), (4.9, "growth", "PR"), (5, "growth", "PD"), (0, "any", "CR")],
)
def test_reappearance_after_complete_response(size, policy, expected):
    judgement = by_sums("recist-1.1", 40, 0, size, reappearance=policy)

    assert judgement.categories[-1] == expected


def test_progression_may_end_the_assessment():
    sums = (100, 120, 100)

    assert by_sums("recist-1.1", *sums).categories == ("PD", "SD")
    assert by_sums("recist-1.1", *sums, after_progression="carried").categories == ("PD", "PD")


@pytest.mark.parametrize(
    ("node", "other", "expected"),
    [
        pytest.param(9.9, 0, "CR", id="a node below 10 mm is normal"),
        pytest.param(10, 0, "PR", id="at 10 mm it is not"),
        pytest.param(9.9, 0.1, "PR", id="other lesions must be gone"),
    ],
)
def test_nodes_may_remain_in_complete_response(node, other, expected):
    def visit(node_mm, mm):
        return {"targets": (sized("N", node_mm, is_node=True), sized("T", mm))}

    assert judge(course(visit(20, 30), visit(node, other))).categories == (expected,)


@pytest.mark.parametrize(
    ("later", "total"),
    [
        pytest.param((sized("A", (12, 9)), sized("B", 10)), 31, id="split: the parts are added"),
        pytest.param(
            (sized("A", 40), sized("B", None, merged_into="A")), 40, id="merged: the whole counts"
        ),
        pytest.param((sized("A", None, is_too_small=True), sized("B", 10)), 15, id="too small: 5"),
        pytest.param((sized("A", 3), sized("B", 10)), 13, id="measured below 5 mm counts as it is"),
    ],
)
def test_what_a_target_adds(later, total):
    baseline = {"targets": (sized("A", 30), sized("B", 20))}

    (verdict,) = judge(course(baseline, {"targets": later})).verdicts

    assert verdict.facts["sum"] == total


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        # The sum at nadir is 70; what was assessed alone must exceed it by 20 %.
        ((40, None), ("NE", "target-missing")),
        ((84, None), ("PD", "target-progression")),
        ((83.9, None), ("NE", "target-missing")),
    ],
)
def test_missing_targets(seen, expected):
    baseline = {"targets": (sized("A", 50), sized("B", 20))}
    later = {"targets": (sized("A", seen[0]), sized("B", seen[1]))}

    (verdict,) = judge(course(baseline, later)).verdicts

    assert (verdict.category, verdict.rule) == expected


def test_a_visit_with_a_missing_target_sets_no_nadir():
    baseline = {"targets": (sized("A", 50), sized("B", 20))}
    missing = {"targets": (sized("A", 20), sized("B", None))}
    last = {"targets": (sized("A", 54), sized("B", 20))}

    assert judge(course(baseline, missing, last)).categories == ("NE", "SD")


# Eisenhauer 2009, tables 1 and 2, every row; NONE where there are no lesions of that role.
TABLES = [
    ("CR", "CR", False, "CR"),
    ("CR", "NONE", False, "CR"),
    ("CR", "NON-CR/NON-PD", False, "PR"),
    ("CR", "NE", False, "PR"),
    ("PR", "CR", False, "PR"),
    ("PR", "NON-CR/NON-PD", False, "PR"),
    ("PR", "NE", False, "PR"),
    ("SD", "CR", False, "SD"),
    ("SD", "NON-CR/NON-PD", False, "SD"),
    ("SD", "NE", False, "SD"),
    ("NE", "CR", False, "NE"),
    ("NE", "NON-CR/NON-PD", False, "NE"),
    ("NE", "NE", False, "NE"),
    ("NONE", "CR", False, "CR"),
    ("NONE", "NON-CR/NON-PD", False, "NON-CR/NON-PD"),
    ("NONE", "NE", False, "NE"),
    ("NONE", "NONE", False, "NE"),
]


@pytest.mark.parametrize(("target", "non_target", "new", "expected"), TABLES)
def test_tables_1_and_2(target, non_target, new, expected):
    assert overall(target, non_target, has_new=new)[0] == expected


def test_any_progression_is_progression():
    targets = ("CR", "PR", "SD", "PD", "NE", "NONE")
    others = ("CR", "NON-CR/NON-PD", "PD", "NE", "NONE")
    for target, other, new in product(targets, others, (False, True)):
        progresses = new or "PD" in (target, other)
        assert (overall(target, other, has_new=new)[0] == "PD") is progresses


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (("absent", "absent"), "CR"),
        (("absent", "present"), "PR"),
        (("absent", "not assessed"), "PR"),
        (("progression", "not assessed"), "PD"),
    ],
)
def test_non_target_lesions(states, expected):
    def others(*seen):
        pairs = zip("NM", seen, strict=True)
        return tuple(NonTarget(lesion=n, seen=Seen(s)) for n, s in pairs)

    baseline = {"targets": (sized("A", 50),), "non_targets": others("present", "present")}
    later = {"targets": (sized("A", 0),), "non_targets": others(*states)}

    assert judge(course(baseline, later)).categories == (expected,)


@pytest.mark.parametrize(
    ("criterion", "size", "expected"),
    [
        ("mrecist", 9.9, "SD"),
        ("mrecist", 10, "PD"),
        ("recist-1.1", 3, "PD"),
        ("mrecist", None, "PD"),
    ],
)
def test_a_new_nodule_of_the_liver_needs_10_mm(criterion, size, expected):
    lesion = NewLesion(lesion="L", size=None if size is None else Decimal(str(size)))
    visits = ({"targets": (sized("A", 50),)}, {"targets": (sized("A", 50),), "new": (lesion,)})

    assert judge(course(*visits), criterion).categories == (expected,)


@pytest.mark.parametrize(
    ("criterion", "size", "noted"),
    [("mrecist", 19.9, True), ("mrecist", 20, False), ("recist-1.1", 15, False)],
)
def test_a_node_of_the_porta_hepatis_needs_20_mm(criterion, size, noted):
    node = sized("N", size, is_node=True, organ="porta hepatis")

    assert bool(judge(course({"targets": (node,)}, {"targets": (node,)}), criterion).notes) is noted


@pytest.mark.parametrize(
    ("criterion", "size"),
    [
        ("recist-1.1", "5"),
        ("mrecist", "5"),
        ("rano-2.0", "25"),
        # A sphere of 5 mm has 0.0654 mL.
        ("rano-2.0-volume", "0.065"),
        ("volumetric", "0.065"),
    ],
)
def test_what_too_small_to_measure_counts(criterion, size):
    tiny = sized("A", None, is_too_small=True)
    visits = ({"targets": (sized("A", 500),)}, {"targets": (tiny,)})

    assert judge(course(*visits), criterion).verdicts[0].facts["sum"] == Decimal(size)


def test_mrecist_measures_as_recist_does():
    liver, solid = load("mrecist").thresholds, load("recist-1.1").thresholds
    differs = {"progression_increase_absolute"}

    shared = (set(liver) & set(solid)) - differs
    assert len(shared) > 10
    assert {n: liver[n].value for n in shared} == {n: solid[n].value for n in shared}


@pytest.mark.parametrize(
    ("policy", "expected"), [("back-dated", ("PD", "PD")), ("when-confirmed", ("SD", "PD"))]
)
def test_an_equivocal_new_lesion_that_proves_to_be_one(policy, expected):
    first = NewLesion(lesion="L", is_certain=False)
    visits = (
        {"targets": (sized("A", 50),)},
        {"targets": (sized("A", 50),), "new": (first,)},
        {"targets": (sized("A", 50),), "new": (NewLesion(lesion="L"),)},
    )

    assert judge(course(*visits), policies={"equivocal": policy}).categories == expected
    never = judge(course(*visits[:2]), policies={"equivocal": policy})
    assert never.categories == ("SD",)


def test_a_visit_that_cannot_be_compared_is_not_evaluable():
    visits = (
        {"targets": (sized("A", 50),)},
        {"targets": (sized("A", 10),), "is_comparable": False},
        {"targets": (sized("A", 50),)},
    )

    judgement = judge(course(*visits))

    assert judgement.categories == ("NE", "SD")
    assert judgement.verdicts[0].rule == "alignment"


@pytest.mark.parametrize(
    ("clinic", "policy", "expected"),
    [
        ({"clinical": "worse"}, "counted", "PD"),
        ({"clinical": "worse"}, "images-only", "PR"),
        ({"steroids": "increased"}, "counted", "SD"),
        ({"steroids": "increased"}, "images-only", "PR"),
        ({"steroids": "decreased"}, "counted", "PR"),
    ],
)
def test_rano_counts_the_clinic(clinic, policy, expected):
    visits = ({"targets": (sized("A", 400),)}, {"targets": (sized("A", 200),), **clinic})

    judgement = judge(course(*visits), "rano-2.0", policies={"clinical": policy})

    assert judgement.categories == (expected,)


@pytest.mark.parametrize(
    ("sums", "expected"),
    [((100, 119.5), True), ((100, 119.6), False), ((100, 80.8), True), ((100, 80.7), False)],
)
def test_a_change_smaller_than_measurement_error_is_called_so(sums, expected):
    # Yoon 2016: pooled 95 % limits of agreement of a sum, -19.2 % to 19.5 %.
    assert by_sums("recist-1.1", *sums).verdicts[-1].is_within_error is expected


@pytest.mark.parametrize(
    ("target", "noted"),
    [
        ({"size": 10}, False),
        ({"size": 9.9}, True),
        ({"size": 15, "is_node": True}, False),
        ({"size": 14.9, "is_node": True}, True),
        ({"size": 10, "slice_mm": Decimal(5)}, False),
        ({"size": 10.1, "slice_mm": Decimal("5.1")}, True),
        ({"size": 10.2, "slice_mm": Decimal("5.1")}, False),
        ({"size": 14, "slice_mm": Decimal(7)}, False),
        ({"size": 13.9, "slice_mm": Decimal(7)}, True),
        ({"size": 10, "method": "caliper"}, False),
        ({"size": 19.9, "method": "radiograph"}, True),
        ({"size": 20, "method": "radiograph"}, False),
    ],
)
def test_targets_that_were_not_measurable_are_noted(target, noted):
    facts = {name: value for name, value in target.items() if name != "size"}
    lesion = sized("A", target["size"], **facts)

    notes = judge(course({"targets": (lesion,)}, {"targets": (sized("A", 10),)})).notes

    assert bool(notes) is noted


@pytest.mark.parametrize(
    ("organs", "notes"),
    [
        (("liver",) * 2 + ("lung",) * 2 + ("bone",), 0),
        (("liver",) * 3, 1),
        (("a", "b", "c", "d", "e", "f"), 1),
    ],
)
def test_more_than_5_targets_or_2_in_one_organ_are_noted(organs, notes):
    targets = tuple(sized(f"T{n}", 20, organ=organ) for n, organ in enumerate(organs))

    assert len(judge(course({"targets": targets}, {"targets": targets})).notes) == notes


# Every small state of two targets (one a node), a non-target and a new lesion.
NODE_MM, LESION_MM = (0, 9, 10, 15, 20, 26), (0, 4, 7, 20, 22, 27)
OTHERS = (None, Seen.ABSENT, Seen.PRESENT, Seen.PROGRESSION)
PASTS = ((20, 20), (0, 9), (9, 10), (0, 0))


def now(past, node, lesion, other, new):
    others = () if other is None else (NonTarget(lesion="O", seen=other),)
    start = () if other is None else (NonTarget(lesion="O", seen=Seen.PRESENT),)
    before = () if other is None else (NonTarget(lesion="O", seen=Seen.ABSENT),)

    def targets(lesion_mm, node_mm):
        return (sized("T", lesion_mm), sized("N", node_mm, is_node=True))

    return course(
        {"targets": targets(20, 20), "non_targets": start},
        {"targets": targets(*past), "non_targets": before},
        {
            "targets": targets(lesion, node),
            "non_targets": others,
            "new": (NewLesion(lesion="L"),) if new else (),
        },
    )


@pytest.mark.parametrize("criterion", ["recist-1.1", "mrecist", "volumetric", "rano-2.0"])
@pytest.mark.parametrize(
    "policies",
    [{}, {"response": "strict"}, {"reappearance": "growth"}, {"after_progression": "carried"}],
    ids=str,
)
def test_more_tumour_never_improves_the_category(criterion, policies):
    ranks = {}
    for past in PASTS:
        axes = (range(len(NODE_MM)), range(len(LESION_MM)), range(len(OTHERS)), (0, 1))
        for place in product(*axes):
            node, lesion, other, new = place
            state = now(past, NODE_MM[node], LESION_MM[lesion], OTHERS[other], new)
            category = judge(state, criterion, policies=policies).categories[-1]
            ranks[past, place] = CATEGORIES.index(category)
    compared = 0
    for (past, place), rank in ranks.items():
        for axis in range(4):
            worse = tuple(p + (n == axis) for n, p in enumerate(place))
            # Without a non-target (0) there is nothing that one more could be worse than.
            if (past, worse) in ranks and not (axis == 2 and place[2] == 0):
                compared += 1
                assert ranks[past, worse] >= rank, (past, place, axis)
    assert compared > 2000


@given(st.lists(st.tuples(*[SIZES] * 3), min_size=2, max_size=5), st.randoms())
def test_the_order_of_lesions_does_not_matter(lesions, random):
    def visits(order):
        return [
            {"targets": tuple(sized(f"T{n}", lesions[n][visit]) for n in order)}
            for visit in range(3)
        ]

    order = list(range(len(lesions)))
    shuffled = random.sample(order, len(order))

    assert judge(course(*visits(order))).categories == judge(course(*visits(shuffled))).categories


@given(st.lists(SIZES, min_size=2, max_size=6), st.integers(2, 50))
def test_only_the_absolute_increase_depends_on_scale(sums, factor):
    # mRECIST has no absolute increase, so a magnified patient has the same response.
    large = [s * factor for s in sums]

    assert by_sums("mrecist", *large).categories == by_sums("mrecist", *sums).categories


@given(
    st.lists(SIZES, min_size=2, max_size=6), st.decimals(min_value="0.1", max_value=50, places=1)
)
def test_a_larger_sum_now_never_improves_the_category(sums, more):
    larger = [*sums[:-1], sums[-1] + more]
    ranks = [CATEGORIES.index(by_sums("recist-1.1", *s).categories[-1]) for s in (sums, larger)]

    assert ranks[1] >= ranks[0]


def test_refuses_what_cannot_be_a_course():
    with pytest.raises(InputError, match="at least 2 visits, got 1"):
        of_sums([Decimal(40)])
    with pytest.raises(InputError, match="not in order of time"):
        of_sums([Decimal(40), Decimal(30)], days=[10, 3])
    with pytest.raises(InputError, match="'A' has the size -1"):
        sized("A", -1)
    with pytest.raises(InputError, match="no size at baseline"):
        of_sums([None, Decimal(3)])
    with pytest.raises(InputError, match="stands twice"):
        course({"targets": (sized("A", 3), sized("A", 4))}, {})
    with pytest.raises(InputError, match="'B' is not of that role at baseline"):
        course({"targets": (sized("A", 3),)}, {"targets": (sized("B", 3),)})
    with pytest.raises(InputError, match="Baseline has the new lesion 'L'"):
        course({"new": (NewLesion(lesion="L"),)}, {})


def test_refuses_unknown_criteria_policies_and_choices():
    sums = [Decimal(40), Decimal(30)]
    with pytest.raises(OptionError, match=r"No response criterion 'recist-2'; known: .*recist-1.1"):
        judge(of_sums(sums), "recist-2")
    with pytest.raises(OptionError, match="no policy 'mood'"):
        by_sums("recist-1.1", *sums, mood="good")
    with pytest.raises(OptionError, match="response cannot be 'sometimes'; known: carried, strict"):
        by_sums("recist-1.1", *sums, response="sometimes")
    with pytest.raises(InputError, match=r"PERCIST 1\.0 does not judge a sum"):
        judge(of_sums(sums), "percist-1.0")

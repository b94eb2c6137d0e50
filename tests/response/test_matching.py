"""Following lesions over visits: positions, sizes, comings and goings."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aegle.domain.errors import InputError, OptionError
from aegle.domain.finding import LesionKind
from aegle.domain.grid import Grid
from aegle.domain.registration import Verdict
from aegle.domain.timeline import LesionStatus
from aegle.phantoms.lesion_course import CourseKind
from aegle.response.followed import pooled, tally
from aegle.response.matching import MatchOptions, match, tracked

BASELINE, PRESENT, NEW, SPLIT, MERGED, GONE, UNSURE = (
    LesionStatus.BASELINE,
    LesionStatus.PRESENT,
    LesionStatus.NEW,
    LesionStatus.SPLIT,
    LesionStatus.MERGED,
    LesionStatus.GONE,
    LesionStatus.UNSURE,
)


@pytest.fixture(scope="module")
def follow(make_findings, make_registration):
    """Return a function that matches visits given as lists of lesions."""

    def matched(*visits, registrations=None, **options):
        findings = tuple(make_findings(f"1.{n}", *v) for n, v in enumerate(visits))
        aligned = registrations or (make_registration(),) * (len(visits) - 1)
        return match(findings, tuple(aligned), options=MatchOptions(**options))

    return matched


def links(timeline, visit):
    """Return {track: (status, lesion id)} at a visit."""
    return {e.track: (e.status, e.lesion_id) for e in timeline.at(visit)}


def test_lesions_are_named_by_size_and_followed_by_place(follow, make_lesion):
    timeline = follow(
        [make_lesion("a", (0, 0, 0), 20), make_lesion("b", (50, 0, 0), 30)],
        [make_lesion("x", (3, 1, -2), 31), make_lesion("y", (52, 2, 0), 12)],
    )

    assert links(timeline, 0) == {"T1": (BASELINE, "b"), "T2": (BASELINE, "a")}
    assert links(timeline, 1) == {"T1": (PRESENT, "y"), "T2": (PRESENT, "x")}
    distances = {e.track: e.match_distance_mm for e in timeline.at(1)}
    assert distances["T2"] == pytest.approx(14**0.5)


def test_places_go_through_the_alignment_the_right_way(follow, make_lesion, make_registration):
    # Turned by 90 degrees about z and shifted: (x, y, z) of the first visit lies at
    # (-y + 10, x + 20, z - 30) of the second. The inverse would put both lesions elsewhere.
    matrix = [[0, -1, 0, 10], [1, 0, 0, 20], [0, 0, 1, -30], [0, 0, 0, 1]]

    timeline = follow(
        [make_lesion("a", (80, 0, 5), 20), make_lesion("b", (0, -60, 0), 15)],
        [make_lesion("x", (70, 20, -30), 15), make_lesion("y", (10, 100, -25), 20)],
        registrations=[make_registration(matrix)],
    )

    assert links(timeline, 1) == {"T1": (PRESENT, "y"), "T2": (PRESENT, "x")}
    assert [e.match_distance_mm for e in timeline.at(1)] == pytest.approx([0, 0])


def test_new_and_gone(follow, make_lesion):
    timeline = follow(
        [make_lesion("a", (0, 0, 0), 20), make_lesion("b", (90, 0, 0), 12)],
        [make_lesion("a", (0, 0, 0), 20), make_lesion("n", (0, 0, 90), 11)],
        [make_lesion("n", (0, 0, 92), 14), make_lesion("b", (90, 0, 0), 8)],
    )

    assert links(timeline, 1) == {
        "T1": (PRESENT, "a"),
        "T2": (GONE, None),
        "T3": (NEW, "n"),
    }
    assert links(timeline, 2) == {
        "T1": (GONE, None),
        "T2": (PRESENT, "b"),
        "T3": (PRESENT, "n"),
    }
    assert [e.diameter_mm for e in timeline.entries if e.status is GONE] == [0, 0]


def test_all_gone(follow, make_lesion):
    timeline = follow([make_lesion("a", (0, 0, 0), 20)], [])

    assert links(timeline, 1) == {"T1": (GONE, None)}


def test_size_decides_between_equally_near_lesions(follow, make_lesion):
    timeline = follow(
        [make_lesion("a", (0, 0, 0), 40), make_lesion("b", (12, 0, 0), 10)],
        [make_lesion("small", (5, 0, 0), 10), make_lesion("large", (7, 0, 0), 40)],
    )

    assert links(timeline, 1) == {"T1": (PRESENT, "large"), "T2": (PRESENT, "small")}


@pytest.mark.parametrize(("distance_mm", "status"), [(30, PRESENT), (31, GONE)])
def test_nothing_is_linked_beyond_the_gate(follow, make_lesion, distance_mm, status):
    timeline = follow(
        [make_lesion("a", (0, 0, 0), 100)], [make_lesion("x", (distance_mm, 0, 0), 100)]
    )

    assert links(timeline, 1)["T1"][0] is status


def test_a_lesion_keeps_its_way_of_measuring(follow, make_lesion):
    node = make_lesion("a", (0, 0, 0), 24, perpendicular_mm=16, kind=LesionKind.LYMPH_NODE)
    other = make_lesion("x", (1, 0, 0), 22, perpendicular_mm=12, kind=LesionKind.TUMOUR)

    entry = follow([node], [other]).at(1)[0]

    assert entry.status is PRESENT
    assert entry.is_lymph_node
    assert entry.diameter_mm == 12


def test_a_failed_alignment_links_nothing(follow, make_lesion, make_registration):
    lesions = [make_lesion("a", (0, 0, 0), 20), make_lesion("b", (50, 0, 0), 30)]

    timeline = follow(
        lesions,
        lesions,
        lesions,
        registrations=[make_registration(verdict=Verdict.FAILED), make_registration()],
    )

    assert links(timeline, 1) == {"U1.1": (UNSURE, "b"), "U1.2": (UNSURE, "a")}
    assert not any(e.is_target for e in timeline.at(1))
    assert links(timeline, 2) == {"T1": (PRESENT, "b"), "T2": (PRESENT, "a")}


@pytest.mark.parametrize(
    ("shift_mm", "expected"),
    [
        pytest.param(0, {"T1": (PRESENT, "b")}, id="above the last slice"),
        # The patient lies 250 mm lower in the second image, which now shows the place.
        pytest.param(-250, {"T1": (PRESENT, "b"), "T2": (GONE, None)}, id="shown after all"),
    ],
)
def test_what_the_image_does_not_show_is_not_gone(
    follow, make_lesion, make_registration, shift_mm, expected
):
    low = Grid(shape=(350, 400, 400), spacing_mm=(1, 1, 1), origin_mm=(-200.0, -200.0, -500.0))
    matrix = np.eye(4)
    matrix[2, 3] = shift_mm

    timeline = follow(
        [make_lesion("a", (0, 0, 90), 20), make_lesion("b", (0, 0, -170), 30)],
        [make_lesion("b", (0, 0, -170 + shift_mm), 30, grid=low)],
        registrations=[make_registration(matrix)],
    )

    assert links(timeline, 1) == expected


def test_sizes_are_compared_with_the_last_visit(follow, make_lesion):
    timeline = follow(
        [make_lesion("a", (0, 0, 0), 40), make_lesion("b", (60, 0, 0), 10)],
        [make_lesion("a", (0, 0, 0), 12), make_lesion("b", (60, 0, 0), 36)],
        [make_lesion("small", (30, 1, 0), 12), make_lesion("large", (30, -1, 0), 36)],
        gate_mm=50,
        residual_mm=20,
        size_spread=0.7,
    )

    assert links(timeline, 2) == {"T1": (PRESENT, "small"), "T2": (PRESENT, "large")}


def test_targets_are_those_of_the_baseline(follow, make_lesion):
    timeline = follow(
        [make_lesion("a", (0, 0, 0), 20), make_lesion("b", (50, 0, 0), 8)],
        [make_lesion("b", (50, 0, 0), 30), make_lesion("n", (0, 90, 0), 60)],
    )

    assert {e.track: e.is_target for e in timeline.at(1)} == {
        "T1": True,
        "T2": False,
        "T3": False,
    }


def test_the_same_lesion_keeps_its_tracking_uid(make_lesion, make_findings, make_registration):
    visits = (
        make_findings("1.0", make_lesion("L1", (0, 0, 0), 20, tracking_uid="2.25.1")),
        make_findings(
            "1.1",
            make_lesion("L1", (90, 0, 0), 30, tracking_uid="2.25.2"),
            make_lesion("L2", (0, 0, 0), 10, tracking_uid="2.25.3"),
        ),
        make_findings(
            "1.2",
            make_lesion("L1", (0, 0, 0), 10, tracking_uid="2.25.4"),
            make_lesion("L2", (90, 0, 0), 30, tracking_uid="2.25.5"),
        ),
    )
    timeline = match(visits, (make_registration(),) * 2, options=MatchOptions())

    result = tracked(visits, timeline)

    assert [[o.tracking_uid for o in f.lesions] for f in result] == [
        ["2.25.1"],
        ["2.25.2", "2.25.1"],
        ["2.25.1", "2.25.2"],
    ]
    assert visits[1].lesions[1].tracking_uid == "2.25.3"


def test_unsure_lesions_keep_their_own_uid(make_lesion, make_findings, make_registration):
    visits = tuple(
        make_findings(f"1.{n}", make_lesion("L1", (0, 0, 0), 20, tracking_uid=f"2.25.{n}"))
        for n in range(2)
    )
    failed = (make_registration(verdict=Verdict.FAILED),)

    result = tracked(visits, match(visits, failed, options=MatchOptions()))

    assert [f.lesions[0].tracking_uid for f in result] == ["2.25.0", "2.25.1"]


def test_refuses_a_timeline_of_another_patient(make_lesion, make_findings, make_registration):
    visits = tuple(make_findings(f"1.{n}") for n in range(2))
    others = tuple(make_findings(f"9.{n}") for n in range(2))
    timeline = match(visits, (make_registration(),), options=MatchOptions())

    with pytest.raises(InputError, match="different examinations"):
        tracked(others, timeline)


@pytest.mark.parametrize("count", [0, 2])
def test_refuses_a_wrong_number_of_alignments(make_findings, make_registration, count):
    visits = (make_findings("1.0"), make_findings("1.1"))

    with pytest.raises(InputError, match="2 visits need 1 alignments"):
        match(visits, (make_registration(),) * count, options=MatchOptions())


places = st.tuples(*[st.integers(-120, 120)] * 3)
lesions = st.lists(st.tuples(places, st.integers(4, 40)), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(lesions, lesions, st.randoms(use_true_random=False))
def test_the_order_of_lesions_does_not_matter(follow, make_lesion, first, later, random):
    visits = [
        [make_lesion(f"{name}{n}", at, mm) for n, (at, mm) in enumerate(visit)]
        for name, visit in (("a", first), ("b", later))
    ]
    shuffled = [random.sample(v, len(v)) for v in visits]

    assert follow(*visits).entries == follow(*shuffled).entries


@settings(max_examples=60, deadline=None)
@given(lesions, lesions)
def test_every_lesion_has_one_entry_and_every_track_goes_on(follow, make_lesion, first, later):
    visits = [
        [make_lesion(f"L{n}", at, mm) for n, (at, mm) in enumerate(visit)]
        for visit in (first, later)
    ]

    timeline = follow(*visits)

    for visit, found in enumerate(visits):
        seen = [lesion for e in timeline.at(visit) for lesion in e.parts]
        assert sorted(seen) == sorted(o.id for o in found)
        tracks = [e.track for e in timeline.at(visit)]
        assert len(set(tracks)) == len(tracks)
    assert {e.track for e in timeline.at(0)} <= {e.track for e in timeline.at(1)}


def test_a_lesion_that_fell_into_two_stays_one_with_the_sum_of_diameters(follow, make_lesion):
    halves = 30 / 2 ** (1 / 3)

    timeline = follow(
        [make_lesion("a", (0, 0, 0), 30)],
        [make_lesion("x", (13, 1, 0), halves + 1), make_lesion("y", (-13, -1, 0), halves)],
        [make_lesion("y", (-14, -1, 0), 20), make_lesion("x", (13, 1, 0), halves)],
    )

    assert links(timeline, 1) == {"T1": (SPLIT, "x")}
    [entry] = timeline.at(1)
    assert entry.parts == ("x", "y")
    assert entry.part_names == ("T1", "T1.2")
    # RECIST 1.1, section 4.3.2: the longest diameters of the fragments are added up.
    assert entry.diameter_mm == pytest.approx(2 * halves + 1, abs=0.11)
    [entry] = timeline.at(2)
    assert entry.status is PRESENT
    assert dict(zip(entry.part_names, entry.parts, strict=True)) == {"T1": "x", "T1.2": "y"}


def test_lesions_that_grew_together_count_once(follow, make_lesion):
    whole = (24**3 + 20**3) ** (1 / 3)
    timeline = follow(
        [make_lesion("a", (0, 0, 0), 24), make_lesion("b", (23, 0, 0), 20)],
        [make_lesion("x", (9, 0, 0), whole + 2)],
        [make_lesion("x", (9, 1, 0), whole + 6)],
        residual_mm=2,
    )

    assert links(timeline, 1) == {"T1": (MERGED, "x"), "T2": (MERGED, None)}
    assert links(timeline, 2) == {"T1": (PRESENT, "x"), "T2": (MERGED, None)}
    assert [e.merged_into for e in timeline.at(2)] == [None, "T1"]
    assert [e.diameter_mm for e in timeline.at(1)] == [pytest.approx(whole + 2, abs=0.06), 0]


def test_the_whole_that_grew_from_two_may_vanish(follow, make_lesion):
    timeline = follow(
        [make_lesion("a", (0, 0, 0), 24), make_lesion("b", (23, 0, 0), 20)],
        [make_lesion("x", (9, 0, 0), 28)],
        [],
        residual_mm=2,
    )

    assert links(timeline, 2) == {"T1": (GONE, None), "T2": (GONE, None)}


TWINS = (("a", (0, 0, 0), 20), ("b", (30, 0, 0), 20))


def test_what_is_not_likely_enough_is_asked(follow, make_lesion):
    # A single lesion midway between two of the same size may be either one.
    timeline = follow(
        [make_lesion(*o) for o in TWINS], [make_lesion("x", (15, 0, 0), 20)], residual_mm=8
    )

    first, second = timeline.at(1)
    assert {first.status, second.status} == {UNSURE}
    assert first.probability < 0.8
    asked = str(first.question)
    assert "T1 = x" in asked
    assert "T2 = x" in asked or "T1 + T2 = x" in asked or "T1 = gone" in asked


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("2: T1 = x", {"T1": (PRESENT, "x"), "T2": (GONE, None)}),
        ("2: T2 = x", {"T1": (GONE, None), "T2": (PRESENT, "x")}),
        ("2: T1 + T2 = x", {"T1": (MERGED, "x"), "T2": (MERGED, None)}),
        ("2: new = x", {"T1": (GONE, None), "T2": (GONE, None), "T3": (NEW, "x")}),
    ],
)
def test_a_person_decides(follow, make_lesion, answer, expected):
    answers = (answer, *(("2: T2 = gone",) if answer == "2: T1 = x" else ()))

    timeline = follow(
        [make_lesion(*o) for o in TWINS],
        [make_lesion("x", (15, 0, 0), 20)],
        residual_mm=8,
        least_probability=0.6,
        answers=answers,
    )

    assert links(timeline, 1) == expected


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (("T1 is x",), "cannot be read"),
        (("1: T1 = x",), "later visits are 2 to 2"),
        (("2: T9 = x",), "T9, which does not exist"),
        (("2: T1 = x", "2: T2 = x"), "contradicts"),
    ],
)
def test_refuses_answers_that_cannot_be_meant(follow, make_lesion, answers, message):
    with pytest.raises(OptionError, match=message):
        follow(
            [make_lesion(*o) for o in TWINS], [make_lesion("x", (15, 0, 0), 20)], answers=answers
        )


def test_an_unsure_lesion_is_followed_again_at_the_next_visit(follow, make_lesion):
    timeline = follow(
        [make_lesion(*o) for o in TWINS],
        [make_lesion("x", (15, 0, 0), 20)],
        [make_lesion("y", (0, 0, 0), 20), make_lesion("z", (30, 0, 0), 20)],
        residual_mm=8,
    )

    assert links(timeline, 2) == {"T1": (PRESENT, "y"), "T2": (PRESENT, "z")}


def test_a_doubtful_alignment_makes_matches_less_certain(follow, make_lesion, make_registration):
    visits = [
        [make_lesion("a", (0, 0, 0), 20), make_lesion("b", (22, 0, 0), 20)],
        [make_lesion("x", (4, 0, 0), 20), make_lesion("y", (25, 0, 0), 20)],
    ]

    sure, doubtful = (
        follow(*visits, registrations=[make_registration(verdict=verdict)]).at(1)[0].probability
        for verdict in (Verdict.GOOD, Verdict.DOUBTFUL)
    )

    assert sure > 0.99
    assert doubtful < sure


def test_parts_keep_their_tracking_uids(make_lesion, make_findings, make_registration):
    visits = (
        make_findings("1.0", make_lesion("L1", (0, 0, 0), 30, tracking_uid="2.25.1")),
        make_findings(
            "1.1",
            make_lesion("L1", (13, 0, 0), 25, tracking_uid="2.25.2"),
            make_lesion("L2", (-13, 0, 0), 23, tracking_uid="2.25.3"),
        ),
        make_findings(
            "1.2",
            make_lesion("L1", (-13, 0, 0), 24, tracking_uid="2.25.4"),
            make_lesion("L2", (13, 0, 0), 20, tracking_uid="2.25.5"),
        ),
    )

    result = tracked(visits, match(visits, (make_registration(),) * 2, options=MatchOptions()))

    assert [[o.tracking_uid for o in f.lesions] for f in result] == [
        ["2.25.1"],
        ["2.25.1", "2.25.3"],
        ["2.25.3", "2.25.1"],
    ]


def test_forty_lesions_are_followed_despite_8_mm_of_misalignment(make_registration):
    """The whole series of 300 courses is in benchmarks/."""
    tallies = [tally(seed, CourseKind(), make_registration()) for seed in range(15)]

    result = pooled(tallies)

    assert result.f1 >= 0.98
    assert result.new_recall >= 0.95
    assert result.gone_right >= 0.95
    assert result.split_right >= 0.95
    assert result.merged_right >= 0.8
    assert result.misjudged <= 0.08 * (result.gone + result.split + result.merged)
    assert result.asked <= 0.08

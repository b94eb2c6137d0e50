"""Lung-RADS v2022 on measured findings."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aegle.diagnosis.rule import load
from aegle.diagnosis.suggest import SuggestOptions, suggest
from aegle.domain.errors import OptionError
from aegle.domain.finding import (
    Diameters,
    Findings,
    Lesion,
    LesionKind,
    OrganMeasure,
    Statistics,
)
from aegle.domain.grid import Grid
from aegle.domain.structure import Structure

ORDER = load("lung-rads").order
HERE = ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
STRUCTURE = Structure(
    name="L",
    box=np.ones((1, 1, 1), bool),
    start=(0, 0, 0),
    grid=Grid(shape=(1, 1, 1), spacing_mm=(1.0, 1.0, 1.0)),
)


def values(mean, image="CT", unit="HU"):
    return Statistics(image=image, unit=unit, mean=mean, deviation=10, minimum=-900, maximum=100)


def nodule(mm, *, id="L1", hu=20.0, short_mm=None, **facts):
    known = {
        "kind": LesionKind.NODULE,
        "site": "lung_left",
        "statistics": (values(hu),),
    }
    return Lesion(
        id=id,
        tracking_uid="2.25.1",
        structure=STRUCTURE,
        image="CT",
        diameters=Diameters(
            longest_mm=mm,
            perpendicular_mm=mm if short_mm is None else short_mm,
            longest_ends_mm=HERE,
            perpendicular_ends_mm=HERE,
            slice_index=0,
        ),
        volume_ml=1.0,
        **(known | facts),
    )


LUNG = OrganMeasure(name="lung_left", volume_ml=2000, statistics=values(-850))


def suggestions(*lesions, screening=True, organs=(LUNG,), **options):
    findings = Findings(study_uid="1.2", organs=organs, lesions=lesions)
    return suggest(screening, findings, options=SuggestOptions(**options))


def test_other_examinations_are_not_judged():
    (only,) = suggestions(nodule(20), screening=False)

    assert not only.applies
    assert only.category == ""
    assert str(only.reason) == "not applicable: not a screening CT"


@pytest.mark.parametrize(
    ("longest_mm", "short_mm", "category"),
    [(6.0, 5.8, "2"), (6.0, 6.0, "3"), (10.0, 5.8, "3"), (10.0, 6.0, "4A"), (18.0, 12.0, "4B")],
)
def test_the_mean_of_both_diameters_decides(longest_mm, short_mm, category):
    examination, lesion = suggestions(nodule(longest_mm, short_mm=short_mm))

    assert (lesion.subject, lesion.category) == ("L1", category)
    assert (examination.subject, examination.category) == ("examination", category)


def test_a_suggestion_shows_row_numbers_next_step_and_source():
    examination, lesion = suggestions(nodule(34.0, short_mm=27.0, hu=31))

    assert lesion.rule == "Lung-RADS v2022"
    assert "30.5 mm (34.0 × 27.0 mm), mean density 31 HU" in str(lesion.reason)
    assert "15 mm or larger" in str(lesion.row)
    assert lesion.next_step is None
    assert "not confirmed against the primary document" in str(examination.next_step)
    assert "10.1016/j.jacr.2023.09.009" in examination.citation


def test_the_most_suspicious_nodule_decides():
    examination, *each = suggestions(nodule(5), nodule(9, id="L2"), nodule(7, id="L3"))

    assert [s.category for s in each] == ["2", "4A", "3"]
    assert examination.category == "4A"
    assert "3 nodules" in str(examination.reason)


@pytest.mark.parametrize(("hu", "category"), [(-300.0, "4A"), (-300.1, "REVIEW")])
def test_what_is_not_solid_is_left_to_a_person(hu, category):
    _, lesion = suggestions(nodule(10, hu=hu))

    assert lesion.category == category


@pytest.mark.parametrize(("sure_mm", "category"), [(14.9, "REVIEW"), (15.0, "4B")])
def test_open_nodules_leave_the_examination_open_below_4b(sure_mm, category):
    examination, *_ = suggestions(nodule(sure_mm), nodule(12, id="L2", hu=-600))

    assert examination.category == category
    assert "1 of" in str(examination.reason)


@pytest.mark.parametrize("hu", [float("nan"), None])
def test_without_a_density_solid_is_not_assumed(hu):
    statistics = () if hu is None else (values(hu),)

    _, lesion = suggestions(nodule(10, statistics=statistics))

    assert lesion.category == "REVIEW"


def test_density_is_read_on_the_ct_not_on_the_pet():
    both = (values(8.0, "PT", "g/mL"), values(-650.0))

    _, lesion = suggestions(nodule(10, statistics=both))

    assert lesion.category == "REVIEW"


def test_nodes_and_lesions_elsewhere_are_not_lung_nodules():
    node = nodule(20, kind=LesionKind.LYMPH_NODE)
    liver = nodule(20, site="liver")

    (examination,) = suggestions(node, liver)

    assert examination.category == "1"


@pytest.mark.parametrize("kind", [LesionKind.NODULE, LesionKind.MASS, LesionKind.TUMOUR])
def test_every_other_kind_in_the_lung_is(kind):
    assert suggestions(nodule(20, kind=kind))[0].category == "4B"


def test_no_nodule_is_category_1_only_if_the_lungs_were_seen():
    assert suggestions()[0].category == "1"
    assert suggestions(organs=())[0].category == "REVIEW"


def test_unknown_rules_are_refused():
    with pytest.raises(OptionError, match="known: lung-rads"):
        suggestions(rule="other")


sizes = st.floats(1, 60).map(lambda mm: round(mm, 1))


@settings(deadline=None)
@given(st.lists(sizes, max_size=4), sizes, sizes)
def test_a_larger_nodule_never_improves_the_examination(others, one, other):
    rest = [nodule(mm) for mm in others]
    small, large = (suggestions(nodule(mm), *rest)[0].category for mm in sorted((one, other)))

    assert ORDER.index(large) >= ORDER.index(small)


@settings(deadline=None)
@given(st.lists(sizes, min_size=1, max_size=4), st.randoms())
def test_the_order_of_nodules_does_not_matter(mm, random):
    lesions = [nodule(size, id=f"L{n}") for n, size in enumerate(mm)]
    shuffled = random.sample(lesions, len(lesions))

    def each(of):
        return {s.subject: s.category for s in suggestions(*of)}

    assert each(lesions) == each(shuffled)


def test_one_more_nodule_to_review_never_hides_a_4b():
    sure = nodule(20)

    open_ones = [replace(nodule(8, hu=-500), id=f"L{n}") for n in range(3)]

    assert suggestions(sure, *open_ones)[0].category == "4B"


def test_rules_whose_facts_no_image_tells_are_refused():
    with pytest.raises(OptionError, match="No rule 'brock' that asks images alone"):
        suggestions(rule="brock")

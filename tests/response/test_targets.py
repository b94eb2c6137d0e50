"""Choice of target lesions at baseline (RECIST 1.1, sections 3.1 and 3.2)."""

import pytest

from aegle.domain.finding import LesionKind
from aegle.response.targets import choose_targets, is_measurable, measured_mm

NODE = LesionKind.LYMPH_NODE


@pytest.mark.parametrize(
    ("kind", "longest_mm", "short_mm", "expected"),
    [
        (LesionKind.TUMOUR, 10.0, 4.0, True),
        (LesionKind.TUMOUR, 9.9, 9.9, False),
        (NODE, 30.0, 15.0, True),
        (NODE, 30.0, 14.9, False),
        # Shown as 10.0 mm and judged as shown.
        (LesionKind.NODULE, 9.96, 9.0, True),
    ],
)
def test_measurable_from_10_mm_and_nodes_from_15_mm(
    make_lesion, kind, longest_mm, short_mm, expected
):
    lesion = make_lesion("L1", (0, 0, 0), longest_mm, perpendicular_mm=short_mm, kind=kind)

    assert is_measurable(lesion) is expected


def test_a_node_is_measured_by_its_short_axis(make_lesion):
    node = make_lesion("L1", (0, 0, 0), 24.0, perpendicular_mm=17.04, kind=NODE)

    assert measured_mm(node, as_node=True) == 17.0
    assert measured_mm(node, as_node=False) == 24.0


def test_at_most_two_per_organ_and_five_in_all(make_lesion):
    sites = ["liver", "liver", "liver", "spine", "bone", "spine", "bladder"]
    lesions = [make_lesion(f"L{n}", (n, 0, 0), 60.0 - n, site=s) for n, s in enumerate(sites)]

    assert choose_targets(lesions) == (True, True, False, True, True, True, False)


def test_both_lungs_are_one_organ(make_lesion):
    sites = ["lung_left", "lung_right", "lungs", "liver"]
    lesions = [make_lesion(f"L{n}", (n, 0, 0), 30.0 - n, site=s) for n, s in enumerate(sites)]

    assert choose_targets(lesions) == (True, True, False, True)


def test_all_nodes_are_one_organ(make_lesion):
    sites = ["mediastinum", "liver", "bone"]
    lesions = [
        make_lesion(f"L{n}", (n, 0, 0), 30.0 - n, site=s, kind=NODE) for n, s in enumerate(sites)
    ]

    assert choose_targets(lesions) == (True, True, False)


def test_small_lesions_do_not_use_up_places(make_lesion):
    lesions = [make_lesion(f"L{n}", (n, 0, 0), mm) for n, mm in enumerate((40.0, 9.0, 8.0, 12.0))]

    assert choose_targets(lesions) == (True, False, False, True)

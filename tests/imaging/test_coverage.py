import numpy as np
import pytest

from aegle.imaging.coverage import cut_faces, end_sections, outline_at_border, seen_field


def discs(shape, centre, radius):
    y, x = np.indices(shape[1:])
    return np.broadcast_to(np.hypot(y - centre[0], x - centre[1]) <= radius, shape)


def test_round_field_is_known_by_its_corners():
    planes = np.full((2, 100, 100), -1000.0, np.float32)
    planes[:, ~discs((2, 100, 100), (49.5, 49.5), 50)[0]] = -2000
    field = seen_field(planes)

    assert field.mean() == pytest.approx(np.pi / 4, abs=0.01)
    assert seen_field(np.full((2, 50, 50), -1000.0, np.float32)).all()


def test_body_within_the_field_has_no_outline_at_its_border():
    body = discs((3, 100, 100), (50, 50), 30)

    assert outline_at_border(body, np.ones((100, 100), bool)) == 0


def test_half_a_disc_has_its_diameter_at_the_border():
    body = discs((3, 200, 200), (100, 0), 80)

    # The outline is as long as its steps along rows and columns: 2 r at the border, 4 r of circle.
    assert outline_at_border(body, np.ones((200, 200), bool)) == pytest.approx(100 / 3, abs=2)


def test_border_of_a_round_field_counts_too():
    field = discs((1, 200, 200), (99.5, 99.5), 100)[0]
    body = discs((1, 200, 200), (99.5, 40), 90)

    assert outline_at_border(body, field) > 20


def test_empty_mask_has_no_outline():
    assert outline_at_border(np.zeros((1, 9, 9), bool), np.ones((9, 9), bool)) == 0


@pytest.mark.parametrize(
    ("cut", "face"),
    [
        ((slice(10, None), slice(None), slice(None)), "bottom"),
        ((slice(None, -10), slice(None), slice(None)), "top"),
        ((slice(None), slice(10, None), slice(None)), "front"),
        ((slice(None), slice(None, -10), slice(None)), "back"),
        ((slice(None), slice(None), slice(10, None)), "right"),
        ((slice(None), slice(None), slice(None, -10)), "left"),
    ],
)
def test_only_the_face_that_is_cut_is_reached(cut, face):
    z, y, x = np.indices((40, 40, 40)) - 19.5
    ball = np.sqrt(z**2 + y**2 + x**2) < 16
    found = cut_faces(ball[cut])

    assert found.pop(face) > 40
    assert max(found.values()) == 0


def test_single_plane_has_four_faces():
    assert set(cut_faces(np.ones((1, 5, 5), bool))) == {"front", "back", "right", "left"}


def test_end_sections_are_shares_of_the_largest():
    assert end_sections(np.array([10.0, 40.0, 20.0])) == (25, 50)
    assert end_sections(np.zeros(3)) == (0, 0)
    assert end_sections(np.zeros(0)) == (0, 0)

"""Maps and look-alikes against scikit-learn and by hand."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from aegle.domain.errors import InputError
from aegle.learning.codes import map_of, nearest


def codes(count, values=6, seed=0):
    random = np.random.default_rng(seed)
    spread = np.linspace(3, 1, values)
    return (random.normal(size=(count, values)) * spread + 5).astype(np.float32)


def test_map_is_that_of_principal_components():
    given = codes(40)
    peer = PCA(2, svd_solver="full").fit(given.astype(np.float64))

    made = map_of(given)

    np.testing.assert_allclose(
        np.abs(made.place(given)), np.abs(peer.transform(given.astype(np.float64))), atol=1e-9
    )
    np.testing.assert_allclose(made.explained, peer.explained_variance_ratio_)
    assert (made.axes[np.arange(2), np.abs(made.axes).argmax(axis=1)] > 0).all()


def test_look_alikes_are_those_of_a_peer():
    asked, searched = codes(7, seed=1), codes(30, seed=2)
    distances, indices = NearestNeighbors(n_neighbors=4).fit(searched).kneighbors(asked)

    found = nearest(asked, searched, count=4)

    np.testing.assert_array_equal(found.indices, indices)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-6)


def test_near_duplicate_comes_first_and_the_image_itself_never():
    given = codes(20)
    given[13] = given[4] + 1e-3

    found = nearest(given, count=19)

    assert found.indices[4, 0] == 13
    assert found.indices[13, 0] == 4
    assert found.distances[4, 0] == pytest.approx(1e-3 * 6**0.5, rel=1e-2)
    assert all(place not in row for place, row in enumerate(found.indices))


def test_there_are_no_more_look_alikes_than_other_images():
    assert nearest(codes(3), count=9).indices.shape == (3, 2)


def test_codes_of_different_models_are_refused():
    with pytest.raises(InputError, match="codes of one model"):
        nearest(codes(3), codes(4, values=5))


@pytest.mark.parametrize("given", [codes(2), codes(5, values=1)])
def test_too_little_makes_no_map(given):
    with pytest.raises(InputError, match="make no map"):
        map_of(given)

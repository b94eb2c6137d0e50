import pytest

from aegle.phantoms.thorax import VISITS, ThoraxOptions, make_visit

SMALL = ThoraxOptions(shape=(60, 128, 128))


@pytest.fixture(scope="package")
def visits():
    """All three visits at 5 x 3 x 3 mm."""
    return tuple(make_visit(visit, options=SMALL) for visit in range(VISITS))

"""One made patient, run once, for every test that looks at the whole journey."""

from datetime import datetime

import pytest

from aegle.phantoms.thorax import ThoraxOptions
from aegle.workflow import demo

NOW = datetime(2026, 1, 2, 3, 4, 5)
SMALL = ThoraxOptions(shape=(60, 128, 128))


@pytest.fixture(scope="session")
def small_demo(tmp_path_factory):
    out = tmp_path_factory.mktemp("journey") / "demo"
    return demo.run(out, now=NOW, options=SMALL)

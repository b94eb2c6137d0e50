"""One made patient, run once, for every test that looks at the whole journey."""

from datetime import datetime

import pytest

from aegle.phantoms.thorax import ThoraxOptions
from aegle.workflow import demo
from aegle.workflow.stage import silent

NOW = datetime(2026, 1, 2, 3, 4, 5)
COARSE = ThoraxOptions(shape=(40, 96, 96))


@pytest.fixture(scope="session")
def journey(tmp_path_factory):
    """The demo as users run it."""
    out = tmp_path_factory.mktemp("journey") / "demo"
    return demo.run(out, now=NOW)


@pytest.fixture(scope="session")
def coarse_images(tmp_path_factory):
    """DICOM files of a coarse patient, for tests that run the program several times."""
    out = tmp_path_factory.mktemp("coarse")
    demo.make_images(out, "coarse", COARSE, silent)
    return out / "images"

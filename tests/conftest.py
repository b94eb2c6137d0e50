"""What several tests need: real data beside the project, and programs of the system."""

import os
import shutil
from pathlib import Path

import pytest

# The workers share the processors already.
os.environ.setdefault("OMP_NUM_THREADS", "1")

DATA = Path(__file__).parents[1].parent / "shared" / "data"


def _missing(reason):
    if os.environ.get("AEGLE_REQUIRE_ALL") == "1":
        pytest.fail(f"AEGLE_REQUIRE_ALL=1, but {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def shared_data():
    """Return a function that gives the path of real data, or skips where it is missing."""

    def path(*parts):
        wanted = DATA.joinpath(*parts)
        if not wanted.exists():
            _missing(f"the real data '{'/'.join(parts)}' do not lie beside the project")
        return wanted

    return path


@pytest.fixture(scope="session")
def require_program():
    """Return a function that gives the path of a program, or skips where it is missing."""

    def program(name, package):
        found = shutil.which(name)
        if found is None:
            _missing(f"the program '{name}' is not installed (Debian package {package})")
        return found

    return program

"""Environments of other programs, made by pip on the first run and kept."""

import subprocess
import venv
from collections.abc import Sequence
from pathlib import Path

WORK = Path(__file__).with_name(".work")


def environment(name: str, packages: Sequence[str], *, alone: Sequence[str] = ()) -> Path:
    """Return the Python of an environment, made if it is not there.

    Args:
        name: Of its folder.
        packages: What pip installs there.
        alone: What is installed afterwards without what it asks for.
    """
    folder = WORK / name
    python = folder / "bin" / "python"
    marker = folder / ".installed"
    wanted = " ".join((*packages, *alone))
    if not marker.exists() or marker.read_text() != wanted:
        venv.create(folder, clear=True, with_pip=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--no-cache-dir"]
        subprocess.run([*install, *packages], check=True)
        if alone:
            subprocess.run([*install, "--no-deps", *alone], check=True)
        marker.write_text(wanted)
    return python

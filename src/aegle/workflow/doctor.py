"""What is installed on this machine, and what that allows."""

import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

import aegle

PROGRAMS = {
    "dciodvfy": "checks DICOM objects in the tests (Debian package dicom3tools)",
    "chromium": "shows the report in the tests (Debian package chromium)",
}


def examine() -> dict[str, Any]:
    """Return versions, processors, memory, GPU and optional programs as plain data."""
    return {
        "aegle": aegle.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "memory_gib": _memory_gib(),
        "packages": _packages(),
        "accelerator": _accelerator(),
        "programs": {
            name: {"path": shutil.which(name), "for": purpose} for name, purpose in PROGRAMS.items()
        },
    }


def _packages() -> dict[str, str | None]:
    """Return the installed version of everything Aegle needs; None where it is missing."""
    needed = [line for line in requires("aegle") or [] if "extra ==" not in line]
    names = sorted(line.split(">")[0].split("=")[0].strip() for line in needed)
    return {name: _version(name) for name in names}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _accelerator() -> dict[str, Any]:
    import torch

    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {"torch": torch.__version__, "threads": torch.get_num_threads(), "gpus": names}


def _memory_gib() -> float | None:
    facts = Path("/proc/meminfo")
    if not facts.exists():
        return None
    kibibytes = int(facts.read_text().split("MemTotal:")[1].split()[0])
    return round(kibibytes / 2**20, 1)

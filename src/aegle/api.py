"""What Python, command line and web all call.

from aegle import api

results = api.run(["scans/"], out="case")
results.findings.visits[0].lesions[0].diameters.longest_mm
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from aegle.domain.case import CaseResults
from aegle.domain.errors import OptionError
from aegle.phantoms.thorax import ThoraxOptions
from aegle.report.language import Language
from aegle.workflow import demo as made_patient
from aegle.workflow import doctor as checks
from aegle.workflow import journey
from aegle.workflow.demo import Demo
from aegle.workflow.options import CaseOptions, describe, read_options
from aegle.workflow.pipeline import Announce, unannounced
from aegle.workflow.summary import summary

__all__ = [
    "CaseOptions",
    "Demo",
    "ThoraxOptions",
    "demo",
    "describe",
    "doctor",
    "read_options",
    "run",
    "summary",
]


def run(
    paths: Iterable[str | Path],
    out: str | Path,
    *,
    options: CaseOptions | None = None,
    language: Language = "en",
    now: datetime | None = None,
    announce: Announce = unannounced,
) -> CaseResults:
    """Take one patient's files through every stage that they allow, and write the report.

    Args:
        paths: DICOM files, folders or zips; NIfTI, NRRD, MetaImage, PNG or JPEG files.
        out: Folder of the case; made, or gone on with if it holds the same patient's case.
        options: How each stage is set.
        language: Language of the report, ``en`` or ``zh``.
        now: Time stamp on everything written; the present by default.
        announce: Told of each stage before it starts.

    Raises:
        InputError: The files cannot be used; the message names file, finding and remedy.
        OptionError: No path was given, or the folder holds something else than a case.
    """
    wanted = tuple(Path(path) for path in paths)
    if not wanted:
        raise OptionError("Give at least one file or folder of the patient.")
    request = journey.Request(
        paths=wanted,
        out=Path(out),
        now=now or _present(),
        options=options or CaseOptions(),
        language=language,
    )
    return journey.run(request, announce=announce)


def demo(
    out: str | Path,
    *,
    patient: ThoraxOptions | None = None,
    language: Language = "en",
    now: datetime | None = None,
    announce: Announce = unannounced,
) -> Demo:
    """Take a made patient with three visits and known truth through everything.

    Args:
        out: Folder for the patient's images and the case.
        patient: Seed and size of the made patient.
        language: Language of the report, ``en`` or ``zh``.
        now: Time stamp on everything written; the present by default.
        announce: Told of each stage before it starts.
    """
    return made_patient.run(
        Path(out), now=now or _present(), language=language, options=patient, announce=announce
    )


def doctor() -> Mapping[str, Any]:
    """Return what is installed and what it allows."""
    return checks.examine()


def _present() -> datetime:
    return datetime.now().astimezone().replace(microsecond=0, tzinfo=None)

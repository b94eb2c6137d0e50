"""One patient's case, and what this installation can do."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aegle.api.arguments import moment_given, options_given, require_language
from aegle.domain.errors import OptionError
from aegle.workflow.options import CaseOptions

if TYPE_CHECKING:
    from aegle.domain.case import CaseResults
    from aegle.phantoms.thorax import ThoraxOptions
    from aegle.report.language import Language
    from aegle.workflow.demo import Demo
    from aegle.workflow.pipeline import Announce
    from aegle.workflow.suggesting import Facts


def run(  # noqa: PLR0913
    paths: str | Path | Iterable[str | Path],
    out: str | Path,
    *,
    facts: "Facts | None" = None,
    options: CaseOptions | Mapping[str, Any] | None = None,
    language: "Language" = "en",
    now: datetime | str | None = None,
    announce: "Announce | None" = None,
) -> "CaseResults":
    """Take one patient's files through every stage that they allow, and write the report.

    Args:
        paths: DICOM files, folders or zips; NIfTI, NRRD, MetaImage, PNG or JPEG files. One, or
            several.
        out: Folder of the case; made, or gone on with if it holds the same patient's case.
        facts: What is stated beside the images, as for :func:`suggest`.
        options: How each stage is set; ``{"photons": {"beamlet_mm": 7}}`` will do.
        language: Language of the report, ``en`` or ``zh``.
        now: Time stamp on everything written, or its ISO 8601 text; the present by default.
        announce: Told of each stage before it starts.

    Raises:
        InputError: The files cannot be used; the message names file, finding and remedy.
        OptionError: No path was given, an option is wrong, or the folder holds something else
            than a case.
    """
    wanted = (paths,) if isinstance(paths, str | Path) else tuple(paths)
    if not wanted:
        raise OptionError("Give at least one file or folder of the patient.")
    chosen, moment = options_given(options), moment_given(now)
    require_language(language)
    from aegle.workflow import journey
    from aegle.workflow.pipeline import unannounced
    from aegle.workflow.suggesting import stated_text

    content, name = stated_text(facts)
    request = journey.Request(
        paths=tuple(Path(path) for path in wanted),
        out=Path(out),
        now=moment,
        options=chosen,
        language=language,
        facts=content,
        facts_name=name,
    )
    return journey.run(request, announce=announce or unannounced)


def follow(  # noqa: PLR0913
    visits: Iterable["str | Path | tuple[str | Path, str | Path]"],
    out: str | Path,
    *,
    facts: "Facts | None" = None,
    options: CaseOptions | Mapping[str, Any] | None = None,
    language: "Language" = "en",
    now: datetime | str | None = None,
    announce: "Announce | None" = None,
) -> "CaseResults":
    """Compare visits of one patient, oldest first; like :func:`run`, but each path is one visit.

    Args:
        visits: Baseline and later visits: a path each, or a pair of that and a label map.
        out: Folder of the case.
        facts: What is stated beside the images, as for :func:`suggest`.
        options: How each stage is set.
        language: Of the report, ``en`` or ``zh``.
        now: Time stamp on everything written; the present by default.
        announce: Told of each stage before it starts.

    Raises:
        InputError: As for :func:`run`; also if the visits belong to different patients.
    """
    chosen, moment = options_given(options), moment_given(now)
    require_language(language)
    from aegle.workflow import journey
    from aegle.workflow.pipeline import unannounced
    from aegle.workflow.suggesting import stated_text

    content, name = stated_text(facts)
    request = journey.follow_up(
        visits,
        chosen,
        out=Path(out),
        now=moment,
        language=language,
        facts=content,
        facts_name=name,
    )
    return journey.run(request, announce=announce or unannounced)


def demo(
    out: str | Path,
    *,
    patient: "ThoraxOptions | None" = None,
    language: "Language" = "en",
    now: datetime | str | None = None,
    announce: "Announce | None" = None,
) -> "Demo":
    """Take a made patient with three visits and known truth through everything.

    Args:
        out: Folder for the patient's images and the case.
        patient: Seed and size of the made patient.
        language: Language of the report, ``en`` or ``zh``.
        now: Time stamp on everything written, or its ISO 8601 text; the present by default.
        announce: Told of each stage before it starts.

    Raises:
        OptionError: The language or the time is none, or the folder holds something else.
    """
    moment = moment_given(now)
    require_language(language)
    from aegle.workflow import demo as made_patient
    from aegle.workflow.pipeline import unannounced

    told = announce or unannounced
    return made_patient.run(
        Path(out), now=moment, language=language, options=patient, announce=told
    )


def summary(results: "CaseResults") -> dict[str, Any]:
    """Return the numbers of a case as plain data."""
    from aegle.workflow import summary as numbers

    return numbers.summary(results)


def doctor() -> Mapping[str, Any]:
    """Return what is installed and what it allows."""
    from aegle.workflow import doctor as checks

    return checks.examine()

"""Everything that can be set for one case, in sections; each section belongs to one stage.

The same sections appear in Python, in a TOML file (``aegle run --options case.toml``), on the
command line (``--set photons.beamlet_mm=7``) and in the record kept with the result.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import field, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic.dataclasses import dataclass

from aegle.diagnosis.suggest import SuggestOptions
from aegle.dicom.image_options import ImageOptions
from aegle.dicom.listing import ScanOptions
from aegle.domain.errors import FileError, OptionError
from aegle.imaging.registration import RigidOptions
from aegle.operations.triage import TriageOptions
from aegle.options import option, read, schema
from aegle.planning.photon_plan import PhotonPlanOptions, PrescriptionOptions
from aegle.planning.targets import TargetOptions
from aegle.recognition.characterise import CharacteriseOptions
from aegle.recognition.lesions import CandidateOptions
from aegle.recognition.thorax_ct import ClassicalOptions
from aegle.response.matching import MatchOptions
from aegle.response.recist_1_1 import Recist11Options
from aegle.workflow.image_files import FileOptions


@dataclass(frozen=True, kw_only=True)
class TargetChoice:
    """Which lesion is planned, and on which visit's CT."""

    visit: Annotated[
        Literal["first", "last"], option("Visit to plan on, of those with a CT and a lesion")
    ] = "last"
    target: Annotated[
        str, option("Lesion id or structure name to treat; empty for the largest lesion")
    ] = ""


@dataclass(frozen=True, kw_only=True)
class CaseOptions:
    """Options of every stage of a case."""

    scan: ScanOptions = field(default_factory=ScanOptions)
    images: ImageOptions = field(default_factory=ImageOptions)
    files: FileOptions = field(default_factory=FileOptions)
    organs: ClassicalOptions = field(default_factory=ClassicalOptions)
    lesions: CandidateOptions = field(default_factory=CandidateOptions)
    measure: CharacteriseOptions = field(default_factory=CharacteriseOptions)
    suggest: SuggestOptions = field(default_factory=SuggestOptions)
    choice: TargetChoice = field(default_factory=TargetChoice)
    margins: TargetOptions = field(default_factory=TargetOptions)
    prescription: PrescriptionOptions = field(default_factory=PrescriptionOptions)
    photons: PhotonPlanOptions = field(default_factory=PhotonPlanOptions)
    registration: RigidOptions = field(default_factory=RigidOptions)
    matching: MatchOptions = field(default_factory=MatchOptions)
    recist: Recist11Options = field(default_factory=Recist11Options)
    worklist: TriageOptions = field(default_factory=TriageOptions)


SECTIONS: dict[str, type[Any]] = {f.name: f.default_factory for f in fields(CaseOptions)}  # type: ignore[misc]


def read_options(file: Path | None = None, settings: Iterable[str] = ()) -> CaseOptions:
    """Build the options from a TOML file and ``section.option=value`` settings, in that order.

    Raises:
        OptionError: A section or option is unknown, or a value is out of bounds.
        FileError: The TOML file cannot be read.
    """
    values: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
    for section, given in _from_file(file).items():
        _section(values, section).update(given)
    for setting in settings:
        path, equals, value = setting.partition("=")
        section, dot, name = path.partition(".")
        if not (equals and dot):
            raise OptionError(f"Cannot read '{setting}'; write section.option=value.")
        _section(values, section)[name] = value
    return CaseOptions(**{name: read(SECTIONS[name], given) for name, given in values.items()})


def describe() -> list[dict[str, Any]]:
    """Return every option with its section, meaning, unit, default and bounds."""
    return [
        {"section": section, "option": name, **facts}
        for section, kind in SECTIONS.items()
        for name, facts in schema(kind).get("properties", {}).items()
    ]


def _section(values: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
    if name not in values:
        raise OptionError(f"Unknown section '{name}' of options; known: {', '.join(values)}.")
    return values[name]


def _from_file(file: Path | None) -> Mapping[str, Mapping[str, Any]]:
    if file is None:
        return {}
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise FileError(
            file, f"cannot be read as TOML ({error}).", "See `aegle options`."
        ) from error

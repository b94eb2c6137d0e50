"""Everything that can be set for one case, in sections; each section belongs to one stage.

The same sections appear in Python, in a TOML file (``aegle run --options case.toml``), on the
command line (``--set photons.beamlet_mm=7``) and in the record kept with the result.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass as plain_dataclass
from dataclasses import field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic.dataclasses import dataclass

from aegle.domain.errors import OptionError
from aegle.options import option, read, schema
from aegle.workflow.settings import changed, from_toml

if TYPE_CHECKING:
    from aegle.diagnosis.suggest import SuggestOptions
    from aegle.dicom.image_options import ImageOptions
    from aegle.dicom.listing import ScanOptions
    from aegle.imaging.registration import RegistrationOptions
    from aegle.imaging.rigid_ct import RigidOptions
    from aegle.imaging.tissue_change import ChangeOptions
    from aegle.operations.triage import TriageOptions
    from aegle.planning.alternatives import AlternativeOptions
    from aegle.planning.density_table import DensityOptions
    from aegle.planning.experienced import ExperienceOptions
    from aegle.planning.gamma import GammaOptions
    from aegle.planning.photon_plan import PhotonPlanOptions, PrescriptionOptions
    from aegle.planning.proton_plan import ProtonPlanOptions
    from aegle.planning.targets import TargetOptions
    from aegle.recognition.characterise import CharacteriseOptions
    from aegle.recognition.classify import ClassifyOptions
    from aegle.recognition.network_thorax import OrganOptions
    from aegle.recognition.quality import QualityOptions
    from aegle.recognition.tumours import LesionOptions
    from aegle.response.matching import MatchOptions
    from aegle.response.recist_1_1 import Recist11Options
    from aegle.workflow.adaptation import AdaptationOptions
    from aegle.workflow.image_files import FileOptions


@dataclass(frozen=True, kw_only=True)
class TargetChoice:
    """Which lesion is planned, on which visit's CT, and with which radiation."""

    visit: Annotated[
        Literal["", "first", "last", "none"],
        option(
            "Visit to plan on, of those with a CT and a lesion; none: no plan; empty: the last, "
            "and none where visits are only compared"
        ),
    ] = ""
    target: Annotated[
        str, option("Lesion id or structure name to treat; empty for the largest lesion")
    ] = ""
    radiation: Annotated[
        Literal["photons", "protons"],
        option("What the plan is made with; where alternatives are compared, both are tried"),
    ] = "photons"


_KINDS = {
    "scan": "aegle.dicom.listing.ScanOptions",
    "images": "aegle.dicom.image_options.ImageOptions",
    "files": "aegle.workflow.image_files.FileOptions",
    "quality": "aegle.recognition.quality.QualityOptions",
    "classify": "aegle.recognition.classify.ClassifyOptions",
    "organs": "aegle.recognition.network_thorax.OrganOptions",
    "lesions": "aegle.recognition.tumours.LesionOptions",
    "measure": "aegle.recognition.characterise.CharacteriseOptions",
    "suggest": "aegle.diagnosis.suggest.SuggestOptions",
    "choice": "aegle.workflow.options.TargetChoice",
    "margins": "aegle.planning.targets.TargetOptions",
    "density": "aegle.planning.density_table.DensityOptions",
    "prescription": "aegle.planning.photon_plan.PrescriptionOptions",
    "experience": "aegle.planning.experienced.ExperienceOptions",
    "photons": "aegle.planning.photon_plan.PhotonPlanOptions",
    "protons": "aegle.planning.proton_plan.ProtonPlanOptions",
    "alternatives": "aegle.planning.alternatives.AlternativeOptions",
    "gamma": "aegle.planning.gamma.GammaOptions",
    "registration": "aegle.imaging.rigid_ct.RigidOptions",
    "alignment": "aegle.imaging.registration.RegistrationOptions",
    "matching": "aegle.response.matching.MatchOptions",
    "recist": "aegle.response.recist_1_1.Recist11Options",
    "change": "aegle.imaging.tissue_change.ChangeOptions",
    "adaptation": "aegle.workflow.adaptation.AdaptationOptions",
    "worklist": "aegle.operations.triage.TriageOptions",
}
SECTIONS = tuple(_KINDS)
"""Names of the sections, in the order of the stages."""
_FILE_HINT = "Write a table for each section, with the names that `aegle options` lists."


@cache
def kind_of(section: str) -> type[Any]:
    """Return the options class of a section; its module is imported when first asked for."""
    module, _, name = _KINDS[section].rpartition(".")
    kind: type[Any] = getattr(import_module(module), name)
    return kind


def _default(section: str) -> Callable[[], Any]:
    return lambda: kind_of(section)()


@plain_dataclass(frozen=True, kw_only=True)
class CaseOptions:
    """Options of every stage of a case."""

    scan: "ScanOptions" = field(default_factory=_default("scan"))
    images: "ImageOptions" = field(default_factory=_default("images"))
    files: "FileOptions" = field(default_factory=_default("files"))
    quality: "QualityOptions" = field(default_factory=_default("quality"))
    classify: "ClassifyOptions" = field(default_factory=_default("classify"))
    organs: "OrganOptions" = field(default_factory=_default("organs"))
    lesions: "LesionOptions" = field(default_factory=_default("lesions"))
    measure: "CharacteriseOptions" = field(default_factory=_default("measure"))
    suggest: "SuggestOptions" = field(default_factory=_default("suggest"))
    choice: TargetChoice = field(default_factory=TargetChoice)
    margins: "TargetOptions" = field(default_factory=_default("margins"))
    density: "DensityOptions" = field(default_factory=_default("density"))
    prescription: "PrescriptionOptions" = field(default_factory=_default("prescription"))
    experience: "ExperienceOptions" = field(default_factory=_default("experience"))
    photons: "PhotonPlanOptions" = field(default_factory=_default("photons"))
    protons: "ProtonPlanOptions" = field(default_factory=_default("protons"))
    alternatives: "AlternativeOptions" = field(default_factory=_default("alternatives"))
    gamma: "GammaOptions" = field(default_factory=_default("gamma"))
    registration: "RigidOptions" = field(default_factory=_default("registration"))
    alignment: "RegistrationOptions" = field(default_factory=_default("alignment"))
    matching: "MatchOptions" = field(default_factory=_default("matching"))
    recist: "Recist11Options" = field(default_factory=_default("recist"))
    change: "ChangeOptions" = field(default_factory=_default("change"))
    adaptation: "AdaptationOptions" = field(default_factory=_default("adaptation"))
    worklist: "TriageOptions" = field(default_factory=_default("worklist"))

    def __post_init__(self) -> None:
        for section in SECTIONS:
            given = getattr(self, section)
            if not isinstance(given, kind_of(section)):
                raise OptionError(
                    f"Section '{section}' of options is a {type(given).__name__}; give a "
                    f"{kind_of(section).__name__}, or all options as a mapping of sections."
                )


def read_options(file: str | Path | None = None, settings: str | Iterable[str] = ()) -> CaseOptions:
    """Build the options from a TOML file and ``section.option=value`` settings, in that order.

    Args:
        file: TOML with a table for each section.
        settings: One setting or several. A value is JSON (``true``, ``[0, 90]``), a list may do
            without brackets (``0,90``), and text needs no quotes.

    Raises:
        OptionError: The file cannot be read, a section or option is unknown, or a value is out
            of bounds.
    """
    found = {} if file is None else from_toml(Path(file), _FILE_HINT)
    return _built(changed(_sections(found), settings, _known))


def options_of(sections: Mapping[str, Any]) -> CaseOptions:
    """Build the options from a mapping of sections to mappings of options, or to their classes.

    Raises:
        OptionError: A section or option is unknown, or a value is out of bounds.
    """
    ready = {n: s for n, s in sections.items() if n in _KINDS and not isinstance(s, Mapping)}
    rest = {n: s for n, s in sections.items() if n not in ready}
    return _built(_sections(rest), **ready)


def describe() -> list[dict[str, Any]]:
    """Return every option with its section, meaning, unit, default and bounds."""
    return [
        {"section": section, "option": name, **facts}
        for section in SECTIONS
        for name, facts in schema(kind_of(section)).get("properties", {}).items()
    ]


def _built(values: Mapping[str, Mapping[str, Any]], **ready: Any) -> CaseOptions:
    made = {name: read(kind_of(name), given, section=name) for name, given in values.items()}
    return CaseOptions(**made, **ready)


def _sections(found: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    for name, given in found.items():
        _require_section(name)
        if not isinstance(given, Mapping):
            raise OptionError(
                f"'{name}' is a section of options and holds {given!r}; give its options by name, "
                f"as in {name}.option = value."
            )
    return {name: dict(given) for name, given in found.items()}


def _require_section(name: str) -> None:
    if name not in _KINDS:
        raise OptionError(f"Unknown section '{name}' of options; known: {', '.join(SECTIONS)}.")


def _known(section: str) -> type[Any]:
    _require_section(section)
    return kind_of(section)

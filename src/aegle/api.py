"""What Python, command line and web all call.

from aegle import api

results = api.run(["scans/"], out="case")
results.findings.visits[0].lesions[0].diameters.longest_mm
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aegle.domain.errors import OptionError
from aegle.workflow.arguments import case_options, moment_of, require_language
from aegle.workflow.options import CaseOptions, describe, read_options

if TYPE_CHECKING:
    from aegle.diagnosis.published import rule, rules
    from aegle.domain.case import CaseResults
    from aegle.phantoms.thorax import ThoraxOptions
    from aegle.report.language import Language
    from aegle.workflow.demo import Demo
    from aegle.workflow.learning.plan import Plan
    from aegle.workflow.learning.recipe import Recipe
    from aegle.workflow.learning.run_folder import Announce as LearningAnnounce
    from aegle.workflow.learning.run_folder import Done
    from aegle.workflow.pipeline import Announce
    from aegle.workflow.radiotherapy import PlanInputs, Planned
    from aegle.workflow.suggesting import suggest
    from aegle.workflow.suggestion_numbers import suggestion_numbers

__all__ = [
    "CaseOptions",
    "Demo",
    "PlanInputs",
    "ThoraxOptions",
    "demo",
    "describe",
    "doctor",
    "evaluate",
    "plan",
    "plan_numbers",
    "predict",
    "protocols",
    "read_options",
    "recipe",
    "rule",
    "rules",
    "run",
    "suggest",
    "suggestion_numbers",
    "summary",
    "train",
]

_LATER = {
    "Demo": "aegle.workflow.demo",
    "PlanInputs": "aegle.workflow.radiotherapy",
    "ThoraxOptions": "aegle.phantoms.thorax",
    "rule": "aegle.diagnosis.published",
    "rules": "aegle.diagnosis.published",
    "suggest": "aegle.workflow.suggesting",
    "suggestion_numbers": "aegle.workflow.suggestion_numbers",
}


def __getattr__(name: str) -> Any:
    """Import what needs the whole program only when it is asked for."""
    if name not in _LATER:
        raise AttributeError(f"module 'aegle.api' has no attribute '{name}'")
    return getattr(import_module(_LATER[name]), name)


def run(
    paths: str | Path | Iterable[str | Path],
    out: str | Path,
    *,
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
    chosen, moment = case_options(options), moment_of(now)
    require_language(language)
    from aegle.workflow import journey
    from aegle.workflow.pipeline import unannounced

    request = journey.Request(
        paths=tuple(Path(path) for path in wanted),
        out=Path(out),
        now=moment,
        options=chosen,
        language=language,
    )
    return journey.run(request, announce=announce or unannounced)


def plan(
    inputs: "str | Path | PlanInputs",
    out: str | Path | None = None,
    *,
    options: CaseOptions | Mapping[str, Any] | None = None,
    language: "Language" = "en",
    now: datetime | str | None = None,
    announce: "Announce | None" = None,
) -> "Planned":
    """Make a radiotherapy plan and write it as RT objects, JSON and a page.

    Args:
        inputs: Folder of a case, or ``api.PlanInputs(ct=..., structures=..., prescription=...)``.
        out: Folder for the plan; that of a case goes to its folder ``plan`` by default.
        options: How each step is set; ``{"photons": {"beams": 9}}`` will do.
        language: Language of the page, ``en`` or ``zh``.
        now: Time stamp on everything written, or its ISO 8601 text; the present by default.
        announce: Told of each step before it starts.

    Raises:
        InputError: No plan can be made; the message says what is wrong and what to do.
        OptionError: Case and files contradict each other, or an option or the prescription is
            wrong.
    """
    chosen, moment = case_options(options), moment_of(now)
    require_language(language)
    from aegle.workflow import radiotherapy
    from aegle.workflow.pipeline import unannounced

    request = radiotherapy.Request(
        inputs=radiotherapy.PlanInputs(case=inputs) if isinstance(inputs, str | Path) else inputs,
        out=None if out is None else Path(out),
        now=moment,
        options=chosen,
        language=language,
    )
    return radiotherapy.run(request, announce=announce or unannounced)


def protocols() -> list[dict[str, Any]]:
    """Return the prescriptions that come with Aegle, with their goals and sources."""
    from dataclasses import asdict

    from aegle.planning.protocol import protocols as shipped

    return [
        {
            "name": one.name,
            "title": one.title,
            "source": one.source,
            "target": one.prescription.target,
            "dose_gy": one.prescription.dose_gy,
            "fractions": one.prescription.fractions,
            "goals": [asdict(g) | {"metric": g.metric.value} for g in one.prescription.goals],
        }
        for one in shipped()
    ]


def plan_numbers(planned: "Planned") -> dict[str, Any]:
    """Return the numbers of a plan as plain data, as in ``plan.json``."""
    from aegle.workflow import radiotherapy_files

    return radiotherapy_files.numbers(planned.results)


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
    moment = moment_of(now)
    require_language(language)
    from aegle.workflow import demo as made_patient
    from aegle.workflow.pipeline import unannounced

    return made_patient.run(
        Path(out),
        now=moment,
        language=language,
        options=patient,
        announce=announce or unannounced,
    )


def recipe(
    source: str | Path | Mapping[str, Any], settings: str | Iterable[str] = ()
) -> "Recipe | Plan":
    """Read all that is decided before a model is trained.

    Args:
        source: TOML file; sections by name, as in ``{"data": {"path": "images.zip"}}``; images
            alone; or the ``plan.json`` of a run.
        settings: ``section.option=value``, one or several, put over it.

    Raises:
        OptionError: The file cannot be read, or a section or option is unknown or out of bounds.
    """
    from aegle.workflow.learning.plan import recipe_or_plan

    return recipe_or_plan(source, settings)


def train(
    recipe: "str | Path | Mapping[str, Any] | Recipe | Plan",
    out: str | Path,
    *,
    fold: int | None = None,
    cross_validate: bool = False,
    cache: str | Path | None = None,
    announce: "LearningAnnounce | None" = None,
) -> "Done":
    """Look at images, plan, prepare, train a model and say how good it is.

    Args:
        recipe: Recipe, its TOML file or sections, or the ``plan.json`` of a run to repeat.
        out: Folder of the run; made, or gone on with.
        fold: Part to judge on, from 0; the first by default.
        cross_validate: Train on every part in turn, with every seed.
        cache: Folder of prepared images, which runs may share; ``out/cache`` by default.
        announce: Told of each step before it starts.

    Returns:
        Where the model and the pages are, and the scores with their intervals.

    Raises:
        InputError: The images cannot be learned from; the message says what is wrong with which.
        OptionError: The recipe is wrong, or the folder holds something else.
    """
    from aegle.workflow.learning import training

    request = training.Request(
        recipe=recipe,
        out=Path(out),
        fold=fold,
        cross_validate=cross_validate,
        cache=None if cache is None else Path(cache),
    )
    return training.run(request, announce=announce)


def evaluate(
    model: str | Path,
    data: "str | Path | Mapping[str, Any] | Recipe | Plan",
    out: str | Path,
    *,
    by: str | Iterable[str] = (),
    reader: str = "",
    announce: "LearningAnnounce | None" = None,
) -> "Done":
    """Judge a model on labelled images.

    Args:
        model: Model file.
        data: Images with classes: folder, manifest, zip, npz; or a recipe, of which the sections
            ``data`` and ``evaluate`` count.
        out: Folder for the results.
        by: Columns of the manifest by which subgroups are judged too.
        reader: Column of the manifest with a second reader's class.
        announce: Told of each step before it starts.

    Raises:
        InputError: The images cannot be judged by this model.
        OptionError: An option or column is unknown.
    """
    from aegle.workflow.learning import evaluating

    request = evaluating.Request(
        model=Path(model),
        data=data,
        out=Path(out),
        by=(by,) if isinstance(by, str) else tuple(by),
        reader=reader,
    )
    return evaluating.run(request, announce=announce)


def predict(
    model: str | Path,
    path: str | Path,
    out: str | Path,
    *,
    now: datetime | str | None = None,
    announce: "LearningAnnounce | None" = None,
) -> "Done":
    """Use a model on images of which nothing is known.

    Args:
        model: Model file.
        path: Picture, volume, DICOM file, folder, zip or npz.
        out: Folder for the results.
        now: Time stamp on DICOM files that are written, or its ISO 8601 text; the present by
            default.
        announce: Told of each step before it starts.

    Raises:
        InputError: An image cannot be read, or is of another kind than the model is made for.
    """
    from aegle.workflow.learning import predicting

    moment = moment_of(now)
    return predicting.run(Path(model), Path(path), Path(out), now=moment, announce=announce)


def summary(results: "CaseResults") -> dict[str, Any]:
    """Return the numbers of a case as plain data."""
    from aegle.workflow import summary as numbers

    return numbers.summary(results)


def doctor() -> Mapping[str, Any]:
    """Return what is installed and what it allows."""
    from aegle.workflow import doctor as checks

    return checks.examine()

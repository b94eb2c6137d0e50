"""Models: trained, evaluated, used and explained."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aegle.api.arguments import moment_given
from aegle.domain.errors import InputError, OptionError

if TYPE_CHECKING:
    from aegle.workflow.learning.plan import Plan
    from aegle.workflow.learning.recipe import Recipe
    from aegle.workflow.learning.run_folder import Announce as LearningAnnounce
    from aegle.workflow.learning.run_folder import Done


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
    others: Sequence[str | Path] = (),
    now: datetime | str | None = None,
    announce: "LearningAnnounce | None" = None,
) -> "Done":
    """Use a model on images, or a fusion model on patients, of which nothing is known.

    Args:
        model: Model file.
        path: Picture, volume, DICOM file, folder, zip or npz; for a fusion model a table of
            patients (CSV, ARFF, or a folder with manifest.csv).
        out: Folder for the results.
        others: Model files of other trainings for the same classes: what all say together
            counts, with how far they disagree.
        now: Time stamp on DICOM files that are written, or its ISO 8601 text; the present by
            default.
        announce: Told of each step before it starts.

    Raises:
        InputError: An image cannot be read, or is of another kind than the model is made for; a
            column or unit of a table is unknown; models of an ensemble do not fit.
    """
    from aegle.learning.fusion.model_file import is_fusion
    from aegle.workflow.fusing import applying
    from aegle.workflow.learning import predicting

    moment = moment_given(now)
    if is_fusion(Path(model)):
        if others:
            raise InputError("A fusion model is an ensemble already; leave out the other models.")
        return applying.run(Path(model), Path(path), Path(out), announce=announce)
    members = tuple(map(Path, others))
    return predicting.run(
        Path(model), Path(path), Path(out), now=moment, others=members, announce=announce
    )


def explain(
    model: str | Path,
    path: str | Path,
    out: str | Path,
    *,
    method: str = "",
    audit: Mapping[str, Any] | None = None,
    announce: "LearningAnnounce | None" = None,
) -> "Done":
    """Show where the evidence for the likeliest class lies, or measure how far to trust that.

    Args:
        model: Model file of a classifier.
        path: Images; for an audit a folder with masks and a manifest that names them.
        out: Folder for the results.
        method: How evidence is found; the default is what the audits prefer. An audit measures
            all methods if none is named.
        audit: Measure methods against masks: ``seeds``, networks drawn anew (10); ``most``, images
            looked at (40); ``keeps``, whether a copy of the model is written that carries the
            scores, which are then shown beside each map. An empty mapping takes these defaults.
        announce: Told of each step before it starts.

    Raises:
        InputError: The model is no classifier, or an image cannot be used.
        OptionError: There is no such method, or nothing such to set of an audit.
    """
    from aegle.workflow.learning import explaining

    request = explaining.Request(model=Path(model), path=Path(path), out=Path(out), method=method)
    if audit is None:
        return explaining.run(request, announce=announce)
    try:
        asked = replace(request, **audit)
    except TypeError as error:
        raise OptionError(f"An audit takes seeds, most and keeps, not {dict(audit)}.") from error
    return explaining.run_audit(asked, announce=announce)


def counterfactual(
    model: str | Path,
    autoencoder: str | Path,
    path: str | Path,
    out: str | Path,
    *,
    announce: "LearningAnnounce | None" = None,
) -> "Done":
    """Show what would have to look different in images for a model to say another class.

    Args:
        model: Model file of a classifier of pictures.
        autoencoder: Model file that draws images of this kind.
        path: Images.
        out: Folder for the pictures (image, changed image, change), overlays and numbers.
        announce: Told of each step before it starts.

    Raises:
        InputError: The first model is no classifier, the second no autoencoder, or an image
            cannot be used.
        OptionError: The folder holds something else.
    """
    from aegle.workflow.learning import explaining

    request = explaining.Request(
        model=Path(model), path=Path(path), out=Path(out), autoencoder=Path(autoencoder)
    )
    return explaining.run(request, announce=announce)

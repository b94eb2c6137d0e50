"""Commands about models: train, evaluate, use."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

import aegle
from aegle.cli.console import (
    JsonOption,
    SettingsOption,
    output,
    print_json,
    progress,
    stoppable,
)
from aegle.domain.errors import OptionError

ModelArgument = Annotated[Path, typer.Argument(help="Model file (.safetensors).")]
OutOption = Annotated[Path, typer.Option("--out", help="Folder for the results.")]


def train(
    recipe: Annotated[
        Path, typer.Argument(help="Recipe (.toml), or the plan.json of a run to repeat.")
    ],
    out: OutOption,
    settings: SettingsOption = None,
    fold: Annotated[
        int | None, typer.Option("--fold", help="Part to judge on, from 0; the first by default.")
    ] = None,
    cross_validate: Annotated[
        bool,
        typer.Option("--cross-validate", help="Train on every part in turn, with every seed."),
    ] = False,
    cache: Annotated[
        Path | None,
        typer.Option("--cache", help="Folder of prepared images; OUT/cache by default."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train a model by a recipe, and say how good it is.

    A training that was stopped goes on where it was; finished parts are not repeated.

    Example: `aegle train recipes/base-cnn.toml --out base --set train.epochs=5`
    """
    from aegle import api

    with stoppable(), progress() as announce:
        done = api.train(
            api.recipe(recipe, settings or ()),
            out,
            fold=fold,
            cross_validate=cross_validate,
            cache=cache,
            announce=announce,
        )
    _print_done(done, as_json)


def evaluate(
    model: ModelArgument,
    data: Annotated[
        Path,
        typer.Argument(help="Recipe (.toml) with a [data] table, folder, manifest, zip or npz."),
    ],
    out: OutOption,
    settings: SettingsOption = None,
    by: Annotated[
        list[str] | None,
        typer.Option("--by", help="Column of the manifest by which subgroups are judged too."),
    ] = None,
    reader: Annotated[
        str, typer.Option("--reader", help="Column of the manifest with a second reader's class.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Judge a model on labelled images: scores with intervals, subgroups, shortcuts.

    Example: `aegle evaluate model.safetensors images.zip --out judged --by view`
    """
    from aegle import api

    with stoppable(), progress() as announce:
        done = api.evaluate(
            model,
            api.recipe(data, settings or ()),
            out,
            by=by or (),
            reader=reader,
            announce=announce,
        )
    _print_done(done, as_json)


def predict(
    model: ModelArgument,
    path: Annotated[
        Path,
        typer.Argument(
            help="Picture, volume, DICOM file, folder, zip or npz; "
            "for a fusion model a table of patients (CSV, or a folder with manifest.csv)."
        ),
    ],
    out: OutOption,
    others: Annotated[
        list[Path] | None,
        typer.Option(
            "--with",
            help="Another training of a classifier, for an ensemble; may be repeated.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Use a model on images (classes, codes, outlines, boxes ...) or on a table of patients.

    What comes follows from what the model was trained for. Outlines are written as label images,
    of DICOM volumes as SEG and RTSTRUCT too. A fusion model gives, for each patient, a probability,
    what was missing, and what each modality adds.

    Example: `aegle predict model.safetensors chest.dcm --out said`
    """
    from aegle import api

    with stoppable(), progress() as announce:
        done = api.predict(model, path, out, others=others or (), announce=announce)
    _print_done(done, as_json)


def fuse(
    recipe: Annotated[Path, typer.Argument(help="Fusion recipe (.toml).")],
    out: OutOption,
    as_json: JsonOption = False,
) -> None:
    """Train a model of table, laboratory values and image features, judged with each missing.

    Example: `aegle fuse recipes/fusion/prostate-cancer.toml --out prostate`
    """
    from aegle import api

    with stoppable(), progress() as announce:
        done = api.fuse(recipe, out, announce=announce)
    _print_done(done, as_json)


def explain(
    model: ModelArgument,
    path: Annotated[
        Path,
        typer.Argument(help="Images; with --audit a folder with manifest.csv (file, mask, label)."),
    ],
    out: OutOption,
    method: Annotated[
        str,
        typer.Option(
            "--method",
            help="smoothed-guided-cam (default: the audits prefer it), guided-grad-cam, "
            "grad-cam, layer-cam, gradient, integrated-gradients or occlusion.",
        ),
    ] = "",
    audit: Annotated[
        bool,
        typer.Option(
            "--audit", help="Measure methods (all, or --method) against masks of lesions."
        ),
    ] = False,
    seeds: Annotated[int, typer.Option("--seeds", help="Networks that an audit draws anew.")] = 10,
    most: Annotated[int, typer.Option("--most", help="Images that an audit looks at.")] = 40,
    keep: Annotated[
        bool,
        typer.Option("--keep", help="Write a copy of the model that carries the audit's scores."),
    ] = False,
    counterfactual: Annotated[
        Path | None,
        typer.Option(
            "--counterfactual",
            help="Autoencoder with which to show what would have to look different.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show where in images the evidence for the likeliest class lies.

    Example: `aegle explain model.safetensors chest.dcm --out shown`
    """
    from aegle import api

    if counterfactual and (audit or method):
        raise OptionError("--counterfactual goes without --audit and --method; give one of them.")
    with stoppable(), progress() as announce:
        if counterfactual:
            done = api.counterfactual(model, counterfactual, path, out, announce=announce)
        else:
            wanted = {"seeds": seeds, "most": most, "keeps": keep} if audit else None
            done = api.explain(model, path, out, method=method, audit=wanted, announce=announce)
    _print_done(done, as_json)


def _print_done(done: Any, as_json: bool) -> None:
    files = {name: str(path.resolve()) for name, path in done.files.items()}
    if as_json:
        print_json({**done.numbers, "notices": list(done.notices), "files": files})
        return
    if done.rows:
        table = Table(*map(escape, done.rows[0]))
        for row in done.rows:
            table.add_row(*(escape(str(value)) for value in row.values()))
        output.print(table)
    for notice in done.notices:
        output.print(f"Note: {notice}", markup=False)
    for name, path in files.items():
        output.print(f"{name}: {path}", markup=False)
    output.print(aegle.RESEARCH_USE, markup=False)

"""A plan: a recipe with everything resolved, so that the same plan gives the same model.

It is JSON that people can read: the recipe, the images by their digest, who is trained on and
who judges, the versions of what computes, and what the training is expected to cost.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aegle
from aegle.domain.errors import FileError, OptionError
from aegle.learning.samples import SampleSet
from aegle.record.identity import digest
from aegle.workflow.learning.recipe import Recipe, plain, read_recipe

FORMAT = "aegle plan 1"
PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "monai", "SimpleITK")
"""What computes; another version may give other last digits."""
_KEYS = {
    "recipe",
    "classes",
    "part",
    "cross_validate",
    "key",
    "data_digest",
    "weights_digest",
    "versions",
    "estimate",
    "removed",
    "joined",
    "parts",
}


@dataclass(frozen=True, kw_only=True)
class Part:
    """Who is trained on, who chooses when to stop, and who judges; names of images."""

    name: str
    training: tuple[str, ...]
    tuning: tuple[str, ...]
    """Choose the epoch whose weights are kept, and the temperature; may be empty."""
    judged: tuple[str, ...]
    """Are seen by the trained model alone."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything resolved before training."""

    recipe: Recipe
    data_digest: str
    """Over the content, label and group of every image that is used."""
    classes: tuple[str, ...]
    parts: tuple[Part, ...]
    part: int = 0
    """Number of the part that is trained on, where not all are."""
    cross_validate: bool = False
    """Whether each part is trained on, with every seed."""
    key: str = ""
    """Digest of what the plan was made from: the recipe and all images, used or not."""
    removed: tuple[str, ...] = ()
    """Images that the gate took out."""
    joined: Mapping[str, str] = field(default_factory=dict)
    """Image to the group that it shares with its duplicates, where its own is another."""
    weights_digest: str = ""
    """SHA-256 of the file of weights that training starts from."""
    versions: Mapping[str, str] = field(default_factory=dict)
    estimate: Mapping[str, Any] = field(default_factory=dict)
    """Expected steps, memory and time."""
    configuration: Mapping[str, Any] = field(default_factory=dict)
    """What images and memory decided, where a task configures itself; with the reasons."""


def digest_of(samples: SampleSet) -> str:
    """Return a digest over content, label, group and split of every image."""
    return digest(
        *samples.classes,
        *(
            part
            for s in samples.samples
            for part in (s.name, str(s.label), s.group, s.split, digest(samples.content(s)))
        ),
    )


def versions() -> dict[str, str]:
    """Return the versions of what computes."""
    from importlib.metadata import version

    return {"aegle": aegle.__version__} | {name: version(name) for name in PACKAGES}


def as_json(plan: Plan) -> dict[str, Any]:
    """Return a plan as plain data; the long lists come last."""
    return {
        "format": FORMAT,
        "recipe": plain(plan.recipe),
        "classes": list(plan.classes),
        "part": plan.part,
        "cross_validate": plan.cross_validate,
        "key": plan.key,
        "data_digest": plan.data_digest,
        "weights_digest": plan.weights_digest,
        "versions": dict(plan.versions),
        "estimate": dict(plan.estimate),
        "configuration": dict(plan.configuration),
        "removed": list(plan.removed),
        "joined": dict(plan.joined),
        "parts": [
            {
                "name": p.name,
                "judged": list(p.judged),
                "tuning": list(p.tuning),
                "training": list(p.training),
            }
            for p in plan.parts
        ],
    }


def is_plan(path: object) -> bool:
    """Return whether a path is named as a plan is."""
    return isinstance(path, str | Path) and Path(path).suffix.lower() == ".json"


def recipe_or_plan(
    source: "str | Path | Mapping[str, Any] | Recipe | Plan", settings: str | Iterable[str] = ()
) -> Recipe | Plan:
    """Return the recipe or plan that is meant.

    Raises:
        OptionError: The recipe is wrong, or settings are put over what is already decided.
    """
    given = (settings,) if isinstance(settings, str) else tuple(settings)
    is_decided = isinstance(source, Recipe | Plan) or is_plan(source)
    if is_decided and given:
        raise OptionError(
            f"A plan cannot be changed by settings ({given[0]}); give the recipe that it was made "
            "from."
        )
    if isinstance(source, Recipe | Plan):
        return source
    if is_plan(source):
        return read_plan(Path(str(source)))
    return read_recipe(source, given)


def read_plan(file: Path) -> Plan:
    """Read a plan.

    Raises:
        FileError: The file is no plan.
        OptionError: Its recipe is wrong.
    """
    tree = _tree(file)
    return Plan(
        recipe=read_recipe(tree["recipe"]),
        data_digest=tree["data_digest"],
        classes=tuple(tree["classes"]),
        parts=tuple(
            Part(
                name=p["name"],
                training=tuple(p["training"]),
                tuning=tuple(p["tuning"]),
                judged=tuple(p["judged"]),
            )
            for p in tree["parts"]
        ),
        part=tree["part"],
        cross_validate=tree["cross_validate"],
        key=tree["key"],
        removed=tuple(tree["removed"]),
        joined=tree["joined"],
        weights_digest=tree["weights_digest"],
        versions=tree["versions"],
        estimate=tree["estimate"],
        configuration=tree.get("configuration", {}),
    )


def _tree(file: Path) -> dict[str, Any]:
    remedy = "Give a recipe, or the plan.json of a run."
    try:
        tree = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise FileError(file, f"cannot be read as JSON ({error}).", remedy) from error
    if not isinstance(tree, dict) or tree.get("format") != FORMAT:
        raise FileError(file, "is no plan.", remedy)
    if lacking := sorted(_KEYS - set(tree)):
        raise FileError(file, f"lacks {', '.join(lacking)}.", remedy)
    return tree

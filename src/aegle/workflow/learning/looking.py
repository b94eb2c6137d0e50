"""What the images of a recipe are, before anything is learned from them."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from aegle.domain.errors import InputError
from aegle.learning import gate_page
from aegle.learning.gate import Gate, grouped, inspect
from aegle.learning.offences import Offence
from aegle.learning.samples import SampleSet
from aegle.workflow.case_folder import CaseFolder
from aegle.workflow.learning.recipe import Recipe
from aegle.workflow.learning.run_folder import write_json
from aegle.workflow.stage import Progress

UNKNOWN = "(none)"


@dataclass(frozen=True)
class Looked:
    """What follows from what was found on the images."""

    removed: tuple[str, ...]
    """Names of images to leave out."""
    joined: Mapping[str, str]
    """Image to the group that it shares with its duplicates, where its own is another."""


def looked(samples: SampleSet, recipe: Recipe, folder: CaseFolder, progress: Progress) -> Looked:
    """Look at every image, and write ``data.json``, ``gate.html`` and ``offences.json``.

    Raises:
        InputError: What was found must be dealt with first; the message names the page.
    """
    write_json(folder, "data.json", described(samples))
    has_folds = recipe.validate.how != "data"
    # Folds are drawn anew, so what the data's own split divides does not matter there.
    limits = replace(recipe.gate, use_splits=recipe.gate.use_splits and not has_folds)
    gate = inspect(samples, options=limits, progress=progress)
    page, _ = gate_page.write(gate, samples, folder.root)
    found = [offence for offence in gate.offences if _stops(offence, recipe)]
    if found and not recipe.gate.remove:
        raise InputError(
            f"{samples.source}: {len(found)} finding(s) on the images would make what is learned "
            f"or measured wrong, first: {found[0].finding} Look at {page}; correct the data, or "
            "leave the offenders out with --set gate.remove=true."
        )
    removed = tuple(dict.fromkeys(name for offence in found for name in offence.removed))
    joined = _joined(gate, samples) if has_folds else {}
    return Looked(removed, joined)


def _stops(offence: Offence, recipe: Recipe) -> bool:
    """Return whether an offence matters; only classifiers need labels."""
    if offence.kind == "label" and recipe.model.task != "classify":
        return False
    return offence.severity == "stop"


def _joined(gate: Gate, samples: SampleSet) -> dict[str, str]:
    pairs = zip(samples.samples, grouped(gate, samples).samples, strict=True)
    return {before.name: after.group for before, after in pairs if before.group != after.group}


def described(samples: SampleSet) -> dict[str, Any]:
    """Return how many images of which class and split there are, and groups that are divided."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    splits: dict[str, set[str]] = defaultdict(set)
    for sample in samples.samples:
        name = samples.classes[sample.label] if sample.label >= 0 else UNKNOWN
        counts[sample.split or UNKNOWN][name] += 1
        if sample.group:
            splits[sample.group].add(sample.split)
    return {
        "images": len(samples.samples),
        "classes": list(samples.classes),
        "groups": len({sample.group or sample.name for sample in samples.samples}),
        "by_split": {split: dict(sorted(found.items())) for split, found in sorted(counts.items())},
        "groups_in_several_splits": sorted(g for g, found in splits.items() if len(found) > 1),
    }

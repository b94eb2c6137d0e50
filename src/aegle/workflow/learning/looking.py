"""What the images of a recipe are, before anything is learned from them."""

from collections import Counter, defaultdict
from typing import Any

from aegle.learning.samples import SampleSet
from aegle.workflow.case_folder import CaseFolder
from aegle.workflow.learning.recipe import Recipe
from aegle.workflow.learning.run_folder import write_json
from aegle.workflow.stage import Progress

UNKNOWN = "(none)"


def looked(
    samples: SampleSet,
    recipe: Recipe,  # noqa: ARG001
    folder: CaseFolder,
    progress: Progress,
) -> tuple[str, ...]:
    """Write ``data.json``, and return the names of images to leave out."""
    write_json(folder, "data.json", described(samples))
    progress(1, 1)
    return ()


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

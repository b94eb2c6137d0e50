"""Which training a checkpoint belongs to, so that no other goes on with it."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aegle.domain.errors import InputError
from aegle.learning.assignment import Assignment, TrainingOptions
from aegle.learning.augmentation import SampledAugment
from aegle.record.identity import digest


def belonging(assignment: Assignment, options: TrainingOptions, processes: int) -> dict[str, Any]:
    """Return what a checkpoint must agree with to be gone on with."""
    data = assignment.data
    shapes = [(name, tuple(t.shape)) for name, t in assignment.network.state_dict().items()]
    groups = [
        (len(list(group["params"])), {k: v for k, v in group.items() if k != "params"})
        for group in assignment.groups or ()
    ]
    augment = assignment.augment
    drawn = augment.options if isinstance(augment, SampledAugment) else augment is not None
    images = [
        [(data.samples[number].name, data.samples[number].label) for number in numbers]
        for numbers in (assignment.training, assignment.validation)
    ]
    return {
        "options": asdict(options),
        "network": digest(str(shapes)),
        "groups": str(groups),
        "augmentation": assignment.changes or str(drawn),
        "images": digest(str(images), data.digest()),
        "scaling": str((assignment.mean, assignment.deviation)),
        "processes": processes,
    }


def check_belonging(theirs: Mapping[str, Any], ours: Mapping[str, Any], path: Path) -> None:
    """Raise InputError if a checkpoint is of another training."""
    names = [name for name in ours if theirs.get(name) != ours[name]]
    if not names:
        return
    before = theirs.get("options", {})
    changed = [
        f"{name} was {before.get(name)}, is {value}"
        for name, value in ours["options"].items()
        if before.get(name) != value
    ]
    others = [name for name in names if name != "options"]
    raise InputError(
        f"{path} is of another training ({'; '.join([*changed, *map('other {}'.format, others)])}"
        "); choose another folder, or remove the file to begin anew."
    )

"""Who is trained on, who chooses when to stop, and who judges; nobody does two of these."""

import numpy as np
from numpy.typing import NDArray

from aegle.domain.errors import InputError, OptionError
from aegle.learning.samples import SampleSet
from aegle.learning.splits import folds, fraction, holdout, in_split
from aegle.workflow.learning.plan import Part
from aegle.workflow.learning.recipe import ValidateOptions

Indices = NDArray[np.int64]
NOBODY = np.zeros(0, np.int64)


def parts_of(samples: SampleSet, options: ValidateOptions) -> tuple[Part, ...]:
    """Return the parts of a validation; what belongs together stays together.

    Args:
        samples: Images with their groups, classes and given split.
        options: How to divide them.

    Raises:
        InputError: The data name no split, or a class has too few groups.
    """
    if options.how == "data":
        return (_given(samples, options),)
    labels, groups = _labels(samples), _groups(samples)
    if options.how == "holdout":
        fold = holdout(groups, labels, options.share, options.split_seed)
        return (_part(samples, options, "holdout", fold.training, fold.held_out),)
    made = folds(groups, labels, options.folds, options.split_seed)
    return tuple(
        _part(samples, options, f"fold-{number}", fold.training, fold.held_out)
        for number, fold in enumerate(made)
    )


def everyone(samples: SampleSet, options: ValidateOptions) -> Part:
    """Return the part that learns from all images, for the model that is kept."""
    return _part(samples, options, "all", np.arange(len(samples.samples)), NOBODY)


def fewer_labels(samples: SampleSet, part: Part, share: float, seed: int) -> Part:
    """Return a part with a share of its labels; smaller shares lie within larger ones.

    Images that choose the epoch become fewer too: their labels count as well.
    """
    if share == 1:
        return part
    places = {sample.name: place for place, sample in enumerate(samples.samples)}

    def fewer(names: tuple[str, ...]) -> tuple[str, ...]:
        if not names:
            return ()
        every = np.array([places[name] for name in names], np.int64)
        return _names(samples, fraction(every, _groups(samples), _labels(samples), share, seed))

    return Part(
        name=f"{part.name}-{100 * share:g}-percent",
        training=fewer(part.training),
        tuning=fewer(part.tuning),
        judged=part.judged,
    )


def _given(samples: SampleSet, options: ValidateOptions) -> Part:
    train, val, test = (in_split(samples.samples, name) for name in ("train", "val", "test"))
    if not (len(train) and len(val) + len(test)):
        raise InputError(
            f"{samples.source}: the data do not say which images are for training and which for "
            "validation; set validate.how to folds or holdout."
        )
    if len(val) and len(test):
        return Part(
            name="split",
            training=_names(samples, train),
            tuning=_names(samples, val),
            judged=_names(samples, test),
        )
    return _part(samples, options, "split", train, val if len(val) else test)


def _part(
    samples: SampleSet, options: ValidateOptions, name: str, training: Indices, judged: Indices
) -> Part:
    """Return a part whose tuning images are taken from the training images."""
    tuning = NOBODY
    if options.tune:
        chosen = fraction(
            training, _groups(samples), _labels(samples), options.tune, options.split_seed
        )
        tuning, training = chosen, np.setdiff1d(training, chosen)
    if not len(training):
        raise InputError(
            f"No training images are left in '{name}' beside those for tuning; lower validate.tune."
        )
    return Part(
        name=name,
        training=_names(samples, training),
        tuning=_names(samples, tuning),
        judged=_names(samples, judged),
    )


def _labels(samples: SampleSet) -> Indices:
    return np.array([sample.label for sample in samples.samples], np.int64)


def _groups(samples: SampleSet) -> tuple[str, ...]:
    return tuple(sample.group or sample.name for sample in samples.samples)


def _names(samples: SampleSet, where: Indices) -> tuple[str, ...]:
    return tuple(samples.samples[place].name for place in where)


def require_part(parts: tuple[Part, ...], number: int | None) -> Part:
    """Return a part by number, the first one by default.

    Raises:
        OptionError: There are fewer.
    """
    if number is not None and not 0 <= number < len(parts):
        raise OptionError(
            f"There is no part {number} to judge on; this recipe has 0 to {len(parts) - 1}."
        )
    return parts[number or 0]

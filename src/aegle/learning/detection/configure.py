"""From pictures with boxes to the configuration of a detector, within memory and time."""

from collections.abc import Callable
from dataclasses import dataclass as plain_dataclass
from typing import Annotated

import numpy as np
from pydantic.dataclasses import dataclass

from aegle.domain.errors import InputError
from aegle.learning.detection.configuration import BoxConfiguration
from aegle.learning.samples import SampleSet
from aegle.options import option

SIZES = (512, 448, 416, 384, 352, 320, 288, 256, 224, 192)
"""Multiples of 32, which the coarsest features divide."""
STRIDE_PER_OBJECT = 3.0
"""Strides that a small object (percentile 10 of the sides) spans at least."""
FINEST = 8
SECONDS_PER_MEGAPIXEL = 1.0
"""Processor time of a step per picture and 10^6 pixels, bfloat16, on one core (AMD EPYC Zen 5)."""
PROCESS_MB, MB_PER_MEGAPIXEL = 700.0, 1750.0
"""Resident memory of a process that trains, and what each 10^6 pixels of a batch add."""
LARGEST_BATCH = 8
LEAST_EPOCHS = 8.0
"""Times that each picture is seen at least before a smaller size is taken."""
TIME_SHARE = 0.9
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
PLAIN_MEAN, PLAIN_DEVIATION = 0.45, 0.25
SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class DetectionOptions:
    """What a person may want to decide when objects are found by their boxes."""

    memory_mb: Annotated[
        float, option("Memory that training and use may take", unit="MB", ge=256)
    ] = 2000.0
    minutes: Annotated[
        float, option("Processor time of one training that steps are chosen for", unit="min", gt=0)
    ] = 15.0
    steps: Annotated[int, option("Updates of a training; 0: by the rules", ge=0)] = 0
    least_score: Annotated[float, option("Boxes of a lower score are not reported", ge=0, le=1)] = (
        0.05
    )
    overlap: Annotated[
        float,
        option("Of boxes of one class that overlap more (IoU), the likeliest is kept", gt=0, le=1),
    ] = 0.55


@plain_dataclass(frozen=True, kw_only=True)
class BoxFacts:
    """What pictures with boxes are like."""

    pictures: int
    channels: int
    classes: tuple[str, ...]
    median_side: float
    """Of the longer side of the pictures [pixel]."""
    small_side: float
    """Percentile 10 of the square root of the boxes' areas over the longer side of the picture."""
    boxes: int


def box_facts(samples: SampleSet, *, progress: Callable[[int, int], None]) -> BoxFacts:
    """Read every picture and its boxes once and return what they are like.

    Raises:
        InputError: There are no boxes, or pictures cannot be used; the first five are named.
    """
    if samples.place is None or samples.annotate is None:
        raise InputError(f"{samples.source}: the pictures come without boxes; give some.")
    sides, shares, channels, wrong = [], [], set(), []
    for done, sample in enumerate(samples.samples, 1):
        try:
            image, annotation = samples.place(sample), samples.annotate(sample)
        except InputError as error:
            wrong.append(f"{sample.name}: {error}")
            continue
        if not image.is_picture:
            wrong.append(f"{sample.name}: it is a volume, and boxes are found in pictures.")
            continue
        if annotation.boxes is None:
            wrong.append(
                f"{sample.name}: it has outlines, but no boxes; give boxes, or set model.task to "
                "segment or instances."
            )
            continue
        side = max(image.grid.shape[1:])
        sides.append(side)
        channels.add(len(image.values))
        spans = annotation.boxes[:, 2:] - annotation.boxes[:, :2]
        shares += (np.sqrt(spans.prod(axis=1)) / side).tolist()
        progress(done, len(samples.samples))
    if wrong:
        raise InputError(
            f"{samples.source}: {len(wrong)} of {len(samples.samples)} pictures cannot be used. "
            f"{' '.join(wrong[:SHOWN])} Correct them or leave them out."
        )
    if not shares:
        raise InputError(f"{samples.source}: not one box is drawn; draw some or give others.")
    return BoxFacts(
        pictures=len(sides),
        channels=max(channels),
        classes=samples.classes,
        median_side=float(np.median(sides)),
        small_side=float(np.percentile(shares, 10)),
        boxes=len(shares),
    )


def configure_boxes(
    found: BoxFacts, *, options: DetectionOptions, pretrained: bool
) -> BoxConfiguration:
    """Decide size, stride, batch and steps.

    Args:
        found: What the pictures are like.
        options: Memory and time.
        pretrained: Whether weights of ImageNet are given, which expect three channels.

    Raises:
        InputError: Not even the smallest plan fits the memory.
    """
    channels = 3 if pretrained else found.channels
    wanted = min(SIZES, key=lambda size: abs(size - found.median_side))
    fits = [size for size in SIZES if size <= wanted and _memory_mb(size, 1) <= options.memory_mb]
    if not fits:
        raise InputError(
            f"Not even pictures of {SIZES[-1]} pixels fit {options.memory_mb:.0f} MB; the smallest "
            f"plan needs {_memory_mb(SIZES[-1], 1):.0f} MB. Raise detect.memory_mb."
        )
    size = next(
        (s for s in fits if _pictures(s, options) >= LEAST_EPOCHS * found.pictures), fits[-1]
    )
    stride = FINEST if found.small_side * size < 2 * FINEST * STRIDE_PER_OBJECT else 2 * FINEST
    batch = max(
        (n for n in range(1, LARGEST_BATCH + 1) if _memory_mb(size, n) <= options.memory_mb),
    )
    steps = options.steps or max(1, _pictures(size, options) // batch)
    mean = IMAGENET_MEAN if pretrained else (PLAIN_MEAN,) * channels
    deviation = IMAGENET_DEVIATION if pretrained else (PLAIN_DEVIATION,) * channels
    return BoxConfiguration(
        size=size,
        mean=mean,
        deviation=deviation,
        stride=stride,
        batch=batch,
        network="mobile-detector",
        settings={
            "channels": channels,
            "classes": len(found.classes),
            "stride": stride,
            "batch_norm": True,
        },
        steps=steps,
        training={
            "optimiser": "adamw",
            "rate": 1.5e-3,
            "weight_decay": 0.02,
            "warm_up": 0.05,
            "clip": 10.0,
            "average": 0.998,
            "precision": "bfloat16",
        },
        transfer={"batch_norm": "restore", "body_rate": 0.5},
        memory_mb=_memory_mb(size, batch),
        reasons={
            "size": f"Pictures have {found.median_side:.0f} pixels (median of the longer side); "
            f"{size} let each be seen {_pictures(size, options) / found.pictures:.0f} times in "
            f"{options.minutes:g} min.",
            "stride": f"Small objects take {found.small_side * size:.0f} pixels; every {stride} "
            "pixels one is looked for.",
            "batch": f"{batch} pictures need about {_memory_mb(size, batch):.0f} MB of "
            f"{options.memory_mb:.0f} MB, the process included.",
            "steps": "As the option says."
            if options.steps
            else f"What {options.minutes:g} min of one processor allow.",
            "scaling": "ImageNet's mean and deviation, whose weights are given."
            if pretrained
            else "One mean and deviation for all pictures.",
        },
    )


def _memory_mb(size: int, batch: int) -> float:
    return PROCESS_MB + MB_PER_MEGAPIXEL * batch * size**2 / 1e6


def _pictures(size: int, options: DetectionOptions) -> int:
    """Return how many pictures the time allows to learn from, repetitions counted."""
    seconds = SECONDS_PER_MEGAPIXEL * size**2 / 1e6
    return int(options.minutes * 60 * TIME_SHARE / seconds)

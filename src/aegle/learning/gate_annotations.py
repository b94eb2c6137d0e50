"""Checks of what is drawn on images: that it fits them, and that there is something."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from aegle.domain.errors import InputError
from aegle.domain.text import Text
from aegle.learning.annotations import Annotation
from aegle.learning.offences import Offence
from aegle.learning.samples import Sample, SampleSet
from aegle.learning.survey import Facts

ENOUGH_IMAGES = 5
"""With fewer images a class that one of them shows is nothing to wonder at."""


@dataclass(frozen=True, kw_only=True)
class DrawnFacts:
    """What was found of the annotation of one image."""

    name: str
    problem: str = ""
    """Why it cannot be used; empty if it can."""
    digest: str = ""
    """SHA-256 of labels and boxes."""
    classes: frozenset[int] = field(default_factory=frozenset)
    """Indices of the classes that occur; of objects 0 alone."""
    objects: int = 0
    """Boxes or numbered objects; of classes how many occur."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is drawn."""
        return not self.problem and self.objects == 0


def survey_annotations(
    samples: SampleSet, *, progress: Callable[[int, int], None]
) -> tuple[DrawnFacts, ...]:
    """Read every annotation once; return what was found, in the order of the samples.

    Args:
        samples: Images; without annotations nothing is found.
        progress: Told of the annotations read and those in all.
    """
    annotate = samples.annotate
    if annotate is None:
        return ()
    total = len(samples.samples)
    found = []
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
        for facts in threads.map(lambda sample: _facts(annotate, sample), samples.samples):
            found.append(facts)
            progress(len(found), total)
    return tuple(found)


def _facts(annotate: Callable[[Sample], Annotation], sample: Sample) -> DrawnFacts:
    try:
        annotation = annotate(sample)
    except InputError as error:
        return DrawnFacts(name=sample.name, problem=str(error))
    if annotation.labels is None:
        assert annotation.boxes is not None
        assert annotation.box_classes is not None
        content = annotation.boxes.tobytes() + annotation.box_classes.tobytes()
        classes = frozenset(annotation.box_classes.tolist())
        return DrawnFacts(
            name=sample.name,
            digest=hashlib.sha256(content).hexdigest(),
            classes=classes,
            objects=len(annotation.boxes),
        )
    labels = annotation.labels
    occurring = np.flatnonzero(np.bincount(labels[labels > 0]))
    of_objects = frozenset({0}) if len(occurring) else frozenset()
    classes = of_objects if annotation.is_objects else frozenset((occurring - 1).tolist())
    return DrawnFacts(
        name=sample.name,
        digest=hashlib.sha256(np.ascontiguousarray(labels).data).hexdigest(),
        classes=classes,
        objects=len(occurring),
    )


def annotations(
    samples: SampleSet, drawn: Sequence[DrawnFacts], found: Sequence[Facts]
) -> Iterator[Offence]:
    """Find annotations that do not fit, are empty, lack a class or contradict each other.

    Args:
        samples: The images.
        drawn: What was found of their annotations, in order; empty if they carry none.
        found: What was found of the images, in order.
    """
    readable = {facts.name for facts in found if facts.is_usable}
    shown = [facts for facts in drawn if facts.name in readable]
    yield from _unfit(shown)
    yield from _empty(shown)
    yield from _missing(samples, shown)
    yield from _once(samples, shown)
    yield from _contradictory(shown, found)


def _unfit(drawn: Sequence[DrawnFacts]) -> Iterator[Offence]:
    wrong = [facts for facts in drawn if facts.problem]
    if wrong:
        names = tuple(facts.name for facts in wrong)
        reasons = " ".join(facts.problem for facts in wrong[:5])
        yield Offence(
            kind="annotation",
            severity="stop",
            names=names,
            finding=Text(
                "What is drawn on {count} of {total} image(s) cannot be used. {reasons}",
                {"count": len(wrong), "total": len(drawn), "reasons": reasons},
            ),
            remedy=Text("Correct the annotations, or leave the images out."),
            removed=names,
        )


def _empty(drawn: Sequence[DrawnFacts]) -> Iterator[Offence]:
    names = tuple(facts.name for facts in drawn if facts.is_empty)
    usable = sum(not facts.problem for facts in drawn)
    if not names:
        return
    is_all = len(names) == usable
    yield Offence(
        kind="nothing-drawn" if is_all else "empty",
        severity="stop" if is_all else "warn",
        names=names,
        finding=Text(
            "Nothing is drawn on {count} of {total} image(s).",
            {"count": len(names), "total": usable},
        ),
        remedy=Text("Give images on which something is drawn.")
        if is_all
        else Text("Look whether there is nothing to be seen on them."),
        removed=names if is_all else (),
    )


def _missing(samples: SampleSet, drawn: Sequence[DrawnFacts]) -> Iterator[Offence]:
    counts = Counter(index for facts in drawn for index in facts.classes)
    absent = [name for index, name in enumerate(samples.classes) if not counts[index]]
    if absent and counts:
        yield Offence(
            kind="class-missing",
            severity="warn",
            names=(),
            finding=Text(
                "No image shows {count} of the classes: {classes}.",
                {"count": len(absent), "classes": ", ".join(absent)},
            ),
            remedy=Text("Leave these classes out, or add images that show them."),
        )


def _once(samples: SampleSet, drawn: Sequence[DrawnFacts]) -> Iterator[Offence]:
    """Find classes that are often a slip of the pen: no list of classes speaks against them."""
    counts = Counter(index for facts in drawn for index in facts.classes)
    rare = [index for index, count in sorted(counts.items()) if count == 1]
    if rare and len(drawn) >= ENOUGH_IMAGES:
        yield Offence(
            kind="class-once",
            severity="warn",
            names=tuple(facts.name for facts in drawn if facts.classes & set(rare)),
            finding=Text(
                "{count} of the classes are drawn on one image alone: {classes}.",
                {"count": len(rare), "classes": ", ".join(samples.classes[i] for i in rare)},
            ),
            remedy=Text(
                "Correct the mask if the label is a slip; name the classes in data.classes, and "
                "others are refused. What one image shows cannot be both learned and judged."
            ),
        )


def _contradictory(drawn: Sequence[DrawnFacts], found: Sequence[Facts]) -> Iterator[Offence]:
    """Find images with the same pixels on which something else is drawn."""
    pixels = {facts.name: facts.digest for facts in found if not facts.is_constant}
    same: dict[str, list[DrawnFacts]] = {}
    for facts in drawn:
        if not facts.problem and facts.name in pixels:
            same.setdefault(pixels[facts.name], []).append(facts)
    for members in same.values():
        if len({facts.digest for facts in members}) > 1:
            yield Offence(
                kind="conflicting-annotations",
                severity="warn",
                names=tuple(facts.name for facts in members),
                finding=Text(
                    "Something else is drawn on each of {count} images with the same pixels.",
                    {"count": len(members)},
                ),
                remedy=Text("Keep the one that is right, or keep them in one group."),
            )

"""Checks of a set of images before it is learned from: readable, labelled, once, on one side."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import TypeVar

from aegle.domain.text import Text
from aegle.learning.near_duplicates import clusters
from aegle.learning.offences import Offence, is_divided, weaker
from aegle.learning.samples import UNLABELLED, Sample, SampleSet
from aegle.learning.survey import Facts, codes

Seen = tuple[Sample, Facts]
"""An image with what was found on it."""
Key = TypeVar("Key", bound=Hashable)


def unusable(seen: Sequence[Seen]) -> Iterator[Offence]:
    """Find images that cannot be read or show nothing."""
    for sample, facts in seen:
        if not facts.is_usable:
            yield Offence(
                kind="unreadable",
                severity="stop",
                names=(sample.name,),
                finding=Text("{name} cannot be used: {reason}", _named(sample, facts.problem)),
                remedy=Text("Replace the file, or leave it out."),
                removed=(sample.name,),
            )
    empty = tuple(sample.name for sample, facts in seen if facts.is_constant)
    if empty:
        yield Offence(
            kind="constant",
            severity="stop",
            names=empty,
            finding=Text("{count} image(s) have the same value everywhere.", {"count": len(empty)}),
            remedy=Text("Leave them out."),
            removed=empty,
        )


def _named(sample: Sample, reason: str) -> dict[str, str]:
    return {"name": sample.name, "reason": reason.removeprefix(f"{sample.name}: ")}


def unlabelled(samples: SampleSet) -> Iterator[Offence]:
    """Find images without a class in a set whose classes are those of whole images."""
    if samples.annotate is not None:
        return
    names = tuple(s.name for s in samples.samples if s.label == UNLABELLED)
    if names and samples.classes:
        yield Offence(
            kind="label",
            severity="stop",
            names=names,
            finding=Text(
                "{count} image(s) have no label, or one outside the list ({classes}).",
                {"count": len(names), "classes": ", ".join(samples.classes)},
            ),
            remedy=Text("Correct the labels, add the class to the list, or leave them out."),
            removed=names,
        )


def divided_groups(samples: SampleSet) -> Iterator[Offence]:
    """Find patients, or other groups, with images in more than one split."""
    grouped = _by((sample.group, sample) for sample in samples.samples if sample.group)
    for group, members in grouped.items():
        if is_divided(members):
            yield Offence(
                kind="group-leak",
                severity="stop",
                names=tuple(sample.name for sample in members),
                finding=Text(
                    "Patient or group {group} has images in several splits ({splits}).",
                    {"group": group, "splits": _splits(members)},
                ),
                remedy=Text("Keep all images of a patient in one split; training gives way."),
                removed=weaker(members),
            )
    if samples.samples and not grouped:
        yield Offence(
            kind="no-groups",
            severity="warn",
            names=(),
            finding=Text(
                "Nothing says which images belong to the same patient: whether a patient is in "
                "several splits cannot be seen."
            ),
            remedy=Text("Name the column with the patient by the option group, if there is one."),
        )


def exact_duplicates(seen: Sequence[Seen]) -> Iterator[Offence]:
    """Find images whose pixels are the same; their labels may contradict each other."""
    same = _by((facts.digest, sample) for sample, facts in _shown(seen))
    for members in same.values():
        if len(members) > 1:
            yield _exact(members)


def _exact(members: Sequence[Sample]) -> Offence:
    names = tuple(sample.name for sample in members)
    if len({sample.label for sample in members}) > 1:
        return Offence(
            kind="conflicting-duplicates",
            severity="stop",
            names=names,
            finding=Text(
                "{count} images with the same pixels carry different labels.",
                {"count": len(names)},
            ),
            remedy=Text("Find out which label is right; until then all of them leave."),
            removed=names,
        )
    if is_divided(members):
        return Offence(
            kind="duplicate-leak",
            severity="stop",
            names=names,
            finding=Text(
                "{count} images with the same pixels lie in several splits ({splits}).",
                {"count": len(names), "splits": _splits(members)},
            ),
            remedy=Text("Keep one side of them; training gives way."),
            removed=weaker(members),
        )
    return Offence(
        kind="exact-duplicates",
        severity="warn",
        names=names,
        finding=Text("{count} images have the same pixels.", {"count": len(names)}),
        remedy=Text("Keep one of them, or keep them in one group."),
    )


def near_duplicates(seen: Sequence[Seen], distance: int) -> Iterator[Offence]:
    """Find images that look the same without being it, unless one group holds them already."""
    shown = _shown(seen)
    numbers = clusters(codes(tuple(facts for _, facts in shown)), distance)
    found = _by(zip(numbers.tolist(), shown, strict=True))
    for members in found.values():
        samples = [sample for sample, _ in members]
        is_known = len({sample.group or sample.name for sample in samples}) == 1
        is_exact = len({facts.digest for _, facts in members}) == 1
        if is_exact or (is_known and not is_divided(samples)):
            continue
        yield _near(samples)


def _near(members: Sequence[Sample]) -> Offence:
    names = tuple(sample.name for sample in members)
    disagree = len({sample.label for sample in members}) > 1
    if is_divided(members):
        finding = (
            "{count} images that look the same lie in several splits ({splits}) and carry "
            "different labels."
            if disagree
            else "{count} images that look the same lie in several splits ({splits})."
        )
        return Offence(
            kind="near-duplicate-leak",
            severity="stop",
            names=names,
            finding=Text(finding, {"count": len(names), "splits": _splits(members)}),
            remedy=Text("Keep one side of them; training gives way."),
            removed=weaker(members),
        )
    if disagree:
        return Offence(
            kind="near-duplicates",
            severity="warn",
            names=names,
            finding=Text(
                "{count} images look the same but carry different labels.", {"count": len(names)}
            ),
            remedy=Text("Look at them: correct the labels, and keep them in one group."),
        )
    return Offence(
        kind="near-duplicates",
        severity="warn",
        names=names,
        finding=Text("{count} images look the same.", {"count": len(names)}),
        remedy=Text("Keep them in one group, so that no fold divides them."),
    )


def _shown(seen: Sequence[Seen]) -> list[Seen]:
    """Return the images on which something is to be seen."""
    return [(s, facts) for s, facts in seen if facts.is_usable and not facts.is_constant]


Value = TypeVar("Value")


def _by(pairs: Iterable[tuple[Key, Value]]) -> dict[Key, list[Value]]:
    found: dict[Key, list[Value]] = defaultdict(list)
    for key, value in pairs:
        found[key].append(value)
    return dict(found)


def _splits(samples: Sequence[Sample]) -> str:
    return ", ".join(sorted({sample.split or "none" for sample in samples}))

"""Whether the planes of a series make one image, and which images they make if not."""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence

import numpy as np

from aegle.dicom.image_options import ImageOptions, choice
from aegle.dicom.planes import DECISIVE, Plane
from aegle.domain.errors import MixedSeriesError

Groups = list[list[Plane]]


def separate(planes: Sequence[Plane], name: str, options: ImageOptions) -> Groups:
    """Return the planes of each image of a series.

    Files without a place in the patient are images of their own. Planes with a place make one
    image, unless they differ in what must not be mixed; that is refused unless
    ``options.mixed`` says to split.

    Args:
        planes: All planes of the series.
        name: What messages call the series.
        options: Whether to split.

    Raises:
        MixedSeriesError: The series holds several images, and splitting was not chosen.
    """
    placed = [p for p in planes if p.has_place]
    loose = _grouped([p for p in planes if not p.has_place], lambda p: p.instance)
    if placed and loose:
        reason = (
            f"{len(placed)} slices say where they lie in the patient, {len(loose)} files do not"
        )
        _refuse(reason, name, options)
    groups: Groups = []
    for shape in _by_shape(placed, name, options):
        groups += _by_marks(shape, name, options)
    return groups + loose


_SHAPES: tuple[tuple[str, Callable[[Plane], Hashable]], ...] = (
    ("size", lambda p: (p.rows, p.columns)),
    ("orientation", lambda p: tuple(np.round(p.orientation, 2) + 0.0)),
    ("pixel spacing", lambda p: tuple(np.round(p.spacing_mm, 3))),
    *((mark, lambda p, mark=mark: p.mark(mark)) for mark in DECISIVE),
)


def _by_shape(planes: Sequence[Plane], name: str, options: ImageOptions) -> Groups:
    for what, key in _SHAPES:
        counts = Counter(key(p) for p in planes)
        if len(counts) > 1:
            values = "; ".join(
                f"{_said(value)} ({count})" for value, count in counts.most_common(4)
            )
            _refuse(f"its slices differ in {what}: {values}", name, options)
    return _grouped(planes, lambda p: tuple(key(p) for _, key in _SHAPES))


def _by_marks(planes: Sequence[Plane], name: str, options: ImageOptions) -> Groups:
    """Separate planes that lie at the same place, by what tells them apart."""
    if not _has_doubles(planes):
        return [list(planes)]
    names = [mark for mark, _ in planes[0].marks]
    for chosen in [*([n] for n in names), names]:
        groups = _grouped(planes, lambda p, chosen=chosen: tuple(p.mark(n) for n in chosen))  # type: ignore[misc]
        if len(groups) > 1 and not any(_has_doubles(group) for group in groups):
            what = chosen[0] if len(chosen) == 1 else "several properties"
            count = max(Counter(p.position_mm for p in planes).values())
            reason = f"it holds up to {count} slices at each position, which differ in {what}"
            _refuse(f"{reason} ({len(groups)} values)", name, options)
            return groups
    return [list(planes)]


def _refuse(reason: str, name: str, options: ImageOptions) -> None:
    if options.mixed == "refuse":
        raise MixedSeriesError(
            f"{name}: {reason}. Select one acquisition, or choose {choice('mixed=split')} to get "
            "an image of each."
        )


def _has_doubles(planes: Sequence[Plane]) -> bool:
    places = {tuple(np.round(p.position_mm, 2)) for p in planes if p.position_mm is not None}
    return len(places) < len(planes)


def _grouped(planes: Sequence[Plane], key: Callable[[Plane], Hashable]) -> Groups:
    groups: dict[Hashable, list[Plane]] = defaultdict(list)
    for plane in planes:
        groups[key(plane)].append(plane)
    return list(groups.values())


def _said(value: Hashable) -> str:
    if isinstance(value, tuple):
        return "\\".join(f"{v:g}" for v in value)
    return str(value) or "none"

"""The gate as one page with pictures of what is wrong, and as data."""

import base64
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from numpy.typing import NDArray
from PIL import Image

from aegle.domain.errors import FileError, InputError
from aegle.domain.text import Text
from aegle.learning.gate import Gate, plain
from aegle.learning.offences import Offence
from aegle.learning.samples import Sample, SampleSet
from aegle.learning.survey import COLOURS

PAGE = "gate.html"
DATA = "offences.json"
THUMBNAIL = 144
"""Longest side of a picture [pixel]."""
MOST_PICTURES = 8
"""Pictures that are shown of one offence."""
MOST_OFFENCES = 40
"""Offences of a kind that are shown; the rest are in the data."""
TITLES = {
    "unreadable": Text("Cannot be read"),
    "constant": Text("Nothing to be seen"),
    "label": Text("Label missing or outside the list"),
    "annotation": Text("What is drawn does not fit"),
    "nothing-drawn": Text("Nothing is drawn anywhere"),
    "conflicting-duplicates": Text("Same pixels, different labels"),
    "duplicate-leak": Text("Same pixels in several splits"),
    "group-leak": Text("Patient or group in several splits"),
    "near-duplicate-leak": Text("Look the same, in several splits"),
    "mixed": Text("Pictures and volumes mixed"),
    "conflicting-annotations": Text("Same pixels, something else drawn"),
    "exact-duplicates": Text("Same pixels"),
    "near-duplicates": Text("Look the same"),
    "empty": Text("Nothing is drawn"),
    "class-missing": Text("Classes that no image shows"),
    "class-once": Text("Classes that one image alone shows"),
    "no-groups": Text("Patients unknown"),
    "intensity": Text("Unusual brightness or contrast"),
    "size": Text("Unusual size"),
    "spacing": Text("Unusual spacing"),
}
"""Kinds of offences in the order of the page."""


@dataclass(frozen=True, kw_only=True)
class Thumbnail:
    """A picture with what is to be read below it."""

    name: str
    facts: str
    data_uri: str
    """Empty where there is no picture."""
    is_removed: bool


@dataclass(frozen=True, kw_only=True)
class Shown:
    """An offence as shown."""

    finding: str
    remedy: str
    thumbnails: tuple[Thumbnail, ...]
    more: str
    """How many images are not shown; empty if all are."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """All offences of a kind."""

    kind: str
    title: str
    count: int
    is_stop: bool
    offences: tuple[Shown, ...]
    more: str


def write(
    gate: Gate, samples: SampleSet, folder: Path, *, say: Callable[[Text], str] = str
) -> tuple[Path, Path]:
    """Write the page and the data into a folder; return their paths.

    Args:
        gate: What was found.
        samples: The set that was looked at.
        folder: Made if it is not there; older files of the same name are replaced.
        say: Puts a sentence into the reader's language.

    Raises:
        FileError: The folder cannot be written to.
    """
    data = json.dumps(plain(gate), ensure_ascii=False, indent=1) + "\n"
    page = render(gate, samples, say=say)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _written(folder / PAGE, page), _written(folder / DATA, data)
    except OSError as error:
        raise FileError(
            folder,
            f"the page of the gate cannot be written there ({error.strerror or error}).",
            "Make room, or give another folder.",
        ) from error


def _written(path: Path, text: str) -> Path:
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, "utf-8")
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return path


def render(gate: Gate, samples: SampleSet, *, say: Callable[[Text], str] = str) -> str:
    """Return the page: one HTML text with its pictures inside, no script and no request."""
    by_name = {sample.name: sample for sample in samples.samples}
    removed = frozenset(gate.removed)
    stops = sum(offence.severity == "stop" for offence in gate.offences)
    values: dict[str, str | int | float | Text] = {
        "images": gate.images,
        "stops": stops,
        "warnings": len(gate.offences) - stops,
        "removed": len(removed),
    }
    return _template().render(
        gate=gate,
        say=say,
        Text=Text,
        values=values,
        classes=(*samples.classes, *_unnamed(gate)),
        is_drawn=samples.annotate is not None,
        parts=[
            _part(kind, found, _Pictures(samples, by_name, removed), say)
            for kind in TITLES
            if (found := [offence for offence in gate.offences if offence.kind == kind])
        ],
    )


def _unnamed(gate: Gate) -> tuple[str, ...]:
    return ("",) if any("" in row for row in gate.counts.values()) else ()


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("aegle.learning"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("gate.html.j2")


@dataclass(frozen=True, eq=False)
class _Pictures:
    samples: SampleSet
    by_name: dict[str, Sample]
    removed: frozenset[str]

    def of(self, name: str) -> Thumbnail:
        sample = self.by_name[name]
        label = self.samples.classes[sample.label] if sample.label >= 0 else ""
        return Thumbnail(
            name=name,
            facts=" · ".join(part for part in (label, sample.split, sample.group) if part),
            data_uri=self._data_uri(sample),
            is_removed=name in self.removed,
        )

    def _data_uri(self, sample: Sample) -> str:
        try:
            pixels = self.samples.load(sample)
        except InputError:
            return ""
        return _data_uri(pixels) if pixels.size else ""


def _part(kind: str, found: list[Offence], pictures: _Pictures, say: Callable[[Text], str]) -> Part:
    hidden = len(found) - MOST_OFFENCES
    return Part(
        kind=kind,
        title=say(TITLES[kind]),
        count=len(found),
        is_stop=found[0].severity == "stop",
        offences=tuple(_shown(offence, pictures, say) for offence in found[:MOST_OFFENCES]),
        more=say(Text("{count} more are in offences.json.", {"count": hidden}))
        if hidden > 0
        else "",
    )


def _shown(offence: Offence, pictures: _Pictures, say: Callable[[Text], str]) -> Shown:
    # Both sides of a leak must be seen: who stays comes first.
    staying = [name for name in offence.names if name not in offence.removed]
    leaving = [name for name in offence.names if name in offence.removed]
    half = max(MOST_PICTURES // 2, MOST_PICTURES - len(leaving))
    names = [*staying[:half], *leaving][:MOST_PICTURES]
    hidden = len(offence.names) - len(names)
    return Shown(
        finding=say(offence.finding),
        remedy=say(offence.remedy),
        thumbnails=tuple(pictures.of(name) for name in names),
        more=say(Text("{count} more", {"count": hidden})) if hidden else "",
    )


def _data_uri(pixels: NDArray[np.generic]) -> str:
    """Return an image, or the middle slice of a volume, small and at its own contrast."""
    is_colour = pixels.ndim == 3 and pixels.shape[-1] == COLOURS
    flat = pixels if is_colour or pixels.ndim == 2 else pixels[len(pixels) // 2]
    values = np.nan_to_num(np.asarray(flat, np.float64), posinf=0, neginf=0)
    low, high = np.percentile(values, (0.5, 99.5))
    grey = np.clip((values - low) * (255 / max(high - low, 1e-12)), 0, 255).astype(np.uint8)
    picture = Image.fromarray(grey)
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"

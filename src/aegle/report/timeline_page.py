"""The course of a patient as one page: response, trends, and slices that scroll together.

One file without requests: pictures and the few lines of script lie inside, so it opens from a disk.
On paper the viewer gives way to three central slices.
"""

import base64
import hashlib
import json
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import aegle
from aegle.domain.case import CaseResults
from aegle.report import follow
from aegle.report.aligned import AlignedSlices, Panel, aligned_slices, jpeg
from aegle.report.course import case_from_baseline
from aegle.report.files import write_whole
from aegle.report.html import data_uri, han_font
from aegle.report.language import Language, Words, clean, has_han, shortened, words

SLICE_OF = "Slice {number} of {count}, {where} mm"


def write(results: CaseResults, path: Path, *, language: Language) -> Path:
    """Write the page of a case that has a follow-up.

    Args:
        results: All that is known about the case, follow-up included.
        path: File to write; replaced if it is there.
        language: Language of the reader.

    Raises:
        OptionError: The language is unknown.
    """
    return write_whole(path, render(results, language).encode("utf-8"))


def render(results: CaseResults, language: Language) -> str:
    """Return the page as HTML text; the same case gives the same text."""
    told = words(language)
    results = case_from_baseline(results)
    follow_up = results.following.follow_up
    slices = aligned_slices(results, follow_up) if follow_up is not None else None
    patient = results.examinations.patient
    script = _script()
    values: dict[str, Any] = {
        "language": {"en": "en", "zh": "zh-CN"}[told.language],
        "patient": told.person(patient),
        "patient_id": shortened(clean(patient.id)) or "–",
        "research_use": told(aegle.RESEARCH_USE),
        "labels": _labels(told),
        "blocks": follow.overview(results, told),
        "panels": [] if slices is None else [_panel(results, p, told) for p in slices.panels],
        "viewer": None if slices is None else _viewer(slices, told),
        "central": [] if slices is None else _central(slices, told),
        "script": Markup(script),
        "script_digest": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "data": Markup("null" if slices is None else _data(slices)),
    }
    template = _environment().get_template("timeline.html.j2")
    text: str = template.render(**values, han_font="")
    return str(template.render(**values, han_font=han_font(text))) if has_han(text) else text


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("aegle.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["data_uri"] = data_uri
    environment.filters["kind"] = lambda block: type(block).__name__.lower()
    return environment


@cache
def _script() -> str:
    return (resources.files("aegle.report") / "templates" / "timeline.js").read_text("utf-8")


def _labels(told: Words) -> dict[str, str]:
    return {
        "title": told("Timeline"),
        "viewer": told("Same place at every visit"),
        "viewer_lead": told(
            "Scroll on a picture, use the slider or the arrow keys: all visits show the same "
            "anatomical place. Lesions are outlined; dark blue lies outside of that visit's image."
        ),
        "slice": told("Slice"),
        "central": told("Three central slices"),
        "legend": told("Legend"),
        "course": told("Response and lesions"),
        "go": told("Go to lesion"),
        "not_shown": told("Not aligned, so not shown."),
        "report": told("Whole report"),
    }


def _panel(results: CaseResults, panel: Panel, told: Words) -> dict[str, Any]:
    label = follow.visit_label(results, panel.visit, told)
    registration = panel.registration
    note = told("baseline")
    if registration is not None:
        note = f"{told('Alignment')}: {told.name(registration.verdict)}"
    return {
        "label": label,
        "note": note,
        "reason": told.text(registration.reason) if registration is not None else "",
        "is_shown": bool(len(panel.frames)),
    }


def _viewer(slices: AlignedSlices, told: Words) -> dict[str, Any]:
    shape = slices.panels[0].frames.shape
    return {
        "last": len(slices.heights_mm) - 1,
        "start": slices.start,
        "height": shape[1],
        "width": shape[2],
        "letters": slices.letters,
        "tracks": [(clean(name), index) for name, index in slices.tracks],
        "first_frames": [_uri(p, slices.start) for p in slices.panels],
        "position": _position(slices, slices.start, told),
        "words": told(SLICE_OF),
    }


def _position(slices: AlignedSlices, index: int, told: Words) -> str:
    where = f"{slices.heights_mm[index]:.1f}".replace("-", "−")
    return told(
        SLICE_OF,
        number=index + 1,
        count=len(slices.heights_mm),
        where=where,
    )


def _central(slices: AlignedSlices, told: Words) -> list[dict[str, Any]]:
    return [
        {
            "position": _position(slices, index, told),
            "frames": [_uri(panel, index) for panel in slices.panels],
        }
        for index in slices.central
    ]


def _uri(panel: Panel, index: int) -> Markup:
    if not len(panel.frames):
        return Markup("")
    encoded = base64.b64encode(jpeg(panel.frames[index])).decode("ascii")
    return Markup(f"data:image/jpeg;base64,{encoded}")


def _data(slices: AlignedSlices) -> str:
    """Return frames and heights for the script; base64 and numbers hold nothing to escape."""
    frames = [
        [base64.b64encode(jpeg(frame)).decode("ascii") for frame in panel.frames]
        for panel in slices.panels
    ]
    return json.dumps({"frames": frames, "heights": [round(h, 1) for h in slices.heights_mm]})

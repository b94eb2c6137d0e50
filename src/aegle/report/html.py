"""One self-contained HTML file: no script, no request, pictures and fonts inside."""

import base64
import io
import re
from functools import cache
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from aegle.domain.case import CaseResults
from aegle.report import document
from aegle.report.blocks import Document
from aegle.report.drawing import Picture, han_font_path
from aegle.report.files import write_whole
from aegle.report.language import Language, has_han

_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def write(results: CaseResults, path: Path, *, language: Language) -> Path:
    """Write the report of a case as one HTML file.

    Args:
        results: All that is known about the case.
        path: File to write; replaced if it is there.
        language: Language of the reader.

    Returns:
        The path.

    Raises:
        OptionError: The language is unknown.
    """
    return write_whole(path, render(document.build(results, language)).encode("utf-8"))


def render(report: Document) -> str:
    """Return a report as HTML text; the same report gives the same text."""
    template = _environment().get_template("report.html.j2")
    text: str = template.render(report=report, han_font="")
    if not has_han(text):
        return text
    return str(template.render(report=report, han_font=han_font(text)))


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
    environment.filters["whole_dates"] = _whole_dates
    environment.filters["kind"] = lambda block: type(block).__name__.lower()
    return environment


def data_uri(picture: Picture) -> Markup:
    """Return a picture as a data URI."""
    encoded = base64.b64encode(picture.data).decode("ascii")
    return Markup(f"data:{picture.media_type};base64,{encoded}")


def _whole_dates(text: str) -> Markup:
    """Keep dates from being broken over lines."""
    return Markup(_DATE.sub(r'<span class="date">\g<0></span>', str(escape(text))))


def han_font(text: str) -> Markup:
    """Return a font with the Chinese glyphs that a text uses, as a data URI."""
    options = subset.Options()
    options.hinting = False
    options.layout_features = []
    options.notdef_outline = True
    font = TTFont(han_font_path(), recalcTimestamp=False)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes={ord(letter) for letter in set(text) if has_han(letter)})
    subsetter.subset(font)
    font.flavor = "woff"
    stream = io.BytesIO()
    font.save(stream)
    encoded = base64.b64encode(stream.getvalue()).decode("ascii")
    return Markup(f"data:font/woff;base64,{encoded}")

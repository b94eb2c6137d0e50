"""One self-contained HTML page: no script, no request, pictures inside."""

import base64
from collections.abc import Sequence
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from aegle.evaluation.drawing import Picture
from aegle.evaluation.evaluate import About, Evaluation
from aegle.evaluation.pictures import ImageOf
from aegle.evaluation.sections import Section, Tile, sections, tiles

RESEARCH_USE = (
    "Research software, not a medical device. The scores do not allow its use on patients."
)


def page(evaluation: Evaluation, *, image_of: ImageOf | None = None) -> str:
    """Return an evaluation as HTML text; the same evaluation gives the same text.

    Args:
        evaluation: What was found out.
        image_of: Gives the pixels of an image by its name, for the worst cases; None to leave
            their pictures out, as where images may not be passed on.
    """
    return document(evaluation.about, tiles(evaluation), sections(evaluation, image_of))


def document(about: About, summary: Sequence[Tile], chapters: Sequence[Section]) -> str:
    """Return a page as HTML text.

    Args:
        about: What is judged.
        summary: What is seen first.
        chapters: All the rest.
    """
    template = _environment().get_template("evaluation.html.j2")
    return template.render(
        title=about.title,
        facts=list(about.facts.items()),
        research_use=RESEARCH_USE,
        tiles=summary,
        sections=chapters,
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("aegle.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["data_uri"] = _data_uri
    return environment


def _data_uri(picture: Picture) -> Markup:
    return Markup(f"data:image/png;base64,{base64.b64encode(picture.data).decode('ascii')}")

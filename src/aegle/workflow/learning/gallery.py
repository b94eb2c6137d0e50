"""A page of pictures with a line below each."""

from base64 import b64encode
from collections.abc import Sequence
from html import escape

import aegle
from aegle.evaluation.drawing import Picture

_STYLE = (
    "body{font-family:system-ui,sans-serif;margin:2rem;color:#1c2733}"
    "main{display:grid;grid-template-columns:repeat(auto-fill,minmax(14rem,1fr));gap:1rem}"
    "figure{margin:0}img{width:100%;image-rendering:auto;background:#000}"
    "figcaption{font-size:.85rem;overflow-wrap:anywhere}"
)


def gallery(title: str, pictures: Sequence[Picture]) -> str:
    """Return a page that needs no other file."""
    figures = "\n".join(
        f'<figure><img alt="{escape(p.alt)}" src="data:image/png;base64,'
        f'{b64encode(p.data).decode()}"><figcaption>{escape(p.caption)}</figcaption></figure>'
        for p in pictures
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body>"
        f"<h1>{escape(title)}</h1>\n<p><strong>{escape(aegle.RESEARCH_USE)}</strong></p>\n"
        f"<main>\n{figures}\n</main></body></html>\n"
    )

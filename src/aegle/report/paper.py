"""Fonts, inks and styles of the printed report."""

import re
from functools import cache
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Paragraph

from aegle.report.drawing import han_font_path, latin_font_path
from aegle.report.language import has_han

LATIN, BOLD, HAN = "Aegle-Latin", "Aegle-Latin-Bold", "Aegle-Han"
MARGIN = 16 * mm
WIDTH = A4[0] - 2 * MARGIN
INK, SOFT, LINE = HexColor("#1d2730"), HexColor("#5a6774"), HexColor("#d6d9dc")
TONES = {
    "plain": (INK, HexColor("#ffffff")),
    "good": (HexColor("#1f6b3a"), HexColor("#e2f2e6")),
    "calm": (HexColor("#3f5364"), HexColor("#e8edf1")),
    "warn": (HexColor("#7d5200"), HexColor("#fcefd0")),
    "bad": (HexColor("#9c2a20"), HexColor("#fbe4e0")),
}
PLAIN_GRID = [
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ("LEFTPADDING", (0, 0), (-1, -1), 0),
    ("RIGHTPADDING", (0, 0), (-1, -1), 4),
    ("TOPPADDING", (0, 0), (-1, -1), 2),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
]
PICTURE_GRID = [*PLAIN_GRID, ("RIGHTPADDING", (0, 0), (-1, -1), 0)]
_STYLES: dict[str, dict[str, Any]] = {
    "title": {"fontName": BOLD, "fontSize": 20, "leading": 26, "spaceAfter": 5},
    "chapter": {"fontName": BOLD, "fontSize": 14, "leading": 18, "spaceAfter": 3},
    "heading": {"fontName": BOLD, "fontSize": 10.5, "leading": 14, "spaceAfter": 3},
    "strong": {"fontName": BOLD, "fontSize": 8.6, "leading": 12, "spaceAfter": 2},
    "value": {"fontName": BOLD, "fontSize": 12, "leading": 16},
    "chip": {"fontName": BOLD, "fontSize": 8.6, "leading": 12},
    "body": {"fontSize": 8.6, "leading": 12.4},
    "soft": {"fontSize": 8.6, "leading": 12.4, "textColor": SOFT},
    "small": {"fontSize": 7.4, "leading": 10.2, "textColor": SOFT},
    "legend": {"fontSize": 7.6, "leading": 12, "spaceBefore": 2},
    "label": {"fontSize": 7.4, "leading": 10.6, "textColor": SOFT},
    "head-right": {"fontSize": 7.4, "leading": 10.6, "textColor": SOFT, "alignment": 2},
    "cell": {"fontSize": 8, "leading": 11},
    "cell-strong": {"fontName": BOLD, "fontSize": 8, "leading": 11},
    "number": {"fontSize": 8, "leading": 11, "alignment": 2},
}
_HAN_RUN = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]+")


@cache
def register_fonts() -> None:
    """Make the fonts known to reportlab."""
    for name, path in (
        (LATIN, latin_font_path()),
        (BOLD, latin_font_path(bold=True)),
        (HAN, han_font_path()),
    ):
        pdfmetrics.registerFont(TTFont(name, str(path)))


@cache
def style(name: str) -> ParagraphStyle:
    """Return a text style; lines may break between Chinese characters and in long words."""
    defaults = {"fontName": LATIN, "textColor": INK, "splitLongWords": 1}
    return ParagraphStyle(name, **{**defaults, **_STYLES[name]})


@cache
def _han_style(name: str) -> ParagraphStyle:
    return ParagraphStyle(f"{name}-han", parent=style(name), wordWrap="CJK")


def styled(text: str, name: str, *, colour: Any = None) -> Paragraph:
    """Return text as a paragraph; it is shown as it is, whatever it holds."""
    chosen = _han_style(name) if has_han(text) else style(name)
    if colour is not None and colour is not INK:
        chosen = ParagraphStyle(f"{name}-toned", parent=chosen, textColor=colour)
    return Paragraph(fonted(text), chosen)


def fonted(text: str) -> str:
    """Return text as reportlab markup in which each run has a font with its glyphs."""
    safe = escape(text).replace("\n", "<br/>")
    return _HAN_RUN.sub(lambda run: f'<font name="{HAN}">{run[0]}</font>', safe)


def draw_line(canvas: Canvas, text: str, x: float, y: float, *, limit: float) -> None:
    """Draw one small line of text, cut off where it would be wider than ``limit``."""
    shown = text
    while shown and _width(shown) > limit:
        shown = shown[:-1]
    canvas.setFillColor(SOFT)
    for run, font in _runs(shown if shown == text else f"{shown[:-1]}…"):
        canvas.setFont(font, 7.4)
        canvas.drawString(x, y, run)
        x += pdfmetrics.stringWidth(run, font, 7.4)


def draw_line_right(canvas: Canvas, text: str, right: float, y: float) -> None:
    """Draw one small line of text that ends at ``right``."""
    draw_line(canvas, text, right - _width(text), y, limit=WIDTH)


def _width(text: str) -> float:
    return float(sum(pdfmetrics.stringWidth(run, font, 7.4) for run, font in _runs(text)))


def _runs(text: str) -> list[tuple[str, str]]:
    runs, place = [], 0
    for match in _HAN_RUN.finditer(text):
        runs += [(text[place : match.start()], LATIN), (match[0], HAN)]
        place = match.end()
    return [(run, font) for run, font in (*runs, (text[place:], LATIN)) if run]

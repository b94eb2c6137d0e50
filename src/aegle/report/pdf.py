"""The report on paper: A4, the same words and pictures as the HTML."""

import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    CondPageBreak,
    Flowable,
    Frame,
    Image,
    KeepTogether,
    PageBreak,
    PageTemplate,
    Spacer,
)
from reportlab.platypus import Paragraph as Words
from reportlab.platypus import Table as Grid

from aegle.domain.case import CaseResults
from aegle.report import document, paper
from aegle.report.blocks import (
    Block,
    Card,
    Document,
    Facts,
    Paragraph,
    Pictures,
    Section,
    Subheading,
    Table,
    Tile,
)
from aegle.report.drawing import Picture
from aegle.report.files import write_whole
from aegle.report.language import Language
from aegle.report.paper import LATIN, LINE, SOFT, TONES, WIDTH, styled

PICTURES_PER_ROW = 3
GAP = 2.5 * mm
LONGEST_KEPT_TABLE = 90 * mm
"""A taller table may break over pages."""


def write(results: CaseResults, path: Path, *, language: Language) -> Path:
    """Write the report of a case as PDF, A4 upright.

    Args:
        results: All that is known about the case.
        path: File to write; replaced if it is there.
        language: Language of the reader.

    Returns:
        The path.

    Raises:
        OptionError: The language is unknown.
    """
    return write_whole(path, render(document.build(results, language)))


def render(report: Document) -> bytes:
    """Return a report as PDF bytes; the same report gives the same bytes."""
    paper.register_fonts()
    stream = io.BytesIO()
    template = BaseDocTemplate(
        stream,
        pagesize=A4,
        title=report.title,
        author="Aegle",
        subject=report.research_use,
        lang=report.language,
        invariant=1,
    )
    frame = Frame(
        paper.MARGIN,
        18 * mm,
        WIDTH,
        A4[1] - 38 * mm,
        leftPadding=0,
        rightPadding=0,
        topPadding=0,
        bottomPadding=0,
    )
    template.addPageTemplates([PageTemplate(id="page", frames=[frame])])
    template.build(list(_story(report)), canvasmaker=partial(_NumberedCanvas, report=report))
    return stream.getvalue()


class _NumberedCanvas(Canvas):  # type: ignore[misc]
    """Writes header and footer when the number of pages is known."""

    def __init__(self, *arguments: Any, report: Document, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._report = report
        self._pages: list[dict[str, Any]] = []

    def showPage(self) -> None:  # noqa: N802
        """Keep the page until all pages are there."""
        self._pages.append(dict(self.__dict__))
        self._startPage()

    def save(self) -> None:
        """Write all pages with their numbers."""
        for number, page in enumerate(self._pages, start=1):
            self.__dict__.update(page)
            self._frame(number)
            super().showPage()
        super().save()

    def _frame(self, number: int) -> None:
        report, (width, height) = self._report, A4
        left, right = paper.MARGIN, width - paper.MARGIN
        self.setStrokeColor(LINE)
        self.line(left, height - 16 * mm, right, height - 16 * mm)
        self.line(left, 14 * mm, right, 14 * mm)
        paper.draw_line(self, report.patient, left, height - 14 * mm, limit=0.62 * WIDTH)
        paper.draw_line_right(self, report.date, right, height - 14 * mm)
        paper.draw_line(self, report.research_use, left, 10 * mm, limit=0.8 * WIDTH)
        pages = report.labels["page"].format(number=number, count=len(self._pages))
        paper.draw_line_right(self, pages, right, 10 * mm)


def _story(report: Document) -> Iterator[Flowable]:
    yield styled(report.labels["report"], "soft")
    yield styled(report.patient, "title")
    yield _facts(report.facts, columns=3)
    yield Spacer(1, 2 * mm)
    yield _boxed(report.research_use, "warn")
    yield Spacer(1, 4 * mm)
    yield styled(report.labels["summary"], "chapter")
    yield _tiles(report.tiles)
    yield PageBreak()
    for number, section in enumerate(report.sections, start=1):
        yield from _chapter(section, number)


def _chapter(section: Section, number: int) -> Iterator[Flowable]:
    """Give the parts of a chapter; a heading stays with what follows it."""
    headings: list[Flowable] = [Spacer(1, 6 * mm), styled(f"{number}  {section.title}", "chapter")]
    if section.lead:
        headings.append(styled(section.lead, "soft"))
    for block in section.blocks:
        if isinstance(block, Subheading):
            headings += _subheading(block)
            continue
        first, *others = _flowables(block) or [Spacer(1, 0)]
        yield from _kept(headings, first)
        yield from others
        headings = []
    yield from headings


def _subheading(block: Subheading) -> list[Flowable]:
    text = " · ".join(p for p in (block.text, block.detail) if p)
    return [Spacer(1, 3 * mm), styled(text, "heading")]


def _kept(headings: list[Flowable], first: Flowable) -> Iterator[Flowable]:
    """Give headings and what follows on one page; of a long table, its beginning."""
    if not headings:
        yield first
    elif isinstance(first, _Sequence):
        yield CondPageBreak(80 * mm)
        yield from (*headings, first)
    else:
        content = first._content if isinstance(first, KeepTogether) else [first]
        yield KeepTogether([*headings, *content])


def _flowables(block: Block) -> list[Flowable]:
    """Return a block as it is laid on paper, and the room below it."""
    shown = list(_shown(block))
    return [*shown, Spacer(1, 2.5 * mm)] if shown else []


def _shown(block: Block) -> Iterator[Flowable]:
    match block:
        case Paragraph():
            tone = block.tone.value
            yield styled(block.text, "body") if tone == "plain" else _boxed(block.text, tone)
        case Facts():
            yield _facts(block.items, columns=3)
        case Card():
            yield _card(block)
        case Table():
            yield _table(block)
        case Pictures():
            yield from _pictures(block)


def _tiles(tiles: tuple[Tile, ...]) -> Flowable:
    rows = []
    for tile in tiles:
        value = styled(tile.value, "value", colour=TONES[tile.tone.value][0])
        details = [styled(detail, "small") for detail in tile.details]
        rows.append([styled(tile.title, "soft"), [value, *details]])
    return Grid(
        rows,
        colWidths=[0.27 * WIDTH, 0.73 * WIDTH],
        style=[
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LINEBELOW", (0, 0), (-1, -1), 0.5, LINE),
            ("LEFTPADDING", (0, 0), (-1, -1), 0),
            ("TOPPADDING", (0, 0), (-1, -1), 6),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 7),
        ],
    )


def _facts(items: tuple[tuple[str, str], ...], *, columns: int) -> Flowable:
    cells = [[styled(name, "label"), styled(value, "body")] for name, value in items]
    cells += [[] for _ in range(-len(cells) % columns)]
    rows = [cells[i : i + columns] for i in range(0, len(cells), columns)] or [[[]] * columns]
    return Grid(rows, colWidths=[WIDTH / columns] * columns, style=paper.PLAIN_GRID)


def _card(card: Card) -> Flowable:
    ink, ground = TONES[card.chip.tone.value]
    head = Grid(
        [[styled(card.title, "strong"), styled(card.chip.text, "chip", colour=ink)]],
        colWidths=[0.64 * WIDTH, 0.36 * WIDTH],
        style=[
            *paper.PLAIN_GRID,
            ("BACKGROUND", (1, 0), (1, 0), ground),
            ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
            ("LEFTPADDING", (1, 0), (1, 0), 6),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 4),
        ],
    )
    rows = [[styled(name, "label"), styled(value, "body")] for name, value in card.facts]
    body = Grid(
        rows,
        colWidths=[0.27 * WIDTH, 0.73 * WIDTH],
        style=[*paper.PLAIN_GRID, ("LINEABOVE", (0, 0), (-1, -1), 0.25, LINE)],
    )
    return KeepTogether([head, body, Spacer(1, 2 * mm)])


def _boxed(text: str, tone: str) -> Flowable:
    ink, ground = TONES[tone]
    return Grid(
        [[styled(text, "strong" if tone == "warn" else "body", colour=ink)]],
        colWidths=[WIDTH],
        style=[
            ("BACKGROUND", (0, 0), (-1, -1), ground),
            ("LEFTPADDING", (0, 0), (-1, -1), 7),
            ("TOPPADDING", (0, 0), (-1, -1), 3),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 5),
        ],
    )


def _table(table: Table) -> Flowable:
    shares = table.widths or (1.0,) * len(table.heads)
    widths = [WIDTH * share / sum(shares) for share in shares]
    numeric = table.numeric
    rows: list[list[Words]] = [
        [styled(h, "head-right" if i in numeric else "label") for i, h in enumerate(table.heads)]
    ]
    for row in table.rows:
        rows.append(
            [
                styled(
                    cell.text,
                    "number" if i in numeric else "cell" if i else "cell-strong",
                    colour=TONES[cell.tone.value][0],
                )
                for i, cell in enumerate(row)
            ]
        )
    grid = Grid(
        rows,
        colWidths=widths,
        repeatRows=1,
        style=[
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LINEBELOW", (0, 0), (-1, 0), 0.8, SOFT),
            ("LINEBELOW", (0, 1), (-1, -1), 0.25, LINE),
            ("LEFTPADDING", (0, 0), (0, -1), 0),
            ("LEFTPADDING", (1, 0), (-1, -1), 4),
            ("RIGHTPADDING", (0, 0), (-1, -1), 4),
            ("TOPPADDING", (0, 0), (-1, -1), 2.5),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 3.5),
        ],
    )
    caption = styled(table.caption, "strong")
    _, height = grid.wrap(WIDTH, 0)
    is_short = height < LONGEST_KEPT_TABLE
    return KeepTogether([caption, grid]) if is_short else _Sequence([caption, grid])


class _Sequence(KeepTogether):  # type: ignore[misc]
    """A caption and a long table, which may break over pages."""

    def split(self, width: float, height: float) -> list[Flowable]:
        """Give the parts to the page one by one, the caption not alone at the foot."""
        del width, height
        return [CondPageBreak(30 * mm), *self._content]


def _pictures(block: Pictures) -> Iterator[Flowable]:
    per_row = 1 if block.is_wide else 2 if len(block.items) == 4 else PICTURES_PER_ROW
    items = block.items
    rows = [_picture_row(items[i : i + per_row], per_row) for i in range(0, len(items), per_row)]
    title = [styled(block.title, "strong")] if block.title else []
    legend = [_legend(block)] if block.legend else []
    # The last row is never alone on a page.
    *before, last = [*([row] for row in rows[:-2]), rows[-2:]]
    for number, row in enumerate(before):
        yield KeepTogether([*(title if number == 0 else []), *row])
    yield KeepTogether([*([] if before else title), *last, *legend])


def _picture_row(row: tuple[Picture, ...], per_row: int) -> Flowable:
    width = (WIDTH - GAP * (per_row - 1)) / per_row
    if per_row == 1:
        width *= 0.9
    cells = [
        [
            Image(io.BytesIO(picture.data), width, width * picture.height / picture.width),
            styled(picture.caption, "small"),
        ]
        for picture in row
    ]
    cells += [[] for _ in range(per_row - len(row))]
    widths = [width + GAP] * (per_row - 1) + [width]
    return Grid([cells], colWidths=widths, style=paper.PICTURE_GRID, hAlign="LEFT")


def _legend(block: Pictures) -> Flowable:
    marks = "   ".join(
        f'<font name="{LATIN}" color="{entry.colour}">■</font>&nbsp;{paper.fonted(entry.name)}'
        for entry in block.legend
    )
    return Words(marks, paper.style("legend"))

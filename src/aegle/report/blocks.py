"""What a report is made of, before it becomes HTML or PDF."""

from dataclasses import dataclass
from enum import Enum

from aegle.report.drawing import Picture


class Tone(Enum):
    """How much attention something asks for."""

    PLAIN = "plain"
    GOOD = "good"
    CALM = "calm"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Words in a table, which may have several lines; a chip if the tone is not plain."""

    text: str
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table with column heads; its first column names the row."""

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numeric: frozenset[int] = frozenset()
    """Columns that hold numbers and are aligned right."""
    widths: tuple[float, ...] = ()
    """Relative widths of the columns on paper; equal if not given."""


@dataclass(frozen=True)
class Folded:
    """A long table that opens on a screen when asked, and is left out on paper."""

    table: Table


@dataclass(frozen=True)
class Paragraph:
    """Plain words."""

    text: str
    tone: Tone = Tone.PLAIN
    """``PLAIN`` for text, else a note."""


@dataclass(frozen=True)
class Facts:
    """Names and values."""

    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Card:
    """A verdict with what it rests on."""

    title: str
    chip: Cell
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class LegendEntry:
    """A colour and what it stands for."""

    name: str
    colour: str
    is_line: bool = True


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Pictures side by side, with one legend."""

    items: tuple[Picture, ...]
    legend: tuple[LegendEntry, ...] = ()
    title: str = ""
    is_wide: bool = False
    """Whether each picture takes the whole width (plots)."""


@dataclass(frozen=True)
class Subheading:
    """The title of a part of a section."""

    text: str
    detail: str = ""


Block = Table | Folded | Paragraph | Facts | Card | Pictures | Subheading


@dataclass(frozen=True, kw_only=True)
class Section:
    """A chapter of the report."""

    anchor: str
    title: str
    blocks: tuple[Block, ...]
    lead: str = ""
    """What the chapter answers."""

    @property
    def has_parts(self) -> bool:
        """Whether the chapter is divided by subheadings."""
        return any(isinstance(block, Subheading) for block in self.blocks)


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One answer of the summary."""

    title: str
    value: str
    details: tuple[str, ...] = ()
    tone: Tone = Tone.PLAIN
    anchor: str = ""


@dataclass(frozen=True, kw_only=True)
class Document:
    """A whole report in one language."""

    language: str
    title: str
    patient: str
    facts: tuple[tuple[str, str], ...]
    research_use: str
    date: str
    tiles: tuple[Tile, ...]
    sections: tuple[Section, ...]
    labels: dict[str, str]
    """Words of the frame: contents, page, ..."""


def plain(*texts: str) -> tuple[Cell, ...]:
    """Return cells without a tone."""
    return tuple(Cell(text=text) for text in texts)

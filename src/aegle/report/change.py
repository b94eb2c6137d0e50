"""Changed tissue in the report, where no lesions are delineated."""

from collections.abc import Sequence

from aegle.domain.response import FollowUp
from aegle.domain.tissue_change import Changed
from aegle.report.blocks import Block, Cell, Paragraph, Table, Tone
from aegle.report.language import Words


def changed_tissue(follow_up: FollowUp, labels: Sequence[str], words: Words) -> list[Block]:
    """Return what grew and what shrank at each later visit; nothing where lesions are followed.

    Args:
        follow_up: With or without changes.
        labels: Of each visit, as the reader knows it.
        words: Language of the reader.
    """
    if not follow_up.changes:
        return []
    table = Table(
        caption=words("Tissue that changed since the first visit"),
        heads=(
            words("Visit"),
            words("Regions that grew or are new"),
            words("Their volume [mL]"),
            words("Regions that shrank"),
            words("Their volume [mL]"),
            words("Net change [mL]"),
        ),
        rows=tuple(
            (
                Cell(text=labels[one.visit]),
                Cell(text=str(one.change.grown.count)),
                Cell(text=_volume(one.change.grown)),
                Cell(text=str(one.change.shrunk.count)),
                Cell(text=_volume(one.change.shrunk)),
                Cell(text=_net(one.change.net_ml, one.change.net_interval_ml)),
            )
            for one in follow_up.changes
        ),
        numeric=frozenset({1, 3}),
        widths=(1.4, 1.0, 1.4, 1.0, 1.4, 1.6),
    )
    legend = words(
        "On the pictures what grew is outlined in red, what shrank in blue. In brackets from the "
        "least to the most that noise allows; small and faint changes are easily missed."
    )
    notices = [
        Paragraph(words.text(notice), Tone.WARN)
        for one in follow_up.changes
        for notice in one.change.notices
    ]
    return [*notices, table, Paragraph(legend, Tone.CALM)]


def _volume(part: Changed) -> str:
    low, high = part.interval_ml
    return f"{part.volume_ml:.2f} ({low:.2f} – {high:.2f})"


def _net(value_ml: float, interval_ml: tuple[float, float]) -> str:
    low, high = interval_ml
    return f"{value_ml:+.2f} ({low:+.2f} … {high:+.2f})".replace("-", "−")

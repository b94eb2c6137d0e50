"""The course of a training as numbers and as a picture that grows with it."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from aegle.learning.assignment import Epoch
from aegle.learning.checkpoint import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_course(epochs: Sequence[Epoch], best: int, folder: Path) -> None:
    """Write ``course.json``.

    Raises:
        FileError: It cannot be written.
    """
    content = {"best": best, "epochs": [asdict(epoch) for epoch in epochs]}
    text = json.dumps(content, indent=1)
    write_whole(folder / "course.json", lambda part: part.write_text(f"{text}\n"))


def write_picture(epochs: Sequence[Epoch], best: int, folder: Path) -> None:
    """Write ``loss.png``: losses, rate and the epoch whose weights are kept.

    Raises:
        FileError: It cannot be written.
    """
    picture = draw(epochs, best)
    write_whole(
        folder / "loss.png",
        lambda part: picture.savefig(part, format="png", dpi=100, metadata={"Software": None}),
    )


def draw(epochs: Sequence[Epoch], best: int) -> "Figure":
    """Return the picture of a course."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5))
    edges = {"left": 0.12, "right": 0.97, "top": 0.97, "bottom": 0.1}
    losses, rates = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1), gridspec_kw=edges)
    numbers = [epoch.number for epoch in epochs]
    mark = "." if len(epochs) < 30 else ""
    losses.plot(numbers, [epoch.training_loss for epoch in epochs], marker=mark, label="training")
    measured = [epoch for epoch in epochs if epoch.validation_loss is not None]
    if measured:
        losses.plot(
            [epoch.number for epoch in measured],
            [epoch.validation_loss for epoch in measured],
            marker=mark,
            label="validation",
        )
        losses.axvline(best, color="0.6", linestyle=":", label=f"kept: epoch {best}")
    losses.set_ylabel("loss")
    losses.legend(frameon=False)
    rates.plot(numbers, [epoch.rate for epoch in epochs], color="0.4")
    rates.set_ylabel("rate")
    rates.set_xlabel("epoch")
    rates.xaxis.get_major_locator().set_params(integer=True)
    return figure

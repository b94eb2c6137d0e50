"""The page on autoencoders, written from what was measured."""

from statistics import mean
from typing import Any

HEAD = """# Autoencoders, measured

Written by `tools/measure_autoencoders.py` on the open part of the NIH radiographs. Errors are mean
squared errors of values in [0, 1], times 10,000, on images of patients that were not learned from.
"""

NARROW = """
## A narrow code against principal components of equal size

64 pixels, three folds by patient. Components are fitted to the same training images, or to
these and two changed copies of each; the narrow autoencoder starts as the components of the
training images and is trained for {epochs} epochs with the same changes, the last epoch counts.

| Code | Fold | Components | Augmented | Autoencoder | Ratio | Ratio to augmented | Time [s] |
|---|---|---|---|---|---|---|---|
"""


def page(found: dict[str, Any]) -> str:
    """Return the page as Markdown."""
    parts = [HEAD]
    if "narrow" in found:
        parts += [_narrow(found), _curve(found["narrow"]), _variants(found["variants"])]
    if "base" in found:
        parts.append(_base(found["base"]))
    return "".join(parts)


def _narrow(found: dict[str, Any]) -> str:
    lines = []
    for code in sorted({row["code"] for row in found["narrow"]}):
        rows = [row for row in found["narrow"] if row["code"] == code]
        lines += [_row(str(row["fold"]), row) for row in rows]
        names = ("components", "augmented_components", "narrow_autoencoder", "seconds")
        lines.append(_row("mean", {"code": code, **{n: mean(r[n] for r in rows) for n in names}}))
    return NARROW.format(epochs=found["epochs"]) + "\n".join(lines) + "\n"


def _row(fold: str, row: dict[str, Any]) -> str:
    own, plain, wide = (
        row[name] for name in ("narrow_autoencoder", "components", "augmented_components")
    )
    return (
        f"| {row['code']} | {fold} | {1e4 * plain:.2f} | {1e4 * wide:.2f} | {1e4 * own:.2f} | "
        f"{own / plain:.3f} | {own / wide:.3f} | {row['seconds']:.0f} |"
    )


def _curve(rows: list[dict[str, Any]]) -> str:
    (shown,) = (row for row in rows if "held_out_curve" in row)
    held_out = ", ".join(f"{1e4 * value:.2f}" for value in shown["held_out_curve"])
    training = ", ".join(f"{1e4 * value:.2f}" for value in shown["training_curve"])
    return (
        f"\nCode {shown['code']}, fold {shown['fold']}, held-out error before training and after "
        f"each epoch: {held_out}.\n\nTraining error, on changed images, of each epoch: "
        f"{training}.\n"
    )


def _variants(found: dict[str, Any]) -> str:
    lines = [
        "\n## Denoising and variational autoencoders",
        "",
        "Code 64, fold 0, as many epochs. The noise has a standard deviation of 0.05.",
        "",
        "| Kind | Error | Error when shown noisy images | Time [s] |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {1e4 * row['error']:.2f} | {1e4 * row['error_from_noisy']:.2f} | "
        f"{row['seconds']:.0f} |"
        for name, row in found.items()
    ]
    return "\n".join(lines) + "\n"


def _base(found: dict[str, Any]) -> str:
    scores = found["scores"]["scores"]
    error, similarity = scores["mean_squared_error"], scores["structural_similarity"]
    lines = [
        "\n## The base autoencoder",
        "",
        "`recipes/autoencoder-radiograph.toml`, 224 pixels, one channel, "
        f"{found['scores']['code_values']} code values. Error of {found['scores']['images']} "
        f"images that did not train it, after epoch {found['best']}: {1e4 * error['value']:.2f} "
        f"({1e4 * error['low']:.2f} to {1e4 * error['high']:.2f}); structural similarity "
        f"{similarity['value']:.3f} ({similarity['low']:.3f} to {similarity['high']:.3f}).",
        "",
        "| Epoch | Training | Validation |",
        "|---|---|---|",
    ]
    lines += [
        f"| {row['epoch']} | {1e4 * row['training_loss']:.2f} | "
        f"{1e4 * row['validation_loss']:.2f} |"
        for row in found["epochs"]
    ]
    return "\n".join(lines) + "\n"

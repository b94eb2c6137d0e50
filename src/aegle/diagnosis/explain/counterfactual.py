"""What would have to look different for a classifier to say another class.

The code that an autoencoder gives to an image is moved, step by step, along the slope of the class,
until another class is likelier. What the autoencoder then draws differently is added to the image,
so that detail which it cannot draw stays, and only changes that it can draw are made.

Source: Cohen JP et al. Gifsplanation via latent shift. MIDL 2021, arXiv:2102.09475. There one slope
is followed; here it is taken anew at every step.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from aegle.domain.errors import InputError
from aegle.learning.batches import normalise
from aegle.learning.model import Model

STRIDE = 0.5 / 255
"""Root mean square of the change of the drawn image by one step, as a share of the full scale."""
MOST_STEPS = 120
LEAST_LIKENESS = 0.8
"""Correlation of an image and what is drawn of it, below which the drawing is not of this image."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Counterfactual:
    """An image changed until a classifier says another class."""

    image: NDArray[np.uint8]
    """The changed image as prepared, shape (channel, row, column)."""
    change: NDArray[np.float64]
    """What was added, shape (row, column), -1 to 1 of the full scale."""
    before: NDArray[np.float64]
    """Calibrated probability of each class."""
    after: NDArray[np.float64]
    steps: int
    likeness: float
    """Correlation of the image with what the autoencoder draws of it."""

    @property
    def is_changed(self) -> bool:
        """Whether another class is the likeliest now."""
        return int(self.after.argmax()) != int(self.before.argmax())

    @property
    def is_drawn(self) -> bool:
        """Whether the autoencoder knows how such an image looks."""
        return self.likeness >= LEAST_LIKENESS


def counterfactuals(
    model: Model, autoencoder: Model, values: NDArray[np.uint8]
) -> list[Counterfactual]:
    """Return each image changed as little as it takes to make another class the likeliest.

    Args:
        model: A classifier of pictures.
        autoencoder: A model that draws images of the same kind, prepared in the same way but for
            their size.
        values: Images as prepared for the classifier, shape (image, channel, row, column).

    Raises:
        InputError: The second model is no autoencoder, or the images are volumes.
    """
    if autoencoder.facts.task != "reconstruct" or not hasattr(autoencoder.network, "decode"):
        raise InputError(
            f"Model '{autoencoder.facts.name}' is for '{autoencoder.facts.task}'; a "
            "counterfactual needs an autoencoder trained on images of this kind."
        )
    if values.ndim != 4:
        raise InputError("Counterfactuals are made of pictures, not of volumes.")
    pair = (model, autoencoder)
    return [_counterfactual(pair, values[at : at + 1]) for at in range(len(values))]


def _counterfactual(pair: tuple[Model, Model], values: NDArray[np.uint8]) -> Counterfactual:
    model, autoencoder = pair
    place = next(autoencoder.network.parameters()).device
    image = torch.from_numpy(values.astype(np.float32) / 255).to(place)
    side = autoencoder.facts.preparation.size
    seen = functional.interpolate(
        image.mean(dim=1, keepdim=True), size=(side, side), mode="bilinear", antialias=True
    )
    with torch.no_grad():
        code = autoencoder.network.encode(_taken(autoencoder, seen))  # type: ignore[operator]
        drawn = _drawn(autoencoder, code)
    before = after = model.probabilities_of(values)[0]
    wanted, stored, steps = int(before.argmax()), values, 0
    while int(after.argmax()) == wanted and steps < MOST_STEPS:
        with torch.enable_grad():
            code = code.detach().requires_grad_(True)
            lead = _lead(model, _changed(image, _drawn(autoencoder, code) - drawn), wanted)
            (slope,) = torch.autograd.grad(lead, code)
        code, steps = _stepped(autoencoder, code.detach(), slope), steps + 1
        with torch.no_grad():
            difference = _drawn(autoencoder, code) - drawn
            changed = _changed(image, difference)
        # What counts is the image as it is stored, in whole grey values.
        stored = (changed * 255).round().to(torch.uint8).cpu().numpy()
        after = model.probabilities_of(stored)[0]
    return Counterfactual(
        image=stored[0],
        change=_grown(difference, image)[0, 0].double().cpu().numpy(),
        before=before,
        after=after,
        steps=steps,
        likeness=_correlation(seen, drawn),
    )


def _stepped(autoencoder: Model, code: Tensor, slope: Tensor) -> Tensor:
    """Return the code moved down the slope, so far that the drawing changes by ``STRIDE``."""
    tiny = torch.finfo(slope.dtype).tiny
    direction = slope / slope.norm().clamp(min=tiny)
    probe = 1e-2 * code.norm().clamp(min=1.0)
    with torch.no_grad():
        moved = _drawn(autoencoder, code - probe * direction) - _drawn(autoencoder, code)
        rate = moved.square().mean().sqrt().clamp(min=1e-12) / probe
    stepped: Tensor = code - STRIDE / rate * direction
    return stepped


def _taken(model: Model, images: Tensor) -> Tensor:
    """Return grey images in [0, 1] as a network takes them."""
    facts = model.facts
    wide = (
        images if images.shape[1] == facts.channels else images.expand(-1, facts.channels, -1, -1)
    )
    return normalise(wide, facts.mean, facts.deviation)


def _drawn(autoencoder: Model, code: Tensor) -> Tensor:
    """Return what a code is drawn as, grey in [0, 1]; shape (image, 1, row, column)."""
    facts = autoencoder.facts
    images: Tensor = autoencoder.network.decode(code)  # type: ignore[operator]
    shape = (1, -1, 1, 1)
    deviation = torch.tensor(facts.deviation, device=images.device).view(shape)
    images = images * deviation + torch.tensor(facts.mean, device=images.device).view(shape)
    grey: Tensor = images.mean(dim=1, keepdim=True)
    return grey


def _changed(image: Tensor, difference: Tensor) -> Tensor:
    return (image + _grown(difference, image)).clamp(0, 1)


def _grown(difference: Tensor, image: Tensor) -> Tensor:
    return functional.interpolate(
        difference, size=image.shape[2:], mode="bilinear", align_corners=False
    )


def _lead(model: Model, image: Tensor, wanted: int) -> Tensor:
    """Return by how much the logit of a class lies above the largest of the others."""
    taken = _taken(model, image)
    logits = model.network(taken)
    if model.facts.flips:
        logits = (logits + model.network(taken.flip(-1))) / 2
    others = torch.cat([logits[:, :wanted], logits[:, wanted + 1 :]], dim=1)
    lead: Tensor = (logits[:, wanted] - others.amax(dim=1)).sum()
    return lead


def _correlation(one: Tensor, other: Tensor) -> float:
    pair = torch.stack([one.flatten(), other.flatten()]).double()
    found = float(torch.corrcoef(pair)[0, 1])
    return found if np.isfinite(found) else 0.0

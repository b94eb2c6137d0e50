"""How values are scaled for a network, and which windows of CT it sees, by the rules."""

from typing import Literal

from aegle.learning.dense.configuration import ChannelScaling
from aegle.learning.dense.fingerprint import ChannelFacts, Fingerprint
from aegle.learning.dense.rules import rules

Reasons = dict[str, str]
"""By decision: the rule that made it and the numbers that it saw."""


def scaling_of(
    found: Fingerprint, is_pretrained: bool, reasons: Reasons
) -> tuple[ChannelScaling, ...]:
    """Return how each channel of the network's input is scaled.

    Args:
        found: What the images are like.
        is_pretrained: Whether weights of ImageNet are given.
        reasons: Gets the rules that decided.
    """
    rule = rules()["scaling"].numbers
    least = min(channel.least for channel in found.channels)
    if found.axes == 2:
        return _scaling_of_pictures(found, is_pretrained, reasons)
    guessed = not found.modality and least <= rule["air_hu"]
    if found.modality == "CT" or guessed:
        seen = f"values down to {least:g}" if guessed else "modality CT"
        reasons["scaling"] = f"ct: {seen}; clipped to {_ranges(found.channels)}."
        scaling = tuple(
            ChannelScaling(
                scheme="ct",
                low=channel.low,
                high=channel.high,
                mean=channel.mean,
                deviation=channel.deviation,
            )
            for channel in found.channels
        )
        return scaling + _soft_tissue(scaling, reasons)
    is_inside = found.cropped_share < rule["inside_below"]
    scheme: Literal["z-score", "z-score-inside"] = "z-score-inside" if is_inside else "z-score"
    reasons["scaling"] = (
        f"{scheme}: no CT, and what is not zero takes {found.cropped_share:.0%} of the image."
    )
    return tuple(ChannelScaling(scheme=scheme) for _ in found.channels)


def _soft_tissue(
    scaling: tuple[ChannelScaling, ...], reasons: Reasons
) -> tuple[ChannelScaling, ...]:
    """Return the second window of CT that has one channel and a wide range; else nothing."""
    rule = rules()["windows"].numbers
    span_hu = scaling[0].high - scaling[0].low
    if len(scaling) > 1 or span_hu <= rule["least_span_hu"]:
        return ()
    centre_hu, half_hu = rule["centre_hu"], rule["half_width_hu"]
    low_hu, high_hu = centre_hu - half_hu, centre_hu + half_hu
    reasons["windows"] = (
        f"Values span {span_hu:.4g} HU, more than {rule['least_span_hu']:g}: seen from "
        f"{low_hu:g} to {high_hu:g} HU too."
    )
    deviation_hu = rule["deviation_hu"]
    soft = ChannelScaling(
        scheme="ct", low=low_hu, high=high_hu, mean=centre_hu, deviation=deviation_hu
    )
    return (soft,)


def _scaling_of_pictures(
    found: Fingerprint, is_pretrained: bool, reasons: Reasons
) -> tuple[ChannelScaling, ...]:
    rule = rules()["scaling"].numbers
    greatest = max(channel.greatest for channel in found.channels)
    least = min(channel.least for channel in found.channels)
    spread = max(channel.image_spread for channel in found.channels)
    if greatest > 255 or least < 0:
        reasons["scaling"] = f"z-score: values reach from {least:g} to {greatest:g}."
        return tuple(ChannelScaling(scheme="z-score") for _ in found.channels)
    if not is_pretrained and spread > rule["most_spread"]:
        reasons["scaling"] = (
            f"z-score: the pictures' means deviate by {spread:.2f} of the deviation within one, "
            f"more than {rule['most_spread']:g}."
        )
        return tuple(ChannelScaling(scheme="z-score") for _ in found.channels)
    white = 255.0 if greatest > 1 else 1.0
    source = "ImageNet's mean and deviation" if is_pretrained else "those of the training pictures"
    reasons["scaling"] = f"range: values reach to {greatest:g}; 0 to {white:g}, then by {source}."
    scales = (
        _imagenet(len(found.channels))
        if is_pretrained
        else [
            (channel.image_mean / white, channel.image_deviation / white)
            for channel in found.channels
        ]
    )
    return tuple(
        ChannelScaling(scheme="range", high=white, mean=mean, deviation=deviation)
        for mean, deviation in scales
    )


def _imagenet(channels: int) -> list[tuple[float, float]]:
    """Return mean and deviation of each channel; other than three channels take their mean."""
    rule = rules()["scaling"].numbers
    means, deviations = rule["imagenet_mean"], rule["imagenet_deviation"]
    if channels == len(means):
        return list(zip(means, deviations, strict=True))
    return [(sum(means) / len(means), sum(deviations) / len(deviations))] * channels


def _ranges(channels: tuple[ChannelFacts, ...]) -> str:
    return " and ".join(f"{one.low:.4g} to {one.high:.4g}" for one in channels)

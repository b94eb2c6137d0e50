"""From a fingerprint and a memory budget to a configuration, by the rules in ``rules.toml``."""

from dataclasses import replace
from math import pi, prod, sqrt
from typing import Annotated, Any, Literal

from pydantic.dataclasses import dataclass

from aegle.domain.errors import OptionError
from aegle.learning.dense.configuration import Configuration
from aegle.learning.dense.fingerprint import Fingerprint
from aegle.learning.dense.rules import rules
from aegle.learning.dense.scaling_choice import Reasons, scaling_of
from aegle.learning.dense.sizing import MOBILE, Size, Wanted, sized
from aegle.options import option

OBJECT_OUTPUTS = 2
"""Of a network that parts objects: foreground, and distance to the object's edge."""

Spacing = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class OutlineOptions:
    """What a person may want to decide when images are outlined."""

    memory_mb: Annotated[
        float, option("Memory that training and use may take", unit="MB", ge=256)
    ] = 2000.0
    minutes: Annotated[
        float,
        option("Processor time of one training that the steps are chosen for", unit="min", gt=0),
    ] = 15.0
    steps: Annotated[int, option("Updates of a training; 0: by the rules", ge=0)] = 0
    filters: Annotated[
        int, option("Filters of a U-Net's first level; 0: by the rules", ge=0, le=64)
    ] = 0
    levels: Annotated[int, option("Levels of a U-Net at most; 0: by the rules", ge=0, le=8)] = 0
    label_share: Annotated[
        float, option("Share of patches placed on a label; 0: by the rules", ge=0, le=1)
    ] = 0.0
    instances: Annotated[Literal["auto"], option("How touching objects are parted")] = "auto"


def configure(
    found: Fingerprint, *, options: OutlineOptions, task: str, pretrained: bool
) -> Configuration:
    """Decide spacing, scaling, patch, network, batch and steps.

    Args:
        found: What the images are like.
        options: Memory, time.
        task: ``segment`` or ``instances``.
        pretrained: Whether weights of a picture network (ImageNet MobileNetV2) are given.

    Returns:
        The configuration, with the reason of each decision.

    Raises:
        InputError: Not even the smallest plan fits the memory; the message says how much it needs.
        OptionError: The task is another.
    """
    if task not in {"segment", "instances"}:
        raise OptionError(f"Task '{task}' does not outline; choose segment or instances.")
    reasons: Reasons = {}
    axes = _axes(found, reasons)
    network = _network(axes, pretrained, reasons)
    scaling = scaling_of(found, network == MOBILE, reasons)
    wanted = Wanted(
        axes=axes,
        network=network,
        channels=len(scaling),
        outputs=OBJECT_OUTPUTS if task == "instances" else len(found.classes) + 1,
        spacing_mm=found.median_spacing_mm,
        shape=found.median_shape,
        voxels=float(found.images * prod(found.median_shape)),
        memory_mb=options.memory_mb,
        minutes=options.minutes,
        filters=options.filters,
        levels=options.levels,
    )
    spacing_mm = _spacing(found, axes, reasons)
    if network == MOBILE:
        spacing_mm = _thickened(found, spacing_mm, reasons)
    wanted = _at_spacing(wanted, found, spacing_mm)
    wanted, size = _coarsened(wanted, found, reasons)
    _explain(size, wanted, found, options, reasons)
    return Configuration(
        axes=axes,
        spacing_mm=wanted.spacing_mm,
        scaling=scaling,
        patch=size.patch,
        batch=size.batch,
        network=network,
        settings=size.settings,
        steps=_steps(size, options, reasons),
        foreground_share=_label_share(options),
        image_order=_order(wanted, reasons),
        deep_supervision=size.settings["deep_supervision"],
        **_adapted(network),
        mirrors=rules()["mirrors"].number("mirrors", axes),
        memory_mb=round(size.memory_mb, 1),
        reasons=reasons,
    )


def _adapted(network: str) -> dict[str, dict[str, Any]]:
    """Return options of training, and of transfer where weights are given."""
    training = dict(rules()["training"].numbers)
    if network != MOBILE:
        return {"training": training}
    given = dict(rules()["transfer"].numbers)
    return {"training": training | {"rate": given.pop("rate")}, "transfer": given}


def _axes(found: Fingerprint, reasons: Reasons) -> Literal[2, 3]:
    slices, least = found.median_shape[0], rules()["axes"].numbers["least_slices"]
    if found.axes == 2:
        reasons["axes"] = "The images are pictures."
        return 2
    if slices < least:
        reasons["axes"] = (
            f"The volumes have {slices} slices (median), fewer than {least}; they are seen slice "
            "by slice."
        )
        return 2
    reasons["axes"] = f"The images are volumes of {slices} slices (median)."
    return 3


def _network(axes: int, pretrained: bool, reasons: Reasons) -> str:
    rule = rules()["network"].numbers
    kind = "volumes" if axes == 3 else "pictures_with_weights" if pretrained else "pictures"
    name: str = rule[kind]
    reasons["network"] = f"{name}, the network for {kind.replace('_', ' ')}."
    return name


def _spacing(found: Fingerprint, axes: int, reasons: Reasons) -> Spacing:
    """Return the spacing before large images are coarsened [mm]."""
    spacing_mm, limit = found.median_spacing_mm, rules()["spacing"].numbers["anisotropy"]
    reasons["spacing"] = f"Median of the images, {_mm(spacing_mm)}."
    worst = spacing_mm.index(max(spacing_mm))
    others_mm = [value for axis, value in enumerate(spacing_mm) if axis != worst]
    fewest = min(size for axis, size in enumerate(found.median_shape) if axis != worst)
    is_coarse = spacing_mm[worst] > limit * max(others_mm)
    if found.object_area:
        return _finer(found, spacing_mm, reasons)
    if axes == 2 or not is_coarse or found.median_shape[worst] * limit >= fewest:
        return spacing_mm
    finer_mm = max(found.spacing_percentile_10_mm[worst], *others_mm)
    chosen = list(spacing_mm)
    chosen[worst] = min(finer_mm, spacing_mm[worst])
    reasons["spacing"] = (
        f"Median of the images, {_mm(spacing_mm)}; the axis of {spacing_mm[worst]:.3g} mm is more "
        f"than {limit:g} times as coarse as the others, so its 10th percentile "
        f"{chosen[worst]:.3g} mm is taken."
    )
    return chosen[0], chosen[1], chosen[2]


def _finer(found: Fingerprint, spacing_mm: Spacing, reasons: Reasons) -> Spacing:
    """Return a spacing at which objects are wide enough to be parted [mm]."""
    rule = rules()["objects"].numbers
    diameter = sqrt(4 * found.object_area / pi)
    share = float(f"{min(1.0, max(rule['least_share'], diameter / rule['least_diameter'])):.3g}")
    reasons["objects"] = (
        f"Half of the objects are less than {diameter:.3g} pixels wide; with pixels of {share:g} "
        f"of their size it is {diameter / share:.3g}."
    )
    slices, rows, columns = spacing_mm
    return slices, rows * share, columns * share


def _thickened(found: Fingerprint, spacing_mm: Spacing, reasons: Reasons) -> Spacing:
    """Return a spacing at which the thinnest class is thick enough to be seen [mm]."""
    rule, (slices, rows, columns) = rules()["thin"].numbers, spacing_mm
    thickness = min(found.class_thickness_mm.values(), default=0.0) / max(rows, columns)
    share = float(f"{max(rule['least_share'], thickness / rule['least_thickness']):.3g}")
    if thickness == 0 or share >= 1:
        return spacing_mm
    reasons["thin"] = (
        f"The thinnest class is {thickness:.3g} pixels thick; with pixels of {share:g} of their "
        f"size it is {thickness / share:.3g}."
    )
    return slices, rows * share, columns * share


def _at_spacing(wanted: Wanted, found: Fingerprint, spacing_mm: Spacing) -> Wanted:
    """Return what is wanted at another spacing."""
    slices, rows, columns = (
        max(1, round(size * have / want))
        for size, have, want in zip(
            found.median_shape, found.median_spacing_mm, spacing_mm, strict=True
        )
    )
    shape = (slices if wanted.axes == 3 else found.median_shape[0], rows, columns)
    return replace(
        wanted, spacing_mm=spacing_mm, shape=shape, voxels=float(found.images * prod(shape))
    )


def _coarsened(wanted: Wanted, found: Fingerprint, reasons: Reasons) -> tuple[Wanted, Size]:
    """Return what is wanted with voxels as large as the patch needs, and what then fits."""
    size = sized(wanted)
    rule = rules()["coarsening"]
    least = rule.number("least_cover", wanted.axes)
    cover = _cover(size, wanted)
    thinnest_mm = min(found.class_thickness_mm.values(), default=0.0)
    thickest = thinnest_mm / rule.number("least_thickness", wanted.axes)
    share = f"The patch takes {cover:.0%} of the median image"
    if cover >= least:
        reasons["coarsening"] = f"{share}, at least {least:.0%}: no coarser than that."
        return wanted, size
    coarser_mm = _grown(wanted, cover / least, thickest)
    if coarser_mm == wanted.spacing_mm:
        reasons["coarsening"] = (
            f"{share}, less than {least:.0%}, but the thinnest class is {thinnest_mm:.3g} mm "
            "(pixels) thick: no coarser than that."
        )
        return wanted, size
    reasons["coarsening"] = (
        f"{share}, less than {least:.0%}: {_mm(coarser_mm)} in place of {_mm(wanted.spacing_mm)}; "
        f"the thinnest class is {thinnest_mm:.3g} mm (pixels) thick."
    )
    coarser = _at_spacing(wanted, found, coarser_mm)
    return coarser, sized(coarser)


def _grown(wanted: Wanted, share: float, thickest_mm: float) -> Spacing:
    """Return voxels so large that an image has only a share of them left, as far as allowed.

    The finest axes grow first: a coarser one waits until they have come near.
    """
    first = 3 - wanted.axes
    spacing_mm = list(wanted.spacing_mm)
    grown, step = 1.0, 1.02
    while grown < 1 / share:
        fine = [n for n in range(first, 3) if spacing_mm[n] <= max(spacing_mm[first:]) / 2]
        growing = fine or list(range(first, 3))
        if any(spacing_mm[n] * step > thickest_mm for n in growing):
            break
        for axis in growing:
            spacing_mm[axis] *= step
        grown *= step ** len(growing)
    slices, rows, columns = (float(f"{value:.4g}") for value in spacing_mm)
    return wanted.spacing_mm if grown == 1.0 else (slices, rows, columns)


def _cover(size: Size, wanted: Wanted) -> float:
    axes = wanted.axes
    return min(1.0, prod(size.patch[-axes:]) / prod(wanted.shape[-axes:]))


def _order(wanted: Wanted, reasons: Reasons) -> int:
    limit, (slices_mm, *plane_mm) = rules()["resampling"].numbers["anisotropy"], wanted.spacing_mm
    if wanted.axes == 3 and slices_mm > limit * max(plane_mm):
        reasons["resampling"] = (
            f"Linear between slices: {slices_mm:.3g} mm apart, more than {limit:g} times "
            f"{max(plane_mm):.3g} mm."
        )
        return 1
    reasons["resampling"] = "Cubic along all axes."
    return 3


def _explain(
    size: Size, wanted: Wanted, found: Fingerprint, options: OutlineOptions, reasons: Reasons
) -> None:
    """Say why patch, widths, batch and memory are what they are."""
    limits = {1: "allows", 2: "allow"}.get(len(size.limits), "")
    smaller = f"; {' and '.join(size.limits)} {limits} no more" if size.limits else ""
    is_smaller = size.patch != size.largest_patch
    pads = any(a < b for a, b in zip(found.least_shape, size.patch, strict=True))
    reasons["patch"] = (
        f"The images ask for {_by(size.largest_patch)} voxels, {_by(size.patch)} are taken"
        f"{smaller if is_smaller else ''}. The median image has {_by(wanted.shape)}"
        f"{', and smaller ones are padded' if pads else ''}."
    )
    less = f" in place of {size.widest}{smaller}" if size.width < size.widest else ""
    reasons["widths"] = f"{size.width} filters on the first level{less}."
    reasons["topology"] = f"{size.levels} levels suit a patch of {_by(size.patch)}."
    deep = size.settings["deep_supervision"]
    reasons["deep_supervision"] = f"{deep} coarser outputs; the network has {size.levels} levels."
    reasons["batch"] = f"{size.batch} patches of {_by(size.patch)} voxels."
    reasons["memory"] = (
        f"About {size.memory_mb:.0f} MB of {options.memory_mb:g} MB, the process included."
    )
    who = "option" if options.label_share else "rule"
    reasons["foreground_share"] = (
        f"{_label_share(options):.0%} of the patches lie on a label, as the {who} says."
    )
    reasons["training"] = "Short trainings on a processor, as the rule says."
    reasons["mirrors"] = (
        "Volumes are seen once when the network is used: mirror images would take 8 times as long."
        if wanted.axes == 3
        else "The mean over mirror images of a picture is taken when the network is used."
    )


def _steps(size: Size, options: OutlineOptions, reasons: Reasons) -> int:
    rule = rules()["steps"].numbers
    if options.steps:
        reasons["steps"] = f"{options.steps}, as the option says."
        return options.steps
    most: int = rule["most_steps"]
    steps = max(1, min(most, int(size.patches / size.batch)))
    few = size.patches < rule["least_patches"]
    said = f", fewer than the {rule['least_patches']} that are worth it" if few else ""
    reasons["steps"] = (
        f"{steps}: in {options.minutes:g} min of one processor about {size.patches:.0f} patches "
        f"can be learned from{said}, {size.batch} in a step."
    )
    return steps


def _label_share(options: OutlineOptions) -> float:
    ruled: float = rules()["foreground_share"].numbers["share"]
    return options.label_share or ruled


def _mm(values: Spacing) -> str:
    return " x ".join(f"{value:.3g}" for value in values) + " mm"


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))

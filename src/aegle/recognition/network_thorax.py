"""Heart, oesophagus, spinal cord and tumours on chest CT by a trained network.

The network sees the box around the lungs in voxels of about 3 mm. What radiodensity tells well
(body, lungs, airways, bone) stays as :mod:`aegle.recognition.thorax_ct` finds it, and the
network's lungs are held against it: where the two disagree, the network is not believed.
"""

from dataclasses import dataclass as record
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from aegle.domain.errors import AegleError, InputError, OptionError
from aegle.domain.grid import Grid
from aegle.domain.structure import Structure, StructureSet
from aegle.domain.text import Text
from aegle.domain.volume import Volume
from aegle.imaging.morphology import Mask, Window, grown, largest, margin, window
from aegle.imaging.resample import AxialOrder
from aegle.options import option
from aegle.recognition.thorax_ct import ClassicalOptions, segment

if TYPE_CHECKING:
    from aegle.learning.model import Model

SHIPPED = "thorax-ct"
"""The model that comes with the package; its card lies beside it."""
AROUND_LUNGS_MM = 24.0
"""The network sees so much beyond the lungs, as the patients do that it learned from."""
LEAST_HEIGHT_MM = 120.0
"""Less of the lungs than this is no CT of the chest."""
LARGEST_VOXEL_MM = 6.0
LEAST_AGREEMENT = 0.80
"""Dice coefficient of the lungs with the classical ones, below which nothing is believed."""
LEAST_IN_CANAL = 0.7
"""Share of the cord that lies in the spinal canal, below which the canal stands for the cord."""
VOLUMES_ML = {"heart": (150.0, 2500.0), "oesophagus": (8.0, 150.0), "spinal_cord": (4.0, 100.0)}
"""Volumes from here to there are plausible in adults, whole or mostly in view."""
LUNG_NAMES = ("lung_right", "lung_left")
LUNGS, TUMOUR = "lungs", "tumour"
CLASSES = (LUNGS, *VOLUMES_ML, TUMOUR)
"""What a model of the chest has to tell, in any order."""

NOT_USED = "The network for chest CT was not used: {why}."
NOT_OUTLINED = (
    "The network's {organ} is not shown: its volume of {volume_ml:.0f} mL is not plausible."
)


@dataclass(frozen=True, kw_only=True)
class OrganOptions(ClassicalOptions):
    """How organs are delineated on CT."""

    method: Annotated[
        Literal["network", "classical"],
        option(
            "network: heart, oesophagus and spinal cord by a network, the others by radiodensity "
            "and shape; classical: without a network"
        ),
    ] = "network"
    model: Annotated[
        str, option("Model of chest CT, a file; thorax-ct: the one beside this package's models")
    ] = SHIPPED


@record(frozen=True, eq=False, kw_only=True)
class Delineated:
    """What was found on a CT."""

    organs: StructureSet
    tumours: Mask | None = None
    """Where the network sees tumour, shape of the CT's grid; None where it was not asked."""
    is_canal: bool = True
    """Whether ``spinal_cord``, if there is one, is the whole spinal canal."""
    notices: tuple[Text, ...] = ()
    """Why the network was not used or not believed."""


def delineate(ct: Volume, *, options: OrganOptions) -> Delineated:
    """Delineate the organs on a CT, those of the chest by a network too.

    Args:
        ct: Radiodensities [HU] on any grid, oblique or in any order of axes.
        options: Method, model, thresholds and sizes.

    Returns:
        What :func:`aegle.recognition.thorax_ct.segment` finds; with the network also ``heart``
        and ``oesophagus``, and as ``spinal_cord`` the cord itself rather than its canal, where
        the network's result is plausible. What is not, is left out and said so.

    Raises:
        QuantityError: The values are not radiodensities.
        OptionError: A model is named that is not there.
        FileError: The model's file is damaged.
    """
    classical = segment(ct, options=options)
    if options.method == "classical" or "body" not in classical:
        return Delineated(organs=classical)
    why_not = _why_not(ct, classical)
    path = model_path(options.model)
    if why_not is not None:
        return Delineated(organs=classical, notices=(_not_used(why_not),))
    if path is None:
        missing = Text("the model {model} is not installed", {"model": options.model})
        return Delineated(organs=classical, notices=(_not_used(missing),))
    try:
        labels, names = _labels(ct, classical, _model(path))
    except AegleError as error:
        return Delineated(organs=classical, notices=(_not_used(str(error).rstrip(".")),))
    return _checked(ct, classical, labels, names)


def model_path(name: str) -> Path | None:
    """Return the file of a model; None for the one of the package where it is not installed.

    Raises:
        OptionError: A file is named that is not there.
    """
    if name == SHIPPED:
        shipped = Path(str(resources.files("aegle.recognition") / "models" / f"{name}.safetensors"))
        return shipped if shipped.is_file() else None
    if not Path(name).is_file():
        raise OptionError(
            f"No model '{name}'; give the file of one or '{SHIPPED}' as organs.model, or "
            "organs.method=classical."
        )
    return Path(name)


@cache
def _model(path: Path) -> "Model":
    from aegle.learning.model import load

    return load(path)


def _why_not(ct: Volume, classical: StructureSet) -> Text | None:
    """Return why a CT is none that the network is made for; None if it is."""
    lungs = [classical[name] for name in LUNG_NAMES if name in classical]
    if len(lungs) < 2:
        return Text("both lungs have to be in the field of view")
    if max(ct.grid.spacing_mm) > LARGEST_VOXEL_MM:
        return Text("its voxels are too large")
    order = AxialOrder.of(ct.grid)
    levels = order.apply(lungs[0].mask | lungs[1].mask).any(axis=(1, 2))
    if np.count_nonzero(levels) * order.grid(ct.grid).spacing_mm[0] < LEAST_HEIGHT_MM:
        return Text("only a small part of the lungs is in the field of view")
    return None


def _not_used(why: Text | str) -> Text:
    return Text(NOT_USED, {"why": why})


def _labels(
    ct: Volume, classical: StructureSet, model: "Model"
) -> tuple[NDArray[np.integer], tuple[str, ...]]:
    """Return the class of each voxel of the CT, 0 for none, and the names of the classes."""
    lacking = [name for name in CLASSES if name not in model.facts.classes]
    if lacking:
        raise InputError(
            f"the model '{model.facts.name}' does not tell {', '.join(lacking)}; give one of the "
            "chest as organs.model"
        )
    from aegle.learning.annotations import PlacedImage
    from aegle.learning.dense.inference import InferenceOptions, outline

    order = AxialOrder.of(ct.grid)
    grid = order.grid(ct.grid)
    lungs = order.apply(classical["lung_right"].mask | classical["lung_left"].mask)
    box = window(lungs, margin(AROUND_LUNGS_MM, grid.spacing_mm))
    part = PlacedImage(
        values=np.ascontiguousarray(order.apply(ct.values)[box])[None],
        grid=_part_of(grid, box),
        is_picture=False,
    )
    labels = np.zeros(grid.shape, np.uint8)
    labels[box] = outline(model, part, options=InferenceOptions())
    return order.undo(labels), model.facts.classes


def _part_of(grid: Grid, box: Window) -> Grid:
    shape = tuple(side.stop - side.start for side in box)
    first = np.array([side.start for side in box], dtype=float)
    x, y, z = grid.to_patient(first).tolist()
    return Grid(
        shape=(shape[0], shape[1], shape[2]),
        spacing_mm=grid.spacing_mm,
        origin_mm=(x, y, z),
        axes=grid.axes,
    )


def _checked(
    ct: Volume, classical: StructureSet, labels: NDArray[np.integer], names: tuple[str, ...]
) -> Delineated:
    """Return the classical structures with what of the network's is plausible."""
    numbers = {name: number for number, name in enumerate(names, start=1)}
    agreement = _agreement(labels, numbers, classical)
    if agreement < LEAST_AGREEMENT:
        why = Text(
            "its lungs agree with those told by radiodensity to {dice:.2f} only (Dice)",
            {"dice": agreement},
        )
        return Delineated(organs=classical, notices=(_not_used(why),))
    found: list[Structure] = []
    notices: list[Text] = []
    for name in VOLUMES_ML:
        organ = Structure.of(name, largest(labels == numbers[name]), ct.grid)
        least_ml, most_ml = VOLUMES_ML[name]
        if least_ml <= organ.volume_ml <= most_ml:
            found.append(organ)
        else:
            notices.append(Text(NOT_OUTLINED, {"organ": name, "volume_ml": organ.volume_ml}))
    found = _with_canal(found, classical)
    by_network = {organ.name for organ in found}
    kept = [organ for organ in classical if organ.name not in by_network]
    return Delineated(
        organs=StructureSet((*kept, *found)),
        tumours=labels == numbers[TUMOUR],
        is_canal="spinal_cord" not in by_network,
        notices=tuple(notices),
    )


def _agreement(
    labels: NDArray[np.integer], numbers: dict[str, int], classical: StructureSet
) -> float:
    """Return the Dice coefficient of the lungs with the network's; tumour in them counts too."""
    seen = labels == numbers[LUNGS]
    lungs = classical["lung_right"].mask | classical["lung_left"].mask
    seen |= lungs & (labels == numbers[TUMOUR])
    total = int(np.count_nonzero(seen)) + int(np.count_nonzero(lungs))
    return 2 * int(np.count_nonzero(seen & lungs)) / max(total, 1)


def _with_canal(found: list[Structure], classical: StructureSet) -> list[Structure]:
    """Return the organs with a cord that is nowhere missing along the spinal canal.

    A cord that lies elsewhere is left out; on slices where the network sees none, the canal
    stands for it.
    """
    canal = next((organ for organ in classical if organ.name == "spinal_cord"), None)
    if canal is None:
        return found
    return [
        organ if organ.name != "spinal_cord" else _completed(organ, canal)
        for organ in found
        if organ.name != "spinal_cord" or _lies_in(organ, canal)
    ]


def _lies_in(cord: Structure, canal: Structure) -> bool:
    around = grown(canal.mask, 2.0, canal.grid.spacing_mm)
    inside = np.count_nonzero(cord.box & around[cord.window])
    return bool(inside >= LEAST_IN_CANAL * np.count_nonzero(cord.box))


def _completed(cord: Structure, canal: Structure) -> Structure:
    order = AxialOrder.of(cord.grid)
    mask, whole = order.apply(cord.mask), order.apply(canal.mask)
    without = ~mask.any(axis=(1, 2))
    mask[without] = whole[without]
    return Structure.of(cord.name, order.undo(mask), cord.grid)

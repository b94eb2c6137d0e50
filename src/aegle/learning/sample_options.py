"""Which images are read, and what is known about them."""

from dataclasses import field
from typing import Annotated

from pydantic.dataclasses import dataclass

from aegle.learning.sample_rows import LABEL, SPLIT, Columns
from aegle.options import option


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Which images, and what their labels are."""

    path: Annotated[str, option("Folder, manifest (.csv), zip or MedMNIST archive (.npz)")] = ""
    label: Annotated[str, option("Column with the label; empty for images without labels")] = LABEL
    group: Annotated[
        str, option("Column with what belongs together: patient or cluster; empty for none")
    ] = ""
    file: Annotated[str, option("Column with the path of the image")] = "file"
    split: Annotated[str, option("Column with train, val or test; empty to ignore it")] = SPLIT
    classes: Annotated[
        tuple[str, ...],
        option("Classes in order, of masks those of the labels 1, 2, ...; empty for all, sorted"),
    ] = ()
    where: Annotated[
        dict[str, tuple[str, ...]], option("Only rows whose column has one of these values")
    ] = field(default_factory=dict)
    start: Annotated[str, option("Only images whose name starts so, such as images/")] = ""
    merge: Annotated[
        dict[str, str], option("Labels that count as another class, such as benign as lesion")
    ] = field(default_factory=dict)

    mask: Annotated[
        str, option("Column with the path of the mask; empty for one that is obvious")
    ] = ""
    observer: Annotated[str, option("Column with the mask of a second observer")] = ""
    region: Annotated[
        str, option("Column with a mask of the field of view, outside which nothing is judged")
    ] = ""
    boxes: Annotated[
        str, option("Column with boxes as JSON: [[class, left, top, right, bottom], ...] [pixel]")
    ] = ""
    objects: Annotated[
        bool, option("Masks number objects, each pixel with that of its own, rather than classes")
    ] = False

    @property
    def names_annotations(self) -> bool:
        """Whether an option asks for annotations."""
        return bool(self.mask or self.boxes or self.observer or self.region or self.objects)

    @property
    def columns(self) -> Columns:
        """What the columns of a manifest are called."""
        return Columns(file=self.file, label=self.label, group=self.group, split=self.split)

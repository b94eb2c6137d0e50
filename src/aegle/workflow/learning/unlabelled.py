"""Images that a model is used on, wherever they come from: pictures, archives, DICOM."""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aegle.domain.errors import AegleError, FileError, InputError
from aegle.domain.study import Image, Projection
from aegle.learning.annotation_images import of_pixels
from aegle.learning.annotations import PlacedImage
from aegle.learning.image_decoding import is_image
from aegle.learning.model import ModelFacts
from aegle.learning.reading_samples import DataOptions, read_samples
from aegle.learning.samples import Sample, SampleSet
from aegle.workflow.stage import Progress

ARRAYS = (".npz", ".csv")
OUTLINED = ("segment", "instances")
"""Tasks whose results lie on the grid of the whole image."""


@dataclass(frozen=True, kw_only=True)
class Given:
    """Images with what their files say of them."""

    samples: SampleSet
    notices: tuple[str, ...] = ()


def images_at(path: Path, facts: ModelFacts, *, progress: Progress) -> Given:
    """Return the images at a path.

    Args:
        path: Picture, DICOM file, folder, zip or npz.
        facts: What the model is made for; DICOM files say what they show.
        progress: Told of the DICOM files looked at.

    Raises:
        FileError: There is nothing there, or a file is damaged.
        InputError: A DICOM image is of a modality or body part that the model is not made for.
    """
    if not path.exists():
        raise FileError(path, "there is no such file or folder.", "Check the path.")
    if holds_pictures(path):
        return Given(
            samples=read_samples(path, options=DataOptions(label=""), strict=False, annotated=False)
        )
    return _from_dicom(path, facts, progress)


def reason(name: str, error: AegleError) -> str:
    """Return why an image could not be used, with its name said once."""
    said = str(error)
    return said if said.startswith(name) else f"{name}: {said}"


def holds_pictures(path: Path) -> bool:
    """Return whether a path is read as pictures, by names alone."""
    if path.is_dir():
        return any(is_image(found.name) for found in path.rglob("*") if found.is_file())
    if path.suffix.lower() == ".zip" and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return any(is_image(name) for name in archive.namelist())
    return path.suffix.lower() in ARRAYS or is_image(path.name)


def _from_dicom(path: Path, facts: ModelFacts, progress: Progress) -> Given:
    """Return the images of DICOM files: a volume whole, or plane by plane for a flat network."""
    from aegle.dicom.image_options import ImageOptions
    from aegle.dicom.images import read_all
    from aegle.dicom.listing import ScanOptions
    from aegle.dicom.scan import scan

    found = scan((path,), options=ScanOptions(), progress=progress)
    planes: dict[str, NDArray[np.generic]] = {}
    places: dict[str, PlacedImage] = {}
    for series in found.series:
        for reading in read_all(series, options=ImageOptions()):
            require_fit(reading.image, facts, path)
            found_planes = _planes(reading.image, facts, len(planes))
            planes |= found_planes
            places |= {name: _placed(reading.image, one) for name, one in found_planes.items()}
    if not planes:
        raise InputError(f"{path}: it holds no images that can be read; give DICOM or pictures.")
    return Given(
        samples=SampleSet(
            classes=(),
            samples=tuple(Sample(name=name) for name in planes),
            load=lambda sample: planes[sample.name],
            content=lambda sample: np.ascontiguousarray(planes[sample.name]).tobytes(),
            source=str(path),
            place=lambda sample: places[sample.name],
        )
    )


def _planes(
    image: Image | Projection, facts: ModelFacts, before: int
) -> dict[str, NDArray[np.generic]]:
    values = image.volume.values if isinstance(image, Image) else image.image.values
    name = f"{before + 1:05d} {image.name}"
    if isinstance(image, Image) and (is_spatial(facts) or facts.task in OUTLINED):
        return {name: values}
    if len(values) == 1:
        return {name: values[0]}
    return {f"{name} plane {number:04d}": plane for number, plane in enumerate(values, 1)}


def _placed(image: Image | Projection, pixels: NDArray[np.generic]) -> PlacedImage:
    """Return pixels with where they lie; a plane of a volume counts in pixels, as pictures do."""
    if isinstance(image, Image) and pixels.shape == image.volume.grid.shape:
        grid = image.volume.grid
        return PlacedImage(values=image.volume.values[None], grid=grid, is_picture=False)
    return of_pixels(pixels)


def is_spatial(facts: ModelFacts) -> bool:
    """Return whether a model takes volumes."""
    return facts.network.endswith("-3d")


def require_fit(image: Image | Projection, facts: ModelFacts, path: Path) -> None:
    """Raise InputError if an image is of a modality or body part that a model is not made for."""
    series = image.series
    if facts.modalities and series.modality not in facts.modalities:
        raise InputError(
            f"{path}: {image.name} is of modality {series.modality}, but model '{facts.name}' is "
            f"made for {', '.join(facts.modalities)}; give such images."
        )
    if facts.body_parts and series.body_part and series.body_part not in facts.body_parts:
        raise InputError(
            f"{path}: {image.name} shows {series.body_part}, but model '{facts.name}' is made for "
            f"{', '.join(facts.body_parts)}; give such images."
        )

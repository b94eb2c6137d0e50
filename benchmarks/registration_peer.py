"""Another program deforms all pairs of a folder; runs in the peers' environment.

``python registration_peer.py PEER FOLDER`` reads ``PAIR_fixed.nii.gz`` and ``PAIR_moving.nii.gz``
(the moving image already on the fixed grid through the common motion) and writes
``PAIR_PEER.nii.gz``,
the displacement in LPS mm on that grid, and ``PAIR_PEER.json``, the time.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import SimpleITK as sitk


def demons(fixed: sitk.Image, moving: sitk.Image, _: Path) -> sitk.Image:
    """Diffeomorphic demons at three resolutions on matched histograms."""
    moving = sitk.HistogramMatching(moving, fixed, 128, 16, True)
    field = None
    for shrink in (4, 2, 1):
        small = [
            i
            if shrink == 1
            else sitk.Shrink(
                sitk.DiscreteGaussian(i, (0.5 * shrink) ** 2, 16, 0.01, False),
                [min(shrink, max(1, n // 8)) for n in i.GetSize()],
            )
            for i in (fixed, moving)
        ]
        method = sitk.DiffeomorphicDemonsRegistrationFilter()
        method.SetNumberOfIterations(60)
        method.SetStandardDeviations(1.5)
        if field is not None:
            field = sitk.Resample(
                field, small[0], sitk.Transform(), sitk.sitkLinear, 0.0, field.GetPixelID(), True
            )
        field = method.Execute(*small) if field is None else method.Execute(*small, field)
    return field


def greedy(fixed: sitk.Image, moving: sitk.Image, _: Path) -> sitk.Image:
    """Greedy with local correlation, its documented deformable settings."""
    from picsl_greedy import Greedy3D

    program = Greedy3D()
    program.execute(
        "-i fixed moving -o field -m NCC 2x2x2 -n 100x50x25 -s 1.5vox 0.5vox -threads 2",
        fixed=fixed,
        moving=moving,
        field=None,
    )
    return program["field"]


def elastix(fixed: sitk.Image, moving: sitk.Image, _: Path) -> sitk.Image:
    """elastix' default B-splines; the number of threads is never set (ITKElastix issue 160)."""
    import itk

    images = []
    for image in (fixed, moving):
        copy = itk.image_from_array(sitk.GetArrayFromImage(image).astype(np.float32))
        copy.SetSpacing(image.GetSpacing())
        copy.SetOrigin(image.GetOrigin())
        copy.SetDirection(itk.matrix_from_array(np.reshape(image.GetDirection(), (3, 3))))
        images.append(copy)
    settings = itk.ParameterObject.New()
    settings.AddParameterMap(settings.GetDefaultParameterMap("bspline"))
    _, found = itk.elastix_registration_method(*images, parameter_object=settings)
    vectors = itk.transformix_deformation_field(images[1], found)
    field = sitk.GetImageFromArray(itk.array_from_image(vectors), isVector=True)
    field.CopyInformation(fixed)
    return field


def ants(fixed: sitk.Image, moving: sitk.Image, folder: Path) -> sitk.Image:
    """ANTs' symmetric normalisation with its defaults."""
    import ants as program

    paths = []
    for name, image in (("a", fixed), ("b", moving)):
        paths.append(str(folder / f"{name}.nii.gz"))
        sitk.WriteImage(image, paths[-1])
    made = program.registration(
        program.image_read(paths[0]),
        program.image_read(paths[1]),
        type_of_transform="SyNOnly",
        initial_transform="identity",
        outprefix=str(folder / "ants"),
    )
    warps = [p for p in made["fwdtransforms"] if p.endswith(".nii.gz")]
    return sitk.ReadImage(warps[0], sitk.sitkVectorFloat64)


def main() -> None:
    """Deform every pair of the folder."""
    peer, folder = sys.argv[1], Path(sys.argv[2])
    for path in sorted(folder.glob("*_fixed.nii.gz")):
        pair = path.name.removesuffix("_fixed.nii.gz")
        fixed = sitk.ReadImage(str(path), sitk.sitkFloat32)
        moving = sitk.ReadImage(str(folder / f"{pair}_moving.nii.gz"), sitk.sitkFloat32)
        wall, cpu = time.perf_counter(), time.process_time()
        with tempfile.TemporaryDirectory() as name:
            field = globals()[peer](fixed, moving, Path(name))
            times = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
        sitk.WriteImage(field, str(folder / f"{pair}_{peer}.nii.gz"))
        (folder / f"{pair}_{peer}.json").write_text(json.dumps(times))
    print("{}")


if __name__ == "__main__":
    main()

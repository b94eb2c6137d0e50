"""How well a dose fits its target, in one number each.

Conformity: Paddick I. J Neurosurg 2000;93(Suppl 3):219-222,
doi:10.3171/jns.2000.93.supplement_3.0219.
Gradient: Paddick I, Lippitz B. J Neurosurg 2006;105(Suppl):194-201, doi:10.3171/sup.2006.105.7.194.
Homogeneity: ICRU Report 83 (2010).
Equivalent uniform dose: Niemierko A. Med Phys 1999;26:1100 (abstract).
"""

import numpy as np
import torch

from aegle.domain.errors import InputError, OptionError
from aegle.domain.structure import Structure
from aegle.domain.volume import Quantity, Volume
from aegle.planning.dose_volume import DoseAtVolumeOptions, dose_at_volume, doses_inside
from aegle.planning.equivalent_dose import generalised_eud


def conformity_index(dose: Volume, target: Structure, *, prescribed_gy: float) -> float:
    """Return Paddick's conformity index.

    The part of the target within the prescribed isodose, times the part of that isodose within
    the target: 1 where both are the same, 0 where they do not meet.

    Args:
        dose: Absorbed dose [Gy]; all its voxels count towards the isodose.
        target: Mask on the same grid.
        prescribed_gy: The isodose.

    Raises:
        QuantityError, GeometryError, InputError: As for
            :func:`aegle.planning.dose_volume.dose_at_volume`.
        OptionError: The prescribed dose is not positive.
    """
    inside = doses_inside(dose, target)
    both = int(np.count_nonzero(inside >= _positive(prescribed_gy)))
    isodose = _voxels(dose, prescribed_gy)
    return both**2 / (inside.size * isodose) if isodose else 0.0


def gradient_index(dose: Volume, *, prescribed_gy: float) -> float:
    """Return the volume of half the prescribed dose over that of the prescribed dose.

    Raises:
        QuantityError: ``dose`` is not an absorbed dose.
        InputError: The prescribed dose is reached nowhere.
        OptionError: The prescribed dose is not positive.
    """
    dose.require(Quantity.ABSORBED_DOSE)
    isodose = _voxels(dose, _positive(prescribed_gy))
    if isodose == 0:
        raise InputError(
            f"No voxel reaches {prescribed_gy:g} Gy, so the fall of the dose has no measure; "
            f"the maximum is {float(dose.values.max()):g} Gy."
        )
    return _voxels(dose, prescribed_gy / 2) / isodose


def homogeneity_index(dose: Volume, target: Structure, *, parts: int = 1) -> float:
    """Return (D2 - D98) / D50 of a target; 0 where its dose is even.

    Args:
        dose: Absorbed dose [Gy].
        target: Mask on the same grid.
        parts: Of a voxel along each side, see :func:`aegle.planning.dose_volume.doses_inside`.

    Raises:
        QuantityError, GeometryError, InputError: As for
            :func:`aegle.planning.dose_volume.dose_at_volume`.
    """
    highest, middle, lowest = (
        dose_at_volume(
            dose, target, options=DoseAtVolumeOptions(volume_percent=percent, parts=parts)
        )
        for percent in (2.0, 50.0, 98.0)
    )
    if middle == 0:
        raise InputError(f"Half of '{target.name}' has no dose, so its evenness has no measure.")
    return (highest - lowest) / middle


def equivalent_uniform_dose(
    dose: Volume, structure: Structure, *, exponent: float, parts: int = 1
) -> float:
    """Return the generalised equivalent uniform dose of a structure [Gy].

    Args:
        dose: Absorbed dose [Gy].
        structure: Mask on the same grid.
        exponent: a; 1 gives the mean, large values the maximum, large negative ones the minimum.
        parts: Of a voxel along each side, see :func:`aegle.planning.dose_volume.doses_inside`.

    Raises:
        QuantityError, GeometryError, InputError: As for
            :func:`aegle.planning.dose_volume.dose_at_volume`.
        OptionError: The exponent is 0.
    """
    inside = torch.from_numpy(doses_inside(dose, structure, parts=parts)).double()
    return float(generalised_eud(inside, exponent))


def _voxels(dose: Volume, least_gy: float) -> int:
    return int(np.count_nonzero(dose.values >= least_gy))


def _positive(prescribed_gy: float) -> float:
    if not prescribed_gy > 0:
        raise OptionError(f"The prescribed dose must be positive, got {prescribed_gy:g} Gy.")
    return prescribed_gy

"""From CT numbers to densities relative to water, as photons see them.

The table holds electron densities relative to water at CT numbers of a generic scanner. A
clinic's own calibration replaces it.

Source: default look-up table of pyRadPlan 0.5.0 and matRad (BSD-3-Clause, Copyright (c) 2024,
DKFZ).
"""

import numpy as np
from numpy.typing import NDArray

RADIODENSITY_HU = (-1024.0, -999.0, -90.0, -45.0, 0.0, 100.0, 350.0, 3000.0)
RELATIVE_DENSITY = (0.001, 0.001, 0.95, 0.99, 1.0, 1.095, 1.199, 2.505)


def relative_density(values_hu: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the density relative to water, linear between the points of the table.

    CT numbers beyond the table get the density of its ends.
    """
    return np.interp(values_hu, RADIODENSITY_HU, RELATIVE_DENSITY).astype(np.float32)

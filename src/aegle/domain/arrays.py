"""Arrays that cannot be changed through the objects that hold them."""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

Scalar = TypeVar("Scalar", bound=np.generic)


def read_only(array: NDArray[Any], dtype: DTypeLike) -> NDArray[Any]:
    """Return a read-only view of ``array``, copied only if the type differs."""
    view: NDArray[Any] = np.asarray(array, dtype=dtype).view()
    view.flags.writeable = False
    return view

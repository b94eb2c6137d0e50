"""Statistics of values and of grey levels, as IBSI defines them (sections 3.3 to 3.5)."""

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def intensity(values: Values) -> dict[str, float]:
    """Return statistics of the values inside, shape (n,)."""
    return {
        **_statistics(values, "stat"),
        "stat_energy": float(np.square(values).sum()),
        "stat_rms": float(np.sqrt(np.square(values).mean())),
    }


def histogram(levels: NDArray[np.intp]) -> dict[str, float]:
    """Return statistics of the grey levels inside, shape (n,)."""
    counts = np.bincount(levels)[1:].astype(np.float64)
    shares = counts[counts > 0] / levels.size
    slope = np.gradient(counts) if counts.size > 1 else np.zeros(1)
    # Of equally frequent levels the one nearest to the mean is the mode.
    frequent = np.flatnonzero(counts == counts.max()) + 1
    return {
        **_statistics(levels.astype(np.float64), "ih"),
        "ih_mode": float(frequent[np.abs(frequent - levels.mean()).argmin()]),
        "ih_entropy": float(-(shares * np.log2(shares)).sum()),
        "ih_uniformity": float(np.square(shares).sum()),
        "ih_max_grad": float(slope.max()),
        "ih_max_grad_g": float(slope.argmax() + 1),
        "ih_min_grad": float(slope.min()),
        "ih_min_grad_g": float(slope.argmin() + 1),
    }


def intensity_volume(values: Values, step: float) -> dict[str, float]:
    """Return features of the share of the volume that has at least a value.

    Args:
        values: Discretised values inside, shape (n,).
        step: Distance of neighbouring values.
    """
    axis = np.arange(values.min(), values.max() + step / 2, step)
    shares = np.array([(values >= value - step / 4).mean() for value in axis])
    lowest, highest = axis[0], axis[-1]
    relative = (axis - lowest) / (highest - lowest) if highest > lowest else np.zeros(axis.size)

    def volume_at(share: float) -> float:
        above = shares[relative >= share - 1e-9]
        return float(above[0]) if above.size else 0.0

    def value_at(share: float) -> float:
        enough = axis[shares <= share + 1e-9]
        # Where even the highest value fills more, the next one above it is the answer.
        return float(enough[0]) if enough.size else float(highest + step)

    v10, v90, i10, i90 = volume_at(0.1), volume_at(0.9), value_at(0.1), value_at(0.9)
    return {
        "ivh_v10": v10,
        "ivh_v90": v90,
        "ivh_i10": i10,
        "ivh_i90": i90,
        "ivh_diff_v10_v90": v10 - v90,
        "ivh_diff_i10_i90": i10 - i90,
    }


def _statistics(values: Values, prefix: str) -> dict[str, float]:
    mean, deviation = values.mean(), values.std()
    offset = values - mean
    low, quarter, median, upper, high = np.percentile(
        values, (10, 25, 50, 75, 90), method="inverted_cdf" if prefix == "ih" else "linear"
    )
    robust = values[(values >= low) & (values <= high)]
    found = {
        "mean": mean,
        "var": np.square(offset).mean(),
        "skew": (offset**3).mean() / deviation**3 if deviation > 0 else 0.0,
        "kurt": (offset**4).mean() / deviation**4 - 3 if deviation > 0 else 0.0,
        "median": median,
        "min": values.min(),
        "p10": low,
        "p90": high,
        "max": values.max(),
        "iqr": upper - quarter,
        "range": np.ptp(values),
        "mad": np.abs(offset).mean(),
        "rmad": np.abs(robust - robust.mean()).mean(),
        "medad": np.abs(values - median).mean(),
        "cov": deviation / mean,
        "qcod": (upper - quarter) / (upper + quarter),
    }
    return {f"{prefix}_{name}": float(value) for name, value in found.items()}

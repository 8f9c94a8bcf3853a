"""How often runs end in each geometry, with confidence intervals"""

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from scipy.stats import binomtest

if TYPE_CHECKING:
    pass

__all__ = ["basin_statistics", "wilson_interval"]


def wilson_interval(successes: int, runs: int, confidence: float = 0.95) -> tuple[float, float]:
    """
    Give the Wilson interval of a share.

    Parameters
    ----------
    successes : int
        How often it happened.
    runs : int
        Out of how many, >= 1.
    confidence : float
        Probability that such an interval contains the truth, in (0, 1).

    Returns
    -------
    low, high : float
        Bounds, within [0, 1].

    Examples
    --------
    >>> low, high = wilson_interval(0, 10)
    >>> round(low, 3), round(high, 3)
    (0.0, 0.278)
    """
    interval = binomtest(successes, runs).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def basin_statistics(geometry: ArrayLike) -> xr.Dataset:
    """
    Count in which geometries runs ended.

    Parameters
    ----------
    geometry : array_like of str, shape (k,)
        Geometry of every run.

    Returns
    -------
    xarray.Dataset
        Over ``geometry``, the commonest first: ``runs``, ``share``, and the bounds ``low`` and ``high`` of its 95 %
        Wilson interval.

    Examples
    --------
    >>> basin_statistics(["pentagon", "2 digon", "pentagon"]).share.values.round(2)
    array([0.67, 0.33])
    """
    names = [str(name) for name in np.asarray(geometry).ravel()]
    counts = sorted(Counter(names).items(), key=lambda item: (-item[1], item[0]))
    bounds = np.array([wilson_interval(count, len(names)) for _, count in counts]).reshape(-1, 2)
    runs = np.array([count for _, count in counts])
    return xr.Dataset(
        {
            "runs": ("geometry", runs),
            "share": ("geometry", runs / max(len(names), 1)),
            "low": ("geometry", bounds[:, 0]),
            "high": ("geometry", bounds[:, 1]),
        },
        coords={"geometry": [name for name, _ in counts]},
    )

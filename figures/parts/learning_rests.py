"""To which exact stationary points the rests of a descent belong."""

import numpy as np
import xarray as xr
from numpy import ndarray

from numerics.training.regimes import rests

__all__ = ["DRAWN", "GEOMETRY", "NEAR", "counts", "course_from", "stages_of_rests"]

# Density of a set at which courses are drawn.
DRAWN = 0.05
# A rest belongs to a stationary point if its loss is this near, relatively, and its eigenvalues of W W^T are: those of
# different levels differ by 1.
NEAR, GEOMETRY = 0.1, 0.5


def course_from(data: xr.Dataset, prefix: str) -> xr.Dataset:
    """
    Pick the course of learning from one kind of start.

    Parameters
    ----------
    data : xarray.Dataset
        As ``figures.learning_dynamics.compute`` returns it.
    prefix : str
        How the names of its variables and axes begin; empty for small initial weights.

    Returns
    -------
    xarray.Dataset
        With the names that the course from small weights has.
    """
    if not prefix:
        return data
    own = [str(name) for name in (*data.variables, *data.dims) if str(name).startswith(prefix)]
    plain = {name.removeprefix(prefix) for name in own}
    rest = data.drop_vars([name for name in plain if name in data.variables]).drop_dims(
        ["run", "step"], errors="ignore"
    )
    return rest.rename({name: name.removeprefix(prefix) for name in dict.fromkeys(own)})


def stages_of_rests(data: xr.Dataset) -> ndarray:
    """
    Find the level that each rest belongs to, by its median loss and eigenvalues.

    Parameters
    ----------
    data : xarray.Dataset
        As ``figures.learning_dynamics.compute`` returns it.

    Returns
    -------
    ndarray of int, shape (rests,)
        Number of the level among ``STAGES``; -1 if to none.
    """
    levels = []
    for run, first, last in rests(data["loss"].values):
        loss = np.median(data["loss"].values[run, first : last + 1])
        eigenvalues = np.median(data["eigenvalues"].values[run, first : last + 1], axis=0)
        off = np.abs(loss / data["level_loss"].values - 1)
        miss = np.abs(eigenvalues - data["level_eigenvalues"].values).max(-1)
        fits = (off < NEAR) & (miss < GEOMETRY)
        levels.append(int(np.where(fits, off, np.inf).argmin()) if fits.any() else -1)
    return np.array(levels)


def counts(data: xr.Dataset) -> ndarray:
    """
    Count how often each run rests.

    Parameters
    ----------
    data : xarray.Dataset
        As ``figures.learning_dynamics.compute`` returns it.

    Returns
    -------
    ndarray of int, shape (run,)
        Number of rests.
    """
    return np.bincount([run for run, _, _ in rests(data["loss"].values)], minlength=data.sizes["run"])

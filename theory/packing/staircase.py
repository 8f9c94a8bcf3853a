"""The predicted staircase: the best tegum product at many densities."""

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from theory.geometry.polytopes import POLYTOPES
from theory.model.features import density_array
from theory.optimum.polytope import optimise_polytope
from theory.packing.best_product import best_tegum_product

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["predicted_staircase"]


def predicted_staircase(
    n: int, m: int, densities: ArrayLike | Iterable[float], polytopes: Collection[str] | None = None
) -> "xr.Dataset":
    """
    Predict dimensions per feature and dimensionalities against density.

    Parameters
    ----------
    n : int
        Number of features, all of equal density and importance 1, >= 1.
    m : int
        Hidden dimensions, >= 1.
    densities : array_like, shape (k,)
        Densities p = 1 - S, in (0, 1].
    polytopes : collection of str, optional
        Polytopes that may be factors, "unrepresented" included; all of the catalogue by default.

    Returns
    -------
    xarray.Dataset
        Along "density": ``dimensions_per_feature`` (m / |W|_F^2), ``loss`` (sum over features), ``product``
        (text) and ``inverse_density`` (1 / (1 - S)). Along "density" and "factor": ``multiplicity`` (how
        often the factor occurs) and ``dimensionality`` (mean D_i of its features; NaN where it does not
        occur).

    Raises
    ------
    TypeError
        If n or m is not a whole number, or a density not a number.
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> import theory
    >>> data = theory.predicted_staircase(20, 4, [0.02, 0.2])
    >>> data["dimensions_per_feature"].values.round(4).tolist()
    [0.1948, 0.3746]
    """
    import xarray as xr

    p = np.atleast_1d(density_array(np.asarray(densities, dtype=float)))
    packings = [best_tegum_product(n, m, float(density), _losses_of(polytopes, float(density))) for density in p]
    names = sorted({name for packing in packings for name in packing.factors}, key=_by_size)
    multiplicity = np.array([[packing.factors.get(name, 0) for name in names] for packing in packings])
    own = [{name: D.mean() for name, D in packing.factor_dimensionality.items()} for packing in packings]
    return xr.Dataset(
        {
            "dimensions_per_feature": ("density", [packing.dimensions_per_feature for packing in packings]),
            "loss": ("density", [packing.loss for packing in packings]),
            "product": ("density", [packing.product.name for packing in packings]),
            "inverse_density": ("density", 1 / p),
            "multiplicity": (("density", "factor"), multiplicity),
            "dimensionality": (("density", "factor"), [[D.get(name, np.nan) for name in names] for D in own]),
        },
        coords={"density": p, "factor": names},
        attrs={"n": n, "m": m, "loss": "population loss, summed over features of importance 1"},
    )


def _losses_of(polytopes: Collection[str] | None, density: float) -> dict[str, float] | None:
    """Losses of given polytopes; None stands for those of the whole catalogue."""
    return None if polytopes is None else {name: optimise_polytope(name, density).loss for name in polytopes}


def _by_size(name: str) -> tuple[int, int, str]:
    return POLYTOPES[name].d, POLYTOPES[name].v, name

"""The best tegum product for any number of features and dimensions: an exact dynamic programme over the
catalogue.

In a tegum product the loss is the sum of the factors' losses. With u the loss of an unrepresented feature, a
factor of v features in d dimensions saves v u - loss, so that the best product solves a knapsack with two
capacities: factors as often as one likes, within m dimensions and n features, saving as much as possible.

The result is optimal among tegum products of catalogue polytopes, each under its symmetry. It is a global
optimum, of loss zero, for n <= m at any density (all features dedicated), and for n <= 2m in the one-sparse
limit (digons). Elsewhere it is an upper bound of the optimal loss. It is the best known where features are not too
sparse; for n = 400 and m = 30 trained models cost less from 1/(1-S) of about 7 on, their features spread
evenly over all dimensions (figures/staircase.py).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from numpy.typing import ArrayLike

from theory.features import density_array
from theory.metrics import dimensionality
from theory.polytope_optimum import PolytopeOptimum, optimise_polytope
from theory.polytopes import POLYTOPES, Polytope, polygon_name
from theory.recognition import recognise
from theory.tegum import TegumProduct

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Packing", "best_tegum_product", "factor_losses", "pack", "staircase"]

# Larger polygons are left out: with more features they save less than the heptagon (tests try densities).
_LARGEST_POLYGON = 12
# A saving that exceeds another by less than this part of u is a rounding error; the smaller factor is kept.
_ROUNDING = 1e-8


@dataclass(frozen=True, eq=False)
class Packing:
    """
    The best tegum product of a problem with equal features.

    Attributes
    ----------
    n, m : int
        Features and hidden dimensions of the problem.
    density : float
        Density p of the features.
    product : TegumProduct
        The product, of exactly n features.
    optima : dict from str to PolytopeOptimum
        Each kind of factor, optimised.
    loss : float
        Population loss, summed over all n features of importance 1.
    """

    n: int
    m: int
    density: float
    product: TegumProduct
    optima: dict[str, PolytopeOptimum]
    loss: float

    @property
    def factors(self) -> dict[str, int]:
        """How often each polytope occurs, in canonical order."""
        return self.product.factors

    @property
    def factor_dimensionality(self) -> dict[str, Float[ndarray, " v"]]:
        """Dimensionality D_i of the features of each kind of factor."""
        return {name: _dimensionality(optimum) for name, optimum in self.optima.items()}

    @property
    def dimensionality(self) -> Float[ndarray, " n"]:
        """Dimensionality D_i of every feature, factor by factor, shape (n,)."""
        own = self.factor_dimensionality
        return np.concatenate([own[polytope.name] for polytope in self.product.polytopes])

    @property
    def dimensions_per_feature(self) -> float:
        """Dimensions per represented feature, m / |W|_F^2; infinite if nothing is represented."""
        squares = sum(count * float((self.optima[name].W ** 2).sum()) for name, count in self.factors.items())
        return self.m / squares if squares else np.inf

    @property
    def features_per_dimension(self) -> float:
        """Represented features per dimension, |W|_F^2 / m."""
        return 1 / self.dimensions_per_feature

    def embedding(self) -> tuple[Float[ndarray, "m n"], Float[ndarray, " n"]]:
        """
        Give W and b of the whole product.

        Returns
        -------
        W : ndarray, shape (m, n)
            Embedding, block by block.
        b : ndarray, shape (n,)
            Output biases.
        """
        parameters = {name: optimum.parameters for name, optimum in self.optima.items()}
        return self.product.embedding(parameters, self.m), self.product.biases(parameters)


def _dimensionality(optimum: PolytopeOptimum) -> Float[ndarray, " v"]:
    return dimensionality(optimum.W) if len(optimum.W) else np.zeros(len(optimum.b))


def _candidates(n: int, m: int) -> list[Polytope]:
    """Polytopes that fit, the fewest dimensions and vertices first."""
    too_large = {polygon_name(k) for k in range(_LARGEST_POLYGON + 1, n + 1)}
    fitting = (p for p in POLYTOPES.values() if p.v <= n and p.d <= m and p.name not in too_large)
    return sorted(fitting, key=lambda p: (p.d, p.v))


def factor_losses(density: float, n: int, m: int) -> dict[str, float]:
    """
    Optimise every catalogue polytope that fits n features and m dimensions.

    Parameters
    ----------
    density : float
        Probability p that a feature is active, in (0, 1].
    n : int
        Number of features, >= 1.
    m : int
        Hidden dimensions, >= 1.

    Returns
    -------
    dict from str to float
        Population loss of each polytope, summed over its features of importance 1; polygons up to the 12-gon.
        Polytopes that have deformed into something else at this density are left out.

    Raises
    ------
    ValueError
        If the density lies outside (0, 1], or n or m is below 1.
    """
    _check_sizes(n, m)
    optima = [optimise_polytope(p.name, density) for p in _candidates(n, m)]
    return {optimum.name: optimum.loss for optimum in optima if _keeps_its_shape(optimum)}


def _keeps_its_shape(optimum: PolytopeOptimum) -> bool:
    """Whether an optimised polytope is still itself; rigid ones always are."""
    return not POLYTOPES[optimum.name].shape or recognise(optimum.W).nearest == optimum.name


def _check_sizes(n: int, m: int) -> None:
    for name, value in (("n", n), ("m", m)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise TypeError(f"{name} must be a whole number, got {value!r}")
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")


def pack(n: int, m: int, losses: Mapping[str, float]) -> TegumProduct:
    """
    Choose factors so that the sum of their losses is smallest.

    Parameters
    ----------
    n : int
        Number of features, all of equal density and importance, >= 1.
    m : int
        Hidden dimensions, >= 1.
    losses : mapping from str to float
        Loss of each polytope that may be used; that of "unrepresented" is needed. They may be population
        losses at one density, or limits of L/p.

    Returns
    -------
    TegumProduct
        A product of exactly n features in at most m dimensions with the smallest sum of losses. Of equally
        good ones it is one with small factors.

    Raises
    ------
    TypeError
        If n or m is not a whole number.
    ValueError
        If n or m is below 1, the loss of "unrepresented" is missing, or a name is not in the catalogue.

    Examples
    --------
    >>> pack(5, 2, {"unrepresented": 1 / 3, "digon": 0.0, "pentagon": 0.0791}).name
    'pentagon'
    """
    _check_sizes(n, m)
    if "unrepresented" not in losses:
        raise ValueError("losses must tell that of 'unrepresented', which fills up the features")
    unknown = [name for name in losses if name not in POLYTOPES]
    if unknown:
        raise ValueError(f"losses must be of catalogue polytopes, got {unknown[0]!r}")
    u = losses["unrepresented"]
    items = [POLYTOPES[name] for name in losses if POLYTOPES[name].d]
    items = sorted((p for p in items if p.v <= n and p.d <= m), key=lambda p: (p.d, p.v))
    savings = np.array([p.v * u - losses[p.name] for p in items])
    counts = _counts(_choices(n, m, items, savings, _ROUNDING * abs(u)), items)
    used = sum(POLYTOPES[name].v * count for name, count in counts.items())
    return TegumProduct({**counts, "unrepresented": n - used})


def _choices(
    n: int, m: int, items: list[Polytope], savings: Float[ndarray, " items"], margin: float
) -> Int[ndarray, "dimensions features"]:
    """Last item of the best selection for at most d dimensions and v features; -1 leaves a dimension."""
    best = np.zeros((m + 1, n + 1))
    choice = np.full((m + 1, n + 1), -1)
    for d in range(1, m + 1):
        best[d] = best[d - 1]
        for k, item in enumerate(items):
            if item.d > d:
                break  # items come by dimensions
            value = best[d - item.d, : n + 1 - item.v] + savings[k]
            better = value > best[d, item.v :] + margin
            best[d, item.v :][better] = value[better]
            choice[d, item.v :][better] = k
    return choice


def _counts(choice: Int[ndarray, "dimensions features"], items: list[Polytope]) -> dict[str, int]:
    """Walk back through the choices."""
    d, v = choice.shape[0] - 1, choice.shape[1] - 1
    counts: dict[str, int] = {}
    while d > 0:
        k = choice[d, v]
        if k < 0:
            d -= 1
            continue
        item = items[k]
        counts[item.name] = counts.get(item.name, 0) + 1
        d, v = d - item.d, v - item.v
    return counts


def best_tegum_product(n: int, m: int, density: float, losses: Mapping[str, float] | None = None) -> Packing:
    """
    Find the best tegum product of catalogue polytopes for n equal features in m dimensions.

    Parameters
    ----------
    n : int
        Number of features, all of equal density and importance 1, >= 1.
    m : int
        Hidden dimensions, >= 1.
    density : float
        Probability p = 1 - S that a feature is active, in (0, 1]; values are uniform on [0, 1].
    losses : mapping from str to float, optional
        Losses of the factors at this density, as ``factor_losses`` gives them, or of those that may be used.

    Returns
    -------
    Packing
        Product, factors, loss, dimensionalities.

    Raises
    ------
    TypeError
        If n or m is not a whole number, or the density not a number.
    ValueError
        If a number is out of range, or ``losses`` lacks "unrepresented".

    Notes
    -----
    The choice is exact for the given factors (a dynamic programme in O(n m) steps per factor); see the
    module's text for where that is a global optimum.

    Examples
    --------
    >>> best_tegum_product(n=5, m=2, density=0.05).product.name
    'pentagon'
    """
    p = float(density_array(density))
    product = pack(n, m, factor_losses(p, n, m) if losses is None else losses)
    optima = {name: optimise_polytope(name, p) for name in product.factors}
    loss = sum(count * optima[name].loss for name, count in product.factors.items())
    return Packing(n=n, m=m, density=p, product=product, optima=optima, loss=float(loss))


def staircase(
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

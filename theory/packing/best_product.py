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

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from theory.geometry.metrics import dimensionality
from theory.geometry.pictures import solution_html
from theory.geometry.polytopes import POLYTOPES
from theory.geometry.recognition import recognise
from theory.geometry.tegum import TegumProduct
from theory.model.features import one_density
from theory.optimum.polytope import PolytopeOptimum, optimise_polytope
from theory.packing.knapsack import check_sizes, fitting_polytopes, pack

__all__ = ["Packing", "best_tegum_product", "factor_losses"]


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

    Examples
    --------
    >>> import theory
    >>> best = theory.best_tegum_product(8, 3, 0.05)
    >>> best.name, f"{best.dimensions_per_feature:.4f}"
    ('square antiprism', '0.2970')
    """

    n: int
    m: int
    density: float
    product: TegumProduct
    optima: dict[str, PolytopeOptimum] = field(repr=False)
    loss: float

    @property
    def name(self) -> str:
        """How results call the geometry."""
        return self.product.name

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

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        known = {
            "geometry": self.name,
            "loss": f"{self.loss:.10g}",
            "n, m, density": f"{self.n}, {self.m}, {self.density:g}",
            "dimensions per feature": self.dimensions_per_feature,
        }
        return solution_html(self.embedding()[0], known)

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

    Examples
    --------
    >>> import theory
    >>> losses = theory.factor_losses(0.05, 5, 2)
    >>> min(losses, key=lambda name: losses[name] / theory.POLYTOPES[name].v)
    'dedicated'
    """
    check_sizes(n, m)
    optima = [optimise_polytope(p.name, density) for p in fitting_polytopes(n, m)]
    return {optimum.name: optimum.loss for optimum in optima if _keeps_its_shape(optimum)}


def _keeps_its_shape(optimum: PolytopeOptimum) -> bool:
    """Whether an optimised polytope is still itself; rigid ones always are."""
    return not POLYTOPES[optimum.name].shape or recognise(optimum.W).nearest == optimum.name


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
    p = one_density(density)
    product = pack(n, m, factor_losses(p, n, m) if losses is None else losses)
    optima = {name: optimise_polytope(name, p) for name in product.factors}
    loss = sum(count * optima[name].loss for name, count in product.factors.items())
    return Packing(n=n, m=m, density=p, product=product, optima=optima, loss=float(loss))

"""Minimise a loss over the few parameters that a polytope's symmetry leaves: norms, shape, biases."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.optimize import minimize, root

from theory.polytopes import Polytope

__all__ = ["LossAndGradient", "SymmetricMinimum", "minimise_symmetric", "silencing_starts"]

LossAndGradient = Callable[[ndarray, ndarray], tuple[float, ndarray, ndarray]]

# Step of the central difference in a shape parameter: coordinates are smooth and of order 1, errors 1e-10.
_STEP = 1e-5
# Gradient at which a minimum counts as found; the loss is then off by about its square.
_GRADIENT = 1e-7


@dataclass(frozen=True, eq=False)
class SymmetricMinimum:
    """
    The best a polytope can do under its symmetry.

    Attributes
    ----------
    parameters : dict from str to float
        Optimal norms, shape parameters and biases, by name.
    loss : float
        Their loss.
    gradient_norm : float
        Norm of the loss's gradient in the parameters that are not at a bound.
    converged : bool
        Whether that is small.
    """

    parameters: dict[str, float]
    loss: float
    gradient_norm: float

    @property
    def converged(self) -> bool:
        """Whether the gradient has vanished."""
        return self.gradient_norm <= _GRADIENT


def silencing_starts(polytope: Polytope) -> list[dict[str, float]]:
    """
    Give parameters from which a minimisation is likely to reach the polytope's best minimum.

    Parameters
    ----------
    polytope : Polytope
        A catalogue entry.

    Returns
    -------
    list of dict from str to float
        For each cosine c >= 0 between vertices, the norm and bias with which an active feature of value 1 is
        given back perfectly while neighbours with cosine up to c stay silent: norm^2 (1 - c) = 1, bias =
        -norm^2 c.
    """
    if not polytope.d:
        return [polytope.parameters]
    U = polytope.directions()
    cosines = np.unique(np.round((U.T @ U)[np.triu_indices(polytope.v, 1)], 9))
    levels = {0.0, *(float(c) for c in cosines if 0 < c < 1)}
    return [
        {
            **polytope.parameters,
            **dict.fromkeys(polytope.norm_names, (1 - c) ** -0.5),
            **dict.fromkeys(polytope.bias_names, -c / (1 - c)),
        }
        for c in sorted(levels)
    ]


def _chain(
    polytope: Polytope, values: Mapping[str, float], dW: Float[ndarray, "d v"], db: Float[ndarray, " v"]
) -> Float[ndarray, " parameters"]:
    """Carry a gradient in (W, b) over to the parameters, in the order of ``polytope.parameters``."""
    orbits, gradient = np.array(polytope.orbits), []
    along = (dW * polytope.directions(values)).sum(0)
    gradient += [along[orbits == k].sum() for k in range(len(polytope.norm_names))]
    for name in polytope.shape:
        plus = polytope.embedding({**values, name: values[name] + _STEP})
        minus = polytope.embedding({**values, name: values[name] - _STEP})
        gradient.append((dW * (plus - minus)).sum() / (2 * _STEP))
    gradient += [db[orbits == k].sum() for k in range(len(polytope.bias_names))]
    return np.array(gradient, dtype=float)


def minimise_symmetric(
    polytope: Polytope,
    loss_and_gradient: LossAndGradient,
    starts: Iterable[Mapping[str, float]],
    largest_bias: float | None = None,
) -> SymmetricMinimum:
    """
    Minimise a loss over a polytope's parameters.

    Parameters
    ----------
    polytope : Polytope
        A catalogue entry.
    loss_and_gradient : callable
        Takes W (d, v) and b (v,), returns the loss and its gradients in both.
    starts : iterable of mappings from str to float
        Parameters to start from; the best minimum reached from any of them is returned.
    largest_bias : float, optional
        Upper bound of the biases.

    Returns
    -------
    SymmetricMinimum
        Best parameters, their loss, and how well it converged.
    """
    names = list(polytope.parameters)

    def function(x: Float[ndarray, " parameters"]) -> tuple[float, Float[ndarray, " parameters"]]:
        values = dict(zip(names, x.tolist(), strict=True))
        loss, dW, db = loss_and_gradient(polytope.embedding(values), polytope.biases(values))
        return loss, _chain(polytope, values, dW, db)

    bounds = [_bound(name, polytope, largest_bias) for name in names]
    options: Any = {"ftol": 1e-12, "gtol": 1e-9, "maxiter": 500}
    runs = [
        minimize(
            function,
            [start[name] for name in names],
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options=options,
        )
        for start in starts
    ]
    best = min(runs, key=lambda run: float(run.fun)).x
    x = _polished(function, best, bounds)
    loss, slope = function(x)
    gradient_norm = float(np.linalg.norm(slope[_interior(x, bounds)]))
    return SymmetricMinimum(dict(zip(names, x.tolist(), strict=True)), float(loss), gradient_norm)


def _bound(name: str, polytope: Polytope, largest_bias: float | None) -> tuple[float | None, float | None]:
    """Norms are not negative, heights are cosines, biases may be bounded."""
    if name in polytope.norm_names:
        return 0.0, None
    if name in polytope.bias_names:
        return None, largest_bias
    return (0.0, 1.0) if name == "height" else (None, None)


def _interior(x: Float[ndarray, " k"], bounds: list[tuple[float | None, float | None]]) -> ndarray:
    """Which parameters are not at a bound."""
    low = np.array([-np.inf if a is None else a for a, _ in bounds])
    high = np.array([np.inf if b is None else b for _, b in bounds])
    return np.asarray((x > low) & (x < high))


def _polished(
    function: Callable[[ndarray], tuple[float, ndarray]],
    x: Float[ndarray, " k"],
    bounds: list[tuple[float | None, float | None]],
) -> Float[ndarray, " k"]:
    """Solve for a vanishing gradient: line searches stop where the loss rests, half the digits early."""
    free = _interior(x, bounds)
    if not free.any():
        return x

    def slope(part: Float[ndarray, " free"]) -> Float[ndarray, " free"]:
        moved = x.copy()
        moved[free] = part
        return np.asarray(function(moved)[1][free])

    moved = x.copy()
    moved[free] = root(slope, x[free], tol=1e-14).x
    inside = np.all(np.abs(moved - x) < 1e-3) and np.array_equal(_interior(moved, bounds), free)
    better = np.linalg.norm(slope(moved[free])) < np.linalg.norm(slope(x[free]))
    return moved if inside and better else x

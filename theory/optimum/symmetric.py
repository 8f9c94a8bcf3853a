"""Minimise a loss over the few parameters that a polytope's symmetry leaves: norms, shape, biases.

Vertices of an orbit have equal errors, so that one output per orbit stands for all. Its couplings are smooth functions
of the parameters; their first and second derivatives carry those of the output's error over, and Newton's method with
a bounded step does the rest.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from theory.geometry.polytopes import Polytope
from theory.optimum.embedding_derivatives import embedding_derivatives

__all__ = [
    "OutputErrors",
    "SymmetricMinimum",
    "minimise_symmetric",
    "representatives",
    "silencing_starts",
    "symmetric_losses",
]

# Takes couplings (r, v) of outputs, each output's own feature first, and biases (r,); returns the errors (r,), their
# derivatives (r, v + 1) in couplings and bias, and second derivatives (r, v + 1, v + 1).
OutputErrors = Callable[[ndarray, ndarray], tuple[ndarray, ndarray, ndarray]]

# Gradient at which a minimum counts as found; the loss is then off by about its square.
_GRADIENT = 1e-7
# Longest Newton steps, the first and ever.
_FIRST_RADIUS, _LARGEST_RADIUS = 0.3, 1.0
_ITERATIONS = 200
# Bisections for the step's length, which need not be exact.
_BISECTIONS = 12
# Steps without a gain that losses could show, or a smaller gradient: rounding has been reached.
_FAILURES = 2
# Losses that differ by less than this part do not tell which point is better: the gradient does.
_ROUNDING = 1e-9
# Curvatures below this part of the largest are rounding, and a negative one above it makes a saddle, which is left by
# a step of the length given.
_FLAT, _ESCAPE = 1e-7, 0.1


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
        Norm of the loss's gradient in the parameters that are not held by a bound.
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


@lru_cache(maxsize=256)
def representatives(polytope: Polytope) -> tuple[ndarray, ndarray, ndarray]:
    """
    Give one output per orbit.

    Parameters
    ----------
    polytope : Polytope
        A catalogue entry.

    Returns
    -------
    outputs : ndarray of int, shape (orbits,)
        The first vertex of each orbit.
    sizes : ndarray of int, shape (orbits,)
        How many vertices it stands for.
    order : ndarray of int, shape (orbits, v)
        All vertices, that output first.
    """
    orbits = np.array(polytope.orbits)
    _, outputs, sizes = np.unique(orbits, return_index=True, return_counts=True)
    order = np.array([np.r_[first, np.delete(np.arange(polytope.v), first)] for first in outputs])
    for array in (outputs, sizes, order):
        array.flags.writeable = False
    return outputs, sizes, order


def minimise_symmetric(
    polytope: Polytope,
    errors: OutputErrors,
    start: Mapping[str, float],
    largest_bias: float | None = None,
    tolerance: float = 1e-8,
) -> SymmetricMinimum:
    """
    Minimise the loss over a polytope's parameters.

    Parameters
    ----------
    polytope : Polytope
        A catalogue entry of at least one dimension.
    errors : callable
        Takes couplings of shape (r, v), each output's own feature first, and biases (r,). Returns the outputs' errors
        (r,), derivatives (r, v + 1) and second derivatives (r, v + 1, v + 1) in couplings and bias. These may be
        approximate: steps are longer or shorter then, their end is the same.
    start : mapping from str to float
        Parameters to start from.
    largest_bias : float, optional
        Upper bound of the biases.
    tolerance : float
        The step below which the minimisation ends. Newton's method squares the distance with every step, or divides
        it by the accuracy of the second derivatives.

    Returns
    -------
    SymmetricMinimum
        Parameters, their loss, and how well it converged.
    """
    bounds = np.array([_bound(name, polytope, largest_bias) for name in polytope.parameters]).T
    x = np.clip([start[name] for name in polytope.parameters], *bounds)
    found = _descend(lambda x: _expand(polytope, errors, x), x, bounds, tolerance)
    gradient_norm = float(np.linalg.norm(found.gradient[_free(found, bounds)]))
    return SymmetricMinimum(dict(zip(polytope.parameters, found.x.tolist(), strict=True)), found.loss, gradient_norm)


def symmetric_losses(
    polytope: Polytope, errors: OutputErrors, points: Sequence[Mapping[str, float]]
) -> Float[ndarray, " points"]:
    """
    Give the losses at some parameters.

    Parameters
    ----------
    polytope : Polytope
        A catalogue entry of at least one dimension.
    errors : callable
        As for ``minimise_symmetric``.
    points : sequence of mappings from str to float
        All parameters of the polytope, several times.

    Returns
    -------
    ndarray, shape (points,)
        Sums over orbits of size times the error of one output.
    """
    outputs, sizes, order = representatives(polytope)
    c, b = [], []
    for point in points:
        W = polytope.embedding(point)
        c.append((W.T @ W)[outputs[:, None], order])
        b.append(polytope.biases(point)[outputs])
    value = errors(np.concatenate(c), np.concatenate(b))[0]
    return np.asarray(value.reshape(-1, len(outputs)) @ sizes)


def _bound(name: str, polytope: Polytope, largest_bias: float | None) -> tuple[float, float]:
    """Norms are not negative, heights are cosines, biases may be bounded."""
    if name in polytope.norm_names:
        return 0.0, np.inf
    if name in polytope.bias_names:
        return -np.inf, np.inf if largest_bias is None else largest_bias
    return (0.0, 1.0) if name == "height" else (-np.inf, np.inf)


@dataclass(frozen=True, eq=False)
class _Point:
    """The loss near some parameters, to second order."""

    x: ndarray  # (k,)
    loss: float
    gradient: ndarray  # (k,)
    hessian: ndarray  # (k, k)


def _expand(polytope: Polytope, errors: OutputErrors, x: Float[ndarray, " k"]) -> _Point:
    """Carry the errors' derivatives in couplings and biases over to the parameters."""
    outputs, sizes, order = representatives(polytope)
    k, rows = len(x), np.arange(len(outputs))[:, None]
    W, dW, ddW = embedding_derivatives(polytope, x)
    b = x[k - len(outputs) :]
    G, half = W.T @ W, dW.swapaxes(1, 2) @ W
    dG = half + half.swapaxes(1, 2)
    value, slope, curvature = errors(G[outputs][rows, order], b)

    J = np.zeros((len(outputs), k, polytope.v + 1))  # derivatives of each output's couplings and bias
    J[:, :, :-1] = dG[:, outputs[:, None], order].swapaxes(0, 1)
    J[rows[:, 0], k - len(outputs) + rows[:, 0], -1] = 1.0
    A = np.zeros_like(G)
    A[outputs[:, None], order] = sizes[:, None] * slope[:, :-1]
    A = A + A.T  # sum_ij A_ij d^2 G_ij / 2 has the terms dW . dW and W . ddW
    bent = np.tensordot(dW @ A, dW, axes=((1, 2), (1, 2))) + np.tensordot(ddW, W @ A, axes=2)
    return _Point(
        x=x,
        loss=float(sizes @ value),
        gradient=np.einsum("o,oaj,oj->a", sizes, J, slope),
        hessian=(sizes[:, None, None] * (J @ curvature @ J.swapaxes(1, 2))).sum(0) + bent,
    )


def _free(point: _Point, bounds: Float[ndarray, "2 k"]) -> Bool[ndarray, " k"]:
    """Which parameters are not held by a bound."""
    low, high = bounds
    held = ((point.x <= low) & (point.gradient > 0)) | ((point.x >= high) & (point.gradient < 0))
    return np.asarray(~held)


def _descend(
    expand: Callable[[ndarray], _Point], x: Float[ndarray, " k"], bounds: Float[ndarray, "2 k"], tolerance: float
) -> _Point:
    """Newton's method within a radius that grows and shrinks with its success."""
    here, radius, failures = expand(x), _FIRST_RADIUS, 0
    for _ in range(_ITERATIONS):
        step = np.clip(here.x + _step(here, radius, bounds), *bounds) - here.x
        length = float(np.linalg.norm(step))
        there = expand(here.x + step)
        gained, expected = here.loss - there.loss, -float(here.gradient @ step + step @ here.hessian @ step / 2)
        level = abs(gained) <= _ROUNDING * here.loss
        free = _free(here, bounds)
        flatter = np.linalg.norm(there.gradient[free]) < np.linalg.norm(here.gradient[free])
        better = flatter if level else gained > 0
        if better:
            here = there
            if gained > expected / 2:
                radius = min(max(radius, 2 * length), _LARGEST_RADIUS)
        if not better or (gained < expected / 10 and not level):
            radius = length / 4
        failures += level and not better
        if length < tolerance or failures > _FAILURES:
            break
    return here


def _step(point: _Point, radius: float, bounds: Float[ndarray, "2 k"]) -> Float[ndarray, " k"]:
    """Newton's step with all curvatures made positive; out of a saddle, along its most negative curvature."""
    free, step = _free(point, bounds), np.zeros_like(point.x)
    if not free.any():
        return step
    values, vectors = np.linalg.eigh(point.hessian[np.ix_(free, free)])
    along = vectors.T @ point.gradient[free]
    solid = _FLAT * max(float(np.abs(values).max()), 1e-300)
    size = np.maximum(np.abs(values), solid)
    if values[0] < -solid and np.linalg.norm(along / size) < _FLAT:
        inward = np.where(point.x[free] <= bounds[0][free], 1.0, 0.0) - (point.x[free] >= bounds[1][free])
        step[free] = _ESCAPE * vectors[:, 0] * (1.0 if vectors[:, 0] @ inward >= 0 else -1.0)
        return step
    step[free] = -vectors @ (along / (size + _damping(along, size, radius)))
    return step


def _damping(along: Float[ndarray, " k"], size: Float[ndarray, " k"], radius: float) -> float:
    """What to add to the curvatures for a step no longer than the radius."""
    low, high = 0.0, float(np.linalg.norm(along)) / radius
    if np.linalg.norm(along / size) <= radius:
        return 0.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if np.linalg.norm(along / (size + middle)) > radius else (low, middle)
    return high

"""Curvature of the exact loss in (W, b), and what a stationary point is: a minimum, a saddle, or flat.

The loss is continuously differentiable only: P(no feature active) ReLU(b_i)^2, and its like for few active features,
let the second derivative jump. Optima sit on such kinks: a dedicated feature has b_i = 0 and g_ij = 0 exactly. There
the loss is L(x) + q(v)/2 with q homogeneous of degree two, but not quadratic, so that a direction v and its opposite
curve differently and no matrix tells everything. ``stability_of`` then minimises q(v) / |v|^2 over directions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.typing import ArrayLike

from theory.curvature.expansion import Expansion, clear_step, expand, gradients
from theory.model.problem import Problem
from theory.model.requirements import require_problem
from theory.model.value_units import in_units
from theory.tools.quasi_newton import minimise

__all__ = ["Kind", "Stability", "hessian", "projected_spectrum", "stability_of", "symmetry_directions"]

Kind = Literal["minimum", "saddle", "flat"]
# Gradients at displacements from a point.
Slopes = Callable[[ndarray], ndarray]

# Curvatures below this part of the zero model's loss count as zero.
_ZERO = 1e-6
# Directions from which the smallest curvature at a kink is searched: lowest eigenvectors, both ways, and mixtures.
_EIGENVECTORS, _MIXTURES = 4, 8


@dataclass(frozen=True, eq=False)
class Stability:
    """
    What a stationary point is.

    Attributes
    ----------
    kind : {"minimum", "saddle", "flat"}
        A saddle has a direction, or at a kink one side of a direction, of negative curvature; a flat point has
        none, but directions without curvature other than rotations.
    smallest : float
        Smallest curvature over all directions; at a kink the smaller of both sides.
    direction : ndarray, shape (d,)
        Unit vector along which the curvature is smallest, pointing to that side.
    spectrum : ndarray, shape (k,)
        Eigenvalues of the Hessian, ascending, rotations and dead directions projected out.
    zero_modes : int
        How many of them vanish (1e-6 of the zero model's loss).
    kinked : bool
        Whether the second derivative jumps here, so that the spectrum is an average over both sides.

    Examples
    --------
    >>> import theory
    >>> problem = theory.Problem(n=2, m=1, density=0.1)
    >>> found = theory.stability_of([[1.0, 0.0]], [0.0, 0.05], problem)
    >>> found.kind, found.kinked
    ('saddle', True)
    """

    kind: Kind
    smallest: float
    direction: Float[ndarray, " d"]
    spectrum: Float[ndarray, " k"]
    zero_modes: int
    kinked: bool


def hessian(W: ArrayLike, b: ArrayLike, problem: Problem, W_out: ArrayLike | None = None) -> Float[ndarray, "d d"]:
    """
    Give the Hessian of the population loss.

    Parameters
    ----------
    W : array_like, shape (m, n)
        Embedding.
    b : array_like, shape (n,)
        Output biases.
    problem : Problem
        A single problem.
    W_out : array_like, shape (n, m), optional
        Decoder, where the problem's terms make it untied.

    Returns
    -------
    ndarray, shape (d, d)
        Second derivatives in the entries of W, row by row, and b; d = m n + n. Relative accuracy about 1e-8 (1e-6
        above six features). Where a second derivative jumps, the average of both sides. Where W_out is free, its
        entries, column by column, stand between. Given biases have rows of zeros; with unit norms the loss is that of
        W_j / |W_j|.

    Raises
    ------
    ValueError
        If shapes do not fit the problem, or the problem is a batch.

    Examples
    --------
    >>> import theory
    >>> problem = theory.Problem(n=2, m=1, density=0.1)
    >>> best = theory.optimise(problem, "digon")
    >>> theory.hessian(best.W, best.b, problem).shape
    (4, 4)
    """
    require_problem(problem)
    inner, size = in_units(problem)
    if size != 1:
        H = hessian(W, np.asarray(b) / size, inner, W_out)
        factor = np.where(np.arange(len(H)) < len(H) - problem.n, size, 1.0)  # the biases come last
        return factor[:, None] * H * factor
    if not problem.terms.plain or W_out is not None:
        from theory.curvature.with_terms import hessian_with_terms

        problem.single("hessian")
        return hessian_with_terms(W, b, problem, W_out)
    W_, b_ = _checked(W, b, problem)
    return expand(W_, b_, problem).hessian


def _checked(W: ArrayLike, b: ArrayLike, problem: Problem) -> tuple[ndarray, ndarray]:
    if problem.batch_shape:
        raise ValueError(f"the problem must be a single one, got a batch of shape {problem.batch_shape}")
    shapes = np.shape(W), np.shape(b)
    if shapes != ((problem.m, problem.n), (problem.n,)):
        raise ValueError(
            f"W and b must have the shapes {(problem.m, problem.n)} and {(problem.n,)}, got {shapes[0]} and {shapes[1]}"
        )
    return problem.checked(W, b)


def symmetry_directions(W: Float[ndarray, "m n"], b: Float[ndarray, " n"]) -> Float[ndarray, "d k"]:
    """
    Give the directions along which the loss cannot change.

    Parameters
    ----------
    W : ndarray, shape (m, n)
        Embedding.
    b : ndarray, shape (n,)
        Output biases.

    Returns
    -------
    ndarray, shape (d, k)
        Orthonormal columns. Rotations of hidden space: m (m-1) / 2, fewer if W has a rank below m - 1. Dead
        directions: the bias of an output that never fires, since b_i + sum_j max(g_ij, 0) <= 0, and of its feature,
        if W_i = 0, the columns orthogonal to all others, which change no coupling to first order.
    """
    m, n = W.shape
    upper = np.triu_indices(m, 1)
    turns = np.zeros((len(upper[0]), m, m))
    turns[np.arange(len(upper[0])), upper[0], upper[1]] = 1.0
    moved = (turns - turns.swapaxes(1, 2)) @ W
    rows = [np.concatenate([V.ravel(), np.zeros(n)]) for V in moved]
    silent = b + np.maximum(W.T @ W, 0).sum(1) <= 0
    U, sizes, _ = np.linalg.svd(W)
    free = U[:, (sizes > 1e-6).sum() :]  # dimensions that no feature uses
    for i in np.flatnonzero(silent):
        rows.append(np.eye(m * n + n)[m * n + i])
        if not W[:, i].any():
            for axis in free.T:
                V = np.zeros((m, n))
                V[:, i] = axis
                rows.append(np.concatenate([V.ravel(), np.zeros(n)]))
    if not rows:
        return np.zeros((m * n + n, 0))
    basis, sizes, _ = np.linalg.svd(np.array(rows).T, full_matrices=False)
    return np.asarray(basis[:, sizes > 1e-6])


def stability_of(
    W: ArrayLike,
    b: ArrayLike,
    problem: Problem,
    expansion: Expansion | None = None,
    near: Float[ndarray, " d"] | None = None,
    W_out: ArrayLike | None = None,
) -> Stability:
    """
    Say what a stationary point of the population loss is.

    Parameters
    ----------
    W : array_like, shape (m, n)
        Embedding.
    b : array_like, shape (n,)
        Output biases.
    problem : Problem
        A single problem, of which (W, b) is a stationary point; that is not checked.
    expansion : Expansion, optional
        Of the loss there, if it is known already.
    near : ndarray, shape (d,), optional
        Direction near which the smallest curvature at a kink is likely, from a neighbouring solution; the search
        is then shorter.
    W_out : array_like, shape (n, m), optional
        Decoder, where the problem's terms make it untied.

    Returns
    -------
    Stability
        Minimum, saddle or flat; smallest curvature, spectrum, zero modes.

    Raises
    ------
    ValueError
        If shapes do not fit the problem, the problem is a batch, or it has an L1 penalty, whose slope jumps.

    Notes
    -----
    Where the loss is smooth, this is the spectrum of its Hessian. At a kink, the smallest curvature is the lowest of
    the local minima of q(v) / |v|^2 that are reached from the lowest eigenvectors, both ways, and mixtures of them: a
    saddle is certain, a minimum as certain as that search. A kink that is not met but nearer than the step (3e-6 at
    most, less near a bias of zero) counts as met. Where values are far from 1, curvatures are those of the problem in
    the values' own unit (``theory.model.value_units``).

    Examples
    --------
    >>> import theory
    >>> problem = theory.Problem(n=2, m=1, density=0.1)
    >>> best = theory.optimise(problem, "digon")
    >>> theory.stability_of(best.W, best.b, problem).kind
    'minimum'
    """
    require_problem(problem)
    inner, size = in_units(problem) if expansion is None else (problem, 1.0)
    if size != 1:
        return stability_of(W, np.asarray(b) / size, inner, near=near, W_out=W_out)
    if not problem.terms.plain or W_out is not None:
        return _with_terms(W, b, problem, W_out, near)
    W_, b_ = _checked(W, b, problem)
    m, n = W_.shape
    local = expand(W_, b_, problem) if expansion is None else expansion
    fixed = symmetry_directions(W_, b_)

    def slopes(v: ndarray) -> ndarray:
        return gradients(W_ + v[:, : m * n].reshape(-1, m, n), b_ + v[:, m * n :], problem)[1]

    return _judged(local, fixed, slopes, clear_step(W_.T @ W_, b_), near)


def _with_terms(
    W: ArrayLike, b: ArrayLike, problem: Problem, W_out: ArrayLike | None, near: Float[ndarray, " d"] | None
) -> Stability:
    """The same in the free parameters of a problem with terms."""
    from theory.curvature.with_terms import expand_with_terms, fixed_directions, step_within
    from theory.loss.objective import Objective
    from theory.loss.terms import checked_parameters

    problem.single("stability_of")
    problem.plain("stability_of", "decoder", "bias", "unit_norms", "noise", "decay")
    objective = Objective(problem, exact=True)
    x = objective.join(*checked_parameters(problem, W, b, W_out))
    local, fixed = expand_with_terms(objective, x), fixed_directions(objective, x)
    return _judged(local, fixed, lambda v: objective(x + v)[1], step_within(objective, x), near)


def _judged(
    local: Expansion, fixed: Float[ndarray, "d k"], slopes: Slopes, step: float, near: Float[ndarray, " d"] | None
) -> Stability:
    """Tell minimum, saddle and flat points apart by an expansion, and by one-sided curvatures at a kink."""
    values, vectors = projected_spectrum(local.hessian, fixed)
    smallest, direction = float(values[0]), vectors[:, 0]
    if local.kinked:
        smallest, direction = _smallest_one_sided(slopes, step, local, fixed, vectors, near)
    zero = _ZERO * local.scale
    zero_modes = int((np.abs(values) <= zero).sum())
    kind: Kind = "saddle" if smallest < -zero else "flat" if zero_modes or smallest <= zero else "minimum"
    return Stability(kind, smallest, direction, values, zero_modes, local.kinked)


def projected_spectrum(
    H: Float[ndarray, "d d"], fixed: Float[ndarray, "d k"]
) -> tuple[Float[ndarray, " r"], Float[ndarray, "d r"]]:
    """
    Diagonalise a Hessian outside some directions.

    Parameters
    ----------
    H : ndarray, shape (d, d)
        Symmetric.
    fixed : ndarray, shape (d, k)
        Orthonormal columns to leave out.

    Returns
    -------
    values : ndarray, shape (d - k,)
        Eigenvalues of H on the orthogonal complement, ascending.
    vectors : ndarray, shape (d, d - k)
        Their eigenvectors, as columns.
    """
    complement = np.linalg.qr(fixed, mode="complete")[0][:, fixed.shape[1] :]
    values, vectors = np.linalg.eigh(complement.T @ H @ complement)
    return values, complement @ vectors


def _smallest_one_sided(
    slopes: Slopes,
    step: float,
    local: Expansion,
    fixed: Float[ndarray, "d k"],
    vectors: Float[ndarray, "d r"],
    near: Float[ndarray, " d"] | None,
) -> tuple[float, Float[ndarray, " d"]]:
    """Minimise the one-sided curvature over directions; by Euler, q(v) = v . grad q(v) / 2."""

    def product(v: ndarray, h: float) -> ndarray:
        """Slope of q, H(v) v for unit vectors v, from one-sided differences over h."""
        return (slopes(h * v) - local.gradient) / (h * local.scale)

    def rayleigh(v: ndarray, which: ndarray) -> tuple[ndarray, ndarray]:
        v = v - (v @ fixed) @ fixed.T
        size = np.sqrt((v * v).sum(1, keepdims=True))
        v = v / size
        Hv = product(v, step)
        value = (v * Hv).sum(1, keepdims=True)
        slope = 2 * (Hv - value * v) / size
        return value[:, 0], slope - (slope @ fixed) @ fixed.T

    lowest = vectors[:, :_EIGENVECTORS].T
    if near is None:
        mixed = np.random.default_rng(0).standard_normal((_MIXTURES, len(lowest))) @ lowest
        starts = np.concatenate([lowest, -lowest, mixed / np.linalg.norm(mixed, axis=1, keepdims=True)])
    else:
        starts = np.stack([near, lowest[0], -lowest[0]])
    # The value's error is the square of the gradient's: 1e-10 of the zero model's loss.
    found = minimise(rayleigh, starts, tolerance=1e-5, iterations=40)
    v = found.x[int(np.argmin(found.value))]
    v = v - fixed @ (fixed.T @ v)
    v /= np.linalg.norm(v)
    # One-sided differences err in proportion to their step: extrapolate to none.
    whole, half = (float(v @ product(v[None], h)[0]) for h in (step, step / 2))
    return (2 * half - whole) * local.scale, v

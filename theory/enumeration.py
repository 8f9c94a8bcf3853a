"""Exact losses by enumerating active sets, free of cancellation (few features).

Given which features A are active, output i of the ReLU model contributes

    E[(x_i - ReLU z)^2 | A] = E[x_i^2 | A] + H_A ,   H_A = E[(z - 2 x_i) ReLU z | A] ,   z = b_i + sum_j g_ij x_j .

For uniform values the textbook evaluates H_A by alternating sums over the cube's vertices, divided by the product of
the couplings, which cancels as soon as a coupling is small. The divergence theorem gives a recursion with weights
between 0 and 1 instead. Let u0 be a point of the cube [0, 1]^A where z vanishes. The field (u - u0) ReLU(z)^q has
divergence (|A| + q) ReLU(z)^q, because ReLU(z)^q is homogeneous of degree q about u0, so that

    (|A| + q) E ReLU(z)^q = sum_{j in A} (1 - u0_j) E[ReLU(z)^q | u_j = 1] + u0_j E[ReLU(z)^q | u_j = 0] .

Every term is non-negative and no coupling is divided by. Where z keeps its sign on the cube, H_A is a polynomial.
A state of the recursion says of each feature whether it is off, fixed at 1, or integrated over: 3^n states, the last
kind being counted by the state's level. The gradient runs through the same recursion backwards.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

__all__ = ["MAX_FEATURES", "active_patterns", "active_set_terms", "weighted_terms"]

# 3^n states: beyond six features quadrature over characteristic functions (theory.quadrature) is faster.
MAX_FEATURES = 6

# Rows (problem and output) handled at once: keeps one array of 3^n states near the size of the L2 cache.
_STATE_ELEMENTS = 60_000


@dataclass(frozen=True, eq=False)
class _Level:
    """The states with a given number of integrated features, and where their faces are."""

    states: ndarray  # (s,)
    feature: ndarray  # (s, level): which features are integrated over
    at_zero: ndarray  # (s, level): the state with that feature off
    at_one: ndarray  # (s, level): the state with that feature fixed at 1
    parents: ndarray  # (s, n - level): the states one level up that have this one as a face
    parent_feature: ndarray  # (s, n - level): the feature that the parent integrates over
    is_one_face: ndarray  # (s, n - level): whether this is the face where that feature is 1


@dataclass(frozen=True, eq=False)
class _Lattice:
    """All states of n features; feature 0 is the output's own."""

    fixed: ndarray  # (3^n, n) float: feature is fixed at 1
    integrated: ndarray  # (3^n, n) float: feature is integrated over
    levels: tuple[_Level, ...]
    uniform_tops: ndarray  # (2^n,): the state that integrates over a pattern's active features
    binary_tops: ndarray  # (2^n,): the state that fixes them at 1


@lru_cache(maxsize=16)
def _lattice(n: int) -> _Lattice:
    power = 3 ** np.arange(n)
    digits = (np.arange(3**n)[:, None] // power) % 3  # 0 off, 1 fixed at one, 2 integrated
    count = (digits == 2).sum(1)
    levels = []
    for level in range(n + 1):
        states = np.flatnonzero(count == level)
        feature = np.nonzero(digits[states] == 2)[1].reshape(len(states), level)
        outside = np.nonzero(digits[states] != 2)[1].reshape(len(states), n - level)
        digit = np.take_along_axis(digits[states], outside, 1)
        levels.append(
            _Level(
                states=states,
                feature=feature,
                at_zero=states[:, None] - 2 * power[feature],
                at_one=states[:, None] - power[feature],
                parents=states[:, None] + (2 - digit) * power[outside],
                parent_feature=outside,
                is_one_face=digit == 1,
            )
        )
    patterns = active_patterns(n)
    return _Lattice(
        fixed=(digits == 1).astype(float),
        integrated=(digits == 2).astype(float),
        levels=tuple(levels),
        uniform_tops=patterns @ (2 * power),
        binary_tops=patterns @ power,
    )


def active_patterns(n: int) -> Bool[ndarray, "patterns n"]:
    """
    List every set of active features.

    Parameters
    ----------
    n : int
        Number of features.

    Returns
    -------
    ndarray of bool, shape (2**n, n)
        Row k says which features are active: the bits of k, lowest first.

    Examples
    --------
    >>> active_patterns(2).astype(int)
    array([[0, 0],
           [1, 0],
           [0, 1],
           [1, 1]])
    """
    return (np.arange(2**n)[:, None] >> np.arange(n)) % 2 == 1


@dataclass(frozen=True, eq=False)
class _Forward:
    """Values of the recursion on every state (s) of every row (r), kept for the backward pass."""

    h: ndarray  # (s, r): E (z - 2 x_0) ReLU z
    first: ndarray  # (s, r): E ReLU z
    mean: ndarray  # (s, r): E z
    positive: ndarray  # (s, r): z >= 0 on the whole cube
    mixed: ndarray  # (s, r): z changes sign
    theta: ndarray  # (s, r): where z vanishes on the diagonal from the cube's lowest vertex to its highest
    width: ndarray  # (s, r): sum of |couplings| integrated over
    own_at_zero: ndarray  # (s, r): x_0 at the point u0


def _lowest_is_one(c: Float[ndarray, "r n"]) -> Bool[ndarray, "r n"]:
    """Whether z is lowest at u_j = 1: there u0_j = 1 - theta instead of theta."""
    return c < 0


def _forward(c: Float[ndarray, "r n"], b: Float[ndarray, " r"]) -> _Forward:
    lattice = _lattice(c.shape[1])
    fixed, integrated = lattice.fixed, lattice.integrated
    y = b + fixed @ c.T
    low = y + integrated @ np.minimum(c, 0).T
    width = integrated @ np.abs(c).T
    mean = y + 0.5 * (integrated @ c.T)
    positive = low >= 0
    mixed = ~positive & (low + width > 0)
    theta = np.where(mixed, -low / np.where(mixed, width, 1.0), 0.0)

    own_fixed, own_free = fixed[:, :1], integrated[:, :1]
    u_own = np.where(_lowest_is_one(c)[:, 0], 1 - theta, theta)
    own_at_zero = own_fixed + own_free * u_own

    first = np.where(positive, mean, 0.0)
    variance = (integrated @ (c**2).T) / 12
    own_times_z = (own_fixed + 0.5 * own_free) * mean + own_free * c[:, 0] / 12
    h = np.where(positive, mean**2 + variance - 2 * own_times_z, 0.0)

    flip = _lowest_is_one(c).T
    for k, level in enumerate(lattice.levels[1:], start=1):
        s = level.states
        t = theta[s][:, None, :]
        u = np.where(flip[level.feature], 1 - t, t)
        first_faces = ((1 - u) * first[level.at_one] + u * first[level.at_zero]).sum(1)
        h_faces = ((1 - u) * h[level.at_one] + u * h[level.at_zero]).sum(1)
        first[s] = np.where(mixed[s], first_faces / (k + 1), first[s])
        h[s] = np.where(mixed[s], (h_faces - 2 * own_at_zero[s] * first[s]) / (k + 2), h[s])
    return _Forward(h, first, mean, positive, mixed, theta, width, own_at_zero)


def _backward(
    c: Float[ndarray, "r n"], run: _Forward, adjoint_h: Float[ndarray, "s r"]
) -> tuple[Float[ndarray, "r n"], Float[ndarray, " r"]]:
    """Gradient of sum(adjoint_h * h) in the couplings and the bias; ``adjoint_h`` is used up."""
    n = c.shape[1]
    lattice = _lattice(n)
    flip = _lowest_is_one(c).T
    adjoint_first = np.zeros_like(adjoint_h)
    adjoint_theta = np.zeros_like(adjoint_h)
    for k in range(n, -1, -1):
        level = lattice.levels[k]
        s = level.states
        if k < n:  # what the parents, one level up, ask of their faces
            t = run.theta[level.parents]
            u = np.where(flip[level.parent_feature], 1 - t, t)
            share = np.where(level.is_one_face[..., None], 1 - u, u) * run.mixed[level.parents]
            adjoint_h[s] += (share * adjoint_h[level.parents]).sum(1) / (k + 3)
            adjoint_first[s] += (share * adjoint_first[level.parents]).sum(1) / (k + 2)
        if k == 0:
            break
        from_h = run.mixed[s] * adjoint_h[s] / (k + 2)
        adjoint_first[s] -= 2 * run.own_at_zero[s] * from_h
        from_first = run.mixed[s] * adjoint_first[s] / (k + 1)
        sign = np.where(flip[level.feature], -1.0, 1.0)
        slope_h = (sign * (run.h[level.at_zero] - run.h[level.at_one])).sum(1)
        slope_first = (sign * (run.first[level.at_zero] - run.first[level.at_one])).sum(1)
        own_sign = lattice.integrated[s, :1] * np.where(flip[0], -1.0, 1.0)
        adjoint_theta[s] = from_h * (slope_h - 2 * own_sign * run.first[s]) + from_first * slope_first
    return _collect(c, run, adjoint_h, adjoint_first, adjoint_theta)


def _collect(
    c: Float[ndarray, "r n"],
    run: _Forward,
    adjoint_h: Float[ndarray, "s r"],
    adjoint_first: Float[ndarray, "s r"],
    adjoint_theta: Float[ndarray, "s r"],
) -> tuple[Float[ndarray, "r n"], Float[ndarray, " r"]]:
    """Carry the adjoints of the polynomial pieces and of theta over to couplings and bias."""
    lattice = _lattice(c.shape[1])
    fixed, integrated = lattice.fixed, lattice.integrated
    polynomial = run.positive * adjoint_h
    mean = polynomial * (2 * run.mean - 2 * fixed[:, :1] - integrated[:, :1]) + run.positive * adjoint_first
    width = np.where(run.mixed, run.width, 1.0)
    low = -adjoint_theta / width  # theta = -low / width, and low = b + ... has slope 1 in the bias
    spread = -adjoint_theta * run.theta / width
    bias = mean + low
    dc = fixed.T @ bias + integrated.T @ (0.5 * mean)
    flip = _lowest_is_one(c).T
    dc += flip * (integrated.T @ low) + np.where(flip, -1.0, 1.0) * (integrated.T @ spread)
    dc += c.T / 6 * (integrated.T @ polynomial)
    dc[0] -= (integrated[:, 0] @ polynomial) / 6
    return dc.T, bias.sum(0)


def _tops(n: int, values: str) -> ndarray:
    lattice = _lattice(n)
    return lattice.uniform_tops if values == "uniform" else lattice.binary_tops


def active_set_terms(
    c: Float[ndarray, "r n"], b: Float[ndarray, " r"], values: str
) -> Float[ndarray, "r patterns"]:
    """
    Give E[(z - 2 x_0) ReLU z | A] for every set A of active features, z = b + sum_j c_j x_j.

    Parameters
    ----------
    c : ndarray, shape (r, n)
        Couplings of r outputs, each output's own feature first.
    b : ndarray, shape (r,)
        Biases.
    values : {"uniform", "binary"}
        Law of an active feature's value.

    Returns
    -------
    ndarray, shape (r, 2**n)
        One number per output and pattern of ``active_patterns(n)``; add E[x_0^2 | A] for the loss.
    """
    tops = _tops(c.shape[1], values)
    return np.concatenate([_forward(c[rows], b[rows]).h[tops].T for rows in _blocks(c)])


def weighted_terms(
    c: Float[ndarray, "r n"], b: Float[ndarray, " r"], weight: Float[ndarray, "r patterns"], values: str
) -> tuple[Float[ndarray, " r"], Float[ndarray, "r n"], Float[ndarray, " r"]]:
    """
    Average ``active_set_terms`` over the active sets, with the gradient.

    Parameters
    ----------
    c : ndarray, shape (r, n)
        Couplings of r outputs, each output's own feature first.
    b : ndarray, shape (r,)
        Biases.
    weight : ndarray, shape (r, 2**n)
        Probability of each pattern of ``active_patterns(n)``, features in the order of the couplings.
    values : {"uniform", "binary"}
        Law of an active feature's value.

    Returns
    -------
    value : ndarray, shape (r,)
        E[(z - 2 x_0) ReLU z].
    dc : ndarray, shape (r, n)
        Its gradient in the couplings.
    db : ndarray, shape (r,)
        Its derivative in the bias.
    """
    tops = _tops(c.shape[1], values)
    values_, gradients, slopes = [], [], []
    for rows in _blocks(c):
        run = _forward(c[rows], b[rows])
        adjoint = np.zeros_like(run.h)
        adjoint[tops] = weight[rows].T
        values_.append((adjoint[tops] * run.h[tops]).sum(0))
        dc, db = _backward(c[rows], run, adjoint)
        gradients.append(dc)
        slopes.append(db)
    return np.concatenate(values_), np.concatenate(gradients), np.concatenate(slopes)


def _blocks(c: Float[ndarray, "r n"]) -> list[slice]:
    """Cut the rows into blocks whose states fit the cache."""
    size = max(1, _STATE_ELEMENTS // 3 ** c.shape[1])
    return [slice(start, start + size) for start in range(0, max(len(c), 1), size)]

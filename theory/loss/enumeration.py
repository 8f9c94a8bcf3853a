"""Exact squared errors by enumerating active sets, free of cancellation (few features).

Given which features A are active and take uniform values u in the cube [0, 1]^A, output i of the ReLU model has
z = b_i + sum_j g_ij u_j and the squared error e^2 with e = x_i - ReLU z. The textbook evaluates E e^2 by alternating
sums over the cube's vertices, divided by the product of the couplings, which cancels as soon as a coupling is small.
The divergence theorem gives a recursion with weights between 0 and 1 instead. Let u0 be a point of the cube where z
vanishes, and x0 the value of x_i there. Both z and x_i - x0 are homogeneous of degree 1 about u0, so the fields
(u - u0) e and (u - u0) e^2 have the divergences (|A| + 1) e - x0 and (|A| + 2) e^2 - 2 x0 e, hence

    (|A| + 1) E e   = x0       + sum_{j in A} (1 - u0_j) E[e   | u_j = 1] + u0_j E[e   | u_j = 0] ,
    (|A| + 2) E e^2 = 2 x0 E e + sum_{j in A} (1 - u0_j) E[e^2 | u_j = 1] + u0_j E[e^2 | u_j = 0] .

No coupling is divided by. Where z keeps its sign on the cube, both expectations are polynomials. A state of the
recursion says of each feature whether it is off, fixed at 1, or integrated over: 3^n states, the last kind being
counted by the state's level. The gradient runs through the same recursion backwards.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from theory.loss.discrete_states import discrete_error, discrete_patterns, is_discrete
from theory.loss.lattice import active_patterns, lattice_of, own_first
from theory.model.activations import RELU, Activation
from theory.model.values import Box, ValueLaw

__all__ = [
    "active_patterns", "expected_squared_error", "expected_value", "max_features", "own_first", "squared_errors",
]  # fmt: skip

# Filled boxes cost 3^n states, constants 2^n; beyond this, quadrature (theory.loss.quadrature) is faster.
_MOST_FILLED, _MOST_CONSTANT = 6, 16

# Rows (problem and output) handled at once: a handful of arrays of 3^n states fit an L2 cache of a megabyte, and calls
# cost little beside their numbers: 48 rows of six features take six tenths of the time of 12, per row. A multiple of
# four is as wide as vector instructions.
_STATE_ELEMENTS, _ROWS = 36_000, 4


def max_features(values: ValueLaw) -> int:
    """
    Say up to how many features active sets are enumerated.

    Parameters
    ----------
    values : ValueLaw
        Law of an active feature's value.

    Returns
    -------
    int
        6 where values fill an interval from 0 on, 16 where they are constant, fewer for several discrete values, 0
        for other laws.
    """
    if values.box is None:
        return int(_MOST_CONSTANT / np.log2(1 + len(values.atoms)) + 1e-9) if is_discrete(values) else 0
    return _MOST_FILLED if values.box.filled else _MOST_CONSTANT


@dataclass(frozen=True, eq=False)
class _Forward:
    """
    Values of the recursion on every state (s) of every row (r), kept for the backward pass.

    Masks are numbers, 0 or 1: multiplying by them takes a fraction of the time of choosing by them.
    """

    target: float  # what of its own feature the output should give back
    moments: ndarray  # (2, s, r): E e and E e^2
    slopes: ndarray  # (2, s, r): their derivatives in theta, x_0 at u0 held fixed, times the level + 1 and + 2
    weights: tuple[ndarray, ...]  # per level (s, level, r): u0, the weight of the face at 0
    residual: ndarray  # (s, r): E (x_0 - z)
    positive: ndarray  # (s, r): z >= 0 on the whole cube
    mixed: ndarray  # (s, r): z changes sign
    theta: ndarray  # (s, r): where z vanishes on the diagonal from the cube's lowest vertex to its highest
    width: ndarray  # (s, r): sum of |couplings| integrated over; infinite where z keeps its sign
    own_at_zero: ndarray  # (s, r): x_0 at the point u0


def _lowest_is_one(c: Float[ndarray, "r n"]) -> Float[ndarray, "n r"]:
    """1 where z is lowest at u_j = 1: there u0_j = 1 - theta instead of theta."""
    return (c.T < 0).astype(float)


def _forward(c: Float[ndarray, "r n"], b: Float[ndarray, " r"], target: float) -> _Forward:
    """Run the recursion for e = target x_0 - ReLU z."""
    n = c.shape[1]
    lattice = lattice_of(n)
    fixed, integrated = lattice.fixed, lattice.integrated
    own_fixed, own_free = target * fixed[:, :1], target * integrated[:, :1]
    ct = np.ascontiguousarray(c.T)  # products with the lattice's narrow matrices take half the time
    y = fixed @ ct
    y += b
    low = integrated @ np.minimum(ct, 0)
    low += y
    width = integrated @ np.abs(ct)
    at_least = low >= 0
    changes_sign = low + width > 0
    changes_sign &= ~at_least
    np.copyto(width, np.inf, where=~changes_sign)
    theta = np.negative(low, out=low)
    theta /= width
    positive, mixed = at_least.astype(float), changes_sign.astype(float)
    flip = _lowest_is_one(c)
    turn = 1.0 - 2.0 * flip
    own_at_zero = flip[0] - theta
    np.abs(own_at_zero, out=own_at_zero)
    own_at_zero *= own_free
    own_at_zero += own_fixed

    residual = np.subtract(own_fixed + 0.5 * own_free, y, out=y)
    mean = integrated @ ct
    mean *= 0.5
    residual -= mean
    variance = integrated @ (ct - _own(n, target)[:, None]) ** 2
    variance /= 12
    zero = np.subtract(1.0, positive, out=mean)
    zero -= mixed
    moments = np.empty((2, *y.shape))  # 0 for now where z changes sign
    np.multiply(positive, residual, out=moments[0])
    moments[0] += zero * (own_fixed + own_free / 2)
    variance += residual**2
    np.multiply(positive, variance, out=moments[1])
    zero *= target * (own_fixed + own_free / 3)
    moments[1] += zero
    slopes, weights = np.empty_like(moments), [np.empty((0, 0, 0))]
    for k, level in enumerate(lattice.levels[1:], start=1):
        s = level.states
        u = np.abs(flip[level.feature] - theta[s][:, None, :])  # theta, or 1 - theta where z is lowest at 1
        at_one = moments[:, level.at_one]
        change = moments[:, level.at_zero]
        change -= at_one
        at_one += u * change
        faces, x0 = at_one.sum(2), own_at_zero[s]
        first = (x0 + faces[0]) / (k + 1)
        first *= mixed[s]
        moments[0, s] += first
        faces[1] += 2 * x0 * first
        faces[1] /= k + 2
        faces[1] *= mixed[s]
        moments[1, s] += faces[1]
        change *= turn[level.feature]
        slopes[:, s] = change.sum(2)
        weights.append(u)
    return _Forward(target, moments, slopes, tuple(weights), residual, positive, mixed, theta, width, own_at_zero)


@lru_cache(maxsize=64)
def _own(n: int, target: float) -> Float[ndarray, " n"]:
    """The coupling that would make no error: the target's for an output's own feature, 0 for the others."""
    return target * np.eye(n)[0]


def _backward(
    c: Float[ndarray, "r n"], run: _Forward, adjoint_square: Float[ndarray, "s r"]
) -> tuple[Float[ndarray, "r n"], Float[ndarray, " r"]]:
    """Gradient of sum(adjoint_square * E e^2) in the couplings and the bias."""
    n = c.shape[1]
    lattice = lattice_of(n)
    own_slope = run.target * (1.0 - 2.0 * _lowest_is_one(c)[0])
    adjoint = np.stack([np.zeros_like(adjoint_square), adjoint_square])
    adjoint_theta = np.zeros_like(adjoint_square)
    for k in range(n, 0, -1):
        level, below = lattice.levels[k], lattice.levels[k - 1]
        s = level.states
        passed_on = adjoint[:, s] * run.mixed[s]
        passed_on[1] /= k + 2
        passed_on[0] += 2 * run.own_at_zero[s] * passed_on[1]
        passed_on[0] /= k + 1
        own = lattice.integrated[s, :1] * own_slope
        adjoint_theta[s] = passed_on[1] * (run.slopes[1, s] + 2 * own * run.moments[0, s])
        adjoint_theta[s] += passed_on[0] * (run.slopes[0, s] + own)
        rows = run.weights[k].shape[0] * k
        to_faces = np.empty((2, 2, *run.weights[k].shape))  # to the faces at 1, then to those at 0
        np.multiply(run.weights[k], passed_on[:, :, None], out=to_faces[:, 1])
        np.subtract(passed_on[:, :, None], to_faces[:, 1], out=to_faces[:, 0])
        adjoint[:, below.states] += to_faces.reshape(2, 2 * rows, -1)[:, below.as_face].sum(2)
    return _collect(c, run, adjoint, adjoint_theta)


def _collect(
    c: Float[ndarray, "r n"],
    run: _Forward,
    adjoint: Float[ndarray, "2 s r"],
    adjoint_theta: Float[ndarray, "s r"],
) -> tuple[Float[ndarray, "r n"], Float[ndarray, " r"]]:
    """Carry the adjoints of the polynomial pieces and of theta over to couplings and bias."""
    lattice = lattice_of(c.shape[1])
    fixed, integrated = lattice.fixed, lattice.integrated
    from_error, polynomial = np.multiply(run.positive, adjoint, out=adjoint)
    mean_z = polynomial * run.residual
    mean_z *= -2
    mean_z -= from_error
    low = np.negative(adjoint_theta, out=adjoint_theta)
    low /= run.width  # theta = -low / width, and low = b + ... has slope 1 in the bias
    bias = mean_z + low
    flip = _lowest_is_one(c)
    mean_z *= 0.5
    dc = fixed.T @ bias + integrated.T @ mean_z
    turned = flip * (integrated.T @ low)
    low *= run.theta
    turned += (1.0 - 2.0 * flip) * (integrated.T @ low)
    dc += turned
    dc += (c - _own(c.shape[1], run.target)).T / 6 * (integrated.T @ polynomial)
    return dc.T, bias.sum(0)


def squared_errors(
    c: Float[ndarray, "r n"], b: Float[ndarray, " r"], values: ValueLaw, activation: Activation = RELU
) -> Float[ndarray, "r patterns"]:
    """
    Give E[(x_0 - f(z))^2 | A] for every set A of active features, z = b + sum_j c_j x_j.

    Parameters
    ----------
    c : ndarray, shape (r, n)
        Couplings of r outputs, each output's own feature first.
    b : ndarray, shape (r,)
        Biases.
    values : ValueLaw
        Law of an active feature's value; one with a box.
    activation : Activation
        The output activation f, of two straight pieces that meet at 0.

    Returns
    -------
    ndarray, shape (r, 2**n)
        One number per output and pattern of ``active_patterns(n)``.
    """
    if values.box is None:
        return discrete_patterns(c, b, values, activation)
    box = _box(values)
    bias = b / box.height  # in units of the height values fill the unit cube
    left, bend = activation.left, activation.bend
    errors = np.zeros((len(c), 2 ** c.shape[1]))
    for share, target in ((bend, 1.0), (bend * (2 * left + bend - 1), 0.0)):
        if share:
            errors += share * np.concatenate([_pattern_errors(c[k], bias[k], box, target) for k in _blocks(c, box)])
    if activation != RELU:
        errors += _straight_patterns(c, bias, box, left, bend)
    return box.height**2 * errors


def _pattern_errors(
    c: Float[ndarray, "r n"], b: Float[ndarray, " r"], box: Box, target: float
) -> Float[ndarray, "r patterns"]:
    """E (target x_0 - ReLU z)^2 for every set of active features."""
    if box.filled:
        return _forward(c, b, target).moments[1][lattice_of(c.shape[1]).tops].T
    active = active_patterns(c.shape[1]).astype(float)
    return np.asarray((target * active[:, 0] - np.maximum(b[:, None] + c @ active.T, 0)) ** 2)


def _straight_patterns(
    c: Float[ndarray, "r n"], b: Float[ndarray, " r"], box: Box, left: float, bend: float
) -> Float[ndarray, "r patterns"]:
    """(1 - bend) E x_0^2 - 2 left E x_0 z + left^2 E z^2 for every set of active features."""
    active = active_patterns(c.shape[1]).astype(float)
    mean, spread = (0.5, 1 / 12) if box.filled else (1.0, 0.0)
    own = active[:, 0]
    mean_z = b[:, None] + mean * c @ active.T
    square_z = mean_z**2 + spread * c**2 @ active.T
    crossed = own * (mean * mean_z + spread * c[:, :1])
    return (1 - bend) * (mean**2 + spread) * own - 2 * left * crossed + left**2 * square_z


def expected_squared_error(
    c: Float[ndarray, "r n"],
    b: Float[ndarray, " r"],
    weight: Float[ndarray, "r patterns"],
    values: ValueLaw,
    activation: Activation = RELU,
) -> tuple[Float[ndarray, " r"], Float[ndarray, "r n"], Float[ndarray, " r"]]:
    """
    Average ``squared_errors`` over the active sets, with the gradient.

    Parameters
    ----------
    c : ndarray, shape (r, n)
        Couplings of r outputs, each output's own feature first.
    b : ndarray, shape (r,)
        Biases.
    weight : ndarray, shape (r, 2**n)
        Probability of each pattern of ``active_patterns(n)``, features in the order of the couplings.
    values : ValueLaw
        Law of an active feature's value; one with a box.
    activation : Activation
        The output activation f, of two straight pieces that meet at 0.

    Returns
    -------
    value : ndarray, shape (r,)
        E (x_0 - f(z))^2.
    dc : ndarray, shape (r, n)
        Its gradient in the couplings.
    db : ndarray, shape (r,)
        Its derivative in the bias.
    """
    if values.box is None:
        return discrete_error(c, b, weight, values, activation)
    box = _box(values)
    bias = b / box.height  # in units of the height values fill the unit cube
    if activation == RELU:
        value, dc, db = _rectified(c, bias, weight, box, 1.0)
    else:
        left, bend = activation.left, activation.bend
        parts: list[tuple[ndarray, ...]] = [_straight(c, bias, weight, box, left, bend)]
        for share, target in ((bend, 1.0), (bend * (2 * left + bend - 1), 0.0)):
            parts.append(tuple(share * part for part in _rectified(c, bias, weight, box, target)))
        value, dc, db = (np.sum(part, axis=0) for part in zip(*parts, strict=True))
    if box.height == 1:
        return value, dc, db
    return box.height**2 * value, box.height**2 * dc, box.height * db


def expected_value(
    c: Float[ndarray, "r n"],
    b: Float[ndarray, " r"],
    weight: Float[ndarray, "r patterns"],
    values: ValueLaw,
    activation: Activation = RELU,
) -> Float[ndarray, " r"]:
    """
    Average ``squared_errors`` over the active sets, without the gradient, which takes as long again.

    Parameters
    ----------
    c : ndarray, shape (r, n)
        Couplings of r outputs, each output's own feature first.
    b : ndarray, shape (r,)
        Biases.
    weight : ndarray, shape (r, 2**n)
        Probability of each pattern of ``active_patterns(n)``, features in the order of the couplings.
    values : ValueLaw
        Law of an active feature's value; one with a box, or a discrete one.
    activation : Activation
        The output activation f, of two straight pieces that meet at 0.

    Returns
    -------
    ndarray, shape (r,)
        E (x_0 - f(z))^2.
    """
    if values.box is None:
        return expected_squared_error(c, b, weight, values, activation)[0]
    blocks = _blocks(c, values.box)
    return np.concatenate([(weight[k] * squared_errors(c[k], b[k], values, activation)).sum(1) for k in blocks])


def _rectified(
    c: Float[ndarray, "r n"], b: Float[ndarray, " r"], weight: Float[ndarray, "r patterns"], box: Box, target: float
) -> tuple[Float[ndarray, " r"], Float[ndarray, "r n"], Float[ndarray, " r"]]:
    """E (target x_0 - ReLU z)^2 and its gradient, block by block."""
    parts = [_block(c[k], b[k], weight[k], box, target) for k in _blocks(c, box)]
    value, dc, db = (np.concatenate(part) for part in zip(*parts, strict=True))
    return value, dc, db


def _box(values: ValueLaw) -> Box:
    if values.box is None:
        raise ValueError(f"active sets of {values.name} values cannot be enumerated")
    return values.box


def _block(
    c: Float[ndarray, "r n"], b: Float[ndarray, " r"], weight: Float[ndarray, "r patterns"], box: Box, target: float
) -> tuple[Float[ndarray, " r"], Float[ndarray, "r n"], Float[ndarray, " r"]]:
    """Expectation of (target x_0 - ReLU z)^2 and its gradient, values in units of the box's height."""
    return (_filled_block if box.filled else _constant_block)(c, b, weight, target)


def _filled_block(
    c: Float[ndarray, "r n"], b: Float[ndarray, " r"], weight: Float[ndarray, "r patterns"], target: float
) -> tuple[Float[ndarray, " r"], Float[ndarray, "r n"], Float[ndarray, " r"]]:
    tops = lattice_of(c.shape[1]).tops
    run = _forward(c, b, target)
    adjoint = np.zeros_like(run.residual)
    adjoint[tops] = weight.T
    value = (weight.T * run.moments[1][tops]).sum(0)
    return value, *_backward(c, run, adjoint)


def _constant_block(
    c: Float[ndarray, "r n"], b: Float[ndarray, " r"], weight: Float[ndarray, "r patterns"], target: float
) -> tuple[Float[ndarray, " r"], Float[ndarray, "r n"], Float[ndarray, " r"]]:
    active = active_patterns(c.shape[1]).astype(float)
    z = b[:, None] + c @ active.T
    error = target * active[:, 0] - np.maximum(z, 0)
    slope = -2 * weight * error * (z > 0)
    return (weight * error**2).sum(1), slope @ active, slope.sum(1)


def _straight(
    c: Float[ndarray, "r n"],
    b: Float[ndarray, " r"],
    weight: Float[ndarray, "r patterns"],
    box: Box,
    left: float,
    bend: float,
) -> tuple[Float[ndarray, " r"], Float[ndarray, "r n"], Float[ndarray, " r"]]:
    """(1 - bend) E x_0^2 - 2 left E x_0 z + left^2 E z^2 and its gradient."""
    active = active_patterns(c.shape[1]).astype(float)
    mean, spread = (0.5, 1 / 12) if box.filled else (1.0, 0.0)
    first = mean * weight @ active  # E x_j
    second = mean**2 * np.einsum("ra,aj,ak->rjk", weight, active, active, optimize=True)
    second[:, range(c.shape[1]), range(c.shape[1])] += spread * weight @ active
    mass = weight.sum(1)
    mean_z = (first * c).sum(1) + b * mass
    moment = (second @ c[..., None])[..., 0] + b[:, None] * first  # E x_j z
    square_z = (moment * c).sum(1) + b * mean_z
    value = (1 - bend) * second[:, 0, 0] - 2 * left * moment[:, 0] + left**2 * square_z
    dc = -2 * left * second[:, 0] + 2 * left**2 * moment
    return value, dc, -2 * left * first[:, 0] + 2 * left**2 * mean_z


def _blocks(c: Float[ndarray, "r n"], box: Box) -> list[slice]:
    """Cut the rows into blocks whose states fit the cache."""
    states = (3 if box.filled else 2) ** c.shape[1]
    size = max(1, _STATE_ELEMENTS // states // _ROWS) * _ROWS
    return [slice(start, start + size) for start in range(0, len(c), size)]

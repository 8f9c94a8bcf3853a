"""Exact squared errors from characteristic functions, for any number of features.

With ReLU(z) = (z + |z|)/2 and ReLU(z)^2 = (z^2 + z|z|)/2, output i contributes

    E (x_i - ReLU z)^2 = E x_i^2 - E x_i z - E x_i|z| + (E z^2 + E z|z|)/2 ,    z = b_i + sum_j g_ij x_j ,

where only the terms with |z| are not elementary. From |z| = (2/pi) Int (1 - cos zt)/t^2 and
z|z| = (4/pi) Int (zt - sin zt)/t^3 they follow from phi(t) = E exp(itz) and phi_x(t) = E x_i exp(itz), which are
products over independent sets of features. The integrands are even, entire, and of exponential type Z = max|z|, so by
Poisson summation the midpoint rule t_k = (k + 1/2) h is exact for h < 2 pi / Z. Since sum_k t_k^-2 = pi^2 / (2 h^2),

    E z|z|   = (2 pi / h) E z   - (4 h / pi) sum_k Im phi(t_k) / t_k^3 ,
    E x_i|z| = (pi / h)   E x_i - (2 h / pi) sum_k Re phi_x(t_k) / t_k^2 ,

and the only error is that of cutting the two sums. The part of the distribution with no or one active feature, whose
phi decays slowest, is taken out and treated in closed form (theory.loss.one_sparse).
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex, Float, Int
from numpy import ndarray

from theory.loss.characteristic import characteristic_function
from theory.loss.one_sparse import errors_alone
from theory.model.activations import RELU, Activation
from theory.model.features import FeatureDistribution
from theory.tools.threads import own_threads

__all__ = ["MAX_NODES", "ROUNDING", "Quadrature", "quadrature", "reach"]

MAX_NODES = 2**14
# A loss is known to this part of the zero model's at best; one that is smaller counts as accurate.
ROUNDING = 1e-12
# Nodes of the first round: where a round is small, more of them cost nothing.
_FIRST_NODES, _FIRST_NODES_OF_FEW = 32, 256
# From so many blocks on, threads pay.
_THREADED_BLOCKS = 8
# Complex numbers per array in the inner loop: of a third as many, calls take a fifth of the time.
_BLOCK_ELEMENTS = 48_000
# The tail is judged by the largest of the last few nodes, lest one that happens to be near a zero misleads.
_TAIL_NODES = 4


@dataclass(frozen=True, eq=False)
class Quadrature:
    """
    Expected squared error of every output, its gradient, and what is known of its accuracy.

    Attributes
    ----------
    value : ndarray, shape (batch, output)
        E (x_i - ReLU z_i)^2.
    dG : ndarray, shape (batch, output, n)
        Row i: derivatives of ``value[i]`` in the couplings g_ij.
    db : ndarray, shape (batch, output)
        Derivative of ``value[i]`` in the bias b_i.
    error : ndarray, shape (batch, output)
        Estimated absolute error of ``value``.
    nodes : int
        Largest number of nodes used.
    """

    value: Float[ndarray, "batch output"]
    dG: Float[ndarray, "batch output n"]
    db: Float[ndarray, "batch output"]
    error: Float[ndarray, "batch output"]
    nodes: int


def reach(
    G: Float[ndarray, "*batch output n"], b: Float[ndarray, "*batch output"], features: FeatureDistribution
) -> Float[ndarray, "*batch output"]:
    """
    Give the largest |z| of every output, or one that is exceeded with negligible effect where there is none.

    Parameters
    ----------
    G : ndarray, shape (*batch, output, n)
        Couplings.
    b : ndarray, shape (*batch, output)
        Biases.
    features : FeatureDistribution
        Distribution of the n features.

    Returns
    -------
    ndarray, shape (*batch, output)
        Z with P(|z| > Z) = 0; for values without a bound the smallest Z for which Chernoff's bound on
        E z^2 1(|z| > Z) falls below 1e-15 times the largest squared coupling.
    """
    low, high = features.values.support
    if np.isfinite(low) and np.isfinite(high):
        return np.abs(b) + max(abs(low), abs(high)) * np.abs(G).sum(-1)
    size = np.maximum(np.abs(G).max(-1), 1e-8)
    best = np.full(b.shape, np.inf)
    owner, activity = features.set_of_feature, features.feature_density
    for u in np.geomspace(0.02, 50, 40):
        s = u / size
        with np.errstate(over="ignore", invalid="ignore"):
            # The sets' members are bounded as if each were active whenever its set is: log(1 + p (exp(sum) - 1)).
            exponent = np.maximum(*(features.values.log_mgf(sign * s[..., None] * G) for sign in (1, -1)))
            joint = np.zeros((*exponent.shape[:-1], len(features.sets)))
            for j, s_of in enumerate(owner.tolist()):
                joint[..., s_of] += np.maximum(exponent[..., j], 0)
            p = activity if features.independent else features.density
            log = np.logaddexp(np.log1p(-np.minimum(p, 1 - 1e-16))[..., None, :], np.log(p)[..., None, :] + joint).sum(
                -1
            )
        start = log + s * np.abs(b) + 36 + 2 * np.log(2 / u)
        far = start
        for _ in range(3):  # u Z / size = log-bound + 2 log(u Z / size)
            far = start + 2 * np.log(np.maximum(far, 1))
        best = np.minimum(best, np.where(np.isfinite(far), far / s, np.inf))
    if not np.isfinite(best).all():
        raise ValueError(f"{features.values.name} values have tails too heavy for the exact loss")
    return best


def quadrature(
    G: Float[ndarray, "batch output n"],
    b: Float[ndarray, "batch output"],
    features: FeatureDistribution,
    importance: Float[ndarray, "batch output"],
    rtol: float = 1e-7,
    nodes: int | None = None,
    outputs: Int[ndarray, " output"] | None = None,
    max_nodes: int = MAX_NODES,
    activation: Activation = RELU,
) -> Quadrature:
    """
    Compute the expected squared error of outputs and its gradient.

    Parameters
    ----------
    G : ndarray, shape (batch, output, n)
        Couplings of the outputs of a batch of models: W^T W, or some rows of it.
    b : ndarray, shape (batch, output)
        Output biases.
    features : FeatureDistribution
        Distribution of the n features, with batch shape () or (batch,).
    importance : ndarray, shape (batch, output)
        Weights by which errors count when accuracy is judged.
    rtol : float
        Nodes are doubled until the estimated error of the weighted sum falls below this part of it.
    nodes : int, optional
        Use exactly so many nodes instead.
    outputs : ndarray of int, shape (output,), optional
        The own feature of each output; all n features in order by default.
    max_nodes : int
        Most nodes to use; what is not known accurately by then shows in ``error``.
    activation : Activation
        The output activation f, of two straight pieces that meet at 0.

    Returns
    -------
    Quadrature
        Values, gradients, error estimates.
    """
    frame = _Frame.build(G, b, features, np.arange(b.shape[1]) if outputs is None else outputs, activation)
    total = _closed_part(frame)
    sums = _zeros_like_sums(frame)
    todo = np.arange(len(G))
    floor = ROUNDING * features.value_square * (importance * features.feature_density[..., frame.outputs]).sum(-1)
    few = min(_FIRST_NODES_OF_FEW, _BLOCK_ELEMENTS // frame.G.size)
    start, stop = 0, nodes or max(_FIRST_NODES, few)
    while True:
        before = sums.value[todo]
        tail = _add_nodes(frame, sums, todo, start, stop)
        # What the second half of the nodes changed bounds what the nodes not taken would: the terms decay.
        sums.error[todo] = np.minimum(tail, np.abs(sums.value[todo] - before)) if start else tail
        value = total.value[todo] + sums.value[todo]
        miss = (importance[todo] * sums.error[todo]).sum(-1)
        todo = todo[miss > rtol * (importance[todo] * value).sum(-1) + floor[todo]]
        if nodes or not len(todo) or stop >= max_nodes:
            break
        start, stop = stop, 2 * stop
    return Quadrature(
        value=np.maximum(total.value + sums.value, 0.0),
        dG=total.dG + sums.dG,
        db=total.db + sums.db,
        error=sums.error,
        nodes=stop,
    )


@dataclass(frozen=True, eq=False)
class _Frame:
    """A batch of models and distributions, broadcast, with the step of the midpoint rule for every output."""

    G: ndarray  # (batch, output, n)
    b: ndarray  # (batch, output)
    outputs: ndarray  # (output,): own feature of each
    density: ndarray  # (batch, n_sets)
    features: FeatureDistribution
    none_active: ndarray  # (batch, 1)
    one_active: ndarray  # (batch, n): probability that only feature j is active
    mean: ndarray  # (batch, n)
    second_moment: ndarray  # (batch, n, n)
    step: ndarray  # (batch, output)
    activation: Activation

    @classmethod
    def build(
        cls, G: ndarray, b: ndarray, features: FeatureDistribution, outputs: ndarray, activation: Activation
    ) -> "_Frame":
        batch, n = len(G), G.shape[-1]
        patterns = np.vstack([np.zeros((1, n), dtype=bool), np.eye(n, dtype=bool)])
        few = np.broadcast_to(features.pattern_probability(patterns), (batch, n + 1))
        furthest = reach(G, b, features)
        # Rounded up to a power of 2^(1/4): the step is locally constant, so that the gradient of the
        # discretised loss is the discretised gradient.
        furthest = 2.0 ** (np.ceil(4 * np.log2(np.maximum(furthest, 1e-8)) + 0.01) / 4)
        return cls(
            G=G,
            b=b,
            outputs=outputs,
            density=np.broadcast_to(features.density, (batch, features.density.shape[-1])),
            features=features,
            none_active=few[:, :1],
            one_active=few[:, 1:],
            mean=np.broadcast_to(features.mean, (batch, n)),
            second_moment=np.broadcast_to(features.second_moment, (batch, n, n)),
            step=2 * np.pi / furthest,
            activation=activation,
        )


@dataclass(frozen=True, eq=False)
class _Sums:
    value: ndarray  # (batch, output)
    dG: ndarray  # (batch, output, n)
    db: ndarray  # (batch, output)
    error: ndarray  # (batch, output)


def _zeros_like_sums(frame: _Frame) -> _Sums:
    return _Sums(np.zeros_like(frame.b), np.zeros_like(frame.G), np.zeros_like(frame.b), np.zeros_like(frame.b))


def _closed_part(frame: _Frame) -> _Sums:
    """Zero or one active feature in closed form, and the polynomial moments of the rest."""
    G, b, activation = frame.G, frame.b, frame.activation
    outputs = frame.outputs
    own = (slice(None), np.arange(len(outputs)), outputs)
    single = frame.one_active
    alone, alone_dc, alone_db = errors_alone(G, b, frame.features.values, activation, outputs)
    silent = activation.value(b)
    value = frame.none_active * silent**2 + (alone @ single[..., None])[..., 0]
    dG = alone_dc * single[:, None, :]
    db = 2 * frame.none_active * silent * activation.derivative(b) + (alone_db @ single[..., None])[..., 0]

    mass = 1 - frame.none_active - single.sum(-1, keepdims=True)
    mean = frame.mean - frame.features.value_mean * single
    moment = frame.second_moment.copy()
    diagonal = np.arange(moment.shape[-1])
    moment[:, diagonal, diagonal] -= frame.features.value_square * single
    weight_xz, weight_zz, weight_x, weight_z = activation.weights
    # The closed halves of E|z|: pi/h times the mean.
    cross, square = np.pi / frame.step * weight_x, 2 * np.pi / frame.step * weight_z
    own_mean = mean[:, outputs]
    mean_z = b * mass + (G @ mean[..., None])[..., 0]
    G_moment = G @ moment
    x_z = b * own_mean + G_moment[own]
    square_z = b**2 * mass + 2 * b * (mean_z - b * mass) + (G_moment * G).sum(-1)
    value += moment[:, outputs, outputs] + weight_xz * x_z + weight_zz * square_z + square * mean_z + cross * own_mean
    dG += (2 * weight_zz * b + square)[..., None] * mean[:, None, :] + 2 * weight_zz * G_moment
    dG += weight_xz * moment[:, outputs]
    db += 2 * weight_zz * mean_z + weight_xz * own_mean + square * mass
    return _Sums(value, dG, db, np.zeros_like(b))


def _add_nodes(frame: _Frame, sums: _Sums, todo: ndarray, start: int, stop: int) -> Float[ndarray, "todo output"]:
    """Add the nodes start ... stop-1 to the sums of some models; return the size of what is cut off."""
    rows, n = frame.G.shape[1:]
    tail = np.zeros((len(todo), rows))
    nodes_together = min(stop - start, max(_TAIL_NODES, _BLOCK_ELEMENTS // (rows * n)))
    outputs_together = max(1, min(rows, _BLOCK_ELEMENTS // (nodes_together * n)))
    models_together = max(1, _BLOCK_ELEMENTS // (nodes_together * outputs_together * n))

    def add(models: slice, outputs: slice) -> None:
        which, some = todo[models], np.arange(rows)[outputs]
        block_rows = np.ix_(which, some)
        for first in range(start, stop, nodes_together):
            k = np.arange(first, min(first + nodes_together, stop)) + 0.5
            block, cut_off = _block_sums(frame, which, some, k)
            sums.value[block_rows] += block.value
            sums.dG[block_rows] += block.dG
            sums.db[block_rows] += block.db
            tail[models, outputs] = cut_off  # the last block's stays

    blocks = [
        (slice(model, model + models_together), slice(output, output + outputs_together))
        for model in range(0, len(todo), models_together)
        for output in range(0, rows, outputs_together)
    ]
    threads = own_threads()
    if threads == 1 or len(blocks) < _THREADED_BLOCKS:
        for block in blocks:
            add(*block)
    else:  # NumPy releases the lock in its loops, and every block writes rows of its own
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda block: add(*block), blocks))
    return tail


def _block_sums(
    frame: _Frame,
    models: Int[ndarray, " model"],
    some: Int[ndarray, " output"],
    k: Float[ndarray, " node"],
) -> tuple[_Sums, Float[ndarray, "model output"]]:
    """Contributions of the nodes t = k h to some outputs of some models; axes (node, model, output, feature)."""
    rows, outputs = np.ix_(models, some), frame.outputs[some]
    h = frame.step[rows]
    t = k[:, None, None] * h
    _, _, share_x, share_z = frame.activation.weights
    square_weight = share_z * 4j / np.pi * h / t**3  # Re(i phi) = - Im phi
    cross_weight = -share_x * 2 / np.pi * h / t**2
    f = characteristic_function(
        t[..., None] * frame.G[rows], frame.density[models][:, None, :], frame.features, outputs
    )
    phase = np.exp(1j * t * frame.b[rows])
    single = frame.one_active[models][:, None, :]
    own = (..., np.arange(len(outputs)), outputs)
    own_single = np.broadcast_to(single, f.slope.shape[1:])[own]

    phi = phase * f.product
    phi_x = -1j * phi * f.own_log_slope
    rest = phi - phase * (frame.none_active[models] + (f.value * single).sum(-1))
    rest_x = phi_x + 1j * phase * own_single * f.slope[own]
    summand = square_weight * rest + cross_weight * rest_x

    weight = t * (square_weight * phi + cross_weight * phi_x)
    dG = _real_sum(weight, f.log_slope) - single * _real_sum(t * square_weight * phase, f.slope)
    weight_x = t * cross_weight * phi_x
    if f.correction is not None:
        dG += _real_sum(weight_x, f.correction)
    own_weight = weight_x * f.own_correction + 1j * t * cross_weight * phase * own_single * f.own_curvature
    dG[own] += own_weight.real.sum(0)
    sums = _Sums(summand.real.sum(0), dG, -(t * summand).imag.sum(0), np.zeros(h.shape))
    last = t[-1]
    size, size_x = np.abs(rest[-_TAIL_NODES:]).max(0), np.abs(rest_x[-_TAIL_NODES:]).max(0)
    return sums, (share_z * size / last**2 + abs(share_x) * size_x / last) * 2 / np.pi


def _real_sum(
    weight: Complex[ndarray, "node model output"], values: Complex[ndarray, "node model output n"]
) -> Float[ndarray, "model output n"]:
    """Real part of sum over nodes of weight times values."""
    real = np.einsum("kmo,kmoj->moj", weight.real, values.real)
    return real - np.einsum("kmo,kmoj->moj", weight.imag, values.imag)

"""From parameters to an estimate: couplings block by block, and their gradients pulled back to the parameters."""

import math

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.typing import ArrayLike

from theory.loss.engine.activation import SquaredError
from theory.loss.engine.engine import MAX_NODES, row_errors
from theory.loss.engine.estimate import Estimate, Parts
from theory.loss.engine.rows import Features, Rows
from theory.tools.arrays import detached

__all__ = ["entry_error", "estimate_loss"]

# Couplings of the rows that are handed to the engine at once.
_BLOCK = 1_600_000
_EPS = float(np.finfo(float).eps)


def estimate_loss(
    W: ArrayLike,
    b: ArrayLike,
    features: Features,
    importance: ArrayLike | None = None,
    W_out: ArrayLike | None = None,
    sigma: float = 0.0,
    error: SquaredError | None = None,
    rtol: float = 1e-7,
    max_nodes: int = MAX_NODES,
    threads: int = 1,
) -> Estimate[float]:
    """
    Compute the loss of one model, its gradient, and how far both can be wrong.

    Parameters
    ----------
    W : array_like, shape (m, n)
        Embedding; hidden values are W x + N(0, sigma^2).
    b : array_like, shape (n,)
        Output biases.
    features : Features
        Distribution of x, density of shape (n,).
    importance : array_like, shape (n,), optional
        Weights of the outputs; 1 by default.
    W_out : array_like, shape (n, m), optional
        Decoder; W^T (tied) by default.
    sigma : float
        Standard deviation of Gaussian noise on every hidden dimension.
    error : SquaredError, optional
        The activation; ReLU by default.
    rtol : float
        Relative accuracy of every output's error, hence of the loss.
    max_nodes : int
        Most nodes of a row.
    threads : int
        Threads.

    Returns
    -------
    Estimate
        E sum_i I_i (x_i - f(z_i))^2; the gradient has the keys "W", "b", with a decoder of its own "W_out", and with
        noise "sigma". ``gradient_error`` bounds every entry of all of them.

    Raises
    ------
    TypeError
        If an array is complex, masked or not numeric.
    ValueError
        If shapes do not fit, entries are not finite or too large, or ``rtol`` does not lie in (0, 1).

    Notes
    -----
    z_i = b_i + G_i . x + N(0, sigma^2 |W_out_i|^2) with G = W_out W. No array of shape (n, n) is kept.
    """
    W, b, decoder, weight = _checked(W, b, W_out, importance, sigma)
    m, n = W.shape
    dW, d_out, db, d_sigma = np.zeros_like(W), np.zeros((n, m)), np.zeros(n), 0.0
    sums, slope_error, out_error, sigma_error, nodes = np.zeros(5), np.zeros(n), 0.0, 0.0, 0
    longest = float((W**2).sum(0).max(initial=0.0))
    paths: dict[str, int] = {}
    step = max(1, _BLOCK // n)
    for first in range(0, n, step):
        which = np.arange(first, min(first + step, n))
        some = decoder[which]
        noise = sigma**2 * (some**2).sum(1)
        blur = (m + 2) * _EPS * np.sqrt((some**2).sum(1) * longest)
        result = row_errors(Rows(some @ W, b[which], which, noise, blur), features, error, rtol, max_nodes, threads)
        I = weight[which]  # noqa: E741
        dG = I[:, None] * result.dG
        d_noise = I * result.dnoise
        parts = result.parts
        sums += [I @ x for x in (result.value, parts.truncation, parts.step, parts.series, parts.rounding)]
        slope_error[which] = I * result.gradient_error
        noise_error = I * result.noise_error
        out_error = max(out_error, float((noise_error[:, None] * np.abs(some)).max(initial=0.0)) * 2 * sigma**2)
        sigma_error += float(2 * sigma * (noise_error @ (some**2).sum(1)))
        db[which] = I * result.db
        dW += some.T @ dG
        d_out[which] = dG @ W.T + 2 * sigma**2 * d_noise[:, None] * some
        d_sigma += float(2 * sigma * (d_noise @ (some**2).sum(1)))
        nodes = max(nodes, int(result.nodes.max()))
        for path, count in zip(*np.unique(result.path, return_counts=True), strict=True):
            paths[str(path)] = paths.get(str(path), 0) + int(count)
    gradient = {"W": dW + d_out.T, "b": db} if W_out is None else {"W": dW, "b": db, "W_out": d_out}
    if sigma > 0:
        gradient["sigma"] = np.asarray(d_sigma)
    parts = Parts(*(np.asarray(x) for x in sums[1:]))
    return Estimate(
        value=float(sums[0]),
        error=float(sums[1:].sum()),
        gradient=gradient,
        gradient_error=max(entry_error(W, decoder, slope_error) + out_error, sigma_error),
        nodes=nodes,
        parts=parts,
        paths=paths,
    )


def _checked(
    W: ArrayLike, b: ArrayLike, W_out: ArrayLike | None, importance: ArrayLike | None, sigma: float
) -> tuple[Float[ndarray, "m n"], Float[ndarray, " n"], Float[ndarray, "n m"], Float[ndarray, " n"]]:
    """W, b, the decoder and the outputs' weights, defaults filled in; refused where ``estimate_loss`` says so."""
    W, b = _real("W", W), _real("b", b)
    if W.ndim != 2 or b.shape != (W.shape[1],):
        raise ValueError(f"W must have shape (m, n) and b shape (n,), got {W.shape} and {b.shape}")
    m, n = W.shape
    decoder = W.T if W_out is None else _real("W_out", W_out)
    if decoder.shape != (n, m):
        raise ValueError(f"W_out must have shape (n, m) = {(n, m)}, got {decoder.shape}; did you pass it transposed?")
    weight = np.ones(n) if importance is None else _real("importance", importance)
    if weight.shape != (n,) or (weight < 0).any():
        raise ValueError(f"importance must have shape (n,) = {(n,)} and no negative entry, got shape {weight.shape}")
    if not (math.isfinite(sigma) and sigma >= 0):
        raise ValueError(f"sigma must be a finite standard deviation >= 0, got {sigma!r}")
    _refuse_overflow(W, decoder)
    return W, b, decoder, weight


def entry_error(W: Float[ndarray, "m n"], W_out: Float[ndarray, "n m"], slope: Float[ndarray, " n"]) -> float:
    """
    Bound the error of every entry of a gradient by those of the derivatives in couplings and biases.

    Parameters
    ----------
    W : ndarray, shape (m, n)
        Embedding.
    W_out : ndarray, shape (n, m)
        Decoder.
    slope : ndarray, shape (n,)
        Bounds on the derivatives of each output's weighted error in its couplings and bias.

    Returns
    -------
    float
        The largest of sum_i |W_out_id| s_i + s_j sum_k |W_dk| over d and j, and of s.
    """
    with np.errstate(over="ignore"):  # nothing is stated then
        into = np.abs(W_out).T @ slope
        out = np.abs(W).sum(1) * slope.max(initial=0.0)
    return float(max((into + out).max(initial=0.0), slope.max(initial=0.0)))


def _real(name: str, values: ArrayLike) -> Float[ndarray, "..."]:
    """Float64 array of finite numbers; complex and masked ones are refused."""
    values = detached(values)
    if isinstance(values, np.ma.MaskedArray):
        raise TypeError(f"{name} must not be a masked array: fill or drop what is masked")
    array = np.asarray(values)
    if array.dtype.kind not in "iufb":
        raise TypeError(f"{name} must be an array of real numbers, got dtype {array.dtype}")
    array = array.astype(float)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got NaN or infinity")
    return array


def _refuse_overflow(W: ndarray, decoder: ndarray) -> None:
    """Couplings whose squares are not numbers in double precision."""
    largest = float(np.abs(W).max(initial=0)), float(np.abs(decoder).max(initial=0))
    if math.log10(max(largest[0], 1e-300)) + math.log10(max(largest[1], 1e-300)) + math.log10(len(W)) > 150:
        raise ValueError(
            f"the couplings W_out W are too large for double precision: W has entries up to {largest[0]:.3g}, "
            f"W_out up to {largest[1]:.3g}; rescale them"
        )
    if min(largest) > 0 and math.log10(largest[0]) + math.log10(largest[1]) < -305:
        raise ValueError(
            f"the couplings W_out W are too small for double precision: W has entries up to {largest[0]:.3g}, "
            f"W_out up to {largest[1]:.3g}; rescale them, or set them to 0"
        )

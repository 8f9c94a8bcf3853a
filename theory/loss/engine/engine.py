"""Expected squared errors of rows by quadrature, to a requested accuracy and with an error that holds.

Every row has its own step, its own nodes and its own test of convergence, so that its result does not depend on the
rows computed beside it.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from theory.loss.engine.activation import SquaredError, leaky_relu
from theory.loss.engine.bulk import LEAST_FEATURES
from theory.loss.engine.envelope import abs_moment
from theory.loss.engine.estimate import Parts, RowEstimate
from theory.loss.engine.integrate import integrate
from theory.loss.engine.moments import extremes, moments, never_switches, polynomial
from theory.loss.engine.octaves import integrate_octaves
from theory.loss.engine.rows import Features, Rows
from theory.model.value_units import natural_law
from theory.tools.memory import keep_freed_memory

__all__ = ["MAX_NODES", "row_errors"]

MAX_NODES = 2**14
# Couplings in a block of rows: some thirty arrays of that size live at once in every thread.
_BLOCK = 400_000
_EPS = float(np.finfo(float).eps)
# Normal noise that would have to be so many standard deviations off to pass a kink never does; E (1 + N^2) beyond that.
_NEVER, _BEYOND = 12.0, 1e-30
# Rows whose z is smaller than this at all times are scaled up to it: what z adds to E x^2 is far below rounding anyway,
# and derivatives in couplings and bias depend on the sign of z only.
_TINY = 2.0**-200

keep_freed_memory()  # a third of the time of 400 features


def row_errors(
    rows: Rows,
    features: Features,
    error: SquaredError | None = None,
    rtol: float = 1e-7,
    max_nodes: int = MAX_NODES,
    threads: int = 1,
) -> RowEstimate:
    """
    Compute the expected squared error of every row, its gradient, and how far both can be wrong.

    Parameters
    ----------
    rows : Rows
        Outputs z_i = b_i + G_i . x + N(0, noise_i).
    features : Features
        Distribution of x.
    error : SquaredError, optional
        The activation; ReLU by default.
    rtol : float
        Nodes are added until the error of a row falls below this part of its value, below what is enough for it
        (``Rows.enough``), or below what rounding costs.
    max_nodes : int
        Most nodes of a row; what is not known accurately by then shows in ``error``.
    threads : int
        Blocks of rows computed at the same time.

    Returns
    -------
    RowEstimate
        Values, gradients and errors.

    Raises
    ------
    ValueError
        If ``rtol`` does not lie in (0, 1), or values have no bound and their law tells neither of an exponential moment
        nor what heavy tails ask for.
    """
    if not 0 < rtol < 1:
        raise ValueError(f"rtol must lie in (0, 1), got {rtol!r}")
    error = leaky_relu() if error is None else error
    unit, size = natural_law(features.values)
    if size != 1 and error.homogeneous:
        inner = replace(features, values=unit)
        return row_errors(rows.in_units(size), inner, error, rtol, max_nodes, threads).times(size)
    blocks = _blocks(rows, features)

    def compute(block: slice) -> RowEstimate:
        which = np.arange(block.start, block.stop)
        return _scaled(rows.take(which), features.take(which), error, rtol, max_nodes)

    if threads == 1 or len(blocks) == 1:
        parts = [compute(block) for block in blocks]
    else:  # NumPy releases the lock in its loops
        with ThreadPoolExecutor(threads) as pool:
            parts = list(pool.map(compute, blocks))
    return parts[0] if len(parts) == 1 else _joined(parts)


def _blocks(rows: Rows, features: Features) -> list[slice]:
    """Cut rows into blocks; rows of a block share their densities where features are many."""
    count, n = rows.G.shape
    cuts = {0, count}
    if n >= LEAST_FEATURES and features.density.ndim == 2:
        cuts |= set((np.flatnonzero((features.density[1:] != features.density[:-1]).any(1)) + 1).tolist())
    size = max(1, _BLOCK // n)
    edges = sorted(cuts)
    return [
        slice(start, min(start + size, stop)) for first, stop in pairwise(edges) for start in range(first, stop, size)
    ]


def _scaled(rows: Rows, features: Features, error: SquaredError, rtol: float, max_nodes: int) -> RowEstimate:
    """Compute a block; rows next to the smallest numbers there are on a scale where squares and cubes exist."""
    largest = np.maximum(np.maximum(np.abs(rows.G).max(1), np.abs(rows.b)), np.sqrt(rows.noise))
    tiny = (largest > 0) & (largest < _TINY)
    if not tiny.any() or any(kink[0] for kink in error.kinks):
        return _block(rows, features, error, rtol, max_nodes)
    factor = np.ones(len(largest))
    factor[tiny] = 2.0 ** np.round(np.log2(_TINY) - np.log2(largest[tiny]))
    found = _block(rows.scaled(factor), features, error, rtol, max_nodes)
    # Moments of x and of the scaled z are at most of the order of these
    size = abs_moment(features.values, 1) + abs_moment(features.values, 2)
    miss = np.where(tiny, 32 * _TINY * size * rows.G.shape[1] ** 2, 0.0)
    parts = replace(found.parts, rounding=found.parts.rounding + miss)
    return replace(
        found,
        error=parts.total(),
        parts=parts,
        gradient_error=found.gradient_error + miss,
        dnoise=found.dnoise * factor,
        noise_error=found.noise_error * factor + np.where(tiny, 2 * abs(error.square) * factor, 0.0),
    )


def _block(rows: Rows, features: Features, error: SquaredError, rtol: float, max_nodes: int) -> RowEstimate:
    m = moments(rows, features)
    low, high = extremes(rows, features, m)
    noisy, far = rows.noise > 0, _NEVER * np.sqrt(rows.noise)
    sign = never_switches(low - far, high + far, error)
    low, high = np.where(noisy, -np.inf, low), np.where(noisy, np.inf, high)
    base = polynomial(rows, m, error, sign)
    value, dG, db = base.value, base.dG, base.db
    zero = np.zeros_like(value)
    dnoise = np.where(rows.noise > 0, base.dnoise, 0.0)
    truncation, step, series = zero.copy(), zero.copy(), zero.copy()
    rounding = 4 * _EPS * base.size
    gradient_error = 4 * _EPS * base.slope_size
    noise_error = np.where(noisy, 4 * _EPS * np.abs(dnoise), 0.0)
    ignored = _ignored_noise(rows, features, error, (sign != 0).any(1))
    rounding, gradient_error, noise_error = (
        kept + more for kept, more in zip((rounding, gradient_error, noise_error), ignored, strict=True)
    )
    nodes = np.zeros(len(value), dtype=int)
    path = np.full(len(value), "closed", dtype="<U6")
    used = np.array([any(kink[1:]) for kink in error.kinks], dtype=bool)
    todo = np.flatnonzero(((sign == 0) & used).any(1))
    if len(todo):
        some, seen = (rows, features) if len(todo) == len(value) else (rows.take(todo), features.take(todo))
        if seen.values.heavy:
            result = integrate_octaves(some, seen, error, sign[todo], value[todo], rtol, max_nodes)
        elif not seen.values.strip > 0:
            raise ValueError(
                f"{seen.values.name} values have no bound: for the exact loss their law must give strip and log_mgf, "
                "or heavy and losses"
            )
        else:
            ends, known = (low[todo], high[todo], value[todo]), m if some is rows else None
            result = integrate(some, seen, error, sign[todo], *ends, rtol, max_nodes, known)
        value[todo] += result.value
        dG[todo] += result.dG
        db[todo] += result.db
        dnoise[todo] += result.dnoise
        truncation[todo], step[todo], series[todo] = result.truncation, result.step, result.series
        rounding[todo] += result.rounding
        gradient_error[todo] += result.gradient_error
        noise_error[todo] += np.where(rows.noise[todo] > 0, result.noise_error, 0.0)
        nodes[todo] = result.nodes
        path[todo] = np.where(result.summed, "sums", "single")
    parts = Parts(truncation, step, series, rounding)
    # Rounding may leave a value below zero, which no square is.
    return RowEstimate(
        np.maximum(value, 0.0), parts.total(), dG, db, dnoise, gradient_error, noise_error, nodes, path, parts
    )


def _ignored_noise(
    rows: Rows, features: Features, error: SquaredError, closed: Bool[ndarray, " rows"]
) -> tuple[ndarray, ndarray, ndarray]:
    """Bound what noise beyond _NEVER does to value, gradient and derivative in the noise of rows called closed."""
    sigma = np.sqrt(rows.noise)
    at = closed & (sigma > 0)
    if not at.any():
        return np.zeros(len(at)), np.zeros(len(at)), np.zeros(len(at))
    square = sum(abs(kink[2]) for kink in error.kinks)
    first = abs_moment(features.values, 1)
    linear = sum(abs(kink[1]) + abs(kink[3]) * first for kink in error.kinks)
    steep = 2 * square * sigma + linear
    noise = square + linear / np.where(at, sigma, 1.0)
    bounds = (square * rows.noise + linear * sigma, steep * (1 + first + abs_moment(features.values, 2)), noise)
    value, slope, curve = (np.where(at, _BEYOND * bound, 0.0) for bound in bounds)
    return value, slope, curve


def _joined(parts: list[RowEstimate]) -> RowEstimate:
    """Rows of several blocks, one after the other."""
    names = [field.name for field in fields(RowEstimate) if field.name != "parts"]
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    kinds = [field.name for field in fields(Parts)]
    return RowEstimate(
        **joined, parts=Parts(*(np.concatenate([getattr(part.parts, kind) for part in parts]) for kind in kinds))
    )

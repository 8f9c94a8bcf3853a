"""Sums over many features of log(1 - p + p e(t g)) and of e(t g), at all nodes of all rows of a block together.

With y = h g the arguments at node k are (k + 1/2) y, whatever the row. On [-Y, Y] both functions are series of
Chebyshev polynomials in y whose coefficients all rows share, so a row enters through its moments
M_q = sum_j T_q(y_j / Y), then one matrix product. Since T_(aB+b) = 2 T_aB T_b - T_(aB-b), all Q moments of a row are
one product of A by n and n by B matrices, AB = Q: the recurrence over the couplings is needed for A + B polynomials
only. Densities that differ make the first function a short series in p too, F(a; p) = p sum_l F_l(a) T_l(x(p)), and
the moments M_ql = sum_j T_q(y_j / Y) p_j T_l(x(p_j)). The odds p/(1-p), the weights of the second one, are a sum of the
same p T_l(x(p)), so its moments are a sum of these.

Since e(-a) is the conjugate of e(a), coefficients of even q are real and those of odd q imaginary. The gradient goes
the same way back.
"""

import numpy as np
from jaxtyping import Complex, Float
from numpy import ndarray

from theory.loss.engine.chebyshev import Series

__all__ = ["evaluate", "moments_of", "pull_back"]

# Numbers handled at once: of half as many, which fit the L2 cache, calls take longer than what leaves it.
_CACHED = 300_000


def moments_of(
    x: Float[ndarray, "rows n"], columns: Float[ndarray, "*rows n columns"], terms: int
) -> Float[ndarray, "terms columns rows"]:
    """
    Compute the moments M_q = sum_j T_q(x_j) columns_j.

    Parameters
    ----------
    x : ndarray, shape (rows, n)
        Couplings y / Y in [-1, 1].
    columns : ndarray, shape (n, columns) or (rows, n, columns)
        Weights of the features.
    terms : int
        Number of Chebyshev polynomials.

    Returns
    -------
    ndarray, shape (terms, columns, rows)
        The moments.
    """
    number = columns.shape[-1]
    A, B = _strides(terms, number)
    P = np.empty((len(x), A, B * number))
    for some in _chunks(x, A + B * number):
        T = _polynomials(x[some], B + 1)
        weighted = _weighted(T[:B], columns if columns.ndim == 2 else columns[some])
        giant = _polynomials(T[B], A)
        np.matmul(giant.transpose(1, 0, 2), weighted.transpose(1, 2, 0), out=P[some])
    M = P.reshape(len(x), A, B, number).transpose(1, 2, 3, 0).copy()
    M[1:, 1:] *= 2
    for a in range(1, A):
        M[a, 1:] -= M[a - 1, :0:-1]
    return M.reshape(A * B, number, len(x))[:terms]


def _strides(terms: int, columns: int) -> tuple[int, int]:
    """A and B with A B >= terms: T_(aB+b) = 2 T_aB T_b - T_(aB-b), so A + B polynomials do for all products."""
    # one of the A takes twice as long as one of the B with one weight: it is multiplied and added up on the way back
    B = max(1, round((2 * terms / (1 + columns)) ** 0.5))
    return -(-terms // B), B


def _chunks(x: ndarray, arrays: int) -> list[slice]:
    """Cut rows into chunks of which so many arrays fit the cache."""
    size = max(1, _CACHED // (x.shape[1] * arrays))
    return [slice(start, start + size) for start in range(0, len(x), size)]


def _polynomials(x: Float[ndarray, "rows n"], number: int) -> Float[ndarray, "number rows n"]:
    """T_0 ... of x."""
    T = np.empty((number, *x.shape))
    T[0] = 1.0
    if number > 1:
        T[1] = x
    known = 2
    while known < number:  # T_(k+i) = 2 T_k T_i - T_(k-i)
        k = known - 1
        last = min(2 * k, number - 1)
        np.multiply(2 * T[k], T[1 : last - k + 1], out=T[known : last + 1])
        T[known : last + 1] -= T[k - 1 : 2 * k - last - 1 if last < 2 * k else None : -1]
        known = last + 1
    return T


def _weighted(T: Float[ndarray, "number rows n"], columns: ndarray) -> Float[ndarray, "all rows n"]:
    """Products of polynomials and weights, the weights changing fastest."""
    if columns.ndim == 2 and columns.shape[1] == 1:
        return T if (columns == 1).all() else T * columns[:, 0]
    weights = np.ascontiguousarray(np.moveaxis(columns, -1, 0))
    weights = weights[:, None] if columns.ndim == 2 else weights
    return (T[:, None] * weights).reshape(-1, *T.shape[1:])


def evaluate(
    s: Series, M: Float[ndarray, "terms columns rows"], mix: Float[ndarray, " columns"]
) -> tuple[ndarray, ndarray]:
    """
    Give the sums of both functions at every node.

    Parameters
    ----------
    s : Series
        Coefficients.
    M : ndarray, shape (terms, columns, rows)
        Moments.
    mix : ndarray, shape (columns,)
        Weights of the columns in the moments of e.

    Returns
    -------
    log_phi, single : ndarray of complex, shape (rows, nodes)
        Sums of log(1 - p + p e) and of the weighted e.
    """
    shape = M.shape[2], len(s.tail)
    log_phi, single = np.empty(shape, dtype=complex), np.empty(shape, dtype=complex)
    of_log = [np.ascontiguousarray(M[parity::2, : s.columns]).reshape(-1, shape[0]).T for parity in (0, 1)]
    of_single = [np.einsum("qcr,c->rq", M[parity::2], mix) for parity in (0, 1)]
    for part in s.parts:
        log_phi.real[:, part.nodes] = of_log[0][:, : len(part.log_even)] @ part.log_even
        log_phi.imag[:, part.nodes] = of_log[1][:, : len(part.log_odd)] @ part.log_odd
        single.real[:, part.nodes] = of_single[0][:, : len(part.even)] @ part.even
        single.imag[:, part.nodes] = of_single[1][:, : len(part.odd)] @ part.odd
    return log_phi, single


def pull_back(
    s: Series,
    x: Float[ndarray, "rows n"],
    columns: Float[ndarray, "*rows n columns"],
    to_log_phi: ndarray,
    to_single: ndarray,
    mix: Float[ndarray, " columns"],
) -> Float[ndarray, "rows n"]:
    """
    Give the derivatives in x of Re sum_k (to_log_phi log_phi + to_single single).

    Parameters
    ----------
    s : Series
        Coefficients.
    x : ndarray, shape (rows, n)
        Couplings y / Y.
    columns : ndarray, shape (n, columns) or (rows, n, columns)
        Weights of the features.
    to_log_phi, to_single : ndarray of complex, shape (rows, nodes)
        Adjoints of the two sums.
    mix : ndarray, shape (columns,)
        Weights of the columns in the moments of e.

    Returns
    -------
    ndarray, shape (rows, n)
        The derivatives.
    """
    number, rows = columns.shape[-1], len(x)
    slope = np.empty((s.terms, number, rows))
    for parity in (0, 1):
        # the real parts of the adjoints belong to even terms, and minus the imaginary ones to odd terms
        logs, singles = (_parts_of(a, parity) for a in (to_log_phi, to_single))
        of_log, of_single = np.zeros((s.terms // 2 * s.columns, rows)), np.zeros((s.terms // 2, rows))
        for part in s.parts:
            of = (part.log_odd, part.odd) if parity else (part.log_even, part.even)
            of_log[: len(of[0])] += of[0] @ logs[part.nodes]
            of_single[: len(of[1])] += of[1] @ singles[part.nodes]
        D = of_single[:, None] * mix[:, None]
        D[:, : s.columns] += of_log.reshape(-1, s.columns, rows)
        # Coefficients of the derivative's series: D'_{q-1} = D'_{q+1} + 2 q D_q
        D *= 2 * np.arange(parity, s.terms, 2)[:, None, None]
        sums = np.cumsum(D[::-1], axis=0)[::-1]
        if parity:
            slope[0::2] = sums
        else:
            slope[1:-1:2], slope[-1] = sums[1:], 0.0
    slope[0] /= 2
    return _expanded(x, slope, columns)


def _parts_of(adjoint: Complex[ndarray, "rows nodes"], parity: int) -> Float[ndarray, "nodes rows"]:
    """Real part, or minus the imaginary one, nodes first."""
    return np.ascontiguousarray(-adjoint.imag.T if parity else adjoint.real.T)


def _expanded(
    x: Float[ndarray, "rows n"], slope: Float[ndarray, "terms columns rows"], columns: ndarray
) -> Float[ndarray, "rows n"]:
    """Sum of slope_q T_q(x); a coupling's coefficients are its row's times its feature's weights."""
    terms, number, rows = slope.shape
    A, B = _strides(terms, number)
    by_pair = np.zeros((A, B, number, rows))
    by_pair.reshape(A * B, number, rows)[:terms] = slope
    for a in range(A - 1, 0, -1):  # in terms of T_aB T_b
        by_pair[a - 1, :0:-1] -= by_pair[a, 1:]
        by_pair[a, 1:] *= 2
    coefficients = by_pair.transpose(3, 0, 1, 2).reshape(rows, A, B * number)
    out = np.empty_like(x)
    for some in _chunks(x, A + B * number):
        T = _polynomials(x[some], B + 1)
        weighted = _weighted(T[:B], columns if columns.ndim == 2 else columns[some])
        giant = _polynomials(T[B], A)
        products = np.matmul(coefficients[some], weighted.transpose(1, 0, 2))
        np.einsum("arj,raj->rj", giant, products, out=out[some])
    return out

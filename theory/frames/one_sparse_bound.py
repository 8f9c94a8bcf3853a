"""A lower bound of the one-sparse loss of every n features of equal norm and bias, with a polynomial that proves it.

With one norm r and one bias b <= 0 for all features the one-sparse loss is

    L_1 = n own(g, b) + n (n - 1) Int f(c) dmu(c) ,   g = r^2 ,   f(c) = Int_0^1 ReLU(g c u + b)^2 du ,

mu the law of the cosines of all pairs: linear in mu. Delsarte's inequalities hold for it. A polynomial h = sum h_d P_d
with h_d >= 0 for d >= 1 and h <= f on [-1, 1] is a certificate: Int f dmu >= h_0 - sum_{d >= 1} h_d / (n - 1), whatever
the arrangement. The best h of a degree solves a linear programme with one inequality for every cosine; those that it
misses are added until none is (f is 0 up to -b/g, and c f(c) a polynomial from there on, so that they are found from
roots, not on a grid). What rounding leaves is taken off h_0. Over (g, b) the bound has several minima: it is followed
from all local minima of a grid; that none is lower is not proved.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.polynomial import Chebyshev
from scipy.optimize import OptimizeResult, linprog, minimize

from theory.frames.bounds import _shape
from theory.frames.gegenbauer import gegenbauer
from theory.model.values import UNIFORM

__all__ = ["OneSparseBound", "bound_at", "one_sparse_bound", "violation"]

# Degree of the polynomial; cosines to begin with; rounds of adding those that are missed, and what counts as missed.
DEGREE = 12
_COSINES, _ROUNDS, _MISSED = 60, 14, 1e-11
# The solver's tolerances are absolute: losses are given to it in this unit.
_UNIT, _SOLVER = 1e-3, {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
# The grid on which minima in squared norm and bias are looked for, degrees used there, and minima followed.
_COUPLINGS, _SHARES, _ROUGH, _FOLLOWED = np.linspace(0.6, 3.3, 10), np.linspace(-0.8, 0.0, 13), 12, 3


@dataclass(frozen=True, eq=False)
class OneSparseBound:
    """
    A lower bound and its certificate.

    Attributes
    ----------
    n, m : int
        Features and dimensions.
    coupling, bias : float
        Squared norm g and bias b at which the bound is least.
    bound : float
        No n features of norm sqrt(g) and bias b have a smaller one-sparse loss L_1.
    dual : ndarray, shape (degree + 1,)
        Gegenbauer coefficients of the polynomial, h_d >= 0 for d >= 1.
    touching : ndarray, shape (s,)
        Cosines where it touches f: those that an arrangement which attains the bound may have.
    """

    n: int
    m: int
    coupling: float
    bias: float
    bound: float
    dual: Float[ndarray, " degrees"]
    touching: Float[ndarray, " s"]


def _own(g: float, b: float) -> float:
    return float(UNIFORM.own_error(np.array([g]), np.array([b]))[0][0])


def _f(c: Float[ndarray, " s"], g: float, b: float) -> Float[ndarray, " s"]:
    return np.asarray(UNIFORM.interference(g * c, np.full(len(c), b))[0])


def violation(dual: Float[ndarray, " degrees"], m: int, g: float, b: float) -> tuple[float, Float[ndarray, " s"]]:
    """
    Say by how much a polynomial exceeds f anywhere on [-1, 1].

    Parameters
    ----------
    dual : ndarray, shape (degree + 1,)
        Gegenbauer coefficients.
    m : int
        Dimension.
    g, b : float
        Squared norm and bias, b <= 0.

    Returns
    -------
    float
        Maximum of h - f, from the roots of polynomials.
    ndarray, shape (s,)
        Local maxima of h - f.
    """
    degree = len(dual) - 1

    def polynomial(c: ndarray) -> ndarray:
        return np.asarray(dual @ gegenbauer(m, degree, c)[0])

    h = Chebyshev.interpolate(polynomial, degree)
    turn = min(max(-b / g, 0.0), 1.0)
    # Beyond the turn f = (g c + b)^3 / (3 g c), so that c^2 (h - f)' is a polynomial.
    c = Chebyshev([0.0, 1.0])
    beyond = c * c * h.deriv() - (g * c + b) ** 2 * (2 * g * c - b) / (3 * g)
    places = [np.array([-1.0, turn, 1.0])]
    for poly, low, high in ((h.deriv(), -1.0, turn), (beyond, turn, 1.0)):
        roots = poly.roots()
        real = roots[np.abs(roots.imag) < 1e-6].real
        places.append(real[(real > low) & (real < high)])
    cosines = np.unique(np.concatenate(places))
    excess = polynomial(cosines) - _f(cosines, g, b)
    return float(excess.max()), cosines


def bound_at(n: int, m: int, g: float, b: float, degree: int = DEGREE) -> OneSparseBound:
    """
    Bound the one-sparse loss at a norm and a bias.

    Parameters
    ----------
    n : int
        Features, >= 2.
    m : int
        Dimensions, >= 2.
    g, b : float
        Squared norm, > 0, and bias, <= 0.
    degree : int
        Degree of the polynomial.

    Returns
    -------
    OneSparseBound
        The bound with its certificate.
    """
    cosines = np.unique(np.r_[np.cos(np.linspace(0, np.pi, _COSINES)), -b / g])
    gain = np.r_[1.0, np.full(degree, -1 / (n - 1))]  # Int f dmu >= h_0 - sum h_d / (n - 1)
    lower = [(None, None)] + [(0.0, None)] * degree
    best, best_dual, touching = -np.inf, np.zeros(degree + 1), cosines
    for _ in range(_ROUNDS):
        P = gegenbauer(m, degree, cosines)[0]
        limit = _f(cosines, g, b) / _UNIT
        found = linprog(-gain, A_ub=P.T, b_ub=limit, bounds=lower, options=_SOLVER)  # type: ignore[call-overload]
        if found.x is None:
            break
        dual = _UNIT * np.maximum(found.x, np.r_[-np.inf, np.zeros(degree)])
        excess, extremes = violation(dual, m, g, b)
        dual[0] -= max(excess, 0.0)
        if gain @ dual > best:
            best, best_dual, touching = float(gain @ dual), dual, cosines[found.ineqlin.marginals < -1e-9]
        if excess <= _MISSED:
            break
        cosines = np.unique(np.r_[cosines, extremes])
    bound = n * _own(g, b) + n * (n - 1) * max(best, 0.0)
    return OneSparseBound(n, m, g, b, bound, best_dual, touching)


def one_sparse_bound(n: int, m: int, degree: int = DEGREE) -> OneSparseBound:
    """
    Bound the one-sparse loss of every arrangement of equal norms and biases.

    Parameters
    ----------
    n : int
        Features, >= 2.
    m : int
        Dimensions, >= 2.
    degree : int
        Degree of the polynomial.

    Returns
    -------
    OneSparseBound
        The least bound found over squared norm and bias <= 0.

    Raises
    ------
    TypeError
        If n or m is not a whole number.
    ValueError
        If n or m is below 2.

    Notes
    -----
    Every (g, b) has its own rigorous bound; the minimum over them is searched, not proved. Norms or biases that
    differ are not covered: the best bias of a row is a concave function of its law, and averaging over rows goes the
    wrong way.

    References
    ----------
    Delsarte, Goethals and Seidel 1977, "Spherical codes and designs"; Yudin 1993, "Minimum potential energy of a point
    system of charges"; Cohn and Kumar 2007, "Universally optimal distribution of points on spheres".

    Examples
    --------
    >>> round(one_sparse_bound(5, 2).bound, 6)  # the pentagon's loss
    0.079128
    """
    _shape(n, m)
    if n < 2 or m < 2:
        raise ValueError(f"the bound is for at least 2 features in at least 2 dimensions, got n = {n}, m = {m}")
    rough = np.array([[_rough(n, m, g, share * g) for share in _SHARES] for g in _COUPLINGS])
    padded = np.pad(rough, 1, constant_values=np.inf)
    around = [padded[1 + i : 11 + i, 1 + j : 14 + j] for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)]
    least = np.argwhere(rough <= np.min(around, axis=0))
    order = np.argsort(rough[tuple(least.T)], kind="stable")[:_FOLLOWED]
    options = {"xatol": 1e-4, "fatol": 1e-8, "maxfev": 80}
    ends = []
    for i, j in least[order]:
        start = [np.log(_COUPLINGS[i]), _SHARES[j]]
        ends.append(_simplex(lambda x: _rough(n, m, *_point(x)), start, options))
    last = min(ends, key=lambda end: end.fun).x
    simplex = last + np.array([[0.0, 0.0], [2e-3, 0.0], [0.0, 2e-3]])
    fine = {"xatol": 1e-6, "fatol": 1e-10, "maxfev": 60, "initial_simplex": simplex}
    found = _simplex(lambda x: bound_at(n, m, *_point(x), degree).bound, last, fine)
    return bound_at(n, m, *_point(found.x), degree)


def _simplex(value: Callable[[ndarray], float], x: object, options: object) -> OptimizeResult:
    """Nelder and Mead's method: the bound has kinks."""
    return minimize(value, x, method="Nelder-Mead", options=options)  # type: ignore[call-overload]


def _point(x: Float[ndarray, " 2"]) -> tuple[float, float]:
    """Squared norm and bias from log g and b / g."""
    g = float(np.exp(x[0]))
    return g, min(float(x[1]) * g, 0.0)


def _rough(n: int, m: int, g: float, b: float) -> float:
    """The bound on a grid of cosines, good enough to see where its minima lie."""
    cosines = np.unique(np.r_[np.cos(np.linspace(0, np.pi, _COSINES)), -b / g])
    P = gegenbauer(m, _ROUGH, cosines)[0][1:]
    found = linprog(
        _f(cosines, g, b) / _UNIT,
        A_ub=-P,
        b_ub=np.full(_ROUGH, 1 / (n - 1)),
        A_eq=np.ones((1, len(cosines))),
        b_eq=[1.0],
    )
    return n * _own(g, b) + n * (n - 1) * _UNIT * (found.fun if found.fun is not None else 0.0)

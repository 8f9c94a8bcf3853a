"""One-sparse optima by another route: roots of the stationarity equations in multi-precision arithmetic.

For an output with own coupling g = r^2, couplings c to the other features and bias b <= 0, the textbook
integrals give its share of L_1,

    1/3 - 2 [g/3 + b/2 - b^3 / (6 g^2)] + sum_{c > 0, c + b > 0} (c + b)^3 / (3 c) ,

the sum including its own coupling. These formulas divide by couplings and cancel, so floating point avoids
them; with enough digits they check what SciPy finds.
"""

from collections.abc import Mapping
from fractions import Fraction
from functools import partial
from typing import Any

import mpmath
from numpy import ndarray

from theory.geometry.polytopes import Polytope
from theory.geometry.vertices import antiprism, deformed, polygon

__all__ = ["one_sparse_root"]

# Digits carried beyond those asked for: numerical derivatives and divisions by couplings use up half.
_GUARD = 40
_LARGEST_DENOMINATOR = 1000

Values = Mapping[str, Any]


def _cosines(polytope: Polytope, values: Values) -> list[list[Any]]:
    """Cosines between the first vertex of every orbit and all vertices, at the working precision."""
    construct, v = polytope.construct, polytope.v
    builder, arguments = (construct.func, construct.args) if isinstance(construct, partial) else (construct, ())
    if builder is polygon:
        return [[mpmath.cos(2 * mpmath.pi * j / v) for j in range(v)]]
    if builder is antiprism:  # vertices alternate between the two polygons: odd ones lie on the other side
        flat, steep = 1 - values["height"] ** 2, values["height"] ** 2
        return [[flat * mpmath.cos(2 * mpmath.pi * j / v) + (-1) ** j * steep for j in range(v)]]
    if builder is deformed:
        default, ways = arguments
        return _deformed_cosines(polytope, default, ways, values)
    U = polytope.directions()
    return [[_algebraic(float(c)) for c in U.T @ U[:, 0]]]


def _deformed_cosines(polytope: Polytope, default: ndarray, ways: ndarray, values: Values) -> list[list[Any]]:
    """Directions of the table plus deformations, whose stored digits count as exact."""
    U = mpmath.matrix(default.tolist())
    for name, way in zip(polytope.shape, ways, strict=True):
        U += values[name] * mpmath.matrix(way.tolist())
    columns = [U[:, j] / mpmath.norm(U[:, j]) for j in range(polytope.v)]
    firsts = [polytope.orbits.index(orbit) for orbit in range(max(polytope.orbits) + 1)]
    return [[mpmath.fdot(columns[i], columns[j]) for j in range(polytope.v)] for i in firsts]


def _algebraic(cosine: float) -> Any:
    """Continue a cosine of a rigid polytope to all digits: its square is a fraction with a small denominator."""
    square = Fraction(cosine**2).limit_denominator(_LARGEST_DENOMINATOR)
    exact = mpmath.sign(cosine) * mpmath.sqrt(mpmath.mpf(square.numerator) / square.denominator)
    if abs(exact - cosine) > 1e-12:
        raise ValueError(f"the square of the cosine {cosine!r} is no simple fraction")
    return exact


def _loss(polytope: Polytope, values: Values) -> Any:
    """Textbook form of L_1, for biases <= 0 and own couplings that exceed them."""
    norms = [values[name] for name in polytope.norm_names]
    total = mpmath.mpf(0)
    for orbit, row in enumerate(_cosines(polytope, values)):
        g, b = norms[orbit] ** 2, values[polytope.bias_names[orbit]]
        couplings = [norms[orbit] * norms[k] * c for c, k in zip(row, polytope.orbits, strict=True)]
        error = mpmath.mpf(1) / 3 - 2 * (g / 3 + b / 2 - b**3 / (6 * g**2))
        error += sum((c + b) ** 3 / (3 * c) for c in couplings if c > 0 and c + b > 0)
        total += polytope.orbits.count(orbit) * error
    return total


def one_sparse_root(polytope: Polytope, near: Mapping[str, float], digits: int = 30) -> dict[str, Any]:
    """
    Solve the equations dL_1/d(parameter) = 0 near a known solution.

    Parameters
    ----------
    polytope : Polytope
        A catalogue entry of at least one dimension.
    near : mapping from str to float
        Its parameters, to start from, with biases <= 0.
    digits : int
        Digits of the result.

    Returns
    -------
    dict from str to mpmath.mpf
        The parameters, and under "loss" the one-sparse loss there. Where no two vertices have a positive
        cosine the equations are degenerate, and the loss of norm 1 and bias 0 is exactly zero, hence
        smallest: that is given.

    Raises
    ------
    ValueError
        If the polytope has no dimensions, or the solution lies at a bias > 0.
    """
    if not polytope.d:
        raise ValueError(f"{polytope.name} has no dimensions, and no norm to solve for")
    with mpmath.workdps(digits + _GUARD):
        start = {name: mpmath.mpf(near[name]) for name in polytope.parameters}
        if sum(c > 0 for row in _cosines(polytope, start) for c in row) == 1:  # only the vertex itself
            exact = {"norm": mpmath.mpf(1), "bias": mpmath.mpf(0)}
            return {**exact, "loss": _loss(polytope, exact)}

        def slopes(*x: Any) -> list[Any]:
            def loss(*y: Any) -> Any:
                return _loss(polytope, dict(zip(start, y, strict=True)))

            return [mpmath.diff(loss, x, tuple(int(i == k) for i in range(len(x)))) for k in range(len(x))]

        root = mpmath.findroot(slopes, list(start.values()), tol=mpmath.mpf(10) ** (-2 * digits))
        values = dict(zip(start, root, strict=True))
        highest = max(values[name] for name in polytope.bias_names)
        if highest > 0:
            raise ValueError(f"{polytope.name}: the equations led to the bias {mpmath.nstr(highest, 5)} > 0")
        return {**values, "loss": _loss(polytope, values)}

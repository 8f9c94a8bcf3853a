"""One-sparse optima by another route: roots of the stationarity equations in multi-precision arithmetic.

For one orbit of v vertices with norm r, own coupling g = r^2 and bias b <= 0, the textbook integrals give

    L_1 / v = 1/3 - 2 [g/3 + b/2 - b^3 / (6 g^2)] + sum_{c > 0, g c + b > 0} (g c + b)^3 / (3 g c) ,

the sum over the cosines c between one vertex and all of them, itself (c = 1) included. These formulas divide
by couplings and cancel, so floating point avoids them; with enough digits they check what SciPy finds.
"""

from functools import partial
from typing import Any

import mpmath

from theory.polytopes import Polytope
from theory.vertices import antiprism, polygon

__all__ = ["one_sparse_root"]

# Digits carried beyond those asked for: numerical derivatives and divisions by couplings use up half.
_GUARD = 40


def _cosines(polytope: Polytope, height: Any) -> list[Any]:
    """Cosines between the first vertex and all vertices, at the working precision."""
    builder, arguments = _builder(polytope)
    if builder is polygon:
        return [mpmath.cos(2 * mpmath.pi * j / polytope.v) for j in range(polytope.v)]
    if builder is antiprism:  # vertices alternate between the two polygons: odd ones lie on the other side
        flat, step = 1 - height**2, mpmath.pi / arguments[0]
        return [flat * mpmath.cos(step * j) + (-1) ** j * height**2 for j in range(polytope.v)]
    U = polytope.directions()
    return [_inverse_root(float(c)) for c in U.T @ U[:, 0]]


def _builder(polytope: Polytope) -> tuple[Any, tuple[Any, ...]]:
    construct = polytope.construct
    return (construct.func, construct.args) if isinstance(construct, partial) else (construct, ())


def _inverse_root(cosine: float) -> Any:
    """Continue a cosine of a rigid polytope to all digits: each is 0 or +-1/sqrt(k), k a whole number."""
    if abs(cosine) < 1e-12:
        return mpmath.mpf(0)
    exact = mpmath.sign(cosine) / mpmath.sqrt(round(cosine**-2))
    if abs(exact - cosine) > 1e-12:
        raise ValueError(f"the cosine {cosine!r} is not 1 / sqrt(k) for a whole number k")
    return exact


def _loss(polytope: Polytope, norm: Any, bias: Any, height: Any) -> Any:
    """Textbook form of L_1, for bias <= 0 and norm^2 + bias > 0."""
    g, b = norm**2, bias
    own = mpmath.mpf(1) / 3 - 2 * (g / 3 + b / 2 - b**3 / (6 * g**2))
    couplings = [g * c for c in _cosines(polytope, height) if c > 0 and g * c + b > 0]
    return polytope.v * (own + sum((c + b) ** 3 / (3 * c) for c in couplings))


def one_sparse_root(polytope: Polytope, near: dict[str, float], digits: int = 30) -> dict[str, Any]:
    """
    Solve the equations dL_1/d(parameter) = 0 near a known solution.

    Parameters
    ----------
    polytope : Polytope
        A catalogue entry with one orbit in at least one dimension; its parameters are norm, bias and for
        antiprisms the height.
    near : dict from str to float
        Parameters to start from, with a bias <= 0.
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
        If the polytope has several orbits or no dimensions, or the solution lies at a bias > 0.
    """
    if max(polytope.orbits) > 0 or not polytope.d:
        raise ValueError(f"{polytope.name} must have one orbit and at least one dimension")
    with mpmath.workdps(digits + _GUARD):
        height = mpmath.mpf(near.get("height", 0.0))
        if sum(c > 0 for c in _cosines(polytope, height)) == 1:  # only the vertex itself
            return {
                "norm": mpmath.mpf(1),
                "bias": mpmath.mpf(0),
                "loss": _loss(polytope, mpmath.mpf(1), 0, height),
            }
        names = [name for name in ("norm", "bias", "height") if name in near]

        def loss(*x: Any) -> Any:
            values = dict(zip(names, x, strict=True))
            return _loss(polytope, values["norm"], values["bias"], values.get("height", height))

        orders = [tuple(int(i == k) for i in range(len(names))) for k in range(len(names))]
        root = mpmath.findroot(
            lambda *x: [mpmath.diff(loss, x, order) for order in orders],
            [mpmath.mpf(near[name]) for name in names],
            tol=mpmath.mpf(10) ** (-2 * digits),
        )
        if root[1] > 0:
            raise ValueError(f"{polytope.name}: the equations led to the bias {mpmath.nstr(root[1], 5)} > 0")
        return {**dict(zip(names, root, strict=True)), "loss": loss(*root)}

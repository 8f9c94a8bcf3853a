"""Where two idealised candidates have equal losses, solved for r and for p, and where that is a boundary.

An idealised loss is a polynomial in the density p and linear in the extra feature's importance r. The
difference of two is factored; a factor that vanishes nowhere in 0 < p <= 1, r > 0 is dropped, the others are
the boundaries. A part of a boundary shows in the phase diagram if no third candidate is lower there; where
such a part ends inside the diagram, three or more candidates meet.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import combinations

import sympy

from theory.symbolic.algebra.formula import Formula, expression
from theory.symbolic.algebra.intervals import where
from theory.symbolic.algebra.shown import Shown, typeset
from theory.symbolic.algebra.symbols import density, relative_importance
from theory.symbolic.candidates import derive_candidates

__all__ = ["Boundary", "MeetingPoint", "derive_boundaries", "derive_meeting_points"]

DENSITIES = sympy.Interval.Lopen(0, 1)
IMPORTANCES = sympy.Interval.open(0, sympy.oo)


@dataclass(frozen=True)
class Boundary(Shown):
    """
    The curve in the plane of density p and importance r where two idealised candidates have the same loss.

    Parameters
    ----------
    first, second : str
        Names of the candidates.
    equation : Expr
        Polynomial in p and r that vanishes on the curve.
    importance : Formula or None
        Importance r as a function of p, with the densities it holds for; None if the curve is p = constant.
    density : Formula or None
        Density p as a function of r, with the importances it holds for; None if the curve is r = constant.
    visible : Set
        The densities (or importances, if the curve is p = constant) where no third candidate is lower.
    """

    first: str
    second: str
    equation: sympy.Expr
    importance: Formula | None
    density: Formula | None
    visible: sympy.Set = field(default=sympy.S.EmptySet)

    def _latex(self) -> str:
        for left, formula in (("p", self.density), ("r", self.importance)):
            if formula is not None:
                return typeset(left, formula.expression, formula.holds)
        return typeset("0", self.equation)

    @property
    def is_visible(self) -> bool:
        """Whether the phase diagram shows more than a point of it."""
        return bool(self.visible.measure > 0)

    @property
    def along(self) -> sympy.Symbol:
        """The symbol that ``visible`` speaks of: p, or r if the curve is p = constant."""
        return relative_importance() if self.importance is None else density()

    def point(self, value: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr]:
        """
        Give a point of the curve.

        Parameters
        ----------
        value : Expr
            Value of the symbol ``along``.

        Returns
        -------
        tuple of Expr
            The point (p, r).

        Raises
        ------
        TypeError
            If the value is neither a number nor an expression; text is never executed.
        """
        given = expression(value)
        if self.importance is None:
            assert self.density is not None
            return self.density.expression, given
        return given, self.importance.expression.xreplace({density(): given})


@dataclass(frozen=True)
class MeetingPoint(Shown):
    """
    A point of the phase diagram where three or more idealised candidates are lowest together.

    Parameters
    ----------
    density, importance : Expr
        The point (p, r), exact.
    candidates : tuple of str
        Who meets there.
    loss : Expr
        Their loss.
    """

    density: sympy.Expr
    importance: sympy.Expr
    candidates: tuple[str, ...]
    loss: sympy.Expr

    def _latex(self) -> str:
        named = (("p", self.density), ("r", self.importance), ("L", self.loss))
        return r",\quad ".join(typeset(left, value) for left, value in named)


@lru_cache(maxsize=64)
def derive_boundaries(n: int, m: int) -> tuple[Boundary, ...]:
    """
    Derive all boundaries between the idealised candidates for n features in m dimensions.

    Parameters
    ----------
    n : int
        Number of features, >= 1; the last one is the extra feature.
    m : int
        Number of hidden dimensions, 1 <= m <= n.

    Returns
    -------
    tuple of Boundary
        One for each pair of candidates and curve; none for pairs whose losses agree nowhere in the diagram.

    Raises
    ------
    TypeError
        If n or m is not a whole number.
    ValueError
        If n or m is below 1, or m exceeds n.

    References
    ----------
    Elhage et al. 2022, "Toy Models of Superposition", section "Superposition as a Phase Change".

    Examples
    --------
    >>> [boundary.density.expression for boundary in derive_boundaries(2, 1) if boundary.density]
    [4*r/(5*r + 2), 4/(2*r + 5)]
    """
    losses = {name: candidate.ideal.expression for name, candidate in derive_candidates(n, m).items()}
    return tuple(boundary for first, second in combinations(losses, 2) for boundary in _between(first, second, losses))


def _between(first: str, second: str, losses: Mapping[str, sympy.Expr]) -> list[Boundary]:
    """Find the curves where two losses agree."""
    p, r = density(), relative_importance()
    _, factors = sympy.factor_list(losses[first] - losses[second], p, r)
    others = [loss - losses[first] for name, loss in losses.items() if name not in (first, second)]
    curves = []
    for equation, _ in factors:
        importance, solved = _solve(equation, r, p), _solve(equation, p, r)
        if importance is not None or solved is not None:
            curve = Boundary(first, second, equation, importance, solved)
            curves.append(replace(curve, visible=_visible_part(curve, others)))
    return curves


@lru_cache(maxsize=256)
def _solve(equation: sympy.Expr, unknown: sympy.Symbol, parameter: sympy.Symbol) -> Formula | None:
    """Solve an equation that is linear in the unknown; None if that gives nothing inside the diagram."""
    if sympy.degree(equation, unknown) != 1:
        return None
    slope, constant = sympy.Poly(equation, unknown).all_coeffs()
    solution = sympy.cancel(-constant / slope)
    domain, bounded = (DENSITIES, []) if unknown == relative_importance() else (IMPORTANCES, [1 - solution])
    valid = where(parameter, domain, positive=[solution], nonnegative=bounded)
    if not valid.measure > 0:
        return None
    holds = valid.as_relational(parameter)
    return Formula(_positive_fraction(solution, parameter, valid), holds)


def _positive_fraction(solution: sympy.Expr, parameter: sympy.Symbol, valid: sympy.Set) -> sympy.Expr:
    """Write a positive fraction with a positive denominator."""
    numerator, denominator = (sympy.expand(part) for part in sympy.fraction(solution))
    piece = valid.args[0] if isinstance(valid, sympy.Union) else valid
    inside = piece.start + 1 if piece.end == sympy.oo else (piece.start + piece.end) / 2
    sign = sympy.sign(denominator.xreplace({parameter: inside}))
    return sympy.expand(sign * numerator) / sympy.expand(sign * denominator)


def _visible_part(curve: Boundary, others: list[sympy.Expr]) -> sympy.Set:
    """Find where no other candidate has a lower loss."""
    p, r = density(), relative_importance()
    if curve.importance is not None:
        rho = curve.importance.expression
        excess = [other.xreplace({r: rho}) for other in others]
        return where(p, DENSITIES, positive=[rho], nonnegative=excess)
    assert curve.density is not None
    return where(r, IMPORTANCES, nonnegative=[x.xreplace({p: curve.density.expression}) for x in others])


@lru_cache(maxsize=64)
def derive_meeting_points(n: int, m: int) -> tuple[MeetingPoint, ...]:
    """
    Derive the points where three or more idealised candidates are lowest together (triple points).

    Parameters
    ----------
    n : int
        Number of features, >= 1; the last one is the extra feature.
    m : int
        Number of hidden dimensions, 1 <= m <= n.

    Returns
    -------
    tuple of MeetingPoint
        By increasing density; only points inside the diagram, 0 < p <= 1 and r > 0.

    Raises
    ------
    TypeError
        If n or m is not a whole number.
    ValueError
        If n or m is below 1, or m exceeds n.

    Examples
    --------
    >>> [(point.density, point.importance) for point in derive_meeting_points(2, 1)]
    [(4/7, 1)]
    """
    losses = {name: candidate.ideal.expression for name, candidate in derive_candidates(n, m).items()}
    ends = set()
    for boundary in derive_boundaries(n, m):
        if boundary.is_visible:
            for end in boundary.visible.boundary:
                point = boundary.point(end)
                if point[0] in DENSITIES and point[1] in IMPORTANCES:
                    ends.add(point)
    found = [_meeting_at(p, r, losses) for p, r in sorted(ends, key=lambda point: (point[0], point[1]))]
    return tuple(point for point in found if len(point.candidates) > 2)


def _meeting_at(p: sympy.Expr, r: sympy.Expr, losses: Mapping[str, sympy.Expr]) -> MeetingPoint:
    point = {density(): p, relative_importance(): r}
    values = {name: sympy.simplify(loss.xreplace(point)) for name, loss in losses.items()}
    lowest = min(values.values())
    candidates = tuple(name for name, value in values.items() if sympy.simplify(value - lowest) == 0)
    return MeetingPoint(p, r, candidates, lowest)

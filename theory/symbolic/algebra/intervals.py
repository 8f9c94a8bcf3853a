"""Where rational functions of one variable are positive, exactly: signs change only at zeros and poles."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import sympy

from theory.symbolic.algebra.formula import expression

__all__ = ["where"]


@dataclass(frozen=True)
class _Condition:
    fraction: sympy.Expr
    strict: bool

    @property
    def numerator(self) -> sympy.Expr:
        return sympy.fraction(self.fraction)[0]

    @property
    def denominator(self) -> sympy.Expr:
        return sympy.fraction(self.fraction)[1]

    def holds_at(self, variable: sympy.Symbol, point: sympy.Expr) -> bool:
        below = self.denominator.xreplace({variable: point})
        if below == 0:  # a pole belongs to no interval
            return False
        value = sympy.simplify(self.numerator.xreplace({variable: point}) / below)
        return bool(value > 0 if self.strict else value >= 0)


def where(
    variable: sympy.Symbol,
    domain: sympy.Interval,
    positive: Iterable[sympy.Expr] = (),
    nonnegative: Iterable[sympy.Expr] = (),
) -> sympy.Set:
    """
    Find where rational functions of one variable are positive or non-negative, all at once.

    Parameters
    ----------
    variable : Symbol
        The variable.
    domain : Interval
        Where to look.
    positive, nonnegative : iterable of Expr
        Rational functions of the variable.

    Returns
    -------
    Set
        Union of intervals and points.

    Examples
    --------
    >>> x = sympy.Symbol("x")
    >>> where(x, sympy.Interval(0, sympy.oo), positive=[3 - x], nonnegative=[x**2 - 1])
    Interval.Ropen(1, 3)
    """
    conditions = [_Condition(sympy.cancel(expression(function)), strict=True) for function in positive]
    conditions += [_Condition(sympy.cancel(expression(function)), strict=False) for function in nonnegative]
    special = _special_points(conditions, variable, domain)
    pieces = [sympy.FiniteSet(point) for point in special if _all_hold(conditions, variable, point)]
    inner = [point for point in special if domain.start < point < domain.end]
    for start, end in pairwise([domain.start, *inner, domain.end]):
        middle = start + 1 if end == sympy.oo else (start + end) / 2
        if _all_hold(conditions, variable, middle):
            pieces.append(sympy.Interval.open(start, end))
    return sympy.Union(*pieces)


def _special_points(
    conditions: Sequence[_Condition], variable: sympy.Symbol, domain: sympy.Interval
) -> list[sympy.Expr]:
    """Collect zeros, poles and the domain's own ends, in increasing order."""
    points = {end for end in (domain.start, domain.end) if end in domain}
    for polynomial in {part for c in conditions for part in (c.numerator, c.denominator)}:
        if polynomial.has(variable):
            points |= {root for root in sympy.real_roots(polynomial, variable) if root in domain}
    return sorted(points)


def _all_hold(conditions: Sequence[_Condition], variable: sympy.Symbol, point: sympy.Expr) -> bool:
    return all(condition.holds_at(variable, point) for condition in conditions)

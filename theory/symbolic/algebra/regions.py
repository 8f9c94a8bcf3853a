"""The polynomial pieces of formulas with ReLUs: those around a point, and the region where they hold."""

from collections.abc import Iterable, Mapping, Sequence

import sympy
from sympy.logic.boolalg import Boolean

from theory.symbolic.algebra.formula import Formula, expression
from theory.symbolic.algebra.symbols import ReLU

__all__ = ["on_region", "shortest"]


def on_region(expressions: Sequence[sympy.Expr], point: Mapping[sympy.Symbol, sympy.Expr]) -> tuple[Formula, ...]:
    """
    Replace every ReLU by its argument or by zero, as it is at a point.

    Parameters
    ----------
    expressions : sequence of Expr
        Formulas with ReLUs.
    point : mapping of Symbol to number
        A value for every symbol inside a ReLU.

    Returns
    -------
    tuple of Formula
        The pieces; all have the same condition, the region of signs around the point.

    Raises
    ------
    ValueError
        If the point leaves a sign open.

    Examples
    --------
    >>> b = sympy.Symbol("b", real=True)
    >>> on_region([ReLU(b) + ReLU(b - 1)], {b: sympy.Rational(1, 2)})
    (Formula(expression=b, holds=(b >= 0) & (b - 1 <= 0)),)
    """
    expressions = [expression(each) for each in expressions]
    exactly = {symbol: expression(value) for symbol, value in point.items()}
    replacement = {}
    at_most_zero: list[sympy.Expr] = []
    at_least_zero: list[sympy.Expr] = []
    for relu in sorted(sympy.Tuple(*expressions).atoms(ReLU), key=sympy.default_sort_key):
        argument = relu.args[0]
        value = argument.xreplace(exactly)
        if not value.is_number:
            missing = sorted(str(symbol) for symbol in value.free_symbols)
            raise ValueError(f"the point must give a value to {', '.join(missing)}")
        # on the border both pieces agree; the silent one is shorter
        replacement[relu] = argument if value > 0 else sympy.S.Zero
        (at_least_zero if value > 0 else at_most_zero).append(argument)
    conditions: list[Boolean] = [v <= 0 for v in _binding(at_most_zero, 1)]
    conditions += [v >= 0 for v in _binding(at_least_zero, -1)]
    holds = sympy.And(*conditions)
    return tuple(Formula(each.xreplace(replacement), holds) for each in expressions)


def _binding(arguments: list[sympy.Expr], sign: int) -> list[sympy.Expr]:
    """Keep those whose sign does not follow from another's: the largest, or for sign -1 the smallest."""
    return [
        v
        for v in arguments
        if not any(other != v and sympy.expand(sign * (other - v)).is_nonnegative for other in arguments)
    ]


def shortest(forms: Iterable[sympy.Expr]) -> sympy.Expr:
    """
    Choose the form of an expression that a reader would prefer: the one with the fewest operations.

    Parameters
    ----------
    forms : iterable of Expr
        Equal expressions, in order of preference.

    Returns
    -------
    Expr
        The shortest, the earliest of several.
    """
    return min(map(expression, forms), key=sympy.count_ops)

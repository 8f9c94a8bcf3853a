"""A formula together with where it holds; it refuses to be evaluated anywhere else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sympy
from sympy.logic.boolalg import Boolean

from theory.symbolic.algebra.shown import Shown, typeset
from theory.tools.expressions import expression

__all__ = ["Formula", "exact", "expression"]


def exact(number: Any) -> sympy.Expr:
    """
    Read a number without rounding: an integer, a fraction, a float, or a SymPy number.

    Parameters
    ----------
    number : number
        What to read; a float stands for the rational number it stores.

    Returns
    -------
    Expr
        The same number, exact.

    Raises
    ------
    TypeError
        If it is no number, text included.
    """
    value = expression(number)
    return sympy.Rational(value) if value.is_Float else value


@dataclass(frozen=True)
class Formula(Shown):
    """
    An expression and the condition under which it is true.

    Parameters
    ----------
    expression : Expr
        The formula.
    holds : Boolean
        Where it holds; everywhere by default.

    Notes
    -----
    Values are taken as the exact numbers they are, and the arithmetic is exact. That matters: many of these
    formulas divide alternating sums of high powers by products of couplings, which cancels in floating point.

    Examples
    --------
    >>> p = sympy.Symbol("p", positive=True)
    >>> Formula(p / 3 - p**2 / 4, holds=p <= 1).at(p=sympy.Rational(1, 2))
    5/48
    """

    expression: sympy.Expr
    holds: Boolean = field(default=sympy.true)

    def __post_init__(self) -> None:
        """Refuse text, which SymPy would execute later."""
        if not isinstance(self.expression, sympy.Basic) or not isinstance(self.holds, Boolean):
            raise TypeError(
                f"a formula is a SymPy expression and a condition, got {self.expression!r} and {self.holds!r}; "
                "text is not executed"
            )

    @property
    def symbols(self) -> tuple[sympy.Symbol, ...]:
        """The symbols that need a value, by name."""
        free = self.expression.free_symbols | self.holds.free_symbols
        return tuple(sorted(free, key=lambda symbol: str(symbol.name)))

    def _latex(self) -> str:
        return typeset("", self.expression, self.holds)

    def at(self, values: Mapping[str, Any] | None = None, /, **named: Any) -> sympy.Expr:
        """
        Evaluate the formula, exactly where the numbers are rational.

        Parameters
        ----------
        values : mapping of str to number, optional
            Value of each symbol, by name; names that do not occur are ignored.
        **named : number
            The same, as keywords.

        Returns
        -------
        Expr
            The value, a SymPy number.

        Raises
        ------
        TypeError
            If a value is no number; text is never executed.
        ValueError
            If a symbol has no value, or the formula does not hold at this point.
        """
        given = {**(values or {}), **named}
        missing = [symbol.name for symbol in self.symbols if symbol.name not in given]
        if missing:
            raise ValueError(f"the formula needs a value for {', '.join(missing)}")
        point = {symbol: exact(given[symbol.name]) for symbol in self.symbols}
        for symbol, value in point.items():
            if symbol.is_positive and value <= 0:
                raise ValueError(f"{symbol.name} must be positive, got {value}")
        if self.holds.xreplace(point) != sympy.true:
            where = ", ".join(f"{symbol.name} = {value}" for symbol, value in point.items())
            raise ValueError(f"the formula holds where {self.holds}, not at {where}")
        return self.expression.xreplace(point)

"""The kinds of output the named candidates are made of, each with its exact loss for a free norm and bias.

An output is not represented (N), has a dimension to itself (D), shares it with an opposite feature (P, one of
a pair), or belongs to an equilateral triangle (T). The loss of a candidate is the sum of its outputs' losses,
weighted by importance.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import sympy

from theory.symbolic.active_sets import Expansion, derive_output
from theory.symbolic.algebra.formula import Formula, expression
from theory.symbolic.algebra.regions import on_region, shortest
from theory.symbolic.algebra.symbols import density
from theory.symbolic.moments import expect_polynomial

__all__ = ["OutputLoss", "derive_outputs", "output_of_kind"]


@dataclass(frozen=True)
class OutputLoss:
    """
    The exact loss of one kind of output, E (x_i - ReLU(z))^2.

    Parameters
    ----------
    letter : str
        How formulas refer to it.
    title : str
        Which outputs are of this kind, as prose with formulas between dollar signs.
    arguments : tuple of Symbol
        Norms (> 0) and, last, the bias.
    ideal : tuple of Expr
        Their idealised values: norm 1 and bias 0 if represented, else the bias that is best.
    expansion : Expansion
        The loss by number of active features, out of the feature itself and those it is coupled to.
    """

    letter: str
    title: str
    arguments: tuple[sympy.Symbol, ...]
    ideal: tuple[sympy.Expr, ...]
    expansion: Expansion

    def at(self, *values: sympy.Expr) -> sympy.Expr:
        """
        Write the loss for other norms and another bias.

        Parameters
        ----------
        *values : Expr
            One for each argument; a norm must be positive.

        Returns
        -------
        Expr
            The loss, for all signs of what stands inside a ReLU.
        """
        return self.expansion.total.xreplace(dict(zip(self.arguments, map(expression, values), strict=True)))

    @cached_property
    def near_ideal(self) -> tuple[Formula, ...]:
        """The piece of each A_k: norms about 1, bias slightly below 0 (above, if not represented)."""
        *norms, b = self.arguments
        point = dict.fromkeys(norms, sympy.S.One) | {b: sympy.Rational(-1 if norms else 1, 100)}
        pieces = on_region(self.expansion.terms, point)
        return tuple(Formula(_short(piece.expression), piece.holds) for piece in pieces)

    def near_ideal_at(self, *values: sympy.Expr) -> Formula:
        """
        Write the piece of the loss around the idealised solution for other norms and another bias.

        Parameters
        ----------
        *values : Expr
            One for each argument.

        Returns
        -------
        Formula
            The loss without ReLUs, with the region of signs where it holds.
        """
        total = sympy.Add(*(self.expansion.weight(k) * piece.expression for k, piece in enumerate(self.near_ideal)))
        renamed = dict(zip(self.arguments, map(expression, values), strict=True))
        return Formula(total.xreplace(renamed), self.near_ideal[0].holds.xreplace(renamed))


_LETTERS = ("N", "D", "P", "T")


def derive_outputs() -> dict[str, OutputLoss]:
    """
    Derive the exact losses of all kinds of output.

    Returns
    -------
    dict of str to OutputLoss
        By letter: N, D, P, T.

    Examples
    --------
    >>> derive_outputs()["D"].expansion.terms[0]
    ReLU(b)**2
    """
    return {letter: output_of_kind(letter) for letter in _LETTERS}


@lru_cache(maxsize=len(_LETTERS))
def output_of_kind(letter: str) -> OutputLoss:
    """
    Derive the exact loss of one kind of output.

    Parameters
    ----------
    letter : str
        N, D, P or T, which takes longest.

    Returns
    -------
    OutputLoss
        As ``derive_outputs`` gives it.

    Examples
    --------
    >>> output_of_kind("D").title
    'dedicated, norm $w$'
    """
    w, v = sympy.symbols("w v", positive=True)
    b = sympy.Symbol("b", real=True)
    zero, one = sympy.S.Zero, sympy.S.One
    pair = "one of an antipodal pair, norm $w$, its partner's norm $v$"
    kinds: dict[str, tuple[str, tuple[sympy.Symbol, ...], tuple[sympy.Expr, ...], sympy.Expr, list[sympy.Expr]]] = {
        "N": ("not represented", (b,), (_best_constant(),), zero, []),
        "D": ("dedicated, norm $w$", (w, b), (one, zero), w**2, []),
        "P": (pair, (w, v, b), (one, one, zero), w**2, [-w * v]),
        "T": ("one of an equilateral triangle, norm $w$", (w, b), (one, zero), w**2, [-(w**2) / 2] * 2),
    }
    title, arguments, ideal, own, others = kinds[letter]
    return OutputLoss(letter, title, arguments, ideal, derive_output(own, others, b))


def _short(expression: sympy.Expr) -> sympy.Expr:
    expanded = sympy.expand(expression)
    return shortest([expression, expanded])


@lru_cache(maxsize=1)
def _best_constant() -> sympy.Expr:
    """Minimise E (x - b)^2 over the constant b."""
    x, b = sympy.symbols("x b")
    error = expect_polynomial((x - b) ** 2, [x], [density()])
    slope, constant = sympy.Poly(sympy.diff(error, b), b).all_coeffs()
    return -constant / slope

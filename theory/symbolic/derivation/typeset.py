"""Expressions, conditions and sets as one line of plain text or of LaTeX, low powers first."""

import re
from collections.abc import Callable
from typing import Any

import sympy
from sympy.logic.boolalg import Boolean
from sympy.printing.latex import LatexPrinter
from sympy.printing.str import StrPrinter

__all__ = ["condition_latex", "condition_plain", "latex", "ordered_terms", "plain", "prose_plain"]


def ordered_terms(expression: sympy.Expr) -> list[sympy.Expr]:
    """
    List the terms of a sum as they are printed: low powers first, and a positive term before all others.

    Parameters
    ----------
    expression : Expr
        A sum, or a single term.

    Returns
    -------
    list of Expr
        Its terms.
    """
    terms = list(expression.as_ordered_terms(order="rev-lex"))
    positive = next((k for k, term in enumerate(terms) if not term.could_extract_minus_sign()), 0)
    return [terms[positive], *terms[:positive], *terms[positive + 1 :]]


class _LowPowersFirst:
    """Print p/3 - p^2/4 rather than -p^2/4 + p/3."""

    def _as_ordered_terms(self, expr: sympy.Expr, order: Any = None) -> list[sympy.Expr]:
        return ordered_terms(expr)


class _Plain(_LowPowersFirst, StrPrinter):  # type: ignore[misc]  # SymPy has no type information
    def _print_ImmutableDenseMatrix(self, matrix: sympy.ImmutableMatrix) -> str:
        return str(self.doprint(matrix.tolist()))


class _Latex(_LowPowersFirst, LatexPrinter):  # type: ignore[misc]
    pass


def plain(expression: sympy.Basic) -> str:
    """
    Write an expression as text.

    Parameters
    ----------
    expression : Basic
        Any SymPy expression.

    Returns
    -------
    str
        One line, powers as ``^``.

    Examples
    --------
    >>> p = sympy.Symbol("p")
    >>> plain(p / 3 - p**2 / 4)
    'p/3 - p^2/4'
    """
    return str(_Plain().doprint(expression)).replace("**", "^")


def latex(expression: sympy.Basic) -> str:
    r"""
    Write an expression as LaTeX.

    Parameters
    ----------
    expression : Basic
        Any SymPy expression.

    Returns
    -------
    str
        One line, for math mode.

    Examples
    --------
    >>> p = sympy.Symbol("p")
    >>> print(latex(p / 3 - p**2 / 4))
    \frac{p}{3} - \frac{p^{2}}{4}
    """
    return str(_Latex().doprint(expression))


def condition_plain(condition: Boolean) -> str:
    """
    Write a condition as text.

    Parameters
    ----------
    condition : Boolean
        Relation, or conjunction of relations.

    Returns
    -------
    str
        The relations, separated by commas; empty if the condition is always true.

    Examples
    --------
    >>> b = sympy.Symbol("b", real=True)
    >>> condition_plain((b <= 0) & (b > -1))
    '-1 < b <= 0'
    """
    return ", ".join(_relations(condition, plain, {"<": "<", "<=": "<=", "or": " or "}))


def condition_latex(condition: Boolean) -> str:
    """
    Write a condition as LaTeX.

    Parameters
    ----------
    condition : Boolean
        Relation, or conjunction of relations.

    Returns
    -------
    str
        For math mode; empty if the condition is always true.
    """
    return r",\ ".join(_relations(condition, latex, {"<": "<", "<=": r"\leq", "or": r"\text{ or }"}))


def _relations(condition: Boolean, write: Callable[[sympy.Basic], str], words: dict[str, str]) -> list[str]:
    """Write the relations of a conjunction, a lower and an upper limit of one symbol as one chain."""
    if condition == sympy.true:
        return []
    if not isinstance(condition, Boolean):
        raise TypeError(f"a condition of SymPy is needed, got {condition!r}; text is not executed")
    if isinstance(condition, sympy.Or):
        return [words["or"].join(", ".join(_relations(part, write, words)) for part in condition.args)]
    parts = sorted(sympy.And.make_args(condition), key=sympy.default_sort_key)
    if len(parts) == 2 and len(condition.free_symbols) == 1:
        lower, upper = sorted(parts, key=lambda part: not part.lts.is_number)
        if lower.lts.is_number and upper.gts.is_number and lower.gts == upper.lts:
            ends = [write(e) for e in (lower.lts, lower.gts, upper.gts)]
            return [f"{ends[0]} {words[_smaller(lower)]} {ends[1]} {words[_smaller(upper)]} {ends[2]}"]
    return [write(part.reversed if part.lhs.is_number else part) for part in parts]


def _smaller(relation: Boolean) -> str:
    return "<" if isinstance(relation, (sympy.StrictLessThan, sympy.StrictGreaterThan)) else "<="


# What the prose of a report uses inside $...$, and how a plain text says it.
_PLAIN_COMMANDS = {
    r"\cdot": ".",
    r"\neq": "!=",
    r"\leq": "<=",
    r"\sum": "sum",
    r"\operatorname{ReLU}": "ReLU",
    r"\mathrm": "",
}


def prose_plain(prose: str) -> str:
    r"""
    Write prose with simple formulas between dollar signs as text.

    Parameters
    ----------
    prose : str
        LaTeX with no more commands than a report needs.

    Returns
    -------
    str
        The same without markup.

    Raises
    ------
    ValueError
        If a command has no plain form.

    Examples
    --------
    >>> prose_plain(r"the coupling $g_{ij} = W_i \cdot W_j$")
    'the coupling g_ij = W_i . W_j'
    >>> prose_plain("the weight $p (1-p)^{n-1}$")
    'the weight p (1-p)^(n-1)'
    """
    text = prose
    for command, words in _PLAIN_COMMANDS.items():
        text = text.replace(command, words)
    unknown = re.search(r"\\[a-zA-Z]+", text)
    if unknown:
        raise ValueError(f"there is no plain form for {unknown.group()}")
    text = re.sub(r"\^\{([^{}]{2,})\}", r"^(\1)", text)
    return re.sub(r"[{}$]", "", text)

"""How formulas appear in a notebook."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sympy
    from sympy.logic.boolalg import Boolean

__all__ = ["Shown", "typeset"]


class Shown:
    """A formula that a notebook typesets."""

    def _latex(self) -> str:
        """LaTeX for math mode."""
        raise NotImplementedError

    def _repr_latex_(self) -> str:
        """What a notebook shows."""
        return rf"$\displaystyle {self._latex()}$"


def typeset(left: str, expression: "sympy.Expr", holds: "Boolean | None" = None) -> str:
    """
    Write an equation and where it holds.

    Parameters
    ----------
    left : str
        Its left side, in LaTeX; nothing for the expression alone.
    expression : Expr
        Its right side.
    holds : Boolean
        Where it holds; everywhere by default.

    Returns
    -------
    str
        LaTeX for math mode.
    """
    from theory.symbolic.derivation.typeset import condition_latex, latex

    equation = f"{left} = {latex(expression)}" if left else latex(expression)
    condition = "" if holds is None else condition_latex(holds)
    return rf"{equation} \qquad ({condition})" if condition else equation

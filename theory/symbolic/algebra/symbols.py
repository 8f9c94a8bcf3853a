"""The symbols of the derivations, and the ReLU as a function that knows when its argument has a sign."""

from typing import Any

import sympy

from theory.symbolic.algebra.formula import expression

__all__ = [
    "ReLU",
    "biases",
    "couplings",
    "densities",
    "density",
    "importances",
    "norms",
    "relative_importance",
]


class ReLU(sympy.Function):  # type: ignore[misc]  # SymPy has no type information
    """
    The rectifier max(0, v), evaluated as soon as the assumptions on the symbols decide the sign of v.

    Parameters
    ----------
    v : Expr
        The argument, real.

    Examples
    --------
    >>> w, b = sympy.Symbol("w", positive=True), sympy.Symbol("b", real=True)
    >>> ReLU(w**2), ReLU(-w), ReLU(w + b), ReLU(sympy.Rational(-1, 3))
    (w**2, 0, ReLU(b + w), 0)
    """

    nargs = 1

    def __new__(cls, v: Any, **options: Any) -> Any:
        """Refuse text, which SymPy would execute."""
        return super().__new__(cls, expression(v), **options)

    @classmethod
    def eval(cls, v: sympy.Expr) -> Any:
        """
        Evaluate where the sign is known.

        Parameters
        ----------
        v : Expr
            The argument.

        Returns
        -------
        Expr or None
            v or 0; None leaves the function unevaluated.
        """
        if v.is_nonnegative:
            return v
        if v.is_nonpositive:
            return sympy.S.Zero
        return None

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        name = r"\operatorname{ReLU}" + (f"^{{{exp}}}" if exp else "")
        return rf"{name}\left({printer.doprint(self.args[0])}\right)"


def density() -> sympy.Symbol:
    """
    Give the symbol of the common density p = 1 - S.

    Returns
    -------
    Symbol
        The density p > 0.
    """
    return sympy.Symbol("p", positive=True)


def relative_importance() -> sympy.Symbol:
    """
    Give the symbol of the extra feature's importance, that of the others being 1.

    Returns
    -------
    Symbol
        The importance r > 0.
    """
    return sympy.Symbol("r", positive=True)


def densities(n: int) -> tuple[sympy.Symbol, ...]:
    """
    Give the symbols of the densities of n features.

    Parameters
    ----------
    n : int
        Number of features.

    Returns
    -------
    tuple of Symbol, length n
        Densities p_1 ... p_n > 0.
    """
    return tuple(sympy.Symbol(f"p_{i}", positive=True) for i in range(1, n + 1))


def importances(n: int) -> tuple[sympy.Symbol, ...]:
    """
    Give the symbols of the importances of n features.

    Parameters
    ----------
    n : int
        Number of features.

    Returns
    -------
    tuple of Symbol, length n
        Importances I_1 ... I_n >= 0.
    """
    return tuple(sympy.Symbol(f"I_{i}", nonnegative=True) for i in range(1, n + 1))


def norms(n: int) -> tuple[sympy.Symbol, ...]:
    """
    Give the symbols of the norms of n represented features.

    Parameters
    ----------
    n : int
        Number of features.

    Returns
    -------
    tuple of Symbol, length n
        Norms w_1 ... w_n > 0, w_i = |W_i|.
    """
    return tuple(sympy.Symbol(f"w_{i}", positive=True) for i in range(1, n + 1))


def biases(n: int) -> tuple[sympy.Symbol, ...]:
    """
    Give the symbols of the biases of n outputs.

    Parameters
    ----------
    n : int
        Number of features.

    Returns
    -------
    tuple of Symbol, length n
        Biases b_1 ... b_n, real.
    """
    return tuple(sympy.Symbol(f"b_{i}", real=True) for i in range(1, n + 1))


def couplings(n: int) -> sympy.ImmutableMatrix:
    """
    Give the symbols of the couplings g_ij = W_i . W_j.

    Parameters
    ----------
    n : int
        Number of features.

    Returns
    -------
    Matrix, shape (n, n)
        Symmetric; g_ii = |W_i|^2 is non-negative, the others are real.
    """
    return sympy.ImmutableMatrix(n, n, lambda i, j: _coupling(1 + int(min(i, j)), 1 + int(max(i, j))))


def _coupling(i: int, j: int) -> sympy.Symbol:
    if i == j:
        return sympy.Symbol(f"g_{i}{j}", nonnegative=True)
    return sympy.Symbol(f"g_{i}{j}", real=True)

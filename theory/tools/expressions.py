"""Numbers and SymPy's expressions as arguments; SymPy would execute text."""

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from numpy import ndarray

if TYPE_CHECKING:
    import sympy

__all__ = ["expression"]


def expression(value: Any) -> "sympy.Expr":
    """
    Read a number or a SymPy expression; text is refused, for SymPy would execute it.

    Parameters
    ----------
    value : number or Expr
        What to read.

    Returns
    -------
    Expr
        The same as SymPy's own.

    Raises
    ------
    TypeError
        If it is anything else.

    Examples
    --------
    >>> expression(2) / 3
    2/3
    """
    import sympy

    read, plain = None, value.item() if isinstance(value, ndarray) and not value.ndim else value
    # Even its strict reading goes into tuples and dictionaries, and executes the text that it finds there.
    if not isinstance(plain, Iterable):
        with suppress(sympy.SympifyError):
            read = sympy.sympify(plain, strict=True)
    if not isinstance(read, sympy.Expr):
        raise TypeError(f"a number or a SymPy expression is needed, got {value!r}; text is not executed")
    return read

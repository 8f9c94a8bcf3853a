"""The linear model x' = W^T W x + b: its exact loss as feature benefit, interference and error of the mean.

Nothing is assumed about the form. The population loss is averaged over the features and then brought to
squares: first in the bias, which leaves the error of the mean, then in one coupling after the other, which
leaves the feature benefit (own coupling) and the interference (the others). Nothing remains, so that the
parts sum to the loss.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import sympy

from theory.model.values import ValueLaw, ValueLike, value_law
from theory.symbolic.algebra.formula import expression
from theory.symbolic.algebra.shown import Shown, typeset
from theory.symbolic.algebra.symbols import biases, couplings, densities, importances
from theory.symbolic.moments import expect_polynomial

__all__ = ["LinearLoss", "derive_linear_loss"]


@dataclass(frozen=True)
class LinearLoss(Shown):
    """
    The linear model's population loss L = E sum_i I_i (x_i - x'_i)^2, in parts.

    Symbols: importances I_i, densities p_i, couplings g_ij = W_i . W_j, biases b_i.

    Parameters
    ----------
    benefit : tuple of Expr, length n
        I_i Var(x_i) (1 - g_ii)^2: what is left of the benefit of representing feature i.
    interference : dict of (int, int) to Expr
        Under (i, j): I_i Var(x_j) g_ij^2, what feature j costs at output i.
    mean_error : tuple of Expr, length n
        I_i (E x_i - E x'_i)^2; zero at the optimal bias.
    optimal_bias : tuple of Expr, length n
        E x_i - sum_j g_ij E x_j.
    """

    benefit: tuple[sympy.Expr, ...]
    interference: dict[tuple[int, int], sympy.Expr]
    mean_error: tuple[sympy.Expr, ...]
    optimal_bias: tuple[sympy.Expr, ...]

    def _latex(self) -> str:
        return typeset("L", self.total)

    @property
    def total(self) -> sympy.Expr:
        """The loss: the sum of all parts."""
        return sympy.Add(*self.benefit, *self.interference.values(), *self.mean_error)

    def for_embedding(self, W: sympy.MatrixBase) -> sympy.Expr:
        """
        Write the loss in terms of an embedding.

        Parameters
        ----------
        W : Matrix, shape (m, n)
            Embedding, symbolic or numeric.

        Returns
        -------
        Expr
            The loss with g_ij = W_i . W_j.

        Raises
        ------
        ValueError
            If W does not have n columns.
        """
        n = len(self.benefit)
        if W.shape[1] != n:
            raise ValueError(f"W must have {n} columns, one per feature, got shape {W.shape}")
        gram = (W.T * W).applyfunc(expression)
        symbol = couplings(n)
        return self.total.xreplace({symbol[i, j]: gram[i, j] for i in range(n) for j in range(i, n)})


def derive_linear_loss(n: int, values: ValueLike = "uniform") -> LinearLoss:
    """
    Derive the linear model's population loss for independent features.

    Parameters
    ----------
    n : int
        Number of features, >= 1; the number of hidden dimensions only limits the rank of the couplings.
    values : ValueLaw, str or frozen distribution of scipy.stats
        Law of an active feature's value: U[0, 1], or the constant 1.

    Returns
    -------
    LinearLoss
        The parts; they sum to the loss for every W and b.

    Raises
    ------
    ValueError
        If n < 1.

    References
    ----------
    Elhage et al. 2022, "Toy Models of Superposition", section "Mathematical Understanding"; Saxe et al. 2014.

    Examples
    --------
    >>> print(derive_linear_loss(2).interference[0, 1])
    I_1*g_12**2*(-p_2**2/4 + p_2/3)
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    found = _linear_loss(n, value_law(values))
    return replace(found, interference=dict(found.interference))  # the cached one stays as it is


@lru_cache(maxsize=32)
def _linear_loss(n: int, law: ValueLaw) -> LinearLoss:
    benefit, mean_error, bias = [], [], []
    interference = {}
    for i in range(n):
        error = _output_loss(i, n, law)
        mean_part, optimum, error = _complete_square(error, biases(n)[i])
        mean_error.append(mean_part)
        bias.append(optimum)
        for j in range(n):
            part, _, error = _complete_square(error, couplings(n)[i, j])
            if i == j:
                benefit.append(part)
            else:
                interference[i, j] = part
        if error != 0:
            raise ArithmeticError(f"the squares leave {error} of output {i}")
    return LinearLoss(tuple(benefit), interference, tuple(mean_error), tuple(bias))


def _output_loss(i: int, n: int, values: ValueLaw) -> sympy.Expr:
    """Average I_i (x_i - x'_i)^2 over the features."""
    x: Sequence[sympy.Symbol] = sympy.symbols(f"x_1:{n + 1}")
    g = couplings(n)
    reconstruction = sympy.Add(*(g[i, j] * x[j] for j in range(n))) + biases(n)[i]
    return importances(n)[i] * expect_polynomial((x[i] - reconstruction) ** 2, x, densities(n), values)


def _complete_square(quadratic: sympy.Expr, y: sympy.Symbol) -> tuple[sympy.Expr, sympy.Expr, sympy.Expr]:
    """Split a y^2 + b y + c into the square a (y0 - y)^2, its root y0, and the remainder."""
    a, b, _ = sympy.Poly(quadratic, y).all_coeffs()
    root = sympy.expand(sympy.cancel(-b / (2 * a)))
    square = sympy.Mul(*_importance_first(a)) * (root - y) ** 2
    return square, root, sympy.expand(quadratic - square)


def _importance_first(coefficient: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr]:
    """Keep the variance as one sum: I (p/3 - p^2/4), not I p/3 - I p^2/4."""
    importance = next(symbol for symbol in coefficient.free_symbols if symbol.name.startswith("I_"))
    return importance, sympy.expand(sympy.cancel(coefficient / importance))

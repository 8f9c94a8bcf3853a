"""The one-sparse loss L_1 of the ReLU model for any W, piecewise in the signs of couplings and biases.

With only feature j active, output i sees z = b_i + g_ij u for a value u, in [0, 1] say. The sign of z at both ends
tells where the ReLU lets it through: everywhere, nowhere, beyond the zero u0 = -b_i/g_ij, or before
it. On each of these stretches the integrand is a polynomial.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import sympy

from theory.model.values import ValueLaw, ValueLike, value_law
from theory.symbolic.algebra.formula import expression
from theory.symbolic.algebra.regions import shortest
from theory.symbolic.algebra.shown import Shown, typeset
from theory.symbolic.algebra.symbols import ReLU, biases, couplings, importances
from theory.symbolic.moments import expect_value

__all__ = ["OneSparseLoss", "derive_one_sparse_loss"]


@dataclass(frozen=True)
class OneSparseLoss(Shown):
    """
    The loss with exactly one active feature, in parts.

    Symbols: importances I_i, couplings g_ij = W_i . W_j, biases b_i.

    Parameters
    ----------
    benefit : tuple of Expr, length n
        I_i E (u - ReLU(g_ii u + b_i))^2: feature i is active, at its own output.
    interference : dict of (int, int) to Expr
        Under (i, j): I_i E ReLU(g_ij u + b_i)^2: feature j is active, at the output of i.
    """

    benefit: tuple[sympy.Expr, ...]
    interference: dict[tuple[int, int], sympy.Expr]

    def _latex(self) -> str:
        return typeset("L_1", self.total)

    @property
    def total(self) -> sympy.Expr:
        """L_1: the sum of all parts, over the n choices of the active feature (not their mean)."""
        return sympy.Add(*self.benefit, *self.interference.values())

    def for_parameters(self, W: sympy.MatrixBase, b: sympy.MatrixBase) -> sympy.Expr:
        """
        Write the loss in terms of an embedding and biases.

        Parameters
        ----------
        W : Matrix, shape (m, n)
            Embedding, symbolic or numeric.
        b : Matrix, shape (n, 1)
            Biases, symbolic or numeric.

        Returns
        -------
        Expr
            L_1 with g_ij = W_i . W_j.

        Raises
        ------
        ValueError
            If W or b does not fit the number of features.
        """
        n = len(self.benefit)
        if W.shape[1] != n or b.shape != (n, 1):
            raise ValueError(f"W must have shape (m, {n}) and b shape ({n}, 1), got {W.shape} and {b.shape}")
        gram = (W.T * W).applyfunc(expression)
        symbol = couplings(n)
        point = {symbol[i, j]: gram[i, j] for i in range(n) for j in range(i, n)}
        return self.total.xreplace(point | dict(zip(biases(n), map(expression, b), strict=True)))


def derive_one_sparse_loss(n: int, values: ValueLike = "uniform") -> OneSparseLoss:
    """
    Derive the ReLU model's loss with exactly one active feature.

    Parameters
    ----------
    n : int
        Number of features, >= 1.
    values : ValueLaw, str or frozen distribution of scipy.stats
        Law of an active feature's value. "uniform" gives L_1; "binary" its simplification at x = 1.

    Returns
    -------
    OneSparseLoss
        The parts. L_1 is their sum over all n choices of the active feature: for a common density p the loss
        is (1-p)^n L_0 + p (1-p)^(n-1) L_1 + ..., so that L_1 is n times the mean loss given one active
        feature.

    Raises
    ------
    ValueError
        If n < 1 or the law of the values is unknown.

    References
    ----------
    Elhage et al. 2022, "Toy Models of Superposition", section "Mathematical Understanding".

    Examples
    --------
    >>> derive_one_sparse_loss(2, "binary").interference[0, 1]
    I_1*ReLU(b_1 + g_12)**2
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    found = _one_sparse_loss(n, value_law(values))
    return replace(found, interference=dict(found.interference))  # the cached one stays as it is


@lru_cache(maxsize=32)
def _one_sparse_loss(n: int, law: ValueLaw) -> OneSparseLoss:
    g, b, importance = couplings(n), biases(n), importances(n)
    generic, bias = couplings(2), biases(2)[0]
    own = _average(True, generic[0, 0], bias, law)
    other = _average(False, generic[0, 1], bias, law)
    benefit = tuple(importance[i] * own.xreplace({generic[0, 0]: g[i, i], bias: b[i]}) for i in range(n))
    interference = {
        (i, j): importance[i] * other.xreplace({generic[0, 1]: g[i, j], bias: b[i]})
        for i in range(n)
        for j in range(n)
        if i != j
    }
    return OneSparseLoss(benefit, interference)


def _average(own: bool, g: sympy.Expr, b: sympy.Expr, values: ValueLaw) -> sympy.Expr:
    """Average the squared error of one output over the active feature's value u."""
    u = sympy.Dummy("u", nonnegative=True) if values.support[0] >= 0 else sympy.Dummy("u", real=True)
    target = u if own else sympy.S.Zero
    density = values.sympy_density(u)
    if density is None:
        return expect_value((target - ReLU(g * u + b)) ** 2, u, values)
    through, silent = (target - g * u - b) ** 2 * density, target**2 * density
    low, high = (sympy.nsimplify(end) for end in values.support)
    return _piecewise(through, silent, u, g, b, (low, high))


def _piecewise(
    through: sympy.Expr,
    silent: sympy.Expr,
    u: sympy.Symbol,
    g: sympy.Expr,
    b: sympy.Expr,
    ends: tuple[sympy.Expr, sympy.Expr],
) -> sympy.Expr:
    """Integrate over u between the ends, given the integrand where z = g u + b > 0 and where z < 0."""
    start, end = ends
    kink = -b / g
    # The sign of z at the ends: that of its slope where they are infinite.
    at_start = -g if start.is_infinite else b + g * start
    at_end = g if end.is_infinite else b + g * end

    def stretches(first: sympy.Expr, second: sympy.Expr) -> sympy.Expr:
        return _simple(_integral(first, u, start, kink) + _integral(second, u, kink, end))

    everywhere = _simple(_integral(through, u, start, end))
    nowhere = _simple(_integral(silent, u, start, end))
    beyond, before = stretches(silent, through), stretches(through, silent)
    if g.is_nonnegative:  # then z is lowest at the start
        silenced = [] if end.is_infinite else [(nowhere, at_end <= 0)]
        return sympy.Piecewise((everywhere, at_start >= 0), *silenced, (beyond, True))
    return sympy.Piecewise(
        (everywhere, sympy.And(at_start >= 0, at_end >= 0)),
        (nowhere, sympy.And(at_start <= 0, at_end <= 0)),
        (beyond, at_start < 0),
        (before, True),
    )


def _integral(integrand: sympy.Expr, u: sympy.Symbol, start: sympy.Expr, end: sympy.Expr) -> sympy.Expr:
    antiderivative = sympy.integrate(sympy.expand(integrand), u)
    return _at(antiderivative, u, end) - _at(antiderivative, u, start)


def _at(antiderivative: sympy.Expr, u: sympy.Symbol, place: sympy.Expr) -> sympy.Expr:
    return sympy.limit(antiderivative, u, place) if place.is_infinite else antiderivative.subs(u, place)


def _simple(rational: sympy.Expr) -> sympy.Expr:
    """Shorten a rational function."""
    factored = sympy.factor(sympy.together(rational))
    return shortest([factored, sympy.expand(factored)])

"""Expectations over the value of an active feature and over a feature, by integration."""

from collections.abc import Sequence
from functools import lru_cache

import sympy

from theory.model.values import ValueLike, value_law
from theory.symbolic.algebra.formula import expression

__all__ = ["expect_polynomial", "expect_value", "feature_moment"]


def expect_value(integrand: sympy.Expr, u: sympy.Symbol, values: ValueLike = "uniform") -> sympy.Expr:
    """
    Average over the value u of an active feature.

    Parameters
    ----------
    integrand : Expr
        Polynomial in u.
    u : Symbol
        The value.
    values : ValueLaw, str or frozen distribution of scipy.stats
        Law of the value: a record, or U[0, 1], or the constant 1.

    Returns
    -------
    Expr
        Int f(u) times the density of u, or a sum over atoms.

    Raises
    ------
    ValueError
        If the law is unknown.

    Examples
    --------
    >>> u = sympy.Symbol("u")
    >>> expect_value(u**2, u), expect_value(u**2, u, "binary")
    (1/3, 1)
    """
    return value_law(values).expect(expression(integrand), u)


@lru_cache(maxsize=256)
def feature_moment(power: int, p: sympy.Expr, values: ValueLike = "uniform") -> sympy.Expr:
    """
    Average a power of a feature, which is 0 with probability 1 - p.

    Parameters
    ----------
    power : int
        Exponent k >= 0.
    p : Expr
        Density of the feature.
    values : ValueLaw, str or frozen distribution of scipy.stats
        Law of an active feature's value.

    Returns
    -------
    Expr
        E x^k.

    Examples
    --------
    >>> p = sympy.Symbol("p")
    >>> feature_moment(1, p), feature_moment(2, p)
    (p/2, p/3)
    """
    p = expression(p)
    u = sympy.Dummy("u")
    inactive = (1 - p) * sympy.Integer(0) ** power
    return sympy.expand(inactive + p * expect_value(u**power, u, values))


def expect_polynomial(
    polynomial: sympy.Expr, x: Sequence[sympy.Symbol], p: Sequence[sympy.Expr], values: ValueLike = "uniform"
) -> sympy.Expr:
    """
    Average a polynomial in independent features.

    Parameters
    ----------
    polynomial : Expr
        Polynomial in x.
    x : sequence of Symbol
        The features.
    p : sequence of Expr
        Their densities.
    values : ValueLaw, str or frozen distribution of scipy.stats
        Law of an active feature's value.

    Returns
    -------
    Expr
        The mean; because features are independent, that of a monomial is the product of moments.
    """
    mean, law = sympy.S.Zero, value_law(values)
    for powers, coefficient in sympy.Poly(expression(polynomial), *x).terms():
        mean += coefficient * sympy.Mul(*(feature_moment(k, p_j, law) for k, p_j in zip(powers, p, strict=True)))
    return sympy.expand(mean)

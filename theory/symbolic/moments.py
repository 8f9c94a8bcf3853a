"""Expectations over the value of an active feature and over a feature, by integration."""

from collections.abc import Sequence
from functools import lru_cache

import sympy

from theory.model.features import ValueLaw
from theory.symbolic.algebra.formula import expression

__all__ = ["expect_polynomial", "expect_value", "feature_moment"]


def expect_value(integrand: sympy.Expr, u: sympy.Symbol, values: ValueLaw = "uniform") -> sympy.Expr:
    """
    Average over the value u of an active feature.

    Parameters
    ----------
    integrand : Expr
        Polynomial in u.
    u : Symbol
        The value.
    values : {"uniform", "binary"}
        Law of the value: U[0, 1], or the constant 1.

    Returns
    -------
    Expr
        Int_0^1 f(u) du, or f(1).

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
    integrand = expression(integrand)
    if values == "uniform":
        return sympy.integrate(sympy.expand(integrand), (u, 0, 1))
    if values == "binary":
        return integrand.subs(u, 1)
    raise ValueError(f"values must be 'uniform' or 'binary', got {values!r}")


@lru_cache(maxsize=256)
def feature_moment(power: int, p: sympy.Expr, values: ValueLaw = "uniform") -> sympy.Expr:
    """
    Average a power of a feature, which is 0 with probability 1 - p.

    Parameters
    ----------
    power : int
        Exponent k >= 0.
    p : Expr
        Density of the feature.
    values : {"uniform", "binary"}
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
    polynomial: sympy.Expr, x: Sequence[sympy.Symbol], p: Sequence[sympy.Expr], values: ValueLaw = "uniform"
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
    values : {"uniform", "binary"}
        Law of an active feature's value.

    Returns
    -------
    Expr
        The mean; because features are independent, that of a monomial is the product of moments.
    """
    mean = sympy.S.Zero
    for powers, coefficient in sympy.Poly(expression(polynomial), *x).terms():
        mean += coefficient * sympy.Mul(*(feature_moment(k, p_j, values) for k, p_j in zip(powers, p, strict=True)))
    return sympy.expand(mean)

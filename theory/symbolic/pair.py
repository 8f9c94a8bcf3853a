"""When an antipodal pair beats leaving a feature out, for any law of the values.

With x' = ReLU(W^T W x), W = (1, -1), output i misses x_i - ReLU(x_i - x_j) = min(x_i, x_j), whatever the signs. With
the moments mu_k = E u^k, kappa = E min(u, v)^2 of two independent values and nu = E u^2 1(u < 0), the idealised losses
are

    pair             (1 + r) [2 p (1 - p) nu + p^2 kappa] ,
    not represented  p nu + r (p mu_2 - p^2 mu_1^2) ,

the first feature being dedicated in the second, with the error min(x_1, 0), and the other output the mean. They agree
at

    p = (r mu_2 - (1 + 2 r) nu) / (r mu_1^2 + (1 + r) (kappa - 2 nu)) ,

for non-negative values p = r mu_2 / (r mu_1^2 + (1 + r) kappa); 4r / (2 + 5r) for U[0, 1].
"""

from dataclasses import dataclass
from functools import lru_cache

import sympy

from theory.model.values import Symmetrised, ValueLaw, ValueLike, value_law
from theory.symbolic.algebra.shown import Shown, typeset
from theory.symbolic.algebra.symbols import density, relative_importance

__all__ = ["PairBoundary", "derive_pair_boundary"]


@dataclass(frozen=True)
class PairBoundary(Shown):
    """
    Idealised losses of a pair and of leaving the extra feature out, and where they agree.

    Attributes
    ----------
    pair, not_represented : Expr
        Losses in p and r.
    density : Expr or None
        Density p of the boundary in r; None where the losses agree at no p but 0.
    smaller : Expr
        kappa = E min(u, v)^2.
    """

    pair: sympy.Expr
    not_represented: sympy.Expr
    density: sympy.Expr | None
    smaller: sympy.Expr

    def _latex(self) -> str:
        """The boundary, or both losses where there is none."""
        if self.density is not None:
            return typeset("p", self.density)
        return ",\\quad ".join(
            [typeset(r"L_{\text{pair}}", self.pair), typeset(r"L_{\text{not represented}}", self.not_represented)]
        )


def derive_pair_boundary(values: ValueLike | None = None) -> PairBoundary:
    """
    Derive the boundary of the idealised pair.

    Parameters
    ----------
    values : ValueLaw or str, optional
        Law of an active feature's value; by default any law, in the symbols mu_1, mu_2, kappa and nu.

    Returns
    -------
    PairBoundary
        Losses and boundary.

    Raises
    ------
    ValueError
        If the law has neither a density with a formula nor only atoms.

    Examples
    --------
    >>> derive_pair_boundary("uniform").density
    4*r/(5*r + 2)
    >>> derive_pair_boundary("exponential").density
    4*r/(3*r + 1)
    >>> derive_pair_boundary("normal").density is None
    True
    """
    if values is None:
        mu_1, mu_2, kappa, nu = sympy.symbols("mu_1 mu_2 kappa nu", real=True)
        return _boundary(mu_1, mu_2, kappa, nu)
    return _of_law(value_law(values))


@lru_cache(maxsize=64)
def _of_law(law: ValueLaw) -> PairBoundary:
    u = sympy.Symbol("u", real=True)
    mu_1, mu_2 = (sympy.simplify(law.expect(u**k, u)) for k in (1, 2))
    return _boundary(mu_1, mu_2, sympy.simplify(_smaller(law, u, mu_2)), sympy.simplify(_negative(law, u, mu_2)))


def _boundary(mu_1: sympy.Expr, mu_2: sympy.Expr, kappa: sympy.Expr, nu: sympy.Expr) -> PairBoundary:
    p, r = density(), relative_importance()
    pair = (1 + r) * (2 * p * (1 - p) * nu + p**2 * kappa)
    left_out = p * nu + r * (p * mu_2 - p**2 * mu_1**2)
    # one power of p is common to both; what is left is linear in p
    difference = sympy.expand((pair - left_out) / p)
    slope, constant = sympy.simplify(difference.coeff(p, 1)), sympy.simplify(difference.coeff(p, 0))
    crossing = None if slope == 0 else sympy.factor(sympy.cancel(-constant / slope))
    return PairBoundary(pair, left_out, crossing, kappa)


def _smaller(law: ValueLaw, u: sympy.Symbol, mu_2: sympy.Expr) -> sympy.Expr:
    """E min(u, v)^2; of a symmetric law E u^2: max(u, v) is then -min(-u, -v), and both squares sum to u^2 + v^2."""
    if isinstance(law, Symmetrised):
        return mu_2
    if law.atoms:
        exact = [(sympy.nsimplify(v), sympy.nsimplify(q)) for v, q in law.atoms]
        return sympy.Add(*(q * s * sympy.Min(v, w) ** 2 for v, q in exact for w, s in exact))
    formula = _formula(law, u)
    low, high = (sympy.nsimplify(end) for end in law.support)
    t = sympy.Symbol("t", real=True)
    above = sympy.simplify(sympy.integrate(formula.subs(u, t), (t, u, high)))
    return 2 * sympy.integrate(sympy.expand(u**2 * formula * above), (u, low, high))


def _negative(law: ValueLaw, u: sympy.Symbol, mu_2: sympy.Expr) -> sympy.Expr:
    """E u^2 1(u < 0)."""
    low, high = law.support
    if low >= 0:
        return sympy.S.Zero
    if isinstance(law, Symmetrised):
        return mu_2 / 2
    if law.atoms:
        return sympy.Add(*(sympy.nsimplify(q) * sympy.nsimplify(v) ** 2 for v, q in law.atoms if v < 0))
    return sympy.integrate(u**2 * _formula(law, u), (u, sympy.nsimplify(low), min(sympy.nsimplify(high), sympy.S.Zero)))


def _formula(law: ValueLaw, u: sympy.Symbol) -> sympy.Expr:
    formula = law.sympy_density(u)
    if formula is None:
        raise ValueError(f"{law.name} values have no density with a formula")
    return formula

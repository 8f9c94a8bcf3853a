"""The exact ReLU loss as a sum over active sets, for a symbolic embedding with any signs inside the ReLUs.

Given the active features, output i sees z = b_i + sum_j g_ij u_j with independent values u_j in [0, 1], and
its error is a polynomial in u_i times powers of ReLU(z). Integrating over one u_j after the other leaves such
powers: with F_1 = Int f, F_2 = Int F_1, ... along z, repeated integration by parts gives

    Int_0^1 w(u) f(t + c u) du = [ w(u) F_1(z)/c - w'(u) F_2(z)/c^2 + ... ]  between u = 0 and u = 1,

where every F_k of a power of ReLU(z) is a higher power of ReLU(z): one formula for all signs, if c is not
zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import sympy

from theory.model.values import ValueLaw, ValueLike, value_law
from theory.symbolic.algebra.formula import expression
from theory.symbolic.algebra.shown import Shown, typeset
from theory.symbolic.algebra.symbols import ReLU, density
from theory.symbolic.moments import expect_value

__all__ = ["MAX_COUPLED", "Expansion", "derive_expansion", "derive_output"]

# An output coupled to k features has 3^k truncated powers: past this the formulas are of no use to a reader.
MAX_COUPLED = 5

# Sum over (t, q) of coefficient * ReLU(t + couplings still to be integrated over)^q.
_Powers = dict[tuple[sympy.Expr, int], sympy.Expr]


@dataclass(frozen=True)
class Expansion(Shown):
    """
    A loss as a sum over the number k of active features, L = sum_k p^k (1-p)^(n-k) A_k.

    Parameters
    ----------
    terms : tuple of Expr, length n + 1
        A_k: the loss given the active features, summed over all sets of k active features.

    Examples
    --------
    >>> pair = sympy.Matrix([[1, -1]])
    >>> derive_expansion(pair, [0, 0], [1, 1]).terms
    (0, 0, 1/3)
    """

    terms: tuple[sympy.Expr, ...]

    def _latex(self) -> str:
        return typeset("L", self.total)

    def weight(self, k: int) -> sympy.Expr:
        """
        Give the probability of one set of k active features.

        Parameters
        ----------
        k : int
            Number of active features, 0 to n.

        Returns
        -------
        Expr
            The weight p^k (1-p)^(n-k).
        """
        p = density()
        return p**k * (1 - p) ** (len(self.terms) - 1 - k)

    @property
    def total(self) -> sympy.Expr:
        """The population loss."""
        return sympy.Add(*(self.weight(k) * term for k, term in enumerate(self.terms)))


def derive_expansion(
    W: sympy.MatrixBase,
    b: Sequence[sympy.Expr | int],
    importance: Sequence[sympy.Expr | int],
    values: ValueLike = "uniform",
) -> Expansion:
    """
    Derive the ReLU model's exact population loss for a symbolic embedding and equal densities.

    Parameters
    ----------
    W : Matrix, shape (m, n)
        Embedding. Every coupling must be zero or known not to vanish (symbols declared positive, say).
    b : sequence of Expr, length n
        Biases, real.
    importance : sequence of Expr, length n
        Weight of each feature in the loss.
    values : ValueLaw, str or frozen distribution of scipy.stats
        Law of an active feature's value: U[0, 1], or the constant 1.

    Returns
    -------
    Expansion
        The loss by number of active features, for all signs of what stands inside a ReLU.

    Raises
    ------
    ValueError
        If the shapes do not fit, a coupling may vanish, or an output is coupled to too many features.

    References
    ----------
    Elhage et al. 2022, "Toy Models of Superposition", section "Mathematical Understanding": the expansion
    L = sum_k p^k (1-p)^(n-k) L_k of the loss over the number of active features.

    Examples
    --------
    >>> w = sympy.Symbol("w", positive=True)
    >>> derive_expansion(sympy.Matrix([[w]]), [0], [1]).terms
    (0, (w - 1)**2*(w + 1)**2/3)
    """
    n = W.shape[1]
    if len(b) != n or len(importance) != n:
        raise ValueError(f"W has {n} columns, so b and importance need {n} entries, got {len(b)} and {len(importance)}")
    matrix = sympy.Matrix(*W.shape, lambda i, j: expression(W[i, j]))
    weights = [expression(weight) for weight in importance]
    gram = (matrix.T * matrix).applyfunc(sympy.expand)
    terms = [sympy.S.Zero] * (n + 1)
    for i in range(n):
        others = [gram[i, j] for j in range(n) if j != i and gram[i, j] != 0]
        output = derive_output(gram[i, i], others, b[i], values)
        for active, loss in enumerate(output.terms):
            # features without influence on this output may be active or not
            for idle in range(n - len(others)):
                terms[active + idle] += weights[i] * sympy.binomial(n - 1 - len(others), idle) * loss
    return Expansion(tuple(terms))


def derive_output(
    own: sympy.Expr, others: Sequence[sympy.Expr], b: sympy.Expr | int, values: ValueLike = "uniform"
) -> Expansion:
    """
    Derive the exact loss of one output of the ReLU model, E (x_i - ReLU(z))^2.

    Parameters
    ----------
    own : Expr
        Coupling g_ii to the output's own feature; zero or known not to vanish.
    others : sequence of Expr
        Couplings g_ij to the other features that matter; the same holds for each.
    b : Expr
        Bias.
    values : ValueLaw, str or frozen distribution of scipy.stats
        Law of an active feature's value: U[0, 1], or the constant 1.

    Returns
    -------
    Expansion
        Over the active ones of the features named here; others do not change the loss of this output.

    Raises
    ------
    ValueError
        If a coupling may vanish, or there are too many.

    Examples
    --------
    >>> derive_output(sympy.Integer(0), [], sympy.Rational(1, 2)).terms
    (1/4, 1/12)
    """
    own, *others = map(expression, (own, *others))
    bias = expression(b)
    for coupling in (own, *others):
        if coupling.is_zero is None:
            raise ValueError(f"the coupling {coupling} may vanish; declare its symbols positive, or put 0")
    if len(others) >= MAX_COUPLED:
        raise ValueError(f"an output is coupled to {len(others) + 1} features; the limit is {MAX_COUPLED}")
    law = value_law(values)
    if law.box is None or law.box.height != 1:
        raise ValueError(
            f"sums over active sets are derived for values uniform on [0, 1] or 1, not for {law.name} ones"
        )
    terms = [sympy.S.Zero] * (len(others) + 2)
    for size in range(len(others) + 1):
        for chosen in combinations(others, size):
            # sorted: equal couplings in another order are the same integral
            key = tuple(sorted(chosen, key=sympy.default_sort_key))
            terms[size] += _conditional_loss(None, key, bias, law)
            terms[size + 1] += _conditional_loss(own, key, bias, law)
    return Expansion(tuple(_collected(term) for term in terms))


def _collected(term: sympy.Expr) -> sympy.Expr:
    """Write a sum of powers of ReLUs with one factored coefficient for each power."""
    powers = [factor for factor in term.atoms(sympy.Pow, ReLU) if factor.as_base_exp()[0].func is ReLU]
    return sympy.collect(sympy.expand(term), powers, func=sympy.factor)


@lru_cache(maxsize=4096)
def _conditional_loss(
    own: sympy.Expr | None, others: tuple[sympy.Expr, ...], b: sympy.Expr, values: ValueLaw
) -> sympy.Expr:
    """
    Average the squared error of one output, given which features are active (own is None: its own is not).

    E[(x_i - ReLU z)^2 | A] = E x_i^2 - 2 E x_i ReLU z + E (ReLU z)^2.
    """
    u = sympy.Dummy("u")
    if own is None:
        return _mean_power(sympy.S.One, 2, u, None, others, b, values)
    square = expect_value(u**2, u, values)
    mixed = _mean_power(u, 1, u, own, others, b, values)
    return square - 2 * mixed + _mean_power(sympy.S.One, 2, u, own, others, b, values)


def _mean_power(
    weight: sympy.Expr,
    power: int,
    u: sympy.Symbol,
    own: sympy.Expr | None,
    others: tuple[sympy.Expr, ...],
    b: sympy.Expr,
    values: ValueLaw,
) -> sympy.Expr:
    """Average weight(u) ReLU(b + own u + sum_j c_j u_j)^power over the values of the active features."""
    couplings = [(weight, own)] if own is not None else []
    couplings += [(sympy.S.One, c) for c in others]
    if values.box is not None and not values.box.filled:
        z = b + sympy.Add(*(c for _, c in couplings))
        return sympy.Mul(*(w.subs(u, 1) for w, _ in couplings)) * ReLU(z) ** power
    powers: _Powers = {(b, power): sympy.S.One}
    for w, c in couplings:
        powers = _integrate_out(powers, w, u, c)
    return sympy.Add(*(coefficient * ReLU(t) ** q for (t, q), coefficient in powers.items()))


def _integrate_out(powers: _Powers, weight: sympy.Expr, u: sympy.Symbol, c: sympy.Expr) -> _Powers:
    """Integrate weight(u) sum coefficient ReLU(t + c u)^q over u in [0, 1]."""
    if c == 0:
        mean = expect_value(weight, u)
        return {key: mean * coefficient for key, coefficient in powers.items()}
    result: _Powers = {}
    z = sympy.Dummy("z")
    for (t, q), coefficient in powers.items():
        derivative, antiderivative, sign = weight, z**q, 1
        while derivative != 0:
            antiderivative = sympy.integrate(antiderivative, z) / c
            factor, order = antiderivative.as_independent(z)[0], sympy.degree(antiderivative, z)
            for end, side in ((1, sign), (0, -sign)):
                vertex = (sympy.expand(t + c * end), int(order))
                share = side * coefficient * factor * derivative.subs(u, end)
                result[vertex] = sympy.expand(result.get(vertex, sympy.S.Zero) + share)
            derivative, sign = sympy.diff(derivative, u), -sign
    return result

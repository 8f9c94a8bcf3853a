"""Exact losses of the named candidates: with free norms and biases, and idealised, as expressions in p and r.

The candidates are those of ``theory.geometry.phases``: each dimension holds one feature or an antipodal pair.
Every represented feature i has a norm w_i > 0 and every feature a bias b_i; p is the common density, r the
importance of the last ("extra") feature, that of the others being 1. For three features in two dimensions the
equilateral triangle, with one norm and one bias, stands beside them.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import sympy

from theory.geometry.phases import Phase, ideal_candidates
from theory.symbolic.active_sets import Expansion, derive_expansion
from theory.symbolic.algebra.formula import Formula
from theory.symbolic.algebra.shown import Shown, typeset
from theory.symbolic.algebra.symbols import biases, density, norms, relative_importance
from theory.symbolic.outputs import OutputLoss, output_of_kind

__all__ = ["CandidateLoss", "derive_candidates", "derive_triangle"]


@dataclass(frozen=True)
class CandidateLoss(Shown):
    """
    A named candidate and its exact population loss under the ReLU model.

    Symbols: density p, relative importance r of the last feature, norms w_i > 0, biases b_i.

    Parameters
    ----------
    name : str
        As in ``theory.ideal_candidates``.
    phase : {"not represented", "dedicated", "superposition"}
        Phase of the extra feature, which is the last one.
    embedding : Matrix, shape (m, n)
        W with free norms.
    outputs : tuple of (OutputLoss, tuple of Symbol), length n
        The kind of each output, and its norms and bias.

    Examples
    --------
    >>> import theory
    >>> theory.derive_candidates(2, 1)["antipodal"].phase
    'superposition'
    """

    name: str
    phase: Phase
    embedding: sympy.ImmutableMatrix
    outputs: tuple[tuple[OutputLoss, tuple[sympy.Symbol, ...]], ...]

    def _latex(self) -> str:
        """The loss near the ideal solution; ``loss`` is the one for all norms and biases."""
        name = self.name.replace("_", " ").replace("-", " ")
        return typeset(rf"L_{{\text{{{name}}}}}", self.near_ideal.expression, self.near_ideal.holds)

    @property
    def importance(self) -> tuple[sympy.Expr, ...]:
        """Weight of each feature: 1, and r for the last."""
        return (sympy.S.One,) * (len(self.outputs) - 1) + (relative_importance(),)

    @property
    def bias(self) -> tuple[sympy.Symbol, ...]:
        """The free bias of each output."""
        return tuple(arguments[-1] for _, arguments in self.outputs)

    @cached_property
    def loss(self) -> Formula:
        """The exact loss for all norms w_i > 0 and all biases; 0 < p <= 1."""
        parts = [output.at(*arguments) for output, arguments in self.outputs]
        return Formula(self._weighted(parts), density() <= 1)

    @cached_property
    def near_ideal(self) -> Formula:
        """The loss without ReLUs: norms about 1, biases slightly below 0 (above, if not represented)."""
        pieces = [output.near_ideal_at(*arguments) for output, arguments in self.outputs]
        holds = sympy.And(density() <= 1, *(piece.holds for piece in pieces))
        return Formula(self._weighted([piece.expression for piece in pieces]), holds)

    @cached_property
    def expansion(self) -> Expansion:
        """The loss by number of active features, derived from W and b as a whole."""
        return derive_expansion(self.embedding, self.bias, self.importance)

    @cached_property
    def ideal_embedding(self) -> sympy.ImmutableMatrix:
        """W with every norm 1."""
        return self.embedding.xreplace(dict.fromkeys(self.embedding.free_symbols, sympy.S.One))

    @property
    def ideal_bias(self) -> tuple[sympy.Expr, ...]:
        """0 for a represented feature, E x_i for the rest."""
        return tuple(output.ideal[-1] for output, _ in self.outputs)

    @cached_property
    def ideal(self) -> Formula:
        """The idealised loss, a polynomial in p, linear in r; 0 < p <= 1."""
        parts = [output.at(*output.ideal) for output, _ in self.outputs]
        return Formula(_by_importance(self._weighted(parts)), density() <= 1)

    def _weighted(self, parts: list[sympy.Expr]) -> sympy.Expr:
        return sympy.Add(*(weight * part for weight, part in zip(self.importance, parts, strict=True)))


def _by_importance(loss: sympy.Expr) -> sympy.Expr:
    """Order a loss by r: as r B(p), (c + r) B(p) or A(p) + r B(p), whichever it is."""
    r = relative_importance()
    expanded = sympy.expand(loss)
    constant, slope = expanded.coeff(r, 0), expanded.coeff(r, 1)
    if slope == 0:
        return constant
    ratio = sympy.cancel(constant / slope)
    return (ratio + r) * slope if ratio.is_number else constant + r * slope


def derive_candidates(n: int, m: int) -> dict[str, CandidateLoss]:
    """
    Derive the exact losses of the named candidates for n features in m dimensions.

    Parameters
    ----------
    n : int
        Number of features, >= 1; the last one is the extra feature.
    m : int
        Number of hidden dimensions, 1 <= m <= n.

    Returns
    -------
    dict of str to CandidateLoss
        By name, in the order of ``theory.ideal_candidates``.

    Raises
    ------
    TypeError
        If n or m is not a whole number.
    ValueError
        If n or m is below 1, or m exceeds n.

    References
    ----------
    Elhage et al. 2022, "Toy Models of Superposition", section "Superposition as a Phase Change".

    Examples
    --------
    >>> derive_candidates(2, 1)["antipodal"].ideal.expression
    p**2*(r + 1)/6
    """
    return dict(_candidates(n, m))


@lru_cache(maxsize=64)
def _candidates(n: int, m: int) -> dict[str, CandidateLoss]:
    derived = {}
    for name, candidate in ideal_candidates(n, m).items():
        signs = sympy.Matrix(m, n, [int(entry) for entry in candidate.embedding.flat])
        W = sympy.ImmutableMatrix(signs * sympy.diag(*norms(n)))
        outputs = tuple(_output(signs, i) for i in range(n))
        derived[name] = CandidateLoss(name, candidate.phase, W, outputs)
    return derived


def _output(signs: sympy.Matrix, i: int) -> tuple[OutputLoss, tuple[sympy.Symbol, ...]]:
    """Recognise the kind of output i: by its own norm and the features it is coupled to."""
    n = signs.shape[1]
    w, b = norms(n), biases(n)
    gram = signs.T * signs
    partners = [j for j in range(n) if j != i and gram[i, j] != 0]
    if gram[i, i] == 0:
        return output_of_kind("N"), (b[i],)
    if not partners:
        return output_of_kind("D"), (w[i], b[i])
    return output_of_kind("P"), (w[i], w[partners[0]], b[i])


@lru_cache(maxsize=1)
def derive_triangle() -> CandidateLoss:
    """
    Derive the exact loss of the equilateral triangle, three features in two dimensions.

    Returns
    -------
    CandidateLoss
        With one norm w and one bias b for all three features.

    Examples
    --------
    >>> derive_triangle().ideal.expression
    (p**3/24 + p**2/8)*(r + 2)
    """
    triangle = output_of_kind("T")
    w, b = triangle.arguments
    half, height = sympy.Rational(1, 2), sympy.sqrt(3) / 2
    W = sympy.ImmutableMatrix([[w, -w * half, -w * half], [0, w * height, -w * height]])
    return CandidateLoss("equilateral triangle", "superposition", W, ((triangle, (w, b)),) * 3)

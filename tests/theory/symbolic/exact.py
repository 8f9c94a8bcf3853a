"""Exact arithmetic for the tests of the symbolic layer, and losses by a route of their own."""

from itertools import pairwise, product

import mpmath
import numpy as np
import sympy

from theory import Problem, ideal_candidates, population_loss
from theory.symbolic.algebra.symbols import density

# Exact rational numbers against double precision: a few hundred roundings of 1e-16.
ROUNDING = 1e-12

# Exact rational numbers against quadrature with 40 digits.
MANY_DIGITS = 1e-30

SMALL = [(2, 1), (3, 2)]
CANDIDATES = [(n, m, name) for n, m in SMALL for name in ideal_candidates(n, m)]

p, r = density(), sympy.Symbol("r", positive=True)


def rational(rng, low, high):
    """A random fraction with a small denominator, so that exact arithmetic stays quick."""
    return sympy.Rational(int(rng.integers(round(low * 60), round(high * 60) + 1)), 60)


def floats(matrix):
    return np.array(sympy.Matrix(matrix).tolist(), dtype=float)


# --- an independent route: Gauss quadrature, exact on the pieces between the kinks -----------------------


def _pieces(b, c, rest):
    """Cut [0, 1] where z = b + c u + (a vertex of the rest) vanishes."""
    cuts = {mpmath.mpf(0), mpmath.mpf(1)}
    for vertex in product((0, 1), repeat=len(rest)):
        if c != 0:
            cuts.add(-(b + sum(v * w for v, w in zip(vertex, rest, strict=True))) / c)
    cuts = sorted(cut for cut in cuts if 0 <= cut <= 1)
    return pairwise(cuts)


def quadrature(b, c, target=None, shift=0):
    """Average (x - ReLU(b + sum_j c_j u_j))^2 over the cube; x is the target, or the first variable if None.

    Between the cuts everything is a polynomial of degree <= 5, which three Gauss nodes integrate exactly.
    """
    if not c:
        return (shift if target is None else target - max(b, 0)) ** 2
    root = mpmath.sqrt(mpmath.mpf(3) / 5)
    total = mpmath.mpf(0)
    for start, end in _pieces(b, c[0], c[1:]):
        half, middle = (end - start) / 2, (end + start) / 2
        for node, weight in ((-root, 5), (mpmath.mpf(0), 8), (root, 5)):
            u = middle + half * node
            x = u if target is None else target
            total += half * mpmath.mpf(weight) / 9 * quadrature(b + c[0] * u, c[1:], x)
    return total


def loss_by_quadrature(W, b, importance, active_probability):
    """Population loss for equal densities, by active sets and quadrature with many digits."""
    n = W.shape[1]
    with mpmath.workdps(40):
        exact = lambda x: mpmath.mpf(sympy.N(x, 45))  # noqa: E731
        gram = [[exact(entry) for entry in row] for row in sympy.simplify(W.T * W).tolist()]
        total = mpmath.mpf(0)
        for active in product((False, True), repeat=n):
            weight = exact(active_probability(sum(active)))
            for i in range(n):
                others = [gram[i][j] for j in range(n) if active[j] and j != i]
                if active[i]:
                    term = quadrature(exact(b[i]), [gram[i][i], *others])
                else:
                    term = quadrature(exact(b[i]), others, target=mpmath.mpf(0))
                total += weight * exact(importance[i]) * term
        return total


def independent(n, density_value):
    return lambda k: density_value**k * (1 - density_value) ** (n - k)


def candidate_point(candidate, seed):
    """Random norms around 1 and biases of both signs, for every symbol of a candidate."""
    rng = np.random.default_rng(seed)
    values = {symbol.name: rational(rng, 0.6, 1.4) for symbol in sorted(candidate.embedding.free_symbols, key=str)}
    values |= {symbol.name: rational(rng, -0.8, 0.5) for symbol in sorted(set(candidate.bias), key=str)}
    return values | {"p": rational(rng, 0.05, 1), "r": rational(rng, 0.1, 5)}


def embedding_and_bias(candidate, values):
    point = {s: values[s.name] for s in candidate.embedding.free_symbols | set(candidate.bias)}
    return candidate.embedding.xreplace(point), [b.xreplace(point) for b in candidate.bias]


def numerical_loss(candidate, values):
    W, b = embedding_and_bias(candidate, values)
    n = W.shape[1]
    importance = [1.0] * (n - 1) + [float(values["r"])]
    problem = Problem(n=n, m=W.shape[0], density=float(values["p"]), importance=importance)
    return population_loss(floats(W), floats(b).ravel(), problem)

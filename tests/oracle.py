"""The population loss in multi-precision arithmetic, by enumerating active sets and alternating sums over vertices.

Shares nothing with the package: the formula that cancels in floating point is exact at three hundred digits, zero
couplings are dropped, and probabilities are multiplied set by set.
"""

from itertools import combinations, product

from mpmath import mp, mpf

from theory import Anticorrelated, Correlated, FeatureDistribution, Problem
from theory.model.values import BINARY, ValueLaw

# Five couplings of 1e-12 (products of columns of 1e-6) cancel a hundred digits.
DIGITS = 300


def population_loss(W, b, problem: Problem) -> mpf:  # type: ignore[no-untyped-def]
    """E sum_i I_i (x_i - ReLU(W_i . W x + b_i))^2."""
    with mp.workdps(DIGITS):
        n, m = problem.n, problem.m
        columns = [[mpf(float(W[d][j])) for d in range(m)] for j in range(n)]
        G = [[sum(u * v for u, v in zip(columns[i], columns[j], strict=True)) for j in range(n)] for i in range(n)]
        total = mpf(0)
        for active, probability in active_sets(problem.features):
            for i in range(n):
                error = squared_error({j: G[i][j] for j in active}, mpf(float(b[i])), i, problem.features.values)
                total += mpf(float(problem.importance[i])) * probability * error
        return total


def active_sets(features: FeatureDistribution):  # type: ignore[no-untyped-def]
    """Every possible set of active features and its probability."""
    choices = []
    for members, density in zip(features.sets, features.density, strict=True):
        p = mpf(float(density))
        if isinstance(features, Anticorrelated):
            on = [((j,), p / len(members)) for j in members]
        elif isinstance(features, Correlated):
            on = [(members, p)]
        else:
            on = [(members, p)]
        choices.append([((), 1 - p), *on])
    for choice in product(*choices):
        probability = mpf(1)
        for _, p in choice:
            probability *= p
        if probability:
            yield tuple(j for members, _ in choice for j in members), probability


def squared_error(couplings: dict[int, mpf], b: mpf, own: int, values: ValueLaw) -> mpf:
    """E (x_own - ReLU(b + sum couplings x))^2 given that exactly these features are active."""
    has_own = own in couplings
    if values == BINARY:
        z = b + sum(couplings.values())
        return (int(has_own) - max(z, mpf(0))) ** 2
    live = {j: c for j, c in couplings.items() if c != 0}
    square = rectified_moment(2, b, list(live.values()))
    if not has_own:
        return square
    if own not in live:
        cross = rectified_moment(1, b, list(live.values())) / 2
    else:  # integrate u dReLU(z)^2/du by parts
        rest = [c for j, c in live.items() if j != own]
        at_one = rectified_moment(2, b + live[own], rest)
        cross = (at_one - square) / (2 * live[own])
    return mpf(1) / 3 - 2 * cross + square


def rectified_moment(q: int, b: mpf, couplings: list[mpf]) -> mpf:
    """E ReLU(b + c . u)^q over the unit cube: k-fold antiderivative, alternating over the cube's vertices."""
    k = len(couplings)
    total = mpf(0)
    for size in range(k + 1):
        for vertex in combinations(couplings, size):
            z = b + sum(vertex)
            if z > 0:
                total += (-1) ** (k - size) * z ** (q + k)
    for c in couplings:
        total /= c
    for i in range(q + 1, q + k + 1):
        total /= i
    return total

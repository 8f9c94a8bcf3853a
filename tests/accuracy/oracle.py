"""The population loss and its gradient as exact rational numbers, for up to about 14 features.

Shares nothing with the package but its vocabulary. Inputs are doubles, hence rational, and so is everything here:
couplings W^T W, probabilities, the loss, its gradient. With T_k = ReLU(z)^k / k!, output i needs

    E (x_i - ReLU z)^2 = E x_i^2 - 2 E x_i T_1 + 2 E T_2 ,
    its derivative in b_i:    -2 E x_i T_0     + 2 E T_1 ,
    its derivative in g_ij:   -2 E x_i x_j T_0 + 2 E x_j T_1 .

Averaging F(z + g u) over u in [0, 1] is (S - 1) D^-1 / g, where S shifts z by g and D^-1 is the antiderivative, which
only turns T_k into T_{k+1}; weights u and u^2 follow by parts. So features are averaged one by one: a node of the
recursion holds E T_k for all k as the coefficients of a polynomial, given the vertex of the features still to come,
and two nodes at neighbouring vertices make one of the level above. That takes 2^n nodes in all, although there are
3^n pairs of an active set and a vertex of its cube. The weights x_j ride along, and cost a small factor only because
few have been met at the levels that have many nodes. Where couplings repeat, vertices with the same z share a node.
Divisions by couplings, probabilities' denominators and factorials wait until the end: nodes hold whole numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import factorial, prod
from typing import ClassVar

from flint import fmpq, fmpz, fmpz_poly
from numpy import ndarray

from theory import Anticorrelated, FeatureDistribution, Problem
from theory.model.values import BINARY

# E w T_k of a node: the weight w is the product of the features listed in the key; a key that is missing stands for 0.
Node = dict[tuple[int, ...], fmpz_poly]


@dataclass(frozen=True)
class ExactOutput:
    """Expected squared error of one output, its derivatives, and whether they are one-sided."""

    value: fmpq
    couplings: tuple[fmpq, ...]  # derivatives in g_i1 ... g_in
    bias: fmpq
    noise: fmpq  # in the variance of the noise; 0 without noise
    at_kink: bool  # z = 0 and x_i > 0 with positive probability: no derivative there


@dataclass(frozen=True)
class ExactLoss:
    """The population loss of one model, its gradient, and whether that is one-sided."""

    value: fmpq
    dW: tuple[tuple[fmpq, ...], ...]  # m rows of n
    db: tuple[fmpq, ...]
    at_kink: bool


@dataclass(frozen=True)
class _SetOfFeatures:
    """What a set does: alternatives (weight, active members), weights as whole numbers over a common denominator."""

    members: tuple[int, ...]
    alternatives: tuple[tuple[fmpz, tuple[int, ...]], ...]
    denominator: fmpz


def rational(number: float) -> fmpq:
    """Give a double as the rational number that it is."""
    return fmpq(*float(number).as_integer_ratio())


def sets_of(features: FeatureDistribution, own: int) -> list[_SetOfFeatures]:
    """List the sets with their laws, the own feature's set last and the own feature last in it."""
    found = []
    for members, density in zip(features.sets, features.density, strict=True):
        p = rational(density)
        ordered = tuple(sorted(members, key=lambda j: (j == own, j)))
        if isinstance(features, Anticorrelated):
            choices = [(p.p, (j,)) for j in ordered]
            denominator = p.q * len(ordered)
        else:
            choices = [(p.p, ordered)]
            denominator = p.q
        idle = denominator - sum(weight for weight, _ in choices)
        possible = [(weight, active) for weight, active in [(idle, ()), *choices] if weight]
        found.append(_SetOfFeatures(ordered, tuple(possible), denominator))
    return sorted(found, key=lambda s: own in s.members)


@dataclass(frozen=True)
class Output:
    """One output in whole numbers: z and couplings in units of 1 / scale."""

    g: tuple[fmpz, ...]
    b: fmpz
    scale: fmpz
    own: int
    sets: tuple[_SetOfFeatures, ...]
    binary: bool
    gradient: bool
    zero: ClassVar = fmpz_poly()

    @cached_property
    def order(self) -> int:
        """The largest k of T_k: every averaging over a uniform value raises it by one."""
        return 2 if self.binary else 2 + sum(g != 0 for g in self.g)

    @cached_property
    def factorials(self) -> list[fmpz]:
        return [fmpz(factorial(self.order) // factorial(k)) for k in range(self.order + 1)]

    @cached_property
    def reach(self) -> list[fmpz]:
        """How far the sets from each one on can raise z."""
        ends = [fmpz(0)]
        for s in reversed(self.sets):
            ends.append(ends[-1] + sum((max(self.g[j], fmpz(0)) for j in s.members), fmpz(0)))
        return ends[::-1]

    @cached_property
    def alike(self) -> list[int]:
        """For every feature, the first one with the same coupling and a set of its own with the same law."""
        first: dict[object, int] = {}
        found = list(range(len(self.g)))
        for s in self.sets:
            if len(s.members) == 1 and self.own not in s.members:
                law = int(self.g[s.members[0]]), s.denominator, tuple(weight for weight, _ in s.alternatives)
                found[s.members[0]] = first.setdefault(law, s.members[0])
        return found

    @cached_property
    def shared(self) -> dict[tuple[int, int], Node] | None:
        """Nodes known so far, where many vertices have the same z; else they would only fill the memory."""
        return {} if 2 * len(set(self.g)) <= len(self.g) else None

    def is_continuous(self, j: int) -> bool:
        """Whether z varies continuously with feature j."""
        return not self.binary and self.g[j] != 0

    def divisor(self, j: int) -> fmpz:
        """What averaging over feature j leaves to divide by."""
        return self.g[j] if self.is_continuous(j) else fmpz(1)

    def divisor_of_weight(self, key: tuple[int, ...]) -> fmpz:
        """What a weight leaves to divide by, over and above the averages' divisors."""
        if self.binary:
            return fmpz(1)
        if len(key) == 2 and key[0] == key[1]:
            return self.g[key[0]] ** 2 if self.g[key[0]] else fmpz(3)  # E u^2 = 1/3
        return prod((self.g[j] if self.g[j] else fmpz(2) for j in key), start=fmpz(1))  # E u = 1/2

    def is_off(self, z: fmpz, first: int) -> bool:
        """Whether no set from ``first`` on can raise z above 0; 0 itself counts for nothing, except at kinks."""
        return bool(z + self.reach[first] <= 0)

    def leaf(self, z: fmpz) -> Node:
        """Give T_k for all k, times the largest factorial, where z > 0 is certain."""
        power, coefficients = fmpz(1), []
        for scale in self.factorials:
            coefficients.append(scale * power)
            power *= z
        return {(): fmpz_poly(coefficients)}

    def average(self, z: fmpz, first: int = 0) -> Node:
        """Average over the sets from ``first`` on, z being the sum of the bias and of the vertex so far."""
        if self.is_off(z, first):
            return {}
        if first == len(self.sets):
            return self.leaf(z)
        this, below = self.sets[first], {} if self.shared is None else self.shared

        def rest(shifted: fmpz) -> Node:
            key = first, int(shifted)
            if key not in below:
                below[key] = self.average(shifted, first + 1)
            return below[key]

        total: Node = {}
        for weight, active in this.alternatives:
            factor = weight * prod((self.divisor(j) for j in this.members if j not in active), start=fmpz(1))
            for key, moments in self.given(active, z, rest).items():
                total[key] = total[key] + factor * moments if key in total else factor * moments
        return total

    def given(self, active: tuple[int, ...], z: fmpz, rest) -> Node:  # type: ignore[no-untyped-def]
        """Average over the values of features that are known to be active, and over ``rest``."""
        if not active:
            return rest(z)
        j, others = active[0], active[1:]
        low = self.given(others, z, rest) if not self.binary else {}
        high = self.given(others, z + self.g[j], rest) if self.binary or self.g[j] else {}
        return self.activated(j, low, high)

    def activated(self, j: int, low: Node, high: Node) -> Node:
        """Average over the value of feature j, from the nodes where it is 0 and where it is 1."""
        own, g = self.own, self.g[j]
        asked = self.gradient and self.alike[j] == j
        weighed = [()] if j == own else [(), (own,)] if asked else []
        if not self.is_continuous(j):
            same = high if self.binary else low
            found = dict(same)
            found |= {(*key, j): same[key] for key in weighed if key in same}
            if j == own and self.gradient and () in same:
                found[own, own] = same[()]
            return found
        zero = self.zero
        found = {key: (high.get(key, zero) - low.get(key, zero)).right_shift(1) for key in dict.fromkeys([*high, *low])}
        for key in weighed:
            if key in found:
                found[*key, j] = g * high.get(key, zero).right_shift(1) - found[key].right_shift(1)
        if j == own and self.gradient and () in found:  # u^2 D^-1, by parts once more
            found[own, own] = g**2 * high.get((), zero).right_shift(1) - 2 * found[own,].right_shift(1)
        return found

    def unit(self, k: int, key: tuple[int, ...]) -> fmpz:
        """What E w T_k of the whole is to be divided by, w being the weight of the key."""
        return self.common * self.divisor_of_weight(key) * self.scale**k

    @cached_property
    def common(self) -> fmpz:
        """What all moments are to be divided by."""
        whole = prod((s.denominator for s in self.sets), start=fmpz(1))
        return whole * prod((self.divisor(j) for j in range(len(self.g))), start=fmpz(1))

    @cached_property
    def square(self) -> fmpq:
        """E x_i^2."""
        law = next(s for s in self.sets if self.own in s.members)
        probability = fmpq(sum(weight for weight, active in law.alternatives if self.own in active), law.denominator)
        return probability if self.binary else probability / 3

    @cached_property
    def at_kink(self) -> bool:
        """Whether z = 0 while the own feature is active has positive probability."""
        if not self.binary:
            still = all(
                any((self.own in active or self.own not in s.members) and not any(self.g[j] for j in active)
                    for _, active in s.alternatives)
                for s in self.sets
            )  # fmt: skip
            return self.b == 0 and still
        sums = {int(self.b)}
        for s in self.sets:
            possible = [a for _, a in s.alternatives if self.own in a or self.own not in s.members]
            sums = {z + int(sum((self.g[j] for j in active), fmpz(0))) for z in sums for active in possible}
        return 0 in sums


def exact_output(
    couplings: Sequence[fmpq], bias: fmpq, own: int, features: FeatureDistribution, gradient: bool = True
) -> ExactOutput:
    """Give the expected squared error of one output of a single problem; without ``gradient``, derivatives are 0."""
    scale = max([c.q for c in (*couplings, bias)])  # all denominators are powers of two
    output = Output(
        tuple((c * scale).p for c in couplings), (bias * scale).p, scale, own,
        tuple(sets_of(features, own)), features.values == BINARY, gradient,
    )  # fmt: skip
    node = output.average(output.b)

    def moment(k: int, *key: int) -> fmpq:
        moments = node.get(key)
        return fmpq(0) if moments is None else fmpq(moments[k], output.factorials[0] * output.unit(k, key))

    value = output.square - 2 * moment(1, own) + 2 * moment(2)
    if not gradient:
        return ExactOutput(value, (), fmpq(0), fmpq(0), output.at_kink)
    slopes = tuple(2 * moment(1, j) - 2 * moment(0, own, j) for j in output.alike)
    return ExactOutput(value, slopes, 2 * moment(1) - 2 * moment(0, own), fmpq(0), output.at_kink)


def exact_loss(W: ndarray, b: ndarray, problem: Problem) -> ExactLoss:
    """Give the population loss of a single model; outputs of importance 0 cost nothing."""
    if problem.batch_shape or W.ndim != 2:
        raise ValueError(f"the oracle takes one model at a time, got a batch {problem.batch_shape or W.shape[:-2]}")
    columns = [[rational(entry) for entry in column] for column in W.T]
    value, at_kink = fmpq(0), False
    dW = [[fmpq(0)] * problem.n for _ in range(problem.m)]
    db = [fmpq(0)] * problem.n
    for i, weight in enumerate(map(rational, problem.importance)):
        if weight == 0:
            continue
        row = [sum((u * v for u, v in zip(columns[i], column, strict=True)), fmpq(0)) for column in columns]
        output = exact_output(row, rational(b[i]), i, problem.features)
        value += weight * output.value
        db[i] = weight * output.bias
        at_kink |= output.at_kink
        for d in range(problem.m):  # row i of the couplings is g_ij = sum_d W_di W_dj
            own = columns[i][d]
            for j, slope in enumerate(output.couplings):
                dW[d][j] += weight * slope * own
            dW[d][i] += weight * sum((s * c[d] for s, c in zip(output.couplings, columns, strict=True)), fmpq(0))
    return ExactLoss(value, tuple(map(tuple, dW)), tuple(db), at_kink)


def difference(number: float, exact: fmpq) -> float:
    """Give |number - exact| without rounding before the last step; infinity if the number is not finite."""
    try:
        gap = abs(rational(number) - exact)
    except (OverflowError, ValueError):  # infinity or NaN is no ratio of integers
        return float("inf")
    return to_float(gap)


def to_float(exact: fmpq) -> float:
    """Round an exact rational number to the nearest double."""
    try:
        return int(exact.p) / int(exact.q)
    except OverflowError:
        return float("inf") if exact > 0 else float("-inf")

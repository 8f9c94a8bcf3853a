"""The oracle with Gaussian noise on the output before its activation: real numbers with certified radii.

With z = b + c.x + N(0, v), averaging over the noise first turns T_k = ReLU(z)^k / k! into smooth functions that still
are antiderivatives of one another,

    T_-1 = exp(-z^2 / 2v) / sqrt(2 pi v) ,   T_0 = erfc(-z / sqrt(2v)) / 2 ,   k T_k = z T_{k-1} + v T_{k-2} ,

so that only the leaves of the recursion change. The derivative in v is half of that of second order in z: of
x^2 - 2 x T_1 + 2 T_2 it is T_0 - x T_-1. Balls instead of rationals, whose precision is doubled until all radii are
small.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

from flint import arb, arb_poly, ctx, fmpq, fmpz

from theory import FeatureDistribution
from theory.model.values import BINARY

from .oracle import ExactOutput, Node, Output, sets_of

# Relative to the probability of the own feature; doubles have 16 digits.
RADIUS = fmpq(1, 10**25)
FIRST_BITS, MOST_BITS = 256, 2**16


@dataclass(frozen=True)
class NoisyOutput(Output):
    """An output with noise, its variance in units of 1 / scale^2; coefficient k of a node is T_{k-1}."""

    zero: ClassVar = arb_poly()
    noise: fmpq

    def is_off(self, z: fmpz, first: int) -> bool:
        """Noise can switch on every output."""
        return False

    def leaf(self, z: fmpz) -> Node:
        """Give T_k for all k from -1 on."""
        width, place = (2 * arb(self.noise)).sqrt(), arb(z)
        moments = [(-((place / width) ** 2)).exp() / (width * arb.pi().sqrt()), (-place / width).erfc() / 2]
        for k in range(1, self.order + 1):
            moments.append((place * moments[-1] + self.noise * moments[-2]) / k)
        return {(): arb_poly(moments)}


def noisy_output(
    couplings: Sequence[fmpq], bias: fmpq, own: int, features: FeatureDistribution, noise: fmpq
) -> ExactOutput:
    """Give the expected squared error of one output with noise of a variance > 0, all to ``RADIUS`` times p_own."""
    scale = max([c.q for c in (*couplings, bias)])
    output = NoisyOutput(
        tuple((c * scale).p for c in couplings), (bias * scale).p, scale, own,
        tuple(sets_of(features, own)), features.values == BINARY, True, noise=noise * scale**2,
    )  # fmt: skip
    bits = FIRST_BITS
    while bits <= MOST_BITS:
        with _precision(bits):
            numbers = _numbers(output)
            if all(x.rad() <= arb(RADIUS * output.square) for x in numbers):
                value, bias_slope, noise_slope, *slopes = map(_midpoint, numbers)
                return ExactOutput(value, tuple(slopes), bias_slope, noise_slope, False)
        bits *= 2
    raise ArithmeticError(f"{MOST_BITS} bits do not do")


def _numbers(output: NoisyOutput) -> list[arb]:
    """Value, slopes in bias and noise, slopes in couplings."""
    node, own = output.average(output.b), output.own

    def moment(k: int, *key: int) -> arb:
        moments = node.get(key)
        if moments is None:
            return arb(0)
        unit = output.unit(max(k, 0), key)
        return moments[k + 1] / unit if k >= 0 else moments[0] * output.scale / unit

    value = arb(output.square) - 2 * moment(1, own) + 2 * moment(2)
    slopes = [2 * moment(1, j) - 2 * moment(0, own, j) for j in output.alike]
    return [value, 2 * moment(1) - 2 * moment(0, own), moment(0) - moment(-1, own), *slopes]


def _midpoint(ball: arb) -> fmpq:
    mantissa, exponent = ball.mid().man_exp()
    if exponent < -(2**20):  # far out in the tail of a Gaussian; flint refuses such powers
        return fmpq(0)
    return fmpq(mantissa) * fmpq(2) ** int(exponent)


@contextmanager
def _precision(bits: int) -> Iterator[None]:
    before, ctx.prec = ctx.prec, bits
    try:
        yield
    finally:
        ctx.prec = before

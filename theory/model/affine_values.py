"""Any law shifted and scaled."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Complex, Float
from numpy import ndarray
from numpy.typing import ArrayLike

from theory.model.value_families import require
from theory.model.value_protocol import Box, Triple, ValueLaw
from theory.tools.expressions import expression
from theory.tools.locking import sealed

if TYPE_CHECKING:
    import sympy

__all__ = ["Affine", "moved"]


def moved(
    inner: Sequence[Complex[ndarray, "*shape"]], a: Float[ndarray, "*shape"], shift: float, scale: float
) -> tuple[Complex[ndarray, "*shape"], ...]:
    """
    Shift and scale values v, of which a transform and its derivatives are given.

    Parameters
    ----------
    inner : sequence of ndarray of complex
        Derivatives 0, 1, ... of E exp(ixv) at x = scale a.
    a : ndarray
        Arguments.
    shift, scale : float
        u = shift + scale v.

    Returns
    -------
    tuple of ndarray of complex
        The same derivatives of E exp(iau) at a.
    """
    if not shift:
        return tuple(scale**k * one for k, one in enumerate(inner))
    phase = np.exp(1j * shift * np.asarray(a))
    # E (iu)^k exp(iau): (i shift)^(k-j) stands beside the j-th derivative
    return tuple(
        phase * sum(math.comb(k, j) * (1j * shift) ** (k - j) * scale**j * inner[j] for j in range(k + 1))
        for k in range(len(inner))
    )


@sealed
@dataclass(frozen=True)
class Affine(ValueLaw):
    """
    Another law's values v, shifted and scaled: u = shift + scale v.

    Attributes
    ----------
    law : ValueLaw
        The law of v.
    shift : float
        What is added.
    scale : float
        What v is multiplied with first, > 0.
    title : str
        How commands call it.
    """

    law: ValueLaw
    shift: float
    scale: float
    title: str = ""

    def __post_init__(self) -> None:
        """Refuse what is no parameter."""
        require("the shift of a law", self.shift)
        require("the scale of a law", self.scale, positive=True)

    @property
    def name(self) -> str:
        """As commands take it, or said in full."""
        return self.title or f"{self.shift:g} + {self.scale:g} {self.law.name}"

    @property
    def support(self) -> tuple[float, float]:
        """That of v, shifted and scaled."""
        low, high = self.law.support
        return (self.shift + self.scale * low, self.shift + self.scale * high)

    @property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        """Those of v, shifted and scaled."""
        return tuple((self.shift + self.scale * place, share) for place, share in self.law.atoms)

    @property
    def strip(self) -> float:
        """That of v over the scale."""
        return self.law.strip / self.scale

    @property
    def heavy(self) -> bool:
        """As v."""
        return self.law.heavy

    @property
    def neglected(self) -> float:
        """That of v, larger; values left out are far off, so that there are at most that over E v^2 to be shifted."""
        shifted = 2 * (self.scale**2 + self.shift**2 / self.law.square)
        return self.law.neglected * (shifted if self.shift else self.scale**2)

    @property
    def transform_error(self) -> float:
        """That of v."""
        return self.law.transform_error

    @property
    def box(self) -> Box | None:
        """That of v, larger; none if it is shifted."""
        box = self.law.box
        return None if box is None or self.shift else Box(self.scale * box.height, box.filled)

    def _binomial(self, k: int, parts: Sequence[ndarray | float]) -> ndarray:
        """E (shift + scale v)^k out of what v^j gives."""
        orders = range(k + 1) if self.shift else (k,)  # the highest alone: others may be infinite
        return np.asarray(sum(math.comb(k, j) * self.shift ** (k - j) * self.scale**j * parts[j] for j in orders))

    def scaled(self, factor: float) -> "Affine":
        """Give the same with both numbers scaled."""
        return Affine(self.law, factor * self.shift, factor * self.scale, self.name)

    def moment(self, k: int) -> float:
        """Give E u^k."""
        return float(self._binomial(k, [self.law.moment(j) for j in range(k + 1)]))

    def transform(self, a: Float[ndarray, "*shape"], order: int = 0) -> Complex[ndarray, "*shape"]:
        """Give the derivative of that order of exp(i shift a) e(scale a)."""
        return self.transforms(a, order)[order]

    def transforms(self, a: Float[ndarray, "*shape"], order: int) -> tuple[Complex[ndarray, "*shape"], ...]:
        """Give the transform and its derivatives by the product rule."""
        return moved(self.law.transforms(self.scale * np.asarray(a), order), a, self.shift, self.scale)

    def losses(self, a: Float[ndarray, "*shape"]) -> tuple[Complex[ndarray, "*shape"], Complex[ndarray, "*shape"]]:
        """Give what v and the phase exp(i shift a) have lost together."""
        a = np.asarray(a, dtype=float)
        gone, slope = self.law.losses(self.scale * a)
        turned = np.expm1(1j * self.shift * a)
        lost = turned + (1 + turned) * gone
        of_v = (1 + turned) * slope + 1j * self.law.mean * turned
        return lost, 1j * self.shift * lost + self.scale * of_v

    def partial(self, k: int, x: ArrayLike) -> ndarray:
        """Give E u^k 1(u > x)."""
        at = (np.asarray(x, dtype=float) - self.shift) / self.scale
        return self._binomial(k, [self.law.partial(j, at) for j in range(k + 1)])

    def quantile(self, q: Float[ndarray, "*shape"]) -> Float[ndarray, "*shape"]:
        """Give that of v, shifted and scaled."""
        return np.asarray(q.dtype.type(self.shift) + q.dtype.type(self.scale) * self.law.quantile(q))

    def log_mgf(self, s: ArrayLike) -> ndarray:
        """Give that of v, and s times the shift."""
        s = np.asarray(s, dtype=float)
        return np.asarray(self.shift * s + self.law.log_mgf(self.scale * s))

    def interference(self, c: Float[ndarray, "*#shape"], b: Float[ndarray, "*#shape"]) -> Triple:
        """Give that of v with the bias (b + c shift) / scale, times the square of the scale."""
        s, shift = self.scale, self.shift
        value, dc, db = self.law.interference(c, (b + c * shift) / s)
        return s * s * value, s * (s * dc + shift * db), s * db

    def own_error(self, c: Float[ndarray, "*#shape"], b: Float[ndarray, "*#shape"]) -> Triple:
        """Give that of v with the bias b / scale, times the square of the scale; if shifted, by partial moments."""
        if self.shift:
            return super().own_error(c, b)
        value, dc, db = self.law.own_error(c, b / self.scale)
        return self.scale**2 * value, self.scale**2 * dc, self.scale * db

    def sympy_density(self, u: "sympy.Symbol") -> "sympy.Expr | None":
        """Give that of v at (u - shift) / scale, over the scale."""
        import sympy

        u = expression(u)
        density = self.law.sympy_density(u)
        shift, scale = sympy.nsimplify(self.shift), sympy.nsimplify(self.scale)
        return None if density is None else density.subs(u, (u - shift) / scale) / scale

    def expect(self, integrand: "sympy.Expr", u: "sympy.Symbol") -> "sympy.Expr":
        """Average over v."""
        import sympy

        integrand, u = expression(integrand), expression(u)
        shift, scale = sympy.nsimplify(self.shift), sympy.nsimplify(self.scale)
        return self.law.expect(sympy.expand(integrand.subs(u, shift + scale * u)), u)

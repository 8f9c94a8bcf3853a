"""Measured values: a histogram, uniform within each of its bins.

Its transform is that of panels (theory.model.panels), whose table costs as much for many bins as for one; the values
are centred and measured in standard deviations first, so that the table's cells are wide wherever the bins lie.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from jaxtyping import Complex, Float
from numpy import ndarray
from numpy.typing import ArrayLike

from theory.model.affine_values import Affine, moved
from theory.model.fitted_panels import polynomial_panels
from theory.model.panels import ORDERS, TABLE_ERROR, Panels
from theory.model.value_protocol import ValueLaw
from theory.model.values import UNIFORM
from theory.tools.locking import sealed

__all__ = ["Histogram"]

# Shares that sum to 1 up to this are typed decimals.
_SUM = 1e-9


@sealed
@dataclass(frozen=True)
class Histogram(ValueLaw):
    """
    Values in bins, uniform within each.

    Attributes
    ----------
    edges : tuple of float
        Ends of the bins, rising.
    probabilities : tuple of float
        One a bin, >= 0, with the sum 1; those of the outermost bins > 0.

    Raises
    ------
    ValueError
        If they are no histogram.

    Examples
    --------
    >>> Histogram((0.0, 1.0, 3.0), (0.5, 0.5)).mean
    1.25
    """

    edges: tuple[float, ...]
    probabilities: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse what is no histogram."""
        edges, shares = (tuple(float(x) for x in part) for part in (self.edges, self.probabilities))
        rising = len(edges) > 1 and bool((np.diff(edges) > 0).all()) and all(map(math.isfinite, edges))
        if not rising or len(shares) != len(edges) - 1:
            raise ValueError(
                f"a histogram needs finite, rising ends of bins and a probability for each bin, got {len(edges)} ends "
                f"and {len(shares)} probabilities"
            )
        if not all(q >= 0 for q in shares) or not min(shares[0], shares[-1]) > 0 or abs(sum(shares) - 1) > _SUM:
            raise ValueError(
                "the probabilities of a histogram's bins must sum to 1, none negative and those of the first and the "
                f"last bin > 0, got the sum {sum(shares):g}"
            )
        total = math.fsum(shares)
        object.__setattr__(self, "edges", edges)
        object.__setattr__(self, "probabilities", tuple(q / total for q in shares))

    @classmethod
    def of(cls, frozen: Any) -> "Histogram":
        """
        Take a ``scipy.stats.rv_histogram``.

        Parameters
        ----------
        frozen : scipy.stats frozen distribution
            Such as ``scipy.stats.rv_histogram(numpy.histogram(data))()``.

        Returns
        -------
        Histogram
            Its bins, empty ones at the ends left out.
        """
        _, location, scale = frozen.dist._parse_args(*frozen.args, **frozen.kwds)
        edges = location + scale * np.asarray(frozen.dist._hbins, dtype=float)
        shares = np.diff(frozen.cdf(edges))
        inside = np.flatnonzero(shares > 0)
        some = slice(inside[0], inside[-1] + 1)
        return cls(tuple(edges[inside[0] : inside[-1] + 2].tolist()), tuple((shares[some] / shares.sum()).tolist()))

    @property
    def name(self) -> str:
        """How many bins there are, and from where to where."""
        return f"histogram of {len(self.probabilities)} bins from {self.edges[0]:g} to {self.edges[-1]:g}"

    @property
    def support(self) -> tuple[float, float]:
        """From the first end to the last."""
        return (self.edges[0], self.edges[-1])

    @property
    def transform_error(self) -> float:
        """What the table may be wrong by."""
        return TABLE_ERROR

    @cached_property
    def _bins(self) -> list[tuple[Affine, float]]:
        """Laws and probabilities of the bins that are not empty."""
        ends = zip(self.edges[:-1], np.diff(self.edges).tolist(), self.probabilities, strict=True)
        return [(Affine(UNIFORM, low, width), q) for low, width, q in ends if q > 0]

    def moment(self, k: int) -> float:
        """Give E u^k."""
        return math.fsum(q * law.moment(k) for law, q in self._bins)

    def transform(self, a: Float[ndarray, "*shape"], order: int = 0) -> Complex[ndarray, "*shape"]:
        """Give the derivative of that order of the transform."""
        return self.transforms(a, order)[order]

    def transforms(self, a: Float[ndarray, "*shape"], order: int) -> tuple[Complex[ndarray, "*shape"], ...]:
        """Give the transform and its derivatives."""
        panels, shift, scale = _standard(self)
        a = np.asarray(a, dtype=float)
        return moved(panels.transforms(scale * a, tuple(range(order + 1))), a, shift, scale)

    def partial(self, k: int, x: ArrayLike) -> ndarray:
        """Give E u^k 1(u > x)."""
        return np.asarray(sum(q * law.partial(k, x) for law, q in self._bins))

    def quantile(self, q: Float[ndarray, "*shape"]) -> Float[ndarray, "*shape"]:
        """Give the inverse of the broken line of summed probabilities."""
        kept = np.array([0, *(k for k, share in enumerate(self.probabilities, 1) if share > 0)])
        reached = np.concatenate([[0.0], np.cumsum(self.probabilities)])[kept]
        # above an empty bin values go on from its upper end
        upper = np.array(self.edges)[kept]
        lower = np.array([law.shift for law, _ in self._bins])
        share = np.asarray(q, dtype=float)
        bin_ = np.clip(np.searchsorted(reached, share, side="right") - 1, 0, len(lower) - 1)
        part = (share - reached[bin_]) / (reached[bin_ + 1] - reached[bin_])
        return np.asarray(lower[bin_] + np.clip(part, 0, 1) * (upper[bin_ + 1] - lower[bin_])).astype(q.dtype)

    def log_mgf(self, s: ArrayLike) -> ndarray:
        """Give the logarithm of the sum over bins."""
        return np.asarray(np.logaddexp.reduce([math.log(q) + law.log_mgf(s) for law, q in self._bins]))


@lru_cache(maxsize=8)
def _standard(law: Histogram) -> tuple[Panels, float, float]:
    """Panels of the values less their mean, in standard deviations; mean and deviation."""
    edges, shares = np.array(law.edges), np.array(law.probabilities)
    from_first = edges - edges[0]  # so that nothing cancels where bins lie far from 0
    widths, middle = np.diff(from_first), (from_first[1:] + from_first[:-1]) / 2
    mean = float(shares @ middle)
    deviation = math.sqrt(float(shares @ ((middle - mean) ** 2 + widths**2 / 12)))
    ends = (from_first - mean) / deviation
    # over the widths as they are rounded: no digit of a thin bin's probability is lost
    panels = polynomial_panels(ends, (shares / np.diff(ends))[:, None])
    # u^r times a constant has no more terms
    return replace(panels, coefficients=panels.coefficients[:, :, :ORDERS]), float(edges[0]) + mean, deviation

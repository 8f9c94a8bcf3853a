"""Feature distributions: which features are active together, and the values they take.

Features come in independent sets. A set is active with its own density and then switches on one feature
(``Independent``: every set has one member), all of its features (``Correlated``) or exactly one of them, chosen
uniformly (``Anticorrelated``). An active feature takes a value of its own: uniform on [0, 1], or 1 ("binary").
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from numpy.typing import ArrayLike

__all__ = ["Anticorrelated", "Correlated", "FeatureDistribution", "Independent", "ValueLaw", "density_array"]

ValueLaw = Literal["uniform", "binary"]

_MEAN = {"uniform": 1 / 2, "binary": 1.0}
_SQUARE = {"uniform": 1 / 3, "binary": 1.0}


def locked(values: ArrayLike) -> ndarray:
    """Copy an array as float64 and make the copy read-only."""
    array = np.array(values, dtype=float)
    array.flags.writeable = False
    return array


def density_array(density: ArrayLike) -> Float[ndarray, "..."]:
    """
    Check a density and return it as a read-only array.

    Parameters
    ----------
    density : array_like
        Probability p = 1 - S that a feature (or set of features) is active, in (0, 1].

    Returns
    -------
    ndarray
        The same numbers, float64 and read-only.

    Raises
    ------
    TypeError
        If the density is not numeric.
    ValueError
        If an entry lies outside (0, 1] or is NaN.
    """
    try:
        p = locked(density)
    except (TypeError, ValueError):
        raise TypeError(f"density must be a number or an array of numbers, got {density!r}") from None
    wrong = ~((p > 0) & (p <= 1))
    if wrong.any():
        culprit = float(p[wrong].flat[0])
        raise ValueError(f"density must lie in (0, 1], got {culprit!r}; did you pass the sparsity S = 1 - p?")
    return p


def _validate_sets(sets: tuple[tuple[int, ...], ...]) -> None:
    """Refuse sets that are empty, overlap, or leave a feature out."""
    if not sets or any(len(members) == 0 for members in sets):
        raise ValueError("sets must not be empty; there must be a set, and every set needs a feature")
    members = sorted(j for s in sets for j in s)
    repeated = [j for j, k in pairwise(members) if j == k]
    if repeated:
        raise ValueError(f"sets must not overlap, but feature {repeated[0]} is listed more than once")
    if members != list(range(len(members))):
        raise ValueError(f"sets must cover the features 0 ... n-1 without gaps, got the features {members}")


@dataclass(frozen=True, eq=False, init=False)
class FeatureDistribution(ABC):
    """
    What every feature distribution can say about itself.

    Leading axes of the density, if any, are a batch of distributions over the same sets.
    """

    density: Float[ndarray, "*batch n_sets"]
    sets: tuple[tuple[int, ...], ...]
    values: ValueLaw

    def __init__(self, sets: tuple[tuple[int, ...], ...], density: ArrayLike, values: ValueLaw) -> None:
        p = density_array(density)
        if values not in _MEAN:
            raise ValueError(f"values must be 'uniform' or 'binary', got {values!r}")
        _validate_sets(sets)
        if p.ndim == 0:
            p = locked(np.full(len(sets), p))
        if p.shape[-1] != len(sets):
            raise ValueError(
                f"density must be a scalar or have shape ({len(sets)},), one number per "
                f"{'feature' if isinstance(self, Independent) else 'set'}, got shape {p.shape}"
            )
        for name, value in (("sets", sets), ("density", p), ("values", values)):
            object.__setattr__(self, name, value)

    @property
    def n(self) -> int:
        """Number of features."""
        return sum(len(members) for members in self.sets)

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Shape of the batch of distributions; () for a single one."""
        return self.density.shape[:-1]

    def reshaped(self, batch: tuple[int, ...]) -> "FeatureDistribution":
        """Broadcast the distribution over a batch of problems, and flatten that batch to one axis."""
        if self.batch_shape == ():
            return self
        n_sets = len(self.sets)
        return self.with_density(np.broadcast_to(self.density, (*batch, n_sets)).reshape(-1, n_sets))

    @abstractmethod
    def with_density(self, density: ArrayLike) -> "FeatureDistribution":
        """Return the same sets at another density."""

    @property
    def value_mean(self) -> float:
        """Mean of an active feature's value."""
        return _MEAN[self.values]

    @property
    def value_square(self) -> float:
        """Mean square of an active feature's value."""
        return _SQUARE[self.values]

    @property
    def set_of_feature(self) -> ndarray:
        """Index of the set that each feature belongs to, shape (n,)."""
        owner = np.empty(self.n, dtype=int)
        for s, members in enumerate(self.sets):
            owner[list(members)] = s
        return owner

    @property
    @abstractmethod
    def feature_density(self) -> Float[ndarray, "*batch n"]:
        """Probability that each feature is active."""

    @abstractmethod
    def pair_activity(self) -> Float[ndarray, "*batch n n"]:
        """Probability that features i and j are both active; the feature density on the diagonal."""

    @abstractmethod
    def pattern_probability(self, active: Bool[ndarray, "patterns n"]) -> Float[ndarray, "*batch patterns"]:
        """Probability that the active features are exactly those of each pattern."""

    @property
    def mean(self) -> Float[ndarray, "*batch n"]:
        """E x."""
        return self.value_mean * self.feature_density

    @property
    def second_moment(self) -> Float[ndarray, "*batch n n"]:
        """E x x^T."""
        moment = self.value_mean**2 * self.pair_activity()
        diagonal = np.arange(self.n)
        moment[..., diagonal, diagonal] = self.value_square * self.feature_density
        return moment


@dataclass(frozen=True, eq=False, init=False)
class Independent(FeatureDistribution):
    """
    Features that are active independently of one another.

    Parameters
    ----------
    density : array_like, shape (n,) or (*batch, n)
        Probability p_j = 1 - S_j that feature j is active, in (0, 1].
    values : {"uniform", "binary"}
        Law of an active feature's value: U[0, 1], or the constant 1.

    Raises
    ------
    ValueError
        If the density lies outside (0, 1], is a scalar, or the value law is unknown.

    Examples
    --------
    >>> Independent([0.1, 0.2]).mean
    array([0.05, 0.1 ])
    """

    def __init__(self, density: ArrayLike, values: ValueLaw = "uniform") -> None:
        p = density_array(density)
        if p.ndim == 0:
            raise ValueError(
                "Independent needs one density per feature, shape (n,); Problem(n=...) broadcasts a scalar"
            )
        super().__init__(tuple((j,) for j in range(p.shape[-1])), p, values)

    def with_density(self, density: ArrayLike) -> "Independent":
        """Return the same features at another density, shape (n,) or (*batch, n)."""
        return Independent(density, self.values)

    @property
    def feature_density(self) -> Float[ndarray, "*batch n"]:
        """Probability that each feature is active."""
        return self.density

    def pair_activity(self) -> Float[ndarray, "*batch n n"]:
        """Probability that features i and j are both active; the feature density on the diagonal."""
        p = self.density
        pair = p[..., :, None] * p[..., None, :]
        diagonal = np.arange(self.n)
        pair[..., diagonal, diagonal] = p
        return pair

    def pattern_probability(self, active: Bool[ndarray, "patterns n"]) -> Float[ndarray, "*batch patterns"]:
        """Probability that the active features are exactly those of each pattern."""
        p = self.density[..., None, :]
        return np.asarray(np.prod(np.where(active, p, 1 - p), axis=-1))


@dataclass(frozen=True, eq=False, init=False)
class _Sets(FeatureDistribution):
    """Feature distributions that are given by their sets."""

    def __init__(self, sets: Sequence[Sequence[int]], density: ArrayLike, values: ValueLaw = "uniform") -> None:
        try:
            members = tuple(tuple(int(j) for j in s) for s in sets)
        except TypeError:
            raise TypeError(f"sets must be a list of lists of feature numbers, got {sets!r}") from None
        super().__init__(members, density, values)

    def with_density(self, density: ArrayLike) -> "FeatureDistribution":
        """Return the same sets at another density, shape () or (n_sets,) or (*batch, n_sets)."""
        return type(self)(self.sets, density, self.values)


class Correlated(_Sets):
    """
    Sets of features of which either all are active or none; the values stay independent.

    Parameters
    ----------
    sets : sequence of sequences of int
        The features 0 ... n-1, each in exactly one set.
    density : array_like, shape (n_sets,) or (*batch, n_sets)
        Probability that a set is active, in (0, 1]; a scalar holds for every set.
    values : {"uniform", "binary"}
        Law of an active feature's value: U[0, 1], or the constant 1.

    Raises
    ------
    ValueError
        If the sets overlap or leave a feature out, or the density lies outside (0, 1].

    Examples
    --------
    >>> Correlated([[0, 1], [2, 3]], density=0.1).feature_density
    array([0.1, 0.1, 0.1, 0.1])
    """

    @property
    def feature_density(self) -> Float[ndarray, "*batch n"]:
        """Probability that each feature is active."""
        return self.density[..., self.set_of_feature]

    def pair_activity(self) -> Float[ndarray, "*batch n n"]:
        """Probability that features i and j are both active; the feature density on the diagonal."""
        owner = self.set_of_feature
        p = self.feature_density
        return np.where(owner[:, None] == owner, p[..., None], p[..., :, None] * p[..., None, :])

    def pattern_probability(self, active: Bool[ndarray, "patterns n"]) -> Float[ndarray, "*batch patterns"]:
        """Probability that the active features are exactly those of each pattern."""
        probability = np.ones((*self.batch_shape, len(active)))
        for s, members in enumerate(self.sets):
            p = self.density[..., s, None]
            inside = active[:, list(members)]
            probability *= np.where(inside.all(-1), p, np.where(inside.any(-1), 0.0, 1 - p))
        return probability


class Anticorrelated(_Sets):
    """
    Sets of features of which at most one is active: exactly one, chosen uniformly, when the set is.

    Parameters
    ----------
    sets : sequence of sequences of int
        The features 0 ... n-1, each in exactly one set.
    density : array_like, shape (n_sets,) or (*batch, n_sets)
        Probability that a set is active, in (0, 1]; a scalar holds for every set. The density of a
        feature is that of its set divided by the set's size.
    values : {"uniform", "binary"}
        Law of an active feature's value: U[0, 1], or the constant 1.

    Raises
    ------
    ValueError
        If the sets overlap or leave a feature out, or the density lies outside (0, 1].

    Examples
    --------
    >>> Anticorrelated([[0, 1], [2, 3]], density=0.1).feature_density
    array([0.05, 0.05, 0.05, 0.05])
    """

    @property
    def feature_density(self) -> Float[ndarray, "*batch n"]:
        """Probability that each feature is active."""
        sizes = np.array([len(members) for members in self.sets])
        return (self.density / sizes)[..., self.set_of_feature]

    def pair_activity(self) -> Float[ndarray, "*batch n n"]:
        """Probability that features i and j are both active; the feature density on the diagonal."""
        owner = self.set_of_feature
        p = self.feature_density
        pair = np.where(owner[:, None] == owner, 0.0, p[..., :, None] * p[..., None, :])
        diagonal = np.arange(self.n)
        pair[..., diagonal, diagonal] = p
        return pair

    def pattern_probability(self, active: Bool[ndarray, "patterns n"]) -> Float[ndarray, "*batch patterns"]:
        """Probability that the active features are exactly those of each pattern."""
        probability = np.ones((*self.batch_shape, len(active)))
        for s, members in enumerate(self.sets):
            p = self.density[..., s, None]
            count = active[:, list(members)].sum(-1)
            probability *= np.select([count == 0, count == 1], [1 - p, p / len(members)], 0.0)
        return probability

"""Feature distributions: features come in independent sets, each with a density, a set law and a value law.

A set is active with its own density and then switches on its one feature (``Independent``: every set has one member),
all of its features (``Correlated``), exactly one of them, chosen uniformly (``Anticorrelated``), or what its set law
says (``FeatureDistribution``). An active feature takes a value of its own, from the value law.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from numpy.typing import ArrayLike

from theory.model.set_laws import ALL_OR_NONE, EXACTLY_ONE, SetLaw
from theory.model.values import ValueLaw, ValueLike, value_law
from theory.tools.locking import Locked, locked

__all__ = ["Anticorrelated", "Correlated", "FeatureDistribution", "Independent", "density_array", "one_density"]


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


def one_density(density: ArrayLike) -> float:
    """
    Check the density of features that all have the same.

    Parameters
    ----------
    density : float
        Probability p = 1 - S that a feature is active, in (0, 1].

    Returns
    -------
    float
        The same number.

    Raises
    ------
    TypeError
        If it is not one number.
    ValueError
        If it lies outside (0, 1] or is NaN.
    """
    p = density_array(density)
    if p.ndim:
        raise TypeError(f"density must be one number, that of every feature, got an array of shape {p.shape}")
    return float(p)


def _laws_of(law: SetLaw | str | Sequence[SetLaw | str], members: tuple[tuple[int, ...], ...]) -> tuple[SetLaw, ...]:
    """One law for each set."""
    several = isinstance(law, Sequence) and not isinstance(law, str)
    given: tuple[Any, ...] = tuple(law) if several else (law,) * len(members)  # type: ignore[arg-type]
    if len(given) != len(members) or not all(isinstance(one, (SetLaw, str)) for one in given):
        raise TypeError(
            "law must be a record such as those of theory.model.set_families, a name such as 'partial:0.7', or one for "
            f"each of the {len(members)} sets, got {law!r}"
        )
    if not any(isinstance(one, str) for one in given):
        return given
    from theory.model.set_names import set_law_of_name

    return tuple(
        set_law_of_name(one, len(own)) if isinstance(one, str) else one for one, own in zip(given, members, strict=True)
    )


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
class FeatureDistribution(Locked):
    """
    Independent sets of features.

    Parameters
    ----------
    sets : sequence of sequences of int
        The features 0 ... n-1, each in exactly one set.
    density : array_like, shape (n_sets,) or (*batch, n_sets)
        Probability that a set is active, in (0, 1]; a scalar holds for every set. Leading axes are a batch of
        distributions over the same sets.
    law : SetLaw or str, or sequence of them
        What an active set switches on: one law for all sets, or one for each; records are in
        ``theory.model.set_families``, and "all-or-none", "exactly-one", "exactly:K", "partial:C", "correlated:RHO",
        "hierarchy:C" and "table:PATTERN@PROBABILITY,..." name them.
    values : ValueLaw, str or frozen distribution of scipy.stats
        Law of an active feature's value: a record, a name such as "uniform" or "exponential:2", or a distribution.

    Raises
    ------
    ValueError
        If the sets overlap or leave a feature out, or the density lies outside (0, 1].
    TypeError
        If an argument is of the wrong kind.

    Examples
    --------
    >>> from theory.model.set_laws import AllOrNone, ExactlyOne
    >>> FeatureDistribution([[0, 1], [2, 3]], 0.1, [AllOrNone(), ExactlyOne()]).feature_density
    array([0.1 , 0.1 , 0.05, 0.05])
    """

    density: Float[ndarray, "*batch n_sets"]
    sets: tuple[tuple[int, ...], ...]
    laws: tuple[SetLaw, ...]
    values: ValueLaw

    def __init__(
        self,
        sets: Sequence[Sequence[int]],
        density: ArrayLike,
        law: SetLaw | str | Sequence[SetLaw | str] = ALL_OR_NONE,
        values: ValueLike = "uniform",
    ) -> None:
        try:
            members = tuple(tuple(int(j) for j in s) for s in sets)
        except TypeError:
            raise TypeError(f"sets must be a list of lists of feature numbers, got {sets!r}") from None
        p = density_array(density)
        _validate_sets(members)
        laws = _laws_of(law, members)
        for one, count in {(one, len(s)) for one, s in zip(laws, members, strict=True)}:
            one.validate(count)
        if p.ndim == 0:
            p = locked(np.full(len(members), p))
        if p.shape[-1] != len(members):
            raise ValueError(
                f"density must be a scalar or have shape ({len(members)},), one number per set, got shape {p.shape}"
            )
        for name, value in (("sets", members), ("density", p), ("laws", laws), ("values", value_law(values))):
            object.__setattr__(self, name, value)

    def __init_subclass__(cls) -> None:
        """Refuse further subclasses: what they override would be ignored where densities are batched."""
        if cls.__module__ != __name__:
            raise TypeError(
                "a feature distribution is its sets, their laws and values: write a SetLaw or a ValueLaw and pass it "
                "to FeatureDistribution instead of a subclass"
            )

    @cached_property
    def n(self) -> int:
        """Number of features."""
        return sum(len(members) for members in self.sets)

    @property
    def groups(self) -> tuple[tuple[tuple[int, ...], SetLaw], ...]:
        """The sets with their laws at the sets' densities."""
        laws = (law.over(self.density[..., s]) for s, law in enumerate(self.laws))
        return tuple(zip(self.sets, laws, strict=True))

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Shape of the batch of distributions; () for a single one."""
        return self.density.shape[:-1]

    @property
    def name(self) -> str:
        """How results and messages call the distribution."""
        return "Independent" if self.independent else type(self).__name__

    @cached_property
    def independent(self) -> bool:
        """Whether every set has a single feature."""
        return all(len(members) == 1 for members in self.sets)

    def reshaped(self, batch: tuple[int, ...]) -> "FeatureDistribution":
        """Broadcast the distribution over a batch of problems, and flatten that batch to one axis."""
        if self.batch_shape == ():
            return self
        n_sets = len(self.sets)
        return self.with_density(np.broadcast_to(self.density, (*batch, n_sets)).reshape(-1, n_sets))

    def with_density(self, density: ArrayLike) -> "FeatureDistribution":
        """Return the same sets at another density, shape () or (n_sets,) or (*batch, n_sets)."""
        p = density_array(density)
        if p.ndim == 0:
            p = locked(np.full(len(self.sets), p))
        if p.shape[-1] != len(self.sets):
            raise ValueError(f"density must be a scalar or have shape ({len(self.sets)},), got shape {p.shape}")
        other = object.__new__(type(self))
        other.__setstate__({"density": p, "sets": self.sets, "laws": self.laws, "values": self.values})
        return other

    def with_values(self, values: ValueLike) -> "FeatureDistribution":
        """Return the same sets with another value law."""
        other = object.__new__(type(self))
        other.__setstate__({"density": self.density, "sets": self.sets, "laws": self.laws, "values": value_law(values)})
        return other

    @property
    def value_mean(self) -> float:
        """Mean of an active feature's value."""
        return self.values.mean

    @property
    def value_square(self) -> float:
        """Mean square of an active feature's value."""
        return self.values.square

    @cached_property
    def set_of_feature(self) -> Int[ndarray, " n"]:
        """Index of the set that each feature belongs to, shape (n,)."""
        owner = np.empty(self.n, dtype=int)
        for s, members in enumerate(self.sets):
            owner[list(members)] = s
        owner.flags.writeable = False
        return owner

    @cached_property
    def activity(self) -> Float[ndarray, "*batch n"]:
        """Probability that each feature is active, given that its set is."""
        share = np.empty((*self.batch_shape, self.n))
        for members, law in self.groups:
            share[..., list(members)] = law.slopes(np.ones((*self.batch_shape, len(members))))
        share.flags.writeable = False
        return share

    @cached_property
    def feature_density(self) -> Float[ndarray, "*batch n"]:
        """Probability that each feature is active."""
        return locked(self.density[..., self.set_of_feature] * self.activity)

    def pair_activity(self) -> Float[ndarray, "*batch n n"]:
        """Probability that features i and j are both active; the feature density on the diagonal."""
        p = self.feature_density
        pair = p[..., :, None] * p[..., None, :]
        for s, (members, law) in enumerate(self.groups):
            inside = np.ix_(members, members)
            pair[..., inside[0], inside[1]] = self.density[..., s, None, None] * law.pair_activity(len(members))
        return pair

    def pattern_probability(self, active: Bool[ndarray, "patterns n"]) -> Float[ndarray, "*batch patterns"]:
        """Probability that the active features are exactly those of each pattern."""
        if self.independent:
            p = self.feature_density[..., None, :]
            return np.asarray(np.where(active, p, 1 - p).prod(-1))
        probability = np.ones((*self.batch_shape, len(active)))
        for s, (members, law) in enumerate(self.groups):
            p = self.density[..., s, None]
            inside = active[:, list(members)]
            probability *= np.where(inside.any(-1), 0.0, 1 - p) + p * law.pattern_probability(inside)
        return probability

    @property
    def mean(self) -> Float[ndarray, "*batch n"]:
        """E x."""
        return self.value_mean * self.feature_density

    @property
    def variance(self) -> Float[ndarray, "*batch n"]:
        """Var x: the loss of a feature of importance 1 that is not represented, at its best bias E x."""
        return self.value_square * self.feature_density - self.mean**2

    @property
    def second_moment(self) -> Float[ndarray, "*batch n n"]:
        """E x x^T."""
        moment = self.value_mean**2 * self.pair_activity()
        diagonal = np.arange(self.n)
        moment[..., diagonal, diagonal] = self.value_square * self.feature_density
        return moment


class Independent(FeatureDistribution):
    """
    Features that are active independently of one another.

    Parameters
    ----------
    density : array_like, shape (n,) or (*batch, n)
        Probability p_j = 1 - S_j that feature j is active, in (0, 1].
    values : ValueLaw, str or frozen distribution of scipy.stats
        Law of an active feature's value: a record, a name such as "uniform" or "exponential:2", or a distribution.

    Raises
    ------
    ValueError
        If the density lies outside (0, 1], is a scalar, or the value law is unknown.

    Examples
    --------
    >>> Independent([0.1, 0.2]).mean
    array([0.05, 0.1 ])
    """

    def __init__(self, density: ArrayLike, values: ValueLike = "uniform") -> None:
        p = density_array(density)
        if p.ndim == 0:
            raise ValueError(
                "Independent needs one density per feature, shape (n,); Problem(n=...) broadcasts a scalar"
            )
        super().__init__([(j,) for j in range(p.shape[-1])], p, ALL_OR_NONE, values)


class Correlated(FeatureDistribution):
    """
    Sets of features of which either all are active or none; the values stay independent.

    Parameters
    ----------
    sets : sequence of sequences of int
        The features 0 ... n-1, each in exactly one set.
    density : array_like, shape (n_sets,) or (*batch, n_sets)
        Probability that a set is active, in (0, 1]; a scalar holds for every set.
    values : ValueLaw, str or frozen distribution of scipy.stats
        Law of an active feature's value: a record, a name such as "uniform" or "exponential:2", or a distribution.

    Raises
    ------
    ValueError
        If the sets overlap or leave a feature out, or the density lies outside (0, 1].

    Examples
    --------
    >>> Correlated([[0, 1], [2, 3]], density=0.1).feature_density
    array([0.1, 0.1, 0.1, 0.1])
    """

    def __init__(self, sets: Sequence[Sequence[int]], density: ArrayLike, values: ValueLike = "uniform") -> None:
        super().__init__(sets, density, ALL_OR_NONE, values)


class Anticorrelated(FeatureDistribution):
    """
    Sets of features of which at most one is active: exactly one, chosen uniformly, when the set is.

    Parameters
    ----------
    sets : sequence of sequences of int
        The features 0 ... n-1, each in exactly one set.
    density : array_like, shape (n_sets,) or (*batch, n_sets)
        Probability that a set is active, in (0, 1]; a scalar holds for every set. The density of a
        feature is that of its set divided by the set's size.
    values : ValueLaw, str or frozen distribution of scipy.stats
        Law of an active feature's value: a record, a name such as "uniform" or "exponential:2", or a distribution.

    Raises
    ------
    ValueError
        If the sets overlap or leave a feature out, or the density lies outside (0, 1].

    Examples
    --------
    >>> Anticorrelated([[0, 1], [2, 3]], density=0.1).feature_density
    array([0.05, 0.05, 0.05, 0.05])
    """

    def __init__(self, sets: Sequence[Sequence[int]], density: ArrayLike, values: ValueLike = "uniform") -> None:
        super().__init__(sets, density, EXACTLY_ONE, values)

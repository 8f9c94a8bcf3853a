"""Families of set laws: partial correlation, exactly k, hierarchies, and tables of activity patterns."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from theory.model.set_laws import SetLaw
from theory.tools.locking import sealed

__all__ = ["Equicorrelated", "ExactlyK", "Hierarchy", "PartialCorrelation", "PatternTable", "partial_parameters"]

# Shares that sum to 1 up to this are typed decimals.
_SUM = 1e-9


def _require_probability(name: str, value: Any) -> None:
    """Refuse what is no probability above 0."""
    try:
        numbers = np.asarray(value, dtype=float)
    except ValueError:
        raise TypeError(f"{name} must be a number, got {value!r}") from None
    if not ((numbers > 0) & (numbers <= 1)).all():
        raise ValueError(f"{name} must lie in (0, 1], got {value!r}")


def partial_parameters(density: Any, correlation: float) -> tuple[Any, Any]:
    """
    Give the set's density and the members' conditional one from a member's density and the correlation of two.

    Parameters
    ----------
    density : float or ndarray
        Probability q that a member is active, in (0, 1].
    correlation : float
        Correlation rho of two members' activities, in (0, 1].

    Returns
    -------
    p, c : float or ndarray
        The set is active with p = q / c, then each member with c = q + rho (1 - q).

    Raises
    ------
    ValueError
        If density or correlation is out of its range.
    """
    _require_probability("the density of a member", density)
    _require_probability("the correlation of two members", correlation)
    c = density + correlation * (1 - density)
    return density / c, c


@sealed
@dataclass(frozen=True)
class PartialCorrelation(SetLaw):
    """
    Members of an active set are active independently.

    Attributes
    ----------
    c : float
        Probability of each, in (0, 1]; all-or-none sets for 1, and independent features in a set of density 1.
    """

    c: float

    def __post_init__(self) -> None:
        """Refuse what is no probability."""
        _require_probability("the conditional density c of partial correlation", self.c)

    def generating(self, e: ndarray) -> ndarray:
        """Give the product of 1 - c + c e_j."""
        return np.asarray((1 - self.c + self.c * e).prod(axis=-1))

    def slopes(self, e: ndarray) -> ndarray:
        """Give the products of the others times c, those before times those behind."""
        factor = np.asarray(1 - self.c + self.c * e)
        before, behind = np.ones_like(factor), np.ones_like(factor)
        for j in range(1, e.shape[-1]):
            before[..., j] = before[..., j - 1] * factor[..., j - 1]
            behind[..., -1 - j] = behind[..., -j] * factor[..., -j]
        return np.asarray(self.c * before * behind)

    def pair_activity(self, members: int) -> Float[ndarray, "members members"]:
        """Give c^2, c on the diagonal."""
        return np.where(np.eye(members, dtype=bool), self.c, self.c**2)

    def pattern_probability(self, active: Bool[ndarray, "patterns members"]) -> Float[ndarray, " patterns"]:
        """Give the binomial weight of the pattern."""
        return np.asarray(np.where(active, self.c, 1 - self.c).prod(-1))

    def activate(self, uniform: Float[ndarray, "*shape"], members: int) -> Bool[ndarray, "*shape members"]:
        """Activate members one after the other."""
        return _one_by_one(uniform, np.asarray(self.c), members)


@sealed
@dataclass(frozen=True)
class Equicorrelated(SetLaw):
    """
    Partial correlation with a given correlation at any density: c follows from it.

    Where a set is active with p, each member has the density q with p = q / c and c = q + rho (1 - q), that is
    c = rho / (1 - p (1 - rho)).

    Attributes
    ----------
    correlation : float
        Correlation rho of two members' activities, in (0, 1].
    """

    correlation: float

    def __post_init__(self) -> None:
        """Refuse what is no correlation."""
        if not 0 < self.correlation <= 1:
            raise ValueError(
                f"the correlation of a set must lie in (0, 1], got {self.correlation!r}; features of correlation 0 are "
                "independent ones, in no set"
            )

    def at(self, density: float) -> SetLaw:
        """Give partial correlation with the c of that density."""
        return PartialCorrelation(min(float(self._conditional(density)), 1.0))

    def over(self, density: Float[ndarray, "*batch"]) -> SetLaw:
        """Give a law whose c is an array: quicker than one law for each density."""
        return _Batch(self._conditional(density)) if np.ndim(density) else self.at(float(density))

    def _conditional(self, p: Any) -> Any:
        return self.correlation / (1 - p * (1 - self.correlation))

    def set_density(self, member: Float[ndarray, "*batch"], members: int) -> Float[ndarray, "*batch"]:
        """Give q / c, see ``partial_parameters``."""
        return np.asarray(partial_parameters(member, self.correlation)[0])

    def validate(self, members: int) -> None:
        """
        Refuse sets of one.

        Parameters
        ----------
        members : int
            Size of the set.

        Raises
        ------
        ValueError
            If there is nothing to be correlated with.
        """
        if members < 2:
            raise ValueError("a correlation needs a set of two features or more")

    def generating(self, e: ndarray) -> ndarray:
        """Give that of a set which is always active: its density decides, see ``at``."""
        return self.at(1.0).generating(e)


@dataclass(frozen=True, eq=False)
class _Batch(SetLaw):
    """Partial correlation with a c for every distribution of a batch; leading axes of e begin with those of c."""

    c: ndarray

    def _like(self, e: ndarray) -> ndarray:
        return self.c.reshape(*self.c.shape, *[1] * (e.ndim - self.c.ndim))

    def generating(self, e: ndarray) -> ndarray:
        c = self._like(e)
        return np.asarray((1 - c + c * e).prod(axis=-1))

    def pair_activity(self, members: int) -> Float[ndarray, "*batch members members"]:
        c = self.c[..., None, None]
        return np.where(np.eye(members, dtype=bool), c, c**2)

    def pattern_probability(self, active: Bool[ndarray, "patterns members"]) -> Float[ndarray, "*batch patterns"]:
        c = self.c[..., None, None]
        return np.asarray(np.where(active, c, 1 - c).prod(-1))

    def activate(self, uniform: Float[ndarray, "*shape"], members: int) -> Bool[ndarray, "*shape members"]:
        return _one_by_one(uniform, self._like(uniform), members)


def _one_by_one(
    uniform: Float[ndarray, "*shape"], c: Float[ndarray, "*#shape"], members: int
) -> Bool[ndarray, "*shape members"]:
    """Members that are active with probability c each; what is left of a uniform below c, or above, is one again."""
    active = np.empty((*uniform.shape, members), dtype=bool)
    left = uniform.astype(float)
    for j in range(members):
        active[..., j] = left < c
        left = np.where(active[..., j], left / c, (left - c) / np.where(c < 1, 1 - c, 1.0))
    return active


@sealed
@dataclass(frozen=True)
class ExactlyK(SetLaw):
    """
    A number of members, all choices being equally likely, is active when the set is.

    Attributes
    ----------
    k : int
        How many, >= 1.
    """

    k: int

    def __post_init__(self) -> None:
        """Refuse what is no number of members."""
        if not isinstance(self.k, int) or self.k < 1:
            raise ValueError(f"the number of active members must be a whole number >= 1, got {self.k!r}")

    def validate(self, members: int) -> None:
        """
        Refuse sets that are too small.

        Parameters
        ----------
        members : int
            Size of the set.

        Raises
        ------
        ValueError
            If there are fewer than k members.
        """
        if members < self.k:
            raise ValueError(f"exactly {self.k} of {members} members cannot be active")

    def generating(self, e: ndarray) -> ndarray:
        """Give the elementary symmetric polynomial of degree k over the number of choices."""
        return np.asarray(self._symmetric(e, self.k) / math.comb(e.shape[-1], self.k))

    def slopes(self, e: ndarray) -> ndarray:
        """Give the polynomials of degree k-1 of the others."""
        n = e.shape[-1]
        others = [np.delete(e, j, axis=-1) for j in range(n)]
        return np.stack([self._symmetric(rest, self.k - 1) for rest in others], -1) / math.comb(n, self.k)

    @staticmethod
    def _symmetric(e: ndarray, k: int) -> ndarray:
        """Coefficient of y^k in the product of 1 + y e_j."""
        coefficient = [np.ones_like(e[..., 0] if e.shape[-1] else e.sum(-1)), *[np.zeros_like(e.sum(-1))] * k]
        for j in range(e.shape[-1]):
            for degree in range(k, 0, -1):
                coefficient[degree] = coefficient[degree] + e[..., j] * coefficient[degree - 1]
        return np.asarray(coefficient[k])


@sealed
@dataclass(frozen=True)
class Hierarchy(SetLaw):
    """
    A tree of members: a child may be active only with its parent.

    Attributes
    ----------
    parents : tuple of int
        The parent of each member, a number below its own; -1 for roots.
    c : tuple of float
        Probability of each member given that its parent is active (a root: that the set is), in (0, 1].

    Examples
    --------
    >>> law = Hierarchy((-1, 0, 0), (1.0, 0.5, 0.5))  # a parent, always active in its set, and two children
    >>> float(law.generating(np.array([1.0, 0.0, 0.0])))
    0.25
    """

    parents: tuple[int, ...]
    c: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse what is no tree, or no probability."""
        if len(self.parents) != len(self.c) or not all(
            isinstance(q, int) and -1 <= q < j for j, q in enumerate(self.parents)
        ):
            raise ValueError(
                "a hierarchy needs a parent for each member, -1 for a root or the number of an earlier member, and as "
                f"many probabilities, got {self.parents} and {self.c}"
            )
        _require_probability("the conditional densities of a hierarchy", self.c)

    def validate(self, members: int) -> None:
        """
        Refuse sets of another size.

        Parameters
        ----------
        members : int
            Size of the set.

        Raises
        ------
        ValueError
            If the tree has another number of members.
        """
        if members != len(self.parents):
            raise ValueError(f"a hierarchy of {len(self.parents)} members cannot be the law of a set of {members}")

    def generating(self, e: ndarray) -> ndarray:
        """Give the product over roots of 1 - c + c e (the same of their children)."""
        branch = [e[..., j] for j in range(e.shape[-1])]
        total: Any = 1.0
        for j in range(e.shape[-1] - 1, -1, -1):  # children before parents
            factor = 1 - self.c[j] + self.c[j] * branch[j]
            if self.parents[j] < 0:
                total = factor * total
            else:
                branch[self.parents[j]] = branch[self.parents[j]] * factor
        return np.asarray(total)


@sealed
@dataclass(frozen=True)
class PatternTable(SetLaw):
    """
    Any law of a small set: patterns of activity and their probabilities.

    Attributes
    ----------
    patterns_listed : tuple of str
        Different patterns, a 1 for every active member and a 0 for the others, such as "110".
    probabilities : tuple of float
        One each, >= 0, with the sum 1.
    """

    patterns_listed: tuple[str, ...]
    probabilities: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse what is no law."""
        sizes = {len(text) for text in self.patterns_listed}
        if len(sizes) != 1 or 0 in sizes or {*"".join(self.patterns_listed)} - {"0", "1"}:
            raise ValueError(
                f"patterns must be texts of zeros and ones, one for each member, got {self.patterns_listed}"
            )
        if len(set(self.patterns_listed)) < len(self.patterns_listed):
            raise ValueError(f"a pattern is listed twice: {self.patterns_listed}")
        if len(self.probabilities) != len(self.patterns_listed) or not all(q >= 0 for q in self.probabilities):
            raise ValueError(
                f"{len(self.patterns_listed)} patterns need as many probabilities >= 0, got {self.probabilities}"
            )
        total = math.fsum(self.probabilities)
        if not abs(total - 1) <= _SUM:
            raise ValueError(f"the probabilities of patterns must sum to 1, got {total:g}")
        object.__setattr__(self, "probabilities", tuple(q / total for q in self.probabilities))

    @classmethod
    def of(cls, table: dict[str, float]) -> "PatternTable":
        """Give the law of a table such as {"11": 0.5, "10": 0.5}."""
        return cls(tuple(table), tuple(float(q) for q in table.values()))

    def validate(self, members: int) -> None:
        """
        Refuse sets of another size, and members that are never active.

        Parameters
        ----------
        members : int
            Size of the set.

        Raises
        ------
        ValueError
            If the patterns have another number of members, or one of them is never active.
        """
        if members != len(self.patterns_listed[0]):
            raise ValueError(f"a table of {len(self.patterns_listed[0])} members is no law of a set of {members}")
        idle = np.flatnonzero(self.slopes(np.ones(members)) <= 0)
        if len(idle):
            raise ValueError(f"member {idle[0]} of the table is active in no pattern: leave that feature out")

    def generating(self, e: ndarray) -> ndarray:
        """Give the sum of probability times the product over the active members."""
        total: Any = 0.0
        for text, share in zip(self.patterns_listed, self.probabilities, strict=True):
            active = [j for j, bit in enumerate(text) if bit == "1"]
            total = total + share * (e[..., active].prod(axis=-1) if active else np.ones_like(e[..., 0]))
        return np.asarray(total)

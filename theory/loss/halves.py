"""The states of discrete features in two halves: lists short enough where all states together are too many.

Features come in independent sets; those of one half take a state (a value for each of them, 0 where it is off)
independently of those of the other. A list keeps the states of largest probability. What is left out is known exactly,
as far as an expected square is concerned: the matrix E[x x^T 1{left out}], x with a leading 1, which is that of all
states less that of the pairs of states that are kept.

How many states there are with probability >= q, and what the others have together, is bounded by Chernoff's
inequality: at most q^-s Z(s) and q^(1-s) Z(s) for all 0 < s < 1, with Z(s) = sum of all probabilities to the power of
s, a product over sets.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from theory.loss.discrete_states import is_discrete
from theory.model.features import FeatureDistribution
from theory.model.set_laws import SetLaw
from theory.model.value_protocol import ValueLaw

__all__ = ["Halves", "States", "collision", "halves_of"]

# States of one set that are listed, members of a set whose patterns its law does not list by itself.
_MOST_LOCAL, _MOST_LISTED = 4096, 12
# Chernoff's s.
_POWERS = np.linspace(0.05, 0.95, 19)
# The bound on what is left out is loose: lists begin at a threshold so many times as high, and go down in such steps;
# that on the number of states is up to so many times too large.
_FIRST, _STEP, _LOOSE = 30.0, 3.0, 10.0
# From so many states on a list is not made, but joined from two.
_LONG = 300_000
_EPS = float(np.finfo(float).eps)


@dataclass(frozen=True, eq=False)
class States:
    """
    States of some of the features.

    Attributes
    ----------
    members : ndarray of int, shape (k,)
        The features.
    values : ndarray, shape (k, states)
        What they are, 0 where they are off.
    share : ndarray, shape (states,)
        Probabilities, the largest first.
    """

    members: Int[ndarray, " k"]
    values: Float[ndarray, "k states"]
    share: Float[ndarray, " states"]


@dataclass(frozen=True, eq=False)
class Halves:
    """
    States of all features in two halves, and what these leave out.

    Attributes
    ----------
    searched : States
        Those of the second half.
    joined, listed : States
        Those of the first half: every one of ``joined`` with the first few of ``listed``.
    counts : ndarray of int, shape (states of joined,)
        With how many.
    missing : ndarray, shape (n + 1, n + 1)
        E[x x^T 1{left out}], x with a leading 1.
    whole : ndarray, shape (n + 1, n + 1)
        E x x^T, x with a leading 1.
    unsure : float
        Rounding of ``missing``, in units of ``whole``.
    """

    searched: States
    joined: States
    listed: States
    counts: Int[ndarray, " joined"]
    missing: Float[ndarray, "m m"]
    whole: Float[ndarray, "m m"]
    unsure: float

    @property
    def lists(self) -> tuple[States, States, States]:
        """The lists: ``listed``, ``joined`` and ``searched``."""
        return self.listed, self.joined, self.searched

    @property
    def sizes(self) -> tuple[int, int]:
        """How many states the first half has, and the second."""
        return int(self.counts.sum()), len(self.searched.share)


@dataclass(frozen=True, eq=False)
class _Set:
    """States of one set, the most probable first."""

    values: ndarray  # (states, members)
    share: ndarray  # (states,)
    log_sums: ndarray  # log Z(s)


@lru_cache(maxsize=1024)
def _set_states(values: ValueLaw, law: SetLaw, density: float, members: int) -> _Set | None:
    """List the states of a set, equal ones together; None if they are too many."""
    own_list = type(law).patterns is not SetLaw.patterns
    if members > _MOST_LISTED and not own_list:
        return None
    patterns = law.patterns(members)
    if sum(len(values.atoms) ** len(active) for active, _ in patterns) > _MOST_LOCAL:
        return None
    rows, shares = [np.zeros(members)], [1 - density]
    for active, chance in patterns:
        for places in product(values.atoms, repeat=len(active)):
            row = np.zeros(members)
            row[active] = [place for place, _ in places]
            rows.append(row)
            shares.append(density * chance * math.prod(share for _, share in places))
    states, group = np.unique(rows, axis=0, return_inverse=True)
    share = np.bincount(group.ravel(), shares)
    order = np.argsort(-share, kind="stable")
    order = order[share[order] > 0]
    share = share[order]
    return _Set(states[order], share, np.log((share[:, None] ** _POWERS).sum(0)))


_Key = tuple[ValueLaw, tuple[tuple[int, ...], ...], tuple[SetLaw, ...], tuple[float, ...]]


def _key(features: FeatureDistribution) -> _Key:
    """What a single distribution is made of; distributions themselves are not hashed."""
    return features.values, features.sets, features.laws, tuple(features.density.tolist())


def _distribution(key: _Key) -> FeatureDistribution:
    values, sets, laws, density = key
    return FeatureDistribution(sets, np.array(density), laws, values)


@lru_cache(maxsize=64)
def _sets_of(key: _Key) -> tuple[_Set, ...] | None:
    """States of all sets of a single distribution; None if there are too many, or values are not discrete."""
    features = _distribution(key)
    if not is_discrete(features.values):
        return None
    found = []
    for (members, law), density in zip(features.groups, features.density.tolist(), strict=True):
        one = _set_states(features.values, law, density, len(members))
        if one is None:
            return None
        found.append(one)
    return tuple(found)


def _divided(sets: Sequence[_Set], one_apart: bool) -> tuple[list[int], list[int], list[int]]:
    """Divide sets into two lists of about as many states and perhaps one set apart, to be joined with the first."""
    size = [float(one.log_sums[len(_POWERS) // 2]) for one in sets]
    order = sorted(range(len(sets)), key=lambda s: -size[s])
    apart, rest = (order[:1], order[1:]) if one_apart else ([], order)
    parts: tuple[list[int], list[int]] = ([], [])
    total = [0.0, 0.0]
    for s in rest:
        smaller = int(total[1] < total[0])
        parts[smaller].append(s)
        total[smaller] += size[s]
    first = int((total[1] > total[0]) != one_apart)  # searching takes a third of the time of sorting
    return parts[first], parts[1 - first], apart


def _bounds(sets: Sequence[_Set], divided: tuple[list[int], ...], left_out: float) -> tuple[float, tuple[float, float]]:
    """Give a threshold of probability to begin with, 0 for everything, and how many states the halves have at most."""
    listed, searched, apart = divided
    found = [_bound([sets[s] for s in part], left_out / 2) for part in (listed + apart, searched)]
    floor = max(floor for floor, _ in found)
    return _FIRST * floor, (found[0][1], found[1][1])


def _bound(sets: Sequence[_Set], left_out: float) -> tuple[float, float]:
    """Chernoff's threshold below which there is at most ``left_out``, and bound on the number of states above."""
    every = math.fsum(math.log(len(one.share)) for one in sets)
    if not left_out or not sets:
        return 0.0, math.exp(min(every, 700.0))
    log_sum = np.sum([one.log_sums for one in sets], axis=0)
    log_floor = (math.log(left_out) - log_sum) / (1 - _POWERS)
    log_count = log_sum - _POWERS * log_floor
    best = int(np.argmin(log_count))
    least = math.prod(float(one.share[-1]) for one in sets)
    floor = math.exp(max(log_floor[best], -700.0))
    return (floor if _FIRST * floor > least else 0.0), math.exp(min(log_count[best], every, 700.0))


def _list(sets: Sequence[_Set], floor: float, most: float) -> tuple[ndarray, ndarray] | None:
    """
    List the joint states of sets, (members, states) and their probabilities, down to a probability.

    None if there are more than ``most`` of them at any stage.
    """
    values, share = np.zeros((0, 1)), np.ones(1)
    for one in sets:
        ascending = -share  # share descends
        counts = np.searchsorted(ascending, -floor / one.share, side="right")
        if counts.sum() > most:
            return None
        state = np.repeat(np.arange(len(one.share)), counts)
        before = np.arange(len(state)) - np.repeat(np.cumsum(counts) - counts, counts)
        joint = share[before] * one.share[state]
        order = np.argsort(-joint, kind="stable")
        share = joint[order]
        values = np.concatenate([values[:, before[order]], one.values.T[:, state[order]]])
    return values, share


def _moments(states: States, some: slice, n: int) -> Float[ndarray, "m m"]:
    """Sum E x x^T over some states, x with a leading 1, 0 where features are not of them."""
    at = np.concatenate([[0], states.members + 1])
    share = states.share[some]
    x = np.concatenate([np.ones((1, len(share))), states.values[:, some]])
    found = np.zeros((n + 1, n + 1))
    found[np.ix_(at, at)] = (x * share) @ x.T
    return found


def _product(a: Float[ndarray, "m m"], b: Float[ndarray, "m m"]) -> Float[ndarray, "m m"]:
    """E x x^T of independent features together from that of each, x with a leading 1."""
    found = a * b[0, 0] + b * a[0, 0] + np.outer(a[0], b[0]) + np.outer(b[0], a[0])
    found[0] = found[:, 0] = a[0] * b[0, 0] + b[0] * a[0, 0]
    found[0, 0] = a[0, 0] * b[0, 0]
    return found


def _kept(joined: States, listed: States, counts: Int[ndarray, " joined"], n: int) -> Float[ndarray, "m m"]:
    """E x x^T over the pairs of the first half."""
    kept, partners, done = np.zeros((n + 1, n + 1)), np.zeros((n + 1, n + 1)), 0
    for u in range(len(counts) - 1, -1, -1):  # the less probable go with fewer
        partners += _moments(listed, slice(done, counts[u]), n)
        done = counts[u]
        kept += _product(_moments(joined, slice(u, u + 1), n), partners)
    return kept


def halves_of(features: FeatureDistribution, left_out: float, most: tuple[int, int]) -> Halves | None:
    """
    List the states of the features of a single distribution in two halves.

    Parameters
    ----------
    features : FeatureDistribution
        The features.
    left_out : float
        What may be left out, relative to the rarest feature: P(left out) relative to its density, and
        E[x_j^2 1{left out}] of every feature relative to its E x^2; 0 for nothing at all.
    most : tuple of int
        Most states of a list, and of a half that is joined from two.

    Returns
    -------
    Halves or None
        The lists; None if values are not discrete or states too many.
    """
    return _halves(_key(features), left_out, most)


@lru_cache(maxsize=8)
def _halves(key: _Key, left_out: float, most: tuple[int, int]) -> Halves | None:
    states = _sets_of(key)
    if states is None:
        return None
    features = _distribution(key)
    allowed = left_out * float(features.feature_density.min())
    floor, sizes = _bounds(states, _divided(states, one_apart=False), allowed)
    if sizes[0] > _LOOSE * most[1] or sizes[1] > _LOOSE * most[0]:
        return None
    divided = _divided(states, one_apart=max(sizes) > _LONG)
    floor, _ = _bounds(states, divided, allowed)
    members = [np.array([j for s in part for j in features.sets[s]], dtype=int) for part in divided]
    while True:
        lists = [_list([states[s] for s in part], floor, most[0]) for part in divided]
        if None in lists:
            return None
        listed, searched, joined = (States(who, *of) for who, of in zip(members, lists, strict=True) if of is not None)
        found = _joined(features, searched, joined, listed, floor)
        if found.sizes[0] > most[1]:
            return None
        worst = max(found.missing[0, 0], found.missing.diagonal()[1:].max() / features.values.square)
        if not floor or worst <= allowed:
            return found
        floor /= _STEP


def _joined(features: FeatureDistribution, searched: States, joined: States, listed: States, floor: float) -> Halves:
    """Join the lists of the first half down to a probability; what they leave out."""
    n, whole = features.n, _whole(features)
    counts = np.searchsorted(-listed.share, -floor / joined.share, side="right")
    if not floor:
        return Halves(searched, joined, listed, counts, np.zeros_like(whole), whole, 0.0)
    kept = _product(_kept(joined, listed, counts, n), _moments(searched, slice(None), n))
    unsure = 8 * _EPS * math.sqrt(max(len(listed.share), len(searched.share)))
    return Halves(searched, joined, listed, counts, whole - kept, whole, unsure)


def _whole(features: FeatureDistribution) -> Float[ndarray, "m m"]:
    """E x x^T, x with a leading 1."""
    n = features.n
    whole = np.empty((n + 1, n + 1))
    whole[0, 0], whole[0, 1:], whole[1:, 0], whole[1:, 1:] = 1.0, features.mean, features.mean, features.second_moment
    return whole


def collision(features: FeatureDistribution) -> float:
    """
    Give the probability that two samples are alike, the mean square of their characteristic function.

    Parameters
    ----------
    features : FeatureDistribution
        Features of a single distribution, with discrete values.

    Returns
    -------
    float
        1 where states cannot be listed.
    """
    states = _sets_of(_key(features))
    return 1.0 if states is None else math.prod(float((one.share**2).sum()) for one in states)

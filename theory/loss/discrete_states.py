"""Exact squared errors of discrete value laws: every feature off or at one of a few values, all states enumerated."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from theory.loss.lattice import active_patterns
from theory.model.activations import Activation
from theory.model.value_protocol import ValueLaw

__all__ = ["discrete_error", "discrete_patterns", "discrete_size", "is_discrete"]

# Numbers per array: near the size of the L2 cache.
_ELEMENTS = 30_000
_SUM = 1e-12
# A sum of values times couplings counts as 0 below this part of its terms.
_ZERO = 1e-14


def is_discrete(values: ValueLaw) -> bool:
    """
    Say whether a law has atoms only.

    Parameters
    ----------
    values : ValueLaw
        The law.

    Returns
    -------
    bool
        Whether its atoms have all of the probability.
    """
    return bool(values.atoms) and abs(sum(share for _, share in values.atoms) - 1) < _SUM


@dataclass(frozen=True, eq=False)
class _States:
    """Every feature off or at one of a few values."""

    values: ndarray  # (s, n): 0 for those that are off
    pattern: ndarray  # (s,): number of the set of active features
    share: ndarray  # (s,): probability of the values, given that set


@lru_cache(maxsize=16)
def _states(atoms: tuple[tuple[float, float], ...], n: int) -> _States:
    """List the states of n features."""
    digits = np.arange((1 + len(atoms)) ** n)[:, None] // (1 + len(atoms)) ** np.arange(n) % (1 + len(atoms))
    place, share = np.array([(0.0, 1.0), *atoms]).T
    number = np.empty(2**n, dtype=int)  # of a pattern, by the bits of who is active
    number[active_patterns(n) @ (1 << np.arange(n))] = np.arange(2**n)
    return _States(place[digits], number[(digits > 0) @ (1 << np.arange(n))], share[digits].prod(1))


def _atoms(values: ValueLaw) -> tuple[tuple[float, float], ...]:
    if not is_discrete(values):
        raise ValueError(f"active sets of {values.name} values cannot be enumerated")
    return values.atoms


def discrete_patterns(
    c: Float[ndarray, "r n"], b: Float[ndarray, " r"], values: ValueLaw, activation: Activation
) -> Float[ndarray, "r patterns"]:
    """
    Give E[(x_0 - f(z))^2 | A] for every set A of active features.

    Parameters
    ----------
    c : ndarray, shape (r, n)
        Couplings of r outputs, each output's own feature first.
    b : ndarray, shape (r,)
        Biases.
    values : ValueLaw
        A discrete law.
    activation : Activation
        The output activation f.

    Returns
    -------
    ndarray, shape (r, 2**n)
        One number per output and pattern of ``active_patterns(n)``.
    """
    n = c.shape[1]
    states = _states(_atoms(values), n)
    errors = np.zeros((len(c), 2**n))
    for r in range(len(c)):
        miss = states.values[:, 0] - activation.value(b[r] + states.values @ c[r])
        errors[r] = np.bincount(states.pattern, states.share * miss**2, 2**n)
    return errors


def _discrete_block(
    c: Float[ndarray, "r n"],
    b: Float[ndarray, " r"],
    weight: Float[ndarray, "r patterns"],
    states: _States,
    activation: Activation,
) -> tuple[Float[ndarray, " r"], Float[ndarray, "r n"], Float[ndarray, " r"]]:
    """E (x_0 - f(z))^2 and its gradient."""
    x = states.values
    chance = weight[:, states.pattern] * states.share
    z = b[:, None] + c @ x.T
    error = x[:, 0] - activation.value(z)
    slope = -2 * chance * error * activation.derivative(z)
    return (chance * error**2).sum(1), slope @ x, slope.sum(1)


def discrete_error(
    c: Float[ndarray, "r n"],
    b: Float[ndarray, " r"],
    weight: Float[ndarray, "r patterns"],
    values: ValueLaw,
    activation: Activation,
) -> tuple[Float[ndarray, " r"], Float[ndarray, "r n"], Float[ndarray, " r"]]:
    """
    Average ``discrete_patterns`` over the active sets, with the gradient.

    Parameters
    ----------
    c : ndarray, shape (r, n)
        Couplings of r outputs, each output's own feature first.
    b : ndarray, shape (r,)
        Biases.
    weight : ndarray, shape (r, 2**n)
        Probability of each pattern of ``active_patterns(n)``.
    values : ValueLaw
        A discrete law.
    activation : Activation
        The output activation f.

    Returns
    -------
    value, dc, db : ndarray
        E (x_0 - f(z))^2, shape (r,), its gradient in the couplings, (r, n), and its derivative in the bias, (r,).
    """
    states = _states(_atoms(values), c.shape[1])
    size = max(1, _ELEMENTS // len(states.share))
    found = [
        _discrete_block(c[k : k + size], b[k : k + size], weight[k : k + size], states, activation)
        for k in range(0, len(c), size)
    ]
    value, dc, db = (np.concatenate(part) for part in zip(*found, strict=True))
    return value, dc, db


def discrete_size(
    c: Float[ndarray, "r n"], weight: Float[ndarray, "r patterns"], values: ValueLaw
) -> tuple[Float[ndarray, " r"], Float[ndarray, "r n"]]:
    """
    Average |z|, z = sum_j c_j x_j, over all states.

    Parameters
    ----------
    c : ndarray, shape (r, n)
        Couplings of r sums.
    weight : ndarray, shape (r, 2**n)
        Probability of each pattern of ``active_patterns(n)``.
    values : ValueLaw
        A discrete law.

    Returns
    -------
    value, dc : ndarray
        E |z|, shape (r,), and its gradient in the couplings, (r, n); states with z = 0 have no part in it.
    """
    states = _states(_atoms(values), c.shape[1])
    size = max(1, _ELEMENTS // len(states.share))
    value, dc = np.empty(len(c)), np.empty_like(c)
    for k in (slice(start, start + size) for start in range(0, len(c), size)):
        z, terms = c[k] @ states.values.T, np.abs(c[k]) @ np.abs(states.values).T
        z = np.where(np.abs(z) > _ZERO * terms, z, 0.0)
        chance = weight[k][:, states.pattern] * states.share
        value[k], dc[k] = (chance * np.abs(z)).sum(1), (chance * np.sign(z)) @ states.values
    return value, dc

"""Values in a unit of their own: with values s v instead of v losses are s^2 times as large, and best biases s times.

The output b + sum g (s v) + N(0, sigma^2) is s times the one of v with the bias b / s and noise of standard deviation
sigma / s, at the same W, if the activation has its kinks at 0. What is computed or searched for is therefore computed
for v, whose numbers are of the order of 1, so that no tolerance hangs on the unit somebody measures values in.
"""

import math
from dataclasses import replace
from functools import lru_cache

import numpy as np

from theory.model.affine_values import Affine
from theory.model.problem import Problem
from theory.model.terms import Terms
from theory.model.value_protocol import ValueLaw
from theory.model.values import BINARY
from theory.model.variant import Variant

__all__ = ["in_units", "is_usual", "natural_law", "unit_law", "variant_in_units"]

# Laws whose values have a size between these stay as they are: what is usual is not written in another way.
_USUAL = (1 / 16, 16.0)


def unit_law(law: ValueLaw) -> tuple[ValueLaw, float]:
    """
    Measure a law's values in their own unit.

    Parameters
    ----------
    law : ValueLaw
        Law of u.

    Returns
    -------
    unit : ValueLaw
        Law of v = u / s; U[0, 1] for every U[0, s].
    size : float
        s, > 0: the largest |u|, or sqrt(3 E u^2) if that is less, the largest value of U[0, s].

    Examples
    --------
    >>> import theory
    >>> unit, size = unit_law(theory.Problem(n=2, m=1, density=0.1, values="uniform:0,2").features.values)
    >>> unit.name, size
    ('uniform', 2.0)
    """
    if isinstance(law, Affine) and not law.shift:
        unit, size = unit_law(law.law)
        return unit, size * law.scale
    size = min(max(abs(end) for end in law.support), math.sqrt(3 * law.square))
    if size == 1:
        return law, 1.0
    if law.constant == size:
        return BINARY, size
    return law.scaled(1 / size), size


@lru_cache(maxsize=256)
def natural_law(law: ValueLaw) -> tuple[ValueLaw, float]:
    """
    Measure a law's values in their own unit if they are far from 1, or simpler so.

    Parameters
    ----------
    law : ValueLaw
        Law of u.

    Returns
    -------
    unit : ValueLaw
        Law of v = u / s.
    size : float
        s, > 0; 1 for laws that are of the order of 1 and no multiples of simpler ones.
    """
    if isinstance(law, Affine) and not law.shift and natural_law(law.law)[1] == 1:
        return law.law, law.scale
    unit, size = unit_law(law)
    return (unit, size) if unit is BINARY or not is_usual(size) else (law, 1.0)


def is_usual(size: float) -> bool:
    """
    Say whether values are of the order of 1.

    Parameters
    ----------
    size : float
        Their size, from ``unit_law``.

    Returns
    -------
    bool
        Whether tolerances for values of size 1 hold.
    """
    return _USUAL[0] <= size <= _USUAL[1]


def in_units(problem: Problem) -> tuple[Problem, float]:
    """
    Write a problem in the unit of its values.

    Parameters
    ----------
    problem : Problem
        Any problem, or a batch.

    Returns
    -------
    problem : Problem
        The same with values v = u / s, whose losses are 1 / s^2 and whose biases are 1 / s of those asked for.
    size : float
        s; 1, and the problem itself, where values are of the order of 1 or the activation has a kink elsewhere than
        at 0.
    """
    unit, size = natural_law(problem.features.values)
    if size == 1 or problem.activation.curved or any(kink.place for kink in problem.activation.kinks):
        return problem, 1.0
    return replace(problem, features=problem.features.with_values(unit), terms=_measured(problem.terms, size)), size


def variant_in_units(variant: Variant) -> tuple[Variant, float]:
    """
    Write a command's variant in the unit of its values.

    Parameters
    ----------
    variant : Variant
        Laws of values and sets, and terms.

    Returns
    -------
    variant : Variant
        The same with values v = u / s.
    size : float
        s, as from ``in_units``.
    """
    unit, size = natural_law(variant.values)
    return (variant, 1.0) if size == 1 else (replace(variant, values=unit, terms=_measured(variant.terms, size)), size)


def _measured(terms: Terms, size: float) -> Terms:
    """The terms as values of size 1 see them."""
    bias = None if terms.bias is None else np.asarray(terms.bias) / size
    return replace(terms, bias=bias, noise=terms.noise / size, decay=terms.decay / size**2, l1=terms.l1 / size)

"""What was asked, in the words of the commands' options: the head of every table."""

from collections.abc import Iterable
from itertools import groupby
from textwrap import wrap

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from theory.model.features import FeatureDistribution
from theory.model.set_names import law_name, name_of_sets
from theory.model.terms import Terms
from theory.model.values import UNIFORM, ValueLaw
from theory.model.variant import Variant

__all__ = ["asked_variant", "numbers_told", "sets_of", "terms_told", "variant_told", "wrapped"]

# Features whose numbers are told one by one, characters of a line, and of a law of values that is told in full.
_FEW, _WIDTH, _LONGEST = 12, 110, 1000
_OPTION = {"decay": "weight-decay", "unit_norms": "unit-norms"}


def numbers_told(name: str, numbers: Float[ndarray, " n"]) -> str:
    """
    Tell a number of every feature.

    Parameters
    ----------
    name : str
        What the numbers are.
    numbers : ndarray, shape (n,)
        One for each feature.

    Returns
    -------
    str
        The name and one number if all are the same, every one of up to twelve, first and last of more.

    Examples
    --------
    >>> numbers_told("density", np.array([0.2, 0.2, 0.1]))
    'density 0.2 0.2 0.1'
    """
    if np.ptp(numbers) == 0:
        return f"{name} {numbers[0]:g}"
    if len(numbers) <= _FEW:
        return f"{name} {' '.join(f'{number:g}' for number in numbers)}"
    return f"{name} {numbers[0]:g} … {numbers[-1]:g} (from {numbers.min():g} to {numbers.max():g})"


def sets_of(features: FeatureDistribution) -> str:
    """
    Write sets as ``--sets`` takes them.

    Parameters
    ----------
    features : FeatureDistribution
        The features.

    Returns
    -------
    str
        Such as "2:partial:0.7 3:exactly-one"; with the features of every set, "[0, 2] partial:0.7", where they are not
        in order; empty for independent features.
    """
    sets = list(zip(features.sets, features.laws, strict=True))
    if [i for members, _ in sets for i in members] != list(range(features.n)):
        return ", ".join(f"{list(members)} {law_name(law)}" for members, law in sets if len(members) > 1)
    while sets and len(sets[-1][0]) == 1:
        sets.pop()
    written = []
    for single, some in groupby(((len(members), law) for members, law in sets), key=lambda one: one[0] == 1):
        run = list(some)
        written.append((f"{len(run)}x1" if len(run) > 1 else "1") if single else name_of_sets(run))
    return " ".join(written)


def terms_told(terms: Terms) -> str:
    """
    Write terms as options name them.

    Parameters
    ----------
    terms : Terms
        The terms.

    Returns
    -------
    str
        Such as "decoder untied, noise 0.1"; empty if there are none.
    """
    told = []
    for name, value in terms.given.items():
        given = value if isinstance(value, tuple) else () if value is True else (value,)
        texts = (f"{one:g}" if isinstance(one, float) else str(one) for one in given)
        told.append(" ".join([_OPTION.get(name, name), *texts]))
    return ", ".join(told)


def variant_told(values: ValueLaw, sets: str, terms: Terms) -> str:
    """
    Tell what is not usual about a problem.

    Parameters
    ----------
    values : ValueLaw
        Law of values.
    sets : str
        Sets as ``sets_of`` writes them.
    terms : Terms
        Terms.

    Returns
    -------
    str
        Such as "values exponential:1, sets 2:partial:0.7, noise 0.1"; empty for the usual problem.
    """
    law = "" if values == UNIFORM else values.name
    if len(law) > _LONGEST:
        law = f"{law[:_LONGEST]} … ({len(law)} characters in all)"
    if len(law) > _WIDTH:
        law = law.replace(",", ", ")  # where lines may end
    parts = (law and f"values {law}", sets and f"sets {sets}", terms_told(terms))
    return ", ".join(part for part in parts if part)


def asked_variant(variant: Variant) -> str:
    """
    Tell a variant as options write it.

    Parameters
    ----------
    variant : Variant
        What a command's options say.

    Returns
    -------
    str
        As from ``variant_told``.
    """
    return variant_told(variant.values, name_of_sets(variant.sets), variant.terms)


def wrapped(parts: Iterable[str]) -> list[str]:
    """
    Join what there is by commas, in lines of at most 110 characters.

    Parameters
    ----------
    parts : iterable of str
        Texts; empty ones are left out.

    Returns
    -------
    list of str
        Lines, all but the first indented.
    """
    return wrap(", ".join(part for part in parts if part), _WIDTH, subsequent_indent="  ", break_on_hyphens=False)

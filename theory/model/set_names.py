"""Sets of features by name, with parameters: what commands call them.

A set is its size, a colon and its law, such as ``2:all-or-none``, ``3:exactly-one``, ``4:exactly:2``,
``2:partial:0.7``, ``2:correlated:0.5``, ``3:hierarchy:0.5`` or ``2:table:11@0.5,10@0.5``; several alike have their
number before it, ``3x2:exactly-one``. Sets take the features in order, and features that are left over are independent.
"""

from collections.abc import Iterable
from itertools import groupby

from theory.model.set_families import Equicorrelated, ExactlyK, Hierarchy, PartialCorrelation, PatternTable
from theory.model.set_laws import ALL_OR_NONE, EXACTLY_ONE, SetLaw
from theory.tools.arguments import MOST_FEATURES
from theory.tools.numbers import shortest

__all__ = ["SET_GRAMMAR", "law_name", "name_of_sets", "set_law_of_name", "sets_of_names"]

SET_GRAMMAR = (
    "[COUNTx]SIZE[:LAW], LAW being all-or-none, exactly-one, exactly:K, partial:C (each member with C), "
    "correlated:RHO, hierarchy:C (children of the first member, each with C), or table:PATTERN@PROBABILITY,... such as "
    "table:11@0.5,10@0.5"
)

_WITH_PARAMETERS = {
    "exactly": "the number of active members, such as exactly:2",
    "partial": "the probability that a member of an active set is active, such as partial:0.7",
    "correlated": "the correlation of two members' activities, such as correlated:0.5",
    "hierarchy": "the probability that a child of an active parent is active, such as hierarchy:0.5",
    "table": "patterns with their probabilities, such as table:11@0.5,10@0.5",
}


def sets_of_names(texts: list[str], usual: SetLaw = ALL_OR_NONE) -> tuple[tuple[int, SetLaw], ...]:
    """
    Read sets.

    Parameters
    ----------
    texts : list of str
        As ``SET_GRAMMAR`` says.
    usual : SetLaw
        The law of sets that name none.

    Returns
    -------
    tuple of (int, SetLaw)
        Size and law of every set.

    Raises
    ------
    ValueError
        If one of them is no set, or its parameters are out of range.
    """
    found: list[tuple[int, SetLaw]] = []
    for text in texts:
        sizes, _, law = text.strip().partition(":")
        count, times, size = sizes.rpartition("x")
        number = (count if times else "1", size)
        if not all(part.isdecimal() and int(part) >= 1 for part in number):
            raise ValueError(f"sets are written {SET_GRAMMAR}; got {text!r}")
        total = sum(members for members, _ in found) + int(number[0]) * int(size)
        if total > MOST_FEATURES:
            raise ValueError(f"sets are of at most {MOST_FEATURES:,} features in all, got {total:,}")
        members = int(size)
        one = set_law_of_name(law, members) if law else usual
        one.validate(members)
        found += [(members, one)] * int(number[0])
    return tuple(found)


def name_of_sets(sets: Iterable[tuple[int, SetLaw]]) -> str:
    """
    Write sets as ``sets_of_names`` reads them, equal neighbours together.

    Parameters
    ----------
    sets : iterable of (int, SetLaw)
        Size and law of every set.

    Returns
    -------
    str
        Such as "2x2:partial:0.7 3:exactly-one"; a law that has no name is its record.
    """
    written = []
    for (members, law), alike in groupby(sets):
        count = len(list(alike))
        written.append(f"{count}x" * (count > 1) + f"{members}:{law_name(law)}")
    return " ".join(written)


def law_name(law: SetLaw) -> str:
    """
    Write the law of a set as ``set_law_of_name`` reads it.

    Parameters
    ----------
    law : SetLaw
        The law.

    Returns
    -------
    str
        Such as "partial:0.7"; the record's text where it has no name.
    """
    if law in (ALL_OR_NONE, EXACTLY_ONE):
        return "all-or-none" if law == ALL_OR_NONE else "exactly-one"
    if isinstance(law, ExactlyK):
        return f"exactly:{law.k}"
    if isinstance(law, PartialCorrelation):
        return f"partial:{shortest(law.c)}"
    if isinstance(law, Equicorrelated):
        return f"correlated:{shortest(law.correlation)}"
    if isinstance(law, PatternTable):
        pairs = zip(law.patterns_listed, law.probabilities, strict=True)
        return "table:" + ",".join(f"{pattern}@{shortest(share)}" for pattern, share in pairs)
    if isinstance(law, Hierarchy) and not any(law.parents[1:]) and law.c[0] == 1 and len(set(law.c[1:])) == 1:
        return f"hierarchy:{shortest(law.c[1])}"
    return repr(law)


def set_law_of_name(text: str, members: int) -> SetLaw:
    """
    Read the law of a set.

    Parameters
    ----------
    text : str
        What ``SET_GRAMMAR`` calls LAW, such as "partial:0.7".
    members : int
        Size of the set.

    Returns
    -------
    SetLaw
        The law.

    Raises
    ------
    ValueError
        If there is no such law, or its parameters are out of range.
    """
    name, _, rest = text.strip().partition(":")
    if name in ("all-or-none", "exactly-one") and not rest:
        return ALL_OR_NONE if name == "all-or-none" else EXACTLY_ONE
    if name == "table" and rest:
        pairs = [entry.partition("@") for entry in rest.split(",")]
        return PatternTable(tuple(p for p, _, _ in pairs), tuple(_number(q, text) for _, _, q in pairs))
    if name in ("exactly", "partial", "correlated", "hierarchy") and rest:
        x = _number(rest, text)
        if name == "exactly":
            if not x.is_integer():
                raise ValueError(f"the number of active members must be a whole number >= 1, got {rest!r} in {text!r}")
            return ExactlyK(int(x))
        if name == "hierarchy":
            return Hierarchy((-1, *[0] * (members - 1)), (1.0, *[x] * (members - 1)))
        return PartialCorrelation(x) if name == "partial" else Equicorrelated(x)
    if name in _WITH_PARAMETERS and not rest:
        raise ValueError(f"{name} needs {_WITH_PARAMETERS[name]}; got {text!r}")
    raise ValueError(f"the law of a set is written {SET_GRAMMAR.partition(', LAW being ')[2]}; got {text!r}")


def _number(part: str, text: str) -> float:
    try:
        return float(part)
    except ValueError:
        raise ValueError(f"a parameter of a set must be a number, got {part!r} in {text!r}") from None

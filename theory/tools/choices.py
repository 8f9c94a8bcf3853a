"""Looking a name up among the known ones, with a refusal that names the nearest."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TypeVar

__all__ = ["choose"]

Entry = TypeVar("Entry")


def choose(kind: str, name: object, known: Mapping[str, Entry]) -> Entry:
    """
    Look up a name.

    Parameters
    ----------
    kind : str
        What is being chosen, as the refusal calls it.
    name : str
        The name asked for.
    known : mapping
        What there is, by name.

    Returns
    -------
    object
        The entry of that name.

    Raises
    ------
    ValueError
        If there is none; the message names the nearest.

    Examples
    --------
    >>> choose("schedule", "constant", {"constant": 1, "linear": 2})
    1
    """
    if isinstance(name, str) and name in known:
        return known[name]
    near = get_close_matches(str(name), known, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"unknown {kind} {name!r}; there are {', '.join(map(repr, known))}{hint}")

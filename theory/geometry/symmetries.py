"""Symmetries of an embedding: which reorderings of its features leave all couplings alone."""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

__all__ = ["automorphisms", "generators", "orbits"]

# Couplings and marks that differ by less than this are exchanged by a symmetry.
_EQUAL = 1e-5


def automorphisms(G: Float[ndarray, "n n"], marks: Float[ndarray, "k n"] | None = None) -> Iterator[Int[ndarray, " n"]]:
    """
    Generate all permutations of features that leave couplings and marks alone.

    Parameters
    ----------
    G : ndarray, shape (n, n)
        Couplings W^T W; entries that differ by less than 1e-5 count as equal.
    marks : ndarray, shape (k, n), optional
        What else must stay: biases, densities, importances.

    Yields
    ------
    ndarray of int, shape (n,)
        Every permutation s with G[s_i, s_j] = G[i, j] and marks[:, s_i] = marks[:, i], the identity included.
    """
    alike = _alike(G, marks)
    return (np.array(images) for images in _extensions(G, alike, []))


def generators(G: Float[ndarray, "n n"], marks: Float[ndarray, "k n"] | None = None) -> Iterator[Int[ndarray, " n"]]:
    """
    Generate permutations of features that together make up all symmetries.

    Parameters
    ----------
    G : ndarray, shape (n, n)
        Couplings W^T W; entries that differ by less than 1e-5 count as equal.
    marks : ndarray, shape (k, n), optional
        What else must stay: biases, densities, importances.

    Yields
    ------
    ndarray of int, shape (n,)
        For every i and j > i one symmetry that moves i to j and fixes 0 ... i - 1, if there is one.
    """
    n, alike = len(G), _alike(G, marks)
    for i in range(n):
        for j in range(i + 1, n):
            if _fits(G, alike, list(range(i)), j):
                found = next(_extensions(G, alike, [*range(i), j]), None)
                if found is not None:
                    yield np.array(found)


def orbits(symmetries: Sequence[Int[ndarray, " v"]] | Int[ndarray, "k v"]) -> list[int]:
    """
    Number the orbits of the vertices in the order in which they come.

    Parameters
    ----------
    symmetries : sequence of ndarray of int, shape (v,)
        All symmetries, the identity included.

    Returns
    -------
    list of int
        The orbit of every vertex.
    """
    smallest = np.min(symmetries, axis=0)  # of all images of a vertex: the name of its orbit
    names = list(dict.fromkeys(smallest.tolist()))
    return [names.index(name) for name in smallest.tolist()]


def _alike(G: Float[ndarray, "n n"], marks: Float[ndarray, "k n"] | None) -> ndarray:
    """Which features have the same norm and the same marks."""
    own = np.diag(G)[None] if marks is None else np.vstack([np.diag(G), marks])
    return np.asarray(np.abs(own[:, :, None] - own[:, None, :]).max(0) < _EQUAL)


def _fits(G: Float[ndarray, "n n"], alike: ndarray, images: list[int], j: int) -> bool:
    """Whether the next feature may go to j when those before it went to ``images``."""
    i = len(images)
    return bool(alike[i, j] and j not in images and np.abs(G[i, :i] - G[j, images]).max(initial=0) < _EQUAL)


def _extensions(G: Float[ndarray, "n n"], alike: ndarray, images: list[int]) -> Iterator[list[int]]:
    """All symmetries that begin with the given images."""
    if len(images) == len(G):
        yield images
        return
    for j in range(len(G)):
        if _fits(G, alike, images, j):
            yield from _extensions(G, alike, [*images, j])

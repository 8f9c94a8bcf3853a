"""Tegum products: polytopes side by side in orthogonal subspaces, and the text that names them.

The grammar is what people say: ``"pentagon + digon"``, ``"3 digons + 2 unrepresented"``. Each term is a name
from the catalogue (or an alias, such as "square"), with a number before it if there are several. Case and
plural do not matter.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from theory.geometry.polytopes import ALIASES, POLYTOPES, Polytope

__all__ = ["Parameters", "TegumProduct", "parse_geometry", "tegum_products"]

Parameters = Mapping[str, Mapping[str, float]]

_IN_DIMENSIONS = re.compile(r"\d+ in \d+")  # the name of an irreducible optimum that has no other


def _order(name: str) -> tuple[int, int, str]:
    """Canonical order of factors: most dimensions first, then most vertices."""
    polytope = POLYTOPES[name]
    return -polytope.d, -polytope.v, name


@dataclass(frozen=True, init=False)
class TegumProduct:
    """
    Polytopes in orthogonal subspaces; W^T W is block diagonal, and the loss is the sum of the factors'
    losses.

    Two products are equal if they have the same factors.

    Parameters
    ----------
    factors : mapping from str to int
        How often each polytope of the catalogue occurs, by its name there.

    Attributes
    ----------
    counts : tuple of (str, int)
        Names and multiplicities in canonical order: most dimensions first, then most vertices.

    Raises
    ------
    ValueError
        If a name is not in the catalogue, or a multiplicity is below 0, or nothing is left.

    Examples
    --------
    >>> TegumProduct({"digon": 1, "pentagon": 1}).name
    'pentagon + digon'
    """

    counts: tuple[tuple[str, int], ...]

    def __init__(self, factors: Mapping[str, int]) -> None:
        for name, count in factors.items():
            if name not in POLYTOPES:
                raise ValueError(_unknown(name, name))
            if count < 0:
                raise ValueError(f"a factor cannot occur {count} times ({name})")
        names = sorted((name for name, count in factors.items() if count), key=_order)
        if not names:
            raise ValueError("a tegum product needs at least one factor")
        object.__setattr__(self, "counts", tuple((name, int(factors[name])) for name in names))

    def __str__(self) -> str:
        return self.name

    @property
    def factors(self) -> dict[str, int]:
        """How often each polytope occurs, in canonical order."""
        return dict(self.counts)

    @property
    def polytopes(self) -> tuple[Polytope, ...]:
        """The factors one by one, in the order in which their features come."""
        return tuple(POLYTOPES[name] for name, count in self.counts for _ in range(count))

    @property
    def n(self) -> int:
        """Number of features, unrepresented ones included."""
        return sum(count * POLYTOPES[name].v for name, count in self.counts)

    @property
    def m(self) -> int:
        """Number of dimensions that the factors span together."""
        return sum(count * POLYTOPES[name].d for name, count in self.counts)

    @property
    def name(self) -> str:
        """The product in words; ``parse_geometry`` reads it back."""
        return " + ".join(name if count == 1 else f"{count} {name}" for name, count in self.counts)

    def filled(self, n: int, m: int) -> "TegumProduct":
        """
        Fit the product to a problem: features it does not mention are unrepresented.

        Parameters
        ----------
        n : int
            Number of features.
        m : int
            Number of dimensions.

        Returns
        -------
        TegumProduct
            A product of exactly n features.

        Raises
        ------
        ValueError
            If the product has more than n features or spans more than m dimensions.
        """
        if self.n > n:
            raise ValueError(f"{self.name!r} has {self.n} features, more than the problem's n = {n}")
        if self.m > m:
            raise ValueError(f"{self.name!r} spans {self.m} dimensions, more than the problem's m = {m}")
        factors = self.factors
        factors["unrepresented"] = factors.get("unrepresented", 0) + n - self.n
        return TegumProduct(factors)

    def embedding(self, parameters: Parameters | None = None, m: int | None = None) -> Float[ndarray, "m n"]:
        """
        Give the product's W: the factors' embeddings as diagonal blocks.

        Parameters
        ----------
        parameters : mapping from str to mapping from str to float, optional
            For each polytope's name, values of its parameters; equal factors share them, and what is not
            given keeps its default.
        m : int, optional
            Hidden dimensions of the result; those that the product leaves unused are rows of zeros. By
            default as many as it spans (at least one).

        Returns
        -------
        ndarray, shape (m, n)
            Features in the order of ``polytopes``.

        Raises
        ------
        ValueError
            If the product spans more than m dimensions, or a parameter is unknown.
        """
        from scipy.linalg import block_diag  # slow to import, and every process that searches would

        rows = max(self.m, 1) if m is None else m
        if self.m > rows:
            raise ValueError(f"{self.name!r} spans {self.m} dimensions, more than m = {rows}")
        given = parameters or {}
        W = np.zeros((rows, self.n))
        W[: self.m] = block_diag(*(p.embedding(given.get(p.name)) for p in self.polytopes))
        return W

    def biases(self, parameters: Parameters | None = None) -> Float[ndarray, " n"]:
        """
        Give the product's output biases.

        Parameters
        ----------
        parameters : mapping from str to mapping from str to float, optional
            As for ``embedding``.

        Returns
        -------
        ndarray, shape (n,)
            Features in the order of ``polytopes``.

        Raises
        ------
        ValueError
            If a parameter is unknown.
        """
        given = parameters or {}
        return np.concatenate([p.biases(given.get(p.name)) for p in self.polytopes])


def _unknown(name: str, text: str) -> str:
    """Say which name is not known, and which known ones come near it."""
    known = [*POLYTOPES, *ALIASES]
    near = get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"; nearest names: {', '.join(near)}" if near else f"; known are {', '.join(list(POLYTOPES)[:8])}, ..."
    where = f" in {text!r}" if text != name else ""
    if _IN_DIMENSIONS.fullmatch(name):
        hint = "; the catalogue holds no irreducible optimum of so many features in so many dimensions"
    return f"unknown polytope {name!r}{where}{hint}"


def _known(name: str) -> str | None:
    """Name as the catalogue or the aliases write it, whatever the plural."""
    singulars = (
        name,
        name.removesuffix("s"),
        re.sub("hedra$", "hedron", name),
        re.sub("chora$", "choron", name),
    )
    return next((word for word in singulars if word in POLYTOPES or word in ALIASES), None)


def _term(term: str, text: str) -> tuple[str, int]:
    """Split a term into name and number; the digits of "9-gon" and "7 in 3" are no number of factors."""
    whole = _known(term)
    if whole is not None:
        return whole, 1
    match = None if _IN_DIMENSIONS.fullmatch(term) else re.fullmatch(r"(\d+)\s*[x×*]?\s*(.+)", term)
    number, name = (int(match[1]), match[2]) if match else (1, term)
    known = _known(name)
    if known is None:
        raise ValueError(_unknown(name, text))
    return known, number


def parse_geometry(text: str) -> TegumProduct:
    """
    Read a tegum product.

    Parameters
    ----------
    text : str
        Terms joined by "+": a polytope's name or alias, with a number before it if it occurs several times.
        Case, plural and extra spaces do not matter.

    Returns
    -------
    TegumProduct
        The product, aliases resolved: "square" is two digons.

    Raises
    ------
    TypeError
        If it is not text.
    ValueError
        If a term is missing or a name is unknown; the message gives the nearest names.

    Examples
    --------
    >>> parse_geometry("3 Digons + 2 unrepresented").name
    '3 digon + 2 unrepresented'
    >>> parse_geometry("pentagonal bipyramid + square").name
    'pentagon + 3 digon'
    """
    if not isinstance(text, str):
        raise TypeError(f"a geometry is written as text such as 'pentagon + digon', got {text!r}")
    counts: dict[str, int] = {}
    for term in text.replace("⊕", "+").split("+"):
        words = " ".join(term.lower().split())
        if not words:
            raise ValueError(f"a geometry is terms joined by '+', but one is empty in {text!r}")
        name, number = _term(words, text)
        for factor, times in parse_geometry(ALIASES[name]).counts if name in ALIASES else ((name, 1),):
            counts[factor] = counts.get(factor, 0) + number * times
    return TegumProduct(counts)


def tegum_products(n: int, m: int) -> list[TegumProduct]:
    """
    List every product of catalogue entries that n features in m dimensions can take.

    Parameters
    ----------
    n : int
        Number of features, >= 1.
    m : int
        Hidden dimensions, >= 1.

    Returns
    -------
    list of TegumProduct
        Products of exactly n features (unrepresented ones fill up) in at most m dimensions, those that use
        all m first, then those with most features represented. There are 6 for n = 3, m = 2; their number
        grows exponentially with m, so that ``best_tegum_product`` searches without listing.

    Raises
    ------
    ValueError
        If n or m is below 1.

    Examples
    --------
    >>> [str(product) for product in tegum_products(2, 1)]
    ['digon', 'dedicated + unrepresented', '2 unrepresented']
    """
    if n < 1 or m < 1:
        raise ValueError(f"n and m must be at least 1, got n = {n} and m = {m}")
    entries = sorted((p for p in POLYTOPES.values() if p.d and p.d <= m and p.v <= n), key=lambda p: _order(p.name))
    found = [TegumProduct(counts | {"unrepresented": n - used}) for counts, used in _selections(entries, n, m)]
    return sorted(found, key=lambda p: (-p.m, p.factors.get("unrepresented", 0), p.name))


def _selections(entries: list[Polytope], n: int, m: int) -> Iterator[tuple[dict[str, int], int]]:
    """Multiplicities of the entries within n features and m dimensions, and the features they use."""
    if not entries:
        yield {}, 0
        return
    first = entries[0]
    for count in range(min(m // first.d, n // first.v) + 1):
        for counts, used in _selections(entries[1:], n - count * first.v, m - count * first.d):
            yield {first.name: count, **counts}, used + count * first.v

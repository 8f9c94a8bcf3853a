"""The name of a W: which tegum product its columns form, up to rotation, reflection, order and small
deformation.

Columns that are too short are unrepresented. The others are gathered into a tree, those with the largest
cosines first; from the leaves up, every branch is explained either as one catalogue polytope or as the
explanations of its two halves placed in orthogonal subspaces, whichever leaves the smaller squared error of
the cosines. Where even the best explanation is further off than the tolerance, or would need more dimensions
than the columns span, the branch is an irreducible factor without a name, cited as "7 in 3", or as "frame 170 in
30" where its features are spread evenly over its dimensions.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from numpy.typing import ArrayLike
from scipy.cluster.hierarchy import linkage

from theory.geometry.alignment import nearest_polytope
from theory.geometry.polytopes import POLYTOPES
from theory.tools.arrays import detached

__all__ = ["RecognisedFactor", "Recognition", "recognise", "recognise_many"]

# A represented feature has a norm near 1, more where a large bias holds it back; one of norm 0.2 gives back
# 4 % of a feature. Columns shorter than this part of the largest count as unrepresented, whatever the scale.
_SHORT = 0.2
# Where the largest norm is below this, no feature is given back by more than 1 %: W is zero but for noise.
_NOTHING = 0.1
# Share of the squared directions that may lie outside the dimensions of a factor without a name.
_OUTSIDE = 0.05
# Eigenvalues of the cosines below this part of the largest are rounding: their number is the rank.
_ROUNDING = 1e-10
# A frame is even if the eigenvalues above _PRESENT of the largest, and the features' shares in the squared cosines,
# each vary by less than this part (standard deviation): a descended optimum's by 0.01, random directions' by
# sqrt(d / k). Fewer dimensions or features than these have names of their own.
_EVEN, _PRESENT, _LEAST_DIMENSIONS, _LEAST_EXCESS = 0.1, 0.1, 3, 2
# Cosines of so many pairs at once are looked at when there are many W's.
_BLOCK = 1_000_000


@dataclass(frozen=True)
class RecognisedFactor:
    """
    One factor of a recognised W.

    Attributes
    ----------
    name : str
        A polytope of the catalogue, or for a factor that resembles none "frame (v) in (d)" if its features are spread
        evenly over its dimensions (W W^T is a multiple of 1 there, and all have the same dimensionality), else
        "(v) in (d)".
    features : tuple of int
        Its features: ``features[k]`` sits at vertex k of the catalogue entry.
    residual : float
        Distance of the factor's own cosines from those of the entry, relative in the Frobenius norm; NaN for
        a factor that resembles none.

    Examples
    --------
    >>> import theory
    >>> factor = theory.recognise([[1.0, -1.0, 0.0], [0.0, 0.0, 1.0]]).factors[0]
    >>> factor.name, factor.features
    ('digon', (0, 1))
    """

    name: str
    features: tuple[int, ...]
    residual: float = 0.0


@dataclass(frozen=True)
class Recognition:
    """
    What geometry a W is.

    Attributes
    ----------
    name : str
        The tegum product in canonical text, such as "pentagon + digon + unrepresented".
    factors : tuple of RecognisedFactor
        Its factors, in the order of the name, with their features; each unrepresented feature is one.
    residual : float
        Distance of the cosines from those of the nearest product of catalogue polytopes, relative (Frobenius
        norm of the difference by that of the product's cosines). 0 is a perfect fit; about 0.05 is 2 % noise;
        above the tolerance a factor is named by its features and dimensions.
    nearest : str
        That nearest product; the same as the name where the residual lies within the tolerance.

    Examples
    --------
    >>> import theory
    >>> seen = theory.recognise([[1.0, -1.0, 0.0], [0.0, 0.0, 1.0]])
    >>> seen.name, len(seen.factors)
    ('digon + dedicated', 2)
    """

    name: str
    factors: tuple[RecognisedFactor, ...]
    residual: float
    nearest: str


@dataclass(frozen=True, eq=False)
class _Branch:
    """Features of one branch of the tree and their best explanation."""

    members: tuple[int, ...]
    pieces: tuple[RecognisedFactor, ...]
    error: float  # squared error of the cosines within the branch
    halves: "tuple[_Branch, _Branch] | None" = None


def _sort_key(name: str) -> tuple[int, int, str]:
    """Canonical order of factors, those without a name included."""
    if name in POLYTOPES:
        return -POLYTOPES[name].d, -POLYTOPES[name].v, name
    v, d = map(int, re.findall(r"\d+", name))
    return -d, -v, name


def _in_words(factors: Iterable[RecognisedFactor]) -> str:
    counts = Counter(factor.name for factor in factors)
    ordered = sorted(counts, key=_sort_key)
    return " + ".join(name if counts[name] == 1 else f"{counts[name]} {name}" for name in ordered)


def _looks(W: Float[ndarray, "k m n"]) -> tuple[Bool[ndarray, "k n"], Float[ndarray, "k n n"]]:
    """Which columns are long enough to count, and their cosines; 0 for the others."""
    unit = np.maximum(np.abs(W).max((1, 2), keepdims=True), np.finfo(float).tiny)  # squares of large entries overflow
    V = W / unit
    norms = np.linalg.norm(V, axis=1)
    longest = norms.max(1, keepdims=True)
    keep = (norms >= _SHORT * longest) & (longest * unit[:, 0] >= _NOTHING)
    U = np.where(keep[:, None], V / np.where(keep, norms, 1.0)[:, None], 0.0)
    return keep, U.swapaxes(1, 2) @ U


def _tree(G: Float[ndarray, "k k"]) -> _Branch:
    """Join features with the largest mean square cosine first, explaining every branch on the way."""
    k = len(G)
    branches = [_Branch((i,), (RecognisedFactor("dedicated", (i,)),), 0.0) for i in range(k)]
    if k == 1:
        return branches[0]
    squares = G**2
    distance = np.clip(1 - squares[np.triu_indices(k, 1)], 0, None)
    for left, right, _, _ in linkage(distance, method="average"):
        a, b = branches[int(left)], branches[int(right)]
        branches.append(_join(G, squares, a, b))
    return branches[-1]


def _join(G: Float[ndarray, "k k"], squares: Float[ndarray, "k k"], a: _Branch, b: _Branch) -> _Branch:
    """Explain two branches together: as one polytope, or as two orthogonal explanations."""
    members = a.members + b.members
    error = a.error + b.error + 2 * _coupling(squares, a, b)
    match = nearest_polytope(G[np.ix_(members, members)], below=error)
    if match is None:
        return _Branch(members, a.pieces + b.pieces, error, (a, b))
    features = tuple(members[i] for i in match.order)
    whole = RecognisedFactor(match.polytope.name, features, float(np.sqrt(match.error / _size(match.polytope.name))))
    return _Branch(members, (whole,), match.error, (a, b))


def _coupling(squares: Float[ndarray, "k k"], a: _Branch, b: _Branch) -> float:
    return float(squares[np.ix_(a.members, b.members)].sum())


@lru_cache(maxsize=256)
def _size(name: str) -> float:
    """Sum of the squared cosines of a catalogue entry."""
    U = POLYTOPES[name].directions()
    return float(((U.T @ U) ** 2).sum())


def _fits(squares: Float[ndarray, "k k"], pieces: tuple[RecognisedFactor, ...], tolerance: float) -> bool:
    """
    Whether every piece resembles its polytope, and they lie in orthogonal subspaces.

    The squared cosines between two tight frames are their densities v / d times the squared cosines of the
    principal angles between their subspaces: undo that, and one number says by how much two pieces miss being
    orthogonal.
    """
    if max(piece.residual for piece in pieces) > tolerance:
        return False
    owner = np.zeros((len(pieces), len(squares)))
    for row, piece in zip(owner, pieces, strict=True):
        row[list(piece.features)] = POLYTOPES[piece.name].d / POLYTOPES[piece.name].v
    missed = owner @ squares @ owner.T
    np.fill_diagonal(missed, 0.0)
    # Many small misses add up to a lack of dimensions: bound their sum for every piece, too.
    return bool(missed.max() <= tolerance**2 and missed.sum(1).max() <= 2 * tolerance**2)


def _accept(G: Float[ndarray, "k k"], branch: _Branch, tolerance: float) -> tuple[RecognisedFactor, ...]:
    """Keep what fits; else look into the halves of the branch if they hardly touch; else there is no name."""
    squares = G**2
    members = sorted(branch.members)
    values = np.linalg.eigvalsh(G[np.ix_(members, members)])[::-1]
    rank = int((values > _ROUNDING * values[0]).sum())
    if _dimensions(branch.pieces) <= rank and _fits(squares, branch.pieces, tolerance):
        return branch.pieces
    if branch.halves is not None:
        a, b = branch.halves
        smaller = min(a, b, key=lambda half: len(half.members))
        if _coupling(squares, a, b) <= tolerance**2 * _coupling(squares, smaller, smaller):
            parts = _accept(G, a, tolerance) + _accept(G, b, tolerance)
            if _dimensions(parts) <= rank:
                return parts
    return (_without_name(squares, members, values),)


def _dimensions(pieces: Iterable[RecognisedFactor]) -> int:
    """Dimensions that the pieces span together, each in a subspace of its own."""
    return sum(-_sort_key(piece.name)[0] for piece in pieces)


def _without_name(squares: Float[ndarray, "k k"], members: list[int], values: Float[ndarray, " v"]) -> RecognisedFactor:
    """A factor that resembles no polytope; its cosines' eigenvalues are given, the largest first."""
    v = len(members)
    present = values[values > _PRESENT * values[0]]
    shares = squares[np.ix_(members, members)].sum(0)
    uneven = max(present.std() / present.mean(), shares.std() / shares.mean())
    if len(present) >= _LEAST_DIMENSIONS and v >= len(present) + _LEAST_EXCESS and uneven < _EVEN:
        name = f"frame {v} in {len(present)}"
    else:
        name = f"{v} in {int((np.cumsum(values) < (1 - _OUTSIDE) * v).sum()) + 1}"
    return RecognisedFactor(name, tuple(members), float("nan"))


def recognise(W: ArrayLike, tolerance: float = 0.35) -> Recognition:
    """
    Name the geometry of a W.

    Parameters
    ----------
    W : array_like, shape (m, n)
        Embedding; column i is feature i's direction.
    tolerance : float
        Largest relative error of a factor's cosines (see ``Recognition.residual``) at which it still has the
        name of the polytope, in (0, 1). The default allows angles to be off by about
        15 degrees, and still tells the known irreducible optima from products.

    Returns
    -------
    Recognition
        Name, factors with their features, and how well they fit. The factors together need no more dimensions than
        the columns span. Norms do not enter, and neither does the scale of W, except that a column is unrepresented
        if its norm is below 0.2 of the largest, and that a W whose largest norm is below 0.1 represents nothing.

    Raises
    ------
    TypeError
        If W is not numeric.
    ValueError
        If W is not a finite matrix, or the tolerance lies outside (0, 1).

    Examples
    --------
    >>> import numpy as np
    >>> recognise([[1.0, -0.9, 0.1, 0.0], [0.1, 0.0, 1.0, 0.01]]).name
    'digon + dedicated + unrepresented'
    """
    matrix = _checked(W, tolerance)
    if matrix.ndim != 2:
        raise ValueError(f"W must have shape (m, n), got shape {matrix.shape}; recognise_many takes a batch")
    (keep,), (cosines,) = _looks(matrix[None])
    return _recognised(keep, cosines, tolerance)


def _recognised(keep: Bool[ndarray, " n"], cosines: Float[ndarray, "n n"], tolerance: float) -> Recognition:
    """Recognise what is known by which columns count, and by their cosines."""
    short = tuple(RecognisedFactor("unrepresented", (int(i),)) for i in np.flatnonzero(~keep))
    if not keep.any():
        return Recognition(_in_words(short), short, 0.0, _in_words(short))
    G = cosines[np.ix_(keep, keep)]
    root = _tree(G)
    original = np.flatnonzero(keep).tolist()
    pieces = (
        replace(piece, features=tuple(original[i] for i in piece.features)) for piece in _accept(G, root, tolerance)
    )
    factors = (*sorted(pieces, key=lambda f: (_sort_key(f.name), min(f.features))), *short)
    size = sum(_size(piece.name) for piece in root.pieces)
    return Recognition(
        name=_in_words(factors),
        factors=factors,
        residual=float(np.sqrt(root.error / size)),
        nearest=_in_words((*root.pieces, *short)),
    )


def _checked(W: ArrayLike, tolerance: float) -> Float[ndarray, "..."]:
    if not 0 < tolerance < 1:
        raise ValueError(f"tolerance must lie in (0, 1), got {tolerance!r}")
    W = detached(W)
    if np.ma.isMaskedArray(W) or np.iscomplexobj(W):
        raise TypeError("W must be an array of real numbers, none of them masked")
    try:
        array = np.asarray(W, dtype=float)
    except (TypeError, ValueError):
        raise TypeError(f"W must be an array of numbers of shape (m, n), got {W!r}") from None
    if array.ndim < 2 or 0 in array.shape[-2:]:
        raise ValueError(f"W must have shape (m, n) with m, n >= 1, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError("W must be finite, got NaN or infinity; did the training diverge?")
    return array


def recognise_many(W: ArrayLike, tolerance: float = 0.35) -> ndarray:
    """
    Name the geometry of each W of a batch.

    Parameters
    ----------
    W : array_like, shape (*batch, m, n)
        Embeddings; column i is feature i's direction.
    tolerance : float
        As for ``recognise``.

    Returns
    -------
    ndarray of str, shape (*batch,)
        The names. W's with the same features represented, and whose cosines agree when rounded to two
        decimals, are looked at once; where that rounding crosses the tolerance, the name is that of the first
        of them.

    Raises
    ------
    TypeError
        If W is not numeric.
    ValueError
        If W is not finite or has fewer than two axes, or the tolerance lies outside (0, 1).

    Examples
    --------
    >>> recognise_many([[[1.0, -1.0]], [[1.0, 0.0]]])
    array(['digon', 'dedicated + unrepresented'], dtype='<U25')
    """
    array = _checked(W, tolerance)
    batch, (m, n) = array.shape[:-2], array.shape[-2:]
    names: list[str] = []
    seen: dict[bytes, str] = {}
    several = max(1, _BLOCK // n**2)
    for block in np.split(array.reshape(-1, m, n), range(several, math.prod(batch), several)):
        kept, cosines = _looks(block)
        rounded = np.round(100 * cosines).astype(np.int8)
        for keep, exact, told in zip(kept, cosines, rounded, strict=True):
            key = keep.tobytes() + told.tobytes()
            if key not in seen:
                seen[key] = _recognised(keep, exact, tolerance).name
            names.append(seen[key])
    return np.array(names, dtype=str).reshape(batch)

"""Which catalogue polytope a set of directions resembles most, up to rotation, reflection and order.

Directions are compared by their normalised Gram matrices (the cosines), which know nothing of rotations. What
is left is to find the order of the vertices. Comparing the sorted cosines bounds the distance from below in
any order, which rules out most of the catalogue at once. For the rest, simplices need no order and polygons
are sorted by angle; other shapes try to lay a few vertices that span the space on vertices with the same
cosines, and then assign all of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.optimize import linear_sum_assignment

from theory.geometry.polytopes import POLYTOPES, Polytope

__all__ = ["Match", "nearest_polytope"]

# A free height is matched to the best of these: halfway between two, cosines are off by less than 0.04.
_HEIGHTS = np.linspace(0.3, 0.8, 11)

# Ways to lay the spanning vertices: so many are looked at, and the best few are tried to the end.
_SHORTLIST, _ATTEMPTS = 128, 5
# In more dimensions, where ways are too many, only those with the right cosines are looked for, in so many steps.
_ENUMERATED, _BUDGET = 4, 3000
# A fit with a relative error below this is right: no other order fits as well but for a symmetry of the polytope.
_RIGHT = 0.1


@dataclass(frozen=True, eq=False)
class Match:
    """
    A catalogue polytope laid on a set of directions.

    Attributes
    ----------
    polytope : Polytope
        The entry.
    order : tuple of int
        The direction at each vertex of the entry.
    error : float
        Sum of the squared differences of all cosines, each pair counted twice.
    """

    polytope: Polytope
    order: tuple[int, ...]
    error: float


@dataclass(frozen=True, eq=False)
class _Template:
    """A polytope at one shape, with what is needed to lay it on directions."""

    polytope: Polytope
    vectors: Float[ndarray, "v d"]
    gram: Float[ndarray, "v v"]
    cosines: Float[ndarray, " pairs"]  # sorted

    @property
    def is_simplex(self) -> bool:
        """Whether all cosines are equal, so that every order fits equally well."""
        return len(self.cosines) == 0 or bool(np.ptp(self.cosines) < 1e-9)

    @property
    def is_polygon(self) -> bool:
        """Whether vertex j is the j-th by angle, at equal steps."""
        angles = 2 * np.pi * np.arange(len(self.gram)) / len(self.gram)
        return self.vectors.shape[1] == 2 and bool(np.allclose(self.gram[0], np.cos(angles)))


def _pairs(G: Float[ndarray, "v v"]) -> Float[ndarray, " pairs"]:
    """Sorted entries above the diagonal."""
    return np.sort(G[np.triu_indices(len(G), 1)])


def _shapes(polytope: Polytope) -> Iterator[dict[str, float]]:
    """Shape parameters at which a polytope is compared."""
    if "height" in polytope.shape:
        yield from ({"height": float(height)} for height in _HEIGHTS)
    yield {}


def _template(polytope: Polytope, shape: dict[str, float]) -> _Template:
    U = polytope.directions(shape).T
    return _Template(polytope, U, U @ U.T, _pairs(U @ U.T))


@lru_cache(maxsize=64)
def _templates(v: int) -> tuple[tuple[_Template, ...], ...]:
    """Every catalogue polytope with v vertices that spans any dimension, each in the shapes compared."""
    polytopes = (p for p in POLYTOPES.values() if p.v == v and p.d)
    return tuple(tuple(_template(p, shape) for shape in _shapes(p)) for p in polytopes)


@lru_cache(maxsize=256)
def _sorted_pairs(shapes: tuple[_Template, ...]) -> Float[ndarray, "shapes pairs"]:
    """Sorted cosines of one polytope's shapes."""
    return np.stack([template.cosines for template in shapes])


@lru_cache(maxsize=64)
def _frames(polytope: Polytope) -> Int[ndarray, "frames d"]:
    """Ordered d-tuples of distinct vertices; the first is the representative of its orbit."""
    first = {polytope.orbits.index(orbit) for orbit in set(polytope.orbits)}
    return np.array([f for f in permutations(range(polytope.v), polytope.d) if f[0] in first])


def nearest_polytope(G: Float[ndarray, "v v"], below: float = np.inf) -> Match | None:
    """
    Find the catalogue polytope whose cosines come nearest.

    Parameters
    ----------
    G : ndarray, shape (v, v)
        Cosines between v directions, 1 on the diagonal.
    below : float
        Only a match with a smaller error is of interest.

    Returns
    -------
    Match or None
        The nearest entry with v vertices, or None if the catalogue has none with an error below the bound.
        For polygons and simplices the order is the best one unless directions are so deformed that their
        order around the circle changes; for other shapes it is the best found.
    """
    best = None
    for shapes in _templates(len(G)):
        # Sorting both sides minimises the sum of squares over all orders: no order does better than this.
        bounds = 2 * ((_sorted_pairs(shapes) - _pairs(G)) ** 2).sum(1)
        likely = int(bounds.argmin())
        limit = below if best is None else best.error
        if bounds[likely] >= limit:
            continue
        order = _lay(shapes[likely], G)
        error = min(_error(template, G, order) for template in shapes)
        if error < limit:
            best = Match(shapes[0].polytope, tuple(order.tolist()), error)
    return best


def _error(template: _Template, G: Float[ndarray, "v v"], order: Int[ndarray, " v"]) -> float:
    return float(((G[np.ix_(order, order)] - template.gram) ** 2).sum())


def _lay(template: _Template, G: Float[ndarray, "v v"]) -> Int[ndarray, " v"]:
    """Find the order of the directions that fits one template best."""
    order = np.arange(len(G))
    if template.is_simplex:
        return order
    X = _coordinates(G, template.vectors.shape[1])
    if template.is_polygon:
        return np.argsort(np.arctan2(X[:, 1], X[:, 0]), kind="stable")
    error = np.inf
    for start in _starts(template, G, X):
        attempt = _assign_repeatedly(template, X, start)
        value = _error(template, G, attempt)
        if value < error:
            order, error = attempt, value
        if error <= _RIGHT**2 * np.sum(template.gram**2):
            break
    return order


def _coordinates(G: Float[ndarray, "v v"], d: int) -> Float[ndarray, "v d"]:
    """Points in d dimensions whose inner products come nearest to G."""
    values, vectors = np.linalg.eigh(G)
    return np.asarray(vectors[:, -d:] * np.sqrt(np.maximum(values[-d:], 0)))


def _starts(template: _Template, G: Float[ndarray, "v v"], X: Float[ndarray, "v d"]) -> Iterator[Float[ndarray, "d d"]]:
    """Rotations that lay d directions which span the space on vertices with the same cosines, best first."""
    anchors = _spanning_rows(X)
    if len(anchors) > _ENUMERATED:
        vertex = _isomorphism(template.gram, G)
        if vertex is not None:
            yield _rotation(X, template.vectors[vertex])
        return
    frames = _frames(template.polytope)
    cosines = template.gram[frames[:, :, None], frames[:, None, :]]
    misfit = ((cosines - G[np.ix_(anchors, anchors)]) ** 2).sum((1, 2))
    if len(frames) > _SHORTLIST:
        frames = frames[np.argpartition(misfit, _SHORTLIST)[:_SHORTLIST]]
    rotations = _rotation(X[anchors], template.vectors[frames])
    # How near every vertex comes to some direction: more than any assignment can reach.
    nearness = (template.vectors @ (X @ rotations).swapaxes(1, 2)).max(2).sum(1)
    yield from rotations[np.argsort(-nearness, kind="stable")[:_ATTEMPTS]]


def _isomorphism(gram: Float[ndarray, "v v"], G: Float[ndarray, "v v"]) -> Int[ndarray, " v"] | None:
    """A vertex for every direction, with the right cosines between all; None if none is found within a budget."""
    values, kinds = np.unique(gram.round(9), return_inverse=True)
    kinds = kinds.reshape(gram.shape)
    wanted = np.searchsorted((values[1:] + values[:-1]) / 2, G)
    np.fill_diagonal(wanted, len(values) - 1)
    budget = [_BUDGET]

    def place(possible: Bool[ndarray, "v v"], placed: Bool[ndarray, " v"]) -> Int[ndarray, " v"] | None:
        while budget[0] > 0:
            left = possible.sum(1)
            if left.min() == 0 or not possible.any(0).all():
                return None
            if placed.all():
                return np.asarray(possible.argmax(1))
            direction = int(np.where(placed, len(G) + 1, left).argmin())
            choices = np.flatnonzero(possible[direction])
            budget[0] -= 1
            placed = placed | (np.arange(len(G)) == direction)
            if len(choices) > 1:
                tries = (possible & (wanted[:, direction, None] == kinds[vertex]) for vertex in choices)
                return next((found for t in tries if (found := place(t, placed)) is not None), None)
            possible = possible & (wanted[:, direction, None] == kinds[choices[0]])
        return None

    start = np.ones(gram.shape, dtype=bool)
    start[0] = np.arange(len(G)) == 0  # all vertices are alike
    return place(start, np.zeros(len(G), dtype=bool))


def _spanning_rows(X: Float[ndarray, "v d"]) -> list[int]:
    """Choose d rows one after another, each the farthest from the span of those before it."""
    rest, rows = X.copy(), []
    for _ in range(X.shape[1]):
        row = int((rest**2).sum(1).argmax())
        rows.append(row)
        axis = rest[row] / max(float(np.linalg.norm(rest[row])), 1e-300)
        rest -= np.outer(rest @ axis, axis)
    return rows


def _rotation(X: Float[ndarray, "k d"], Y: Float[ndarray, "*batch k d"]) -> Float[ndarray, "*batch d d"]:
    """Orthogonal R for which X R comes nearest to Y (Procrustes)."""
    U, _, Vt = np.linalg.svd(X.T @ Y)
    return np.asarray(U @ Vt)


def _assign_repeatedly(template: _Template, X: Float[ndarray, "v d"], R: Float[ndarray, "d d"]) -> Int[ndarray, " v"]:
    """Give every vertex a direction, rotate to fit, and again until nothing changes."""
    order = np.full(len(X), -1)
    for _ in range(5):
        previous = order
        order = linear_sum_assignment(template.vectors @ (X @ R).T, maximize=True)[1]
        if np.array_equal(order, previous):
            break
        R = _rotation(X[order], template.vectors)
    return np.asarray(order)

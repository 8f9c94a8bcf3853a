"""The catalogue of polytopes: directions that features take in a subspace of their own.

An entry knows its dimensions d, its vertices v (one feature each), how symmetry groups the vertices into
orbits, and which shape parameters that symmetry leaves free. Vertices of one orbit share a norm and a bias,
so that a regular polygon has two parameters and a square antiprism three.

Only irreducible shapes are entries. A square is two digons in orthogonal dimensions, an octahedron three, a
pentagonal bipyramid a pentagon and a digon: such names are in ``ALIASES`` and stand for tegum products,
because as geometries of features they are the same thing, and one thing should have one name.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.resources import files
from types import MappingProxyType
from typing import TypedDict

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from theory.geometry.codes import code
from theory.geometry.vertices import (
    antiprism,
    axis,
    cell24,
    cube,
    deformed,
    digon,
    icosahedron,
    origin,
    polygon,
    rectified_simplex,
    simplex,
)

__all__ = [
    "ALIASES",
    "POLYTOPES",
    "SPHERICAL_CODES",
    "IrreducibleRecord",
    "Polytope",
    "from_record",
    "polygon_name",
    "regular_polygon",
    "simplex_name",
]

# Larger polygons and simplices never win: see the table of theory.optimum.one_sparse.
_LARGEST_POLYGON = 24
_LARGEST_SIMPLEX = 8
# Points and dimensions of spherical codes of few cosines.
SPHERICAL_CODES = {
    "half 5-cube": (16, 5),
    "27-point code": (27, 6),
    "56-point code": (56, 7),
    "240-point code": (240, 8),
    "100-point code": (100, 22),
    "112-point code": (112, 21),
    "162-point code": (162, 21),
    "275-point code": (275, 22),
}


@dataclass(frozen=True, eq=False)
class Polytope:
    """
    An irreducible geometry: v features in d dimensions, with as few parameters as its symmetry leaves.

    Parameters
    ----------
    name : str
        What it is called.
    d : int
        Dimensions it spans, >= 0.
    v : int
        Vertices, one feature each, >= 1.
    construct : callable
        Takes the shape parameters by name and returns the directions of the vertices, shape (d, v), columns
        of norm 1 (of length 0 for the unrepresented feature, which has no direction).
    orbits : tuple of int
        For each vertex the orbit it belongs to, numbered from 0. Vertices of one orbit are exchanged by
        symmetries and share norm and bias. Empty: all vertices form one orbit.
    shape : mapping from str to float
        Shape parameters and their default values; empty for a rigid polytope.

    Examples
    --------
    >>> POLYTOPES["square antiprism"].parameters
    {'norm': 1.0, 'height': 0.5773502691896258, 'bias': 0.0}
    """

    name: str
    d: int
    v: int
    construct: Callable[..., ndarray]
    orbits: tuple[int, ...] = ()
    shape: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "orbits", tuple(self.orbits) or (0,) * self.v)
        object.__setattr__(self, "shape", MappingProxyType({k: float(x) for k, x in self.shape.items()}))
        if len(self.orbits) != self.v or sorted(set(self.orbits)) != list(range(max(self.orbits) + 1)):
            raise ValueError(f"{self.name}: orbits must number {self.v} vertices from 0, got {self.orbits}")

    def __reduce__(self) -> tuple[Callable[..., "Polytope"], tuple[object, ...]]:
        """Pickle an entry of the catalogue by its name, any other by its parts."""
        if POLYTOPES.get(self.name) is self:
            return _catalogued, (self.name,)
        return Polytope, (self.name, self.d, self.v, self.construct, self.orbits, dict(self.shape))

    @property
    def norm_names(self) -> tuple[str, ...]:
        """Names of the norms, one per orbit; none where there are no dimensions."""
        return self._per_orbit("norm") if self.d else ()

    @property
    def bias_names(self) -> tuple[str, ...]:
        """Names of the biases, one per orbit."""
        return self._per_orbit("bias")

    def _per_orbit(self, word: str) -> tuple[str, ...]:
        number = max(self.orbits) + 1
        return (word,) if number == 1 else tuple(f"{word}_{k}" for k in range(number))

    @property
    def parameters(self) -> dict[str, float]:
        """All free parameters with their default values: norms 1, the shape's own, biases 0."""
        return {**dict.fromkeys(self.norm_names, 1.0), **self.shape, **dict.fromkeys(self.bias_names, 0.0)}

    def _complete(self, parameters: Mapping[str, float] | None) -> dict[str, float]:
        """Fill in defaults; refuse a name that is not a parameter."""
        known = self.parameters
        unknown = sorted(set(parameters or {}) - set(known))
        if unknown:
            raise ValueError(f"{self.name} has the parameters {', '.join(known)}, got {unknown[0]!r}")
        return {**known, **(parameters or {})}

    def directions(self, parameters: Mapping[str, float] | None = None) -> Float[ndarray, "d v"]:
        """
        Give the unit vectors to the vertices.

        Parameters
        ----------
        parameters : mapping from str to float, optional
            Values of named parameters; only those of the shape matter, the others keep their defaults.

        Returns
        -------
        ndarray, shape (d, v)
            Column i points to vertex i.

        Raises
        ------
        ValueError
            If a name is not one of this polytope's parameters.
        """
        values = self._complete(parameters)
        return np.asarray(self.construct(**{name: values[name] for name in self.shape}))

    def embedding(self, parameters: Mapping[str, float] | None = None) -> Float[ndarray, "d v"]:
        """
        Give the polytope's W: each direction times the norm of its orbit.

        Parameters
        ----------
        parameters : mapping from str to float, optional
            Values of named parameters; the others keep their defaults.

        Returns
        -------
        ndarray, shape (d, v)
            Column i is the embedding of the feature at vertex i.

        Raises
        ------
        ValueError
            If a name is not one of this polytope's parameters.
        """
        values = self._complete(parameters)
        norms = np.array([values[name] for name in self.norm_names] or [0.0])
        return np.asarray(self.directions(parameters) * norms[list(self.orbits)])

    def biases(self, parameters: Mapping[str, float] | None = None) -> Float[ndarray, " v"]:
        """
        Give the biases of the polytope's features.

        Parameters
        ----------
        parameters : mapping from str to float, optional
            Values of named parameters; the others keep their defaults.

        Returns
        -------
        ndarray, shape (v,)
            Output bias of the feature at each vertex.

        Raises
        ------
        ValueError
            If a name is not one of this polytope's parameters.
        """
        values = self._complete(parameters)
        return np.array([values[name] for name in self.bias_names])[list(self.orbits)]


def polygon_name(k: int) -> str:
    """
    Name a regular polygon.

    Parameters
    ----------
    k : int
        Vertices, >= 3.

    Returns
    -------
    str
        The Greek name up to the octagon, "9-gon" and so on beyond.
    """
    greek = {3: "triangle", 4: "square", 5: "pentagon", 6: "hexagon", 7: "heptagon", 8: "octagon"}
    return greek.get(k, f"{k}-gon")


def simplex_name(d: int) -> str:
    """
    Name a regular simplex.

    Parameters
    ----------
    d : int
        Dimensions, >= 1.

    Returns
    -------
    str
        "digon", "triangle", "tetrahedron", "5-cell", then "5-simplex" and so on.
    """
    return {1: "digon", 2: "triangle", 3: "tetrahedron", 4: "5-cell"}.get(d, f"{d}-simplex")


def regular_polygon(k: int) -> Polytope:
    """
    Make the entry of a regular polygon, which the catalogue holds up to the 24-gon.

    Parameters
    ----------
    k : int
        Vertices, >= 3 and not 4: a square is two digons.

    Returns
    -------
    Polytope
        Two dimensions, one orbit.

    Raises
    ------
    ValueError
        If k is below 3, or 4.
    """
    if k < 3 or k == 4:
        raise ValueError(f"a polygon needs at least 3 vertices, and a square is two digons; got k = {k}")
    return Polytope(polygon_name(k), 2, k, partial(polygon, k))


class IrreducibleRecord(TypedDict):
    """An optimum without a name, as the table ``irreducible.json`` keeps it."""

    directions: list[list[float]]
    orbits: list[int]
    deformations: list[list[list[float]]]


def from_record(record: IrreducibleRecord) -> Polytope:
    """
    Make a catalogue entry of an irreducible optimum that a search found.

    Parameters
    ----------
    record : IrreducibleRecord
        Directions of the vertices, shape (d, v); the orbit of each vertex; and the deformations, each of
        shape (d, v), that keep the symmetry.

    Returns
    -------
    Polytope
        Entry named by features and dimensions, such as "7 in 3". Its shape parameters are the amounts of the
        deformations added to the directions, which are then scaled to norm 1; 0 by default.

    Examples
    --------
    >>> record = {"directions": [[1.0, 0.6], [0.0, 0.8]], "orbits": [0, 0], "deformations": []}
    >>> from_record(record).name
    '2 in 2'
    """
    default = np.array(record["directions"], dtype=float)
    ways = np.array(record["deformations"], dtype=float).reshape(-1, *default.shape)
    d, v = default.shape

    shape = {f"deformation_{k}": 0.0 for k in range(len(ways))}
    return Polytope(f"{v} in {d}", d, v, partial(deformed, default, ways), tuple(record["orbits"]), shape)


def _searched() -> Sequence[Polytope]:
    """Entries of the frozen table of optima without a name."""
    table: list[IrreducibleRecord] = json.loads(files("theory.geometry").joinpath("irreducible.json").read_text())
    return [from_record(record) for record in table]


def _catalogue() -> dict[str, Polytope]:
    polygons = [k for k in range(3, _LARGEST_POLYGON + 1) if k != 4]  # a square is two digons
    solids = {4: "square", 5: "pentagonal", 6: "hexagonal"}
    entries = [
        Polytope("unrepresented", 0, 1, origin),
        Polytope("dedicated", 1, 1, axis),
        Polytope("digon", 1, 2, digon),
        *(regular_polygon(k) for k in polygons),
        *(Polytope(simplex_name(d), d, d + 1, partial(simplex, d)) for d in range(3, _LARGEST_SIMPLEX + 1)),
        *(
            Polytope(f"{word} antiprism", 3, 2 * k, partial(antiprism, k), shape={"height": 1 / np.sqrt(3)})
            for k, word in solids.items()
        ),
        Polytope("cube", 3, 8, cube),
        Polytope("icosahedron", 3, 12, icosahedron),
        Polytope("24-cell", 4, 24, cell24),
        Polytope("rectified 5-cell", 4, 10, partial(rectified_simplex, 4)),
        *(Polytope(name, d, v, partial(code, v)) for name, (v, d) in SPHERICAL_CODES.items()),
        *_searched(),
    ]
    return {entry.name: entry for entry in entries}


def _aliases() -> dict[str, str]:
    """Other names: of one entry, or of a tegum product of several."""
    greek = {9: "nonagon", 10: "decagon", 11: "hendecagon", 12: "dodecagon"}
    bases = {3: "triangular", 5: "pentagonal", 6: "hexagonal", 7: "heptagonal", 8: "octagonal"}
    return {
        "antipodal pair": "digon",
        "not represented": "unrepresented",
        "pentachoron": "5-cell",
        **{f"{k}-gon": polygon_name(k) for k in (3, 5, 6, 7, 8)},
        **{word: f"{k}-gon" for k, word in greek.items()},
        **{f"{d}-simplex": simplex_name(d) for d in (2, 3, 4)},
        "square": "2 digon",
        "4-gon": "2 digon",
        "octahedron": "3 digon",
        "square bipyramid": "3 digon",
        "16-cell": "4 digon",
        "petersen code": "rectified 5-cell",
        "e8 roots": "240-point code",
        "demipenteract": "half 5-cube",
        "schlaefli code": "27-point code",
        "higman-sims code": "100-point code",
        "mclaughlin code": "275-point code",
        **{f"{d}-orthoplex": f"{d} digon" for d in range(2, 11)},
        **{f"{word} bipyramid": f"{polygon_name(k)} + digon" for k, word in bases.items()},
    }


class _Catalogue(Mapping[str, Polytope]):
    """The registry: read-only, and pickled as itself."""

    def __init__(self, entries: dict[str, Polytope]) -> None:
        self._entries = entries

    def __getitem__(self, name: str) -> Polytope:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __reduce__(self) -> tuple[Callable[[], "Mapping[str, Polytope]"], tuple[()]]:
        return _the_catalogue, ()


def _the_catalogue() -> Mapping[str, Polytope]:
    return POLYTOPES


POLYTOPES: Mapping[str, Polytope] = _Catalogue(_catalogue())
ALIASES: Mapping[str, str] = MappingProxyType(_aliases())


def _catalogued(name: str) -> Polytope:
    return POLYTOPES[name]

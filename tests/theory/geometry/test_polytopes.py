"""The catalogue of polytopes, and the grammar of tegum products."""

import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.sparse.csgraph import connected_components

import theory
from theory.geometry import vertices
from theory.geometry.polytopes import ALIASES, POLYTOPES, Polytope, from_record, polygon_name, simplex_name
from theory.geometry.tegum import TegumProduct, parse_geometry, tegum_products

ROUNDING = 1e-12
NAMES = list(POLYTOPES)

# The geometries that a researcher in the field would ask for by name.
EXPECTED = {
    *(
        "unrepresented",
        "dedicated",
        "digon",
        "triangle",
        "square",
        "pentagon",
        "hexagon",
        "heptagon",
        "octagon",
    ),
    *("9-gon", "24-gon", "tetrahedron", "5-cell", "octahedron", "16-cell", "cube", "square antiprism"),
    *("triangular bipyramid", "pentagonal bipyramid", "antipodal pair", "7 in 3", "9 in 3", "rectified 5-cell"),
}

products = st.dictionaries(st.sampled_from(NAMES), st.integers(1, 4), min_size=1, max_size=4).map(TegumProduct)


def test_every_builder_of_vertices_has_an_entry() -> None:
    used = {getattr(p.construct, "func", p.construct) for p in POLYTOPES.values()}
    assert {getattr(vertices, name) for name in vertices.__all__} <= used


def test_every_public_function_of_vertices_is_declared() -> None:
    functions = [name for name, f in inspect.getmembers(vertices, inspect.isfunction)]
    own = [name for name in functions if getattr(vertices, name).__module__ == vertices.__name__]
    assert sorted(own) == sorted(vertices.__all__)


def test_every_geometry_people_talk_about_is_known() -> None:
    assert set(POLYTOPES) | set(ALIASES) >= EXPECTED
    assert not set(POLYTOPES) & set(ALIASES)


@pytest.mark.parametrize("name", NAMES)
def test_directions_are_unit_vectors_that_span_the_polytopes_dimensions(name: str) -> None:
    polytope = POLYTOPES[name]
    U = polytope.directions()
    assert polytope.name == name
    assert U.shape == (polytope.d, polytope.v)
    assert np.linalg.matrix_rank(U) == polytope.d
    assert_allclose((U**2).sum(0), 1 if polytope.d else 0, rtol=ROUNDING)


@pytest.mark.parametrize("name", NAMES)
def test_vertices_of_one_orbit_see_the_same_cosines(name: str) -> None:
    polytope = POLYTOPES[name]
    seen = np.sort(polytope.directions().T @ polytope.directions(), axis=1)
    for orbit in set(polytope.orbits):
        rows = seen[np.array(polytope.orbits) == orbit]
        assert_allclose(rows, np.broadcast_to(rows[0], rows.shape), atol=ROUNDING)


@pytest.mark.parametrize("name", [name for name in NAMES if POLYTOPES[name].d])
def test_no_entry_splits_into_orthogonal_factors(name: str) -> None:
    U = POLYTOPES[name].directions()
    assert connected_components(np.abs(U.T @ U) > 1e-9)[0] == 1


def test_catalogue_entries_have_their_textbook_dimensionality() -> None:
    for name, polytope in POLYTOPES.items():
        if polytope.d and " in " not in name:  # all named ones are tight frames at their default shape
            D = theory.dimensionality(polytope.embedding(dict.fromkeys(polytope.norm_names, 1.3)))
            assert_allclose(D, polytope.d / polytope.v, rtol=1e-9, err_msg=name)


def test_parameters_move_norm_height_and_bias() -> None:
    antiprism = POLYTOPES["square antiprism"]
    W = antiprism.embedding({"norm": 2.0, "height": 0.3})
    assert_allclose(np.abs(W[2]), 0.6)
    assert_allclose(theory.feature_norms(W), 2.0)
    assert_allclose(antiprism.biases({"bias": -0.5}), np.full(8, -0.5))
    with pytest.raises(ValueError, match="pentagon has the parameters norm, bias, got 'height'"):
        POLYTOPES["pentagon"].embedding({"height": 0.3})


def test_orbits_share_norms_and_biases() -> None:
    two = Polytope("wedge", 2, 3, lambda: np.eye(2)[:, [0, 1, 1]], orbits=(0, 1, 1))
    assert two.parameters == {"norm_0": 1.0, "norm_1": 1.0, "bias_0": 0.0, "bias_1": 0.0}
    assert_allclose(theory.feature_norms(two.embedding({"norm_1": 3.0})), [1, 3, 3])
    assert_allclose(two.biases({"bias_0": -1.0}), [-1, 0, 0])
    with pytest.raises(ValueError, match="orbits must number 3 vertices from 0"):
        Polytope("wedge", 2, 3, lambda: np.eye(2)[:, [0, 1, 1]], orbits=(0, 2, 2))


def test_a_searched_optimum_becomes_an_entry_with_its_deformations() -> None:
    U = POLYTOPES["pentagon"].directions()
    sideways = np.zeros((2, 5))
    sideways[1, 0] = 1.0
    entry = from_record({"directions": U.tolist(), "orbits": [0, 1, 1, 1, 1], "deformations": [sideways.tolist()]})
    assert (entry.name, entry.d, entry.v) == ("5 in 2", 2, 5)
    assert list(entry.parameters) == ["norm_0", "norm_1", "deformation_0", "bias_0", "bias_1"]
    assert_allclose(entry.directions(), U, atol=ROUNDING)
    moved = entry.directions({"deformation_0": 1.0})
    assert_allclose(moved[:, 0], np.sqrt([0.5, 0.5]))
    assert_allclose(moved[:, 1:], U[:, 1:], atol=ROUNDING)


def test_names_of_polygons_and_simplices_agree_where_they_meet() -> None:
    assert polygon_name(3) == simplex_name(2) == "triangle"
    assert simplex_name(1) == "digon"


@given(products)
def test_canonical_text_reads_back_as_the_same_product(product: TegumProduct) -> None:
    assert parse_geometry(product.name) == product
    assert parse_geometry(product.name.upper().replace(" + ", "  +")) == product


@given(products)
def test_the_order_of_terms_does_not_matter(product: TegumProduct) -> None:
    terms = product.name.split(" + ")
    assert parse_geometry(" + ".join(reversed(terms))) == product


@given(products)
def test_the_gram_matrix_of_a_product_is_block_diagonal(product: TegumProduct) -> None:
    W = product.embedding()
    assert W.shape == (max(product.m, 1), product.n)
    assert np.linalg.matrix_rank(W) == product.m
    gram, start = W.T @ W, 0
    for polytope in product.polytopes:
        rows = slice(start, start + polytope.v)
        own = polytope.embedding()
        assert_allclose(gram[rows, rows], own.T @ own, atol=ROUNDING)
        gram[rows] = 0
        start += polytope.v
    assert not gram.any()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("digon + pentagon", "pentagon + digon"),
        ("Digons", "digon"),
        ("3 digons + 2 unrepresented", "3 digon + 2 unrepresented"),
        ("digon + digon", "2 digon"),
        ("square", "2 digon"),
        ("2 octahedra", "6 digon"),
        ("triangular bipyramid", "triangle + digon"),
        ("2 pentagonal bipyramids + dedicated", "2 pentagon + 2 digon + dedicated"),
        ("2 9-gons", "2 9-gon"),
        ("5-gon", "pentagon"),
        ("3 x square antiprism", "3 square antiprism"),
        ("3-simplex", "tetrahedron"),
    ],
)
def test_products_are_read_as_people_write_them(text: str, name: str) -> None:
    assert parse_geometry(text).name == name


@pytest.mark.parametrize("alias", list(ALIASES))
def test_every_alias_stands_for_a_product_of_entries(alias: str) -> None:
    assert parse_geometry(alias) == parse_geometry(ALIASES[alias])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pentagn + digon", "unknown polytope 'pentagn' in 'pentagn .*'; nearest names: pentagon"),
        ("12 in 3", "unknown polytope '12 in 3'; the catalogue holds no irreducible optimum"),
        ("digon +", "terms joined by '.', but one is empty"),
        ("0 digon", "at least one factor"),
        ("qqq", "unknown polytope 'qqq'; known are unrepresented, dedicated"),
    ],
)
def test_a_product_that_cannot_be_read_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_geometry(text)


def test_a_product_is_filled_up_with_unrepresented_features_or_refused() -> None:
    assert parse_geometry("pentagon").filled(7, 3).name == "pentagon + 2 unrepresented"
    with pytest.raises(ValueError, match="'pentagon' has 5 features, more than the problem's n = 4"):
        parse_geometry("pentagon").filled(4, 2)
    with pytest.raises(ValueError, match="'pentagon' spans 2 dimensions, more than the problem's m = 1"):
        parse_geometry("pentagon").filled(5, 1)
    with pytest.raises(ValueError, match="'pentagon' spans 2 dimensions, more than m = 1"):
        parse_geometry("pentagon").embedding(m=1)
    assert parse_geometry("digon").embedding(m=3).shape == (3, 2)
    with pytest.raises(ValueError, match="cannot occur -1 times"):
        TegumProduct({"digon": -1})


def test_products_of_three_features_in_two_dimensions_are_these() -> None:
    assert [p.name for p in tegum_products(3, 2)] == [
        *("digon + dedicated", "triangle", "2 dedicated + unrepresented"),
        *("digon + unrepresented", "dedicated + 2 unrepresented", "3 unrepresented"),
    ]


@pytest.mark.parametrize(("n", "m"), [(1, 1), (4, 2), (8, 3), (12, 4)])
def test_listed_products_fit_and_are_distinct(n: int, m: int) -> None:
    found = tegum_products(n, m)
    assert len(set(found)) == len(found) <= 200  # few enough to seed a search with all of them
    assert all(p.n == n and p.m <= m for p in found)
    assert [p.m for p in found] == sorted((p.m for p in found), reverse=True)
    with pytest.raises(ValueError, match="at least 1"):
        tegum_products(0, m)


@given(products.filter(lambda p: p.n <= 12 and 1 <= p.m <= 4))
def test_every_product_that_fits_is_listed(product: TegumProduct) -> None:
    assert product in tegum_products(product.n, product.m)

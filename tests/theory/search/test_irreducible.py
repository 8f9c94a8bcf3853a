"""The table of irreducible optima without a name, and the search that filled it."""

import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

import theory
from theory.geometry.polytopes import POLYTOPES, from_record
from theory.geometry.symmetries import automorphisms
from theory.loss.one_sparse import limit_loss, limit_loss_and_gradient
from theory.optimum.one_sparse import one_sparse_optimum
from theory.packing.knapsack import pack
from theory.search.irreducible import best_embedding, find_irreducible, main, make_record

TABLE = [name for name in POLYTOPES if " in " in name]


def test_the_table_is_in_the_catalogue() -> None:
    table = json.loads(files("theory.geometry").joinpath("irreducible.json").read_text())
    assert [from_record(record).name for record in table] == TABLE
    assert {"7 in 3", "9 in 3", "12 in 4"} <= set(TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_an_entry_beats_every_product_of_named_polytopes(name: str) -> None:
    entry = POLYTOPES[name]
    named = {key: one_sparse_optimum(key).loss for key, p in POLYTOPES.items() if key not in TABLE and p.v <= entry.v}
    product = sum(named[key] * count for key, count in pack(entry.v, entry.d, named).counts)
    assert one_sparse_optimum(name).loss < product - 1e-3


@pytest.mark.parametrize("name", TABLE)
def test_an_entry_is_stationary_in_all_of_W_and_b(name: str) -> None:
    found, entry = one_sparse_optimum(name), POLYTOPES[name]
    assert found.converged
    W, b = entry.embedding(found.parameters), entry.biases(found.parameters)
    _, dW, db = limit_loss_and_gradient(W, b)
    assert_allclose(dW, 0, atol=1e-6)
    assert_allclose(db, 0, atol=1e-6)


@pytest.mark.parametrize("name", TABLE)
def test_deformations_keep_the_orbits_and_are_no_rotations(name: str) -> None:
    entry, rng = POLYTOPES[name], np.random.default_rng(0)
    G = entry.directions().T @ entry.directions()
    moved = entry.directions({key: 0.05 * rng.normal() for key in entry.shape})
    assert len(list(automorphisms(moved.T @ moved))) == len(list(automorphisms(G)))
    for key in entry.shape:
        U = entry.directions({key: 0.05})
        assert np.abs(U.T @ U - G).max() > 1e-3


@pytest.mark.parametrize("name", TABLE)
def test_an_entry_is_told_from_products_and_from_its_neighbours(name: str) -> None:
    found = theory.recognise(POLYTOPES[name].embedding())
    assert found.name == found.nearest == name


def test_symmetries_of_known_polytopes_are_found() -> None:
    for name, order in [("pentagon", 10), ("tetrahedron", 24), ("square antiprism", 16), ("icosahedron", 120)]:
        U = POLYTOPES[name].directions()
        assert len(list(automorphisms(U.T @ U))) == order


def test_the_record_of_an_antiprism_has_one_orbit_and_its_height() -> None:
    found = one_sparse_optimum("square antiprism")
    turned = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    entry = from_record(make_record(turned @ POLYTOPES["square antiprism"].embedding(found.parameters)))
    assert entry.orbits == (0,) * 8
    assert list(entry.shape) == ["deformation_0"]
    lower = limit_loss(found.parameters["norm"] * entry.directions(), found.parameters["bias"])
    assert_allclose(lower, found.loss, rtol=1e-9)


def test_named_polytopes_are_no_entries() -> None:
    assert find_irreducible(8, 3, 5, np.random.default_rng(0)) is None  # the square antiprism
    assert find_irreducible(5, 2, 5, np.random.default_rng(0)) is None  # the pentagon


def test_the_search_finds_seven_in_three_again() -> None:
    loss, W, b = best_embedding(7, 3, 5, np.random.default_rng(3))
    assert_allclose(loss, one_sparse_optimum("7 in 3").loss, rtol=1e-9)
    assert (b <= 0).all()
    assert theory.recognise(W).name == "7 in 3"


@pytest.mark.slow
@pytest.mark.parametrize(("v", "d"), [(v, d) for d in (2, 3, 4) for v in range(2 * d + 1, 13)])
def test_no_search_finds_less_than_the_catalogue(v: int, d: int) -> None:
    losses = {key: one_sparse_optimum(key).loss for key, p in POLYTOPES.items() if p.v <= v and p.d <= d}
    product = sum(losses[key] * count for key, count in pack(v, d, losses).counts)
    loss, _, _ = best_embedding(v, d, 60, np.random.default_rng(v))
    assert loss >= product - 1e-7


def test_the_command_writes_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--v-max", "7", "--d-max", "3", "--starts", "5", "--output", str(tmp_path)])
    assert capsys.readouterr().out == "7 in 3: 3 orbits, 2 free shape parameters\n"
    (record,) = json.loads((tmp_path / "irreducible.json").read_text())
    assert sorted(np.bincount(record["orbits"]).tolist()) == [1, 3, 3]

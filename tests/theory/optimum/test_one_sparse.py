"""The one-sparse limit: its loss against quadrature and the exact loss, its optima by two methods."""

from pathlib import Path

import mpmath
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.integrate import quad

import theory
from tests.theory.optimum.one_sparse_roots import one_sparse_root
from theory.geometry.polytopes import POLYTOPES
from theory.loss.one_sparse import limit_loss, limit_loss_and_gradient
from theory.optimum.one_sparse import UNREPRESENTED_LOSS, main, one_sparse_optimum, one_sparse_table
from theory.optimum.symmetric import silencing_starts
from theory.tools.command import run_command

SHAPES = [
    pytest.param(name, marks=[pytest.mark.slow] if polytope.v > 12 or len(polytope.shape) > 1 else [])
    for name, polytope in POLYTOPES.items()
    if polytope.d
]
seeds = st.integers(0, 2**32 - 1)


def random_parameters(seed: int, n: int = 5, m: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(m, n)), -0.5 * rng.random(n)


@given(seeds)
def test_the_loss_is_the_sum_of_its_integrals(seed: int) -> None:
    W, b = random_parameters(seed, n=3)
    G = W.T @ W
    total = 0.0
    for i in range(3):
        for j in range(3):
            kink = float(np.clip(-b[i] / G[i, j], 0, 1))
            own = float(i == j)
            total += quad(
                lambda x, i=i, j=j, own=own: (own * x - max(0, G[i, j] * x + b[i])) ** 2, 0, 1, points=[kink]
            )[0]
    assert_allclose(limit_loss(W, b), total, rtol=1e-9)


@given(seeds)
def test_the_population_loss_tends_to_the_limit_loss(seed: int) -> None:
    W, b = random_parameters(seed, n=4)
    p = 1e-6  # the two-active part is p times as large, with at most 6 pairs and losses of order 10
    exact = theory.population_loss(W, b, theory.Problem(n=4, m=2, density=p))
    assert_allclose(exact / p, limit_loss(W, b), rtol=1e-3)


@given(seeds, st.floats(0.1, 10))
def test_importance_weighs_each_features_error(seed: int, scale: float) -> None:
    W, b = random_parameters(seed)
    weight = np.random.default_rng(seed).random(5)
    parts = [limit_loss(W, b, row) for row in np.diag(weight)]
    assert_allclose(limit_loss(W, b, scale * weight), scale * sum(parts), rtol=1e-12)


@given(seeds)
def test_the_gradient_is_that_of_the_loss(seed: int) -> None:
    W, b = random_parameters(seed)
    direction = np.random.default_rng(seed + 1).normal(size=(3, 5))
    loss, dW, db = limit_loss_and_gradient(W, b)
    assert_allclose(loss, limit_loss(W, b), rtol=1e-12)
    h = 1e-6
    ahead = limit_loss(W + h * direction[:2], b + h * direction[2])
    behind = limit_loss(W - h * direction[:2], b - h * direction[2])
    slope = (dW * direction[:2]).sum() + db @ direction[2]
    assert_allclose((ahead - behind) / (2 * h), slope, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("coupling", [0.0, 1e-300, 1e-17, 1e-12, 1e-9, 1e-6])
def test_tiny_couplings_do_not_cancel(coupling: float) -> None:
    # Two features on one axis each, the second leaning on the first; its output has a tiny bias, too.
    W = np.array([[1.0, coupling], [0.0, 1.0]])
    with mpmath.workdps(60):
        c, b = mpmath.mpf(coupling), mpmath.mpf(1e-13)
        from_first = b**2 + b * c + c**2 / 3
        own = b**2 + b * c**2 + c**4 / 3
        expected = float(from_first + own)
    assert_allclose(limit_loss(W, [-0.1, 1e-13], [0, 1]), expected, rtol=1e-9)


@pytest.mark.parametrize("name", SHAPES)
def test_the_optimum_agrees_with_the_roots_of_the_stationarity_equations(name: str) -> None:
    found = one_sparse_optimum(name)
    assert found.converged
    root = one_sparse_root(POLYTOPES[name], found.parameters, digits=30)
    for key in root.keys() - {"loss"}:
        assert found.parameters[key] == pytest.approx(float(root[key]), abs=1e-9)
    assert_allclose(found.loss, float(root["loss"]), rtol=1e-12, atol=1e-15)


_NORMS = np.linspace(0.02, 3, 80)[::2]


@pytest.mark.parametrize("name", SHAPES)
def test_no_norm_and_bias_on_a_grid_do_better(name: str) -> None:
    polytope = POLYTOPES[name]
    found = one_sparse_optimum(name)
    directions, b = (
        polytope.directions(found.parameters),
        np.repeat(np.linspace(-6, 0, 80)[:, None], polytope.v, axis=1),
    )
    # One norm after the other: the couplings of all at once fill the memory with the largest codes.
    grid = np.array([limit_loss(np.broadcast_to(r * directions, (80, *directions.shape)), b) for r in _NORMS])
    assert grid.min() >= found.loss - 1e-12
    assert grid.min() <= found.loss + 0.05 * polytope.v  # the grid is fine enough to have seen something better


def test_the_published_optima_come_out() -> None:
    # Chen et al. 2023, "Dynamical versus Bayesian Phase Transitions in a Toy Model of Superposition".
    for name, norm, bias in [("pentagon", 1.17046, -0.28230), ("hexagon", 1.32053, -0.61814)]:
        parameters = one_sparse_optimum(name).parameters
        assert_allclose([parameters["norm"], parameters["bias"]], [norm, bias], atol=5e-6)


def test_shapes_without_acute_angles_lose_nothing() -> None:
    for name in ("dedicated", "digon", "triangle", "tetrahedron", "5-cell", "8-simplex"):
        assert one_sparse_optimum(name).loss == pytest.approx(0, abs=1e-15)
    assert one_sparse_optimum("unrepresented").loss == pytest.approx(UNREPRESENTED_LOSS)


def test_the_ten_gon_has_the_golden_ratio() -> None:
    parameters = one_sparse_optimum("10-gon").parameters
    golden = (1 + np.sqrt(5)) / 2
    assert_allclose([parameters["norm"], parameters["bias"]], [golden, -golden], rtol=1e-10)
    assert_allclose(one_sparse_optimum("10-gon").loss, 5 / 3, rtol=1e-12)


def test_the_table_ranks_by_benefit_per_dimension() -> None:
    table = one_sparse_table(k_max=13)
    assert_allclose(table["benefit"], table["vertices"] / 3 - table["loss"])
    assert (np.diff(table["benefit_per_dimension"]) <= 0).all()
    assert {"13-gon", "icosahedron", "square antiprism", "digon"} <= set(table["polytope"].values)
    planar = table.where(table["dimensions"] == 2, drop=True)
    assert planar["polytope"].values[0] == "heptagon"
    winners = set(table["polytope"].values[table["wins"].values])
    assert {"digon", "heptagon", "icosahedron", "24-cell"} <= winners
    assert not winners & {"dedicated", "triangle", "tetrahedron", "5-simplex", "cube"}
    assert "11-gon" not in one_sparse_table(k_max=10)["polytope"].values


def test_starts_silence_the_neighbours_and_return_the_feature() -> None:
    for start in silencing_starts(POLYTOPES["9-gon"]):
        assert_allclose(start["norm"] ** 2 + start["bias"], 1.0)
    assert len(silencing_starts(POLYTOPES["9-gon"])) == 1 + 2  # cosines at 40 and 80 degrees, and none


def test_a_product_or_an_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match="'square' is a product of 2 polytopes"):
        one_sparse_optimum("square")
    with pytest.raises(ValueError, match="unknown polytope 'pentagone'; nearest names: pentagon"):
        one_sparse_optimum("pentagone")
    with pytest.raises(ValueError, match="k_max must be at least 3, got 2"):
        one_sparse_table(k_max=2)
    with pytest.raises(ValueError, match=r"b must be a scalar or have shape \(2,\)"):
        limit_loss(np.eye(2), np.zeros(3))
    with pytest.raises(ValueError, match="importance must be finite and >= 0"):
        limit_loss(np.eye(2), 0.0, -1.0)


def test_the_command_prints_the_table_and_saves_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--k-max", "6", "--output", str(tmp_path / "new")])
    printed = capsys.readouterr().out
    assert "pentagon               2   5   1.17046  -0.28230             0.079128    0.793769" in printed
    with xr.open_dataset(tmp_path / "new" / "one_sparse.nc") as saved:
        assert_allclose(saved["loss"].sel(polytope="pentagon"), one_sparse_optimum("pentagon").loss)
    assert (tmp_path / "new" / "one_sparse.csv").read_text().startswith("polytope,dimensions,vertices,norm")


def test_the_command_refuses_bad_input_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        run_command(main, "python -m theory.optimum.one_sparse", ["--k-max", "2"])
    assert capsys.readouterr().err == "python -m theory.optimum.one_sparse: k_max must be at least 3, got 2\n"

"""Names of W's: polytopes are known through rotation, order, noise and deformation, and nothing else is."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy import ndarray
from numpy.testing import assert_allclose

from theory.geometry import recognition
from theory.geometry.polytopes import POLYTOPES
from theory.geometry.recognition import recognise, recognise_many
from theory.geometry.tegum import TegumProduct, parse_geometry, tegum_products

NOISE = 0.02  # of the norm of a represented feature, on every entry of W
# Cosines of noisy directions are off by about NOISE * sqrt(2); in m dimensions the relative error of the Gram
# matrix of a tight frame is then about NOISE * sqrt(2 m), 0.057 for m = 4. Twice that covers the fluctuation.
NOISE_RESIDUAL = 0.12

SHAPES = [name for name, polytope in POLYTOPES.items() if polytope.d]
PRODUCTS = sorted({p for n in range(1, 13) for p in tegum_products(n, 4)}, key=str)


def scrambled(W: ndarray, seed: int, noise: float = NOISE, m: int | None = None) -> tuple[ndarray, ndarray]:
    """W in m dimensions after a rotation, a permutation and noise; also the permutation."""
    rng = np.random.default_rng(seed)
    m = m or len(W)
    padded = np.vstack([W, np.zeros((m - len(W), W.shape[1]))])
    order = rng.permutation(W.shape[1])
    rotated = np.linalg.qr(rng.normal(size=(m, m)))[0] @ padded[:, order]
    return rotated + noise * rng.normal(size=rotated.shape), order


def deformed(W: ndarray, seed: int, degrees: float, norms: float) -> ndarray:
    """Every column turned by up to an angle in a random direction, and made shorter or longer."""
    rng = np.random.default_rng(seed)
    away = rng.normal(size=W.shape)
    away -= W * (W * away).sum(0) / (W**2).sum(0)
    away *= np.linalg.norm(W, axis=0) / np.linalg.norm(away, axis=0)
    angle = np.radians(rng.uniform(-degrees, degrees, W.shape[1]))
    return (np.cos(angle) * W + np.sin(angle) * away) * rng.uniform(1 - norms, 1 + norms, W.shape[1])


@given(st.sampled_from(SHAPES), st.integers(0, 2**32 - 1))
def test_every_catalogue_entry_keeps_its_name_under_rotation_permutation_and_noise(name: str, seed: int) -> None:
    W, _ = scrambled(POLYTOPES[name].embedding(), seed)
    found = recognise(W)
    assert found.name == found.nearest == name
    assert found.residual < max(NOISE_RESIDUAL, 2 * NOISE * np.sqrt(2 * len(W)))


@given(st.sampled_from(PRODUCTS), st.integers(0, 2**32 - 1))
def test_products_keep_their_name_under_rotation_permutation_and_noise(product: TegumProduct, seed: int) -> None:
    W, _ = scrambled(product.embedding(), seed, m=4)
    found = recognise(W)
    assert found.name == product.name
    assert found.residual < NOISE_RESIDUAL


@pytest.mark.slow
@pytest.mark.parametrize("product", PRODUCTS, ids=str)
def test_all_products_in_up_to_four_dimensions_keep_their_name(product: TegumProduct) -> None:
    for seed in range(20):
        assert recognise(scrambled(product.embedding(), seed, m=4)[0]).name == product.name


@given(st.sampled_from(PRODUCTS), st.integers(0, 2**32 - 1))
def test_the_factors_say_which_feature_sits_at_which_vertex(product: TegumProduct, seed: int) -> None:
    W, _ = scrambled(product.embedding(), seed, noise=0.0, m=4)
    found = recognise(W)
    assert sorted(i for factor in found.factors for i in factor.features) == list(range(product.n))
    for factor in found.factors:
        own = W[:, list(factor.features)]
        U = POLYTOPES[factor.name].directions()
        assert_allclose(own.T @ own, U.T @ U, atol=1e-9)
        assert factor.residual < 1e-6


@given(st.sampled_from(SHAPES), st.integers(0, 2**32 - 1))
def test_a_perfect_polytope_leaves_no_residual(name: str, seed: int) -> None:
    W, _ = scrambled(POLYTOPES[name].embedding(), seed, noise=0.0)
    assert recognise(W).residual < 1e-6  # square root of the rounding of squared cosines


@pytest.mark.parametrize("height", [0.4, 0.5, 0.65, 0.7])
def test_a_square_antiprism_is_one_at_any_height(height: float) -> None:
    W = POLYTOPES["square antiprism"].embedding({"height": height})
    assert recognise(scrambled(W, 0)[0]).name == "square antiprism"


# Directions off by up to 15 % of the angle between neighbours; 10 % for simplices, whose angles are obtuse.
DEFORMATIONS = {
    **{"triangle": 12, "pentagon": 10.8, "hexagon": 9, "heptagon": 7.7, "octagon": 6.7},
    **{"tetrahedron": 11, "5-cell": 10.4, "cube": 10.5, "square antiprism": 10.5, "icosahedron": 9.5},
}


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(("name", "degrees"), list(DEFORMATIONS.items()))
def test_a_deformed_polytope_is_called_by_its_name(name: str, degrees: float, seed: int) -> None:
    W = deformed(POLYTOPES[name].embedding(), seed, degrees, 0.3)
    found = recognise(scrambled(W, seed, noise=0.0)[0])
    assert found.name == name
    assert 0 < found.residual < 0.35


@pytest.mark.parametrize("seed", range(5))
def test_factors_that_are_not_quite_orthogonal_stay_factors(seed: int) -> None:
    for text in ("2 digon", "pentagon + digon", "triangle + digon + dedicated", "2 pentagon", "3 digon"):
        W = deformed(parse_geometry(text).embedding(), seed, 6, 0.2)
        assert recognise(W).name == text


def test_what_resembles_nothing_is_named_by_features_and_dimensions() -> None:
    fan = np.radians([0, 25, 50])
    W = np.stack([np.cos(fan), np.sin(fan)])
    found = recognise(W)
    assert found.name == "3 in 2"
    assert found.residual > 0.35
    assert np.isnan(found.factors[0].residual)
    both = np.block([[W, np.zeros((2, 3))], [np.zeros((1, 3)), np.array([[1.0, -1.0, 0.0]])]])
    found = recognise(scrambled(both, 1, noise=0.01)[0])
    assert found.name == "3 in 2 + digon + unrepresented"


def test_many_directions_in_few_dimensions_are_not_called_dedicated() -> None:
    W = np.random.default_rng(0).normal(size=(10, 20))  # all |cosines| are small, but 20 > 10
    assert "dedicated" not in recognise(W).name.split(" in ")[0]


def test_short_columns_are_unrepresented() -> None:
    assert recognise(np.zeros((2, 3))).name == "3 unrepresented"
    assert recognise(np.full((2, 1), 1e-3)).name == "unrepresented"
    found = recognise([[1.0, -1.0, 0.05, 0.0], [0.0, 0.0, 0.0, 0.3]])
    assert found.name == "digon + dedicated + unrepresented"
    assert found.factors[-1].features == (2,)


@given(st.sampled_from(PRODUCTS), st.floats(0.5, 3.0), st.integers(0, 2**32 - 1))
def test_the_scale_of_represented_features_does_not_matter(product: TegumProduct, scale: float, seed: int) -> None:
    W, _ = scrambled(product.embedding(), seed, noise=0.0, m=4)
    assert recognise(scale * W).name == product.name


def test_a_large_product_is_taken_apart() -> None:
    product = parse_geometry("20 digon + 2 pentagon + 3 tetrahedron + 300 unrepresented")
    assert recognise(scrambled(product.embedding(), 0, noise=0.01)[0]).name == product.name


@pytest.mark.parametrize("pairs", [recognition._BLOCK, 64 * 7])
def test_names_of_a_batch_are_those_of_its_members(pairs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recognition, "_BLOCK", pairs)
    chosen = [product for product in PRODUCTS if product.n <= 8]
    Ws = [np.pad(scrambled(p.embedding(), 1, m=4)[0], ((0, 0), (0, 8 - p.n))) for p in chosen]
    names = recognise_many(np.stack(Ws)[None])
    assert names.shape == (1, len(chosen))
    assert names[0].tolist() == [recognise(W).name for W in Ws]
    assert recognise_many(np.zeros((0, 2, 3))).shape == (0,)


@pytest.mark.timing
def test_a_grid_of_geometries_takes_less_than_two_seconds(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    fitting = [product.embedding(m=3) for product in tegum_products(8, 3)]
    grid = [scrambled(fitting[i], int(rng.integers(1e9)))[0] for i in rng.integers(len(fitting), size=3600)]
    np.save(tmp_path / "grid.npy", np.stack(grid))
    # In a process of its own: the type checks of the test run cost more than the work. Processor time, because other
    # processes may share the machine.
    code = (
        "import numpy, sys, time; from theory.geometry.recognition import recognise_many; W = numpy.load(sys.argv[1]);"
        "start = time.process_time(); recognise_many(W); print(time.process_time() - start)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "grid.npy")]
    assert float(subprocess.run(command, check=True, capture_output=True, text=True).stdout) < 2


@pytest.mark.parametrize(
    ("W", "message"),
    [
        ([1.0, 2.0], r"W must have shape \(m, n\) with m, n >= 1, got shape \(2,\)"),
        (np.zeros((0, 3)), r"got shape \(0, 3\)"),
        (np.zeros((2, 2, 3)), "recognise_many takes a batch"),
        ([[np.inf, 1.0]], "W must be finite"),
    ],
)
def test_what_is_no_matrix_is_refused(W: ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        recognise(W)


def test_a_tolerance_outside_its_range_and_text_are_refused() -> None:
    with pytest.raises(ValueError, match=r"tolerance must lie in \(0, 1\), got 1\.5"):
        recognise(np.eye(2), tolerance=1.5)
    with pytest.raises(TypeError, match="W must be an array of numbers"):
        recognise("pentagon")


def _dimensions(name: str) -> int:
    """Dimensions that a name's factors span together."""
    total = 0
    for term in name.split(" + "):
        nameless = re.fullmatch(r"(?:(\d+) )?(?:frame )?\d+ in (\d+)", term)
        total += int(nameless[1] or 1) * int(nameless[2]) if nameless else parse_geometry(term).m
    return total


@pytest.mark.parametrize("share", range(10))
def test_no_name_needs_more_dimensions_than_the_columns_span(share: int) -> None:
    rng = np.random.default_rng([12, share])
    for _ in range(300):
        m, n = int(rng.integers(1, 6)), int(rng.integers(1, 13))
        W = rng.standard_normal((m, n))
        if rng.random() < 0.3:
            W = rng.standard_normal((m, 1 + m // 2)) @ rng.standard_normal((1 + m // 2, n))
        assert _dimensions(recognise(W).name) <= np.linalg.matrix_rank(W)


@given(st.integers(0, 10_000), st.floats(0, 200))
def test_the_scale_of_any_columns_does_not_matter(seed: int, decades: float) -> None:
    rng = np.random.default_rng(seed)
    W = rng.standard_normal((int(rng.integers(1, 5)), int(rng.integers(1, 9))))
    W[:, rng.random(W.shape[1]) < 0.3] *= 0.04  # dead columns are noise at every scale
    W /= np.linalg.norm(W, axis=0).max()
    assert recognise(10**decades * W).name == recognise(W).name


def even_frame(m: int, k: int, rng: np.random.Generator) -> ndarray:
    """k unit vectors that share m dimensions evenly: between a tight frame and equal norms until both hold."""
    U = rng.standard_normal((m, k))
    for _ in range(100):
        U = np.linalg.solve(np.linalg.cholesky(U @ U.T), U)
        U /= np.linalg.norm(U, axis=0)
    return U


@pytest.mark.parametrize(("n", "m", "k"), [(400, 30, 170), (40, 8, 30), (60, 10, 60)])
def test_features_that_share_all_dimensions_evenly_are_a_frame(n: int, m: int, k: int) -> None:
    rng = np.random.default_rng(k)
    W = 0.004 * rng.standard_normal((m, n))
    W[:, :k] += 1.1 * even_frame(m, k, rng)
    rest = f" + {n - k} unrepresented" if n > k else ""
    assert recognise(W[:, rng.permutation(n)]).name == f"frame {k} in {m}{rest}"


def test_random_directions_are_no_even_frame() -> None:
    assert "frame" not in recognise(np.random.default_rng(0).standard_normal((30, 170))).name

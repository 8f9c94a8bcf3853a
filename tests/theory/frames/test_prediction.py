"""Predicted even frames: the table of the document, codes that are known, and bounds that no arrangement breaks."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import eval_gegenbauer

import theory
from tests.records import Exponential
from theory.frames.gegenbauer import gegenbauer, harmonics
from theory.frames.mean_field import MeanField
from theory.frames.prediction import even_frame, predict_even_frame
from theory.frames.relaxation import relaxed_row

# Of a document, n = 400, m = 30, computed on a grid of some 60 cosines: density, k, loss, squared norm, bias.
TABLE = [
    (0.005, 400, 0.1551, 1.553, -0.557),
    (0.01, 400, 0.5198, 1.499, -0.656),
    (0.02, 310, 1.54, 1.36, -0.60),
    (0.05, 170, 4.768, 1.249, -0.452),
    (0.1, 110, 10.006, 1.176, -0.299),
    (0.2, 80, 19.413, 1.088, -0.149),
]
# What a grid of 60 cosines costs, and three digits.
GRID = 1e-3


@pytest.mark.parametrize(("p", "k", "loss", "square", "bias"), TABLE)
def test_the_documents_table_is_reproduced(p: float, k: int, loss: float, square: float, bias: float) -> None:
    frame = even_frame(k, 30, p, n=400)
    assert_allclose(frame.loss, loss, rtol=GRID)
    assert_allclose(frame.norm**2, square, atol=0.01)
    assert_allclose(frame.bias, bias, atol=0.015)
    assert_allclose(frame.dimensionality, 30 / k, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "m", "p", "descended"), [(60, 8, 0.02, 0.1710), (60, 8, 0.05, 0.5692), (40, 4, 0.04, 0.3689)]
)
def test_no_law_that_misses_the_inequalities_is_predicted(n: int, m: int, p: float, descended: float) -> None:
    """A descent that ends outside them has a loss far below any frame's, down to 0."""
    found = predict_even_frame(n, m, p)
    k, c, w = found.k, found.law.cosines, found.law.weights
    assert w @ c >= -1 / (k - 1) - 1e-5
    assert w @ c**2 >= (k - m) / (m * (k - 1)) - 1e-5
    assert 0.94 * descended < found.loss < descended


@pytest.mark.slow
@pytest.mark.parametrize(("p", "k"), [(0.01, 400), (0.05, 170), (0.2, 80)])
def test_how_many_features_are_stored(p: float, k: int) -> None:
    found = predict_even_frame(400, 30, p)
    assert abs(found.k - k) <= 0.02 * k
    assert found.loss <= even_frame(k, 30, p, n=400).loss * (1 + 1e-6)


@pytest.mark.slow
def test_the_number_of_features_does_not_matter_once_they_are_left_out() -> None:
    some, many = predict_even_frame(400, 30, 0.05), predict_even_frame(10**6, 30, 0.05)
    assert abs(some.k - many.k) <= 1
    saved = [frame.n * frame.left_out_loss - frame.loss for frame in (some, many)]
    assert_allclose(*saved, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "density"),
    [
        ("half 5-cube", 0.02),
        ("27-point code", 0.02),
        ("112-point code", 0.05),
        ("275-point code", 0.01),
        ("icosahedron", 0.01),
    ],
)
def test_sharp_codes_are_what_the_inequalities_leave(name: str, density: float) -> None:
    """Their cosines are the only ones that attain all inequalities, and the loss is then the real one."""
    code, optimum = theory.POLYTOPES[name], theory.optimise_polytope(name, density)
    frame = even_frame(code.v, code.d, density)
    assert_allclose(frame.loss, optimum.loss, rtol=1e-5)
    U = code.directions()
    for cosine in frame.law.cosines:
        assert np.abs(U[:, 0] @ U[:, 1:] - cosine).min() < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["pentagon", "rectified 5-cell", "digon", "24-cell", "cube", "hexagon", "100-point code"]
)
@pytest.mark.parametrize("density", [0.02, 0.2])
def test_no_polytope_of_one_orbit_costs_less(name: str, density: float) -> None:
    code = theory.POLYTOPES[name]
    if code.d > 1:
        assert even_frame(code.v, code.d, density).loss <= theory.optimise_polytope(name, density).loss * (1 + 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("values", ["uniform", "binary", Exponential()])
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_every_law_of_values_and_noise_has_a_prediction(values: object, noise: float) -> None:
    """A frame of random directions is an arrangement: with its best norm and bias it costs more."""
    frame = even_frame(60, 10, 0.05, values=values, noise=noise)  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    U = rng.standard_normal((10, 60))
    U /= np.linalg.norm(U, axis=0)
    problem = theory.Problem(n=60, m=10, density=0.05, values=values)  # type: ignore[arg-type]
    exact = theory.loss_estimate(frame.norm * U, np.full(60, frame.bias), problem, noise=noise)
    assert frame.loss < exact.value < 60 * frame.left_out_loss * 1.5


@pytest.mark.parametrize(("k", "m", "p"), [(170, 30, 0.05), (332, 10, 1e-3), (10**6, 1000, 1e-6)])
def test_no_cosine_outside_the_support_promises_less(k: int, m: int, p: float) -> None:
    """First-order optimality in the law, by a linear programme on another grid than the one used to find it."""
    from scipy.optimize import linprog

    from theory.frames.mean_field import CosineLaw

    row = relaxed_row(float(k), m, MeanField(p, 0.0))
    grid = np.unique(np.r_[np.linspace(-1, 1, 3001), row.law.cosines])
    weights = np.zeros(len(grid))
    weights[np.searchsorted(grid, row.law.cosines)] = row.law.weights
    field, law = MeanField(p, k - 1.0), CosineLaw(grid, weights)
    nodes = field.nodes(row.coupling, row.bias, row.law)
    cost = field.loss(row.coupling, row.bias, law, nodes).dweights
    unit = np.sqrt(harmonics(m, 10))[1:]  # P_d are of the size of one over this
    P = gegenbauer(m, 10, grid)[0][1:] * unit[:, None]
    price = cost / (p / 3)
    best = linprog(price, A_ub=-P, b_ub=unit / (k - 1), A_eq=np.ones((1, len(grid))), b_eq=[1.0])
    assert price @ weights - best.fun < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("active", [0.1, 1.0, 100.0])
@pytest.mark.parametrize(("n", "m"), [(10**4, 10), (10**6, 1000), (10**6, 10**5), (10**4, 5000)])
def test_few_active_of_very_many(n: int, m: int, active: float) -> None:
    """Below the models that store nothing or m orthogonal features; more active features cost more of each."""
    frame = predict_even_frame(n, m, active / n)
    assert m < frame.k <= n
    assert 0 < frame.loss < (n - m) * frame.left_out_loss
    assert 1 <= frame.norm**2 < 5
    P = gegenbauer(m, 10, frame.law.cosines)[0][1:]
    # In units of what random directions would miss them by, 1e14 at degree 9, or of their right-hand side.
    unit = np.minimum(np.sqrt(harmonics(m, 10))[1:], frame.k - 1)
    missed = unit * (P @ frame.law.weights + 1 / (frame.k - 1))
    assert missed.min() > -1e-5


@pytest.mark.slow
@pytest.mark.parametrize("p", [1e-3, 1e-5])
def test_antipodal_pairs_of_very_many_rare_features(p: float) -> None:
    """
    Twice as many as dimensions: two features of a pair disturb each other if both are active, E (x - y)^2 = 1/6.

    Losses are known to 1e-6 of the zero model's (docs/derivations.md), a fifth of that of pairs at p = 1e-5.
    """
    n = 10**6
    assert_allclose(even_frame(n, n // 2, p).loss, n * p**2 / 6, rtol=0, atol=1e-6 * n * p / 3)


@pytest.mark.slow
def test_a_million_features_against_samples() -> None:
    """Numbers of active features at each cosine are Poisson; the own feature apart, lest it be active too rarely."""
    frame = even_frame(10**6, 1000, 1e-5)
    g, b, p, rng = frame.norm**2, frame.bias, 1e-5, np.random.default_rng(1)
    seen = g * frame.law.cosines
    others, own = [], []
    for _ in range(20):
        count = rng.poisson(p * 10**6 * frame.law.weights, (400_000, len(seen)))
        z = np.full(len(count), b)
        for value, number in zip(seen, count.T, strict=True):
            for j in range(1, int(number.max()) + 1):
                z += value * rng.random(len(count)) * (number >= j)
        u = rng.random(len(count))
        others.append((np.maximum(z, 0) ** 2).mean())
        own.append(((u - np.maximum(z + g * u, 0)) ** 2).mean())
    parts = (1 - p) * np.array(others) + p * np.array(own)
    assert abs(parts.mean() - frame.stored_loss) < 4 * parts.std() / np.sqrt(len(parts) - 1)
    assert parts.std() / np.sqrt(len(parts)) < 0.02 * frame.stored_loss  # it could tell


@pytest.mark.parametrize("step", [1.0, 1.1])
def test_what_one_rounds_off_a_million_do_not_add_up(step: float) -> None:
    """log(1 + p (e - 1)) to the last digit of p: two rules for the frequencies would differ by half a thousandth."""
    from theory.frames.mean_field import CosineLaw, Nodes

    field = MeanField(1e-6, 1e6 - 1)
    law = CosineLaw(np.array([-1, -(1e-1**1.5), 1e-1**1.5]), np.array([1e-6, 0.4999995, 0.4999995]))
    nodes = field.nodes(1.2069, -0.1481, law)
    other = Nodes(nodes.step / (1 + 0.07 * step), 2 * nodes.count)
    losses = [field.loss(1.2069, -0.1481, law, some).value for some in (nodes, other)]
    assert_allclose(*losses, rtol=1e-5)


@pytest.mark.slow
def test_a_million_rare_features_are_all_stored_and_cost_less_in_more_dimensions() -> None:
    frames = [predict_even_frame(10**6, m, 1e-6) for m in (1000, 3000, 10**4)]
    assert [frame.k for frame in frames] == [10**6] * 3
    slopes = np.diff(np.log([frame.loss for frame in frames])) / np.diff(np.log([1000, 3000, 10**4]))
    assert (slopes < -1).all()
    assert (slopes > -2).all()


@pytest.mark.timing
def test_a_million_features_take_seconds() -> None:
    import time

    start = time.process_time()
    predict_even_frame(10**6, 1000, 1e-6)
    assert time.process_time() - start < 3


@pytest.mark.parametrize("m", [2, 3, 8, 22])
def test_gegenbauer_polynomials_are_the_standard_ones(m: int) -> None:
    c = np.linspace(-1, 1, 7)
    value, slope = gegenbauer(m, 6, c)
    for d in range(1, 7):
        alpha = max((m - 2) / 2, 1e-9)
        assert_allclose(value[d], eval_gegenbauer(d, alpha, c) / eval_gegenbauer(d, alpha, 1.0), atol=1e-6)
    h = 1e-6
    assert_allclose(slope, (gegenbauer(m, 6, c + h)[0] - gegenbauer(m, 6, c - h)[0]) / (2 * h), atol=1e-6)
    x, w = np.polynomial.legendre.leggauss(60)
    w = w * (1 - x**2) ** ((m - 3) / 2) if m > 2 else np.full(60, 1.0)
    x = x if m > 2 else np.cos(np.pi * (np.arange(60) + 0.5) / 60)
    P = gegenbauer(m, 6, x)[0]
    assert_allclose(1 / harmonics(m, 6), (w / w.sum()) @ (P**2).T, rtol=1e-3)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="at least 2 dimensions"):
        predict_even_frame(4, 1, 0.1)
    with pytest.raises(ValueError, match="cannot be stored"):
        even_frame(9, 3, 0.1, n=8)
    with pytest.raises(ValueError, match="noise must be"):
        predict_even_frame(4, 2, 0.1, noise=-1)

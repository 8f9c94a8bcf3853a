"""Discrete values listed half by half: against sums over all states in rational numbers, enumeration and sampling."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from numpy import ndarray
from numpy.testing import assert_allclose

from numerics.sampling.monte_carlo import stratified_loss
from tests.records import LeakyReLU
from theory import Correlated, FeatureDistribution, Independent, Problem, loss_estimate, population_loss
from theory.loss.by_halves import errors_by_halves, rows_by_halves
from theory.loss.halves import Halves, halves_of
from theory.loss.lattice import active_patterns
from theory.loss.outputs import output_errors
from theory.model.activations import RELU, Activation
from theory.model.set_families import Hierarchy, PartialCorrelation
from theory.model.set_laws import ALL_OR_NONE, EXACTLY_ONE

MOST = (10**6, 10**7)
LAWS = ("binary", "discrete:-1@0.25,0@0.25,2@0.5", "discrete:0.3@0.9,2@0.09,70@0.01")
SETS = {
    "independent": ALL_OR_NONE,
    "all or none": ALL_OR_NONE,
    "exactly one": EXACTLY_ONE,
    "partial": PartialCorrelation(0.4),
    "hierarchy": Hierarchy((-1, 0), (1.0, 0.6)),
}


def distribution(kind: str, values: str, rng: np.random.Generator) -> FeatureDistribution:
    """Four features, two of them in a set; densities from 1e-6 to 1."""
    p = 10.0 ** rng.uniform(-6 if rng.random() < 0.3 else -1, 0, 4)
    p[rng.random(4) < 0.2] = 1.0
    if kind == "independent":
        return Independent(p, values)
    return FeatureDistribution([[3, 1], [0], [2]], p[:3], [SETS[kind], ALL_OR_NONE, ALL_OR_NONE], values)


def exact(c: ndarray, b: float, own: int, features: FeatureDistribution, f: Activation) -> tuple[Fraction, list]:
    """Value and gradient in couplings and bias by summing over all states; z = 0 counts as below the kink."""
    left, steep = Fraction(f.left), Fraction(f.left) + Fraction(f.bend)
    coupling, bias = [Fraction(float(g)) for g in c], Fraction(float(b))
    value, slope = Fraction(0), [Fraction(0)] * (len(c) + 1)
    active = active_patterns(len(c))
    for pattern, chance in zip(active, features.pattern_probability(active), strict=True):
        for places in product(features.values.atoms, repeat=int(pattern.sum())):
            x, p, values = [Fraction(0)] * len(c), Fraction(float(chance)), iter(places)
            for j in np.flatnonzero(pattern).tolist():
                place, share = next(values)
                x[j], p = Fraction(place), p * Fraction(share)
            z = bias + sum(g * u for g, u in zip(coupling, x, strict=True))
            slope_there = steep if z > 0 else left
            miss = x[own] - slope_there * z
            value += p * miss**2
            for j, u in enumerate([*x, Fraction(1)]):
                slope[j] -= 2 * p * miss * slope_there * u
    return value, slope


@pytest.mark.parametrize("kind", SETS)
@pytest.mark.parametrize("values", LAWS)
@pytest.mark.parametrize("activation", [RELU, LeakyReLU(0.25)])
def test_stated_errors_hold_against_rational_numbers(kind: str, values: str, activation: Activation) -> None:
    rng = np.random.default_rng([len(kind), len(values)])
    for case in range(2):
        features = distribution(kind, values, rng)
        whole = case % 2 == 0  # couplings that cancel exactly
        G = rng.integers(-2, 3, (4, 4)).astype(float) if whole else rng.normal(size=(4, 4))
        b = rng.integers(-2, 3, 4).astype(float) if whole else rng.normal(size=4) * rng.choice([0.0, 0.3, 100.0])
        answers = [exact(G[i], b[i], i, features, activation) for i in range(4)]
        for left_out in (0.0, 1e-6, 0.03, 0.5):
            halves = halves_of(features, left_out, MOST)
            found = errors_by_halves(G, b, np.arange(4), halves, activation)
            stated = found.truncation + found.rounding
            for i, (value, slope) in enumerate(answers):
                assert abs(Fraction(float(found.value[i])) - value) <= Fraction(float(stated[i]))
                ours = [*found.dG[i], found.db[i]]
                worst = max(abs(Fraction(float(s)) - t) for s, t in zip(ours, slope, strict=True))
                assert worst <= Fraction(float(found.gradient_error[i]))
                size = (1 + abs(b[i]) + 70 * np.abs(G[i]).sum()) ** 2
                if not left_out:  # the stated error is rounding
                    assert stated[i] <= 1e-11 * size
                if not left_out and values != LAWS[2]:  # where z = 0 the convention holds; 0.3 is no double
                    assert_allclose(ours, [float(t) for t in slope], atol=1e-13 * size)


@pytest.mark.parametrize("kind", SETS)
def test_where_nothing_is_active_rounding_decides_nothing(kind: str) -> None:
    """Without bias z = 0 in the most frequent state, where x = 0, too: whatever f's slope is, nothing comes of it."""
    rng = np.random.default_rng(len(kind))
    sets = [[3, 1], [0], [2]] if kind != "independent" else [[0], [1], [2], [3]]
    laws = [SETS[kind], *[ALL_OR_NONE] * (len(sets) - 1)]
    features = FeatureDistribution(sets, np.full(len(sets), 0.3), laws, LAWS[2])
    G, b = rng.normal(size=(4, 4)), np.zeros(4)
    found = errors_by_halves(G, b, np.arange(4), halves_of(features, 0.0, MOST), RELU)
    for i in range(4):
        _, slope = exact(G[i], 0.0, i, features, RELU)
        ours = [*found.dG[i], found.db[i]]
        worst = max(abs(Fraction(float(s)) - t) for s, t in zip(ours, slope, strict=True))
        assert worst <= Fraction(float(found.gradient_error[i]))
        assert found.gradient_error[i] < 1e-10


def test_an_output_that_is_always_at_its_kink_is_as_unsure_as_its_derivatives() -> None:
    """Its derivative in its own coupling is 0 or -2 E x^2, whatever the largest value is."""
    features = Independent([0.3, 0.2, 0.4], LAWS[2])
    found = errors_by_halves(np.zeros((3, 3)), np.zeros(3), np.arange(3), halves_of(features, 0.0, MOST), RELU)
    own = 2 * features.second_moment.diagonal()
    largest = 2 * np.sqrt(features.second_moment.diagonal() * features.second_moment.diagonal().max())
    assert (found.gradient_error >= own).all()
    assert_allclose(found.gradient_error, largest, rtol=1e-9)


def test_less_left_out_is_nearer() -> None:
    """What is left out is what was asked for, and the error follows."""
    features = Independent(np.full(5, 0.2), "scipy:geom,0.8")
    rng = np.random.default_rng(0)
    G, b = rng.normal(size=(5, 5)), rng.normal(size=5) / 5
    fine = errors_by_halves(G, b, np.arange(5), halves_of(features, 1e-10, MOST), RELU)
    sizes = []
    for left_out in (1e-2, 1e-4, 1e-6):
        halves = halves_of(features, left_out, MOST)
        found = errors_by_halves(G, b, np.arange(5), halves, RELU)
        assert 0 < halves.missing[0, 0] <= 0.2 * left_out
        assert (halves.missing.diagonal()[1:] <= left_out * features.second_moment.diagonal()).all()
        assert (np.abs(found.value - fine.value) <= found.truncation + fine.truncation + found.rounding).all()
        assert (found.truncation <= 200 * left_out).all()
        assert np.abs(found.value - fine.value).max() > 1e-4 * left_out, "nothing was left out"
        sizes.append(sum(halves.sizes))
    assert sizes == sorted(set(sizes))


def test_joined_lists_are_long_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """One set apart, joined with the first half state by state, changes nothing."""
    features = Correlated([[0, 5], [1], [2], [3], [4]], [0.3, 0.2, 0.2, 0.1, 0.4], "scipy:geom,0.7")
    rng = np.random.default_rng(1)
    G, b = rng.normal(size=(6, 6)), rng.normal(size=6) / 5

    def found(left_out: float) -> tuple[Halves, ...]:
        halves = halves_of(features, left_out, MOST)
        return halves, errors_by_halves(G, b, np.arange(6), halves, RELU)

    monkeypatch.setattr("theory.loss.halves._LONG", np.inf)
    plain, one = found(1e-8)
    monkeypatch.setattr("theory.loss.halves._LONG", 0)
    joined, other = found(1.0001e-8)
    assert len(plain.joined.share) == 1 < len(joined.joined.share)
    stated = one.truncation + other.truncation + one.rounding
    assert (np.abs(one.value - other.value) <= stated).all()
    assert (np.abs(one.dG - other.dG).max(1) <= one.gradient_error + other.gradient_error).all()
    assert_allclose(one.value, other.value, rtol=1e-6)


@pytest.mark.parametrize("values", ["binary", "discrete:1@0.5,2@0.5"])
def test_halves_are_what_is_enumerated(values: str) -> None:
    rng = np.random.default_rng(2)
    problem = Problem(m=2, features=Correlated([[0, 3], [1, 2, 6], [4], [5]], rng.uniform(0.1, 0.9, 4), values))
    W, b = rng.normal(size=(2, 7)), rng.normal(size=7) / 3
    G, halves = W.T @ W, halves_of(problem.features, 0.0, MOST)
    expected, found = output_errors(G, b, problem), errors_by_halves(G, b, np.arange(7), halves, RELU)
    assert_allclose(found.value, expected.value, rtol=1e-12, atol=1e-13)
    assert_allclose(found.dG, expected.dG, rtol=1e-12, atol=1e-12)
    assert_allclose(found.db, expected.db, rtol=1e-12, atol=1e-12)


def test_labels_of_features_do_not_matter() -> None:
    rng = np.random.default_rng(3)
    p, order = rng.uniform(0.01, 0.4, 9), rng.permutation(9)
    W, b = rng.normal(size=(3, 9)), rng.normal(size=9) / 5
    one = loss_estimate(W, b, Problem(m=3, density=p, n=9, values="scipy:poisson,1"))
    other = loss_estimate(W[:, order], b[order], Problem(m=3, density=p[order], n=9, values="scipy:poisson,1"))
    assert one.paths == other.paths == {"halves": 9}
    assert abs(one.value - other.value) <= one.error + other.error <= 2e-7 * one.value
    miss = np.abs(one.gradient["W"][:, order] - other.gradient["W"]).max()
    assert miss <= one.gradient_error + other.gradient_error


def test_a_batch_is_its_models() -> None:
    rng = np.random.default_rng(4)
    p = rng.choice([0.05, 0.2], (6, 1)) * np.ones(8)
    W, b = rng.normal(size=(6, 3, 8)), rng.normal(size=(6, 8)) / 5
    batch = Problem(n=8, m=3, density=p, values="discrete:1@0.3,2@0.3,3.5@0.4")
    loss = population_loss(W, b, batch)
    for k in range(6):
        one = Problem(n=8, m=3, density=p[k], values="discrete:1@0.3,2@0.3,3.5@0.4")
        assert loss[k] == pytest.approx(population_loss(W[k], b[k], one), rel=1e-12)


@pytest.mark.parametrize(("values", "n"), [("discrete:1@0.3,2@0.3,3.5@0.4", 14), ("scipy:poisson,1", 9)])
def test_losses_agree_with_sampling(values: str, n: int) -> None:
    rng = np.random.default_rng(5)
    W, b = rng.normal(size=(4, n)) / 2, -0.1 * rng.random(n)
    problem = Problem(n=n, m=4, density=0.1, values=values)
    estimate, error = stratified_loss(W, b, problem, samples=400_000, seed=1)
    found = loss_estimate(W, b, problem)
    assert found.paths == {"halves": n}
    assert found.error <= 1e-7 * found.value
    assert error < 0.01 * estimate
    assert abs(1.1 * found.value - estimate) > 4 * error
    assert abs(found.value - estimate) < 4 * error


def test_many_features_are_left_to_transforms() -> None:
    """What smears atoms for the engine makes lists long."""
    features = Independent(np.full(100, 0.3), "binary")
    assert rows_by_halves(np.eye(100), np.zeros(100), np.arange(100), features, RELU, 1e-7) is None
    assert rows_by_halves(np.eye(3), np.zeros(3), np.arange(3), Independent([0.1] * 3), RELU, 1e-7) is None

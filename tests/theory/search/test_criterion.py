"""The pair criterion against exact losses, brute force, and exact optima."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import theory
from tests.strategies import seeds
from theory import Correlated, Problem
from theory.search.criterion import check_criterion, main, optimised_pair_pays

densities = st.floats(0.001, 1.0)
importances = st.floats(0.05, 20.0)


@given(densities, importances, densities, importances)
def test_the_inequality_compares_exact_losses(p_i: float, I_i: float, p_j: float, I_j: float) -> None:
    problem = Problem(m=1, density=[p_i, p_j], importance=[I_i, I_j])
    alone = theory.population_loss([[1.0, 0.0]], [0.0, p_j / 2], problem)
    together = theory.population_loss([[1.0, -1.0]], [0.0, 0.0], problem)
    if abs(together - alone) > 1e-12 * alone:
        assert theory.pair_pays(p_j, I_j, p_i, I_i) == (together < alone)


def placements(features: tuple[int, ...], dimensions: int) -> Iterator[tuple[list[int], list[tuple[int, int]]]]:
    """Every way to give features a dimension alone, in pairs, or not at all."""
    if not features:
        yield [], []
        return
    first, rest = features[0], features[1:]
    for single, pairs in placements(rest, dimensions):
        yield single, pairs
    if dimensions:
        for single, pairs in placements(rest, dimensions - 1):
            yield [first, *single], pairs
        for k, partner in enumerate(rest):
            for single, pairs in placements(rest[:k] + rest[k + 1 :], dimensions - 1):
                yield single, [(first, partner), *pairs]


@given(st.integers(1, 5), st.integers(1, 3), seeds)
def test_best_pairing_is_the_cheapest_of_all(n: int, m: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    problem = Problem(m=m, density=10 ** rng.uniform(-2, 0, n), importance=rng.uniform(0.1, 1, n))
    losses = []
    for single, pairs in placements(tuple(range(n)), m):
        W, b = np.zeros((m, n)), problem.features.mean.copy()
        for d, members in enumerate([*((j,) for j in single), *pairs]):
            W[d, list(members)] = (1.0, -1.0)[: len(members)]
            b[list(members)] = 0.0
        losses.append(theory.population_loss(W, b, problem))
    best = theory.best_pairing(problem)
    assert_allclose(best.loss, min(losses), rtol=1e-9)
    assert len(best.dedicated) + len(best.pairs) <= m
    everyone = [*best.dedicated, *best.unrepresented, *(j for pair in best.pairs for j in pair)]
    assert sorted(everyone) == list(range(n))


def test_the_densest_of_equally_important_features_are_left_out() -> None:
    """n = 80, m = 20, constant importance, falling density: the observation of claim 24."""
    density = np.linspace(1.0, 0.05, 80)
    pairing = theory.best_pairing(Problem(m=20, density=density))
    left_out = np.array(sorted(pairing.unrepresented))
    assert 0 in left_out, "the densest feature is not learned"
    stored = np.setdiff1d(np.arange(80), left_out)
    assert stored.min() > 5
    assert all(theory.pair_pays(density[j], 1.0, density[i], 1.0) for i, j in pairing.pairs)


@pytest.mark.usefixtures("without_type_checks")
def test_optimised_pairs_shift_the_boundary_a_little() -> None:
    """At r = 0.1 the ideal pair stops paying at p = 0.16, the optimised one at p = 0.181247."""
    p = np.array([0.15, 0.17, 0.18, 0.183, 0.2])
    assert optimised_pair_pays(p, 0.1, p, 1.0).tolist() == [True, True, True, False, False]  # type: ignore[union-attr]
    assert theory.pair_pays(p, 0.1, p, 1.0).tolist() == [True, False, False, False, False]  # type: ignore[union-attr]


@pytest.mark.usefixtures("without_type_checks")
def test_the_criterion_decides_as_the_exact_optimum_does_almost_always() -> None:
    agreement = check_criterion(2, 1, problems=100, starts=10)
    assert agreement.examined == 100
    assert agreement.features > 0.95
    assert agreement.problems > 0.92
    assert agreement.stored > 0.9
    assert agreement.left_out > 0.9
    parts = agreement.baseline * agreement.stored + (1 - agreement.baseline) * agreement.left_out
    assert agreement.features == pytest.approx(parts)


@pytest.mark.slow
@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(("n", "m", "features"), [(3, 2, 0.97), (4, 2, 0.95)])
def test_the_criterion_decides_rightly_for_more_features(n: int, m: int, features: float) -> None:
    assert check_criterion(n, m, problems=100, starts=20).features > features


@pytest.mark.slow
@pytest.mark.usefixtures("without_type_checks")
def test_the_criterion_beats_that_everything_is_stored_where_half_is() -> None:
    agreement = check_criterion(4, 1, problems=100, starts=20)
    assert 0.4 < agreement.baseline < 0.6
    assert min(agreement.stored, agreement.left_out) > 0.85


def test_what_the_criterion_does_not_cover_is_refused() -> None:
    with pytest.raises(ValueError, match="independent features with uniform values"):
        theory.best_pairing(Problem(m=1, features=Correlated([[0, 1]], 0.1)))
    with pytest.raises(ValueError, match="2 <= n <= 6 and 1 <= m < n"):
        check_criterion(7, 2)


def test_the_command_prints_the_shares(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--n", "2", "--m", "1", "--problems", "5", "--starts", "4"])
    out = capsys.readouterr().out
    assert "5 random problems:" in out
    assert "that every feature is stored would be right for" in out.replace("\n", " ")

"""How fast the exact loss and the phase diagram are.

``pytest tests/benchmarks -m "slow or timing" -n0 -s --benchmark-enable`` prints times and nodes.
"""

import time
import tracemalloc

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import theory
from theory.loss.quadrature import quadrature
from theory.model.problem import Problem
from theory.phase_diagram.diagram import exact_phase_diagram

pytestmark = pytest.mark.usefixtures("at_full_speed")


def model(n: int) -> tuple[np.ndarray, np.ndarray, Problem]:
    """Norms around one in n / 10 dimensions, as after training."""
    m = max(1, n // 10)
    rng = np.random.default_rng(n)
    return rng.normal(size=(m, n)) / np.sqrt(m), np.full(n, -0.1), Problem(n=n, m=m, density=0.05)


def best_time(n: int, rounds: int) -> float:
    """Shortest time for a loss with gradient: the others were disturbed."""
    W, b, problem = model(n)
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        theory.population_loss_and_gradient(W, b, problem, rtol=1e-6)
        times.append(time.perf_counter() - start)
    return min(times)


@pytest.mark.slow
@pytest.mark.parametrize("n", [2, 4, 6, 7, 10, 20, 50, 100, 200, 400])
def test_time_of_the_exact_loss_with_gradient(benchmark: BenchmarkFixture, n: int) -> None:
    W, b, problem = model(n)
    result = quadrature((W.T @ W)[None], b[None], problem.features, np.ones((1, n)), rtol=1e-6)
    benchmark.extra_info["nodes"] = result.nodes if n > 6 else "active sets"
    loss, dW, _ = benchmark(theory.population_loss_and_gradient, W, b, problem, rtol=1e-6)
    assert loss > 0
    assert dW.shape == W.shape


@pytest.mark.timing
def test_four_hundred_features_fit_in_two_seconds_and_a_gibibyte(capsys: pytest.CaptureFixture[str]) -> None:
    W, b, problem = model(400)
    seconds = best_time(400, rounds=3)
    tracemalloc.start()
    theory.population_loss_and_gradient(W, b, problem, rtol=1e-6)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    with capsys.disabled():
        print(f"\nn = 400, m = 40, rtol 1e-6: {seconds:.2f} s, {peak / 2**20:.0f} MiB")
    assert seconds < 2
    assert peak < 2**30


@pytest.mark.timing
@pytest.mark.parametrize(("n", "m"), [(2, 1), (3, 2)])
def test_time_of_a_phase_diagram_per_cell(n: int, m: int, capsys: pytest.CaptureFixture[str]) -> None:
    start = time.perf_counter()
    data = exact_phase_diagram(n, m, workers=2)
    seconds = time.perf_counter() - start
    with capsys.disabled():
        print(f"\nn = {n}, m = {m}: {1e3 * seconds / data['loss'].size:.2f} ms per cell, {seconds:.1f} s in all")
    assert data["loss"].size == 3600
    assert seconds < 10

"""How fast the engine is beside today's quadrature, and beside the arithmetic it cannot do without.

``pytest tests/benchmarks/test_engine_speed.py -m timing -n0 -s`` prints the table. Times are of the processor, best of
a few, so that what else runs on the machine matters little.
"""

import time
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from theory import Problem
from theory.loss.engine.engine import row_errors
from theory.loss.engine.estimate import RowEstimate
from theory.loss.engine.model import estimate_loss
from theory.loss.engine.rows import Features, Rows
from theory.loss.quadrature import quadrature
from theory.model.values import BINARY, UNIFORM, ValueLaw

pytestmark = [pytest.mark.usefixtures("at_full_speed"), pytest.mark.timing]

N, M, BIAS, RTOL = 400, 30, -0.1, 1e-6


def best(run: Callable[[], object], rounds: int = 3, enough: float = 1.0) -> float:
    """Least processor time of some runs, of as many as fit ``enough`` seconds if that is more."""
    times: list[float] = []
    while len(times) < rounds or sum(times) < enough:
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return min(times)


def unit_columns(n: int, m: int) -> np.ndarray:
    W = np.random.default_rng(0).normal(size=(m, n))
    return W / np.linalg.norm(W, axis=0)


def rows_of(W: np.ndarray) -> Rows:
    n = W.shape[1]
    return Rows(W.T @ W, np.full(n, BIAS), np.arange(n), np.zeros(n))


def floor(n: int, terms: int) -> float:
    """Time of two recurrences over all couplings, each in cache-sized parts, and of their matrix products."""
    x = np.random.default_rng(0).uniform(-1, 1, size=(40, n))
    ones, coefficients = np.ones((n, 1)), np.ones((terms, 128))

    def run() -> None:
        for _ in range(n // 40):
            for _ in range(2):
                now, before, twice, product = x.copy(), np.ones_like(x), 2 * x, np.empty_like(x)
                for _ in range(terms):
                    np.multiply(twice, now, out=product)
                    np.subtract(product, before, out=before)
                    now, before = before, now
                    now @ ones
                for _ in range(2):
                    np.ones((40, terms)) @ coefficients

    return best(run)


CASES: dict[str, tuple[ValueLaw, np.ndarray]] = {
    "0.1": (UNIFORM, np.full(N, 0.1)),
    "0.01": (UNIFORM, np.full(N, 0.01)),
    "0.0025": (UNIFORM, np.full(N, 0.0025)),
    "0.5": (UNIFORM, np.full(N, 0.5)),
    "0.95": (UNIFORM, np.full(N, 0.95)),
    "binary 0.1": (BINARY, np.full(N, 0.1)),
    "p_i = 1/i": (UNIFORM, 1 / np.arange(1.0, N + 1)),
}


def test_four_hundred_features(capsys: pytest.CaptureFixture[str]) -> None:
    rows, seconds = rows_of(unit_columns(N, M)), {}
    with capsys.disabled():
        print(f"\nn = {N}, m = {M}, rtol {RTOL:g}; floor at 100 terms {floor(N, 100):.3f} s")
        for name, (law, p) in CASES.items():
            features = Features(law, p)
            result: RowEstimate = row_errors(rows, features, rtol=RTOL, max_nodes=4096)
            seconds[name] = best(lambda features=features: row_errors(rows, features, rtol=RTOL, max_nodes=4096))
            paths = dict(Counter(result.path.tolist()))
            worst = float((result.error / result.value).max())
            print(f"{name:>12}: {seconds[name]:.3f} s, nodes to {result.nodes.max()}, {paths}, error {worst:.1e}")
            assert set(paths) == {"sums"}
        law, p = CASES["0.01"]
        result = row_errors(rows, Features(law, p), rtol=1e-9)
        seconds["1e-9"] = best(lambda: row_errors(rows, Features(law, p), rtol=1e-9))
        print(f"0.01 at rtol 1e-9: {seconds['1e-9']:.3f} s, nodes to {result.nodes.max()}")
        assert set(result.path.tolist()) == {"sums"}  # no silent fall-back to the slow route
        old = {}
        for p, rtol in ((0.1, RTOL), (0.01, 1e-4)):
            problem = Problem(n=N, m=M, density=p)
            G, b, weights = rows.G[None], rows.b[None], np.ones((1, N))
            old[p] = best(lambda: quadrature(G, b, problem.features, weights, rtol), rounds=1)  # noqa: B023
            print(f"today's quadrature at {p}, rtol {rtol:g}: {old[p]:.2f} s")
    assert old[0.1] / seconds["0.1"] > 25
    assert seconds["1e-9"] < 10 * seconds["0.01"]


@pytest.mark.parametrize(("n", "m", "p"), [(8, 3, 0.1), (8, 3, 0.5), (12, 4, 0.1), (12, 4, 0.05)])
def test_many_small_rows(n: int, m: int, p: float, capsys: pytest.CaptureFixture[str]) -> None:
    """Microseconds per row, a batch of 200 models and one alone, at rtol 1e-7, of routes that agree."""
    rng = np.random.default_rng(0)
    problem = Problem(n=n, m=m, density=p)
    for batch in (1, 200):
        W = rng.normal(size=(batch, m, n))
        W /= np.linalg.norm(W, axis=1, keepdims=True)
        G, b = np.swapaxes(W, 1, 2) @ W, np.full((batch, n), BIAS)
        rows = Rows(G.reshape(-1, n), b.ravel(), np.tile(np.arange(n), batch), np.zeros(batch * n))
        features, weights = Features(UNIFORM, np.full(n, p)), np.ones((batch, n))
        found = row_errors(rows, features, rtol=1e-7)
        old = quadrature(G, b, problem.features, weights, 1e-7).value
        new, error = (part.reshape(batch, n).sum(1) for part in (found.value, found.error))
        assert (abs(new - old.sum(1)) <= error + 20 * 1e-7 * new).all()  # it misses its accuracy up to twelve times
        theirs = best(lambda: quadrature(G, b, problem.features, weights, 1e-7))  # noqa: B023
        ours = best(lambda: row_errors(rows, features, rtol=1e-7))  # noqa: B023
        with capsys.disabled():
            print(
                f"\nn = {n}, p = {p}, {batch} models: {1e6 * ours / len(rows.b):.0f} us per row, "
                f"today {1e6 * theirs / len(rows.b):.0f}"
            )


def test_cost_grows_with_the_number_of_couplings(capsys: pytest.CaptureFixture[str]) -> None:
    sizes, times = [100, 300, 1000, 3000], []
    for n in sizes:
        W, features = unit_columns(n, M), Features(UNIFORM, np.full(n, 10 / n))
        times.append(best(lambda: estimate_loss(W, np.full(n, BIAS), features, rtol=RTOL), rounds=2))  # noqa: B023
    exponent = np.polyfit(np.log(sizes), np.log(times), 1)[0]
    with capsys.disabled():
        print("\nn:", *sizes, " seconds:", *(f"{t:.2f}" for t in times), f" exponent {exponent:.2f}")
    assert exponent <= 2.1


def test_ten_thousand_features(capsys: pytest.CaptureFixture[str]) -> None:
    n, m = 10_000, 100
    W, features = unit_columns(n, m), Features(UNIFORM, np.full(n, 1e-3))
    start, cpu = time.perf_counter(), time.process_time()
    e = estimate_loss(W, np.full(n, BIAS), features, rtol=1e-4, threads=2)
    with capsys.disabled():
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu
        print(f"\nn = 10,000: {wall:.1f} s, {cpu:.1f} s of processors, error {e.error / e.value:.1e}, {e.paths}")
    assert e.error <= 1e-4 * e.value

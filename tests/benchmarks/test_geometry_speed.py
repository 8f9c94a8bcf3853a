"""How long one geometry takes to optimise, at a density not met before.

``pytest tests/benchmarks/test_geometry_speed.py -m timing -n0 -s`` prints times, in processor milliseconds. They are
taken in an interpreter of their own, which does not check types and shapes, on one core.
"""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.timing

# Milliseconds for equal features, and for unequal importances of nearly the same size.
EQUAL, UNEQUAL = 50, 150
PROGRAM = """
import time
import numpy as np
from theory import Problem, optimise

def milliseconds(n, m, geometry, density, importance):
    times = []
    for factor in 1 + 1e-4 * np.arange(6):  # densities not seen before
        problem = Problem(n=n, m=m, density=density * factor, importance=importance)
        start = time.process_time()
        assert optimise(problem, geometry, order=np.arange(n)).converged
        times.append(1e3 * (time.process_time() - start))
    return min(times)
"""
GEOMETRIES = [
    (5, 2, "pentagon"), (6, 2, "hexagon"), (7, 2, "heptagon"), (8, 2, "octagon"), (9, 2, "9-gon"),
    (8, 3, "square antiprism"), (7, 3, "7 in 3"), (9, 3, "9 in 3"), (9, 4, "9 in 4"),
    (9, 4, "pentagon + 2 digon"), (9, 4, "hexagon + triangle"), (9, 3, "heptagon + digon"),
]  # fmt: skip


def printed(program: str) -> list[float]:
    """Run a program on one core; return the numbers that it prints."""
    one_core = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=one_core)
    return [float(word) for word in result.stdout.split()]


@pytest.mark.parametrize(("n", "m", "geometry"), GEOMETRIES)
def test_a_geometry_of_equal_features_takes_under_fifty_milliseconds(
    n: int, m: int, geometry: str, capsys: pytest.CaptureFixture[str]
) -> None:
    times = printed(f"{PROGRAM}\nfor p in (0.01, 0.05, 0.2): print(milliseconds({n}, {m}, {geometry!r}, p, 1.0))")
    with capsys.disabled():
        print(f"\n{geometry}, densities 0.01, 0.05, 0.2:", *(f"{t:.0f}" for t in times), "ms", end="")
    assert max(times) < EQUAL


@pytest.mark.parametrize(
    ("n", "m", "geometry"),
    [(5, 2, "pentagon"), (6, 2, "hexagon"), (7, 3, "pentagon + digon"), (8, 3, "square antiprism")],
)
def test_unequal_importances_take_three_times_as_long_at_most(
    n: int, m: int, geometry: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (took,) = printed(f"{PROGRAM}\nprint(milliseconds({n}, {m}, {geometry!r}, 0.05, np.linspace(1, 0.9, {n})))")
    with capsys.disabled():
        print(f"\n{geometry}, importances 1 to 0.9: {took:.0f} ms", end="")
    assert took < UNEQUAL

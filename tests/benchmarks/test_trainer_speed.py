"""
Instance-steps per second, beside PyTorch in the usual style and tuned: same run, same machine, same work.

Absolute figures drift with the machine, so rounds are interleaved and the ratio is the median over rounds. PyTorch
uses one thread or all cores, whichever is faster at the time; the NumPy trainer runs in one process on one thread.
Run with

    pytest tests/benchmarks/test_trainer_speed.py -m timing -n0 -s
"""

import time
from collections.abc import Callable

import numpy as np
import pytest

from numerics import train
from numerics.agreement.exact_descent import train_exactly
from theory import Problem, optimise, population_loss

torch = pytest.importorskip("torch", reason="PyTorch, the peer to time against, is not installed: extra 'benchmark'")

pytestmark = [pytest.mark.timing, pytest.mark.usefixtures("at_full_speed")]

DENSITY, BATCH, ROUNDS = 0.05, 1024, 5

# (instances, n, m), steps per round, ratio to the usual style that the project promises
SHAPES = [
    ((10, 5, 2), 3000, 15.0),
    ((100, 2, 1), 1000, 15.0),
    ((10, 20, 5), 1000, 5.0),
    ((1, 80, 20), 2000, 3.0),
    ((10, 200, 20), 100, 2.5),
    ((1, 400, 30), 600, 2.0),
]


def numpy_training(instances: int, n: int, m: int, steps: int) -> None:
    train(
        Problem(n=n, m=m, density=DENSITY),
        instances=instances,
        steps=steps,
        batch=BATCH,
        optimiser="adamw",
        learning_rate=1e-3,
        schedule="constant",
        snapshots=[],
        progress=False,
    )


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@pytest.mark.parametrize(("shape", "steps", "promised"), SHAPES)
def test_the_trainer_is_several_times_faster_than_pytorch(
    shape: tuple[int, int, int], steps: int, promised: float, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.benchmarks import torch_peer

    numpy_training(*shape, steps // 20)
    times, threads = [], {}
    for _ in range(ROUNDS):
        times.append([])
        for training in (torch_peer.train_usual, torch_peer.train_tuned):
            threads[training.__name__] = torch_peer.choose_threads(training, shape, DENSITY)
            times[-1].append(seconds(lambda f=training: f(*shape, DENSITY, steps, BATCH)))
        times[-1].append(seconds(lambda: numpy_training(*shape, steps)))
    measured = np.array(times)
    rate = shape[0] * steps / np.median(measured, axis=0)
    to_usual, to_tuned = np.median(measured[:, :2] / measured[:, 2:], axis=0)
    with capsys.disabled():
        print(
            f"\n{shape!s:>14}  instance-steps/s: torch usual {rate[0]:8.0f}, tuned {rate[1]:8.0f}, "
            f"NumPy {rate[2]:8.0f};  NumPy/usual {to_usual:5.1f} (promised {promised:g}), "
            f"NumPy/tuned {to_tuned:4.2f};  threads {threads}"
        )
    assert to_usual >= promised
    assert to_tuned >= 1


OPTIMUM = optimise(Problem(n=5, m=2, density=DENSITY), "pentagon").loss
STRIDE = 250


def steps_to_optimum(course: list[tuple[np.ndarray, np.ndarray]]) -> int:
    """Steps after which half of the instances lie within 1 % of the exact optimum."""
    problem = Problem(n=5, m=2, density=DENSITY)
    for k, (W, b) in enumerate(course, 1):
        losses = [population_loss(w.astype(float), c.astype(float), problem) for w, c in zip(W, b, strict=True)]
        if np.median(losses) <= 1.01 * OPTIMUM:
            return k * STRIDE
    pytest.fail("the optimum was not reached")


def test_time_to_the_optimum(capsys: pytest.CaptureFixture[str]) -> None:
    from tests.benchmarks import torch_peer

    shape, steps = (8, 5, 2), 10_000
    settings = {"optimiser": "adamw", "learning_rate": 1e-3, "schedule": "constant", "progress": False}
    marks = range(STRIDE, steps + 1, STRIDE)
    times = {}
    for name, training in (("torch usual", torch_peer.train_usual), ("torch tuned", torch_peer.train_tuned)):
        torch.manual_seed(0)
        torch_peer.choose_threads(training, shape, DENSITY)
        course = []

        def keep(step: int, model: torch_peer.ToyModel, course: list = course) -> None:
            if step % STRIDE == 0:
                W = model.W.detach().numpy().swapaxes(1, 2)
                course.append((W.copy(), model.b.detach().numpy().copy()))

        total = seconds(lambda f=training, w=keep: f(*shape, DENSITY, steps, BATCH, w))
        times[name] = total * steps_to_optimum(course) / steps
    problem = Problem(n=5, m=2, density=DENSITY)
    learned = train(problem, instances=8, steps=steps, batch=BATCH, snapshots=marks, **settings)
    total = seconds(lambda: train(problem, instances=8, steps=steps, batch=BATCH, snapshots=[], **settings))
    course = list(zip(learned.W_curve.values, learned.b_curve.values, strict=True))
    times["NumPy"] = total * steps_to_optimum(course) / steps
    for some in marks:  # the same descent without noise: each step costs more, and each is exact
        start = time.perf_counter()
        exact = train_exactly(problem, instances=8, steps=some, **settings)
        times["NumPy on the exact loss"] = time.perf_counter() - start
        if float(exact["loss"].median()) <= 1.01 * OPTIMUM:
            break
    else:
        pytest.fail("the exact descent did not reach the optimum")
    with capsys.disabled():
        print("\nseconds until half of 8 instances are within 1 % of the exact optimum:", times)
    assert times["NumPy"] < min(times["torch usual"], times["torch tuned"])

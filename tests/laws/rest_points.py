"""``python -m tests.laws.rest_points``: where AdamW comes to rest, whose decoupled decay is no term of a loss.

At rest dL/dtheta = -decay sqrt(E g^2) theta, g being a batch's gradient. With H, the Hessian at
the optimum without decay, that is a distance of |H^-1 (decay sqrt(E g^2) theta)| from it to first order, whatever the
learning rate.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from numerics import Parameters, loss_and_gradient, sample, train
from theory import Problem, hessian, optimise
from theory.tools.arguments import writable_directory
from theory.tools.command import Parser, progress, run_command, tell

__all__ = ["CASES", "measured", "predicted"]

_COMMAND = "python -m tests.laws.rest_points"
PLAIN = Problem(n=2, m=1, density=0.1)
# Batch, learning rate, decay.
CASES = [(batch, rate, decay) for batch in (64, 1024) for rate in (0.003, 0.01, 0.03) for decay in (0.02, 0.2)]
_BATCHES = 4000
_START = (np.array([[0.8, -0.8]]), np.zeros(2))


def measured(
    batch: int, rate: float, decay: float, steps: int = 6000, instances: int = 32
) -> tuple[float, float, float]:
    """Distances of the runs' mean from the optimum with decay as a term, and from that without; its standard error."""
    learned = train(
        PLAIN, instances=instances, steps=steps, optimiser="adamw", learning_rate=rate, weight_decay=decay,
        batch=batch, precision="float64", init=_START, progress=False,
    )  # fmt: skip
    ends = np.concatenate([np.abs(learned["W"].values[:, 0]), learned["b"].values], axis=1)
    mean, error = ends.mean(0), ends.std(0, ddof=1) / np.sqrt(instances)
    best = [optimise(problem, "digon") for problem in (PLAIN.with_terms(decay=decay), PLAIN)]
    away = [float(np.linalg.norm(mean - np.concatenate([np.abs(one.W[0]), one.b]))) for one in best]
    return away[0], away[1], float(np.linalg.norm(error))


def predicted(batch: int, decay: float) -> float:
    """Distance from the optimum without decay, to first order."""
    best = optimise(PLAIN, "digon")
    x = np.stack([sample(PLAIN.features, batch, np.random.default_rng(k)) for k in range(_BATCHES)])
    W, b = (np.repeat(part[None], _BATCHES, axis=0) for part in (best.W, best.b))
    slopes = loss_and_gradient(Parameters(W, b), x, np.ones((_BATCHES, PLAIN.n)))[1]
    size = np.sqrt(np.mean(np.concatenate([slopes[0][:, 0], slopes[1]], axis=1) ** 2, axis=0))
    theta = np.concatenate([best.W[0], best.b])
    return float(np.linalg.norm(np.linalg.solve(hessian(best.W, best.b, PLAIN), decay * size * theta)))


def main(argv: Sequence[str] | None = None) -> None:
    parser = Parser("Measure where AdamW comes to rest.", prog=_COMMAND)
    parser.add_argument("--output", type=writable_directory, default=None, help="folder for rest_points.csv")
    options = parser.parse_args(argv)
    rows = [
        [
            "batch",
            "learning_rate",
            "decay",
            "from_optimum_with_decay",
            "from_optimum_without",
            "standard_error",
            "predicted",
        ]
    ]
    for batch, rate, decay in progress(CASES, label="cases"):
        found = (*measured(batch, rate, decay), predicted(batch, decay))
        rows.append([str(batch), str(rate), str(decay), *(f"{x:.3g}" for x in found)])
        tell(", ".join(rows[-1]))
    if options.output is not None:
        with Path(options.output, "rest_points.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


if __name__ == "__main__":
    run_command(main, _COMMAND)

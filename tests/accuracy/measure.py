"""The ratio of the error of a loss to the error that it states, problem by problem."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from flint import fmpq
from jaxtyping import Float
from numpy import ndarray

from .estimators import Estimator, RowsEstimator
from .noisy import noisy_output
from .oracle import difference, exact_loss, exact_output, rational, to_float
from .problems import Case

__all__ = ["Record", "compare", "measure", "measure_rows"]

Found = Iterator[dict[str, float]]


@dataclass(frozen=True)
class Record:
    """
    One problem's result; of a batch, the largest over the models that were compared.

    Attributes
    ----------
    number, stratum, n
        Which problem; number of features.
    outcome
        "measured", "refused: ..." (a ValueError) or "crashed: ...".
    value_ratio, gradient_ratio
        |error| / stated error: of the loss, and of the worst entry of its gradient. Infinity where a number is not
        finite, or an error is stated to be 0 and is not.
    value_error, gradient_error
        The errors themselves, relative to sum_i I_i p_i.
    output_error
        Largest error of a derivative in a bias b_i, relative to I_i p_i: per output.
    value_stated, gradient_stated
        What was stated, relative to sum_i I_i p_i; infinity where nothing was.
    loss
        The exact loss relative to sum_i I_i p_i, the smallest of a batch.
    kinks
        Number of models compared whose gradient does not exist.
    seconds
        Time that the estimator took.
    """

    number: int
    stratum: str
    n: int
    outcome: str
    value_ratio: float = 0.0
    gradient_ratio: float = 0.0
    value_error: float = 0.0
    gradient_error: float = 0.0
    output_error: float = 0.0
    value_stated: float = 0.0
    gradient_stated: float = 0.0
    loss: float = math.inf
    kinks: int = 0
    seconds: float = 0.0


def measure(case: Case, estimate: Estimator) -> Record:
    """
    Compare what an estimator says of models with the exact answer.

    Parameters
    ----------
    case : Case
        The problem.
    estimate : callable
        ``estimate(W, b, problem) -> (value, value_error, dW, db, gradient_error)`` for one model or a batch.

    Returns
    -------
    Record
        Its result.
    """
    batch = case.b.shape[:-1]

    def compared(value: ndarray, value_error: ndarray, dW: ndarray, db: ndarray, gradient_error: ndarray) -> Found:
        for k in case.compared:
            W, b, problem = case.single(k)
            exact, weight = exact_loss(W, b, problem), problem.importance * problem.density
            slopes = np.vstack([dW.reshape(-1, *W.shape)[k], db.reshape(-1, len(b))[k]])
            yield compare(
                (float(np.broadcast_to(value, batch).flat[k]), float(np.broadcast_to(value_error, batch).flat[k])),
                (slopes, float(np.broadcast_to(gradient_error, batch).flat[k])),
                exact.value, (*exact.dW, exact.db), exact.at_kink, weight,
            )  # fmt: skip

    return _recorded(case, lambda: estimate(case.W, case.b, case.problem), compared)


def measure_rows(case: Case, estimate: RowsEstimator, noisy: bool = False) -> Record:
    """
    Compare what an estimator says of single outputs with the exact answer, each by itself.

    The couplings W^T W, rounded to doubles, are the input here: their rounding is nobody's error.

    Parameters
    ----------
    case : Case
        The problem; the outputs of importance > 0 of the models to compare, all in one call.
    estimate : callable
        ``estimate(G, b, own, features, noise) -> (value, value_error, dG, db, gradient_error)``, perhaps dnoise at the
        end, with one row per output; the features' density has one row per output or is the same for all.
    noisy : bool
        Whether outputs have Gaussian noise before their activation; most of them, then.

    Returns
    -------
    Record
        Its result; all that is relative is so to p_i.
    """
    models = [case.single(k) for k in case.compared]
    rows = [(k, i) for k, (_, _, problem) in enumerate(models) for i in np.flatnonzero(problem.importance)]
    with np.errstate(over="ignore"):
        couplings = [W.T @ W for W, _, _ in models]
    G, b = np.array([couplings[k][i] for k, i in rows]), np.array([models[k][1][i] for k, i in rows])
    if not np.isfinite(G).all():
        return Record(case.number, case.stratum, case.problem.n, "refused: couplings too large for doubles")
    own, features = np.array([i for _, i in rows]), case.problem.features
    if features.batch_shape:
        features = features.with_density(np.array([models[k][2].features.density for k, _ in rows]))
    noise = case.noise(G) if noisy else np.zeros(len(rows))

    def compared(
        value: ndarray, value_error: ndarray, dG: ndarray, db: ndarray, gradient_error: ndarray, *dnoise: ndarray
    ) -> Found:
        value, value_error, gradient_error = np.broadcast_arrays(
            value, value_error, gradient_error, np.zeros(len(rows))
        )[:3]
        for row, (k, i) in enumerate(rows):
            problem, output = models[k][2], ([rational(c) for c in G[row]], rational(b[row]), int(i))
            if noise[row]:
                exact = noisy_output(*output, problem.features, rational(noise[row]))
            else:
                exact = exact_output(*output, problem.features)
            found, wanted = [*dG[row], *(d[row] for d in dnoise if noise[row]), db[row]], [*exact.couplings]
            wanted += [exact.noise] * bool(dnoise and noise[row]) + [exact.bias]
            yield compare(
                (float(value[row]), float(value_error[row])),
                (np.array(found)[:, None], float(gradient_error[row])),
                exact.value, [(s,) for s in wanted], exact.at_kink, np.array([problem.density[i]]),
            )  # fmt: skip

    return _recorded(case, lambda: estimate(G, b, own, features, noise), compared)


def _recorded(case: Case, estimate: Callable[[], tuple], compared: Callable[..., Found]) -> Record:
    """Call an estimator, and join the comparisons of all that it returned."""
    began = time.perf_counter()
    try:
        parts = estimate()
    except ValueError as refusal:
        return Record(case.number, case.stratum, case.problem.n, f"refused: {refusal}")
    except Exception as failure:  # a crash is a finding, and must not end the measurement
        return Record(case.number, case.stratum, case.problem.n, f"crashed: {type(failure).__name__}: {failure}")
    record = Record(case.number, case.stratum, case.problem.n, "measured", seconds=time.perf_counter() - began)
    for found in compared(*(np.asarray(part, dtype=float) for part in parts)):
        record = _worse(record, found)
    return record


def compare(
    value: tuple[float, float],
    gradient: tuple[Float[ndarray, "parts n"], float],
    exact_value: fmpq,
    exact_gradient: Sequence[Sequence[fmpq]],
    at_kink: bool,
    weight: Float[ndarray, " outputs"],
) -> dict[str, float]:
    """
    Compare one estimate with the exact answer.

    Parameters
    ----------
    value : tuple of float
        The value and its stated error.
    gradient : tuple of ndarray and float
        The gradient, its last row the slopes in the biases of all outputs, and its stated error.
    exact_value, exact_gradient : fmpq
        What they should be.
    at_kink : bool
        There is no gradient to compare.
    weight : ndarray
        I_i p_i of the outputs.

    Returns
    -------
    dict
        The numbers of a ``Record``.
    """
    miss = difference(value[0], exact_value)
    found = {
        "value_ratio": _ratio(miss, value[1]),
        "value_error": miss / weight.sum(),
        "value_stated": value[1] / weight.sum(),
        "gradient_stated": gradient[1] / weight.sum(),
        "loss": to_float(exact_value) / weight.sum(),
        "kinks": int(at_kink),
    }
    if not at_kink:
        misses = [
            [difference(entry, exact) for entry, exact in zip(row, exact_row, strict=True)]
            for row, exact_row in zip(gradient[0], exact_gradient, strict=True)
        ]
        worst = max(map(max, misses))
        found |= {
            "gradient_ratio": _ratio(worst, gradient[1]),
            "gradient_error": worst / weight.sum(),
            "output_error": max(s / w for s, w in zip(misses[-1], weight, strict=True) if w > 0),
        }
    return found


def _ratio(error: float, stated: float) -> float:
    """Give error / stated error; whoever states NaN or a negative error states nothing that could be right."""
    if math.isnan(stated) or stated < 0 or math.isinf(error):
        return math.inf
    if error == 0:
        return 0.0
    return error / stated if stated > 0 else math.inf


def _worse(record: Record, found: dict[str, float]) -> Record:
    """Join the results of two models of a batch: the smaller loss, the sum of kinks, the larger of all others."""
    known = asdict(record)
    joined = {name: max(known[name], number) for name, number in found.items()}
    joined |= {"loss": min(known["loss"], found["loss"]), "kinks": known["kinks"] + found["kinks"]}
    return Record(**(known | joined))

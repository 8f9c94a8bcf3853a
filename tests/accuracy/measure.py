"""The ratio of the error of a loss to the error that it states, problem by problem and stratum by stratum."""

import math
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np
from numpy import ndarray

from theory import Problem

from .estimators import Estimator
from .oracle import ExactLoss, difference, exact_loss, to_float
from .problems import STRATA, Case

__all__ = ["Record", "Summary", "as_markdown", "measure", "summaries"]


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
    """Compare what an estimator says of a problem with the exact answer."""
    began = time.perf_counter()
    try:
        found = estimate(case.W, case.b, case.problem)
    except ValueError as refusal:
        return Record(case.number, case.stratum, case.problem.n, f"refused: {refusal}")
    except Exception as failure:  # a crash is a finding, and must not end the measurement
        return Record(case.number, case.stratum, case.problem.n, f"crashed: {type(failure).__name__}: {failure}")
    seconds = time.perf_counter() - began
    value, value_error, dW, db, gradient_error = (np.asarray(part, dtype=float) for part in found)
    batch = case.b.shape[:-1]
    worst = Record(case.number, case.stratum, case.problem.n, "measured", seconds=seconds)
    for k in case.compared:
        W, b, problem = case.single(k)
        one = (
            float(np.broadcast_to(value, batch).flat[k]),
            float(np.broadcast_to(value_error, batch).flat[k]),
            dW.reshape(-1, *W.shape)[k],
            db.reshape(-1, len(b))[k],
            float(np.broadcast_to(gradient_error, batch).flat[k]),
        )
        worst = _worse(worst, compare(one, exact_loss(W, b, problem), problem))
    return worst


def compare(
    estimate: tuple[float, float, ndarray, ndarray, float], exact: ExactLoss, problem: Problem
) -> dict[str, float]:
    """Compare the estimate of a single model with the exact answer: the numbers of a ``Record``."""
    value, value_stated, dW, db, gradient_stated = estimate
    weight = problem.importance * problem.density
    miss = difference(value, exact.value)
    found = {
        "value_ratio": _ratio(miss, value_stated),
        "value_error": miss / weight.sum(),
        "value_stated": value_stated / weight.sum(),
        "gradient_stated": gradient_stated / weight.sum(),
        "loss": to_float(exact.value) / weight.sum(),
        "kinks": int(exact.at_kink),
    }
    if not exact.at_kink:
        slopes = [difference(entry, slope) for entry, slope in zip(db, exact.db, strict=True)]
        entries = [difference(u, v) for row, exact_row in zip(dW, exact.dW, strict=True)
                   for u, v in zip(row, exact_row, strict=True)]  # fmt: skip
        miss = max(*slopes, *entries)
        found |= {
            "gradient_ratio": _ratio(miss, gradient_stated),
            "gradient_error": miss / weight.sum(),
            "output_error": max(s / w for s, w in zip(slopes, weight, strict=True) if w > 0),
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


@dataclass(frozen=True)
class Summary:
    """What a stratum's problems came to; ratios above 1 are statements that were wrong."""

    stratum: str
    problems: int
    refused: int
    crashed: int
    unstated: int  # nothing stated: the function warned
    wrong_values: int  # ratio above 1
    value_ratio_99: float
    value_ratio_max: float
    value_worst: int  # number of the problem
    wrong_gradients: int
    gradient_ratio_99: float
    gradient_ratio_max: float
    gradient_worst: int
    value_error_max: float  # relative to sum_i I_i p_i, as are the next three
    value_stated_99: float
    gradient_error_max: float
    gradient_stated_99: float
    output_error_max: float  # relative to I_i p_i
    seconds: float  # of the estimator, for all of them


def summaries(records: Iterable[Record]) -> list[Summary]:
    """Summarise records by stratum, in the order of ``STRATA``, and all of them at last."""
    records = list(records)
    groups = {name: [r for r in records if r.stratum == name] for name in STRATA}
    return [_summary(name, group) for name, group in {**groups, "all": records}.items() if group]


def _summary(name: str, records: list[Record]) -> Summary:
    measured = [r for r in records if r.outcome == "measured"]

    def quantile(attribute: str, q: float) -> float:
        """A value that occurs, so that infinity does no harm."""
        values = sorted(getattr(r, attribute) for r in measured)
        return values[math.ceil(q * len(values)) - 1] if values else 0.0

    def worst(attribute: str) -> int:
        return max(measured, key=lambda r: getattr(r, attribute)).number if measured else -1

    return Summary(
        stratum=name,
        problems=len(records),
        refused=sum(r.outcome.startswith("refused") for r in records),
        crashed=sum(r.outcome.startswith("crashed") for r in records),
        unstated=sum(math.isinf(r.value_stated) for r in measured),
        wrong_values=sum(r.value_ratio > 1 for r in measured),
        value_ratio_99=quantile("value_ratio", 0.99),
        value_ratio_max=quantile("value_ratio", 1.0),
        value_worst=worst("value_ratio"),
        wrong_gradients=sum(r.gradient_ratio > 1 for r in measured),
        gradient_ratio_99=quantile("gradient_ratio", 0.99),
        gradient_ratio_max=quantile("gradient_ratio", 1.0),
        gradient_worst=worst("gradient_ratio"),
        value_error_max=quantile("value_error", 1.0),
        value_stated_99=quantile("value_stated", 0.99),
        gradient_error_max=quantile("gradient_error", 1.0),
        gradient_stated_99=quantile("gradient_stated", 0.99),
        output_error_max=quantile("output_error", 1.0),
        seconds=sum(r.seconds for r in measured),
    )


_LOSS = {
    "stratum": "stratum",
    "problems": "problems",
    "refused": "refused",
    "crashed": "crashed",
    "unstated": "warned",
    "wrong_values": "wrong",
    "value_ratio_99": "error / stated, 99 %",
    "value_ratio_max": "largest",
    "value_worst": "in problem",
    "value_error_max": "largest error",
    "value_stated_99": "stated, 99 %",
    "seconds": "seconds",
}
_GRADIENT = {
    "stratum": "stratum",
    "wrong_gradients": "wrong",
    "gradient_ratio_99": "error / stated, 99 %",
    "gradient_ratio_max": "largest",
    "gradient_worst": "in problem",
    "gradient_error_max": "largest error",
    "gradient_stated_99": "stated, 99 %",
    "output_error_max": "largest error of an output's bias",
}


def as_markdown(found: list[Summary], title: str) -> str:
    """Write summaries as a page with a table for the loss and one for its gradient."""
    return f"""# Accuracy of the population loss: {title}

|error| / stated error against the exact rational loss and the worst entry of its exact gradient; above 1 the statement
is wrong. Errors are relative to sum_i I_i p_i, those of an output's bias to its own I_i p_i. "warned": the function
withdrew its statement. `python -m tests.accuracy --only NUMBER` shows one problem.

## Loss

{_table(found, _LOSS)}

## Gradient

{_table(found, _GRADIENT)}
"""


def _table(found: list[Summary], columns: dict[str, str]) -> str:
    rows = [list(columns.values()), ["---"] * len(columns)]
    rows += [[_cell(getattr(s, name)) for name in columns] for s in found]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _cell(value: float | str) -> str:
    return f"{value:.2g}" if isinstance(value, float) else str(value)

"""Records of problems summed up by stratum, as a table."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from .measure import Record
from .problems import STRATA

__all__ = ["Summary", "as_markdown", "summaries"]


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
withdrew its statement. Made by `python -m tests.accuracy`; `python -m tests.accuracy --only NUMBER` shows one
problem.

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

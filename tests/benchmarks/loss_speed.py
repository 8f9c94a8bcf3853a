"""``python -m tests.benchmarks.loss_speed``: how fast the loss of many features is, as a page of the documentation.

Seconds are those of the processor for loss and gradient on one thread, the least of all runs that fit a second. Beside
them stand, in the same run, the quadrature that the engine replaced, and the arithmetic that power sums cannot do
without.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from tests.benchmarks.test_engine_speed import BIAS, CASES, M, N, best, floor, rows_of, unit_columns
from theory import Problem
from theory.loss.engine.bulk import Split
from theory.loss.engine.engine import row_errors
from theory.loss.engine.model import estimate_loss
from theory.loss.engine.rows import Features
from theory.loss.quadrature import quadrature
from theory.tools.arguments import writable_directory
from theory.tools.command import Parser, progress, run_command

__all__ = ["main"]

_COMMAND = "python -m tests.benchmarks.loss_speed"
# What the old route takes minutes for is left out, or compared at a lower accuracy.
_OLD = {("0.1", 1e-6), ("0.5", 1e-6), ("0.95", 1e-6), ("0.01", 1e-4), ("0.01", 1e-6), ("0.0025", 1e-4)}
_RUNS = [
    ("0.1", 1e-6),
    ("0.1", 1e-9),
    ("0.5", 1e-6),
    ("0.95", 1e-6),
    ("0.01", 1e-4),
    ("0.01", 1e-6),
    ("0.01", 1e-9),
    ("0.0025", 1e-4),
    ("0.0025", 1e-6),
    ("binary 0.1", 1e-6),
    ("p_i = 1/i", 1e-6),
    ("p_i = 1/i^1.5", 1e-6),
    ("p_i = 1/i^2", 1e-4),
    ("p_i = 1/i^2", 1e-6),
]
# Steeper laws take longer, and are not among those that are held against one another.
_ALL = CASES | {f"p_i = 1/i^{a:g}": (CASES["0.1"][0], np.arange(1.0, N + 1) ** -a) for a in (1.5, 2.0)}
# The largest problem: features, dimensions, density and accuracy.
_LARGEST = (10_000, 100, 1e-3, 1e-4)
_SIZES = (100, 300, 1000, 3000)
_PAGE = """# How fast the exact loss is

Made by `{command}`. Loss and gradient of n = {n} features in m = {m} dimensions (random unit columns, bias {bias}), on
one thread: seconds of the processor on the machine that made the page, the least of all runs that fit a second, three
at least; ratios were measured in the same run. *Error* is the largest stated error of an output relative to its value.
The *old route* is the quadrature of `theory/loss/quadrature.py`, which has one step for all outputs, at the same `rtol`
(only where it takes less than a minute). The *floor* is the arithmetic alone: as many recurrences over all couplings as
this path has terms, and products of matrices.

{table}

More features, n p = 10, m = {m}, rtol 1e-6:

{sizes}

Time grows as n to the power {exponent:.2f}.

n = {large[0]}, m = {large[1]}, density {large[2]}, rtol {large[3]}: {longest:.0f} s.
"""


@dataclass(frozen=True)
class _Row:
    """One line of the table."""

    case: str
    rtol: float
    seconds: float
    nodes: int
    error: float
    path: str
    old: float | None
    floor: float

    def __str__(self) -> str:
        old = "" if self.old is None else f"{self.old:.2f} s, {self.old / self.seconds:.0f} times"
        return (
            f"| {self.case} | {self.rtol:.0e} | {self.seconds:.3f} | {self.nodes} | {self.error:.1e} | {self.path} "
            f"| {old} | {self.seconds / self.floor:.1f} |"
        )


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = Parser(__doc__ or "", prog=_COMMAND)
    parser.add_argument("--output", type=writable_directory, default=Path("docs"), help="folder for loss_speed.md")
    folder: Path = parser.parse_args(argv).output
    with threadpool_limits(1):
        rows = [_measured(case, rtol) for case, rtol in progress(_RUNS, len(_RUNS), "densities")]
        times = [_one_size(n, M, 10 / n, 1e-6) for n in progress(_SIZES, len(_SIZES), "sizes")]
        longest = _one_size(*_LARGEST)
    head = "| density | rtol | seconds | nodes | error | path | old route | times the floor |\n" + "| --- " * 8 + "|"
    table = "\n".join([head, *map(str, rows)])
    sizes = "| n | seconds |\n| --- | --- |\n" + "\n".join(
        f"| {n} | {t:.2f} |" for n, t in zip(_SIZES, times, strict=True)
    )
    exponent = float(np.polyfit(np.log(_SIZES), np.log(times), 1)[0])
    texts = {"table": table, "sizes": sizes, "exponent": exponent, "large": _LARGEST, "longest": longest}
    page = _PAGE.format(command=_COMMAND, n=N, m=M, bias=BIAS, **texts)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "loss_speed.md").write_text(page)
    print(page)


def _measured(case: str, rtol: float) -> _Row:
    """Time one density, the old route beside it, and its arithmetic."""
    law, p = _ALL[case]
    rows, features = rows_of(unit_columns(N, M)), Features(law, p)
    terms = _terms(lambda: row_errors(rows, features, rtol=rtol))
    result = row_errors(rows, features, rtol=rtol)
    seconds = best(lambda: row_errors(rows, features, rtol=rtol))
    old = None
    if (case, rtol) in _OLD:
        seen = Problem(n=N, m=M, density=p).features
        old = best(lambda: quadrature(rows.G[None], rows.b[None], seen, np.ones((1, N)), rtol), rounds=1)
    paths, counts = np.unique(result.path, return_counts=True)
    path = ", ".join(f"{c} {name}" for name, c in zip(paths, counts, strict=True))
    error = float((result.error / result.value).max())
    return _Row(case, rtol, seconds, int(result.nodes.max()), error, path, old, floor(N, terms))


def _terms(run: object) -> int:
    """Chebyshev polynomials that the couplings went through, each coupling counted."""
    weighed, original = [], Split.sums

    def counting(self: Split) -> tuple[np.ndarray, np.ndarray]:
        weighed.append(self.x.size * self.series.terms)
        return original(self)

    Split.sums = counting  # type: ignore[method-assign]
    try:
        run()  # type: ignore[operator]
    finally:
        Split.sums = original  # type: ignore[method-assign]
    return max(1, round(sum(weighed) / N**2))


def _one_size(n: int, m: int, p: float, rtol: float) -> float:
    """Time of n features in m dimensions."""
    W, features = unit_columns(n, m), Features(CASES["0.1"][0], np.full(n, p))
    return best(lambda: estimate_loss(W, np.full(n, BIAS), features, rtol=rtol), rounds=2 if n < 1000 else 1)


if __name__ == "__main__":
    run_command(main, _COMMAND)

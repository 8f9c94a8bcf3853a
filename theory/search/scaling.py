"""Scaling laws: the best loss of n features against the dimensions m, exact where models are found, predicted beyond.

``python -m theory.search.scaling --output docs`` works through the cases below and keeps every one in a file, from
which the same command goes on where it was stopped. Values are uniform on [0, 2] and one feature is active on average,
all equally often or by a power law, p_i ~ i^-(1 + alpha): the setting of Liu, Liu and Gore 2025, "Superposition yields
robust neural scaling" (their experiments at n = 1000). Their weight decay is decoupled from the loss and may be
negative, which pulls norms to 1; here it is a penalty, ``decay`` / 2 times the squares of all weights, and never
negative: a negative one has no minimum.

A model is found by descents of the exact loss from random directions of the features that are worth most, for one
number of them after the other; its loss is a certified upper bound of the best. Predictions (theory.frames) are
estimates.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.typing import ArrayLike

from theory.tools.arguments import writable_directory
from theory.tools.command import Parser, run_command, tell
from theory.tools.seeds import Seed, generator

if TYPE_CHECKING:
    import xarray as xr

    from theory.frames.prediction import EvenFrame
    from theory.model.problem import Problem

__all__ = ["CASES", "FURTHER", "ScalingCase", "fitted_exponent", "scaling_row", "scaling_table"]

_COMMAND = "python -m theory.search.scaling"
_FILE = "scaling.nc"
VALUES = "uniform:0,2"
# Accuracy of losses on the way down and of the last; steps of the first look at a number of features, and of the
# rest; relative change of the loss at which they end.
_ROUGH, _FINAL, _LOOK, _STEPS, _CHANGE = 1e-3, 1e-4, 10, 60, 1e-7
# Ratio of the numbers of stored features that are tried, and how many in a row may cost more before the list ends.
_RATIO, _RISING = 1.7, 2
# Norm and bias (in units of the largest value) of directions where nothing is predicted; stored are longer columns.
_NORM, _BIAS, _STORED = 1.1, -0.2, 0.1


@dataclass(frozen=True)
class ScalingCase:
    """
    One point of a scaling law.

    Attributes
    ----------
    n, m : int
        Features and dimensions, 2 <= m <= n.
    alpha : float
        Densities fall as i^-(1 + alpha); -1 makes them equal.
    decay : float
        Penalty on weights, >= 0 (theory.model.terms).
    predicted : bool
        Whether the loss is predicted instead of found.
    """

    n: int
    m: int
    alpha: float = -1.0
    decay: float = 0.0
    predicted: bool = False

    @property
    def density(self) -> Float[ndarray, " n"]:
        """Densities, of sum 1, descending."""
        p = np.arange(1.0, self.n + 1) ** -(1 + self.alpha)
        return np.asarray(p / p.sum())

    def problem(self, stored: int) -> "Problem":
        """The problem of the first features alone."""
        from theory.model.problem import Problem
        from theory.model.terms import Terms

        terms = Terms(decay=self.decay)
        return Problem(n=stored, m=self.m, density=self.density[:stored], values=VALUES, terms=terms)


_FEW = (10, 15, 25, 39)
CASES = (
    *(ScalingCase(300, m, predicted=predicted) for m in _FEW for predicted in (True, False)),
    *(ScalingCase(1000, 10, predicted=predicted) for predicted in (True, False)),
    *(ScalingCase(1000, m, predicted=True) for m in (25, 63, 100)),
    *(ScalingCase(10**4, m, predicted=True) for m in (100, 300, 1000)),
    *(ScalingCase(10**6, m, predicted=True) for m in (1000, 3000, 10**4)),
    ScalingCase(1000, 10, 0.0),
    *(ScalingCase(300, m, 0.0) for m in _FEW[:2]),
    ScalingCase(300, 10, 0.5),
    ScalingCase(300, 10, 0.0, 1e-2),
)
# Those that take minutes to hours each.
FURTHER = (
    ScalingCase(300, 10, 0.0, 1e-3),
    *(ScalingCase(300, m, alpha) for m in _FEW[1:] for alpha in (0.0, 0.5)),
    *(ScalingCase(n, m, 0.0, predicted=True) for n, m in ((300, 10), (300, 15), (1000, 10))),
    *(ScalingCase(1000, m) for m in (25, 63, 100)),
    *(ScalingCase(1000, m, alpha) for m in (25, 63) for alpha in (0.0, 0.5, 1.0)),
    *(ScalingCase(n, m, predicted=True) for n, m in ((10**4, 30), (10**6, 300))),
)


def scaling_row(case: ScalingCase, seed: Seed = 0) -> dict[str, float]:
    """
    Find or predict the best loss of one case.

    Parameters
    ----------
    case : ScalingCase
        The case.
    seed : None, int, SeedSequence, BitGenerator or Generator
        Seed of the directions that descents start from.

    Returns
    -------
    dict of str to float
        ``loss``, summed over features, without the penalty; ``error``, the bound on its error (NaN of a prediction);
        ``stored`` features; ``overlap``, the mean squared cosine of two of them; ``tail``, the loss of the model that
        gives the first m features a dimension each and leaves out the others; ``zero``, that of the zero model.

    Raises
    ------
    ValueError
        If a number is out of range, or a prediction is asked for with a penalty.

    Examples
    --------
    >>> row = scaling_row(ScalingCase(100, 10, predicted=True))
    >>> row["loss"] < row["tail"] < row["zero"]
    True
    """
    from theory.frames.output_loss import left_out_error
    from theory.model.values import value_law

    law = value_law(VALUES)
    left_out = left_out_error(case.density, law)
    known = {"tail": float(left_out[case.m :].sum()), "zero": float(case.density.sum()) * law.square}
    if case.predicted:
        return _predicted(case) | known
    return _found(case, left_out, generator(seed)) | known


def _predicted(case: ScalingCase) -> dict[str, float]:
    from theory.frames.unequal import predict_uneven_frame

    if case.decay:
        raise ValueError(f"frames are predicted without penalties, but decay is {case.decay:g}")
    if case.alpha == -1:
        even = _even(case.n, case.m)
        return {"loss": even.loss, "error": np.nan, "stored": even.k, "overlap": even.squared_overlap}
    uneven = predict_uneven_frame(case.problem(case.n))
    stored = float(uneven.stored.sum())
    return {"loss": uneven.loss, "error": np.nan, "stored": stored, "overlap": uneven.squared_overlap}


@lru_cache(maxsize=1)
def _even(n: int, m: int) -> "EvenFrame":
    """The prediction, and where the descent of the same case starts."""
    from theory.frames.prediction import predict_even_frame

    return predict_even_frame(n, m, 1 / n, VALUES)


def _found(case: ScalingCase, left_out: Float[ndarray, " n"], rng: np.random.Generator) -> dict[str, float]:
    """Descend for one number of stored features after the other, go on with the best, and certify its loss."""
    from theory.frames.descent import DescendedFrame, descend_from

    def total(frame: DescendedFrame) -> float:
        return frame.loss + float(left_out[frame.W.shape[1] :].sum())

    tried: list[DescendedFrame] = []
    for W, b in _starts(case, rng):
        tried.append(descend_from(case.problem(W.shape[1]), W, b, _LOOK, _ROUGH, None, _CHANGE))
        if len(tried) > _RISING and all(total(one) > total(tried[-1 - _RISING]) for one in tried[-_RISING:]):
            break
    best = min(tried, key=total)
    k = best.W.shape[1]
    best = descend_from(case.problem(k), best.W, best.b, _STEPS, _ROUGH, _FINAL, _CHANGE)
    penalty = case.decay / 2 * float((best.W**2).sum())
    norms = np.linalg.norm(best.W, axis=0)
    U = (best.W / np.maximum(norms, 1e-300))[:, norms > _STORED]
    stored = U.shape[1]
    overlap = (float(((U.T @ U) ** 2).sum()) - stored) / (stored * (stored - 1)) if stored > 1 else 0.0
    loss = best.loss - penalty + float(left_out[k:].sum())
    return {"loss": loss, "error": best.error, "stored": stored, "overlap": overlap}


def _starts(
    case: ScalingCase, rng: np.random.Generator
) -> Iterator[tuple[Float[ndarray, "m k"], Float[ndarray, " k"]]]:
    """Random directions of the predicted number of equal features; else of more and more of the most frequent."""
    from theory.model.value_units import unit_law
    from theory.model.values import value_law

    size = unit_law(value_law(VALUES))[1]
    if case.alpha == -1 and not case.decay:
        even = _even(case.n, case.m)
        yield even.norm * _directions(case.m, even.k, rng), np.full(even.k, even.bias)
        return
    k = float(case.m)
    while True:
        number = min(round(k), case.n)
        yield _NORM * _directions(case.m, number, rng), np.full(number, _BIAS * size)
        if number == case.n:
            return
        k *= _RATIO


def _directions(m: int, k: int, rng: np.random.Generator) -> Float[ndarray, "m k"]:
    """Orthogonal directions if there are no more than dimensions, else random ones."""
    U = rng.standard_normal((m, k))
    return np.linalg.qr(U)[0] if k <= m else np.asarray(U / np.linalg.norm(U, axis=0))


def scaling_table(
    cases: Iterable[ScalingCase] = CASES, seed: Seed = 0, file: Path | None = None, bar: bool = True
) -> "xr.Dataset":
    """
    Work through cases, and keep every one as soon as it is done.

    Parameters
    ----------
    cases : iterable of ScalingCase
        The cases; by default those of the page on scaling.
    seed : None, int, SeedSequence, BitGenerator or Generator
        Seed of each case's directions.
    file : Path, optional
        Where rows are kept, and read from if they are there already.
    bar : bool
        Whether progress is shown.

    Returns
    -------
    xarray.Dataset
        Along "case": what ``ScalingCase`` has, and what ``scaling_row`` returns.
    """
    from theory.tools.kept_rows import kept_rows
    from theory.tools.seeds import seed_number

    about = {"made_by": _COMMAND, "values": VALUES, "loss": "summed over features, without penalties"}
    return kept_rows(list(cases), scaling_row, seed_number(seed), about, file, bar)


def fitted_exponent(m: ArrayLike, loss: ArrayLike) -> tuple[float, float]:
    """
    Fit loss ~ m^-exponent.

    Parameters
    ----------
    m, loss : array_like, shape (k,)
        At least three points, > 0.

    Returns
    -------
    exponent, error : float
        Least squares on logarithms, and the exponent's standard error: how straight the line is.

    Raises
    ------
    ValueError
        If there are fewer than three points.

    Examples
    --------
    >>> round(fitted_exponent([10, 20, 40], [1, 0.5, 0.25])[0], 12)
    1.0
    """
    from scipy.stats import linregress

    x, y = np.log(np.asarray(m, dtype=float)), np.log(np.asarray(loss, dtype=float))
    if len(x) < 3:
        raise ValueError(f"an exponent with an error needs three points, got {len(x)}")
    line = linregress(x, y)
    return float(-line.slope), float(line.stderr)


def main(argv: Sequence[str] | None = None) -> None:
    """
    Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; those of the process by default.
    """
    from theory.tools.storage import results_folder

    parser = Parser("Best losses against dimensions; goes on where it was stopped.", prog=_COMMAND)
    parser.add_argument("--output", type=writable_directory, default=Path(), help=f"folder for {_FILE}")
    parser.add_argument("--further", action="store_true", help="also cases that take minutes to hours each")
    parser.add_overwrite()
    options = parser.parse_args(argv)
    cases = (*CASES, *FURTHER) if options.further else CASES
    with results_folder(options.output, (_FILE,), options.overwrite, _COMMAND) as folder:
        table = scaling_table(cases, file=folder / _FILE)
    for row in range(table.sizes["case"]):
        tell("  ".join(f"{name} {float(values[row]):.6g}" for name, values in table.items()))


if __name__ == "__main__":
    run_command(main, _COMMAND)

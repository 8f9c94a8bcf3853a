"""Many features beside one another: predicted, products, codes, the best arrangement known, and trained models.

``python -m numerics.agreement.many_features --output docs`` works through ten densities of 400 equal features in 30
dimensions, through sizes that predictions were held out on, and a power law; every row is kept as soon as it is done,
and the same command goes on where it was stopped. A page shows them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from theory.tools.arguments import count, writable_directory
from theory.tools.command import Parser, progress, run_command, tell

if TYPE_CHECKING:
    import xarray as xr

    from theory.model.problem import Problem

__all__ = ["CASES", "ManyFeatures", "many_features_page", "many_features_row"]

_COMMAND = "python -m numerics.agreement.many_features"
_FILE, _PAGE = "many_features.nc", "many_features.md"
# Training, and the accuracy of a trained model's loss; steps of the descent of a power law.
_RECIPE = {"steps": 4000, "learning_rate": 1e-2, "init": "xavier", "progress": False, "snapshots": ()}
_MODELS, _ACCURACY, _STEPS = 3, 1e-5, 240
# Norm and bias from which features that are not equal descend.
_NORM, _BIAS = 1.1, -0.3


@dataclass(frozen=True)
class ManyFeatures:
    """
    Features uniform on [0, 1], of importance 1.

    Attributes
    ----------
    n, m : int
        Features and dimensions.
    density : float
        Of all features, or of the first.
    power : float
        Feature i, from 1, has density / i^power.
    """

    n: int
    m: int
    density: float
    power: float = 0.0

    @property
    def problem(self) -> "Problem":
        """The problem."""
        from theory.model.problem import Problem

        if not self.power:
            return Problem(n=self.n, m=self.m, density=self.density)
        return Problem(n=self.n, m=self.m, density=self.density * np.arange(1.0, self.n + 1) ** -self.power)


CASES = (
    *(ManyFeatures(n, m, p) for n, m in ((60, 8), (200, 20), (128, 32)) for p in (0.1, 0.05, 0.02)),
    *(ManyFeatures(400, 30, p) for p in (0.5, 0.3, 0.2, 0.15, 0.1, 0.07, 0.05, 0.03, 0.02, 0.01)),
    ManyFeatures(400, 30, 0.5, 1.0),
)


def many_features_row(case: ManyFeatures, seed: int = 0) -> dict[str, float | str]:
    """
    Predict, pack, descend and train.

    Parameters
    ----------
    case : ManyFeatures
        The problem.
    seed : int
        Seed of the directions that descents start from, and of training.

    Returns
    -------
    dict of str to float or str
        ``predicted`` (an estimate) and ``stored`` features; ``product``, ``code`` and ``best``, the losses of the best
        product of polytopes, with spherical codes, and of everything known, each with its ``_name``; ``learned``, the
        lowest loss of three models trained from Xavier's weights. Losses are exact, of products and codes those of
        their optima. Products are of equal features: NaN for a power law.

    Raises
    ------
    ValueError
        If a number is out of range.
    """
    problem = case.problem
    W, b = _trained(problem, seed)
    learned = min((_loss(W[k], b[k], problem), k) for k in range(len(W)))
    found = _uneven(problem, seed) if case.power else _even(case, seed)
    if learned[0] < float(found["best"]):
        found |= {"best": learned[0], "best_name": "the trained model"}
    return found | {"learned": learned[0]}


def _even(case: ManyFeatures, seed: int) -> dict[str, float | str]:
    from theory.packing.even_table import even_table
    from theory.packing.mixtures import best_mixture, frames_of_parts

    at = case.n, case.m, case.density
    row = even_table(case.n, case.m, [case.density]).isel(density=0)
    best = best_mixture(*at, frames_of_parts(*at, seed=seed, stored=int(row["stored"])))
    return {
        "predicted": float(row["frame_loss"]),
        "stored": float(row["stored"]),
        "product": float(row["product_loss"]),
        "product_name": str(row["product"].item()),
        "code": float(row["with_codes_loss"]),
        "code_name": str(row["with_codes"].item()),
        "best": best.loss,
        "best_name": best.name,
    }


def _uneven(problem: "Problem", seed: int) -> dict[str, float | str]:
    from theory.frames.descent import descend_from
    from theory.frames.unequal import predict_uneven_frame

    frame = predict_uneven_frame(problem)
    U = np.random.default_rng(seed).standard_normal((problem.m, problem.n))
    W, b = _NORM * U / np.linalg.norm(U, axis=0), np.full(problem.n, _BIAS)
    best = descend_from(problem, W, b, _STEPS, rtol=1e-3, final=_ACCURACY, change=1e-7)
    nothing: dict[str, float | str] = {"product": np.nan, "product_name": "", "code": np.nan, "code_name": ""}
    predicted: dict[str, float | str] = {"predicted": frame.loss, "stored": float(frame.stored.sum())}
    return predicted | nothing | {"best": best.loss, "best_name": "a descent from random directions"}


def _trained(problem: "Problem", seed: int) -> tuple[Float[ndarray, "k m n"], Float[ndarray, "k n"]]:
    from numerics.training.run import train

    learned = train(problem, _MODELS, seed=seed, **_RECIPE)  # type: ignore[arg-type]
    return learned["W"].values.astype(float), learned["b"].values.astype(float)


def _loss(W: Float[ndarray, "m n"], b: Float[ndarray, " n"], problem: "Problem") -> float:
    from theory.loss.certified import loss_estimate

    return float(loss_estimate(W, b, problem, rtol=_ACCURACY).value)


def many_features_page(table: "xr.Dataset", of: int) -> str:
    """
    Show the table as Markdown.

    Parameters
    ----------
    table : xarray.Dataset
        Rows along "case".
    of : int
        How many there are to be.

    Returns
    -------
    str
        The page.
    """
    lines = [
        "# Many features: predicted, packed, descended, trained",
        "",
        f"Made by `{_COMMAND}`; {table.sizes['case']} of {of} rows.",
        "",
        "Independent features uniform on [0, 1], of importance 1; losses are summed over features. `predicted` is an",
        "estimate, from below where features are equal; `product` and `code` are the best products of polytopes",
        "without and with spherical codes, `best known` the best of these, of descended even frames, of mixtures of",
        f"all, and of the trained models; `trained` is the best of {_MODELS} from Xavier's weights, after",
        f"{_RECIPE['steps']} steps of Adam.",
        "",
        "| n, m | p | predicted | stored | product | code | trained | best known | above predicted | best known is |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for j in range(table.sizes["case"]):
        row = table.isel(case=j)
        number = {str(name): float(row[name]) for name in table if table[name].dtype.kind == "f"}
        law = f"{number['density']:g}" + (f" / i^{number['power']:g}" if number["power"] else "")
        lines.append(
            f"| {number['n']:g}, {number['m']:g} | {law} | {number['predicted']:.4f} | {number['stored']:.4g} "
            f"| {_cell(number['product'])} | {_cell(number['code'])} | {number['learned']:.4f} | {number['best']:.4f} "
            f"| {number['best'] / number['predicted'] - 1:.1%} | {row['best_name'].item()} |"
        )
    return "\n".join([*lines, ""])


def _cell(loss: float) -> str:
    return "" if np.isnan(loss) else f"{loss:.4f}"


def main(argv: Sequence[str] | None = None) -> None:
    """
    Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; those of the process by default.
    """
    from theory.tools.kept_rows import kept_rows
    from theory.tools.storage import load_result, results_folder, write

    parser = Parser("Many features: predicted, packed, descended, trained.", prog=_COMMAND)
    parser.add_argument("--n", type=count, nargs="+", help="sizes to compute; by default all")
    parser.add_argument("--output", type=writable_directory, default=Path(), help=f"folder for {_PAGE} and {_FILE}")
    parser.add_overwrite()
    options = parser.parse_args(argv)
    wanted = [case for case in CASES if options.n is None or case.n in options.n]
    if not wanted:
        raise ValueError(f"there are no such sizes; n is one of {sorted({case.n for case in CASES})}")
    about = {"made_by": _COMMAND, "loss": "summed over features"}
    with results_folder(options.output, (_FILE, _PAGE), options.overwrite, _COMMAND) as folder:
        done: list[ManyFeatures] = []
        for case in progress(wanted, total=len(wanted), label="rows"):
            done.append(case)
            kept_rows(done, many_features_row, 0, about, folder / _FILE, bar=False)
            write(folder / _PAGE, many_features_page(load_result(folder / _FILE), len(CASES)))
    tell(folder / _PAGE)


if __name__ == "__main__":
    run_command(main, _COMMAND)

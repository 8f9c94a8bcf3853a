"""Linear against ReLU models, n = 40 and m = 5, from dense to sparse features (claim 21).

Importance falls linearly from 1 to 0.1; S = 0.1, 0.5, 0.9. Three models: linear; ReLU on the output; and, as in the
source's code, a second ReLU on the hidden layer. Above, W^T W and b of the best of the trained models. Below, per
sparsity: the loss in units of the linear optimum's, the number of represented features (norm above 1/2), and the size
of W^T W off its diagonal (Frobenius norm), learned, and in theory: the linear model's exact optimum, which projects on
the five most important features and has b = p/2 for the others, and the ideal pairing of the ReLU model.
"""

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from figures.common import COLOURS, Settings, main, new_figure
from numerics import train
from theory import Problem, best_pairing, feature_norms, population_loss

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage
    from numpy import ndarray

N, M = 40, 5
SPARSITIES = np.array([0.1, 0.5, 0.9])
IMPORTANCE = np.linspace(1.0, 0.1, N)
MODELS = {"linear": "linear", "relu": "ReLU output", "relu_hidden": "ReLU output and hidden"}
REPRESENTED = 0.5


def compute(settings: Settings) -> xr.Dataset:
    """Train every model at every sparsity; the exact linear optimum and the ideal pairing beside them."""
    instances, steps = (1, 2500) if settings.quick else (8, 10_000)
    problem = Problem(m=M, density=np.repeat(1 - SPARSITIES[:, None], N, axis=1), importance=IMPORTANCE)
    runs = [
        train(problem, instances=instances, steps=steps, seed=settings.seed, model=model, learning_rate=0.01,
              workers=settings.workers)
        for model in MODELS
    ]  # fmt: skip
    shape = (len(SPARSITIES), instances)
    losses = np.array([run["loss"].values.reshape(shape) for run in runs])
    each = Problem(m=M, density=problem.density.repeat(instances, axis=0), importance=IMPORTANCE)
    exact = population_loss(runs[0]["W"].values, runs[0]["b"].values, each, model="linear")
    losses[0] = np.reshape(exact, shape)  # the others' are held-out estimates
    data = xr.Dataset(
        {
            "W": (
                ("model", "sparsity", "instance", "dimension", "feature"),
                np.array([run["W"].values.reshape(*shape, M, N) for run in runs]),
            ),
            "b": (("model", "sparsity", "instance", "feature"), [run["b"].values.reshape(*shape, N) for run in runs]),
            "loss": (("model", "sparsity", "instance"), losses),
        },
        coords={"model": list(MODELS), "sparsity": SPARSITIES, "feature": np.arange(N)},
    )
    data = data.merge(_theory())
    data.attrs["summary"] = _summary(data)
    return data


def _theory() -> xr.Dataset:
    """Exact optimum of the linear model, ideal pairing of the ReLU model."""
    p = 1 - SPARSITIES
    top = np.arange(N) < M
    pairings = [best_pairing(Problem(n=N, m=M, density=float(q), importance=IMPORTANCE)) for q in p]
    return xr.Dataset(
        {
            "linear_loss": ("sparsity", (p / 3 - p**2 / 4) * IMPORTANCE[~top].sum()),
            "linear_b": (("sparsity", "feature"), np.where(top, 0.0, p[:, None] / 2)),
            "pairing_loss": ("sparsity", [pairing.loss for pairing in pairings]),
            "pairing_pairs": ("sparsity", [len(pairing.pairs) for pairing in pairings]),
            "pairing_represented": ("sparsity", [N - len(pairing.unrepresented) for pairing in pairings]),
        },
        coords={"sparsity": SPARSITIES, "feature": np.arange(N)},
    )


def represented(data: xr.Dataset) -> "ndarray":
    """
    Count the represented features of every run.

    Parameters
    ----------
    data : xarray.Dataset
        As ``compute`` returns it.

    Returns
    -------
    ndarray of int, shape (models, sparsities, instances)
        Features of norm above 1/2.
    """
    return np.asarray((feature_norms(data["W"].values) > REPRESENTED).sum(-1))


def off_diagonal(data: xr.Dataset) -> "ndarray":
    """
    Measure W^T W off its diagonal.

    Parameters
    ----------
    data : xarray.Dataset
        As ``compute`` returns it.

    Returns
    -------
    ndarray, shape (models, sparsities, instances)
        Frobenius norm; sqrt(2 k) for k ideal antipodal pairs.
    """
    W = data["W"].values
    G = np.swapaxes(W, -1, -2) @ W
    return np.asarray(np.linalg.norm(G * (1 - np.eye(N)), axis=(-2, -1)))


def best(data: xr.Dataset, model: str, k: int) -> tuple["ndarray", "ndarray"]:
    """
    Give the best run of a model at one sparsity.

    Parameters
    ----------
    data : xarray.Dataset
        As ``compute`` returns it.
    model : str
        Which of MODELS.
    k : int
        Number of the sparsity.

    Returns
    -------
    W : ndarray, shape (5, 40)
        Embedding.
    b : ndarray, shape (40,)
        Biases.
    """
    runs = data.sel(model=model).isel(sparsity=k)
    run = runs.isel(instance=int(runs["loss"].values.argmin()))
    return run["W"].values, run["b"].values


def _summary(data: xr.Dataset) -> str:
    counts, size = represented(data), off_diagonal(data)
    lines = []
    for j, model in enumerate(MODELS):
        pairs = [best(data, model, k) for k in range(len(SPARSITIES))]
        last = [int(np.flatnonzero(feature_norms(W) > REPRESENTED).max(initial=-1)) + 1 for W, _ in pairs]
        ratio = (data["loss"].values[j] / data["linear_loss"].values[:, None]).min(1)
        lines.append(
            f"{MODELS[model]}: at S = {SPARSITIES.tolist()}: least loss / linear optimum {ratio.round(4).tolist()}; "
            f"represented on average {counts[j].mean(1).round(1).tolist()}, the least important of the best run is "
            f"number {last}; |W^T W off diagonal| on average {size[j].mean(1).round(2).tolist()}; mean |b| of the best "
            f"{[round(float(np.abs(b).mean()), 3) for _, b in pairs]}, of its first five "
            f"{[round(float(np.abs(b[:M]).mean()), 3) for _, b in pairs]}"
        )
    pairing = (data["pairing_loss"] / data["linear_loss"]).values.round(4).tolist()
    lines.append(
        f"theory: linear: represented 5, off diagonal 0 at every sparsity, mean |b| "
        f"{np.abs(data['linear_b'].values).mean(1).round(3).tolist()}; ideal pairing: loss / linear optimum {pairing}, "
        f"represented {data['pairing_represented'].values.tolist()}, off diagonal "
        f"{np.sqrt(2 * data['pairing_pairs'].values).round(2).tolist()}"
    )
    return "\n".join(lines)


def draw(data: xr.Dataset) -> "Figure":
    """One row per model, one column per sparsity; the numbers below."""
    figure = new_figure(10.5, 13.0)
    grid = figure.add_gridspec(4, 3, height_ratios=(1, 1, 1, 1.05))
    for j, (model, label) in enumerate(MODELS.items()):
        for k, sparsity in enumerate(SPARSITIES):
            axes = figure.add_subplot(grid[j, k])
            image = _draw_couplings(axes, *best(data, model, k))
            if not j:
                axes.set_title(f"S = {sparsity:g}", fontsize=11)
            if not k:
                axes.set_ylabel(f"{label}\n$W^TW$ | $b$")
    figure.colorbar(image, ax=figure.axes[:9], label="$W^TW$ and $b$", shrink=0.5)
    theory = (
        (np.ones(3), (data["pairing_loss"] / data["linear_loss"]).values, "loss / linear optimum"),
        (np.full(3, M), data["pairing_represented"].values, "represented features"),
        (np.zeros(3), np.sqrt(2 * data["pairing_pairs"].values), r"$|W^TW|_F$ off the diagonal"),
    )
    learned = (data["loss"].values / data["linear_loss"].values[:, None], represented(data), off_diagonal(data))
    for k in range(3):
        axes = figure.add_subplot(grid[3, k])
        _draw_numbers(axes, learned[k], theory[k][:2])
        axes.set_ylabel(theory[k][2])
        if not k:
            figure.legend(
                *axes.get_legend_handles_labels(), loc="outside lower center", ncol=3, frameon=False, fontsize=9
            )
    return figure


def _draw_couplings(axes: "Axes", W: "ndarray", b: "ndarray") -> "AxesImage":
    picture = np.concatenate([W.T @ W, np.full((N, 2), np.nan), np.repeat(b[:, None], 3, axis=1)], axis=1)
    axes.set_xticks([])
    axes.set_yticks([])
    return axes.imshow(picture, cmap="RdBu_r", vmin=-1.2, vmax=1.2, interpolation="nearest")


def _draw_numbers(axes: "Axes", learned: "ndarray", theory: tuple["ndarray", "ndarray"]) -> None:
    axes.plot(SPARSITIES, theory[0], color=COLOURS[0], lw=1.6, label="linear, exact optimum")
    axes.plot(SPARSITIES, theory[1], color=COLOURS[1], lw=1.6, ls="--", label="ReLU output, ideal pairing")
    for j, label in enumerate(MODELS.values()):
        x = np.repeat(SPARSITIES + 0.02 * (j - 1), learned.shape[2])
        axes.plot(x, learned[j].ravel(), "o^s"[j], color=COLOURS[j], ms=5, alpha=0.6, label=f"{label}, learned")
    axes.set_xlabel("sparsity S")
    axes.set_xticks(SPARSITIES)
    axes.set_ylim(0, 1.08 * max(learned.max(), theory[0].max(), theory[1].max()))


if __name__ == "__main__":
    main(__doc__, compute, draw, __file__)

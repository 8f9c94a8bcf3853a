"""Linear against ReLU models
==========================

Forty features in five dimensions, from dense to sparse (claim 21).

Importance falls linearly from 1 to 0.1; S = 0.1, 0.5, 0.9. Three models: linear; ReLU on the output; and, as in the
source's code, a second ReLU on the hidden layer. Above, W^T W and b of the best of the trained models. Below, per
sparsity: the loss in units of the linear optimum's, the number of represented features (norm above 1/2), and the size
of W^T W off its diagonal (Frobenius norm), learned, and in theory: the linear model's exact optimum, which projects on
the five most important features and has b = p/2 for the others, and the ideal pairing of the ReLU model.
"""

from figures.shared.script import COLOURS, Settings, main, new_figure

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from figures.shared.verdicts import Finding, Verdict
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
# The post: the linear model captures the top five, whose biases are smallest.
STATED_TOP = 5
# A loss this part below the linear optimum is "much better"; of two sizes, one this many times the other is "much
# bigger", and sizes within that factor show "not much difference".
_MUCH_BETTER, _MUCH_BIGGER = 0.01, 2.0


def compute(settings: Settings) -> xr.Dataset:
    """Train every model at every sparsity; the exact linear optimum and the ideal pairing beside them."""
    instances, steps = (1, 2500) if settings.quick else (8, 5000)
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


def judge(data: xr.Dataset) -> list[Verdict]:
    """Compare the three models with what the post says of two of them."""
    findings = (*_reach(data), *_biases(data), *_couplings(data))
    why = (
        "Dense features interfere whatever the sign, so that a ReLU gains nothing and both models are the projection "
        "on the top features. Sparse ones are seldom active together: the ReLU model stores them in superposition, "
        "with negative biases against what remains, while the linear model pays for every coupling and has none."
    )
    return [Verdict(21, findings, why)]


def _reach(data: xr.Dataset) -> list[Finding]:
    """How many features are captured, and how well, sparsity by sparsity."""
    counts = represented(data)
    linear = counts[0]
    findings = [
        Finding(
            f"the linear model captures the top {STATED_TOP}",
            f"{linear.mean():.1f} features represented on average, at most {linear.max()} at any S",
            bool((linear == STATED_TOP).all()),
        )
    ]
    for k, sparsity in enumerate(SPARSITIES):
        gain = 1 - data["loss"].values[1:, k].min(1) / float(data["linear_loss"][k])
        findings += [
            Finding(
                f"S = {sparsity:g}: ReLU models reach less important features",
                f"{counts[1, k].mean():.1f} represented on average, {counts[2, k].mean():.1f} with a hidden ReLU; "
                f"linear {linear[k].mean():.1f}",
                bool((counts[1:, k].mean(1) > linear[k].mean()).all()),
            ),
            Finding(
                f"S = {sparsity:g}: they compress much better",
                f"loss {gain[0]:.1%} below the linear optimum, {gain[1]:.1%} with a hidden ReLU",
                bool(gain.min() > _MUCH_BETTER),
            ),
        ]
    return findings


def _biases(data: xr.Dataset) -> list[Finding]:
    """Which biases are smallest, and how large they are."""
    sizes = {model: [np.abs(best(data, model, k)[1]) for k in range(len(SPARSITIES))] for model in MODELS}
    top = range(STATED_TOP)
    ordered = {model: [set(np.argsort(b)[:STATED_TOP]) == set(top) for b in sizes[model]] for model in MODELS}
    means = {model: np.array([b.mean() for b in sizes[model]]) for model in MODELS}
    shown = {model: ", ".join(f"{mean:.3f}" for mean in means[model]) for model in MODELS}
    relu = ("relu", "relu_hidden")

    def where(model: str) -> str:
        return ", ".join(f"{s:g}" for s, yes in zip(SPARSITIES, ordered[model], strict=True) if yes) or "none"

    return [
        Finding(
            f"linear: the biases of the top {STATED_TOP} are smallest",
            f"at S = {where('linear')}",
            all(ordered["linear"]),
        ),
        Finding(
            "ReLU: they are not",
            f"they are at S = {where('relu')}, with a hidden ReLU at S = {where('relu_hidden')}",
            not any(any(ordered[model]) for model in relu),
        ),
        Finding(
            "ReLU: biases are generally smaller",
            f"mean |b| at S = {', '.join(f'{s:g}' for s in SPARSITIES)}: {shown['relu']}, with a hidden ReLU "
            f"{shown['relu_hidden']}; linear {shown['linear']}",
            all(bool((means[model] < means["linear"]).all()) for model in relu),
        ),
    ]


def _couplings(data: xr.Dataset) -> list[Finding]:
    """How W^T W off its diagonal grows with the sparsity."""
    size = off_diagonal(data).mean(2)
    words = [f"|W^T W| off the diagonal {row[0]:.2f} at S = {SPARSITIES[0]:g}, {row[-1]:.2f} at S = {SPARSITIES[-1]:g}"
             for row in size]  # fmt: skip
    growth = size[:, -1] > _MUCH_BIGGER * size[:, 0]
    return [
        Finding("ReLU: W^T W off the diagonal is much bigger when sparse", words[1], bool(growth[1])),
        Finding("with a hidden ReLU: the same", words[2], bool(growth[2])),
        Finding("linear: the same", words[0], bool(growth[0])),
        Finding(
            f"not much difference between linear and ReLU at S = {SPARSITIES[-1]:g}",
            f"{size[1, -1]:.2f} for ReLU, {size[2, -1]:.2f} with a hidden ReLU; {size[0, -1]:.2f} for linear",
            bool(size[1:, -1].max() < _MUCH_BIGGER * size[0, -1]),
        ),
    ]


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

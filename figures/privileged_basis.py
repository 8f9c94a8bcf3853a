"""A privileged basis: ReLU on the hidden layer
============================================

With a ReLU on the hidden layer, x' = ReLU(W^T ReLU(W x) + b), hidden space has a basis of neurons, and W can be read
neuron by neuron (claim 18). Without it, rotating hidden space changes nothing. n = 10, m = 5, importances 0.75^i.

(a) W of the best trained model, neuron by neuron: what each feature adds to it (up) or takes from it (down), with the
    hidden ReLU above and without it below. Neurons are in the order of their strongest feature.
(b) Monosemantic neurons, those with more than 90 % of their squared weight on one feature (bars: more than 70 % to more
    than 95 %): all instances, and the mean over random rotations of the same W.
(c) The loss after a random rotation of hidden space, in units of the loss.
(d) The loss, in units of the monosemantic solution's: W = identity on the first m features, loss
    (p/3 - p^2/4) sum_{i > m} I_i, which the hidden ReLU does not change. Antipodal pairs, the first superposition
    without it, are impossible with it: a neuron cannot be below zero.
"""

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from figures.common import COLOURS, Settings, main, new_figure
from figures.verdicts import Finding, Verdict
from numerics import Parameters, forward, sample, train
from theory import Problem, best_pairing, unrepresented_loss

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy import ndarray

N, M, DECAY = 10, 5, 0.75
MODELS = {"relu_hidden": "ReLU on the hidden layer", "relu": "no ReLU on the hidden layer"}
# A basis is privileged if rotating it changes the loss by more than this factor; without one, nothing changes.
ROTATION_CHANGES = 1.0
MONOSEMANTIC, THRESHOLDS = 0.9, (0.7, 0.8, 0.95)
# A neuron this weak reads nothing.
_SILENT = 0.1


def problem(density: float) -> Problem:
    """
    Give the problem at one density.

    Parameters
    ----------
    density : float
        Density p of the features.

    Returns
    -------
    Problem
        10 features in 5 dimensions.
    """
    return Problem(n=N, m=M, density=density, importance=DECAY ** np.arange(N))


def monosemantic_loss(density: float) -> float:
    """
    Give the loss of one neuron for each of the most important features.

    Parameters
    ----------
    density : float
        Density p of the features.

    Returns
    -------
    float
        (p/3 - p^2/4) sum_{i > m} I_i, with or without a hidden ReLU.
    """
    return float(unrepresented_loss(density) * (DECAY ** np.arange(N))[M:].sum())


def compute(settings: Settings) -> xr.Dataset:
    """Train both models at every density, and rotate what they learned."""
    p = np.array([1.0, 0.3, 0.03] if settings.quick else [1.0, 0.6, 0.3, 0.1, 0.03, 0.01])
    instances, steps, batch = (4, 1500, 256) if settings.quick else (8, 5000, 512)
    batched = Problem(m=M, density=np.repeat(p[:, None], N, axis=1), importance=DECAY ** np.arange(N))
    shape = (len(p), instances)
    W, b = np.empty((len(MODELS), *shape, M, N)), np.empty((len(MODELS), *shape, N))
    for j, model in enumerate(MODELS):
        run = train(batched, instances=instances, steps=steps, batch=batch, seed=settings.seed, model=model,
                    learning_rate=0.02, workers=settings.workers, snapshots=[])  # fmt: skip
        W[j], b[j] = run["W"].values.reshape(*shape, M, N), run["b"].values.reshape(*shape, N)
    dims = ("model", "density", "instance")
    data = xr.Dataset(
        {"W": ((*dims, "neuron", "feature"), W), "b": ((*dims, "feature"), b),
         "pairing": ("density", [best_pairing(problem(q)).loss / monosemantic_loss(q) for q in p])},
        coords={"model": list(MODELS), "density": p},
    )  # fmt: skip
    loss, rotated, shares = _rotations(data, settings)
    data["loss"] = (dims, loss)
    data["rotated"] = ((*dims, "rotation"), rotated)
    data["rotated_share"] = ((*dims, "rotation", "neuron"), shares)
    data.attrs["summary"] = _summary(data)
    return data


def _rotations(data: xr.Dataset, settings: Settings) -> tuple["ndarray", "ndarray", "ndarray"]:
    """Losses, the factors by which random rotations raise them, and the rotated neurons' shares."""
    rotations = 10 if settings.quick else 40
    rng = np.random.default_rng([settings.seed, 18])
    Q = np.array([_rotation(rng) for _ in range(rotations)])
    shape = data["b"].shape[:3]
    loss, factor = np.empty(shape), np.empty((*shape, rotations))
    share = np.empty((*shape, rotations, M))
    for k, p in enumerate(data["density"].values):
        x = sample(problem(p).features, 4000 if settings.quick else 40_000, rng)
        for j, model in enumerate(MODELS):
            for i in range(shape[2]):
                W, b = data["W"].values[j, k, i], data["b"].values[j, k, i]
                own = _loss(W, b, x, model)
                loss[j, k, i] = own / monosemantic_loss(p)
                factor[j, k, i] = [_loss(q @ W, b, x[:4000], model) for q in Q]
                factor[j, k, i] /= _loss(W, b, x[:4000], model)
                share[j, k, i] = largest_share(Q @ W)
    return loss, factor, share


def _rotation(rng: np.random.Generator) -> "ndarray":
    """Draw a rotation uniformly."""
    Q, R = np.linalg.qr(rng.standard_normal((M, M)))
    return np.asarray(Q * np.sign(np.diagonal(R)))


def _loss(W: "ndarray", b: "ndarray", x: "ndarray", model: str) -> float:
    error = ((forward(Parameters(W, b), x, model) - x) ** 2).mean(0)
    return float(error @ DECAY ** np.arange(N))


def largest_share(W: "ndarray") -> "ndarray":
    """
    Say how much of each neuron's squared weight lies on one feature.

    Parameters
    ----------
    W : ndarray, shape (..., m, n)
        Embedding.

    Returns
    -------
    ndarray, shape (..., m)
        max_i W_ki^2 / sum_i W_ki^2, from 1/n to 1; 0 for a silent neuron.
    """
    squares = W**2
    total = squares.sum(-1)
    return np.asarray(np.where(total > _SILENT, squares.max(-1) / np.maximum(total, _SILENT), 0.0))


def monosemantic(data: xr.Dataset, threshold: float = MONOSEMANTIC) -> "ndarray":
    """
    Count the monosemantic neurons.

    Parameters
    ----------
    data : xarray.Dataset
        As ``compute`` returns it.
    threshold : float
        Least share of the strongest feature.

    Returns
    -------
    ndarray of int, shape (models, densities, instances)
        Number of neurons, 0 to 5.
    """
    return np.asarray((largest_share(data["W"].values) > threshold).sum(-1))


def best(data: xr.Dataset) -> "ndarray":
    """
    Pick the best instances.

    Parameters
    ----------
    data : xarray.Dataset
        As ``compute`` returns it.

    Returns
    -------
    ndarray of int, shape (models, densities)
        Which instance has the least loss.
    """
    return np.asarray(data["loss"].values.argmin(-1))


def _of_best(data: xr.Dataset, values: "ndarray") -> "ndarray":
    return np.take_along_axis(values, best(data)[..., None], axis=2)[..., 0]


def _summary(data: xr.Dataset) -> str:
    lines = [f"densities {data['density'].values.tolist()}"]
    for j, name in enumerate(MODELS.values()):
        counts = {t: _of_best(data, monosemantic(data, t))[j].tolist() for t in (MONOSEMANTIC, *THRESHOLDS)}
        chance = (data["rotated_share"].values[j] > MONOSEMANTIC).sum(-1).mean((-1, -2)).round(2).tolist()
        lines.append(
            f"{name}: monosemantic neurons of the best by share {counts}, mean over instances "
            f"{monosemantic(data)[j].mean(1).round(2).tolist()}, of rotated W {chance}; loss after a rotation / "
            f"loss, median {np.median(data['rotated'].values[j], axis=(1, 2)).round(4).tolist()}; least loss / "
            f"monosemantic {data['loss'].values[j].min(1).round(4).tolist()}"
        )
    lines.append(f"ideal pairing without hidden ReLU / monosemantic {data['pairing'].values.round(4).tolist()}")
    return "\n".join(lines)


def judge(data: xr.Dataset) -> list[Verdict]:
    """Claim 18: rotations cost, neurons can be read, and both kinds of neurons occur."""
    p = data["density"].values
    factor = np.median(data["rotated"].values, axis=(2, 3))
    counts = {t: _of_best(data, monosemantic(data, t)) for t in (MONOSEMANTIC, *THRESHOLDS)}
    with_relu, without = counts[MONOSEMANTIC]
    chance = (data["rotated_share"].values > MONOSEMANTIC).sum(-1).mean((2, 3))
    clearest = int(with_relu.argmax())
    beyond_chance = with_relu[clearest] - chance[0, clearest]
    both = {t: bool(((c[0] > 0) & (c[0] < M)).any() and c[0, -1] < c[0].max()) for t, c in counts.items()}
    findings = (
        Finding("a ReLU on the hidden layer privileges its basis",
                f"a random rotation multiplies the loss by {factor[0].min():.3g} to {factor[0].max():.3g} (medians per "
                f"density), without that ReLU by {np.abs(data['rotated'].values[1]).max():.6f} at most",
                bool(factor[0].min() > ROTATION_CHANGES and np.allclose(data["rotated"].values[1], 1, rtol=1e-6))),
        Finding("W becomes directly interpretable: neurons stand for features",
                f"{with_relu.tolist()} of {M} neurons are monosemantic at p = {p.tolist()}, by chance "
                f"{chance[0].round(2).tolist()}; without that ReLU {without.tolist()}",
                bool(with_relu[clearest] >= 3 and beyond_chance > 2 and without.max() <= 1)),
        Finding("mono- and polysemantic neurons occur",
                "monosemantic ones become fewer as features get sparser; at every threshold: "
                + ", ".join(f"{t:g}: {c[0].tolist()}" for t, c in counts.items()),
                all(both.values())),
    )  # fmt: skip
    why = (
        "The hidden ReLU acts on each neuron by itself and so tells the basis of neurons from every other. Dense "
        "features are then best served by one neuron each; sparser ones share neurons, with inhibition (negative "
        "weights) to tell them apart, because antipodal pairs would need neurons below zero."
    )
    return [Verdict(18, findings, why)]


def draw(data: xr.Dataset) -> "Figure":
    """Neurons above, counts and losses below."""
    figure = new_figure(13.0, 10.0)
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=(1.45, 1))[:, 0]
    shown = range(data.sizes["density"])
    panels = above.subplots(2, len(shown), sharex=True, sharey="row")
    chosen = best(data)
    for j, label in enumerate(MODELS.values()):
        for axes, k in zip(panels[j], shown, strict=True):
            _draw_neurons(axes, data["W"].values[j, k, chosen[j, k]])
            if not j:
                axes.set_title(f"p = {data['density'].values[k]:g}", fontsize=11)
        panels[j, 0].set_ylabel(f"{label}\nweights of the neuron", fontsize=9)
    above.suptitle("(a) W, neuron by neuron", fontsize=11, x=0.02, ha="left")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    above.legend(handles, labels, loc="outside lower center", ncol=N, frameon=False, fontsize=9, title="feature",
                 columnspacing=1.2, handlelength=1)  # fmt: skip
    left, middle, right = below.subplots(1, 3)
    _draw_counts(left, data)
    _draw_rotations(middle, data)
    _draw_losses(right, data)
    return figure


def _draw_neurons(axes: "Axes", W: "ndarray") -> None:
    """Stacked bars: positive weights upwards, negative ones downwards."""
    import matplotlib

    order = np.lexsort((-np.abs(W).max(1), np.abs(W).argmax(1)))
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.95, N))
    for sign in (1, -1):
        bottom = np.zeros(M)
        for i in range(N):
            height = np.where(sign * W[order, i] > 0, W[order, i], 0)
            label = str(i + 1) if sign > 0 else None
            axes.bar(np.arange(M) + 1, height, 0.8, bottom, color=colours[i], label=label, edgecolor="white", lw=0.4)
            bottom += height
    axes.axhline(0, color="black", lw=0.8)
    axes.use_sticky_edges = False
    axes.set_xticks(np.arange(M) + 1)


def _draw_counts(axes: "Axes", data: xr.Dataset) -> None:
    p = data["density"].values
    low, mid, high = (_of_best(data, monosemantic(data, t)) for t in (0.95, MONOSEMANTIC, 0.7))
    for j, label in enumerate(MODELS.values()):
        colour, x = COLOURS[(0, 5)[j]], p * (1.05, 0.95)[j]
        axes.errorbar(x, mid[j], [mid[j] - low[j], high[j] - mid[j]], fmt="os"[j], color=colour, ms=7, capsize=4,
                      label=f"{label}, best")  # fmt: skip
        axes.plot(x, monosemantic(data)[j].mean(1), color=colour, lw=1, label="mean of instances" if not j else None)
    chance = (data["rotated_share"].values[0] > MONOSEMANTIC).sum(-1).mean((1, 2))
    axes.plot(p, chance, color=COLOURS[6], ls="--", lw=1.4, label="randomly rotated")
    _density_axis(axes, data)
    axes.set_ylim(-0.2, 7.6)
    axes.set_yticks(range(M + 1))
    axes.set_ylabel("monosemantic neurons")
    axes.legend(frameon=False, fontsize=8, loc="upper right")
    axes.set_title("(b) monosemantic neurons of 5", fontsize=11, loc="left")


def _draw_rotations(axes: "Axes", data: xr.Dataset) -> None:
    for j, label in enumerate(MODELS.values()):
        values = data["rotated"].values[j].reshape(data.sizes["density"], -1)
        mid = np.median(values, axis=1)
        spread = np.quantile(values, [0.1, 0.9], axis=1)
        axes.errorbar(data["density"], mid, np.abs(spread - mid), fmt="os"[j], color=COLOURS[(0, 5)[j]], ms=7,
                      capsize=4, label=label)  # fmt: skip
    axes.axhline(1, color=COLOURS[6], lw=1)
    axes.set_yscale("log")
    _density_axis(axes, data)
    axes.set_ylabel("loss after a rotation / loss\n(median, 10 to 90 %)")
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    axes.set_title("(c) what a rotation costs", fontsize=11, loc="left")


def _draw_losses(axes: "Axes", data: xr.Dataset) -> None:
    p = data["density"].values
    axes.axhline(1, color="black", lw=1.4, label="monosemantic, theory")
    axes.plot(p, data["pairing"], color=COLOURS[5], lw=1.4, ls="--", label="ideal pairing, no hidden ReLU")
    for j, label in enumerate(MODELS.values()):
        x = np.repeat(p, data.sizes["instance"])
        axes.plot(x, data["loss"].values[j].ravel(), "os"[j], color=COLOURS[(0, 5)[j]], ms=4, alpha=0.4)
        axes.plot(p, data["loss"].values[j].min(1), "os"[j], color=COLOURS[(0, 5)[j]], ms=7, label=label)
    axes.set_ylim(0, 1.3)
    _density_axis(axes, data)
    axes.set_ylabel("loss (monosemantic = 1)")
    axes.legend(frameon=False, fontsize=8, loc="lower left")
    axes.set_title("(d) loss of all instances, best large", fontsize=11, loc="left")


def _density_axis(axes: "Axes", data: xr.Dataset) -> None:
    axes.set_xscale("log")
    axes.set_xlim(1.5, 0.65 * float(data["density"].min()))
    axes.set_xlabel("density  $1-S$      (dense → sparse)")


if __name__ == "__main__":
    main(__doc__, compute, draw, __file__)

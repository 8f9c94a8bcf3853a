"""Absolute values computed in superposition
=========================================

A model with one hidden ReLU layer, y = ReLU(W_2 ReLU(W_1 x) + b), learns ``y = |x|`` (claim 26). Features are 0 with
probability S, else uniform on [-1, 1]. Since ``|x| = ReLU(x) + ReLU(-x)``, two neurons compute one feature exactly; a
feature that is left out costs p/3 - p^2/4, with the best constant p/2 in its bias.

(a) n = 3 and m = 6: two neurons per feature, one for each sign, and loss 0.
(b) n = 100 and m = 40, dense, all features of the same importance: how much each neuron contributes to each output,
    ``W_2 |W_1|``.
(c) The same, sparse.
(d) The loss, in units of the least that is possible if no neuron is shared: two neurons each for the most important
    features, the others left out. (One neuron for each of twice as many saves less.) Below 1: superposition.
(e) The number of features computed: those with less than half the error of a feature that is left out.

The importances are not stated; equal ones and 0.8^i are compared. Output weights start small and positive, and the
first steps are smaller than the bias: otherwise half of the outputs are silent for one sign of x and never learn.
"""

from figures.shared.script import COLOURS, Settings, headline, main, new_figure

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from figures.shared.verdicts import Finding, Verdict, weighed
from numerics import Parameters, forward, sample, train
from theory import Problem, unrepresented_loss
from theory.model.values import Symmetrised

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage
    from numpy import ndarray

# More features than the neurons could hold with two for each, and loss 0 where there are two neurons for each.
STATED_FEATURES_PER_NEURON = 0.5
STATED_SMALL_LOSS = 0.0
SMALL = (3, 6)
SMALL_DENSITIES = (1.0, 0.1)
PROFILES = {"equal": 1.0, "0.8^i": 0.8}
# A feature is computed if its error is below this part of a left-out feature's; a half, and others for comparison.
COMPUTED = (0.25, 0.5, 0.75)


def compute(settings: Settings) -> xr.Dataset:
    """Train the small model, and the large one over densities and importances."""
    n, m = (40, 16) if settings.quick else (100, 40)
    densities = (1.0, 0.1, 0.03) if settings.quick else (1.0, 0.3, 0.1, 0.03, 0.01)
    small = [_learned(*SMALL, 1.0, p, settings) for p in SMALL_DENSITIES]
    large = [[_learned(n, m, decay, p, settings) for p in densities] for decay in PROFILES.values()]
    data = xr.Dataset(coords={"density": list(densities), "importance": list(PROFILES),
                              "small_density": list(SMALL_DENSITIES)})  # fmt: skip
    axes = {
        "loss": (),
        "standard_error": (),
        "error": ("feature",),
        "contribution": ("feature", "neuron"),
        "sign": ("feature", "neuron"),
    }
    for name, rest in axes.items():
        data[name] = (("importance", "density", *rest), np.array([[cell[name] for cell in row] for row in large]))
        few = tuple(f"small_{axis}" for axis in rest)
        data[f"small_{name}"] = (("small_density", *few), np.array([cell[name] for cell in small]))
    data.attrs.update(n=n, m=m)
    data.attrs["summary"] = _summary(data)
    return data


def one_neuron_loss(density: float) -> float:
    """
    Give the least error of a feature that has one neuron for itself.

    Parameters
    ----------
    density : float
        Density p of the feature.

    Returns
    -------
    float
        p/6 - p^2/(16 - 6p): y = ReLU(a ReLU(x) + b) with 1 - a = 3b/2 and b = 2p/(8 - 3p).

    Notes
    -----
    The first neuron saves at most half of the p/3 - p^2/4 that both save together, so that two neurons for one feature
    are never worse than one for each of two of the same importance.
    """
    return density / 6 - density**2 / (16 - 6 * density)


def unshared_loss(n: int, m: int, decay: float, density: float) -> float:
    """
    Give the least loss of a model in which each neuron serves one feature.

    Parameters
    ----------
    n, m : int
        Features and neurons; m even.
    decay : float
        Importances are decay^i.
    density : float
        Density p.

    Returns
    -------
    float
        The first m/2 features exactly, the others left out.
    """
    return float(unrepresented_loss(density) * (decay ** np.arange(n))[m // 2 :].sum())


def _start(n: int, m: int, density: float, instances: int, seed: int) -> tuple["ndarray", "ndarray", "ndarray"]:
    """Every output starts above zero for either sign of its feature; about what it is without any weights."""
    rng = np.random.default_rng([seed, n, m])
    W = rng.standard_normal((instances, m, n)) * np.sqrt(2 / (n + m))
    return 0.3 * W, np.full(n, density / 2), 0.1 * np.abs(W).swapaxes(1, 2)


def _learned(n: int, m: int, decay: float, density: float, settings: Settings) -> dict[str, "ndarray"]:
    """Train a few models on one problem; the loss, errors and contributions of the best."""
    small = (n, m) == SMALL
    instances = 4 if small else 2
    # Sparse features need larger batches for as many active ones, dense ones more steps.
    sparse = density < 0.1
    steps = 1200 if settings.quick else 5000 if sparse else 10_000
    batch = 256 if settings.quick or small else 2048 if sparse else 512
    problem = Problem(n=n, m=m, density=density, importance=decay ** np.arange(n))
    run = train(
        problem, instances=instances, steps=steps, batch=batch, seed=settings.seed, model="absolute",
        learning_rate=min(0.03, 0.3 * density), init=_start(n, m, density, instances, settings.seed),
        workers=settings.workers,
    )  # fmt: skip
    best = run.isel(instance=int(run["loss"].values.argmin()))
    weights = Parameters(best["W"].values, best["b"].values, best["W_out"].values)
    signed = problem.features.with_values(Symmetrised(problem.features.values))
    x = sample(signed, 20_000, np.random.default_rng([settings.seed, 1]))
    error = ((forward(weights, x, "absolute") - np.abs(x)) ** 2).mean(0)
    unit = 1.0 if small else unshared_loss(n, m, decay, density) / unrepresented_loss(density)
    return {
        "loss": best["loss"].values / unrepresented_loss(density) / unit,
        "standard_error": best["loss_standard_error"].values / unrepresented_loss(density) / unit,
        "error": error / unrepresented_loss(density),
        "contribution": best["W_out"].values * np.abs(best["W"].values.T),
        "sign": np.sign(best["W"].values.T),
    }


def computed(data: xr.Dataset, below: float = 0.5) -> "ndarray":
    """
    Count the features that the large models compute.

    Parameters
    ----------
    data : xarray.Dataset
        As ``compute`` returns it.
    below : float
        Largest error, a left-out feature's being 1.

    Returns
    -------
    ndarray of int, shape (importances, densities)
        Number of features.
    """
    return np.asarray((data["error"].values < below).sum(-1))


def neurons_per_feature(data: xr.Dataset) -> tuple["ndarray", "ndarray"]:
    """
    Count the neurons of each sign that serve each feature of the small models.

    Parameters
    ----------
    data : xarray.Dataset
        As ``compute`` returns it.

    Returns
    -------
    served : ndarray of int, shape (small densities, 3)
        Neurons whose largest contribution is to this feature.
    purity : ndarray, shape (small densities,)
        Least share of its largest contribution in a neuron's total.
    """
    size = np.abs(data["small_contribution"].values)
    first = size.argmax(1)
    served = np.array([[(row == i).sum() for i in range(SMALL[0])] for row in first])
    return served, (size.max(1) / size.sum(1)).min(1)


def _summary(data: xr.Dataset) -> str:
    served, purity = neurons_per_feature(data)
    small, p = data["small_loss"].values.round(6).tolist(), data["density"].values.tolist()
    lines = [
        f"n = 3, m = 6 at p = {list(SMALL_DENSITIES)}: loss {small} of a left-out feature's, neurons per feature "
        f"{served.tolist()}, purity at least {purity.round(3).tolist()}",
        f"n = {data.attrs['n']}, m = {data.attrs['m']} at p = {p}:",
    ]
    for j, name in enumerate(PROFILES):
        counts = {below: computed(data, below)[j].tolist() for below in COMPUTED}
        loss = data["loss"].values[j].round(4).tolist()
        lines.append(f"importances {name}: loss / least without sharing {loss}, features by error below {counts}")
    return "\n".join(lines)


def judge(data: xr.Dataset) -> list[Verdict]:
    """Claim 26: loss 0 for n = 3, m = 6; more features than two neurons each allow, below what unshared ones can do."""
    n, m = data.attrs["n"], data.attrs["m"]
    dense = float(data["small_loss"].values.max())
    served, _ = neurons_per_feature(data)
    findings = [
        Finding("n = 3, m = 6: |x| is learned, two neurons per feature",
                f"loss {dense:.1e} of a left-out feature's, neurons per feature {served[0].tolist()}",
                bool(abs(dense - STATED_SMALL_LOSS) < 1e-3 and (served == 2).all()))
    ]  # fmt: skip
    for j, name in enumerate(PROFILES):

        def more(below: float, j: int = j) -> tuple[str, bool]:
            counts = computed(data, below)[j]
            k = int(counts.argmax())
            told = f"{counts[k]} at density {float(data['density'][k]):g}; {m // 2} could be without sharing"
            return told, bool(counts[k] > STATED_FEATURES_PER_NEURON * m)

        findings += [
            weighed(
                f"n = {n}, m = {m}, importances {name}: more are computed than two by two",
                more,
                {f"error below {below:g} of that of leaving it out": below for below in COMPUTED},
                "error below 0.5 of that of leaving it out",
            ),
            Finding(
                f"importances {name}: the computation is in superposition",
                f"loss {float(data['loss'][j].min()):.3f} of the least without sharing neurons, dense "
                f"{float(data['loss'][j, 0]):.3f}",
                bool(data["loss"][j].min() < 1),
            ),
        ]
    why = (
        "If features are rarely active together, a neuron can serve several: what it adds to the wrong outputs is "
        "cancelled by other neurons and cut off by the output's ReLU. With importances that fall quickly, features far "
        "down the list are not worth the interference that computing them causes in the important ones."
    )
    return [Verdict(26, tuple(findings), why)]


def draw(data: xr.Dataset) -> "Figure":
    """Neurons above, losses and counts below."""
    figure = new_figure(12.0, 8.4)
    above, below = figure.subfigures(2, 1, squeeze=False)[:, 0]
    panels = above.subplots(1, 3)
    small = data.sel(small_density=1.0)
    _draw_small(panels[0], small["small_contribution"].values * small["small_sign"].values)
    for letter, axes, p in zip("bc", panels[1:], data["density"].values[[0, -1]], strict=True):
        cell = data.sel(importance="equal", density=p)
        image = _draw_large(axes, (cell["contribution"] * cell["sign"]).values, cell["error"].values)
        axes.set_title(f"({letter}) n = {data.attrs['n']}, m = {data.attrs['m']}, p = {p:g}", fontsize=11, loc="left")
    above.colorbar(image, ax=panels[2], label="contribution $W_2W_1$ (red: to $x > 0$, blue: to $x < 0$)")
    left, right = below.subplots(1, 2)
    _draw_losses(left, data)
    _draw_counts(right, data)
    most, n, m = float(computed(data).max()), data.attrs["n"], data.attrs["m"]
    headline(
        figure,
        f"The absolute value of up to {most:.0f} of {n} features is computed with {m} neurons; "
        f"without superposition they would do for {m // 2}",
    )
    return figure


def _draw_small(axes: "Axes", contribution: "ndarray") -> None:
    """Stacked bars per neuron, upwards if it answers to positive values; in the order of the feature they serve."""
    order = np.argsort(np.abs(contribution).argmax(0), kind="stable")
    neurons = np.arange(SMALL[1])
    for side in (1, -1):
        bottom = np.zeros(SMALL[1])
        for i in range(SMALL[0]):
            height = np.where(side * contribution[i, order] > 0, contribution[i, order], 0)
            axes.bar(neurons, height, 0.7, bottom, color=COLOURS[i], label=f"feature {i + 1}" if side > 0 else None)
            bottom += height
        axes.axhline(side, color=COLOURS[6], lw=1, ls="--")
    axes.axhline(0, color="black", lw=0.8)
    axes.set_ylim(-1.3, 1.7)
    axes.set_xticks(neurons, [str(k + 1) for k in neurons])
    axes.set_xlabel("neuron")
    axes.set_ylabel("contribution $W_2W_1$\n(up: to $x > 0$, down: to $x < 0$)")
    axes.legend(frameon=False, fontsize=9, ncol=3, loc="upper center", columnspacing=0.8, handlelength=1)
    axes.set_title("(a) n = 3, m = 6, p = 1", fontsize=11, loc="left")


def _draw_large(axes: "Axes", contribution: "ndarray", error: "ndarray") -> "AxesImage":
    """Features by their error, neurons by the feature they serve most."""
    rows = contribution[np.argsort(error)]
    rows = rows[:, np.argsort(np.abs(rows).argmax(0), kind="stable")]
    axes.locator_params(axis="x", integer=True)
    axes.set_xlabel("neuron")
    axes.set_ylabel("feature, best computed first")
    return axes.imshow(rows, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto", interpolation="nearest")


def _draw_losses(axes: "Axes", data: xr.Dataset) -> None:
    axes.axhline(1, color="black", lw=1.4, label="two neurons per feature, none shared")
    n, m, p = data.attrs["n"], data.attrs["m"], np.geomspace(data["density"].values.min(), 1, 50)
    alone = np.array([(m * one_neuron_loss(q) / unrepresented_loss(q) + n - m) / (n - m // 2) for q in p])
    axes.plot(p, alone, color=COLOURS[6], lw=1.2, ls="--", label="one neuron per feature (equal)")
    for j, name in enumerate(PROFILES):
        axes.plot(data["density"], data["loss"][j], "os"[j], color=COLOURS[(0, 5)[j]], ms=7,
                  label=f"trained, importances ${name}$" if j else f"trained, importances {name}")  # fmt: skip
    _density_axis(axes, data)
    axes.set_ylim(0, None)
    axes.set_ylabel("loss (least without sharing = 1)")
    axes.legend(frameon=False, fontsize=9, loc="lower left")
    axes.set_title("(d) below 1 is computation in superposition", fontsize=11, loc="left")


def _draw_counts(axes: "Axes", data: xr.Dataset) -> None:
    m = data.attrs["m"]
    low, mid, high = (computed(data, below) for below in COMPUTED)
    p = data["density"].values
    for j, name in enumerate(PROFILES):
        x = p * (1.04, 0.96)[j]
        axes.errorbar(x, mid[j], [mid[j] - low[j], high[j] - mid[j]], fmt="os"[j], color=COLOURS[(0, 5)[j]], ms=7,
                      capsize=4, lw=1.2, label=f"importances ${name}$" if j else f"importances {name}")  # fmt: skip
    axes.axhline(m, color="black", lw=1.4, ls="--", label=f"m = {m} neurons")
    axes.axhline(m // 2, color="black", lw=1.4, label=f"m/2 = {m // 2}, without sharing")
    _density_axis(axes, data)
    axes.set_ylim(0, 1.08 * data.attrs["n"])
    axes.set_ylabel("features computed\n(bars: error below 1/4 and 3/4)")
    axes.legend(frameon=False, fontsize=9, loc="upper left")
    axes.set_title("(e) error below half of a left-out feature's", fontsize=11, loc="left")


def _density_axis(axes: "Axes", data: xr.Dataset) -> None:
    axes.set_xscale("log")
    axes.set_xlim(1.3, 0.75 * float(data["density"].min()))
    axes.set_xlabel("density  $1-S$      (dense → sparse)")


if __name__ == "__main__":
    main(__doc__, compute, draw, __file__)

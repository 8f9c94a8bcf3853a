"""Linear against ReLU models
==========================

Forty features in five dimensions, from dense to sparse (claim 21).

Importance falls linearly from 1 to 0.1; S = 0.1, 0.5, 0.9. Three models: linear; ReLU on the output; and, as in the
source's code, a second ReLU on the hidden layer. Above, W^T W and b of the best of the trained models. Below, per
sparsity: the loss in units of the linear optimum's, the number of represented features (norm above 1/2), and the size
of W^T W off its diagonal (Frobenius norm), learned, and in theory: the linear model's exact optimum, which projects on
the five most important features and has b = p/2 for the others, and the ideal pairing of the ReLU model.
"""

from figures.shared.script import COLOURS, Settings, headline, main, new_figure

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from figures.shared.measures import off_diagonal_norm
from figures.shared.training import PAPER_RECIPE, trained
from figures.shared.verdicts import MUCH_BETTER, MUCH_BIGGER, NORMS, Finding, Verdict, by_recipe, weighed
from numerics import Parameters, forward, sample
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
# From this norm on a feature is represented in the picture.
REPRESENTED = 0.5
_SAMPLES = 40_000
# The post: the linear model captures the top five, whose biases are smallest.
STATED_TOP = 5


def compute(settings: Settings) -> xr.Dataset:
    """Train every model at every sparsity; the exact linear optimum and the ideal pairing beside them."""
    instances, steps = (1, 2500) if settings.quick else (8, 5000)
    own = _trained(instances, {"steps": steps, "learning_rate": 0.01}, settings)
    paper = _trained(1 if settings.quick else 2, dict(PAPER_RECIPE), settings)
    data = own.merge(paper.rename({name: f"paper_{name}" for name in (*paper.data_vars, "instance")}))
    data = data.assign_coords(model=list(MODELS), sparsity=SPARSITIES, feature=np.arange(N)).merge(_theory())
    data.attrs["summary"] = _summary(data)
    return data


def _trained(instances: int, recipe: dict[str, Any], settings: Settings) -> xr.Dataset:
    """What the three models learn: W, b and loss of every run, and how far the best ones' outputs are off."""
    problem = Problem(m=M, density=np.repeat(1 - SPARSITIES[:, None], N, axis=1), importance=IMPORTANCE)
    runs = [trained(problem, instances, settings, model=model, **recipe) for model in MODELS]
    W, b, losses = (np.array([run[part] for run in runs]) for part in range(3))
    each = Problem(m=M, density=problem.density.repeat(instances, axis=0), importance=IMPORTANCE)
    exact = population_loss(W[0].reshape(-1, M, N), b[0].reshape(-1, N), each, model="linear")
    losses[0] = np.reshape(exact, losses[0].shape)  # the others' are held-out estimates
    mean, deviation = np.empty((2, len(MODELS), len(SPARSITIES), N))
    rng = np.random.default_rng([settings.seed, 21])
    for k in range(len(SPARSITIES)):
        x = sample(Problem(m=M, density=problem.density[k], importance=IMPORTANCE).features, _SAMPLES, rng)
        for j, model in enumerate(MODELS):
            i = int(losses[j, k].argmin())
            error = forward(Parameters(W[j, k, i], b[j, k, i]), x, model) - x
            mean[j, k], deviation[j, k] = error.mean(0), np.sqrt((error**2).mean(0))
    dims = ("model", "sparsity", "instance")
    return xr.Dataset(
        {
            "W": ((*dims, "dimension", "feature"), W),
            "b": ((*dims, "feature"), b),
            "loss": (dims, losses),
            "mean_error": (("model", "sparsity", "feature"), mean),
            "rms_error": (("model", "sparsity", "feature"), deviation),
        }
    )


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


def off_diagonal(data: xr.Dataset, prefix: str = "") -> "ndarray":
    """
    Measure W^T W off its diagonal.

    Parameters
    ----------
    data : xarray.Dataset
        As ``compute`` returns it.
    prefix : {"", "paper_"}
        By which recipe.

    Returns
    -------
    ndarray, shape (models, sparsities, instances)
        Frobenius norm; sqrt(2 k) for k ideal antipodal pairs.
    """
    return off_diagonal_norm(data[f"{prefix}W"].values)


def best(data: xr.Dataset, model: str, k: int, prefix: str = "") -> tuple["ndarray", "ndarray"]:
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
    prefix : {"", "paper_"}
        By which recipe.

    Returns
    -------
    W : ndarray, shape (5, 40)
        Embedding.
    b : ndarray, shape (40,)
        Biases.
    """
    runs = data.sel(model=model).isel(sparsity=k)
    run = int(runs[f"{prefix}loss"].values.argmin())
    return runs[f"{prefix}W"].values[run], runs[f"{prefix}b"].values[run]


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


# A recipe's prefix, and a threshold or a reading.
_Choice = tuple[str, float]


def _reach(data: xr.Dataset) -> Iterator[Finding]:
    """How many features are captured, and how well, sparsity by sparsity."""

    def counts(choice: _Choice) -> "ndarray":
        prefix, norm = choice
        return np.asarray((feature_norms(data[f"{prefix}W"].values) > norm).sum(-1))

    def top(choice: _Choice) -> tuple[str, bool]:
        prefix, norm = choice
        kept = feature_norms(data[f"{prefix}W"].values[0]) > norm
        linear, first = kept.sum(-1), kept[..., :STATED_TOP].all()
        told = (
            f"{linear.mean():.1f} features represented on average, at most {linear.max()} at any S, "
            f"{'always' if first else 'not always'} with the top {STATED_TOP} among them"
        )
        return told, bool(first and (linear == STATED_TOP).all())

    norms = by_recipe({f"norm above {norm:g}": norm for norm in NORMS})
    yield weighed(f"the linear model captures the top {STATED_TOP}", top, norms, f"norm above {REPRESENTED:g}")
    for k, sparsity in enumerate(SPARSITIES):

        def less_important(choice: _Choice, k: int = k) -> tuple[str, bool]:
            mean = counts(choice)[:, k].mean(1)
            told = f"{mean[1]:.1f} represented on average, {mean[2]:.1f} with a hidden ReLU; linear {mean[0]:.1f}"
            return told, bool((mean[1:] > mean[0]).all())

        def better(choice: _Choice, k: int = k) -> tuple[str, bool]:
            prefix, least = choice
            gain = 1 - data[f"{prefix}loss"].values[1:, k].min(1) / float(data["linear_loss"][k])
            told = f"loss {gain[0]:.1%} below the linear optimum, {gain[1]:.1%} with a hidden ReLU"
            return told, bool(gain.min() > least)

        yield weighed(
            f"S = {sparsity:g}: ReLU models reach less important features",
            less_important,
            norms,
            f"norm above {REPRESENTED:g}",
        )
        yield weighed(
            f"S = {sparsity:g}: they compress much better",
            better,
            by_recipe({f"loss lower by more than {least:.0%}": least for least in MUCH_BETTER}),
            f"loss lower by more than {MUCH_BETTER[0]:.0%}",
        )


def _biases(data: xr.Dataset) -> Iterator[Finding]:
    """Which biases are smallest, and how large they are; the post's picture shows a "reconstructed bias"."""
    readings = {"the parameter b": "b", "the mean of x' - x": "mean_error", "the size of x' - x": "rms_error"}

    def sizes(choice: tuple[str, str], model: str) -> "ndarray":
        prefix, name = choice
        if name != "b":
            return np.abs(data[f"{prefix}{name}"].sel(model=model).values)
        return np.abs([best(data, model, k, prefix)[1] for k in range(len(SPARSITIES))])

    def ordered(choice: tuple[str, str], model: str) -> list[bool]:
        return [set(np.argsort(b)[:STATED_TOP]) == set(range(STATED_TOP)) for b in sizes(choice, model)]

    def where(choice: tuple[str, str], model: str) -> str:
        found = [f"{s:g}" for s, yes in zip(SPARSITIES, ordered(choice, model), strict=True) if yes]
        return ", ".join(found) or "none"

    def linear(choice: tuple[str, str]) -> tuple[str, bool]:
        return f"at S = {where(choice, 'linear')}", all(ordered(choice, "linear"))

    def relu(choice: tuple[str, str]) -> tuple[str, bool]:
        told = f"they are at S = {where(choice, 'relu')}, with a hidden ReLU at S = {where(choice, 'relu_hidden')}"
        return told, not any(any(ordered(choice, model)) for model in ("relu", "relu_hidden"))

    def smaller(choice: tuple[str, str]) -> tuple[str, bool]:
        means = {model: sizes(choice, model).mean(1) for model in MODELS}
        shown = {model: ", ".join(f"{mean:.3f}" for mean in means[model]) for model in MODELS}
        told = (
            f"mean size at S = {', '.join(f'{s:g}' for s in SPARSITIES)}: {shown['relu']}, with a hidden ReLU "
            f"{shown['relu_hidden']}; linear {shown['linear']}"
        )
        return told, all(bool((means[model] < means["linear"]).all()) for model in ("relu", "relu_hidden"))

    choices = by_recipe(readings)
    first = next(iter(choices))
    yield weighed(f"linear: the biases of the top {STATED_TOP} are smallest", linear, choices, first)
    yield weighed("ReLU: they are not", relu, choices, first)
    yield weighed("ReLU: biases are generally smaller", smaller, choices, first)


def _couplings(data: xr.Dataset) -> Iterator[Finding]:
    """How W^T W off its diagonal grows with the sparsity."""
    size = {prefix: off_diagonal(data, prefix).mean(2) for prefix in ("", "paper_")}
    much = by_recipe({f"more than {factor:g} times": factor for factor in MUCH_BIGGER})
    usual = f"more than {MUCH_BIGGER[1]:g} times"
    names = {
        "relu": "ReLU: W^T W off the diagonal is much bigger when sparse",
        "relu_hidden": "with a hidden ReLU: the same",
        "linear": "linear: the same",
    }
    for model, stated in names.items():

        def bigger(choice: _Choice, j: int = list(MODELS).index(model)) -> tuple[str, bool]:
            row = size[choice[0]][j]
            told = (
                f"|W^T W| off the diagonal {row[0]:.2f} at S = {SPARSITIES[0]:g}, {row[-1]:.2f} at "
                f"S = {SPARSITIES[-1]:g}"
            )
            return told, bool(row[-1] > choice[1] * row[0])

        yield weighed(stated, bigger, much, usual)

    def alike(choice: tuple[int, _Choice]) -> tuple[str, bool]:
        k, (prefix, factor) = choice
        linear, *relu = size[prefix][:, k]
        told = f"{relu[0]:.2f} for ReLU, {relu[1]:.2f} with a hidden ReLU; {linear:.2f} for linear"
        return told, bool(max(relu) < factor * linear)

    # The post says it in brackets behind the sparsity of 0.1: that may be meant, or 0.9, which the sentence is about.
    where = {f"S = {SPARSITIES[k]:g}, {label}": (k, reading) for k in (-1, 0) for label, reading in much.items()}
    first = f"S = {SPARSITIES[-1]:g}, {usual}"
    yield weighed("not much difference between linear and ReLU", alike, where, first)


def draw(data: xr.Dataset) -> "Figure":
    """One row per model, one column per sparsity; the numbers below."""
    figure = new_figure(10.5, 13.0)
    grid = figure.add_gridspec(4, 3, height_ratios=(1, 1, 1, 1.05))
    models = [best(data, model, k)[0] for model in MODELS for k in range(len(SPARSITIES))]
    shown = max(int(np.flatnonzero(np.linalg.norm(W, axis=0) > REPRESENTED).max()) + 4 for W in models)
    for j, (model, label) in enumerate(MODELS.items()):
        for k, sparsity in enumerate(SPARSITIES):
            axes = figure.add_subplot(grid[j, k])
            image = _draw_couplings(axes, *best(data, model, k), min(shown, N))
            if not j:
                axes.set_title(f"S = {sparsity:g}, density {1 - sparsity:.2g}", fontsize=11)
            if not k:
                axes.set_ylabel(f"{label}\n$W^TW$ | $b$, {min(shown, N)} of {N} features", fontsize=9)
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
    least = data["loss"].values.min(2) / data["linear_loss"].values
    counts = represented(data).max(2)
    headline(
        figure,
        f"Linear and ReLU models part only where features are sparse: at S = {SPARSITIES[-1]:g} ReLU output stores "
        f"{counts[1, -1]} of {N} features, not {counts[0, -1]}, at {1 - least[1, -1]:.0%} less loss; at "
        f"S = {SPARSITIES[0]:g} its loss is {max(0.0, 1 - least[1, 0]):.0%} less",
    )
    return figure


def _draw_couplings(axes: "Axes", W: "ndarray", b: "ndarray", shown: int) -> "AxesImage":
    """The most important features only: all that any model represents."""
    G, c = (W.T @ W)[:shown, :shown], b[:shown, None]
    picture = np.concatenate([G, np.full((shown, 1), np.nan), np.repeat(c, 2, axis=1)], axis=1)
    axes.set_xticks([])
    axes.set_yticks([0, shown - 1], ["1", f"{shown}"], fontsize=8)
    return axes.imshow(picture, cmap="RdBu_r", vmin=-1.2, vmax=1.2, interpolation="nearest")


def _draw_numbers(axes: "Axes", learned: "ndarray", theory: tuple["ndarray", "ndarray"]) -> None:
    axes.plot(SPARSITIES, theory[0], color=COLOURS[0], lw=1.6, label="linear, exact optimum")
    axes.plot(SPARSITIES, theory[1], color=COLOURS[1], lw=1.6, ls="--", label="ReLU output, ideal pairing")
    for j, label in enumerate(MODELS.values()):
        x = np.repeat(SPARSITIES + 0.02 * (j - 1), learned.shape[2])
        axes.plot(x, learned[j].ravel(), "o^s"[j], color=COLOURS[j], ms=5, alpha=0.6, label=f"{label}, learned")
    axes.set_xlabel("sparsity S      (dense → sparse)")
    axes.set_xticks(SPARSITIES)
    axes.set_ylim(0, 1.08 * max(learned.max(), theory[0].max(), theory[1].max()))


if __name__ == "__main__":
    main(__doc__, compute, draw, __file__)

"""A fixed finite data set
=======================

The blog post's experiment as it is written (claim 38): a synthetic data set is drawn once, with the post's code, and
the models are trained on it. Forty features in five dimensions, importance from 1 to 0.1, S = 0.1, 0.5, 0.9, initial
weights normal with variance 1/n; a linear model, a ReLU model, and, as in the post's code, one with a ReLU on the
hidden layer too. How many samples, steps and which optimiser the post leaves out: they are chosen here.

Above: the loss on the data set (dashed) and on everything (solid: the exact population loss; for the hidden ReLU the
mean over 50 000 other samples) against the size of the data set, in units of what fresh samples at every step give.
Below, per size: the ReLU models' gain over the linear model on everything; W^T W off its diagonal; and what a data set
costs, times its size: where that is level, the excess falls as one over the number of samples.
"""

from figures.shared.script import Settings, main

import numpy as np
import xarray as xr

from figures.parts.finite_panels import draw
from figures.parts.finite_training import FRESH, MODELS, SPARSITIES, N, run_all
from figures.shared.verdicts import Finding, Verdict, weighed
from theory.tools.threads import one_blas_thread

# As for the same statements on fresh samples: this part better is "much better", this factor "much bigger", and less
# than it "not much difference".
_MUCH_BETTER, _MUCH_BIGGER = 0.01, 2.0
_TOP = 5
# The size that is shown first; and by how much a data set may cost more than fresh samples to be as good.
_FIRST, _AS_GOOD = 1000, 0.05


def compute(settings: Settings) -> xr.Dataset:
    """Train every model on data sets of every size, and on fresh samples."""
    with one_blas_thread():
        data = run_all(settings)
    data.attrs["summary"] = "\n".join(f"{f.stated}: {f.found}" for f in judge(data)[0].findings)
    return data


def excess(data: xr.Dataset) -> np.ndarray:
    """
    Give what training on a data set costs on everything.

    Parameters
    ----------
    data : xarray.Dataset
        As ``compute`` returns it.

    Returns
    -------
    ndarray, shape (models, sparsities, sizes)
        Mean loss over that of models trained on fresh samples, minus 1.
    """
    loss = data["true_loss"].mean("run")
    return np.asarray((loss / loss.sel(samples=FRESH) - 1).sel(samples=sizes(data)).values)


def sizes(data: xr.Dataset) -> list[int]:
    """
    List the sizes of the data sets.

    Parameters
    ----------
    data : xarray.Dataset
        As ``compute`` returns it.

    Returns
    -------
    list of int
        Ascending, without the fresh samples.
    """
    return [int(size) for size in data["samples"].values if size != FRESH]


def off_diagonal(data: xr.Dataset) -> xr.DataArray:
    """
    Measure W^T W off its diagonal.

    Parameters
    ----------
    data : xarray.Dataset
        As ``compute`` returns it.

    Returns
    -------
    xarray.DataArray
        Frobenius norm, mean over the runs, by model, sparsity and size.
    """
    W = data["W"].values
    G = (np.swapaxes(W, -1, -2) @ W) * (1 - np.eye(N))
    return xr.DataArray(np.linalg.norm(G, axis=(-2, -1)).mean(-1), data["true_loss"].mean("run").coords)


def judge(data: xr.Dataset) -> list[Verdict]:
    """Claim 38: the post's statements on models of a fixed data set, for every size, and what the data set costs."""
    named = {f"{size} samples": size for size in sizes(data)}
    first = f"{min(sizes(data), key=lambda size: abs(size - _FIRST))} samples"
    on = {"all data": "true_loss", "its own data": "seen_loss"}
    compared = {f"{name} on {where}": (size, loss) for name, size in named.items() for where, loss in on.items()}
    findings = [
        weighed(
            f"S = {sparsity:g}: ReLU models compress much better",
            lambda choice, at=sparsity: _gain(data, at, *choice),  # type: ignore[misc]
            compared,
            f"{first} on all data",
        )
        for sparsity in SPARSITIES
    ]
    findings += [
        weighed("linear: the biases of the top five are smallest", lambda size: _top(data, size), named, first),
        weighed("ReLU: biases do not show this order", lambda size: _no_order(data, size), named, first),
        weighed("ReLU: biases are generally smaller", lambda size: _smaller(data, size), named, first),
        *(
            weighed(
                f"{MODELS[model]}: W^T W off the diagonal is much bigger at S = {SPARSITIES[-1]:g}",
                lambda size, of=model: _bigger(data, of, size),  # type: ignore[misc]
                named,
                first,
            )
            for model in MODELS
        ),
        weighed(
            f"not much difference between linear and ReLU at S = {SPARSITIES[-1]:g}",
            lambda size: _alike(data, size),
            named,
            first,
        ),
        _cost(data),
        _law(data),
        _on_the_data(data),
    ]
    why = (
        "A data set of a few hundred samples has pairs of features that never met, or met by chance, and the models "
        "store that. What it costs falls as one over the number of samples, the more slowly the sparser the features: "
        "only active ones teach anything. The differences between the models at equal data remain."
    )
    return [Verdict(38, tuple(findings), why)]


def _gain(data: xr.Dataset, sparsity: float, size: int, loss: str) -> tuple[str, bool]:
    """How much less the ReLU models lose than the linear one that learned from the same data."""
    here = data[loss].sel(sparsity=sparsity, samples=size).mean("run")
    gain = 1 - here.sel(model=["relu", "relu_hidden"]).values / float(here.sel(model="linear"))
    return f"{gain[0]:.1%} below the linear model, {gain[1]:.1%} with a hidden ReLU", bool(gain.min() > _MUCH_BETTER)


def _sizes_of_biases(data: xr.Dataset, model: str, size: int) -> np.ndarray:
    """Mean |b| over the runs, by sparsity and feature."""
    return np.asarray(abs(data["b"].sel(model=model, samples=size)).mean("run").values)


def _ordered(data: xr.Dataset, model: str, size: int) -> list[bool]:
    return [set(np.argsort(b)[:_TOP]) == set(range(_TOP)) for b in _sizes_of_biases(data, model, size)]


def _where(yes: list[bool]) -> str:
    return ", ".join(f"{s:g}" for s, true in zip(SPARSITIES, yes, strict=True) if true) or "none"


def _top(data: xr.Dataset, size: int) -> tuple[str, bool]:
    yes = _ordered(data, "linear", size)
    return f"at S = {_where(yes)}", all(yes)


def _no_order(data: xr.Dataset, size: int) -> tuple[str, bool]:
    yes = [_ordered(data, model, size) for model in ("relu", "relu_hidden")]
    return f"they do at S = {_where(yes[0])}, with a hidden ReLU at S = {_where(yes[1])}", not any(map(any, yes))


def _smaller(data: xr.Dataset, size: int) -> tuple[str, bool]:
    mean = {model: _sizes_of_biases(data, model, size).mean(-1) for model in MODELS}
    shown = {model: ", ".join(f"{x:.3f}" for x in values) for model, values in mean.items()}
    smaller = all(bool((mean[model] < mean["linear"]).all()) for model in ("relu", "relu_hidden"))
    return f"mean |b| {shown['relu']}, with a hidden ReLU {shown['relu_hidden']}; linear {shown['linear']}", smaller


def _bigger(data: xr.Dataset, model: str, size: int) -> tuple[str, bool]:
    norm = off_diagonal(data).sel(model=model, samples=size).values
    return f"{norm[0]:.2f} at S = {SPARSITIES[0]:g}, {norm[-1]:.2f}", bool(norm[-1] > _MUCH_BIGGER * norm[0])


def _alike(data: xr.Dataset, size: int) -> tuple[str, bool]:
    linear, relu, hidden = off_diagonal(data).sel(samples=size).values[:, -1]
    found = f"W^T W off the diagonal {relu:.2f} for ReLU, {hidden:.2f} with a hidden ReLU; {linear:.2f} for linear"
    return found, bool(max(relu, hidden) < _MUCH_BIGGER * linear and min(relu, hidden) > linear / _MUCH_BIGGER)


def _cost(data: xr.Dataset) -> Finding:
    more, known = excess(data), sizes(data)
    parts = []
    for i, label in enumerate(MODELS.values()):
        enough = [next((size for size, x in zip(known, row, strict=True) if x < _AS_GOOD), None) for row in more[i]]
        parts.append(f"{label}: {', '.join(str(size or f'more than {known[-1]}') for size in enough)}")
    return Finding(
        f"how many samples cost at most {_AS_GOOD:.0%} more than fresh ones",
        f"of {', '.join(map(str, known))}, at S = {', '.join(f'{s:g}' for s in SPARSITIES)}: {'; '.join(parts)}",
        None,
    )


def _law(data: xr.Dataset) -> Finding:
    more, known = excess(data)[..., -3:], np.array(sizes(data)[-3:], dtype=float)
    slopes = [[np.polyfit(np.log(known), np.log(np.maximum(x, 1e-9)), 1)[0] for x in row] for row in more]
    words = "; ".join(
        f"{label} {', '.join(f'{slope:.2f}' for slope in row)}"
        for label, row in zip(MODELS.values(), slopes, strict=True)
    )
    return Finding("with which power of the size the excess falls", f"over the largest sizes, by S: {words}", None)


def _on_the_data(data: xr.Dataset) -> Finding:
    size = sizes(data)[0]
    words = [
        f"S = {s:g}: {_gain(data, s, size, 'seen_loss')[0]} on its own data, "
        f"{_gain(data, s, size, 'true_loss')[0]} on all"
        for s in SPARSITIES
    ]
    return Finding(f"what {size} samples make of the comparison", "; ".join(words), None)


if __name__ == "__main__":
    main(__doc__, compute, draw, __file__)

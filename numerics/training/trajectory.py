"""One chunk of runs descends: the training loop, its snapshots, and what it does when a run diverges."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import NamedTuple

import numpy as np
from numpy import ndarray

from numerics.models import Model, find_model
from numerics.sampling.batches import Batch, column_batches, row_batches
from numerics.training.constraints import Held
from numerics.training.descent import learning_rates, make_optimiser
from numerics.training.kernels import ColumnKernel, Kernel, ReferenceKernel, RowKernel
from numerics.training.settings import Settings
from theory.model.activations import LINEAR, RELU
from theory.model.features import FeatureDistribution
from theory.model.terms import PLAIN, Terms
from theory.model.values import Symmetrised
from theory.tools.threads import one_blas_thread

__all__ = ["COLUMN_FEATURES", "DivergenceError", "Task", "Trajectory", "descend", "segments", "uses_columns"]

# Up to this many features the couplings W^T W are cheaper than the way through the hidden layer (measured).
COLUMN_FEATURES = 20
# Steps between looks at the loss.
_CHECK_EVERY = 100
# A run has diverged when its loss exceeds its first loss, and that of missing every feature, by this factor.
_DIVERGED = 1e3
_SNAPSHOT_BATCHES = 8
_FINAL_BATCHES = 64


class DivergenceError(ValueError):
    """A run left for infinity; the learning rate is too large for the problem."""


@dataclass(frozen=True, eq=False)
class Task:
    """
    A chunk of runs that are trained together.

    Attributes
    ----------
    features : FeatureDistribution
        Batch shape (runs,).
    importance : ndarray, shape (runs, n)
        Weights I_i.
    theta : ndarray, shape (runs, rows, n)
        Initial parameters, stacked as in ``numerics.training.kernels``.
    instance : ndarray of int, shape (runs,)
        The runs' numbers, as errors name them.
    m : int
        Number of hidden dimensions.
    seed : tuple of numpy.random.SeedSequence
        For the training's samples and for the held-out ones.
    settings : Settings
        How to train.
    record : bool
        Whether divergence is recorded instead of raised.
    terms : Terms
        The problem's terms.
    """

    features: FeatureDistribution
    importance: ndarray
    theta: ndarray
    instance: ndarray
    m: int
    seed: tuple[np.random.SeedSequence, np.random.SeedSequence]
    settings: Settings
    record: bool
    terms: Terms = PLAIN


class Trajectory(NamedTuple):
    """
    What a chunk learned.

    Attributes
    ----------
    theta : ndarray, shape (runs, rows, n)
        Final parameters, NaN where a run diverged.
    loss, standard_error : ndarray, shape (runs,)
        Held-out estimate of the final loss, and its standard error.
    snapshots : ndarray, shape (snapshots, runs, rows, n)
        Parameters on the way.
    curve : ndarray, shape (snapshots, runs)
        Held-out estimate of the loss on the way; the same samples at every snapshot.
    diverged_at : ndarray of int, shape (runs,)
        Step at which a run diverged, -1 if it did not.
    """

    theta: ndarray
    loss: ndarray
    standard_error: ndarray
    snapshots: ndarray
    curve: ndarray
    diverged_at: ndarray


def uses_columns(n: int, model: str | Model, terms: Terms = PLAIN) -> bool:
    """
    Say whether a model is trained through its couplings, features as rows.

    Parameters
    ----------
    n : int
        Number of features.
    model : str or Model
        The model, or its name.
    terms : Terms
        The problem's terms.

    Returns
    -------
    bool
        True for the small models with tied weights, no ReLU on the hidden layer, and a ReLU or nothing on the output,
        if the hidden layer has neither noise nor penalty.
    """
    return n <= COLUMN_FEATURES and _is_fast(find_model(model), terms)


def _is_fast(kind: Model, terms: Terms) -> bool:
    """Whether there are kernels for the model that are faster than its plain formulas."""
    if terms.noise or terms.l1:
        return False
    return kind.tied and not kind.relu_hidden and kind.activation in (RELU, LINEAR)


def segments(settings: Settings) -> list[tuple[int, int]]:
    """
    Cut a training where something is looked at: a snapshot, or whether the loss has grown.

    Parameters
    ----------
    settings : Settings
        How to train.

    Returns
    -------
    list of tuple of int
        First and last step of each segment.

    Examples
    --------
    >>> segments(Settings(steps=150, snapshots=[0, 7]))
    [(0, 7), (7, 100), (100, 150)]
    """
    stops = {0, settings.steps, *(settings.snapshots or ()), *range(0, settings.steps, _CHECK_EVERY)}
    return list(pairwise(sorted(stops)))


def _kernel(task: Task) -> Kernel:
    settings, kind = task.settings, task.settings.kind
    importance = task.importance.astype(settings.dtype)
    if not _is_fast(kind, task.terms):
        return ReferenceKernel(importance, task.m, kind, task.terms.l1)
    columns = uses_columns(task.features.n, settings.kind, task.terms)
    return (ColumnKernel if columns else RowKernel)(importance, task.m, settings.batch, kind.activation == RELU)


def _batches(task: Task, seed: np.random.SeedSequence) -> Iterable[Batch]:
    settings, rng = task.settings, np.random.Generator(np.random.SFC64(seed))
    if task.terms.noise:
        return _noisy(task, rng)
    if uses_columns(task.features.n, settings.kind, task.terms):
        return column_batches(task.features, settings.batch, rng, settings.dtype)
    features = task.features
    if settings.kind.absolute:
        features = features.with_values(Symmetrised(features.values))
    return row_batches(features, settings.batch, rng, settings.dtype)


def _noisy(task: Task, rng: np.random.Generator) -> Iterator[Batch]:
    """Batches with noise for the hidden layer."""
    settings = task.settings
    dtype = settings.dtype
    for batch in row_batches(task.features, settings.batch, rng, dtype):
        noise = rng.standard_normal((len(batch.x), settings.batch, task.m), dtype)
        noise *= dtype(task.terms.noise)
        yield batch._replace(noise=noise)


def descend(task: Task, watch: Callable[[list[tuple[int, int]]], Iterable[tuple[int, int]]] = iter) -> Trajectory:
    """
    Train a chunk of runs.

    Parameters
    ----------
    task : Task
        What to train, and how.
    watch : callable
        Goes through the list of segments (first step, last step); a progress bar, for instance.

    Returns
    -------
    Trajectory
        What was learned.

    Raises
    ------
    DivergenceError
        If a run diverges and the task does not ask to record it.
    """
    # Two BLAS threads on matrices this small wait for each other; processes are what runs in parallel.
    with one_blas_thread(), np.errstate(all="ignore"):
        return _Descent(task).run(watch)


class _Descent:
    """The working memory of one chunk."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.settings = task.settings
        self.kernel = _kernel(task)
        self.stream = iter(_batches(task, task.seed[0]))
        self.held_out = iter(_batches(task, task.seed[1]))
        self.samples = [batch._replace(x=batch.x.copy()) for batch in islice(self.held_out, _SNAPSHOT_BATCHES)]
        self.theta = np.ascontiguousarray(task.theta, self.settings.dtype)
        self.gradient = np.zeros_like(self.theta)
        self.held = Held(task.terms, task.m, task.features.n)
        self.optimiser = make_optimiser(
            self.settings.optimiser,
            self.theta.size,
            self.theta.dtype,
            self.settings.momentum,
            self.settings.weight_decay,
        )
        self.rates = learning_rates(self.settings.schedule, self.settings.learning_rate, self.settings.steps).tolist()
        self.diverged_at = np.full(len(self.theta), -1)
        first = self._loss(self.samples[0])
        # All features active and none reconstructed: a scale that no density and no batch, however small, makes vanish.
        everything = task.importance.sum(1) * task.features.value_square
        self.bound = _DIVERGED * np.maximum(first, everything)

    def run(self, watch: Callable[[list[tuple[int, int]]], Iterable[tuple[int, int]]]) -> Trajectory:
        wanted = self.settings.snapshots or ()
        snapshots, curve = [], []
        if 0 in wanted:
            snapshots.append(self._kept())
            curve.append(self._curve())
        for start, stop in watch(segments(self.settings)):
            self._steps(start, stop)
            self._check_loss(stop)
            if stop in wanted:
                snapshots.append(self._kept())
                curve.append(self._curve())
        loss, error = self._final_loss()
        shape = (len(wanted), *self.theta.shape)
        return Trajectory(
            theta=self._kept(),
            loss=loss,
            standard_error=error,
            snapshots=np.array(snapshots, self.theta.dtype).reshape(shape),
            curve=np.array(curve, float).reshape(shape[:2]),
            diverged_at=self.diverged_at,
        )

    def _steps(self, start: int, stop: int) -> None:
        theta, gradient, kernel, optimiser = self.theta, self.gradient, self.kernel, self.optimiser
        flat, slope = theta.reshape(-1), gradient.reshape(-1)
        held = None if self.held.idle else self.held
        # The rates come first: when they end, no batch has been taken off the stream in vain.
        for step, (rate, batch) in enumerate(zip(self.rates[start:stop], self.stream, strict=False), start + 1):
            kernel.gradient(theta, batch, gradient)
            if held is not None:
                held.slope(theta, gradient)
            # One dot product sees a NaN or an infinity in any run.
            if not math.isfinite(slope.dot(slope)):
                self._diverged(~np.isfinite(np.einsum("rij,rij->r", gradient, gradient)), step, rate)
            optimiser.step(flat, slope, rate)
            if held is not None:
                held.hold(theta)

    def _loss(self, batch: Batch) -> ndarray:
        loss = self.kernel.loss(self.theta, batch)
        return loss + self.held.penalty(self.theta) if self.task.terms.decay else loss

    def _check_loss(self, step: int) -> None:
        loss = self._loss(self.samples[0])
        grown = ~(loss <= self.bound)
        if grown.any():
            self._diverged(grown, step, self.rates[step - 1])

    def _diverged(self, lost: ndarray, step: int, rate: float) -> None:
        """Raise, or note the step and park the runs at zero, where their values do not disturb the others."""
        if not self.task.record:
            run = int(np.flatnonzero(lost)[0])
            raise DivergenceError(
                f"instance {self.task.instance[run]} diverged at step {step}: its loss grew without bound at "
                f"learning rate {rate:g}; choose a smaller learning_rate"
            )
        self.diverged_at[lost & (self.diverged_at < 0)] = step
        self.theta[lost] = 0
        self.gradient[lost] = 0
        self.optimiser.reset(np.repeat(lost, self.theta[0].size))

    def _kept(self) -> ndarray:
        kept = self.theta.copy()
        kept[self.diverged_at >= 0] = np.nan
        return kept

    def _curve(self) -> ndarray:
        return self._known(np.mean([self._loss(batch) for batch in self.samples], axis=0))

    def _final_loss(self) -> tuple[ndarray, ndarray]:
        losses = [self._loss(batch) for batch in islice(self.held_out, _FINAL_BATCHES)]
        spread = np.std(losses, axis=0, ddof=1) / math.sqrt(_FINAL_BATCHES)
        return self._known(np.mean(losses, axis=0)), self._known(spread)

    def _known(self, loss: ndarray) -> ndarray:
        return np.where(self.diverged_at < 0, loss.astype(float), np.nan)

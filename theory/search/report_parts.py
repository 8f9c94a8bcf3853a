"""What a model's loss consists of, with all terms of its problem, and what each of its features is worth."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from theory.loss.decomposition import parts_of_couplings
from theory.loss.outputs import output_errors
from theory.loss.population import population_loss
from theory.loss.terms import hidden_l1
from theory.model.problem import Problem
from theory.model.terms import PLAIN

__all__ = ["LossParts", "loss_parts"]

# Up to so many features the loss without each of them is computed; beyond, it is put together from pairs.
_LEFT_OUT = 20


@dataclass(frozen=True, eq=False)
class LossParts:
    """
    Parts of a loss, feature by feature, weighted by importance; all but ``benefit`` and ``worth`` sum to the loss.

    Attributes
    ----------
    own_error, interference, collective : ndarray, shape (n,)
        Those of ``theory.Decomposition``, of every output, without noise; the miss of a linear model's bias counts as
        collective.
    noise : ndarray, shape (n,)
        What the noise on the hidden layer adds to the error of every output.
    decay : ndarray, shape (n,)
        Weight decay on the feature's embedding and decoder.
    l1 : ndarray, shape (n,)
        The feature's share of the L1 penalty, l1 sum_d W_di dE|W_d . x| / dW_di: the penalty grows in proportion to W,
        so that the shares sum to it.
    benefit : ndarray, shape (n,)
        What representing the feature saves, without interference.
    worth : ndarray, shape (n,)
        By how much the loss would rise if the feature were left out and the rest stayed as it is.
    """

    own_error: Float[ndarray, " n"]
    interference: Float[ndarray, " n"]
    collective: Float[ndarray, " n"]
    noise: Float[ndarray, " n"]
    decay: Float[ndarray, " n"]
    l1: Float[ndarray, " n"]
    benefit: Float[ndarray, " n"]
    worth: Float[ndarray, " n"]

    @property
    def feature_loss(self) -> Float[ndarray, " n"]:
        """Every feature's part of the loss."""
        return self.own_error + self.interference + self.collective + self.noise + self.decay + self.l1


def loss_parts(
    W: Float[ndarray, "m n"],
    b: Float[ndarray, " n"],
    problem: Problem,
    W_out: Float[ndarray, "n m"] | None,
    loss: float,
) -> LossParts:
    """
    Split the loss of a model.

    Parameters
    ----------
    W : ndarray, shape (m, n)
        Embedding.
    b : ndarray, shape (n,)
        Output biases.
    problem : Problem
        A single problem, with any terms.
    W_out : ndarray, shape (n, m), or None
        Decoder; W^T by default.
    loss : float
        The model's loss.

    Returns
    -------
    LossParts
        The parts.
    """
    terms, weight = problem.terms, problem.importance
    plain = replace(problem, terms=PLAIN)
    V = W.T if W_out is None else W_out
    own, pairs, _, total = parts_of_couplings(V @ W, b, plain, problem.activation)
    nothing = np.zeros(problem.n)
    noise, decay, l1 = nothing, nothing, nothing
    if terms.noise:
        noisy = output_errors(V @ W, b, plain, noise=terms.noise**2 * (V**2).sum(1)).value
        noise = weight * (noisy - total)
    if terms.decay:
        decay = terms.decay / 2 * ((W**2).sum(0) + (nothing if W_out is None else (W_out**2).sum(1)))
    if terms.l1:
        l1 = terms.l1 * (W * hidden_l1(W, plain)[2]).sum(0)
    known = LossParts(
        own_error=weight * own,
        interference=weight * pairs.sum(1),
        collective=weight * (total - own - pairs.sum(1)),
        noise=noise,
        decay=decay,
        l1=l1,
        benefit=weight * (problem.features.variance - own),
        worth=nothing,
    )
    if problem.n <= _LEFT_OUT:
        return replace(known, worth=_left_out(W, b, problem, W_out) - loss)
    caused = (weight[:, None] * pairs).sum(0)
    return replace(known, worth=_silent(b, problem, plain) - known.feature_loss - caused)


def _left_out(W: ndarray, b: ndarray, problem: Problem, W_out: ndarray | None) -> Float[ndarray, " n"]:
    """The loss without each feature: no column of W, no row of W_out, and the best bias unless it is given."""
    n, rows = problem.n, np.arange(problem.n)
    without, biases = np.repeat(W[None], n, axis=0), np.repeat(b[None], n, axis=0)
    without[rows, :, rows] = 0
    if problem.terms.bias is None:
        biases[rows, rows] = problem.features.mean
    # What terms prescribe does not hold without the feature; what they add to the loss does.
    decoder = "tied" if W_out is None else "untied"
    free = replace(problem, terms=replace(problem.terms, bias=None, unit_norms=False, decoder=decoder))
    if W_out is None:
        return np.asarray(population_loss(without, biases, free))
    decoders = np.repeat(W_out[None], n, axis=0)
    decoders[rows, rows] = 0
    return np.asarray(population_loss(without, biases, free, W_out=decoders))


def _silent(b: ndarray, problem: Problem, plain: Problem) -> Float[ndarray, " n"]:
    """The error of every output that reads nothing."""
    if problem.terms.bias is None:
        return np.asarray(problem.importance * problem.features.variance)
    return np.asarray(problem.importance * output_errors(np.zeros((problem.n, problem.n)), b, plain).value)

"""Toy models: forward passes, and losses on a batch with their gradients written out by hand.

All models read features x into m hidden dimensions and out again,

    h = s(W x) ,   y = t(V h + b) ,

where s and t are ReLU or nothing and V = W^T in the models with tied weights. The loss on a batch is the
mean over its samples of sum_i I_i (target_i - y_i)^2: summed over features, weighted by importance, and not
divided by n. Leading axes of the arrays are runs: many models at once.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from theory.model.activations import LINEAR, RELU, Activation
from theory.tools.choices import choose

__all__ = ["MODELS", "Model", "Parameters", "find_model", "forward", "loss_and_gradient"]


@dataclass(frozen=True)
class Model:
    """
    What distinguishes one toy model from another.

    Attributes
    ----------
    name : str
        How results call it.
    relu_hidden : bool
        Whether the hidden layer passes through a ReLU.
    activation : Activation
        What the output passes through.
    tied : bool
        Whether the same W reads in and (transposed) out.
    absolute : bool
        Whether the target is |x|, with active values drawn from U[-1, 1], instead of x itself.
    """

    name: str = "relu"
    relu_hidden: bool = False
    activation: Activation = RELU
    tied: bool = True
    absolute: bool = False


MODELS = {
    "linear": Model("linear", activation=LINEAR),
    "relu": Model("relu"),
    "relu_hidden": Model("relu_hidden", relu_hidden=True),
    "absolute": Model("absolute", relu_hidden=True, tied=False, absolute=True),
}


def find_model(model: str | Model | Activation) -> Model:
    """
    Look up a model.

    Parameters
    ----------
    model : {"linear", "relu", "relu_hidden", "absolute"} or Model or Activation
        A description, or the output activation of a model with tied weights, or a name: x' = W^T W x + b;
        x' = ReLU(W^T W x + b); x' = ReLU(W^T ReLU(W x) + b), whose hidden basis is privileged; y = ReLU(W_2 ReLU(W_1 x)
        + b) with target |x|.

    Returns
    -------
    Model
        Its description.

    Raises
    ------
    ValueError
        If there is no such model.
    """
    if isinstance(model, Model):
        return model
    if isinstance(model, Activation):
        known = (one for one in MODELS.values() if one == Model(one.name, activation=model))
        return next(known, Model(model.name, activation=model))
    return choose("model", model, MODELS)


class Parameters(NamedTuple):
    """
    The weights and bias of one or many models, or the gradient in them.

    Attributes
    ----------
    W : ndarray, shape (*runs, m, n)
        Embedding: column j is the direction of feature j.
    b : ndarray, shape (*runs, n)
        Output bias.
    W_out : ndarray, shape (*runs, n, m), optional
        Output weights of the models whose weights are not tied.

    Examples
    --------
    >>> import numpy as np
    >>> import numerics
    >>> numerics.Parameters(np.eye(2, 3), np.zeros(3)).W.shape
    (2, 3)
    """

    W: ndarray
    b: ndarray
    W_out: ndarray | None = None


class _Pass(NamedTuple):
    """What the backward pass needs of the forward one."""

    h: ndarray
    z: ndarray
    y: ndarray


def _forward(
    model: Model, parameters: Parameters, x: Float[ndarray, "*runs batch n"], noise: ndarray | None = None
) -> _Pass:
    h = x @ parameters.W.swapaxes(-1, -2)
    if model.relu_hidden:
        h = np.maximum(h, 0)
    z = (h if noise is None else h + noise) @ _decoder(model, parameters) + parameters.b[..., None, :]
    return _Pass(h, z, model.activation.value(z))


def _decoder(model: Model, parameters: Parameters) -> Float[ndarray, "*runs m n"]:
    if model.tied:
        return parameters.W
    if parameters.W_out is None:
        raise ValueError("this model has output weights of its own: give W_out, of shape (n, m)")
    return parameters.W_out.swapaxes(-1, -2)


def forward(
    parameters: Parameters,
    x: Float[ndarray, "*runs batch n"],
    model: str | Model = "relu",
    noise: Float[ndarray, "*runs batch m"] | None = None,
) -> Float[ndarray, "*runs batch n"]:
    """
    Reconstruct features, or compute their absolute values.

    Parameters
    ----------
    parameters : Parameters
        Weights and bias, with the same leading axes as ``x`` or none.
    x : ndarray, shape (*runs, batch, n)
        Features.
    model : {"relu", "linear", "relu_hidden", "absolute"} or Model
        Which model; see ``find_model``.
    noise : ndarray, shape (*runs, batch, m), optional
        Added to the hidden layer.

    Returns
    -------
    ndarray, shape (*runs, batch, n)
        Output of the model.

    Examples
    --------
    >>> digon = Parameters(W=np.array([[1.0, -1.0]]), b=np.zeros(2))
    >>> forward(digon, np.array([[0.5, 0.0], [0.0, 0.25]]))
    array([[0.5 , 0.  ],
           [0.  , 0.25]])
    """
    return _forward(find_model(model), parameters, x, noise).y


def loss_and_gradient(
    parameters: Parameters,
    x: Float[ndarray, "*runs batch n"],
    importance: Float[ndarray, "*runs n"],
    model: str | Model = "relu",
    noise: Float[ndarray, "*runs batch m"] | None = None,
    l1: float = 0.0,
) -> tuple[Float[ndarray, "*runs"], Parameters]:
    """
    Give the loss on a batch and its gradient.

    Parameters
    ----------
    parameters : Parameters
        Weights and bias, with the same leading axes as ``x``.
    x : ndarray, shape (*runs, batch, n)
        Features.
    importance : ndarray, shape (*runs, n)
        Weight I_i of each feature, >= 0.
    model : {"relu", "linear", "relu_hidden", "absolute"} or Model
        Which model; see ``find_model``.
    noise : ndarray, shape (*runs, batch, m), optional
        Added to the hidden layer.
    l1 : float
        Weight of the L1 norm of the hidden layer, before the noise.

    Returns
    -------
    loss : ndarray, shape (*runs,)
        Mean over the batch of sum_i I_i (target_i - y_i)^2 + l1 sum_d |h_d|.
    gradient : Parameters
        Its derivatives in W, b and, where weights are not tied, W_out.

    Examples
    --------
    >>> import numpy as np
    >>> import numerics
    >>> point = numerics.Parameters(np.array([[[1.0, -1.0]]]), np.zeros((1, 2)))
    >>> loss, slope = numerics.loss_and_gradient(point, np.array([[[0.5, 0.5]]]), np.ones((1, 2)))
    >>> loss.tolist(), slope.W.shape
    ([0.5], (1, 1, 2))
    """
    kind = find_model(model)
    h, z, y = _forward(kind, parameters, x, noise)
    error = y - (np.abs(x) if kind.absolute else x)
    weighted = importance[..., None, :] * error / x.shape[-2]
    loss = np.sum(weighted * error, axis=(-2, -1))
    dz = 2 * weighted
    dz *= kind.activation.derivative(z)
    dh = dz @ _decoder(kind, parameters).swapaxes(-1, -2)
    if l1:
        loss = loss + l1 * np.abs(h).sum(-1).mean(-1)
        dh += (l1 / x.shape[-2]) * np.sign(h)
    if kind.relu_hidden:
        dh *= h > 0
    read_in = dh.swapaxes(-1, -2) @ x
    read_out = (h if noise is None else h + noise).swapaxes(-1, -2) @ dz
    db = dz.sum(-2)
    if kind.tied:
        return loss, Parameters(read_in + read_out, db)
    return loss, Parameters(read_in, db, read_out.swapaxes(-1, -2))

"""The loss of one output whose couplings are known by their law alone: the mean field of an even frame.

An output of norm r has the coupling g = r^2 to its own feature and g c to N others, whose cosines c have the law mu:

    z = b + g x_own + sum_j g c_j x_j + N(0, sigma^2 g) ,
    E exp(itz) = exp(itb - sigma^2 g t^2 / 2) (1 - p + p e(tg)) exp(N Int log(1 - p + p e(tgc)) dmu(c)) .

Where mu is the law of N real cosines (weights that are multiples of 1/N) this is the exact characteristic function,
and the loss is that of theory.loss to the accuracy asked for. Other weights make it the mean field
(theory.frames.output_loss).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from theory.frames.output_loss import MOST_NODES, NEVER, Nodes, OutputField, left_out_error
from theory.model.values import UNIFORM, ValueLaw

__all__ = ["MOST_NODES", "CosineLaw", "MeanField", "Nodes", "RowLoss"]


@dataclass(frozen=True, eq=False)
class CosineLaw:
    """
    A law of cosines, concentrated on some.

    Attributes
    ----------
    cosines : ndarray, shape (s,)
        Values in [-1, 1].
    weights : ndarray, shape (s,)
        Their probabilities, >= 0, of sum 1.

    Examples
    --------
    >>> import numpy as np
    >>> import theory
    >>> law = theory.CosineLaw(np.array([-1.0, 0.0]), np.array([0.25, 0.75]))
    >>> float(law.weights.sum())
    1.0
    """

    cosines: Float[ndarray, " s"]
    weights: Float[ndarray, " s"]

    @classmethod
    def of(cls, G: Float[ndarray, " n"], own: int, digits: int = 12) -> "CosineLaw":
        """
        Read the law off one row of couplings.

        Parameters
        ----------
        G : ndarray, shape (n,)
            Couplings of one output to features of equal norm.
        own : int
            The output's own feature.
        digits : int
            Cosines that agree when rounded to so many digits are one.

        Returns
        -------
        CosineLaw
            The law of the n - 1 cosines G_j / G_own, j != own.
        """
        cosines, counts = np.unique(np.round(np.delete(G, own) / G[own], digits), return_counts=True)
        return cls(cosines, counts / counts.sum())


@dataclass(frozen=True, eq=False)
class RowLoss:
    """
    Expected squared error of an output, with its derivatives.

    Attributes
    ----------
    value : float
        E (x_own - ReLU z)^2, >= 0.
    dg, db : float
        Derivatives in the own coupling g, all cosines fixed, and in the bias.
    dcosines, dweights : ndarray, shape (s,)
        Derivatives in the cosines and in their weights.
    """

    value: float
    dg: float
    db: float
    dcosines: Float[ndarray, " s"]
    dweights: Float[ndarray, " s"]


@dataclass(frozen=True)
class MeanField:
    """
    What an output sees: features of equal density, values and norm.

    Attributes
    ----------
    density : float
        Probability p that a feature is active, in (0, 1].
    others : float
        Number N >= 0 of features beside the own; need not be whole.
    values : ValueLaw
        Law of an active feature's value.
    noise : float
        Standard deviation sigma >= 0 of Gaussian noise on every hidden dimension.

    Examples
    --------
    >>> import theory
    >>> theory.MeanField(0.1, 9.0).others
    9.0
    """

    density: float
    others: float
    values: ValueLaw = UNIFORM
    noise: float = 0.0

    @property
    def unrepresented(self) -> float:
        """Loss of a feature that is left out, at its best bias: E x if that is positive, else 0 or less."""
        return float(left_out_error(self.density, self.values))

    def nodes(self, g: float, b: float, law: CosineLaw, rtol: float = 1e-7) -> Nodes:
        """
        Choose frequencies for an accuracy.

        Parameters
        ----------
        g : float
            Own coupling, the squared norm, > 0.
        b : float
            Bias.
        law : CosineLaw
            Cosines to the other features.
        rtol : float
            Accuracy, relative to the loss p E u^2 of the zero model.

        Returns
        -------
        Nodes
            The step from Chernoff's bound; the number of nodes after doubling it has changed the loss by less than that
            twice in a row: sums that oscillate may agree once by accident.
        """
        return self._output(law).nodes(g, b, g * law.cosines, self.others * law.weights, rtol)

    def loss(self, g: float, b: float, law: CosineLaw, nodes: Nodes | None = None) -> RowLoss:
        """
        Compute the loss of the output.

        Parameters
        ----------
        g : float
            Own coupling, the squared norm, > 0.
        b : float
            Bias.
        law : CosineLaw
            Cosines to the other features.
        nodes : Nodes, optional
            Frequencies; by default those of ``nodes(g, b, law)``.

        Returns
        -------
        RowLoss
            Value and derivatives.
        """
        nodes = self.nodes(g, b, law) if nodes is None else nodes
        c, N = law.cosines, self.others
        found = self._output(law).loss(g, b, g * c, N * law.weights, nodes)
        dg = found.dg + float(c @ found.dcouplings)
        return RowLoss(found.value, dg, found.db, g * found.dcouplings, N * found.dcounts)

    def _output(self, law: CosineLaw) -> OutputField:
        p = self.density
        silence = max(1 - p, NEVER) ** (self.others + 1)
        return OutputField(p, np.full(len(law.cosines), p), self.values, self.noise, silence)

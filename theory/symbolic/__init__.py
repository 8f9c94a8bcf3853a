"""The symbolic layer: the theory's closed forms, derived with SymPy rather than typed in.

Everything follows from integrals over the features' distribution: the linear model's loss in benefit and
interference, the ReLU model's one-sparse loss, the exact losses of named candidates, and the boundaries
between the idealised ones. ``python -m theory.derive`` prints them.
"""

from theory.symbolic.active_sets import Expansion, derive_expansion, derive_output
from theory.symbolic.algebra.formula import Formula
from theory.symbolic.algebra.symbols import ReLU
from theory.symbolic.boundaries import Boundary, MeetingPoint, derive_boundaries, derive_meeting_points
from theory.symbolic.candidates import CandidateLoss, derive_candidates, derive_triangle
from theory.symbolic.derivation.derivation import derive_report
from theory.symbolic.linear import LinearLoss, derive_linear_loss
from theory.symbolic.one_sparse import OneSparseLoss, derive_one_sparse_loss
from theory.symbolic.outputs import OutputLoss, derive_outputs

__all__ = [
    "Boundary",
    "CandidateLoss",
    "Expansion",
    "Formula",
    "LinearLoss",
    "MeetingPoint",
    "OneSparseLoss",
    "OutputLoss",
    "ReLU",
    "derive_boundaries",
    "derive_candidates",
    "derive_expansion",
    "derive_linear_loss",
    "derive_meeting_points",
    "derive_one_sparse_loss",
    "derive_output",
    "derive_outputs",
    "derive_report",
    "derive_triangle",
]

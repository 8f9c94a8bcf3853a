"""Arrays as callers have them: also tensors of torch, which need not be installed for that."""

from typing import Any

__all__ = ["detached"]


def detached(values: Any) -> Any:
    """
    Bring a tensor to NumPy, away from its graph and its device; leave everything else as it is.

    Parameters
    ----------
    values : array_like or torch.Tensor
        Numbers.

    Returns
    -------
    array_like
        An array in place of a tensor (float64 for a bfloat16), the argument itself otherwise.
    """
    if not (hasattr(values, "detach") and hasattr(values, "cpu")):
        return values
    tensor = values.detach().cpu()
    return (tensor.double() if "bfloat16" in str(tensor.dtype) else tensor).numpy()

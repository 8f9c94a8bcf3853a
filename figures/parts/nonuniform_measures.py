"""What is measured of features that differ in density: counts, norms, and what the pair criterion decides."""

import xarray as xr

__all__ = ["CASES", "PUBLISHED", "REPRESENTED", "SCENARIOS", "agreement", "balanced", "counted", "frobenius"]

CASES = ("case 1", "case 2", "case 3", "case 4")
SCENARIOS = (*CASES, "uniform sparse", "uniform dense")
# What the source reports; its uniform "instance of lowest sparsity" can only be the sparsest one, see the summary.
PUBLISHED = {"uniform sparse": 7.55, "case 2": 6.6, "case 4": 6.43, "case 3": 5.75, "case 1": 4.98}
REPRESENTED = 0.5


def counted(norms: xr.DataArray, feature: str, threshold: float = REPRESENTED) -> xr.DataArray:
    """
    Count the represented features.

    Parameters
    ----------
    norms : xarray.DataArray
        Norms of embeddings.
    feature : str
        Dimension to count along.
    threshold : float
        Norms above this count.

    Returns
    -------
    xarray.DataArray of int
        Without that dimension.
    """
    return (norms > threshold).sum(feature)


def agreement(data: xr.Dataset) -> dict[str, xr.DataArray]:
    """
    Share of features on which the ideal pairing decides as training, or as the exact optimum, does.

    Parameters
    ----------
    data : xarray.Dataset
        As ``compute`` returns it.

    Returns
    -------
    dict from str to xarray.DataArray
        "five exact", "five learned" per choice and case; "eighty learned" per choice and scenario.
    """
    five, eighty = data["five_pairing"] > 0, data["eighty_pairing"] > 0
    return {
        "five exact": ((data["five_exact"] > REPRESENTED) == five).mean("five"),
        "five learned": ((data["five_learned"] > REPRESENTED) == five).mean(("five", "instance")),
        "eighty learned": ((data["eighty_learned"] > REPRESENTED) == eighty).mean(("eighty", "replicate")),
    }


def balanced(stored: xr.DataArray, predicted: xr.DataArray) -> float:
    """
    Share of right decisions, stored and left-out features weighing the same.

    Parameters
    ----------
    stored, predicted : xarray.DataArray of bool
        What is, and what a rule says; broadcast together.

    Returns
    -------
    float
        In [0, 1]; 1/2 for saying always the same.
    """
    right = stored == predicted
    return float((right.where(stored).mean() + right.where(~stored).mean()) / 2)


def frobenius(data: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray]:
    """
    Frobenius norms of the eighty features' embeddings.

    Parameters
    ----------
    data : xarray.Dataset
        As ``compute`` returns it.

    Returns
    -------
    learned : xarray.DataArray
        Per choice, scenario and replicate.
    predicted : xarray.DataArray
        Of the ideal pairing: the square root of the number of represented features.
    """
    learned = (data["eighty_learned"] ** 2).sum("eighty") ** 0.5
    predicted = (data["eighty_pairing"] > 0).sum("eighty") ** 0.5
    return learned, predicted

"""What the documents on superposition in toy models claim: the statements that the figure scripts judge."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType

__all__ = ["CLAIMS", "DOCUMENTS", "Claim"]


@dataclass(frozen=True)
class Claim:
    """
    A statement of one or more documents.

    Attributes
    ----------
    title : str
        What it is about, in a few words.
    documents : tuple of str
        Keys of DOCUMENTS.
    statement : str
        What is claimed, in a sentence or two; formulas between dollar signs.
    parameters : str
        What it is claimed for. Where a document leaves a parameter out, the script that judges names its choice.
    """

    title: str
    documents: tuple[str, ...]
    statement: str
    parameters: str


def _read() -> tuple[Mapping[str, str], Mapping[int, Claim]]:
    content = tomllib.loads((files("figures.shared") / "documents.toml").read_text(encoding="utf-8"))
    claims = {
        int(number): Claim(
            entry["title"], tuple(entry["documents"]), " ".join(entry["statement"].split()), entry["parameters"]
        )
        for number, entry in content["claims"].items()
    }
    return MappingProxyType(content["documents"]), MappingProxyType(claims)


DOCUMENTS, CLAIMS = _read()

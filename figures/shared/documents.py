"""What the documents on superposition in toy models claim: the statements that the figure scripts judge."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.resources import files
from types import MappingProxyType
from typing import Any

__all__ = ["CLAIMS", "DOCUMENTS", "Claim", "Quote"]


@dataclass(frozen=True)
class Quote:
    """
    Words of a document that a claim rests on.

    Attributes
    ----------
    document : str
        Key of DOCUMENTS.
    place : str
        Slide or section; empty if the document has none.
    words : str
        Word for word; empty if only the sense is the document's.
    supports : tuple of str
        How findings on these words begin, with * for anything.
    """

    document: str
    place: str
    words: str
    supports: tuple[str, ...]


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
        What it is claimed for.
    chosen : str
        What the documents leave out and is chosen here; empty if nothing.
    quotes : tuple of Quote
        The words.
    """

    title: str
    documents: tuple[str, ...]
    statement: str
    parameters: str
    chosen: str
    quotes: tuple[Quote, ...]

    def quote_of(self, stated: str) -> Quote | None:
        """
        Find the words that a finding judges.

        Parameters
        ----------
        stated : str
            What it says is stated.

        Returns
        -------
        Quote or None
            None if no document states it: the finding goes beyond them.
        """
        for quote in self.quotes:
            if any(fnmatchcase(stated, f"{pattern}*") for pattern in quote.supports):
                return quote
        return None


def _claim(entry: Mapping[str, Any]) -> Claim:
    quotes = tuple(
        Quote(quote["document"], quote.get("place", ""), quote.get("words", ""), tuple(quote["supports"]))
        for quote in entry["quotes"]
    )
    statement = " ".join(entry["statement"].split())
    return Claim(
        entry["title"], tuple(entry["documents"]), statement, entry["parameters"], entry.get("chosen", ""), quotes
    )


def _read() -> tuple[Mapping[str, str], Mapping[int, Claim]]:
    content = tomllib.loads((files("figures.shared") / "documents.toml").read_text(encoding="utf-8"))
    claims = {int(number): _claim(entry) for number, entry in content["claims"].items()}
    return MappingProxyType(content["documents"]), MappingProxyType(claims)


DOCUMENTS, CLAIMS = _read()

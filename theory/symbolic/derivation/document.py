"""A report as sections of prose and equations, written as plain text or as a LaTeX document."""

import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

import sympy
from sympy.logic.boolalg import Boolean

from theory.symbolic.derivation.typeset import (
    condition_latex,
    condition_plain,
    latex,
    ordered_terms,
    plain,
    prose_plain,
)

__all__ = ["Document", "Equation", "Section", "Statement"]

# Columns of the plain text, and signs that fit a line of the printed page.
_WIDTH = 100
_PRINTED_WIDTH = 80

# Stands for a space at which no line may break.
_GLUE = "\0"

_PREAMBLE = r"""\documentclass[a4paper]{article}
\usepackage{amsmath}
\usepackage[margin=2cm]{geometry}
\setlength{\parindent}{0pt}
\allowdisplaybreaks
\begin{document}
"""


@dataclass(frozen=True)
class Equation:
    """
    A formula with a name, and where it holds.

    Parameters
    ----------
    left : str
        Left-hand side, in LaTeX as simple as in a report's prose.
    right : Basic or tuple of Basic
        Right-hand side; a tuple is a sum whose terms keep their order.
    holds : Boolean
        Where the formula holds; said if it is not everywhere.
    decimal : bool
        Whether to add the decimal value of a number.
    """

    left: str
    right: sympy.Basic | tuple[sympy.Basic, ...]
    holds: Boolean = sympy.true
    decimal: bool = False

    def plain(self) -> str:
        """
        Write the equation as text.

        Returns
        -------
        str
            Indented lines, broken between terms.
        """
        left = f"    {prose_plain(self.left)} = "
        if isinstance(self.right, sympy.Piecewise):
            return "\n".join([left.rstrip(), *map(_case_plain, self.right.args)])
        where = condition_plain(self.holds)
        terms = self.right if isinstance(self.right, tuple) else (self.right,)
        right = " + ".join(plain(term) for term in terms)
        return _wrapped(left, right, self._decimal() + (f"    for {where}" if where else ""), indent=8)

    def latex(self) -> str:
        """
        Write the equation as LaTeX.

        Returns
        -------
        str
            Lines for an align* environment.
        """
        lines = _latex_lines(self.right)
        lines[-1] += self._decimal().replace("~", r"\approx")
        where = condition_latex(self.holds)
        if where:
            lines[-1] += r" \qquad \text{for } " + where
        body = " \\\\\n&\\quad ".join(lines)
        return f"{self.left} &= {body}"

    def _decimal(self) -> str:
        if not self.decimal or isinstance(self.right, tuple) or self.right.is_Integer:
            return ""
        return f" ~ {float(self.right):.6g}"


@dataclass(frozen=True)
class Statement:
    """
    A sentence that ends in a condition.

    Parameters
    ----------
    text : str
        The sentence up to the condition, without markup.
    condition : Boolean
        The condition.
    end : str
        What follows the sentence.
    """

    text: str
    condition: Boolean
    end: str = "."

    def plain(self) -> str:
        """
        Write the sentence as text.

        Returns
        -------
        str
            One paragraph.
        """
        where = condition_plain(self.condition)
        return textwrap.fill(self._sentence(where), _WIDTH, break_long_words=False)

    def latex(self) -> str:
        """
        Write the sentence as LaTeX.

        Returns
        -------
        str
            One paragraph.
        """
        where = condition_latex(self.condition)
        return self._sentence(f"${where}$" if where else "")

    def _sentence(self, where: str) -> str:
        return f"{self.text} for {where}{self.end}" if where else f"{self.text}{self.end}"


def _case_plain(case: sympy.Tuple) -> str:
    expression, condition = case
    where = condition_plain(condition)
    return _wrapped(" " * 8, plain(expression), f"    if {where}" if where else "    otherwise", indent=12)


def _wrapped(before: str, formula: str, after: str, indent: int) -> str:
    """Break a long line between the terms of its formula."""
    tail = after.lstrip(" ").replace(" ", _GLUE)
    text = before + _glued(formula) + after[: len(after) - len(after.lstrip(" "))] + tail
    lines = textwrap.wrap(text, _WIDTH, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines).replace(_GLUE, " ")


def _glued(text: str) -> str:
    """Let lines break only before the + or - between the terms of a sum."""
    glued, depth = "", 0
    for k, letter in enumerate(text):
        depth += (letter in "([") - (letter in ")]")
        breaks = depth == 0 and text[k + 1 : k + 3] in ("+ ", "- ")
        glued += _GLUE if letter == " " and not breaks else letter
    return glued


def _printed_width(source: str) -> int:
    """Count the signs of a formula without its markup."""
    return len(re.sub(r"\\(frac|left|right|operatorname)|[{}^ ]", "", source))


def _latex_lines(right: sympy.Basic | tuple[sympy.Basic, ...]) -> list[str]:
    """Break a long sum between its terms."""
    terms = list(right) if isinstance(right, tuple) else [right]
    if isinstance(right, sympy.Add):
        terms = ordered_terms(right)
    lines = [""]
    # every term but the first is printed with its sign, so that a line may begin with it
    for k, term in enumerate(terms):
        negative = bool(k) and term.could_extract_minus_sign()
        sign = "- " if negative else ("+ " if k else "")
        piece = f"{sign}{latex(-term if negative else term)}"
        if lines[-1] and _printed_width(lines[-1] + piece) > _PRINTED_WIDTH:
            lines.append(piece)
        else:
            lines[-1] = f"{lines[-1]} {piece}".strip()
    return lines


@dataclass(frozen=True)
class Section:
    """
    A title, and the prose and equations under it.

    Parameters
    ----------
    title : str
        The title.
    items : tuple of str, Equation or Statement
        Paragraphs, with simple formulas between dollar signs, and equations.
    """

    title: str
    items: tuple[str | Equation | Statement, ...]


@dataclass(frozen=True)
class Document:
    """
    A report.

    Parameters
    ----------
    title : str
        Its title.
    sections : tuple of Section
        Its sections.
    """

    title: str
    sections: tuple[Section, ...]

    def plain(self) -> str:
        """
        Write the report as text.

        Returns
        -------
        str
            Lines of at most about 100 columns.
        """
        return "\n".join(self._plain_lines()) + "\n"

    def _plain_lines(self) -> Iterable[str]:
        title = prose_plain(self.title)
        yield from (title, "=" * len(title))
        for section in self.sections:
            heading = prose_plain(section.title)
            yield from ("", heading, "-" * len(heading))
            for item in section.items:
                if isinstance(item, str):
                    yield textwrap.fill(prose_plain(item), _WIDTH, break_long_words=False)
                else:
                    yield item.plain()

    def latex(self) -> str:
        """
        Write the report as a complete LaTeX document.

        Returns
        -------
        str
            Needs amsmath and geometry only.
        """
        parts = [_PREAMBLE + f"\\section*{{{self.title}}}"]
        for section in self.sections:
            parts.append(f"\\subsection*{{{section.title}}}")
            for is_equation, group in groupby(section.items, key=lambda item: isinstance(item, Equation)):
                if is_equation:
                    lines = " \\\\\n".join(item.latex() for item in group if isinstance(item, Equation))
                    parts.append(f"\\begin{{align*}}\n{lines}\n\\end{{align*}}")
                else:
                    parts += [item if isinstance(item, str) else item.latex() for item in group]
        return "\n\n".join([*parts, "\\end{document}\n"])

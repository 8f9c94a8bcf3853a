"""The page of claims: every claim of the documents with its verdict, ``python -m figures.claims --output docs``.

The verdicts follow from the figures' numbers. Results that ``python -m figures`` left are read; what is missing is
computed and kept there. Beside the page, claims.json holds the same findings with the command, seed and version that
made them, and gallery.md shows the figures' pictures, which are drawn anew. With ``--only NAME`` that is done for one
figure, and what claims.json and the pictures say of the others stays.
"""

from figures.shared.script import SCRIPTS, Settings, check_foreign, obtain

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from importlib import import_module
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from figures.shared.documents import CLAIMS, DOCUMENTS, Quote
from figures.shared.pictures import FOLDER, gallery, store
from figures.shared.verdicts import FAILS, HOLDS, PARTLY, UNDECIDED, Finding, Verdict
from theory.tools.arguments import non_negative_count, writable_directory
from theory.tools.command import Parser, progress, run_command, tell
from theory.tools.storage import results_folder, write

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["collect", "judged", "main", "page"]

_COMMAND = "python -m figures.claims"
_SIGNS = {True: "yes", False: "no", None: "cannot be told"}
_INTRODUCTION = """# Claims

Written by `python -m figures.claims`; do not edit.

Every claim of the documents on superposition in toy models, with a verdict. A verdict is not written down by anybody:
it follows from findings, each of which compares a document's words with what a figure's script computed: exactly where
theory reaches, from trained models where it does not. A claim *holds* if every comparison agrees with it and *does not
hold* if none does; else it says in how many it holds. Where a threshold or a recipe of training had to be chosen, the
comparison was made for every reasonable one, listed below it; it *depends* if they do not agree with each other. What
no document states stands apart, as *beyond the documents*, and decides nothing.
"""


def judged(name: str, data: "xr.Dataset") -> dict[int, dict[str, Any]]:
    """
    Let a figure's script judge its claims.

    Parameters
    ----------
    name : str
        Name of the script.
    data : xarray.Dataset
        Its numbers, labelled with the settings that made them.

    Returns
    -------
    dict from int to dict
        Per claim: verdict, findings, mechanism, and what made them; of strings, numbers and lists only.
    """
    settings = json.loads(data.attrs["settings"])
    command = f"python figures/{name}.py --seed {settings['seed']}{' --quick' if settings['quick'] else ''}"
    made_by = {"script": name, "command": command, "seed": settings["seed"], "version": data.attrs["version"]}
    verdicts: Sequence[Verdict] = import_module(f"figures.{name}").judge(data)
    return {
        verdict.claim: {
            "verdict": verdict.outcome,
            "findings": [_plain(finding) for finding in verdict.findings],
            "why": verdict.why,
            **made_by,
        }
        for verdict in verdicts
    }


def _plain(finding: Finding) -> dict[str, Any]:
    """A finding of strings and lists, its choices only if there are any."""
    plain = asdict(finding)
    plain["choices"] = list(plain["choices"])
    return plain if plain["choices"] else {key: plain[key] for key in ("stated", "found", "agrees")}


def collect(folder: Path, settings: Settings, names: Sequence[str]) -> dict[int, dict[str, Any]]:
    """
    Judge the claims of figures.

    Parameters
    ----------
    folder : Path
        Where the figures' results are, or will be.
    settings : Settings
        How to compute what is missing.
    names : sequence of str
        The figures' scripts.

    Returns
    -------
    dict from int to dict
        As ``judged`` gives it, in the order of the claims.
    """
    results: dict[int, dict[str, Any]] = {}
    for name in progress(names, label="figures"):
        data, _ = obtain(name, folder, settings)
        results |= judged(name, data)
    return results


def _stored(path: Path, without: Sequence[str]) -> dict[int, dict[str, Any]]:
    """What an earlier page says of the claims of all other figures."""
    if not path.exists():
        return {}
    try:
        found = {int(claim): dict(result) for claim, result in json.loads(path.read_text("utf-8")).items()}
        return {claim: result for claim, result in found.items() if result["script"] not in without}
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ValueError(f"{path} is damaged: leave out --only, which keeps what it says of other figures") from None


def page(results: Mapping[int, Mapping[str, Any]], shown: Collection[str] = SCRIPTS) -> str:
    """
    Write the page of claims.

    Parameters
    ----------
    results : mapping from int to mapping
        As ``collect`` returns it.
    shown : collection of str
        Scripts whose picture is stored beside the page.

    Returns
    -------
    str
        Markdown (MyST).
    """
    verdicts = [result["verdict"] for result in results.values()]
    counts = {
        "hold": verdicts.count(HOLDS),
        "hold in part": sum(verdict.startswith(PARTLY) for verdict in verdicts),
        "do not hold": verdicts.count(FAILS),
        "cannot be decided": verdicts.count(UNDECIDED),
    }
    counts["depend on a choice"] = len(verdicts) - sum(counts.values())
    words = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    lines = [_INTRODUCTION, f"Of {len(verdicts)} claims: {words}.", "", "| # | claim | verdict |", "|---|---|---|"]
    lines += [f"| {claim} | [{CLAIMS[claim].title}](#claim-{claim}) | {r['verdict']} |" for claim, r in results.items()]
    lines += ["", "The documents:", "", *(f"- {key}: {title}" for key, title in DOCUMENTS.items())]
    for claim, result in results.items():
        lines += _section(claim, result, result["script"] in shown)
    return "\n".join(lines) + "\n"


def _section(claim: int, result: Mapping[str, Any], shown: bool) -> list[str]:
    """One claim: what is stated, the verdict, the findings, the mechanism, and where it comes from."""
    entry, name = CLAIMS[claim], result["script"]
    chosen = f"\n>\n> Chosen here: {_text(entry.chosen)}." if entry.chosen else ""
    lines = [
        "",
        f"(claim-{claim})=",
        f"## {claim}. {entry.title}",
        "",
        f"> {entry.statement} ({', '.join(entry.documents)}; {entry.parameters}){chosen}",
        "",
        f"**{result['verdict'].capitalize()}.** {_text(result['why'])}",
        "",
    ]
    judged: dict[Quote | None, list[Mapping[str, Any]]] = {quote: [] for quote in (*entry.quotes, None)}
    for finding in result["findings"]:
        judged[entry.quote_of(finding["stated"])].append(finding)
    beyond = judged.pop(None)
    for quote, findings in judged.items():
        assert quote is not None
        lines += [f"{_source(quote)}:", "", "| as judged | found | agrees |", "|---|---|---|"]
        lines += [f"| {_cell(f['stated'])} | {_cell(f['found'])} | {_sign(f)} |" for f in findings]
        lines.append("")
        for finding in findings:
            lines += _choices(finding)
    if beyond:
        lines += ["Beyond the documents:", "", "| looked at | found |", "|---|---|"]
        lines += [f"| {_cell(finding['stated'])} | {_cell(finding['found'])} |" for finding in beyond]
        lines.append("")
    lines += shown * [f"![{entry.title}]({FOLDER}/{name}.png)", ""]
    figure = f"[{name}.py](gallery.md#figure-{name})" if shown else f"{name}.py"
    lines.append(f"Figure: {figure}. Made by `{result['command']}`, version {result['version']}.")
    return lines


def _sign(finding: Mapping[str, Any]) -> str:
    """Whether a finding agrees, and with every choice."""
    choices = finding.get("choices", [])
    if not choices:
        return _SIGNS[finding["agrees"]]
    if finding["agrees"] is None:
        agreeing = sum(choice["agrees"] for choice in choices)
        return f"depends: yes with {agreeing} of {len(choices)} choices"
    return f"{_SIGNS[finding['agrees']]}, with all {len(choices)} choices"


def _choices(finding: Mapping[str, Any]) -> list[str]:
    """The table over thresholds and recipes, folded."""
    if not finding.get("choices"):
        return []
    lines = [
        f":::{{dropdown}} By choice: {_text(finding['stated'])}",
        "",
        "| choice | found | agrees |",
        "|---|---|---|",
    ]
    alike: dict[tuple[str, bool, int], list[str]] = {}
    for choice in finding["choices"]:
        parts = choice["label"].count(", ")
        alike.setdefault((choice["found"], choice["agrees"], parts), []).append(choice["label"])
    for (found, agrees, _), labels in alike.items():
        lines += [f"| {_cell(label)} | {_cell(found)} | {_SIGNS[agrees]} |" for label in _joined(labels)]
    return [*lines, ":::", ""]


def _joined(labels: Sequence[str]) -> Sequence[str]:
    """One label for several that are all combinations of their parts: "density 0.1, to 3 degrees / to 5 degrees"."""
    values = [list(dict.fromkeys(part)) for part in zip(*(label.split(", ") for label in labels), strict=True)]
    if prod(map(len, values)) != len(labels):
        return labels
    return [", ".join(" / ".join(part) for part in values)]


def _source(quote: Quote) -> str:
    """Whose words, and which."""
    where = f"{quote.document}, {quote.place}" if quote.place else quote.document
    words = f"“{_text(quote.words, formulas=False)}”" if quote.words else "in sense"
    return f"{words} ({where})"


def _text(text: str, formulas: bool = True) -> str:
    """Characters that Markdown would read as markup; formulas between dollar signs stay, if there are any."""
    parts = text.split("$") if formulas else [text.replace("\\", "\\\\").replace("$", "\\$")]
    for k in range(0, len(parts), 2):
        for mark in ("<", "*", "_", "~", "^"):
            parts[k] = parts[k].replace(mark, f"\\{mark}")
    return "$".join(parts)


def _cell(text: str) -> str:
    return _text(" ".join(text.split())).replace("|", "\\|")


def main(argv: Sequence[str] | None = None) -> None:
    """
    Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; those of the process by default.
    """
    parser = Parser("Every claim of the documents with its verdict: claims.md and claims.json.", prog=_COMMAND)
    parser.add_argument(
        "--results", type=writable_directory, default=Path("results"), help="where figures' results are"
    )
    parser.add_argument("--output", type=writable_directory, default=Path(), help="folder for the page")
    parser.add_argument("--quick", action="store_true", help="judge the small versions of the figures")
    parser.add_argument("--seed", type=non_negative_count, default=0, help="seed of everything random")
    parser.add_workers()
    parser.add_overwrite()
    parser.add_argument("--only", nargs="+", choices=SCRIPTS, metavar="NAME", help="these figures; what the page's "
                        "folder says of others, and shows of them, is kept")  # fmt: skip
    options = parser.parse_args(argv)
    settings = Settings(options.quick, options.seed, options.workers)
    wanted = options.only or SCRIPTS
    others = _stored(options.output / "claims.json", wanted) if options.only else {}
    check_foreign(wanted, options.results, options.overwrite)
    names = ("claims.md", "claims.json", "gallery.md")
    with (
        results_folder(options.output, names, options.overwrite, _COMMAND) as folder,
        results_folder(options.results) as kept,
    ):
        results = dict(sorted((others | collect(kept, settings, wanted)).items()))
        for name in wanted:
            store(name, obtain(name, kept, settings)[0], folder / FOLDER)
        shown = {name for name in SCRIPTS if (folder / FOLDER / f"{name}.png").exists()}
        pictures = gallery(folder / FOLDER, SCRIPTS, {claim: result["script"] for claim, result in results.items()})
        texts = (page(results, shown), json.dumps(results, indent=1, ensure_ascii=False) + "\n", pictures)
        for name, text in zip(names, texts, strict=True):
            write(folder / name, text)
            tell(folder / name)
    wide = max(len(CLAIMS[claim].title) for claim in results) + 2
    for claim, result in results.items():
        tell(f"{claim:>3}  {CLAIMS[claim].title:{wide}}{result['verdict']}")


if __name__ == "__main__":
    run_command(main, _COMMAND)

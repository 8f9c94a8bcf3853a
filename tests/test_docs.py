"""Pages that must not fall behind the code: every work that a docstring cites is in the bibliography."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
# First author and year of "Welch 1974", "Cohn and Kumar 2007", "Elhage et al. 2022", "Loshchilov and Hutter (2019)".
CITED = re.compile(r"\b([A-Z]\w+)(?:,? [A-Z]\w+)*(?:,? and [A-Z]\w+| et al\.)? \(?((?:19|20)\d\d)\b")


def cited() -> set[tuple[str, str]]:
    """First authors and years in the sections "References" of all docstrings."""
    found = set()
    for folder in ("theory", "numerics", "figures"):
        for path in (ROOT / folder).rglob("*.py"):
            for section in re.findall(r"References\n +-+\n(.*?)(?:\n *\n|\"\"\")", path.read_text("utf-8"), re.DOTALL):
                found |= set(CITED.findall(" ".join(section.split())))
    return found


def test_the_bibliography_has_every_work_that_is_cited() -> None:
    page = (ROOT / "docs/bibliography.md").read_text("utf-8")
    entries = [" ".join(entry.split()) for entry in page.split("\n- ")[1:]]
    assert len(cited()) > 15
    for author, year in cited():
        assert any(author in entry.split('"')[0] and year in entry for entry in entries), (author, year)


def test_the_glossary_is_in_order_and_has_the_words_of_the_pages() -> None:
    page = (ROOT / "docs/glossary.md").read_text("utf-8")
    terms = re.findall(r"\n(\S[^\n]*)\n  \S", page)
    assert {"tegum product", "digon", "spinodal", "7 in 3", "zero model", "even frame"} <= set(terms)
    assert terms[:-1] == sorted(terms[:-1], key=str.lower)  # the one that begins with a number is last
    for name in set(re.findall(r"\{term\}`(?:[^`<]*<)?([^`>]*)>?`", page)):
        assert name in terms, name


def test_the_link_to_the_explorer_is_to_the_page_that_the_build_writes_beside_the_others() -> None:
    written = re.findall(r'Path\(app\.outdir\) / "(\w+)\.html"', (ROOT / "docs/conf.py").read_text("utf-8"))
    linked = re.findall(r'href="(\w+)\.html"', (ROOT / "docs/explorer.md").read_text("utf-8"))
    assert written == linked
    assert not (ROOT / f"docs/{written[0]}.md").exists()  # no page of the documentation is overwritten


# What answers a question of the table "where is what", in the file that it leads to first.
ANSWERS = {
    "the exact loss, its gradient": "def population_loss_and_gradient(",
    "the Hessian, minimum or saddle": "def hessian(",
    "the antipodal boundary p = 4r / (2 + 5r)": "4*r/(5*r + 2)",
    "the pentagon's optimum": "def optimise_polytope(",
    'the grammar of "pentagon + 2 digon"': "def parse_geometry(",
    "the knapsack of products": "knapsack",
    "the continuation step along a branch": "def advance(",
    "the spinodal": "def locate_spinodal(",
    "the bisection of a phase boundary": "is bisected",
    "the sparse sampler": "def sample_sparse(",
    "the Wilson interval": "def wilson_interval(",
}


def test_the_table_of_questions_leads_to_files_that_answer_them() -> None:
    page = (ROOT / "docs/contributing.md").read_text("utf-8").split("## Where is what")[1].split("\n## ")[0]
    rows = {row.split(" | ")[0].strip("| "): re.findall(r"`([\w./]+(?:\.py|/))`", row) for row in page.splitlines()[4:]}
    assert set(ANSWERS) <= set(rows)
    for question, files in rows.items():
        folder = ROOT
        for file in files:
            path = ROOT / file if "/" in file else folder / file
            assert path.exists(), (question, file)
            folder = path.parent
        if question in ANSWERS:
            assert ANSWERS[question] in (ROOT / files[0]).read_text("utf-8"), question


def test_the_numbers_that_pages_say_are_kept_are_there() -> None:
    pages = [*(ROOT / "docs").glob("*.md"), ROOT / "README.md"]
    named = {
        (page.name, name)
        for page in pages
        for name in re.findall(r"`([\w./]+\.(?:nc|csv|json))`", page.read_text("utf-8"))
    }
    assert len(named) > 5
    for page, name in named:
        assert (ROOT / name).is_file() or (ROOT / "docs" / name).is_file(), (page, name)

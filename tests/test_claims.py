"""The claims of the documents: verdicts, the page that shows them, and the figures that they come from."""

from figures.shared.script import SCRIPTS, Settings, labelled, load, obtain

import json
import re
from fnmatch import fnmatchcase
from importlib import import_module
from pathlib import Path

import pytest

from figures.claims import judged, main, page
from figures.shared.documents import CLAIMS, DOCUMENTS
from figures.shared.verdicts import DEPENDS, FAILS, HOLDS, UNDECIDED, Finding, Verdict, compare, weighed

pytestmark = pytest.mark.usefixtures("at_full_speed")

ROOT = Path(__file__).parent.parent
STORED = {int(claim): result for claim, result in json.loads((ROOT / "docs/claims.json").read_text("utf-8")).items()}
EXPECTED = {
    1: HOLDS,
    2: "holds in 6 of 8 comparisons, 2 depend on a choice",
    3: HOLDS,
    4: HOLDS,
    5: HOLDS,
    6: "does not hold in 1 of 3 comparisons, 2 depend on a choice",
    7: "holds in 2 of 7 comparisons, 2 depend on a choice",
    8: HOLDS,
    9: DEPENDS,
    10: "holds in 3 of 4 comparisons",
    11: "holds in 2 of 3 comparisons, 1 depends on a choice",
    12: HOLDS,
    13: "holds in 1 of 2 comparisons, 1 depends on a choice",
    14: "holds in 3 of 4 comparisons, 1 depends on a choice",
    15: DEPENDS,
    16: "holds in 4 of 5 comparisons, 1 depends on a choice",
    17: "holds in 3 of 5 comparisons, 2 depend on a choice",
    18: "holds in 2 of 3 comparisons, 1 depends on a choice",
    19: HOLDS,
    20: HOLDS,
    21: "holds in 5 of 14 comparisons, 6 depend on a choice",
    22: DEPENDS,
    23: "holds in 2 of 4 comparisons, 1 depends on a choice",
    24: DEPENDS,
    25: HOLDS,
    26: HOLDS,
    27: "holds in 1 of 2 comparisons",
    28: FAILS,
    29: DEPENDS,
    30: FAILS,
    31: HOLDS,
    32: HOLDS,
    33: HOLDS,
    34: "holds in 1 of 4 comparisons, 3 depend on a choice",
    35: "holds in 1 of 4 comparisons, 3 depend on a choice",
    36: "holds in 3 of 5 comparisons, 2 depend on a choice",
    37: "holds in 1 of 2 comparisons, 1 depends on a choice",
    38: "holds in 2 of 10 comparisons, 5 depend on a choice",
}
# Scripts that are computed in full within half a minute or so; the others take minutes.
RECOMPUTED = {
    "almost_orthogonal",
    "benefit_and_interference",
    "compressed_sensing",
    "loss_crossover",
    "polygons",
    "polytopes",
    "privileged_basis",
}


def test_every_claim_has_a_verdict_and_it_is_the_known_one() -> None:
    assert {claim: result["verdict"] for claim, result in STORED.items()} == EXPECTED
    assert set(EXPECTED) == set(CLAIMS)


def test_the_page_is_what_the_stored_findings_give() -> None:
    shown = {path.stem for path in (ROOT / "docs/pictures").glob("*.png")}
    assert (ROOT / "docs/claims.md").read_text("utf-8") == page(STORED, shown)


def test_stored_results_name_the_full_figure_that_made_them() -> None:
    for result in STORED.values():
        assert result["script"] in SCRIPTS
        assert result["command"] == f"python figures/{result['script']}.py --seed {result['seed']}"


def test_every_claim_number_is_in_exactly_one_script() -> None:
    scripts = {name: (import_module(f"figures.{name}").__doc__ or "") for name in SCRIPTS}
    for claim, result in STORED.items():
        mentioned = [name for name, text in scripts.items() if claim in _claims_of(text)]
        assert mentioned == [result["script"]], f"claim {claim}"


def _claims_of(text: str) -> set[int]:
    """Numbers in phrases such as "claim 3", "claims 4 and 5", "claims 12-15", "Claims 1, 2"."""
    found: set[int] = set()
    for phrase in re.findall(r"[Cc]laims?\s+((?:\d+)(?:\s*(?:,|-|–|and|to)\s*\d+)*)", text):
        for first, last in re.findall(r"(\d+)(?:\s*(?:-|–|to)\s*(\d+))?", phrase):
            found |= set(range(int(first), int(last or first) + 1))
    return found


def test_claims_are_found_in_phrases() -> None:
    assert _claims_of("claims 1, 3 and 5-7; see claim 9") == {1, 3, 5, 6, 7, 9}


def test_every_script_is_registered_and_complete() -> None:
    shared = {"__init__", "__main__", "claims", "explorer"}
    assert {path.stem for path in (ROOT / "figures").glob("*.py")} - shared == set(SCRIPTS)
    for name in SCRIPTS:
        script = import_module(f"figures.{name}")
        assert callable(script.compute)
        assert callable(script.draw)
        assert callable(script.judge)
        title, rule = (script.__doc__ or "").splitlines()[:2]
        assert rule == "=" * len(title), f"{name}: the rule below the title is as long as the title"


def test_every_document_is_cited_by_a_claim() -> None:
    assert {key for claim in CLAIMS.values() for key in claim.documents} == set(DOCUMENTS)


def test_every_quote_is_judged_and_every_pattern_is_of_use() -> None:
    for number, claim in CLAIMS.items():
        stated = [finding["stated"] for finding in STORED[number]["findings"]]
        for quote in claim.quotes:
            assert quote.document in claim.documents
            for pattern in quote.supports:
                assert any(fnmatchcase(text, f"{pattern}*") for text in stated), f"claim {number}: {pattern}"
        assert any(claim.quote_of(text) for text in stated)


def test_quotations_are_in_the_documents() -> None:
    folder = ROOT.parent / "shared" / "seeds"
    if not folder.is_dir():
        pytest.skip("the documents are not at hand")
    texts = [" ".join(path.read_text("utf-8").split()) for path in folder.iterdir()]
    of_paper = {"Paper", "Chen"}  # not among them
    quotes = [quote for claim in CLAIMS.values() for quote in claim.quotes]
    for quote in quotes:
        assert quote.words or quote.document in of_paper
        assert quote.document in of_paper or any(quote.words in text for text in texts), quote.words
    assert len(quotes) > 40


def test_quotations_leave_no_condition_hedge_or_contrast_out() -> None:
    folder = ROOT.parent / "shared" / "seeds"
    if not folder.is_dir():
        pytest.skip("the documents are not at hand")
    # A line's end, as a slide's item has it, ends a sentence too.
    texts = [
        " ".join(f"{line.strip()} ¶" for line in path.read_text("utf-8").splitlines() if line.strip())
        for path in folder.iterdir()
    ]
    before_it = r"\b(if|unless|all|intuition|may|might|only)\b"
    after_it = r"\b(but|rather|unless|such that|most likely|always)\b"
    for number, claim in CLAIMS.items():
        for quote in filter(lambda quote: quote.words, claim.quotes):
            pattern = r"\s+(?:¶\s+)?".join(map(re.escape, quote.words.split()))
            text, found = next((text, found) for text in texts for found in [re.search(pattern, text)] if found)
            dropped = re.split(r"[.!?¶:]\s", text[: found.start()])[-1]
            left = "" if quote.words[-1] in ".!?" else re.split(r"[.!?¶:](?:\s|$)", text[found.end() :])[0]
            assert not re.search(before_it, dropped, re.IGNORECASE), f"claim {number}: {dropped}"
            assert not re.search(after_it, left, re.IGNORECASE), f"claim {number}: {left}"


def test_the_readme_says_of_claims_what_they_have_come_to() -> None:
    rows = [row.split("|") for row in (ROOT / "README.md").read_text("utf-8").splitlines() if row.startswith("| ")]
    words = {11: "non-optimal geometry", 19: "exponentially many", 22: "never all five", 25: "one-sparse optimum",
             28: "hexagon"}  # fmt: skip
    for claim, about in words.items():
        (verdict,) = [row[2].strip() for row in rows if about in row[1]]
        assert (verdict in (HOLDS, FAILS)) <= (verdict == EXPECTED[claim]), f"claim {claim}: {verdict}"


def test_outcomes_follow_from_findings_on_what_is_stated() -> None:
    stated, beyond = "every regular k-gon is a critical point", "something that nobody states"
    yes, no, open_ = (Finding(stated, "b", agrees) for agrees in (True, False, None))
    groups = [(yes, open_), (yes, no), (no, open_), (open_,), (yes, Finding(beyond, "b", False))]
    outcomes = [Verdict(25, findings, "why").outcome for findings in groups]
    assert outcomes == [HOLDS, "holds in 1 of 2 comparisons", FAILS, UNDECIDED, HOLDS]
    assert Verdict(25, (Finding(beyond, "b", True),), "why").outcome == UNDECIDED
    with pytest.raises(ValueError, match="needs at least one finding"):
        Verdict(1, (), "why")


def test_a_verdict_that_hangs_on_a_threshold_says_so() -> None:
    def below(threshold: float) -> tuple[str, bool]:
        return f"3 below {threshold}", threshold > 2

    stated = "every regular k-gon is a critical point"
    turns = weighed(stated, below, {"one": 1.0, "four": 4.0}, "four")
    assert (turns.agrees, turns.depends, turns.found) == (None, True, "four: 3 below 4.0")
    stays = weighed(stated, below, {"three": 3.0, "four": 4.0}, "four")
    assert (stays.agrees, stays.depends) == (True, False)
    plain = Finding(stated, "b", False)
    assert Verdict(25, (turns,), "why").outcome == DEPENDS
    assert Verdict(25, (turns, stays), "why").outcome == "holds in 1 of 2 comparisons, 1 depends on a choice"
    assert Verdict(25, (turns, plain), "why").outcome == "does not hold in 1 of 2 comparisons, 1 depends on a choice"


def test_choices_that_find_the_same_share_a_row() -> None:
    labels = ["p 1, to 3", "p 1, to 5", "p 2, to 3", "p 2, to 5"]
    choices = [{"label": label, "found": "x", "agrees": True} for label in labels]
    others = [{"label": label, "found": "y", "agrees": False} for label in ("p 3, to 3", "p 4, to 5")]
    finding = {"stated": "every regular k-gon is a critical point", "found": "x", "agrees": None}
    text = page(STORED | {25: {**STORED[25], "findings": [finding | {"choices": choices + others}]}})
    assert "| p 1 / p 2, to 3 / to 5 | x | yes |" in text
    assert "| p 3, to 3 | y | no |\n| p 4, to 5 | y | no |" in text
    assert "depends: yes with 4 of 6 choices" in text


def test_a_wrong_number_does_not_agree() -> None:
    assert compare("r", 1.17046, 1.170463, within=5e-6).agrees
    assert not compare("r", 1.18, 1.170463, within=5e-6).agrees


def test_a_wrong_claim_is_reported_as_not_holding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, _ = obtain("polygons", tmp_path, Settings(quick=True, workers=1))
    assert judged("polygons", data)[25]["verdict"] == HOLDS
    monkeypatch.setattr("figures.polygons.PUBLISHED", {5: (1.2, -0.3), 6: (1.3, -0.6)})
    wrong = judged("polygons", data)[25]
    assert wrong["verdict"] != HOLDS
    assert "no" in page({25: wrong})


def test_results_are_kept_and_computed_anew_for_other_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    script = import_module("figures.polygons")
    compute = script.compute
    monkeypatch.setattr(script, "compute", lambda settings: (calls.append(settings), compute(settings))[1])
    quick = Settings(quick=True, workers=1)
    assert [obtain("polygons", tmp_path, settings)[1] for settings in (quick, quick)] == [True, False]
    assert load(tmp_path, "polygons", Settings(quick=True, seed=1)) is None
    assert len(calls) == 1
    assert (tmp_path / "polygons.png").exists()


def test_the_command_writes_page_and_findings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("figures.claims.SCRIPTS", ("polygons",))
    main(["--quick", "--workers", "1", "--results", str(tmp_path / "results"), "--output", str(tmp_path / "page")])
    written = json.loads((tmp_path / "page" / "claims.json").read_text("utf-8"))
    assert written["25"]["command"].endswith("--quick")
    assert "## 25. Regular polygons" in (tmp_path / "page" / "claims.md").read_text("utf-8")


def test_one_figure_is_judged_and_drawn_beside_what_the_page_says_of_the_others(tmp_path: Path) -> None:
    page_of, others = tmp_path / "page", {1: STORED[1], 25: STORED[25] | {"why": "what an earlier page said"}}
    page_of.mkdir()
    (page_of / "claims.json").write_text(json.dumps(others), "utf-8")
    (page_of / "claims.md").write_text(page(others), "utf-8")
    arguments = [
        "--quick",
        "--workers",
        "1",
        "--results",
        str(tmp_path),
        "--output",
        str(page_of),
        "--only",
        "polygons",
    ]
    main(arguments)
    written = json.loads((page_of / "claims.json").read_text("utf-8"))
    assert list(written) == ["1", "25"]
    assert written["1"] == STORED[1]
    assert written["25"]["command"].endswith("--quick")
    assert [path.stem for path in tmp_path.glob("*.nc")] == ["polygons"], "no other figure is computed"
    assert "(pictures/polygons.png)" in (page_of / "gallery.md").read_text("utf-8")
    (page_of / "claims.json").write_text("[", "utf-8")
    with pytest.raises(ValueError, match="leave out --only"):
        main(arguments)


def test_a_claim_that_is_not_written_down_says_where_it_belongs() -> None:
    with pytest.raises(ValueError, match=r"claim 999 is not in figures/shared/documents\.toml"):
        Verdict(999, (Finding("a", "b", True),), "why")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in RECOMPUTED else pytest.mark.full) for name in SCRIPTS]
)
def test_recomputing_gives_the_stored_verdicts(name: str) -> None:
    settings = Settings()
    data = labelled(import_module(f"figures.{name}").compute(settings), name, settings)
    for claim, result in judged(name, data).items():
        assert result["verdict"] == STORED[claim]["verdict"]
        assert [finding["agrees"] for finding in result["findings"]] == [
            finding["agrees"] for finding in STORED[claim]["findings"]
        ]

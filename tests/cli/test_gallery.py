"""`pipeline gallery`, as a person uses it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pipeline.apps.gallery import GALLERY
from tests.command import process, run

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES = {
    "binomial 6 3": 20,
    "catalan 6": 132,
    "partitions 8": 22,
    "grid-paths 4 4": 70,
    "edit-distance kitten sitting": 3,
    "lcs ABCBDAB BDCABA": 4,
    "knapsack 10 5:10,4:40,6:30,3:50": 90,
    "matrix-chain 30-35-15-5-10-20-25": 15_125,
    "coins 11 1,5,10": 4,
    "hofstadter-female 12": 8,
    "hofstadter-male 12": 7,
    "bell 6": 203,
}
"""Arguments, and published values."""


def output(*arguments: str) -> str:
    """What the command prints; it ends well, and says nothing else."""
    code, out, err = run("gallery", *arguments)
    assert (code, err) == (0, "")
    return out


def test_without_a_name_all_are_listed() -> None:
    out = output()
    head, *lines = out.splitlines()
    assert head.split() == ["tree", "DAG", "sharing", "problem", "question"]
    rows = [line.split() for line in lines if line[:5].strip().isdigit()]
    assert [row[3] for row in rows] == list(GALLERY)
    assert rows[0][:6] == ["39", "15", "2.6", "binomial", "6", "3"]
    assert rows[-1][:5] == ["64", "7", "9.1", "bell", "6"]
    assert lines[-1].endswith("pipeline gallery bell 10 shows one of them")
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("name", GALLERY)
def test_a_name_alone_is_its_example(name: str) -> None:
    listed = {entry["name"]: entry for entry in json.loads(output("--json"))}[name]
    assert output(name) == output(name, *listed["arguments"])


@pytest.mark.parametrize(("arguments", "value"), EXAMPLES.items(), ids=EXAMPLES)
def test_a_problem_is_printed_with_its_value(arguments: str, value: int) -> None:
    out = output(*arguments.split())
    first, *lines = out.splitlines()
    assert first.endswith(f" = {value}")
    text = " ".join(lines)
    problem = GALLERY[arguments.split()[0]]
    for part in (problem.question, problem.source, problem.table):
        assert part in text
    assert "Any such order is one of a bottom-up table" in text
    assert f"ends with {value}." in text
    assert max(map(len, out.splitlines())) <= 80


def test_counts_and_the_order_of_the_run() -> None:
    lines = output("catalan", "4").splitlines()
    at = lines.index("tree tasks  DAG  sharing  depth  width")
    assert lines[at + 1].split() == ["81", "5", "16.2", "5", "1"]
    at = lines.index("run  value  call")
    assert lines[at + 1 : at + 6] == [
        "  1      1  catalan(0)",
        "  2      1  catalan(1)",
        "  3      2  catalan(2)",
        "  4      5  catalan(3)",
        "  5     14  catalan(4)",
    ]


def test_of_a_long_order_both_ends_are_output() -> None:
    lines = output("hofstadter-female", "12").splitlines()
    assert "  …      …  14 more" in lines
    assert "  1      0  male(0)" in lines
    assert " 26      8  female(12)" in lines


def test_large_numbers_are_shortened_and_counted_exactly() -> None:
    out = output("catalan", "200")
    assert max(map(len, out.splitlines())) <= 80
    whole = json.loads(output("catalan", "200", "--json"))
    assert whole["tree"] == 3**200
    assert len(str(whole["value"])) == 117


@pytest.mark.parametrize(("arguments", "value"), EXAMPLES.items(), ids=EXAMPLES)
def test_json_of_one(arguments: str, value: int) -> None:
    result = json.loads(output(*arguments.split(), "--json"))
    assert result["name"] == arguments.split()[0]
    assert result["value"] == result["order"][-1]["value"] == value
    assert len(result["order"]) == result["dag"]
    assert result["sharing"] == pytest.approx(result["tree"] / result["dag"])
    assert result["files"] == []
    assert set(result) == {
        "name", "arguments", "question", "source", "table", "tree", "dag", "depth", "width",
        "sharing", "value", "order", "files",
    }  # fmt: skip


def test_json_of_all_gives_examples_that_run() -> None:
    result = json.loads(output("--json"))
    assert [entry["name"] for entry in result] == list(GALLERY)
    knapsack = next(entry for entry in result if entry["name"] == "knapsack")
    assert knapsack["arguments"] == ["5", "2:12,1:10,3:20,2:15"]
    assert (knapsack["tree"], knapsack["dag"]) == (26, 19)


def test_numbers_are_parted_by_dashes_or_commas() -> None:
    assert output("matrix-chain", "30-35-15") == output("matrix-chain", "30,35,15")


def test_an_empty_text_is_a_text() -> None:
    assert output("edit-distance", "", "abc").startswith("edit_distance('', 'abc') = 3\n")


def test_the_contrast_is_saved_with_its_values(tmp_path: Path) -> None:
    path = tmp_path / "knapsack.svg"
    out = output("knapsack", "--save", str(path))
    assert out.splitlines()[-1] == f"saved {path}"
    drawn = path.read_text()
    assert "tree: 26 tasks" in drawn
    assert "= 37" in drawn


def test_a_page_is_saved(tmp_path: Path) -> None:
    path = tmp_path / "bell.html"
    result = json.loads(output("bell", "4", "--report", str(path), "--json"))
    assert result["files"] == [str(path)]
    page = path.read_text()
    assert page.lower().startswith("<!doctype html>")
    assert "bell(4): In how many ways can n things be grouped?" in page


def test_a_huge_tree_is_drawn_folded(tmp_path: Path) -> None:
    path = tmp_path / "binomial.svg"
    output("binomial", "40", "20", "--save", str(path))
    assert "tree: 2.8e11 tasks" in path.read_text()


@pytest.mark.parametrize(("arguments", "message"), [
    (["binomal"], "'binomal' is not one of 'binomial', 'catalan'"),
    (["zzz"], "'zzz' is not one of 'binomial', 'catalan'"),
    (["binomial", "6"], "binomial: ARGS are N K, not 1 of them; give it like binomial 6 3"),
    (["bell", "1", "2"], "bell: ARGS are N, not 2 of them; give it like bell 6"),
    (["binomial", "-1", "3"], "binomial: n is '-1', and must be a whole number from 0 to 200;"),
    (["catalan", "2.5"], "catalan: n is '2.5', and must be a whole number from 0 to 200;"),
    (["bell", "201"], "bell: n is '201', and must be a whole number from 0 to 200; give it like"),
    (["bell", "9" * 5000], "bell: n is '99999"),
    (["lcs", "a" * 201, "b"], "lcs: one has 201 letters, and must have 200 at most; give it like"),
    (["coins", "5", "3,-4"], "coins: kinds is '3,-4', and must be at most 50 whole numbers"),
    (["coins", "5", ""], "coins: kinds is '', and must be at most 50 whole numbers"),
    (["coins", "5", ",".join("1" * 51)], "at most 50 whole numbers from 1 to 1,000,000;"),
    (["knapsack", "5", "3"], "items is '3', and must be at most 25 pairs, weight:value"),
    (["knapsack", "5", "3:1,"], "items is '3:1,', and must be at most 25 pairs, weight:value"),
    (["knapsack", "5", "0:1"], "items is '0:1', and must be at most 25 pairs, weight:value"),
    (["--nope"], "'--nope' is not one of 'binomial'"),
    (["bell", "--nope"], "no such option: --nope; see pipeline gallery --help"),
    (["--save", "a.svg"], "--save, --race and --report show one problem: name it, like binomial"),
    (["bell", "--save", "a.bmp"], "cannot write 'a.bmp': the file name ends in .svg"),
    (["bell", "--report", "a.txt"], "cannot write 'a.txt': the file name ends in .html"),
    (["bell", "--report", "/none/a.html"], "the folder /none does not exist"),
], ids=str)  # fmt: skip
def test_a_mistake_is_one_line(arguments: list[str], message: str) -> None:
    code, out, err = run("gallery", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("pipeline: ")
    assert message in err
    assert err.count("\n") == 1
    assert len(err) < 250


def test_what_cannot_be_written_ends_with_1() -> None:
    code, _, err = run("gallery", "bell", "3", "--report", "/proc/a.html")
    assert code == 1
    assert err.startswith("pipeline: /proc/a.html: ")
    assert err.count("\n") == 1


def test_help_has_an_example_and_fits_the_screen() -> None:
    out = output("--help")
    assert "pipeline gallery edit-distance kitten sitting" in out
    assert max(map(len, out.splitlines())) <= 80


def test_the_command_in_a_process_of_its_own() -> None:
    done = process("-W", "error", "-m", "pipeline", "gallery", "coins", "11", "1,5,10")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("coins(11, (1, 5, 10)) = 4\n")


def test_a_race_is_saved_of_a_small_problem(tmp_path: Path) -> None:
    path = tmp_path / "race.svg"
    assert output("binomial", "5", "2", "--race", str(path)).splitlines()[-1] == f"saved {path}"
    assert "tree: 19 of 19 tasks" in path.read_text()
    code, out, err = run("gallery", "bell", "10", "--race", str(path))
    assert (code, out) == (2, "")
    assert "1,024 tasks would be folded" in err.splitlines()[-1]

"""`pipeline cache`, and --store of the commands that compute, as a person uses them."""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from dask import delayed

import pipeline
from pipeline import Store
from pipeline.cli.cache import cache
from tests.command import pipeline_process, process, run

SCRIPT = """
import time
import numpy as np
import pipeline
from dask import delayed

def load(n):
    time.sleep(0.02)
    return np.arange(n)

def total(a, b):
    return float(a.sum() + b.sum())

def setting(n):
    return n + len(str(np.array([1 / 3]))) - 4  # digits that numpy shows

def fragile(n):
    if setting(n) == n + 3:
        raise ValueError("no data")
    return n

parts = [delayed(load)(n) for n in (10, 20)]
result = delayed(total)(*parts)
hidden = [result, delayed(setting)(1)]
broken = delayed(max)([delayed(fragile)(2), 1])
number = 3

if __name__ == "__main__":
    store = pipeline.Store("cache", keep=[load, total, setting])  # however quick they are
    print(*pipeline.compute(result, hidden[1], store=store))
"""
ESCAPES = "\x1b[31mred\x1b]0;title\x07"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("PIPELINE_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with model.py, and the folder cache after a run of it."""
    made = tmp_path_factory.mktemp("computed")
    (made / "model.py").write_text(SCRIPT)
    done = process("model.py", cwd=made)
    assert (done.stderr, done.stdout) == ("", "235.0 9\n")
    return made


@pytest.fixture
def filled(computed: Path, folder: Path) -> Store:
    shutil.copytree(computed, folder, dirs_exist_ok=True)
    return Store("cache", durable=False)


def test_ls_lists_the_newest_first(filled: Store) -> None:
    filled.put(32 * "a", ESCAPES, function="evil", call=ESCAPES * 10, seconds=90)
    code, text, _ = run("cache", "ls")
    head, first, *rows = text.splitlines()
    assert (code, head.split()) == (0, ["digest", "size", "took", "age", "call"])
    assert first.startswith("aaaaaaaaaa")
    assert "90 s" in first
    assert {row.split("  ")[-1] for row in rows} >= {"load(10)", "load(20)", "setting(1)"}
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    one = run("cache", "ls", "--limit", "1")[1].splitlines()
    assert one[2:] == ["and 4 more: --limit 0 lists them"]
    assert run("cache", "ls", "--limit", "0")[1].count("\n") == 6
    assert run("cache", "ls", "--function", "load")[1].count("load(") == 2
    assert run("cache", "ls", "--function", "none")[1] == "cache has no entries of none\n"


def test_ls_as_json_is_exact(filled: Store) -> None:
    text = json.loads(run("cache", "ls", "--json")[1])
    assert {entry["digest"]: entry["bytes"] for entry in text} == {
        entry.digest: entry.bytes for entry in filled.entries()
    }
    assert text == sorted(text, key=lambda entry: -entry["created"])
    assert len(json.loads(run("cache", "ls", "--json", "--limit", "2")[1])) == 2
    assert json.loads(run("cache", "ls", "--json", "--function", "none")[1]) == []


def test_show_prints_all_of_one_entry(filled: Store) -> None:
    [entry] = [entry for entry in filled.entries() if entry.call == "load(20)"]
    code, text, _ = run("cache", "show", entry.digest[:12])
    assert code == 0
    fields = dict(re.split("  +", line, maxsplit=1) for line in text.splitlines())
    assert fields["digest"] == entry.digest
    assert (fields["call"], fields["argument"]) == ("load(20)", "20")
    assert fields["value"].startswith("ndarray of int64, 20: array([ 0,  1,  2")
    assert json.loads(run("cache", "show", entry.digest, "--json")[1])["code"] == entry.code


def test_show_never_unpickles(folder: Path) -> None:
    Store("cache", pickle=True).put(32 * "b", Unpickled())
    code, text, errors = run("cache", "show", "b")
    assert code == 0
    assert "value     not shown: " in text
    assert "pickle=True" in text
    assert not Path("unpickled").exists()
    assert errors.count("\n") <= 1


class Unpickled:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("unpickled",)


def test_explain_prints_hits_and_misses_of_a_script(filled: Store, folder: Path) -> None:
    code, text, _ = run("cache", "explain", "model.py:result")
    assert code == 0
    assert text.splitlines()[-1] == "1 hit, 2 culled"
    path = folder / "model.py"
    path.write_text(path.read_text().replace("10, 20", "10, 30"))
    text = run("cache", "explain", "model.py:result")[1]
    assert re.search(r"hit +load\(10\) +\d+ bytes, took \d+ m?s\n", text)
    assert re.search(r"miss +load\(30\) +argument 1 was \d0, is 30\n", text)
    assert max(map(len, text.splitlines())) <= 80
    result = json.loads(run("cache", "explain", "model.py:result", "--json")[1])
    assert [entry["status"] for entry in result].count("miss") == 2


def test_explain_lists_all_tasks_if_requested(folder: Path) -> None:
    total = delayed(sum)([delayed(abs)(-1), delayed(max)(1, 2)])
    pipeline.compute(total, store="cache")
    (folder / "sums.py").write_text(
        "from dask import delayed\ntotal = delayed(sum)([delayed(abs)(-1), delayed(max)(1, 2)])\n"
    )
    explain = ("cache", "explain", "sums.py:total")
    assert re.search(r"culled +2 tasks +no consumer runs", run(*explain)[1])
    assert re.search(r"culled +max\(1, 2\) +no consumer runs", run(*explain, "--all")[1])


def test_a_script_in_a_package_finds_the_modules_beside_the_package(folder: Path) -> None:
    (folder / "shop").mkdir()
    (folder / "shop" / "__init__.py").touch()
    (folder / "shop" / "rates.py").write_text("def rate(n):\n    return n / 2\n")
    for line in ("from shop import rates", "from . import rates"):
        build = "def build():\n    return delayed(rates.rate)(3)\n"
        (folder / "shop" / "flow.py").write_text(f"from dask import delayed\n{line}\n{build}")
        Store("cache").put(32 * "a", 1)
        code, text, errors = run("cache", "explain", "shop/flow.py:build")
        assert (code, errors) == (0, "")
        assert re.search(r"miss +rate\(3\) +never computed", text)


def test_a_module_that_is_missing_is_an_error_with_a_remedy(folder: Path) -> None:
    Store("cache").put(32 * "a", 1)
    (folder / "flow.py").write_text("import no_such_module_of_a_project")
    code, _, errors = run("cache", "explain", "flow.py:build")
    assert code == 1
    assert "run the command in the folder from which the project imports its modules" in errors


def test_stats_are_those_of_all_runs(filled: Store, folder: Path) -> None:
    process("model.py", cwd=folder)
    text = json.loads(run("cache", "stats", "--json")[1])
    assert (text["entries"], text["hits"], text["misses"]) == (4, 2, 4)
    assert text["bytes"] == sum(path.stat().st_size for path in folder.glob("cache/entries/*/*"))
    assert text["saved"] > 0
    shown = run("cache", "stats")[1]
    assert re.search(r"^entries +4 now, ", shown, re.M)
    assert re.search(r"^loaded +2 results, ", shown, re.M)
    assert re.search(r"^computed +4 tasks\nstored +4 of them, ", shown, re.M)
    assert re.search(r"^saved +\d+ ms$", shown, re.M)


def test_verify_removes_corrupt_entries(filled: Store, folder: Path) -> None:
    assert run("cache", "verify")[:2] == (0, "4 entries read, 0 of them corrupt\n")
    path = next(iter(folder.glob("cache/entries/*/*")))
    os.truncate(path, 99)
    for option in (["--keep"], []):
        code, text, _ = run("cache", "verify", *option)
        assert code == 1
        assert text.startswith(f"{path.name}  ")
        assert "4 entries read, 1 of them corrupt" in text
    assert not path.exists()
    assert run("cache", "verify")[0] == 0


def test_verify_runs_hits_again(filled: Store) -> None:
    assert run("cache", "verify", "model.py:result", "--recompute", "100%")[:2] == (
        0, "3 of 3 hits run again: 3 same\n",
    )  # fmt: skip


def test_verify_names_functions_whose_results_differ(filled: Store) -> None:
    path = Path("model.py")
    path.write_text(path.read_text() + "\nimport dask; dask.config.set(scheduler='sync')\n"
                    "np.set_printoptions(precision=3)\n")  # fmt: skip
    done = pipeline_process("cache", "verify", "--recompute", "5%", "model.py:hidden")
    assert done.returncode == 1
    assert re.search(r"differs  setting\(1\)  was 9, is 4\n", done.stdout)
    assert done.stdout.splitlines()[-1].endswith("no digest covers: setting")
    assert done.stderr == ""


def test_what_a_script_raises_is_one_line(filled: Store) -> None:
    assert run("cache", "verify", "model.py:number")[0] == 2
    names = runpy.run_path("model.py")
    pipeline.compute(names["broken"], store=Store("cache", keep=["max"]))
    run("cache", "rm", "--function", "fragile", "--yes")  # stored where the machine is slow
    assert run("cache", "verify", "model.py:broken")[:2] == (0, "1 of 1 hits run again: 1 same\n")
    with np.printoptions(precision=3):
        code, text, error = run("cache", "verify", "model.py:broken")
    assert (code, text) == (1, "")
    assert error == "pipeline: model.py:broken ended with ValueError: no data\n"


def test_rm_removes_what_is_named(filled: Store) -> None:
    one = next(filled.entries())
    assert run("cache", "rm", one.digest[:10])[1].startswith("removed 1 entry, ")
    assert one.digest not in filled
    filled.put(32 * "c", 1, function="g")
    assert run("cache", "rm", "--function", "g", "--yes")[1].startswith("removed 1 entry, ")
    assert run("cache", "rm", "--all", "--yes")[1].startswith("removed 3 entries, ")
    assert len(filled) == 0


def test_rm_of_many_asks_on_a_terminal(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.cli.cache.is_terminal", lambda stream: True)
    code, text, error = run("cache", "rm", "--all", text="n\n")
    assert (code, text) == (1, "")
    assert error.startswith("Remove 4 entries of cache?")
    assert error.endswith("pipeline: nothing is removed\n")
    assert len(filled) == 4
    assert run("cache", "rm", "--all", text="y\n")[0] == 0
    assert len(filled) == 0


def test_gc_makes_a_store_smaller(filled: Store) -> None:
    assert run("cache", "gc")[1] == "removed 0 entries, 0 B; 4 left\n"
    assert run("cache", "gc", "--unused", "1h")[1] == "removed 0 entries, 0 B; 4 left\n"
    assert re.match(
        r"removed [1-3] entr.*; [1-3] left", run("cache", "gc", "--max-bytes", "1kB")[1]
    )
    assert run("cache", "gc", "--unused", "0s")[1].endswith("; 0 left\n")


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (["ls", "--store", "none"], "there is no store at none: name one with --store", 2),
        (["ls", "--store", "."], "there is no store at .: name one", 2),
        (["stats", "--store", "memory://none"], "there is no store at memory://none", 2),
        (["ls", "--store", "nope://x"], "nope://x: Protocol not known", 2),
        (["ls", "--limit", "-1"], "Invalid value for '--limit'", 2),
        (["show", "zz"], "'zz' is not a digest or its beginning", 2),
        (["show", ""], "'' is not a digest or its beginning", 2),
        (["show", "../../x"], "'../../x' is not a digest", 2),
        (["show", "fit"], "as pipeline cache ls --function fit shows them", 2),
        (["show", "abcdef0123"], "no entry of cache begins with abcdef0123", 1),
        (["show", 32 * "0"], f"no entry of cache begins with {32 * '0'}", 1),
        (["show", "f"], "2 entries of cache begin with f, like ff111, ff222: give more digits", 1),
        (["rm"], "name what to remove: DIGEST ..., or --function NAME, or --all", 2),
        (["rm", "--all", "f"], "name what to remove", 2),
        (["rm", "--all"], "No terminal to answer on: add --yes", 2),
        (["rm", "--function", "none", "--yes"], "cache has no entries of none", 1),
        (["gc", "--max-bytes", "much"], "'much' is not a valid size: give one like 2GB", 2),
        (["gc", "--unused", "30 years"], "'30 years' is not a valid age: give one like 30d", 2),
        (["verify", "--recompute", "5%"], "an entry holds no code: name a script", 2),
        (
            ["verify", "--recompute", "0%", "m.py:x"],
            "'0%' is not a valid share: give one like 5%",
            2,
        ),
        (["verify", "--recompute", "101%", "m.py:x"], "'101%' is not a valid share", 2),
        (["verify", "--recompute", "few", "m.py:x"], "'few' is not a valid share", 2),
        (["verify", "none.py:x"], "there is no script none.py", 2),
        (["verify", "--keep", "none.py:x"], "--keep is for corrupt entries", 2),
        (["explain", "model"], "'model' names no collection: give a script and a name", 2),
    ],
)
def test_an_expected_error_is_one_line(
    folder: Path, arguments: list[str], message: str, code: int
) -> None:
    store = Store("cache")
    store.put("ff111" + 27 * "0", 1)
    store.put("ff222" + 27 * "0", 2)
    status, text, error = run("cache", *arguments)
    assert (status, text) == (code, "")
    assert error.startswith("pipeline: ")
    assert message in error
    assert error.count("\n") == 1
    assert len(store) == 2


@pytest.mark.parametrize("name", [None, *cache.commands])
def test_every_command_has_help_with_an_example(name: str | None) -> None:
    code, text, _ = run("cache", *([name] if name else []), "--help")
    assert code == 0
    assert f"  pipeline cache {name or 'ls'}" in text
    assert max(map(len, text.splitlines())) <= 80
    if name is not None:
        assert "PIPELINE_STORE" in text


def test_a_reader_that_has_enough_is_no_error(filled: Store) -> None:
    for number in range(500):  # more than a pipe holds
        filled.put(f"{number:032x}", number, call="f" * 200)
    command = f"{sys.executable} -m pipeline cache ls --json | head -c 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)  # noqa: S602 - a pipe of the shell
    assert (done.stdout, done.stderr) == ("[", "")


def test_escapes_in_entries_do_not_reach_the_terminal(folder: Path) -> None:
    store = Store("cache")
    store.put(32 * "a", 1, function=ESCAPES, call=ESCAPES, arguments=[[ESCAPES, "h"]])
    for command in (["ls"], ["show", "a"], ["verify"],
                    ["rm", "--function", ESCAPES, "--yes"], ["show", ESCAPES]):  # fmt: skip
        _, text, error = run("cache", *command)
        assert text or error
        assert "\x1b" not in text + error
        assert "\x07" not in text + error


def test_a_server_that_is_down_is_one_line_without_its_password(folder: Path) -> None:
    code, text, error = run("cache", "ls", "--store", "ftp://ann:secret@127.0.0.1:1/x")
    assert (code, text, error.count("\n")) == (1, "", 1)
    assert error.startswith("pipeline: ftp://ann:***@127.0.0.1:1/x cannot be reached: ")

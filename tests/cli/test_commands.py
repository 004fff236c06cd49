"""All commands: help, completion, exit codes, errors in one line, signals and closed streams."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner
from dask import delayed

import pipeline
from pipeline import Store
from pipeline.cli import COMMANDS, main
from tests.command import run

if TYPE_CHECKING:
    from collections.abc import Iterator

GUIDE = (Path(__file__).parent.parent.parent / "pipeline" / "cli" / "README.md").read_text()


SCRIPT = """
from dask import delayed
result = delayed(sum)([delayed(abs)(-1), delayed(abs)(-1)])
"""


def walk(command: click.Command, path: str = "pipeline") -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name in command.commands:
            inner = command.get_command(click.Context(command), name)
            assert inner is not None
            yield from walk(inner, f"{path} {name}")


ALL = dict(walk(main))


LEAVES = [path for path, command in ALL.items() if not isinstance(command, click.Group)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a script, and a store of its result."""
    monkeypatch.delenv("PIPELINE_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    Path("model.py").write_text(SCRIPT)
    store = Store("cache", durable=False)
    pipeline.compute(delayed(sum)([delayed(abs)(-1), delayed(abs)(-1)]), store=store)
    return tmp_path


@pytest.mark.parametrize("path", ALL)
def test_every_command_has_help_with_an_example(path: str) -> None:
    code, text, _ = run(*path.split()[1:], "--help")
    lines = text.splitlines()
    assert code == 0
    assert any(line.startswith(f"  {path}") for line in lines)
    assert max(map(len, lines)) <= 80
    assert ALL[path].get_short_help_str(100)
    for option in ALL[path].params:
        assert isinstance(option, click.Argument) or option.help, option.name


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_is_in_step_with_them(name: str) -> None:
    """The list is printed without an import of the commands."""
    example, text = COMMANDS[name]
    assert ALL[f"pipeline {name}"].name == name
    assert re.search(rf"^ +{re.escape(example)}(  |$)", run(name, "--help")[1], re.MULTILINE)
    assert f"  {example}  " in run("--help")[1]
    assert text in run("--help")[1]


def test_the_first_help_fits_a_screen_and_lists_all_commands_and_exit_codes() -> None:
    text = run("--help")[1]
    lines = text.splitlines()
    assert len(lines) <= 22
    for name in main.commands:
        assert any(re.match(rf"  pipeline {name}\b.*  \w", line) for line in lines), name
    assert "0 done, 1 failed, 2 usage error, 130 interrupted, 141 broken pipe" in " ".join(
        text.split()
    )
    assert "..." not in text.split("Commands:")[1]


@pytest.mark.parametrize("path", LEAVES)
def test_every_command_takes_json_and_has_a_place_in_the_guide(path: str) -> None:
    assert "--json" in [name for option in ALL[path].params for name in option.opts]
    group, name = path.rsplit(" ", 1)
    assert re.search(rf"`{group}[^`]* ?\b{name}\b|`{group} [^|]*\b{name} ", GUIDE), path


def test_the_version_comes_with_those_of_python_and_dask() -> None:
    assert re.fullmatch(
        r"pipeline, version [\d.]+ \(Python [\d.]+\S*, Dask [\d.]+\)\n", run("--version")[1]
    )


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (["fib", "-1"], "fib(-1): n must be a whole number from 0 on, like 6", 2),
        (["fib", "2.5"], "fib(2.5): n must be a whole number from 0 on, like 6", 2),
        (["fib", "six"], "fib(six): n must be a whole number from 0 on, like 6", 2),
        (["fib", "6", "--nope"], "no such option: --nope; see pipeline fib --help", 2),
        (["fib"], "Missing argument 'N [N ...]'", 2),
        (["fib", "6", "--scheduler", "fast"], "unknown scheduler 'fast': it is one of sync,", 2),
        (["fib", "6", "--save", "fib.bmp"], "cannot write 'fib.bmp': the file name ends in", 2),
        (
            ["fib", "6", "--save", "/none/a.svg"],
            "cannot save /none/a.svg: the folder /none does not exist",
            2,
        ),
        (["fib", "6", "--save", "/proc/a.svg"], "/proc/a.svg", 1),
        (["fib", "3000000"], "fib(3000000) has over 1,000,000 subproblems", 2),
        (["run", "--out", "/proc/none"], "/proc/none: No such file", 1),
        (["nothing"], "No such command 'nothing'", 2),
    ],
)
def test_an_expected_error_is_one_line_and_an_exit_code(
    arguments: list[str], message: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    error = capsys.readouterr().err
    assert stopped.value.code == code
    assert error.startswith("pipeline: ")
    assert message in error
    assert error.count("\n") == 1


def test_without_a_command_the_help_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([], prog_name="pipeline")
    assert not stopped.value.code
    assert capsys.readouterr().out.startswith("Usage: pipeline")


def test_an_interrupt_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.apps.fibonacci.naive_rate", interrupt)
    with pytest.raises(SystemExit) as stopped:
        main(["fib", "5"])
    assert stopped.value.code == 130
    assert capsys.readouterr().err == "pipeline: interrupted\n"


def completions(words: str, number: int) -> list[str]:
    environment = {
        "_PIPELINE_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(number),
    }  # fmt: skip
    done = CliRunner().invoke(main, env=environment, prog_name="pipeline")
    assert done.exit_code == 0
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


def test_shells_complete_commands_options_and_values() -> None:
    script = CliRunner().invoke(main, env={"_PIPELINE_COMPLETE": "zsh_source"},
                                prog_name="pipeline")  # fmt: skip
    assert "#compdef pipeline" in script.stdout
    assert completions("pipeline tr", 1) == ["train"]
    assert completions("pipeline fib --sch", 2) == ["--scheduler"]
    assert completions("pipeline fib 6 --scheduler ", 4) == list(pipeline.schedule.SCHEDULERS)
    assert completions("pipeline train --activation s", 3) == ["sigmoid"]
    assert completions("pipeline train --optimizer ad", 3) == ["adam"]
    assert completions("pipeline mlp 2-2 --loss m", 4) == ["mse"]
    assert "explain" in completions("pipeline cache ", 2)


@pytest.mark.parametrize(("arguments", "code", "message"), [
    (["trian"], 2, "No such command 'trian'. Did you mean 'train'? See pipeline --help"),
    (["train", "--epoch", "3"], 2, "Did you mean '--epochs'? See pipeline train --help"),
    (["train", "--epochs", "x"], 2, "'x' is not a valid integer range; see pipeline train --help"),
    (["mlp", "2-2", "3"], 2, "unexpected extra argument (3); see pipeline mlp --help"),
    (["mlp", "2-2", "--save"], 2, "requires an argument; see pipeline mlp --help"),
    (["cache", "foo"], 2, "No such command 'foo'; see pipeline cache --help"),
    (["train", "--data", "none.npz"], 1, "none.npz: No such file or directory; check the path"),
])  # fmt: skip
def test_an_expected_error_is_one_line_with_a_remedy(
    folder: Path, arguments: list[str], code: int, message: str
) -> None:
    status, text, error = run(*arguments)
    assert (status, text, error.count("\n")) == (code, "", 1)
    assert error.startswith("pipeline: ")
    assert message in error


def test_cache_alone_prints_its_help() -> None:
    code, text, error = run("cache")
    assert (code, error) == (0, "")
    assert text == run("cache", "--help")[1]


def test_streams_that_are_closed_or_full_are_no_traceback(folder: Path) -> None:
    full = "pipeline: No space left on device; free some space, or choose another place"
    for streams, buffered, code, error in (
        (">&- 2>&-", "", 0, ""), (">/dev/full", "", 1, full), (">/dev/full", "1", 1, full),
    ):  # fmt: skip
        done = subprocess.run(  # noqa: S602 - streams of the shell
            f"{sys.executable} -m pipeline fib 5 {streams}",
            shell=True,
            capture_output=True, text=True, env={**os.environ, "PYTHONUNBUFFERED": buffered},
        )  # fmt: skip
        assert (done.returncode, done.stderr.strip()) == (code, error)


@pytest.mark.slow
def test_a_signal_ends_a_process_with_one_line(folder: Path) -> None:
    command = [sys.executable, "-m", "pipeline", "train", "--layers", "64-10", "--epochs", "10000",
               "--store", "epochs", "--out", "out"]  # fmt: skip
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as training:
        while training.poll() is None and not list(folder.glob("epochs/entries/*/*")):
            time.sleep(0.01)  # it trains once an epoch is stored
        training.send_signal(signal.SIGINT)
        text, error = training.communicate()
    assert (training.returncode, text, error) == (130, "", "pipeline: interrupted\n")
    assert os.listdir(folder / "out") == []


def test_a_reader_that_has_read_enough_is_no_error(folder: Path) -> None:
    command = f"{sys.executable} -m pipeline gallery | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)  # noqa: S607 - whichever bash
    assert (done.returncode, done.stderr) == (141, "")

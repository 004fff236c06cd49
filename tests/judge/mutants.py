"""A mutation tester: it makes small edits of the engine's files, one at a time, and runs the tests.

    python -m tests.judge.mutants [--count 300] [--seed 0] [file[:line] …]

A mutant that no test notices shows a promise that no test states. Each survivor needs a test, or an
entry in `tests/judge/equivalent.py`. With `--count 0` every mutant of the files runs.

Each mutant stands in a copy of the repository in a temporary folder. It runs the test of its file,
its doctests, and the other tests of its folder, but for those that start processes.
"""

from __future__ import annotations

import argparse
import ast
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.judge.edits import Mutant, mutants
from tests.judge.equivalent import EQUIVALENT

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent.parent
SHARES = {
    "pipeline/identity/**/*.py": 0.6,
    "pipeline/share/**/*.py": 0.2,
    "pipeline/cache/task_digests.py": 0.1,
    "pipeline/store/entry.py": 0.1,
}
"""The files that make digests and verdicts, and their shares of a sample."""
QUICK = " and ".join(
    f"not {word}"
    for word in ("processes", "another_process", "distributed", "workers", "notebook", "cluster")
)
"""Tests that start no processes."""
WORKERS = 2
SECONDS = 600
"""How long the tests of a mutant may take; one that takes longer loops, and counts as killed."""
MEMORY = 2**33
"""Bytes that its process may have."""
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    ["numpy", "pandas", "pyarrow", "dask.array", "dask.bag", "distributed", "hypothesis", "pytest"]
)
"""Each mutant's process is forked from one that has imported what takes seconds."""
REASONS = {entry[:3]: entry.reason for entry in EQUIVALENT}


class Outcome(NamedTuple):
    """What became of a mutant; one that is explained does not run, and counts as a survivor."""

    mutant: Mutant
    is_survivor: bool


def is_explained(mutant: Mutant) -> bool:
    """Whether the mutant is known to be equivalent."""
    return (mutant.file, mutant.source, mutant.mutation) in REASONS


class Copy:
    """A copy of the package and its tests, for one mutant at a time."""

    def __init__(self, folder: Path, files: set[str]) -> None:
        self.folder = folder
        for name in ("pipeline", "tests"):
            shutil.copytree(ROOT / name, folder / name)
        shutil.copy(ROOT / "pyproject.toml", folder)
        for file in files:  # as mutants are written: without comments, on other lines
            (folder / file).write_text(ast.unparse(ast.parse((folder / file).read_text())))

    def passes(self, file: str, code: str | None) -> bool:
        """Whether all tests pass with other code in a file."""
        path = self.folder / file
        before, times = path.read_text(), path.stat()
        path.write_text(code or before)
        is_mutant = code is not None
        process = PROCESSES.Process(
            target=run_tests, args=(self.folder, self.tests(file), is_mutant)
        )
        process.start()
        process.join(SECONDS)
        if process.exitcode is None and process.pid is not None:
            os.killpg(process.pid, signal.SIGKILL)
            process.join()
        path.write_text(before)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # its .pyc stays valid
        return process.exitcode == 0

    def tests(self, file: str) -> list[str]:
        """The tests of a file, the nearest first."""
        folder = Path("tests", Path(file).parent.name)
        nearest = folder / f"test_{Path(file).name}"
        others = sorted(
            path.relative_to(self.folder) for path in self.folder.glob(f"{folder}/test_*")
        )
        chosen = [path for path in others if path == nearest]
        return [*map(str, chosen), file, *(str(path) for path in others if path != nearest)]


def run_tests(folder: Path, tests: list[str], is_mutant: bool) -> None:
    """Exit with the code of pytest, in a process that has not imported the package yet."""
    os.setsid()
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    for name in [name for name in sys.modules if name.partition(".")[0] in {"tests", "pipeline"}]:
        del sys.modules[name]
    # Two mutants may have one size and time, by which Python would find the other's .pyc.
    sys.dont_write_bytecode = is_mutant
    os.environ |= {"PYTHONPATH": str(folder), "CI": "1"}
    os.environ |= {"PYTHONDONTWRITEBYTECODE": "1"} if is_mutant else {}
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    options = ["-x", "-q", "--tb=no", "-p", "no:cacheprovider", "-k", QUICK]
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # hypothesis is imported already
    sys.exit(pytest.main([*options, *tests]))


def sample(names: list[str], count: int, seed: int) -> list[Mutant]:
    """Mutants of the files, by a seeded choice; all of them if the count is 0."""
    shares = dict.fromkeys((name.partition(":")[0] for name in names), 1 / max(len(names), 1))
    chosen = []
    for pattern, share in (shares or SHARES).items():
        found = [
            mutant
            for path in sorted(ROOT.glob(pattern))
            for mutant in mutants(str(path.relative_to(ROOT)), path.read_text())
        ]
        if lines := {
            int(line) for name in names for line in name.split(":")[1:] if pattern in name
        }:
            found = [mutant for mutant in found if mutant.line in lines]
        size = round(count * share) or len(found)
        chosen += random.Random(seed).sample(found, min(size, len(found)))  # noqa: S311 - a choice
    return sorted(chosen)


def outcomes_of(chosen: list[Mutant]) -> Iterator[Outcome]:
    """Run the tests of each mutant, a few at a time; first those of the files as they are."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(WORKERS) as threads:
        copies = SimpleQueue[Copy]()
        for number in range(WORKERS):
            copies.put(Copy(Path(folder, str(number)), {mutant.file for mutant in chosen}))

        def passes(file: str, code: str | None = None) -> bool:
            copy = copies.get()
            try:
                return copy.passes(file, code)
            finally:
                copies.put(copy)

        files = {Path(mutant.file).parent: mutant.file for mutant in chosen}  # one of each folder
        for file, is_fit in zip(files.values(), threads.map(passes, files.values()), strict=True):
            if not is_fit:
                sys.exit(f"the tests of {file} fail without a mutant")
        results = threads.map(
            lambda mutant: is_explained(mutant) or passes(mutant.file, mutant.code), chosen
        )
        yield from map(Outcome, chosen, results)


def main() -> None:
    """Run the mutants and print what became of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.judge.mutants")
    parser.add_argument("files", nargs="*")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    outcomes = []
    for outcome in outcomes_of(sample(options.files, options.count, options.seed)):
        outcomes.append(outcome)
        if outcome.is_survivor and not is_explained(outcome.mutant):
            file, line, source, mutation, _ = outcome.mutant
            print(f"{file}:{line}: {source}\n    {mutation}", flush=True)
    print(f"{'file':34}{'mutants':>9}{'killed':>9}{'survived':>9}{'explained':>10}")
    files = groupby(outcomes, lambda outcome: outcome.mutant.file)
    for file, group in [*((file, [*group]) for file, group in files), ("all", outcomes)]:
        survivors = [outcome for outcome in group if outcome.is_survivor]
        explained = sum(is_explained(outcome.mutant) for outcome in survivors)
        killed = len(group) - len(survivors)
        print(f"{file:34}{len(group):9}{killed:9}{len(survivors):9}{explained:10}")


if __name__ == "__main__":
    main()

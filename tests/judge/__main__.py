"""`python -m tests.judge`: run the suites in each mode, and print a table of what differs."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.judge.plugin import Record, read_records
from tests.judge.reasons import REASONS

ROOT = Path(__file__).parent.parent.parent

SUITES = {
    "array": ["dask.array.tests"],
    "bag": ["dask.bag.tests"],
    "core": ["dask.tests"],
    "dataframe": [
        "dask.dataframe.tests", "dask.dataframe.dask_expr.tests", "dask.dataframe.tseries.tests",
    ],
    "io": ["dask.dataframe.io.tests", "dask.dataframe.dask_expr.io.tests"],
    "xarray": ["xarray.tests.test_dask"],
}  # fmt: skip

WARM = ("warm", "alone")
"""The modes in which a store is full."""

MODES = ("share", "cold", *WARM)

MOST_CRASHES = 5


@dataclass
class Verdict:
    """One suite in one mode, beside the same suite with Dask alone."""

    suite: str
    mode: str
    ours: dict[str, Record] = field(repr=False)
    plain: dict[str, Record] = field(repr=False)

    @property
    def ran(self) -> list[Record]:
        return [record for record in self.ours.values() if record.outcome != "skipped"]

    @property
    def failures(self) -> list[Record]:
        return [record for record in self.ran if record.outcome != "passed"]

    @property
    def suspects(self) -> set[str]:
        differing = {record.test for record in self.ran if record.differences}
        return differing | {record.test for record in self.failures}

    @property
    def new_failures(self) -> list[Record]:
        passed = {name for name, record in self.plain.items() if record.outcome == "passed"}
        return [record for record in self.failures if record.test in passed]

    @property
    def unexplained(self) -> list[Record]:
        return [record for record in self.new_failures if not reason(record.test)]

    @property
    def differences(self) -> list[tuple[str, str]]:
        """(test, text) for each computation in which Dask, run twice, agrees with itself."""
        return [
            (test, text)
            for test, record in self.ours.items()
            for number, text in record.differences.items()
            if not reason(test)
            and (test not in self.plain or number not in self.plain[test].differences)
        ]

    def row(self) -> list[str]:
        counts = (
            len(self.ran), len(self.failures) - len(self.new_failures), len(self.new_failures),
            sum(record.compared for record in self.ran),
            sum(record.loaded for record in self.ran), len(self.differences),
        )  # fmt: skip
        return [self.suite, self.mode, *(f"{count:,}" for count in counts)]


def reason(test: str) -> str:
    """Why the test may fail, or differ; empty if it may not."""
    return next((why for name, why in REASONS.items() if fnmatchcase(test, _literal(name))), "")


def _literal(name: str) -> str:
    return name.replace("[", "[[]")


def run(suite: str, mode: str, folder: Path, **which: str) -> dict[str, Record]:
    """The records of a suite's tests in one mode. A test that ends the process is left behind.

    which: JUDGE_SAMPLE or JUDGE_TESTS
    """
    out = folder / f"{suite}-{mode}.jsonl"
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTHONHASHSEED": "2" if mode in WARM else "1",
        "OMP_NUM_THREADS": "1",
        "DASK_MULTIPROCESSING__CONTEXT": "forkserver",
        "JUDGE_MODE": mode,
        "JUDGE_OUT": str(out),
        "JUDGE_STORE": str(folder / f"{suite}-store"),
        **which,
    }
    command = [
        sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", str(folder),
        "--basetemp", str(folder / f"{suite}-files"), "-p", "no:cacheprovider",
        "-p", "tests.judge.plugin", "--pyargs", *SUITES[suite],
    ]  # fmt: skip
    with (folder / f"{suite}-{mode}.log").open("w") as log:
        for _ in range(MOST_CRASHES):
            done = subprocess.run(
                command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
            if done.returncode in (0, 1, 5):
                break
    return read_records(out)


def judge(suite: str, modes: list[str], sample: str, folder: Path) -> list[Verdict]:
    """A suite in several modes. A warm store is filled by a cold run in another process.

    What fails or differs with us is run with Dask alone.
    """
    if "cold" not in modes and {*WARM} & {*modes}:
        run(suite, "cold", folder, JUDGE_SAMPLE=sample)
    verdicts = [
        Verdict(suite, mode, run(suite, mode, folder, JUDGE_SAMPLE=sample), {}) for mode in modes
    ]
    suspects = {test for verdict in verdicts for test in verdict.suspects}
    if suspects:
        names = folder / f"{suite}-suspects.txt"
        names.write_text("\n".join(sorted(suspects)))
        plain = run(suite, "plain", folder, JUDGE_TESTS=str(names))
        for verdict in verdicts:
            verdict.plain = plain
    return verdicts


def show(verdicts: list[Verdict]) -> None:
    """The table, and each failure and difference."""
    console = Console(width=80, highlight=False)
    table = Table("suite", "mode", box=None, pad_edge=False)
    counts = "tests", "failures without us", "new failures", "compared", "loaded", "differences"
    for name in counts:
        table.add_column(name, justify="right")
    for verdict in verdicts:
        table.add_row(*verdict.row())
    console.print(table)
    for verdict in verdicts:
        for record in verdict.new_failures:
            text = reason(record.test) or record.error or record.outcome
            _line(verdict, "new failure", record.test, text)
        for test, text in verdict.differences:
            _line(verdict, "difference", test, text)


def _line(verdict: Verdict, kind: str, test: str, text: str) -> None:
    print(f"{verdict.suite} {verdict.mode} {kind}: {test}\n    {text}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.judge", description=__doc__)
    parser.add_argument("suites", nargs="*", metavar="suite", help=", ".join(SUITES))
    parser.add_argument("--sample", default="1", help="a fraction of the tests, such as 1/8")
    parser.add_argument("--mode", action="append", choices=MODES, help="without it, all")
    parser.add_argument("--folder", type=Path, help="keeps the records and logs")
    options = parser.parse_args()
    if unknown := set(options.suites) - set(SUITES):
        parser.error(f"unknown suites: {', '.join(sorted(unknown))}; there are {', '.join(SUITES)}")
    modes = [mode for mode in MODES if mode in (options.mode or MODES)]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(2) as pool:
            suites = options.suites or list(SUITES)
            runs = pool.map(lambda suite: judge(suite, modes, options.sample, folder), suites)
            verdicts = [verdict for suite in runs for verdict in suite]
    show(verdicts)
    return int(any(verdict.unexplained or verdict.differences for verdict in verdicts))


if __name__ == "__main__":
    sys.exit(main())

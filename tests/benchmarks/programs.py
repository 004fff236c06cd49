"""Twenty programs that other people write, in one table: `python -m tests.benchmarks programs`.

Each runs plain, shared and through an empty store in one new process, and through the full store
in another, on threads and on a cluster of two processes. The environment: BENCH_MB, the megabytes
of each data set (100); BENCH_DIR, a folder for data and stores; BENCH_ROUNDS, of which the medians
are taken (1); BENCH_PROGRAMS and BENCH_SCHEDULERS, the names of some.
"""

from __future__ import annotations

import compileall
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import pipeline
from tests.programs.data import make
from tests.programs.measured import SCHEDULERS, Cold, Warm
from tests.programs.twenty import PROGRAMS

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD = (
    "program", "plain, s", "tasks run: plain", "shared", "optimizing ÷ plain", "sharing ÷ plain",
    "shared ÷ plain", "cold ÷ plain", "warm ÷ plain", "MB stored", "entries", "not stored", "equal",
)  # fmt: skip


class Row(NamedTuple):
    """A program on a scheduler, in each round."""

    name: str
    scheduler: str
    colds: list[Cold]
    warms: list[Warm]

    def ratio(self, seconds: Callable[[Cold, Warm], float]) -> float:
        """The median of a time ÷ the plain time of its round."""
        rounds = zip(self.colds, self.warms, strict=True)
        return median(seconds(*pair) / pair[0].plain for pair in rounds)

    @property
    def ratios(self) -> list[float]:
        """Of Dask's optimizing, sharing beyond it, a shared run, a cold run and a warm run."""
        times: list[Callable[[Cold, Warm], float]] = [
            lambda cold, _: cold.optimize[0],
            # Dask optimizes what sharing has optimized once more: only what is new counts.
            lambda cold, _: cold.share + cold.optimize[1] - cold.optimize[0],
            lambda cold, _: cold.shared, lambda cold, _: cold.cold, lambda _, warm: warm.warm,
        ]  # fmt: skip
        return [self.ratio(seconds) for seconds in times]

    @property
    def differs(self) -> str:
        texts = *(one.differs for one in self.colds), *(one.differs for one in self.warms)
        return next(filter(None, texts), "")

    def cells(self) -> list[str]:
        cold, ran = self.colds[-1], self.warms[-1].ran
        plain, why = median(one.plain for one in self.colds), ", ".join(cold.not_stored) or "–"
        return [
            f"{self.name}, {self.scheduler}", f"{plain:.2f}", *map(str, cold.tasks),
            *(f"{ratio:.2f}" for ratio in self.ratios), f"{cold.bytes / 1e6:.1f}",
            str(cold.entries), f"{why}; warm {len(ran)} ran" if ran else why,
            "no" if self.differs else "yes",
        ]  # fmt: skip


def measure(name: str, scheduler: str, data: Path, tiny: Path, rounds: int) -> Row:
    row = Row(name, scheduler, [], [])
    for _ in range(rounds):
        place = data.parent / "place"
        place.mkdir()
        own = name, str(data), str(place), scheduler, str(tiny)
        row.colds.append(Cold(**_line("cold", *own)))
        row.warms.append(Warm(**_line("warm", *own)))
        shutil.rmtree(place)
    return row


def _line(*arguments: str) -> Any:
    """What a new process measures."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.programs.measured", *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    settings = os.environ
    # As pip does. Else each process compiles what it imports, where nothing may be written.
    compileall.compile_dir(str(Path(pipeline.__file__).parent), quiet=1)
    names = settings.get("BENCH_PROGRAMS", " ".join(PROGRAMS)).split()
    with tempfile.TemporaryDirectory(dir=settings.get("BENCH_DIR")) as folder:
        data = make(Path(folder) / "data", float(settings.get("BENCH_MB", "100")))
        tiny = make(Path(folder) / "tiny", 1)
        rows = []
        schedulers = settings.get("BENCH_SCHEDULERS", " ".join(SCHEDULERS)).split()
        print(f"| {' | '.join(HEAD)} |\n|{' --- |' * len(HEAD)}")
        for name in names:
            for scheduler in schedulers:
                rounds = int(settings.get("BENCH_ROUNDS", "1"))
                rows.append(measure(name, scheduler, data, tiny, rounds))
                print(f"| {' | '.join(rows[-1].cells())} |", flush=True)
    summary(rows)


def summary(rows: list[Row]) -> None:
    """Medians and worst; what differs; why results are not stored."""
    for name, ratios in zip(
        HEAD[4:9], zip(*(row.ratios for row in rows), strict=True), strict=True
    ):
        print(f"{name}: median {median(ratios):.2f}, worst {max(ratios):.2f}")
    for row in rows:
        if row.differs:
            print(f"{row.name}, {row.scheduler}: {row.differs}")
    whys = {why for row in rows for cold in row.colds for why in cold.not_stored.items()}
    print(*sorted(f"{function}: {why}" for function, why in whys), sep="\n")

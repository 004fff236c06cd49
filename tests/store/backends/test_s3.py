"""Stores in buckets, on a real server that speaks S3: moto's, on the loopback.

Run by itself, `python -m tests.store.backends.test_s3 URL OPTIONS`, it is such a program.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen
from uuid import uuid4

import numpy as np
import pytest
from dask import delayed

import pipeline
from pipeline import Store, StoreWarning, measure
from pipeline import scheduler as on
from pipeline.schedule import SCHEDULERS
from pipeline.store.backends import remote
from tests import store_program

for library in ("s3fs", "moto", "flask"):
    pytest.importorskip(library, reason=f"{library} is not installed: pip install -e '.[s3]'")

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
SETTINGS = {"MOTO_S3_DEFAULT_MAX_KEYS": "40"}  # objects that one answer lists
A, B, C = ("0a" * 16, "0b" * 16, "cc" * 16)


class Server:
    """A server of S3 in a process of its own, which is ended by its id."""

    def __init__(self, log: Path) -> None:
        self.log = log  # a file: a pipe that nobody reads makes a server wait
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
        with log.open("w") as file:
            self.process = subprocess.Popen(
                command, stderr=file, stdout=subprocess.DEVNULL, env={**os.environ, **SETTINGS}
            )
        deadline = time.monotonic() + 30
        while (match := re.search(r"http://127\.0\.0\.1:\d+", log.read_text())) is None:
            assert self.process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        self.endpoint = match[0]

    def options(self, **more: Any) -> dict[str, Any]:
        return {"key": "testing", "secret": "testing", "endpoint_url": self.endpoint, **more}

    def ask(self, path: str, data: bytes | None = None, method: str | None = None) -> bytes:
        request = Request(  # noqa: S310 - its own
            f"{self.endpoint}/{path}", data, {"Content-Type": "text/plain"}, method=method
        )
        with urlopen(request, timeout=10) as answer:  # noqa: S310
            return bytes(answer.read())

    @contextmanager
    def requests(self) -> Iterator[list[str]]:
        """The requests meanwhile, from the server's log."""
        requests: list[str] = []
        before = len(self.log.read_text())
        yield requests
        requests += re.findall(r"(?:GET|PUT|HEAD|POST|DELETE) /\S+", self.log.read_text()[before:])

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def serving(log: Path) -> Iterator[Server]:
    server = Server(log)
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("s3") / "log") as started:
        yield started


def new(server: Server) -> str:
    """A place in a bucket that nobody has used."""
    bucket = f"bucket-{uuid4().hex[:8]}"
    server.ask(bucket, b"", "PUT")
    return f"s3://{bucket}/cache"


@pytest.fixture
def url(server: Server) -> str:
    return new(server)


@pytest.fixture
def store(server: Server, url: str) -> Store:
    return Store(url, options=server.options())


def path(store: Store, digest: str) -> str:
    return f"{store.url.removeprefix('s3://')}/entries/{digest[:2]}/{digest}"


def files(store: Store) -> Any:
    assert isinstance(store.backend, remote.Remote)
    return store.backend.bucket.fs


# What a store does


def test_a_remote_store_does_what_a_folder_does(store: Store) -> None:
    assert A not in store
    with pytest.raises(KeyError):
        store.get(A)
    store.put(A, {"a": (None, [1.5])}, function="f", seconds=2.0)
    store.put(B, 1)
    assert store.get(A) == {"a": (None, [1.5])}
    assert store.known([A, B, C]) == {A, B}
    assert [entry.digest for entry in store.entries()] == [A, B]
    stat = store.backend.stat(A)
    assert stat is not None
    assert abs(stat.used - time.time()) < 60
    assert store.remove(B)
    assert not store.remove(B)
    assert len(store) == 1
    assert store.gc(max_bytes=1)[0] == 1


@pytest.mark.parametrize("size", [0, 20 << 20, 120 << 20])
def test_large_arrays_come_back_whole(store: Store, size: int) -> None:
    array = np.random.default_rng(0).integers(0, 256, size, "u1").view("f8")
    store.put(A, array)
    loaded = store.get(A)
    assert loaded.dtype == array.dtype
    assert loaded.tobytes() == array.tobytes()
    assert loaded.flags.writeable  # a copy of the reader's own


def test_there_may_be_more_entries_than_one_answer_names(server: Server, store: Store) -> None:
    fs = files(store)
    many = [f"{number:032x}" for number in range(1, 101)]
    fs.pipe({path(store, digest): b"corrupt" for digest in many})
    store.put(A, 1)
    assert store.known([*many, A, B]) == {*many, A}
    assert len(list(store.digests())) == 101
    assert [entry.digest for entry in store.entries()] == [A]


def test_a_corrupt_entry_is_removed_with_a_warning_and_computed_again(
    server: Server, url: str
) -> None:
    x, y = delayed(max)([1, 2]), delayed(min)([1, 2])
    for harm in ("emptied", "cut", "flipped", "swapped"):
        store = Store(url, options=server.options())
        pipeline.compute(x, y, store=store, scheduler="sync")
        one, other = [path(store, digest) for digest in store.digests()]
        data, another = bytearray(files(store).cat_file(one)), files(store).cat_file(other)
        data[-1] ^= 1
        harmed = {"emptied": b"", "cut": bytes(data[:-5]), "flipped": bytes(data),
                  "swapped": another}[harm]  # fmt: skip
        files(store).pipe_file(one, harmed)
        with pytest.warns(StoreWarning, match="is removed, and computed again") as warned:
            assert pipeline.compute(x, y, store=store, scheduler="sync") == (2, 1)
        assert len(warned) == 1
        with measure() as measured:
            assert pipeline.compute(x, y, store=store, scheduler="sync") == (2, 1)
        assert measured.tasks == 0


# Runs


def in_another_process(server: Server, url: str) -> Any:
    command = [
        sys.executable,
        "-m",
        "tests.store.backends.test_s3",
        url,
        json.dumps(server.options()),
    ]
    process = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    return json.loads(process.stdout)


def main(url: str, options: str) -> None:
    """Print, for each scheduler, how many tasks ran and what came out."""
    results = {}
    for scheduler in SCHEDULERS:
        store = Store(f"{url}/{scheduler}", options=json.loads(options))
        with on(scheduler), measure() as measured:
            values = pipeline.compute(*store_program.collections(), store=store)
        results[scheduler] = [measured.tasks, store_program.plain(values)]
    print(json.dumps(results))


def test_the_second_run_in_another_process_runs_nothing_on_every_scheduler(
    server: Server, url: str
) -> None:
    first, second = in_another_process(server, url), in_another_process(server, url)
    for scheduler in SCHEDULERS:
        assert first[scheduler][0] > 30
        assert first[scheduler][1] == store_program.expected()
        assert second[scheduler] == [0, first[scheduler][1]]
        counts = Store(f"{url}/{scheduler}", options=server.options()).stats()
        assert counts.hits >= len(store_program.collections())


def slow(number: int) -> int:
    time.sleep(0.3)
    return number


def test_workers_load_what_others_have_stored(store: Store, scheduler: str) -> None:
    """The store goes to them by its settings, whatever threads this process has for it."""
    store.keep = frozenset({"slow"})
    parts = [delayed(slow)(number) for number in range(3)]
    pipeline.compute(*parts, store=store)
    with measure() as measured:
        assert pipeline.compute(delayed(sum)(parts), store=store) == (3,)
    assert set(measured.functions) == {"sum"}


def test_a_fork_reaches_the_store(store: Store) -> None:
    store.put(A, [1])
    child = os.fork()
    if not child:  # pragma: no cover - what a child does is not seen
        try:
            store.put(B, store.get(A) * 2)
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert store.get(B) == [1, 1]


def test_explain_names_hits_and_changes(store: Store) -> None:
    pipeline.compute(delayed(slow)(1), store=store, scheduler="sync")
    assert store.explain(delayed(slow)(1)).count("hit") == 1
    assert "argument" in str(store.explain(delayed(slow)(2)))


# What it costs


def test_to_store_a_small_result_takes_three_requests_and_a_hit_one(
    server: Server, url: str
) -> None:
    store = Store(url, options=server.options())
    store.put(C, None, function="f")  # what a process requests once is done
    time.sleep(1.1)  # and what is valid for a second has expired
    with server.requests() as requests:
        store.put(A, 1, function="f")
    assert len(requests) <= 3, requests
    with server.requests() as requests:
        assert store.get(A) == 1
    assert len(requests) == 1, requests
    with server.requests() as requests:
        assert store.known([A, B]) == {A}
    assert len(requests) == 2, requests
    with server.requests() as requests:
        assert store.known([A, *(f"{number:032x}" for number in range(200))]) == {A}
    assert len(requests) == 201
    assert not [request for request in requests if "list-type" in request]


def made(number: int, size: int) -> Any:
    return np.full(size, number)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many files each question asks for: questions wait for each other, files do not."""
    asked: list[int] = []
    for name in ("heads", "read_all"):
        original = getattr(remote.Bucket, name)

        def spy(self: Any, paths: Any, *args: Any, original: Any = original) -> Any:
            before, paths = len(asked), list(paths)
            files = original(self, paths, *args)
            asked[before:] = [len(paths)] if paths else []  # and not what it asks for itself
            return files

        monkeypatch.setattr(remote.Bucket, name, spy)
    return asked


@pytest.mark.parametrize("size", [10, pytest.param(10_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("is_upstream", [False, True])
def test_the_hits_of_a_plan_take_a_few_round_trips(
    server: Server, url: str, tmp_path: Path, asked: list[int], is_upstream: bool, size: int
) -> None:
    def opened(name: str) -> Store:
        options: dict[str, Any] = {"options": server.options(), "keep": [made]}
        return (
            Store(tmp_path / name, upstream=url, **options)
            if is_upstream
            else Store(url, **options)
        )

    parts = [delayed(made)(number, size) for number in range(64)]
    pipeline.compute(*parts, store=opened("one"), scheduler="sync")
    for outputs in (parts, [delayed(len)(parts)]):
        asked.clear()
        with server.requests() as requests, measure() as measured:
            pipeline.compute(*outputs, store=opened(f"for {len(outputs)}"), scheduler="sync")
        assert sum(measured.functions[name].tasks for name in measured.functions) <= 1
        assert not [request for request in requests if "list-type" in request]
        # Headers, and values if they are large: a task reads an inner value by itself.
        inner = 64 if size > 1000 and len(outputs) == 1 and not is_upstream else 0
        assert len(asked) <= 8 + inner, asked
        assert len(requests) <= 64 * (1 + (size > 1000)) + 20


def test_a_cold_plan_lists_nothing_and_asks_for_a_long_chain_together(
    server: Server, url: str, tmp_path: Path, asked: list[int]
) -> None:
    value: Any = 0
    for number in range(100):
        value = delayed(max)(value, number)
    store = Store(tmp_path / "one", upstream=url, options=server.options())
    with server.requests() as requests:
        assert not store.explain(value).count("hit")
    assert len(requests) <= 110  # each name, and one note for the explanation
    assert not [request for request in requests if "prefix=cache%2Fentries" in request]
    assert len(asked) < 20, asked


# Upstream


def test_a_bucket_is_an_upstream(server: Server, url: str, tmp_path: Path) -> None:
    parts = [delayed(made)(number, 10) for number in range(5)]
    for name in ("ann", "bob"):
        store = Store(tmp_path / name, upstream=url, options=server.options(), keep=[made])
        with measure() as measured:
            pipeline.compute(*parts, store=store, scheduler="threads")
        assert (measured.tasks > 0) == (name == "ann")
        assert len(store) == len(Store(url, options=server.options())) == 5
    bob = Store(tmp_path / "bob", upstream=url, options=server.options(), readonly=True)
    assert "argument 1 was" in str(bob.explain(delayed(made)(5, 10)))


def test_a_silent_bucket_costs_its_time_once(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.store.backends.upstream.requests._PATIENCE", 0.5)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        options = server.options(endpoint_url=f"http://127.0.0.1:{silent.getsockname()[1]}")
        start = time.monotonic()
        with one_warning("s3://bucket/cache could not be reached: no answer in 1 s"):
            for number in range(3):
                store = Store(tmp_path / str(number), upstream="s3://bucket/cache", options=options)
                assert pipeline.compute(*parts(), store=store, scheduler="sync")[4] == 4
        assert time.monotonic() - start < 8


def test_a_missing_bucket_upstream_is_a_warning(server: Server, tmp_path: Path) -> None:
    url = f"s3://none-{uuid4().hex[:8]}/cache"
    with one_warning("The specified bucket does not exist"):
        store = Store(tmp_path, upstream=url, options=server.options())
        assert pipeline.compute(*parts(), store=store, scheduler="sync") == (0, 1, 2, 3, 4)
    assert len(store) == 5


def test_many_notes_are_read_once_and_then_as_one(server: Server, store: Store) -> None:
    for number in range(150):
        store.notes.add("topic", number)
    assert store.notes.on("topic") == list(range(150))
    with server.requests() as requests:
        assert store.notes.on("topic") == list(range(150))
    assert len(requests) <= 3, requests


# Failures


@contextmanager
def one_warning(match: str) -> Iterator[None]:
    """One warning, whatever fails how often."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    messages = [str(warning.message) for warning in caught if warning.category is StoreWarning]
    assert len(messages) == 1, messages
    assert re.search(match, messages[0]), messages


def parts() -> list[Any]:
    return [delayed(abs)(-number) for number in range(5)]


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_where_nobody_listens_results_are_computed(server: Server) -> None:
    options = server.options(endpoint_url=f"http://127.0.0.1:{closed_port()}")
    start = time.monotonic()
    with one_warning("s3://bucket/cache could not be .*Could not connect"):
        store = Store("s3://bucket/cache", options=options)
        assert pipeline.compute(*parts(), store=store, scheduler="threads") == (0, 1, 2, 3, 4)
    assert time.monotonic() - start < 15


def test_a_silent_server_fails_in_seconds(server: Server) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        options = server.options(endpoint_url=endpoint, config_kwargs={"read_timeout": 0.5})
        start = time.monotonic()
        store = Store("s3://bucket/cache", options=options)
        with store.failures.tolerating("read") as reach:
            assert reach
            store.backend.read(A)
        assert time.monotonic() - start < 8  # three times, and some waiting between
        assert store.known([A]) == set()
        with pytest.warns(StoreWarning, match="imeout"):
            store.failures.emit_warnings()


def test_a_missing_bucket_is_a_warning_and_is_not_made(server: Server) -> None:
    url = f"s3://none-{uuid4().hex[:8]}/cache"
    with one_warning("The specified bucket does not exist"):
        store = Store(url, options=server.options())
        assert pipeline.compute(*parts(), store=store, scheduler="sync") == (0, 1, 2, 3, 4)
    with one_warning("The specified bucket does not exist"):
        store = Store(url, options=server.options())
        assert pipeline.compute(*parts(), store=store, scheduler="threads") == (0, 1, 2, 3, 4)


def test_wrong_credentials_are_a_warning(server: Server, url: str) -> None:
    server.ask("moto-api/reset-auth", b"0")
    try:
        with one_warning("(?i)access|credential|signature|forbidden"):
            store = Store(url, options=server.options())
            assert pipeline.compute(*parts(), store=store, scheduler="sync") == (0, 1, 2, 3, 4)
    finally:
        server.ask("moto-api/reset-auth", b"Infinity")


def test_a_server_that_goes_down_in_a_run_is_a_warning_and_the_run_continues(
    tmp_path: Path,
) -> None:
    with serving(tmp_path / "log") as mortal:
        url = new(mortal)

        def until(number: int, *_: Any) -> int:
            if number == 2:
                mortal.stop()
            return number

        graph = None
        for number in range(6):
            graph = delayed(pipeline.pure(until))(number, *([graph] if number else []))
        store = Store(url, options=mortal.options(), keep=["until"])
        start = time.monotonic()
        with one_warning("could not be reached"):
            assert pipeline.compute(graph, store=store, scheduler="sync") == (5,)
        assert time.monotonic() - start < 15


# Settings


def test_settings_of_the_user_replace_our_timeouts(server: Server, url: str) -> None:
    ours = remote.Remote(url, server.options()).bucket.fs
    assert ours.retries == 1
    assert ours.config_kwargs["read_timeout"] == 10
    settings = {"read_timeout": 99, "retries": {"max_attempts": 9}}
    theirs = remote.Remote(url, server.options(config_kwargs=settings)).bucket.fs
    assert theirs.retries > 1
    assert theirs.config_kwargs["read_timeout"] == 99
    assert theirs.config_kwargs["connect_timeout"] == 5


def test_region_and_endpoint_may_be_given_as_for_boto3(server: Server, url: str) -> None:
    settings = {"endpoint_url": server.endpoint, "region_name": "us-east-1"}
    store = Store(url, options={"key": "testing", "secret": "testing", "client_kwargs": settings})
    store.put(A, 1)
    assert store.get(A) == 1


if __name__ == "__main__":
    main(*sys.argv[1:])

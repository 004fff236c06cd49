"""Locks on files, and leases."""

from __future__ import annotations

import errno
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from pipeline.store.backends import locks
from pipeline.store.backends.locks import Lease, holding, lock, release

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def leased(path: Path) -> Lease:
    return Lease(os.fspath(path), lambda: opened(path))


def files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_file_is_locked_for_one_opening_alone(tmp_path: Path) -> None:
    one, other = opened(tmp_path / "a"), opened(tmp_path / "a")
    assert lock(one) is True
    assert lock(other, is_patient=False) is False
    release(one)
    assert lock(other, is_patient=False) is True
    release(other)


def test_a_child_that_has_the_file_open_does_not_keep_the_lock(tmp_path: Path) -> None:
    one = opened(tmp_path / "a")
    of_child = os.dup(one)  # as a fork has it
    with holding(one):
        pass
    other = opened(tmp_path / "a")
    assert lock(other, is_patient=False) is True
    release(other)
    os.close(of_child)


def test_without_locks_every_lease_is_granted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks, "flock", refused)
    file = opened(tmp_path / "a")
    assert lock(file) is None
    release(file)
    one, other = leased(tmp_path / "b"), leased(tmp_path / "b")  # both at once
    assert not one.is_vain
    other.end(True)
    one.end(True)


def test_a_lease_is_waited_for(tmp_path: Path) -> None:
    path, order = tmp_path / "lease", []
    first = leased(path)

    def wait() -> None:
        lease = leased(path)
        order.append("taken")
        lease.end(True)

    waiting = [threading.Thread(target=wait) for _ in range(8)]
    for waiter in waiting:
        waiter.start()
    time.sleep(0.05)
    order.append("ended")
    first.end(True)
    for waiter in waiting:
        waiter.join(10)
    assert order == ["ended"] + 8 * ["taken"]
    assert not path.exists()


def test_one_thread_at_a_time_has_the_lease(tmp_path: Path) -> None:
    holders: list[int] = []
    most: list[int] = []

    def use() -> None:
        for _ in range(20):
            lease = leased(tmp_path / "lease")
            holders.append(1)
            most.append(len(holders))
            time.sleep(0.0005)
            holders.pop()
            lease.end(True)

    threads = [threading.Thread(target=use) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 120 * [1]


def test_after_a_wait_in_vain_nobody_holds_the_lease(tmp_path: Path) -> None:
    path, vain = tmp_path / "lease", []
    waiting = threading.Semaphore(0)

    @contextmanager
    def reported() -> Iterator[None]:
        waiting.release()
        yield

    def wait() -> None:
        vain.append(Lease(os.fspath(path), lambda: opened(path), reported).is_vain)

    first = leased(path)
    waiters = [threading.Thread(target=wait) for _ in range(4)]
    for waiter in waiters:
        waiter.start()
    for _ in waiters:
        assert waiting.acquire(timeout=60)
    first.end(False)
    for waiter in waiters:
        waiter.join(60)
    assert vain == 4 * [True]
    last = leased(path)
    assert not last.is_vain
    last.end(True)


def test_an_abandoned_lease_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    path.touch()
    lease = leased(path)
    assert not lease.is_vain
    lease.end(True)
    assert not path.exists()


def test_a_lease_whose_folder_is_gone_ends(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    lease = leased(tmp_path / "inner" / "lease")
    (tmp_path / "inner" / "lease").unlink()
    (tmp_path / "inner").rmdir()
    lease.end(False)
    lease.end(True)  # twice is once


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="open files are counted")
def test_no_file_is_left_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files()
    for is_stored in (True, False):
        leased(tmp_path / "lease").end(is_stored)

    def interrupted(*_: int) -> None:
        raise KeyboardInterrupt

    other = leased(tmp_path / "other")
    with pytest.raises(KeyboardInterrupt):
        Lease(os.fspath(tmp_path / "other"), lambda: opened(tmp_path / "other"), ended)
    other.end(True)
    monkeypatch.setattr(locks, "flock", interrupted)
    with pytest.raises(KeyboardInterrupt):
        leased(tmp_path / "lease")
    assert files() == before


@contextmanager
def ended() -> Iterator[Callable[[], bool]]:
    yield lambda: True


def test_a_wait_ends_when_it_is_told_so_and_with_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, path = leased(tmp_path / "lease"), tmp_path / "lease"
    with pytest.raises(KeyboardInterrupt):
        Lease(os.fspath(path), lambda: opened(path), ended)
    monkeypatch.setattr(locks, "_is_ending", True)
    with pytest.raises(KeyboardInterrupt):
        leased(path)
    owner.end(True)
    leased(path).end(True)  # without a wait


def test_a_long_wait_is_logged_with_its_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(locks, "_PATIENCE", 0.05)
    path = tmp_path / "lease"
    owner = leased(path)
    waiter = threading.Thread(
        target=lambda: Lease(os.fspath(path), lambda: opened(path), task="f(3)").end(True)
    )
    waiter.start()
    while len(caplog.messages) < 2:
        time.sleep(0.01)
    owner.end(True)
    waiter.join()
    expected = f"f(3) waits for process {os.getpid()} on {platform.node()} since 20"
    assert all(message.startswith(expected) for message in caplog.messages)
    assert len(caplog.messages) < 10  # each wait is twice as long as the one before


_OWNER = """
import os, sys
from pipeline.store.backends.locks import Lease
path = sys.argv[1]
lease = Lease(path, lambda: os.open(path, os.O_RDWR | os.O_CREAT))
print("owned", flush=True)
sys.stdin.readline()
lease.end(True)
"""


def test_nobody_waits_for_a_stopped_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(locks, "_STOPPED", 1.2)
    path = tmp_path / "lease"
    command = [sys.executable, "-c", _OWNER, os.fspath(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        owner.stdout.readline()
        owner.send_signal(signal.SIGSTOP)
        lease = Lease(os.fspath(path), lambda: opened(path), task="f(3)")
        lease.end(True)
        assert lease.is_vain
        assert path.exists()
        owner.send_signal(signal.SIGCONT)
        owner.communicate(b"end")
    [message] = caplog.messages
    assert message.startswith(f"f(3) is computed here, too: process {owner.pid} on")
    assert not path.exists()
    leased(path).end(True)


@pytest.mark.parametrize(
    "left",
    [b"", b"process 1 on a-machine-with-a-very-long-name.in.another.place.example.org", b"pr"],
)
def test_what_a_killed_owner_left_is_taken_over(tmp_path: Path, left: bytes) -> None:
    path = tmp_path / "lease"
    path.write_bytes(left)
    lease = leased(path)
    assert not lease.is_vain
    text = path.read_text()
    assert text == f"process {os.getpid()} on {platform.node()}"
    lease.end(True)
    assert not path.exists()


def test_a_full_disk_does_not_hinder_a_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "pwrite", full)
    lease = leased(tmp_path / "lease")
    assert (tmp_path / "lease").stat().st_size == 0
    waiting: list[bool] = []
    waiter = threading.Thread(target=lambda: waiting.append(leased(tmp_path / "lease").is_vain))
    waiter.start()
    time.sleep(0.05)
    lease.end(False)
    waiter.join()
    assert waiting == [True]


def test_a_child_has_no_part_in_what_its_parent_has_locked(tmp_path: Path) -> None:
    lease, file = leased(tmp_path / "lease"), opened(tmp_path / "a")
    with holding(file):
        child = os.fork()
        if not child:
            os.dup2(opened(tmp_path / "other"), file)  # the number of a file that was locked
            try:
                lease.end(False)
                release(file)
                os.write(file, b"x")
            finally:
                is_kept = (tmp_path / "other").read_bytes() == b"x"
                os._exit(0 if is_kept else 1)
        assert os.waitpid(child, 0)[1] == 0
        other = opened(tmp_path / "a")
        assert lock(other, is_patient=False) is False
        release(other)
    assert (tmp_path / "lease").stat().st_size > 1
    lease.end(True)

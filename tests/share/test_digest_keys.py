"""Keys that are digests: what several clients of a cluster run once."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
from dask import delayed
from dask.utils import key_split

from pipeline import pure
from pipeline.share import task_dict
from pipeline.share.merging import Merged, OutputPlace


def rows(n: int) -> Any:
    return np.arange(float(n))


def doubled(array: Any, by: int = 2) -> Any:
    return by * array


def last(array: Any) -> float:
    return float(array[-1])


def added(*values: Any) -> Any:
    return sum(values)


def text_of(path: str) -> str:
    return Path(path).read_text()


def home() -> str:
    return os.environ["HOME"]


def chain(n: int = 3, by: int = 2) -> Any:
    return delayed(last)(delayed(doubled)(delayed(rows)(n), by))


def on_cluster(*collections: Any, place: OutputPlace = "cluster") -> Merged:
    """What sharing makes of `Delayed` objects on a cluster."""
    tasks: dict[Any, Any] = {}
    for part in collections:
        tasks |= task_dict(part.__dask_graph__())
    return Merged(tasks, [], [part.key for part in collections], place)


def digests(*collections: Any) -> set[str]:
    """The keys that are digests."""
    merged = on_cluster(*collections)
    new = set(map(str, merged.tasks.keys() - merged.original.keys()))
    return {key for key in new if re.search("-[0-9a-f]{32}$", key)}


def test_equal_programs_have_equal_keys_with_the_name_of_the_function() -> None:
    assert digests(chain()) == digests(chain())
    assert {*map(key_split, digests(chain()))} == {"rows", "doubled", "last"}


def test_another_argument_anywhere_gives_each_task_another_key() -> None:
    """Each task may write into what it gets, and a consumer of a copy would see that."""
    assert digests(chain()).isdisjoint(digests(chain(by=3)))
    assert digests(chain()).isdisjoint(digests(delayed(doubled)(delayed(rows)(3), 2)))


def test_an_output_has_a_key_of_its_own() -> None:
    merged = [on_cluster(program) for program in (chain(), chain())]
    [one], [other] = ([key for key in part.tasks if key not in digests(chain())] for part in merged)
    assert one != other
    assert dask.get(merged[0].tasks, one) == 4.0
    assert len(merged[0].tasks) == len(digests(chain())) + 1


def test_outputs_of_one_program_are_one_task_and_several_copies() -> None:
    array = delayed(rows)(3), delayed(rows)(3)
    merged = on_cluster(*array)
    values = dask.get(merged.tasks, [merged.output_key(part.key) for part in array])
    assert values[0] is not values[1]
    assert len(merged.tasks) == 3


def test_outputs_that_are_sent_at_once_are_copied_only_where_they_are_equal() -> None:
    merged = on_cluster(chain(), place="sent")
    assert set(merged.tasks) == digests(chain())
    array = delayed(rows)(3), delayed(rows)(3)
    merged = on_cluster(*array, place="sent")
    assert len({merged.output_key(part.key) for part in array}) == 2


def test_many_outputs_keep_their_keys_if_they_would_be_copied() -> None:
    many = [delayed(rows)(n) for n in range(17)]
    assert len(digests(*many[:16])) == 16
    assert not digests(*many)
    assert len(on_cluster(*many, place="sent").tasks) == 17
    assert len(digests(*many[:16], delayed(last)(many[16]))) == 0


@pytest.mark.parametrize(
    "source",
    [delayed(text_of)(__file__), delayed(home)(), delayed(time.time)(), delayed(np.random.rand)()],
    ids=["file", "variable", "clock", "random"],
)
def test_tasks_that_depend_on_more_than_arguments_keep_their_keys(source: Any) -> None:
    assert not digests(delayed(added)(source, chain()))
    assert digests(source, chain()) == digests(chain())


def test_a_function_that_is_declared_pure_has_digests() -> None:
    @pure
    def read(path: str) -> str:
        return Path(path).read_text()

    assert digests(delayed(read)(__file__)) == digests(delayed(read)(__file__)) != set()


def test_several_consumers_of_a_value_must_be_known_not_to_write() -> None:
    """One that runs again, for another client, would find what the first has written."""
    array = delayed(rows)(3)
    assert not digests(delayed(added)(delayed(last)(array), delayed(doubled)(array)))
    read = delayed(added)(delayed(np.sum)(array), delayed(np.max)(array))
    assert len(digests(read)) == 4
    part = array[1:]  # which a consumer would write through
    assert not digests(delayed(added)(delayed(last)(part), delayed(np.sum)(array)))
    assert not digests(delayed(last)(array), array)


def test_consumers_of_copies_may_write() -> None:
    copies = delayed(added)(delayed(last)(delayed(rows)(3)), delayed(doubled)(delayed(rows)(3)))
    assert len(digests(copies)) == 4


def test_who_shares_an_object_is_part_of_the_key() -> None:
    one = delayed(rows)(3)
    apart = [delayed(np.sum)(delayed(rows)(3)), delayed(np.max)(delayed(rows)(3))]
    together = [delayed(np.sum)(one), delayed(np.max)(one)]
    assert digests(delayed(added)(*apart)).isdisjoint(digests(delayed(added)(*together)))


def test_what_was_shared_before_gets_keys_that_no_other_run_has() -> None:
    merged = on_cluster(chain())
    [output] = (key for key in merged.tasks if key not in digests(chain()))
    again = [Merged(merged.tasks, [], [output], place="cluster") for _ in range(2)]
    assert again[0].tasks.keys().isdisjoint({*merged.tasks, *again[1].tasks})
    assert dask.get(again[0].tasks, again[0].output_key(output)) == 4.0


def test_a_dict_keeps_its_keys() -> None:
    tasks = task_dict(chain().__dask_graph__())
    assert Merged(tasks, list(tasks), [], place="cluster").tasks.keys() == tasks.keys()


def test_keys_are_the_same_in_every_process() -> None:
    code = "from tests.share.test_digest_keys import *; print(sorted(digests(chain())))"
    printed = {
        subprocess.check_output(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, text=True
        )
        for seed in "12"
    }
    assert printed == {f"{sorted(digests(chain()))}\n"}

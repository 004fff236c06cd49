"""The package: built, installed in empty environments outside of the checkout, and typed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tomllib
import venv
from email import message_from_bytes
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from pipeline import Store
from tests.test_readme import README, blocks_of

ROOT = Path(__file__).parent.parent
PROGRAM = ROOT / "tests/user_program.py"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

PRINTED = """\
55 [0, 1, 4] 6 3.5 177
1 hit, 10 culled
1
backend='jax' needs the library jax: pip install 'dask-memo[jax]'
backend='torch' needs the library torch: pip install 'dask-memo[torch]'
s3://bucket/cache: Install s3fs to access S3
"""
"""What the program prints where no library is but those that the package needs."""

UNREAD = """
import warnings
from pipeline import Store, StoreWarning
warnings.simplefilter("error")
try:
    Store("frames").get("0" * 32)
except StoreWarning as warning:
    print(warning)
"""

SOME_TESTS = (
    "graph",
    "share/test_copying.py",
    "store/test_store.py",
    "store/formats/test_tables.py",
)
"""Tests of the sdist that run: of each kind, and some that need what is not installed."""

installs = pytest.mark.skipif(
    "PIPELINE_NEEDS_PACKAGE" not in os.environ,
    reason="it builds and installs packages: set PIPELINE_NEEDS_PACKAGE=1, as .ci/run does",
)


def printed(*command: str | Path, cwd: Path) -> str:
    """What a command prints. Fails with all of it if the command does."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel and the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    printed(sys.executable, "-m", "build", "--outdir", folder, ROOT, cwd=folder)
    [wheel], [sdist] = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, sdist


@pytest.fixture(scope="module")
def python(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python in an environment with the wheel, what it needs, and what any test needs."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    tests = PROJECT["optional-dependencies"]["test"]
    needed = [name for name in tests if name.startswith(("pytest", "hypothesis"))]
    printed(python, "-m", "pip", "install", "-q", built[0], *needed, cwd=folder)
    return python


@installs
@pytest.mark.slow
def test_the_wheel_has_every_file_of_the_package_and_less_than_a_megabyte(
    built: tuple[Path, Path],
) -> None:
    with ZipFile(built[0]) as wheel:
        names = {name for name in wheel.namelist() if name.startswith("pipeline/")}
    files = (path for path in (ROOT / "pipeline").rglob("*") if path.is_file())
    assert names == {path.relative_to(ROOT).as_posix() for path in files if path.suffix != ".pyc"}
    assert "pipeline/py.typed" in names
    assert built[0].stat().st_size < 1_000_000


@installs
@pytest.mark.slow
def test_the_metadata_says_what_the_project_file_says(built: tuple[Path, Path]) -> None:
    with ZipFile(built[0]) as wheel:
        [name] = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = message_from_bytes(wheel.read(name))
    assert metadata["Version"] == PROJECT["version"]
    assert metadata["License-Expression"] == PROJECT["license"]
    assert metadata.get_all("Classifier") == PROJECT["classifiers"]
    assert {*metadata.get_all("Provides-Extra", [])} == {*PROJECT["optional-dependencies"]}
    assert len(str(metadata["Summary"])) < 200


@installs
@pytest.mark.slow
def test_an_empty_environment_needs_the_wheel_alone(python: Path, tmp_path: Path) -> None:
    absent = (
        "from importlib.util import find_spec; print(find_spec('pandas'), find_spec('pyarrow'))"
    )
    assert printed(python, "-c", absent, cwd=tmp_path) == "None None\n"
    assert "177" in printed(python, "-m", "pipeline", "fib", "10", cwd=tmp_path)
    printed(python.parent / "pipeline", "run", cwd=tmp_path)
    assert (tmp_path / "outputs/report.html").stat().st_size > 10_000
    _, code, output = blocks_of(README)[0]
    assert printed(python, "-c", code, cwd=tmp_path) == output
    assert printed(python, PROGRAM, cwd=tmp_path) == PRINTED


@installs
@pytest.mark.slow
def test_a_stored_table_is_a_warning_where_pandas_is_missing(python: Path, tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    Store(tmp_path / "frames").put("0" * 32, pd.DataFrame({"a": [1]}))
    assert "No module named 'pandas'" in printed(python, "-c", UNREAD, cwd=tmp_path)
    assert len([*Store(tmp_path / "frames").digests()]) == 1


@installs
@pytest.mark.slow
def test_tests_of_the_sdist_pass_and_those_without_their_library_say_which(
    built: tuple[Path, Path], python: Path, tmp_path: Path
) -> None:
    archive: Any
    with tarfile.open(built[1]) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # not in Python 3.11.2
        archive.extractall(tmp_path)  # noqa: S202 - our own
    [folder] = tmp_path.iterdir()
    paths = [f"tests/{name}" for name in SOME_TESTS]
    text = printed(python, "-m", "pytest", "-q", "-rs", *paths, cwd=folder)
    assert " passed" in text
    assert "it needs pandas: pip install 'dask-memo[test]'" in text


@pytest.mark.slow
def test_a_users_program_is_typed(tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="the extra `dev` has mypy")
    program = tmp_path / PROGRAM.name
    program.write_bytes(PROGRAM.read_bytes())
    options = ("--strict", "--python-executable", sys.executable, "--cache-dir", tmp_path / "cache")
    text = printed(sys.executable, "-m", "mypy", *options, program, cwd=tmp_path)
    assert text.startswith("Success")


def test_the_oldest_python_and_all_later_ones_are_classifiers() -> None:
    start = "Programming Language :: Python :: 3."
    versions = [int(text.removeprefix(start)) for text in PROJECT["classifiers"] if start in text]
    assert PROJECT["requires-python"] == f">=3.{versions[0]}"
    assert versions == [*range(versions[0], versions[0] + len(versions))]
    assert sys.version_info.minor in versions


def test_the_workflow_runs_each_python() -> None:
    text = (ROOT / ".github/workflows/tests.yml").read_text(encoding="utf-8")
    names = [text.rpartition(" ")[2] for text in PROJECT["classifiers"] if ":: 3." in text]
    assert f"python: {json.dumps(names)}" in text


def test_each_extra_has_a_line_that_says_what_it_is_for() -> None:
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    for extra in PROJECT["optional-dependencies"]:
        [place] = (place for place, line in enumerate(lines) if line.startswith(f"{extra} = ["))
        assert lines[place - 1].startswith("# "), extra

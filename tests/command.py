"""The command line, run in this process and in others."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from pipeline.cli import main

if TYPE_CHECKING:
    from pathlib import Path


def run(*arguments: str, text: str = "", color: bool = False) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the command, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", list(sys.argv))
        patch.setattr(sys, "path", list(sys.path))
        done = CliRunner().invoke(
            main, arguments, input=text or None, color=color, prog_name="pipeline"
        )
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    return done.exit_code, done.stdout, done.stderr


def json_of(*arguments: str, code: int = 0) -> Any:
    """The document that a command prints with --json."""
    status, text, error = run(*arguments, "--json")
    assert (status, error) == (code, "")
    return json.loads(text)


def process(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Python in another process."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


def pipeline_process(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in another process, where a warning would show on stderr."""
    return process("-m", "pipeline", *arguments)


def loaded_and_computed(text: str) -> tuple[int, int]:
    """The tasks in the last line that a command with --store prints."""
    line = text.splitlines()[-1]
    match = re.fullmatch(r"cache: ([\d,]+) tasks? loaded, ([\d,]+) computed, .* saved", line)
    assert match, text
    loaded, computed = (int(number.replace(",", "")) for number in match.groups())
    return loaded, computed

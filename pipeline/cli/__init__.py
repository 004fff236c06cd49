"""The `pipeline` command: the only place that prints.

Each command has a file, which is imported when the command is used.

screen  – what commands print: text, tables, JSON, errors and progress bars
options – the options and types that commands share, and collections in scripts of users
run     – `pipeline run`: all pictures, the page and the measurements
fib     – `pipeline fib`: the naive recursion beside the DAG
mlp     – `pipeline mlp` and `pipeline train`: gradients of a network, and one that learns
report  – `pipeline report`: the page
gallery – `pipeline gallery`: textbook recursions
share   – `pipeline share`: what a Dask program computes twice
cache   – `pipeline cache`: the entries of a store
"""

from __future__ import annotations

import errno
import os
import platform
import re
import sys
from collections import UserDict
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import click

from pipeline import PipelineError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Listed(NamedTuple):
    """A command in the list of commands; to import its file would take a second.

    file: in this folder, where the command is defined
    """

    file: str
    example: str
    help: str


COMMANDS = {
    "run": Listed("run", "pipeline run", "the whole job, into the folder outputs"),
    "fib": Listed("fib", "pipeline fib 38 40 100 2000", "the naive recursion beside the DAG"),
    "mlp": Listed("mlp", "pipeline mlp 2-2-2-1 --formula", "the path sum beside backpropagation"),
    "report": Listed("report", "pipeline report", "one HTML page with all of it"),
    "gallery": Listed("gallery", "pipeline gallery", "other textbook recursions"),
    "train": Listed("mlp", "pipeline train", "a network that learns handwritten digits"),
    "share": Listed(
        "share", "pipeline share model.py:result", "what a Dask program computes twice"
    ),
    "cache": Listed("cache", "pipeline cache ls", "results in a store: list, explain, remove"),
}


class _Imported(UserDict[str, click.Command]):
    """The commands by name, imported when they are used."""

    def __getitem__(self, name: str) -> click.Command:
        if name in COMMANDS and name not in self.data:
            self.data[name] = getattr(import_module(f"{__name__}.{COMMANDS[name].file}"), name)
        return self.data[name]

    def __contains__(self, name: object) -> bool:
        return name in COMMANDS

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class _Commands(click.Group):
    """Commands that are imported when they are used, and whose expected errors are one line."""

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        with _errors_as_lines():
            code = super().main(*args, **{**kwargs, "standalone_mode": False})
            if sys.stdout is not None:
                sys.stdout.flush()  # Python flushes too late to report what fails
        sys.exit(code or 0)

    def invoke(self, ctx: click.Context) -> Any:
        # Here, too: click would print an empty line for an interrupt or a broken pipe.
        with _errors_as_lines(ctx):
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List an example of each command."""
        with formatter.section("Commands"):
            formatter.write_dl([(listed.example, listed.help) for listed in COMMANDS.values()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Complete names of commands without importing them."""
        from click.shell_completion import CompletionItem

        names = [name for name in COMMANDS if name.startswith(incomplete)]
        items = [CompletionItem(name, help=COMMANDS[name].help) for name in names]
        return items or click.Command.shell_complete(self, ctx, incomplete)


@contextmanager
def _errors_as_lines(context: click.Context | None = None) -> Iterator[None]:
    """Report an expected error in one line, and exit with its code.

    context: of the group whose command runs
    """
    try:
        yield
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(0)
    except click.ClickException as error:
        _fail(_with_remedy(error, context), error.exit_code)
    except PipelineError as error:
        from pipeline import GraphError, LimitError

        _fail(str(error), 1 if isinstance(error, GraphError | LimitError) else 2)
    except BrokenPipeError:  # as in `pipeline fib 6 | head -1`
        _abandon_stdout()
        sys.exit(141)
    except OSError as error:
        if error.filename is None:
            _abandon_stdout()
        _fail(_described(error), 1)
    except (KeyboardInterrupt, click.Abort):
        if sys.stderr is not None and sys.stderr.isatty():
            click.echo(err=True)  # ends the line of the terminal's ^C
        _fail("interrupted", 130)


def _fail(message: str, code: int) -> NoReturn:
    from pipeline.cli.screen import fail

    fail(message, code)


def _abandon_stdout() -> None:
    """Send what stdout could not take nowhere: Python would write it again as it exits."""
    with suppress(OSError, ValueError):  # a stream that is no file, or is closed
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


_WITHOUT_REMEDY = re.compile(
    r"^(Missing |No such |Got unexpected |Option )|is not (a valid|in the) "
)
"""Messages of click that say what is wrong, and not what to do."""


def _with_remedy(error: click.ClickException, context: click.Context | None) -> str:
    message = error.format_message()
    if not _WITHOUT_REMEDY.search(message):
        return message
    path = f"pipeline {context.invoked_subcommand}" if context else "pipeline"
    if (inner := getattr(error, "ctx", None)) is not None:
        path = inner.command_path
    return f"{message.rstrip('.')}{' See' if message.endswith('?') else '; see'} {path} --help"


_REMEDIES = {
    errno.ENOENT: "check the path",
    errno.EACCES: "choose another place, or change its permissions",
    errno.EPERM: "choose another place, or change its permissions",
    errno.EROFS: "choose another place",
    errno.ENOSPC: "free some space, or choose another place",
    errno.EISDIR: "give the name of a file",
    errno.ENOTDIR: "give another place",
    errno.EEXIST: "give another place",
}


def _described(error: OSError) -> str:
    """Place, rule and remedy of an error of the system."""
    parts = [error.filename, error.strerror or error]
    remedy = _REMEDIES.get(error.errno or 0)
    return ": ".join(str(part) for part in parts if part) + (f"; {remedy}" if remedy else "")


def _print_version(context: click.Context, _: Any, is_requested: bool) -> None:
    if is_requested:
        from importlib.metadata import version

        python, dask = platform.python_version(), version("dask")
        click.echo(f"pipeline, version {version('dask-memo')} (Python {python}, Dask {dask})")
        context.exit()


@click.group(
    cls=_Commands,
    commands=_Imported(),
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 failed, 2 usage error, 130 interrupted, 141 broken pipe."
    '\n\nCompletion in bash: eval "$(_PIPELINE_COMPLETE=bash_source pipeline)"',
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False,
              callback=_print_version, help="Show the version and exit.")  # fmt: skip
def main() -> None:
    """Explicit memoization on Dask task graphs."""

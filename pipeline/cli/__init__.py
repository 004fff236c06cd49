"""The `pipeline` command: the only place that prints.

Each command has a file, which is imported when the command is used.

- `screen` – what commands print: text, tables, JSON, errors and progress bars
- `options` – the options and types that commands share, and collections in scripts of users
- `run` – `pipeline run`: all pictures, the page and the measurements
- `fib` – `pipeline fib`: the naive recursion beside the DAG
- `mlp` – `pipeline mlp` and `pipeline train`: gradients of a network, and one that learns
- `report` – `pipeline report`: the page
- `gallery` – `pipeline gallery`: textbook recursions
- `share` – `pipeline share`: what a Dask program computes twice
- `cache` – `pipeline cache`: the entries of a store
"""

from __future__ import annotations

import errno
import os
import platform
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any, NoReturn

import click

from pipeline import PipelineError

COMMANDS = {
    "run": ("pipeline run", "the whole job, into the folder outputs"),
    "fib": ("pipeline fib 38 40 100 2000", "the naive recursion beside the DAG"),
    "mlp": ("pipeline mlp 2-2-2-1 --formula", "the path sum beside backpropagation"),
    "report": ("pipeline report", "one HTML page with all of it"),
    "gallery": ("pipeline gallery", "other textbook recursions"),
    "train": ("pipeline train", "a network that learns handwritten digits"),
    "share": ("pipeline share model.py:result", "what a Dask program computes twice"),
    "cache": ("pipeline cache ls", "results in a store: list, explain, remove"),
}
"""An example of each command and its help: to import the commands would take a second."""


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

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        file = "mlp" if name == "train" else name
        command: click.Command = getattr(import_module(f"{__name__}.{file}"), name)
        return command

    def format_commands(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        """List an example of each command."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.values()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Complete names of commands without importing them."""
        from click.shell_completion import CompletionItem

        items = [CompletionItem(name, help=text) for name, (_, text) in COMMANDS.items()
                 if name.startswith(incomplete)]  # fmt: skip
        return items or click.Command.shell_complete(self, ctx, incomplete)


@contextmanager
def _errors_as_lines(context: click.Context | None = None) -> Iterator[None]:
    """Report an expected error in one line, and exit with its code.

    context: of the group whose command runs
    """
    try:
        yield
        return
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(0)
    except click.ClickException as error:
        message, code = _with_remedy(error, context), error.exit_code
    except PipelineError as error:
        from pipeline import GraphError, LimitError

        message, code = str(error), 1 if isinstance(error, GraphError | LimitError) else 2
    except BrokenPipeError:  # as in `pipeline fib 6 | head -1`
        _abandon_stdout()
        sys.exit(141)
    except OSError as error:
        if error.filename is None:
            _abandon_stdout()
        message, code = _described(error), 1
    except (KeyboardInterrupt, click.Abort):
        if sys.stderr is not None and sys.stderr.isatty():
            click.echo(err=True)  # ends the line of the terminal's ^C
        message, code = "interrupted", 130
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
    "check the path": (errno.ENOENT,),
    "choose another place, or change its permissions": (errno.EACCES, errno.EPERM),
    "choose another place": (errno.EROFS,),
    "free some space, or choose another place": (errno.ENOSPC,),
    "give the name of a file": (errno.EISDIR,),
    "give another place": (errno.ENOTDIR, errno.EEXIST),
}


def _described(error: OSError) -> str:
    """Place, rule and remedy of an error of the system."""
    place = f"{error.filename}: " if error.filename else ""
    remedy = next((f"; {text}" for text, codes in _REMEDIES.items() if error.errno in codes), "")
    return f"{place}{error.strerror or error}{remedy}"


def _print_version(context: click.Context, _: Any, is_requested: bool) -> None:
    if is_requested:
        from importlib.metadata import version

        python, dask = platform.python_version(), version("dask")
        click.echo(f"pipeline, version {version('dask-memo')} (Python {python}, Dask {dask})")
        context.exit()


@click.group(
    cls=_Commands,
    commands=dict.fromkeys(COMMANDS),  # click corrects mistyped names by them
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 failed, 2 usage error, 130 interrupted, 141 broken pipe."
    '\n\nCompletion in bash: eval "$(_PIPELINE_COMPLETE=bash_source pipeline)"',
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False,
              callback=_print_version, help="Show the version and exit.")  # fmt: skip
def main() -> None:
    """Explicit memoization on Dask task graphs."""

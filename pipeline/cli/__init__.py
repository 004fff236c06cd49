"""The `pipeline` command: the only files that print."""

from __future__ import annotations

import errno
import os
import platform
import re
import sys
from contextlib import suppress
from importlib.metadata import version
from typing import Any, NoReturn

import click

from pipeline import GraphError, LimitError, SchedulerError, StoreError
from pipeline.apps.mlp import NetworkError
from pipeline.cli.cache import cache
from pipeline.cli.fib import fib
from pipeline.cli.gallery import gallery
from pipeline.cli.mlp import mlp
from pipeline.cli.report import report
from pipeline.cli.run import run
from pipeline.cli.screen import fail, is_watched, say, warnings_in_lines
from pipeline.cli.share import share
from pipeline.cli.train import train


def _leave_stdout() -> None:
    """Have what stdout could not take go nowhere, where Python would try it again at the end."""
    with suppress(OSError, ValueError):  # of streams that are no files, or are closed
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


_HELPLESS = re.compile(r"^(Missing |No such |Got unexpected |Option )|is not (a valid|in the) ")
"""Click's own messages, that say what is wrong, and not what to do."""

_REMEDIES = {
    errno.ENOENT: "check the path",
    errno.EACCES: "choose another place, or change its permissions",
    errno.EPERM: "choose another place, or change its permissions",
    errno.EROFS: "choose another place",
    errno.ENOSPC: "make room, or choose another place",
    errno.EISDIR: "give the name of a file",
    errno.ENOTDIR: "give another place",
    errno.EEXIST: "give another place",
}


class _Commands(click.Group):
    """Commands whose expected errors are one line each, listed by an example of each."""

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        try:
            kwargs["standalone_mode"] = False
            with warnings_in_lines():
                code = super().main(*args, **kwargs) or 0
            if sys.stdout is not None:
                sys.stdout.flush()  # Python itself would do it too late to tell what is wrong
            sys.exit(code)
        except click.exceptions.NoArgsIsHelpError as error:
            say(error.format_message())
            sys.exit(0)
        except click.ClickException as error:
            fail(_with_remedy(error), error.exit_code)
        except (SchedulerError, NetworkError, StoreError) as error:
            fail(str(error), 2)
        except (LimitError, GraphError) as error:
            fail(str(error), 1)
        except BrokenPipeError:  # `| head` has read enough
            _leave_stdout()
            sys.exit(141)
        except OSError as error:
            if error.filename is None:
                _leave_stdout()
            fail(_placed(error), 1)
        except click.Abort:
            fail("interrupted", 130)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # `| head` has read enough; click would call that an error
            _leave_stdout()
            sys.exit(141)
        except click.UsageError as error:
            if error.ctx is None and (command := self.commands.get(ctx.invoked_subcommand or "")):
                error.ctx = click.Context(command, ctx, command.name)
            raise
        except KeyboardInterrupt:  # before click sees it, which says an empty line
            if is_watched():  # after the terminal's ^C
                say(is_error=True)
            fail("interrupted", 130)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Not the names alone: what can be typed says more in the same room."""
        commands = [self.commands[name] for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(_example(each), each.get_short_help_str(80)) for each in commands])


def _example(command: click.Command) -> str:
    """The first example of a command's help, without what is said of it."""
    lines = map(str.strip, (command.help or "").splitlines())
    name = f"pipeline {command.name}"
    return next((line for line in lines if line.startswith(name)), name).partition("  ")[0]


def _with_remedy(error: click.ClickException) -> str:
    told = error.format_message()
    if not _HELPLESS.search(told):
        return told
    context = getattr(error, "ctx", None)
    link = " See" if told.endswith("?") else "; see"
    return f"{told.rstrip('.')}{link} {context.command_path if context else 'pipeline'} --help"


def _placed(error: OSError) -> str:
    """What is wrong, where, and what to do."""
    told = error.strerror or str(error)
    place = f"{error.filename}: " if error.filename else ""
    remedy = _REMEDIES.get(error.errno or 0)
    return f"{place}{told}; {remedy}" if remedy else f"{place}{told}"


@click.group(
    cls=_Commands,
    no_args_is_help=False,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 could not be done, 2 asked wrongly, 130 interrupted,"
    " 141 `| head`."
    '\n\nCompletion in bash: eval "$(_PIPELINE_COMPLETE=bash_source pipeline)"',
)
@click.pass_context
@click.version_option(
    version("dask-memo"),
    prog_name="pipeline",
    message=f"%(prog)s, version %(version)s (Python {platform.python_version()}, "
    f"Dask {version('dask')})",
)
def main(context: click.Context) -> None:
    """Explicit memoization on Dask task graphs."""
    if context.invoked_subcommand is None:
        say(context.get_help())


for _command in (run, fib, mlp, report, gallery, train, share, cache):
    main.add_command(_command)

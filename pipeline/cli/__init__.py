"""The `pipeline` command: the only files that print."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from typing import Any, NoReturn

import click

from pipeline import GraphError, LimitError, SchedulerError, StoreError
from pipeline.apps.mlp import NetworkError
from pipeline.cli.cache import cache
from pipeline.cli.fib import fib
from pipeline.cli.mlp import mlp
from pipeline.cli.run import run
from pipeline.cli.screen import fail, warnings_in_lines
from pipeline.cli.share import share
from pipeline.cli.train import train


class _Commands(click.Group):
    """Commands whose expected errors are one line each."""

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        try:
            kwargs["standalone_mode"] = False
            with warnings_in_lines():
                sys.exit(super().main(*args, **kwargs) or 0)
        except click.ClickException as error:
            fail(error.format_message(), error.exit_code)
        except (SchedulerError, NetworkError, StoreError) as error:
            fail(str(error), 2)
        except (LimitError, GraphError) as error:
            fail(str(error), 1)
        except BrokenPipeError:  # `| head` has read enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(141)
        except OSError as error:
            place = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            fail(place, 1)
        except (click.Abort, KeyboardInterrupt):
            fail("interrupted", 130)


@click.group(
    cls=_Commands,
    no_args_is_help=False,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.pass_context
@click.version_option(version("dask-memo"), prog_name="pipeline")
def main(context: click.Context) -> None:
    """Explicit memoization on Dask task graphs.

    \b
    pipeline run             the whole job, into the folder outputs
    pipeline fib 38 40 100   Fibonacci: the naive recursion beside the DAG
    pipeline mlp 2-2-2-1     gradients: the path sum beside backpropagation
    pipeline train           a network that learns handwritten digits
    pipeline share x.py:y    what a Dask program of yours computes twice
    pipeline cache ls        results that are stored, by --store of the others
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for _command in (run, fib, mlp, train, share, cache):
    main.add_command(_command)

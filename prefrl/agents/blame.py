"""Find out which environment of a vector raised, and say so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prefrl.errors import EnvironmentFailed, UserError


@contextmanager
def blamed(doing: str) -> Iterator[None]:
    """Whatever an environment raises in here, SystemExit too, comes out as EnvironmentFailed with its index."""
    try:
        yield
    except BaseException as error:
        blame(error, doing)
        raise


def blame(error: BaseException, doing: str) -> None:
    """Raise EnvironmentFailed for what an environment raised; do nothing for Ctrl-C and errors that say enough."""
    if isinstance(error, Exception | SystemExit) and not isinstance(error, UserError):
        who = failed_environment(error)
        raise EnvironmentFailed(f"environment {who} raised {type(error).__name__} {doing}: {error}") from error


def failed_environment(error: BaseException) -> str:
    """The index that DummyVecEnv was stepping, read from the traceback; '?' where there is none (other processes)."""
    trace = error.__traceback__
    while trace is not None:
        if "env_idx" in trace.tb_frame.f_locals:
            return str(trace.tb_frame.f_locals["env_idx"])
        trace = trace.tb_next
    return "?"

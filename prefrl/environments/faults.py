"""Name the environment of a vector that raised, hung, or returned NaN."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from prefrl.core.errors import EnvironmentFailed, NonFiniteError, UserError

HUGE_REWARD = 1e6  # rewards beyond this are overflows or bugs, and would drown every other label


@contextmanager
def environment_errors(doing: str) -> Iterator[None]:
    """Whatever an environment raises in here, SystemExit too, comes out as EnvironmentFailed with its index."""
    try:
        yield
    except BaseException as error:
        raise_environment_failed(error, doing)
        raise


def raise_environment_failed(error: BaseException, doing: str) -> None:
    """Raise EnvironmentFailed for what an environment raised; do nothing for Ctrl-C and errors that say enough."""
    if isinstance(error, Exception | SystemExit) and not isinstance(error, UserError):
        place = failed_environment(error)
        raise EnvironmentFailed(f"environment {place} raised {type(error).__name__} {doing}: {error}") from error


def failed_environment(error: BaseException) -> str:
    """The index that DummyVecEnv was stepping, read from the traceback; '?' where there is none (other processes)."""
    trace = error.__traceback__
    while trace is not None:
        if "env_idx" in trace.tb_frame.f_locals:
            return str(trace.tb_frame.f_locals["env_idx"])
        trace = trace.tb_next
    return "?"


class Waiting(Protocol):
    """The part of the recorder that the watchdog uses."""

    waiting_since: float | None

    @property
    def steps(self) -> int: ...


class EnvironmentCall:
    """Context of a call to the environments: sets the time for the watchdog, and names the environment that raised."""

    def __init__(self, waiting: Waiting, doing: str):
        self.waiting, self.doing = waiting, doing

    def __enter__(self) -> None:
        self.waiting.waiting_since = time.monotonic()

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self.waiting.waiting_since = None
        if error is not None:
            done = self.waiting.steps
            raise_environment_failed(error, self.doing.format(done=done, next=done + 1))


def require_finite(values: np.ndarray, what: str, step: int, env: int | None = None) -> None:
    """Raise NonFiniteError for NaN, infinity and huge rewards. values: (n_envs, ...), or those of one environment alone"""
    if values.dtype.kind != "f":
        return
    huge = HUGE_REWARD if what == "reward" else np.inf
    if np.isfinite(values).all() and np.abs(values).max() <= huge:
        return
    if env is None:
        good = np.isfinite(values) & (np.abs(values) <= huge)
        env = int(np.argmin(good.reshape(len(values), -1).all(1)))
        values = values[env]
    raise NonFiniteError(
        f"environment {env} gave the {what} {values} in step {step};"
        f" expected finite numbers (rewards below {HUGE_REWARD:g}). Nothing of this step was learned from"
    )

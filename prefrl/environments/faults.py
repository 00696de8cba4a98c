"""Name the environment of a vector that raised, or returned NaN."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from traceback import walk_tb

import numpy as np

from prefrl.core.errors import EnvironmentFailed, NonFiniteError, UserError

HUGE_REWARD = 1e6  # rewards beyond this are overflows or bugs, and would drown every other label


@contextmanager
def environment_errors(doing: str) -> Iterator[None]:
    """Whatever an environment raises in here, SystemExit too, becomes EnvironmentFailed with its index."""
    try:
        yield
    except UserError:  # says enough
        raise
    except (Exception, SystemExit) as error:
        place = failed_environment(error)
        raise EnvironmentFailed(f"environment {place} raised {type(error).__name__} {doing}: {error}") from error


def failed_environment(error: BaseException) -> str:
    """The index that DummyVecEnv was stepping, read from the traceback; '?' where there is none (other processes)."""
    frames = (frame for frame, _ in walk_tb(error.__traceback__))
    return next((str(frame.f_locals["env_idx"]) for frame in frames if "env_idx" in frame.f_locals), "?")


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

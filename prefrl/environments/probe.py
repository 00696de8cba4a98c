"""A short probe before a run: how fast the environment is, how its episodes end, and whether segments can be told apart."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass

import numpy as np

from prefrl.core.errors import UserError
from prefrl.environments.making import MakeEnv
from prefrl.environments.recorder import Recorder
from prefrl.environments.vector import make_venv

STEPS = 1500


@dataclass(frozen=True)
class Probe:
    """Statistics of a random policy's episodes."""

    seconds_per_step: float
    episode_lengths: list[int]  # finished ones; the last, unfinished one is among them if it is the longest
    terminated: float  # share of finished episodes that ended by termination, not by a time limit
    tied: float  # share of pairs of segments whose true returns are equal
    random_return: float  # mean true return of finished episodes; NaN if none finished


def probe(make_env: MakeEnv, length: int, seed: int, timeout: float = 60.0) -> Probe:
    """Act at random for a while. Raises UserError if segments of `length` steps fit into less than half of what it sees."""
    recorder = Recorder(make_venv(make_env, 1), STEPS)
    started = time.perf_counter()
    with recorder.watched(timeout):
        terminations = _act_at_random(recorder, seed)
    seconds = (time.perf_counter() - started) / STEPS
    recorder.close()
    memory = recorder.memory
    memory.settle()
    rewards = memory.true_rewards[:, 0].astype(float)
    bounds = [0, *(np.flatnonzero(memory.dones[:, 0]) + 1).tolist()]  # where episodes begin; the last may go on
    lengths = np.diff(bounds).tolist()
    returns = [rewards[first:end].sum() for first, end in zip(bounds, bounds[1:], strict=False)]
    terminated = terminations / max(1, len(lengths))
    if STEPS - bounds[-1] > max(lengths, default=0):
        lengths.append(STEPS - bounds[-1])
    usable = sum(n // length * length for n in lengths) / max(1, sum(lengths))
    _check_length(length, usable, lengths)
    random_return = float(np.mean(returns)) if returns else float("nan")
    return Probe(seconds, lengths, terminated, _tied(rewards, bounds, length), random_return)


def _act_at_random(recorder: Recorder, seed: int) -> int:
    """Take STEPS steps. Returns how many episodes ended by termination, not by a time limit."""
    terminations = 0
    recorder.action_space.seed(seed)
    recorder.seed(seed)
    recorder.reset()
    for _ in range(STEPS):
        _, _, dones, infos = recorder.step(np.array([recorder.action_space.sample()]))
        if "episode" in infos[0] and not dones[0]:
            raise UserError(
                "the environment's info has an 'episode' in the middle of one, where Stable-Baselines3 looks for finished"
                " ones; rename it"
            )
        terminations += bool(dones[0]) and not infos[0].get("TimeLimit.truncated", False)
    return terminations


def _check_length(length: int, usable: float, lengths: list[int]) -> None:
    if usable >= 0.5:
        return
    fits = [n for n in range(1, max(lengths) + 1) if sum(k // n * n for k in lengths) >= 0.5 * sum(lengths)]
    raise UserError(
        f"questions.length={length}: only {usable:.0%} of a random policy's steps lie in whole segments of this length"
        f" (its episodes have {min(lengths)} to {max(lengths)} steps), so the worst behaviour would never be asked about;"
        f" set --questions.length to {max(fits)} or less, or use one of our tasks of fixed length (prefrl list)"
    )


def _tied(rewards: np.ndarray, starts: list[int], length: int) -> float:
    returns = [
        rewards[at : at + length].sum()
        for first, end in zip(starts, [*starts[1:], len(rewards)], strict=True)
        for at in range(first, end - length + 1, length)
    ]
    gaps = np.abs(np.subtract.outer(returns, returns))[np.triu_indices(len(returns), 1)]
    return float((gaps < 1e-9).mean()) if len(gaps) else float("nan")


def warn_of_leaks(
    env_id: str, equivalent: dict[str, str], probed: Probe, endless: bool = False, oracle: bool = True
) -> None:
    """Warn where an episode's end, or a constant reward, gives the answer away. oracle: the true reward answers."""
    instead = f" Use {equivalent[env_id]} for evidence." if env_id in equivalent else ""
    if oracle and probed.tied > 0.5:
        warnings.warn(
            f"{env_id}: {probed.tied:.0%} of segment pairs tie under the true reward; an oracle has little to say.{instead}",
            stacklevel=2,
        )
    if probed.terminated > 0 and not endless:
        warnings.warn(
            f"{env_id}: {probed.terminated:.0%} of episodes end by termination, which tells the agent what the reward"
            f" should; a constant reward may solve it. Run --preset constant beside it, or hide ends with --agent.endless.{instead}",
            stacklevel=2,
        )

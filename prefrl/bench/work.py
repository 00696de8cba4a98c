"""What a worker does: one run from its configuration to its figures, or the floor of an environment."""

from __future__ import annotations

import math
import shutil
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import gymnasium
import numpy as np
from stable_baselines3.common.type_aliases import PolicyPredictor

from prefrl.bench.cache import Job, Result, versions
from prefrl.core.errors import NonFiniteError, UserError
from prefrl.environments.making import env_maker
from prefrl.evaluation.returns import random_returns, true_returns
from prefrl.runs.build import make_run, prepare_run
from prefrl.runs.folder import cleared_if_refused, describe, locked, machine
from prefrl.runs.metrics import read_metrics
from prefrl.runs.own import Own
from prefrl.runs.plots import series
from prefrl.runs.run import Run

POINTS = 20  # of a learning curve that are kept


def do(job: Job, folder: Path) -> Result:
    """The result of a job, as JSON, with the versions that made it and its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        result = TASKS[job.task](job, folder)
    messages = sorted({str(one.message) for one in caught if one.category is UserWarning})
    return result | {"warnings": messages, "made": versions() | {"machine": machine()["machine"]}}


def run(job: Job, folder: Path) -> Result:
    """True returns of the final policy, never the best, and what it cost. Goes on where `folder` holds a checkpoint."""
    config = job.config
    began, cpu = time.perf_counter(), time.process_time()
    with locked(folder):
        one, step = _opened(job, folder)
        prepare_run(one)
        one.learn()
        seconds = time.process_time() - cpu
        fit = one.log.last_fit
        return {
            "env": config.env, "seed": config.seed, "source": config.reward.source, "budget": config.questions.budget,
            "asked": one.asker.asked, "true_return": _returns(one.agent, job),
            "cpu_seconds": round(seconds, 2) if not step else None,  # what a killed worker spent is not known
            "wall_seconds": round(time.perf_counter() - began, 2),
            "fit_cpu_seconds": round(one.reward_model.cpu_seconds, 2),
            "reward_model": {k: round(v, 4) if math.isfinite(v) else None for k, v in fit.metrics.items()} if fit else {},
            "curve": _curve(folder),
        }  # fmt: skip


def _opened(job: Job, folder: Path) -> tuple[Run, int]:
    """The run at its last checkpoint, and the step of it; from its beginning if there is none that can be read."""
    if (folder / "checkpoints").exists():
        one = None
        try:
            one = make_run(folder, job.config, Own(), quiet=True)
            if step := one.restore():
                one.require_labels()
                return one, step
        except UserError as fault:
            warnings.warn(f"began anew: {fault}", stacklevel=2)
        if one:
            one.close()
    for path in folder.iterdir():
        if path.name not in (".lock", ".pid"):  # they are ours
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    with cleared_if_refused(folder):
        describe(folder, job.config, "bench", {})
        return make_run(folder, job.config, Own(), quiet=True), 0


def _returns(policy: PolicyPredictor, job: Job) -> dict[str, float]:
    ways = {"deterministic": True, "stochastic": False}
    make_env, episodes = env_maker(job.config.env, pixels=job.config.pixels), _episodes(job)
    return {name: _finite(true_returns(policy, make_env, episodes, way).mean, job) for name, way in ways.items()}


def _finite(earned: float, job: Job) -> float:
    """Raise NonFiniteError for what no score can be made of."""
    if not math.isfinite(earned):
        raise NonFiniteError(f"{job.config.env} gave a true return of {earned}; mend the environment's reward")
    return earned


def _episodes(job: Job) -> int:
    return max(1, job.evaluation // (gymnasium.spec(job.config.env).max_episode_steps or 1000))


def _curve(folder: Path) -> list[list[float]]:
    """[step, true return of the last 100 training episodes] at POINTS places of the run."""
    steps, values = series(read_metrics(folder / "metrics.csv"), "rollout/ep_rew_mean")
    if not len(steps):
        return []
    kept = np.unique(np.linspace(0, len(steps) - 1, POINTS).astype(int))
    return [[int(steps[at]), round(float(values[at]), 4)] for at in kept]


def floor(job: Job, folder: Path) -> Result:
    """What a policy earns that acts at random."""
    make_env = env_maker(job.config.env, pixels=job.config.pixels)
    found = random_returns(make_env, max(_episodes(job), job.evaluation // 200))
    return {"env": job.config.env, "mean": _finite(found.mean, job), "std": found.std, "episodes": len(found.episodes)}


TASKS: dict[str, Callable[[Job, Path], Result]] = {"run": run, "floor": floor}

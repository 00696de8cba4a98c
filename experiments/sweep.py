"""Many runs on all cores, each done once: a finished run is found again by the hash of its configuration."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from pathlib import Path
from typing import Any

import gymnasium
from tqdm import tqdm

import envs
import prefrl
from prefrl.config import Config, as_dict
from prefrl.errors import UserError

STEPS = 20_000  # of evaluation: the same whole episodes for every run of an environment


def key(config: Config) -> str:
    """The name of a configuration's result: of the settings, the evaluation and the code that made it."""
    told = json.dumps([as_dict(config), STEPS, code()], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


@cache
def code() -> str:
    """A digest of the source of prefrl and envs."""
    digest = hashlib.sha256()
    for package in (prefrl, envs):
        for path in sorted(Path(str(package.__file__)).parent.rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def run(config: Config) -> dict[str, Any]:
    """One run without its folder: true returns of the final policy, and what it cost."""
    import time

    from prefrl.agents.environments import env_maker
    from prefrl.build import Own
    from prefrl.evaluation.returns import Seeing, true_returns
    from prefrl.run import Run

    started = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        one = Run(Path(folder), config, Own(), quiet=True)
        one.learn()
        seconds = time.process_time() - started
        make_env = env_maker(config.env)
        episodes = STEPS // (gymnasium.spec(config.env).max_episode_steps or 1000)
        returns = {
            name: true_returns(Seeing(one.model), make_env, episodes, deterministic).mean
            for name, deterministic in (("deterministic", True), ("stochastic", False))
        }
        fit = one.log.last_fit
        return {
            "env": config.env, "seed": config.seed, "source": config.reward.source, "budget": config.questions.budget,
            "asked": one.asker.asked, "true_return": returns, "cpu_seconds": round(seconds, 2),
            "fit_cpu_seconds": round(one.reward_model.cpu_seconds, 2),
            "reward_model": {k: round(v, 4) for k, v in fit.metrics.items()} if fit else {},
        }  # fmt: skip


def sweep(configs: Sequence[Config], folder: Path, workers: int | None = None) -> list[dict[str, Any]]:
    """Results in the order of `configs`. Interrupt it at any time: what is finished is kept in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{key(config)}.json" for config in configs]
    todo = {file: config for file, config in zip(files, configs, strict=True) if not file.exists()}
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "stable_baselines3", "prefrl.run"])
    with ProcessPoolExecutor(workers or os.cpu_count(), context) as pool:
        jobs = {pool.submit(run, config): file for file, config in todo.items()}
        failed = []
        for job in tqdm(as_completed(jobs), total=len(jobs), unit="run", disable=not jobs):
            if (fault := job.exception()) is not None:
                failed.append((todo[jobs[job]], fault))
                continue
            whole = jobs[job].with_suffix(".tmp")
            whole.write_text(json.dumps(job.result(), indent=1))
            whole.replace(jobs[job])
    if failed:
        config, fault = failed[0]
        raise UserError(
            f"{len(failed)} of {len(jobs)} runs failed, the others are kept; the first: {config.env}, seed {config.seed}: {fault}"
        ) from fault
    return [json.loads(file.read_text()) for file in files]

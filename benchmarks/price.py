"""The price of preferences: CPU time of whole runs over plain SB3 PPO on the true reward.

    python -m benchmarks.price                              Pendulum, three seeds: about five minutes
    python -m benchmarks.price --cases acrobot n_envs-64    other cases, --cases all for every one
    python -m benchmarks.price --fast off                   with SB3's own rollouts and updates, torch's fits

Every figure is of a whole process, with imports, probe, start, learning, evaluation and its files, taken in turns: plain, then
each arm, seed by seed. Plain is SB3's PPO as fast as it comes: with fused Adam, the same settings, and the same number of
evaluation episodes. Setting: 700 questions of 50 steps to a perfect oracle, an ensemble of three 64-64 MLPs, 100,000 steps,
unless the case says otherwise. A loaded machine raises all figures, and the ratios somewhat; not so the last row, everything
over rollouts and updates of the agent alone, in the same process.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.table import Row, show

Function = Callable[..., Any]

ENV = "Pendulum-v1"
SETTING: dict[str, object] = {
    "steps": 100_000,
    "questions.budget": 700,
    "questions.length": 50,
    "agent.batch_size": 256,
}
ARMS = ("uniform", "disagreement")
CASES: dict[str, dict[str, object]] = {
    "pendulum": {},
    "acrobot": {"env": "prefrl/Acrobot-v0"},
    "halfcheetah": {"env": "prefrl/HalfCheetah-v0"},
    **{f"n_envs-{n}": {"agent.n_envs": n, "agent.n_steps": 2048 // n} for n in (1, 32, 64)},
    **{f"members-{n}": {"reward.members": n} for n in (1, 10)},
    **{f"segments-{n}": {"questions.length": n} for n in (25, 100)},
    **{f"steps-{n}k": {"steps": 1000 * n} for n in (50, 200, 400)},
}
"""Name -> settings that differ from SETTING."""


class Measured(NamedTuple):
    cpu: float  # seconds of the whole process and its children
    fits: float  # of them in fits of the reward model
    agent: float  # of them in the agent's rollouts, environments included, and updates
    value: float  # mean true return at the end


def measured(arm: str, settings: dict[str, object]) -> Measured:
    """One run in a process of its own. arm: plain, or a query strategy"""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    code = [sys.executable, "-m", "benchmarks.price", "--run", arm, json.dumps(settings)]
    printed = subprocess.run(code, check=True, stdout=subprocess.PIPE, text=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Measured(cpu, **json.loads(printed.splitlines()[-1]))


def plain(settings: dict[str, object]) -> dict[str, float]:
    """SB3 alone, on the true reward, with the agent's settings of a run."""
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.evaluation import evaluate_policy

    import envs  # noqa: F401
    from prefrl.config.methods import preset
    from prefrl.config.settings import OnPolicyConfig
    from prefrl.config.values import update

    torch.set_num_threads(1)
    env = str(settings["env"])
    config = update(preset("christiano", env), settings)
    s = config.agent
    assert isinstance(s, OnPolicyConfig)
    model = PPO(
        "MlpPolicy", make_vec_env(env, s.n_envs), learning_rate=s.learning_rate, n_steps=s.n_steps, n_epochs=s.n_epochs,
        batch_size=s.batch_size, gamma=s.gamma, gae_lambda=s.gae_lambda, seed=config.seed, device="cpu",
        policy_kwargs={"net_arch": list(s.hidden), "optimizer_kwargs": {"fused": True}},
    )  # fmt: skip
    model.learn(config.steps)
    value, _ = evaluate_policy(model, make_vec_env(env, 1), config.record.evaluation_episodes)
    return {"fits": 0.0, "agent": 0.0, "value": float(value)}  # type: ignore[arg-type]


def preferences(strategy: str, settings: dict[str, object]) -> dict[str, float]:
    """The same agent taught by preferences, as `prefrl train` does it."""
    import prefrl
    from prefrl.agents import on_policy
    from prefrl.agents.fast import FastPPO

    spent = {"collect_rollouts": 0.0, "train": 0.0, "reward": 0.0}

    def timed(function: Function, name: str) -> Function:
        def run(*arguments: Any, **named: Any) -> Any:
            started = time.process_time()
            try:
                return function(*arguments, **named)
            finally:
                spent[name] += time.process_time() - started

        return run

    model = on_policy.PPO if settings["agent.fast"] == "off" else FastPPO
    for name in ("collect_rollouts", "train"):
        setattr(model, name, timed(getattr(model, name), name))
    put = on_policy.put_learned_reward
    vars(on_policy)["put_learned_reward"] = lambda model, rewards: put(model, timed(rewards, "reward"))
    with tempfile.TemporaryDirectory() as folder:
        named = {**settings, "questions.strategy": strategy}
        result = prefrl.train(str(named.pop("env")), folder=Path(folder) / "run", quiet=True, **named)  # type: ignore[arg-type]
    agent = spent["collect_rollouts"] + spent["train"] - spent["reward"]
    fits = result.reward_model.cpu_seconds  # type: ignore[union-attr]
    return {"fits": fits, "agent": agent, "value": result.true_return.mean}


def case_rows(case: str, seeds: int, fast: str) -> list[Row]:
    settings: dict[str, object] = {"env": ENV, **SETTING, **CASES[case]}
    arms = ARMS[:1] if settings.get("reward.members") == 1 else ARMS  # one member cannot disagree
    runs: dict[str, list[Measured]] = {arm: [] for arm in ("plain", *arms)}
    for seed in range(seeds):
        for arm in runs:
            own = {} if arm == "plain" else {"agent.fast": fast, "reward.fast": fast}
            runs[arm].append(measured(arm, {**settings, "seed": seed, **own}))
    floor = statistics.fmean(run.cpu for run in runs["plain"])
    command = f"python -m benchmarks.price --cases {case} --seeds {seeds} --fast {fast}"
    rows = [Row(f"{case}: plain SB3 PPO, CPU seconds", f"{floor:.1f}", _returns(runs["plain"]), command)]
    for arm in arms:
        whole = statistics.fmean(run.cpu / base.cpu for run, base in zip(runs[arm], runs["plain"], strict=True))
        fits = statistics.fmean(run.fits / base.cpu for run, base in zip(runs[arm], runs["plain"], strict=True))
        rows.append(Row(f"{case}: {arm} queries, over plain", f"{whole:.2f}", _returns(runs[arm]), command))
        rows.append(Row("  of it fits", f"{fits:.2f}", "", command))
        alone = statistics.fmean(run.cpu / run.agent for run in runs[arm])
        rows.append(Row("  over its own rollouts and updates", f"{alone:.2f}", "", command))
    return rows


def _returns(runs: list[Measured]) -> str:
    return f"true return {', '.join(f'{run.value:.0f}' for run in runs)}"


def rows(seeds: int = 3, cases: tuple[str, ...] = ("pendulum",), fast: str = "auto") -> list[Row]:
    """Ratios of CPU time, and true returns. Those of a case are shown on stderr as soon as they are known."""
    every: list[Row] = []
    for case in cases:
        own = case_rows(case, seeds, fast)
        print(*(f"{row.what}  {row.figure}" for row in own), sep="\n", file=sys.stderr, flush=True)
        every += own
    return every


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cases", nargs="+", default=["pendulum"], choices=[*CASES, "all"], metavar="CASE", help=" ".join(CASES))  # fmt: skip
    parser.add_argument(
        "--fast", default="auto", choices=["auto", "off"], help="agent.fast and reward.fast of the runs"
    )
    parser.add_argument("--run", nargs=2, metavar=("ARM", "SETTINGS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        arm, given = options.run[0], json.loads(options.run[1])
        print(json.dumps(plain(given) if arm == "plain" else preferences(arm, given)))
    else:
        show(rows(options.seeds, tuple(CASES) if "all" in options.cases else tuple(options.cases), options.fast))

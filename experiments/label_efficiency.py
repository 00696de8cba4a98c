"""Figure 1: true return against questions asked, with ceiling, floor and controls.

    python -m experiments.label_efficiency                  all seeds of all tasks: about an hour on two cores
    python -m experiments.label_efficiency --quick          two seeds of short runs, to see that it works
    python -m experiments.label_efficiency --draw           the table and the figure from the committed results

Seeds 0 to 9 report; the defaults were tuned on seeds of 1000 and more. The last policy is scored, never the best.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.sweep import code, sweep
from prefrl.agents.environments import env_maker
from prefrl.config import Config, update
from prefrl.evaluation.returns import random_returns
from prefrl.evaluation.statistics import (
    Interval,
    bootstrap_interval,
    difference_in_iqm,
    failed_share,
    interquartile_mean,
    normalised_scores,
    probability_of_improvement,
)
from prefrl.folder import machine
from prefrl.presets import preset

ENVS = [
    "Pendulum-v1",
    "prefrl/CartPole-v0",
    "prefrl/MountainCarContinuous-v0",
    "prefrl/Acrobot-v0",
    "prefrl/HalfCheetah-v0",
]
BUDGETS = (100, 300, 700)
CONTROLS = ("true", "true-scaled", "shuffled", "random", "constant", "zero")
RESULTS = Path(__file__).parent / "results" / "label_efficiency.json"
LEAN = {"record.tensorboard": False, "record.video": False}


def arms(env: str) -> dict[str, Config]:
    """Name -> configuration. Shuffled answers get the largest budget: whatever leaks, leaks most there."""
    found = {f"{n} questions": update(preset("christiano", env), {"questions.budget": n}) for n in BUDGETS}
    for name in CONTROLS:
        found[name] = update(preset(name, env), {"questions.budget": max(BUDGETS)})
    return {name: update(config, LEAN) for name, config in found.items()}


def grid(envs: list[str], seeds: list[int], steps: int, scale: float) -> list[tuple[str, str, Config]]:
    """(environment, arm, configuration) of every run; all arms of an environment have the same steps."""
    return [
        (
            env,
            arm,
            update(config, {"seed": seed, "steps": steps, "questions.budget": int(config.questions.budget * scale)}),
        )
        for env in envs
        for seed in seeds
        for arm, config in arms(env).items()
    ]


def collect(
    cells: list[tuple[str, str, Config]], found: list[dict[str, Any]]
) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Results by environment and arm, one entry a seed."""
    table: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for (env, arm, _), result in zip(cells, found, strict=True):
        table.setdefault(env, {}).setdefault(arm, []).append(result)
    return table


def returns(results: list[dict[str, Any]]) -> np.ndarray:
    """True returns of the deterministic policies, one per seed."""
    return np.array([result["true_return"]["deterministic"] for result in results])


def iqm(results: list[dict[str, Any]]) -> Interval:
    return bootstrap_interval(interquartile_mean, returns(results), rng=np.random.default_rng(0))


def floor_of(env: str, episodes: int = 100) -> float:
    """True return of a policy that acts at random."""
    return random_returns(env_maker(env), episodes).mean


def score(values: np.ndarray, floor: float, ceiling: float) -> tuple[str, str]:
    """Normalised score, and the share of seeds that failed; empty where the ceiling is no better than chance."""
    if not ceiling > floor:
        return "", ""
    scores = normalised_scores(values, floor, ceiling)
    return f"{interquartile_mean(scores[:, None]):.2f}", f"{failed_share(scores):.0%}"


def shown(found: Interval) -> str:
    return f"{found.estimate:.3g} [{found.low:.3g}, {found.high:.3g}]"


def against(values: np.ndarray, ceiling: np.ndarray) -> tuple[str, str]:
    """Difference to the true-reward agent, and the chance that a run beats one of its runs, each with its interval."""
    measures = (difference_in_iqm, probability_of_improvement)
    gap, chance = (bootstrap_interval(one, values, ceiling, rng=np.random.default_rng(0)) for one in measures)
    return shown(gap), f"{chance.estimate:.2f} [{chance.low:.2f}, {chance.high:.2f}]"


def markdown(table: dict[str, dict[str, list[dict[str, Any]]]], floors: dict[str, float]) -> str:
    """Interquartile mean and 95 % interval over seeds, every seed, and how it compares with the true-reward agent.

    Score: 0 for a policy that acts at random, 1 for the true-reward agent. Failed: share of seeds that score below .3.
    """
    lines = []
    for env, by_arm in table.items():
        lines += [
            f"\n**{env}**, {len(next(iter(by_arm.values())))} seeds\n",
            "| arm | true return, IQM [95 % interval] | score | failed | all seeds | minus true reward | P(beats it) |",
            "|---|---|---|---|---|---|---|",
        ]
        ceiling = iqm(by_arm["true"]).estimate
        for arm, results in by_arm.items():
            values = returns(results)
            found, every = iqm(results), ", ".join(f"{value:.3g}" for value in sorted(values))
            normalised, failed = score(values, floors[env], ceiling)
            gap, chance = ("", "") if arm == "true" else against(values, returns(by_arm["true"]))
            lines.append(f"| {arm} | {shown(found)} | {normalised} | {failed} | {every} | {gap} | {chance} |")
    return "\n".join(lines)


def draw(table: dict[str, dict[str, list[dict[str, Any]]]], path: Path) -> None:
    """One panel an environment: every seed a dot, the interquartile mean a line, ceiling and controls as bands."""
    figure = Figure(figsize=(4 * len(table), 4))
    panels = figure.subplots(1, len(table), squeeze=False)
    for axes, (env, by_arm) in zip(panels[0], table.items(), strict=True):
        budgets = [int(arm.split()[0]) for arm in by_arm if arm.endswith("questions")]
        found = [iqm(by_arm[f"{n} questions"]) for n in budgets]
        axes.plot(budgets, [one.estimate for one in found], "o-", label="preferences")
        axes.fill_between(budgets, [one.low for one in found], [one.high for one in found], alpha=0.2)
        for n in budgets:
            values = returns(by_arm[f"{n} questions"])
            axes.plot([n] * len(values), values, ".", color="tab:blue", alpha=0.5)
        for k, control in enumerate(name for name in CONTROLS if name in by_arm):
            one, colour = iqm(by_arm[control]), f"C{k + 1}"
            axes.axhline(one.estimate, color=colour, linestyle="--", label=f"{control} reward")
            axes.axhspan(one.low, one.high, color=colour, alpha=0.12)
        axes.set(title=env, xlabel="questions", ylabel="true return at the end")
    panels[0][0].legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--envs", nargs="+", default=ENVS, help="tasks (default: all five)")
    parser.add_argument("--seeds", type=int, default=10, help="seeds, from 0 on (default 10)")
    parser.add_argument("--steps", type=int, default=100_000, help="environment steps of each run (default 100000)")
    parser.add_argument("--quick", action="store_true", help="two seeds of 4,096 steps on Pendulum, into runs/quick")
    parser.add_argument("--draw", action="store_true", help="only draw, from the committed results")
    parser.add_argument(
        "--cache", type=Path, default=Path("runs/label_efficiency"), help="where finished runs are kept"
    )
    options = parser.parse_args()
    results = RESULTS
    if options.quick:
        results = Path("runs/quick/label_efficiency.json")
        options.envs, options.seeds, options.steps, options.cache = ENVS[:1], 2, 4096, Path("runs/quick")
    if not options.draw:
        cells = grid(options.envs, list(range(options.seeds)), options.steps, 0.1 if options.quick else 1.0)
        table = collect(cells, sweep([config for _, _, config in cells], options.cache))
        known = (
            json.loads(results.read_text()) if results.exists() and not options.quick else {"about": {}, "table": {}}
        )
        floors = known.get("floors", {}) | {env: floor_of(env) for env in table}
        about = {
            "command": "python -m experiments.label_efficiency",
            "steps": options.steps,
            "code": code(),
            **machine(),
        }
        known = {
            "about": known["about"] | dict.fromkeys(table, about), "floors": floors, "table": known["table"] | table
        }  # fmt: skip
        results.parent.mkdir(parents=True, exist_ok=True)
        results.write_text(json.dumps(known, indent=1))
    known = json.loads(results.read_text())
    table = known["table"]
    table = {env: table[env] for env in [*ENVS, *table] if env in table}
    print(markdown(table, known["floors"]))
    draw(table, results.with_suffix(".png"))
    print(f"\n{results.with_suffix('.png')}")


if __name__ == "__main__":
    main()

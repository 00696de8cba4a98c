"""The Python interface: `train`, `resume`, `evaluate`. Every part can be given as a name or as an object."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from envs import EQUIVALENT, goal
from prefrl.config.methods import DEFAULT, compose
from prefrl.config.settings import Config
from prefrl.config.values import update
from prefrl.core.errors import UserError, near
from prefrl.environments.probe import Probe, probe, warn_of_leaks
from prefrl.evaluation.returns import Returns, true_returns
from prefrl.runs import build, recordings
from prefrl.runs.build import Own
from prefrl.runs.folder import choose_folder, claim, cleared_if_refused, describe, differences, locked, read_run
from prefrl.runs.label_page import label_page
from prefrl.runs.lists import check
from prefrl.runs.outcome import Result, finish
from prefrl.runs.plan import Plan, make_plan
from prefrl.runs.run import Run
from prefrl.teachers import recorded, synthetic

log = logging.getLogger("prefrl")

SETTINGS = {
    "env": "env", "agent": "agent.algorithm", "teacher": "teacher.name", "reward_network": "reward.network",
    "strategy": "questions.strategy", "schedule": "questions.schedule",
}  # fmt: skip
"""Argument of `train` -> the setting that it sets if it is a name."""


def train(
    env: str | Callable[[], gym.Env] | None = None,
    *,
    config: Config | Path | str | None = None,
    preset: str | None = None,
    folder: Path | str | None = None,
    agent: Any = None,
    teacher: Any = None,
    reward_network: Any = None,
    strategy: Any = None,
    schedule: Any = None,
    mechanisms: Any = (),
    callbacks: Sequence[BaseCallback] = (),
    quiet: bool = False,
    tell: Callable[[Plan], None] | None = None,
    modules: Sequence[str] = (),
    **settings: Any,
) -> Result:
    """Learn a policy from preferences. Returns the result; everything else is in its folder.

    env: a Gymnasium id, or a function that makes the environment. config: a Config, or a YAML file of settings. agent: a
    name, an SB3 on-policy model, or a function of a VecEnv that makes one. teacher: a name, or a function of queries that
    gives preferences (Q,) of the first, NaN to skip; None instead of them: answers come later, through the label store.
    reward_network: a name, or number of features -> torch module (N, d) -> (N, 1). strategy, schedule: names or functions.
    mechanisms: their settings by name, or a list of objects. tell: is given the plan before anything is trained. modules:
    what the label page, which teacher="human" opens, has to import to make the environment.

    Settings are those of `prefrl train --help`: steps=..., questions={"budget": 100}, agent={"gamma": .9}.
    """
    if isinstance(agent, OnPolicyAlgorithm) and env is None:
        raise UserError(
            "agent= is a model with environments of its own; name the same one for evaluation: train(env, agent=...)"
        )
    parts = {
        "env": env, "agent": agent, "teacher": teacher, "reward_network": reward_network, "strategy": strategy,
        "schedule": schedule, "mechanisms": mechanisms,
    }  # fmt: skip
    named = {SETTINGS[name]: part for name, part in parts.items() if isinstance(part, str)}
    nested = {name: part for name, part in parts.items() if isinstance(part, dict)}
    own = Own(**{name: part for name, part in parts.items() if not isinstance(part, str | dict)})
    if own.env is not None:
        named["env"] = "own"  # no tuned preset applies to it
    if isinstance(config, Config):
        preset, base = preset or DEFAULT, config
    else:
        preset, base = compose(config, preset, named.get("env"))
    return _start(update(base, settings | named | nested), own, preset, folder, callbacks, quiet, tell, modules)


def _start(
    config: Config, own: Own, preset: str, folder: Path | str | None, callbacks: Sequence[BaseCallback], quiet: bool,
    tell: Callable[[Plan], None] | None, modules: Sequence[str],
) -> Result:  # fmt: skip
    """Check everything, then make the folder and train in it."""
    config = _completed(config)
    check(config)
    if recorded(config.teacher.name) and build.asks(config):
        recordings.check(config)
    probed = _probed(config, own)
    path = choose_folder(config, preset, folder)
    plan = make_plan(config, own, probed, path)
    if tell:
        tell(plan)
    if folder is None:
        path = claim(path)
    with locked(path):
        with cleared_if_refused(path):
            describe(path, config, preset, own.names())
            run = Run(path, config, own, callbacks, quiet)
            run.prepare()
        with label_page(path, config, modules):  # served until the end, so that open pages show it
            run.learn()
            return finish(run)


def _completed(config: Config) -> Config:
    """The configuration with a recording's absolute path, and with the question that people are asked."""
    teacher = config.teacher
    task = goal(config.env)
    question = f"Which clip is better? The task: {task}." if task else "Which clip is better?"
    name = recordings.absolute(teacher.name)
    return replace(config, teacher=replace(teacher, name=name, question=teacher.question or question))


def _probed(config: Config, own: Own) -> Probe:
    """Probe the environment for a few steps. Raises UserError if it does not work; warns if it gives the reward away."""
    asks = build.asks(config)
    length = config.questions.length if asks else 1  # a run without questions needs no segments
    probed = probe(build.maker(config, own), length, config.seed, config.record.step_timeout)
    if asks:
        oracle = own.teacher is None and synthetic(config.teacher.name)
        warn_of_leaks(config.env, EQUIVALENT, probed, config.agent.endless, oracle)
    return probed


def resume(
    folder: Path | str,
    *,
    callbacks: Sequence[BaseCallback] = (),
    quiet: bool = False,
    modules: Sequence[str] = (),
    **own: Any,
) -> Result:
    """Go on with a run that was stopped or killed. own: the parts of your own, by the names that `train` has for them."""
    config, run_json = read_run(folder)
    changed = differences(run_json, config)
    own_parts = _own_parts(own, folder, run_json, "resume")
    with locked(Path(folder)):
        run = Run(Path(folder), config, own_parts, callbacks, quiet)
        step = _restored(run, labels=True)
        exactness = "not exactly: " + "; ".join(changed) if changed else "exactly"
        if step >= run.total_steps:
            log.info("%s was trained to its end, step %d; it is evaluated again, %s", folder, step, exactness)
        else:
            log.info("resuming %s at step %d of %d, %s", folder, step, run.total_steps, exactness)
        run.prepare()
        with label_page(Path(folder), config, modules):
            run.learn()
            return finish(run)


def evaluate(folder: Path | str, episodes: int | None = None, deterministic: bool = True, **own: Any) -> Returns:
    """True returns of a run's newest checkpoint. own: the parts of your own, by the names that `train` has for them."""
    if episodes is not None and episodes < 1:
        raise UserError(f"episodes={episodes} must be at least 1")
    run = load_run(folder, **own)
    try:
        log.info("evaluating %s at step %d of %d", folder, run.restored, run.total_steps)
        count = episodes or run.config.record.evaluation_episodes
        return true_returns(run.agent, build.maker(run.config, run.own), count, deterministic)
    finally:
        run.close()


def load_run(folder: Path | str, **own: Any) -> Run:
    """A run at its newest checkpoint: `.model`, `.reward_model`, `.store`. own: as for `evaluate`."""
    config, run_json = read_run(folder)
    run = Run(Path(folder), config, _own_parts(own, folder, run_json, "evaluate"), quiet=True)
    if _restored(run, labels=False) == 0:
        run.close()
        raise UserError(f"{folder} has no checkpoint yet; wait for the first, or start it with: prefrl resume {folder}")
    return run


def _own_parts(parts: dict[str, Any], folder: Path | str, run_json: dict[str, Any], call: str) -> Own:
    """The user's own parts. Raises UserError unless they include all that the run was trained with."""
    known = vars(Own())
    if unknown := [name for name in parts if name not in known]:
        raise UserError(f"{call} has no argument {unknown[0]!r}{near(unknown[0], known)}")
    own = Own(**parts)
    missing = sorted(set(run_json["own"]) - set(own.names()))
    if missing:
        raise UserError(
            f"{folder} was trained with {', '.join(missing)} of your own; bring it along again:"
            f" prefrl.{call}({str(folder)!r}, {', '.join(f'{name}=...' for name in missing)})"
        )
    return own


def _restored(run: Run, labels: bool) -> int:
    """Go back to the newest checkpoint; returns its step. labels: refuse if the store lacks labels that it knew."""
    try:
        if (step := run.restore()) and labels:
            run.require_labels()
        return step
    except BaseException:
        run.close()  # an open label store would block restoring a copy of it
        raise

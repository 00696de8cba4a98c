"""The Python interface: `train`, `resume`, `evaluate`. Every part can be given as a name or as an object."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import gymnasium as gym
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv
from torch import nn

from envs import EQUIVALENT, goal
from prefrl.config.methods import DEFAULT, compose
from prefrl.config.settings import Config
from prefrl.config.values import update
from prefrl.core.errors import UserError
from prefrl.environments.probe import Probe, probe, warn_of_leaks
from prefrl.evaluation.returns import Returns, true_returns
from prefrl.kinds import KINDS
from prefrl.mechanisms import Mechanism
from prefrl.queries.schedules import Schedule
from prefrl.queries.strategies import Score
from prefrl.runs import build, recordings
from prefrl.runs.folder import choose_folder, claim, cleared_if_refused, describe, differences, locked, read_run
from prefrl.runs.label_page import label_page
from prefrl.runs.lists import check
from prefrl.runs.outcome import Result, finish
from prefrl.runs.own import Own
from prefrl.runs.plan import Plan, make_plan
from prefrl.runs.run import Run
from prefrl.teachers import recorded, synthetic
from prefrl.teachers.stored import AnswerFunction

log = logging.getLogger("prefrl")

Named = str | dict[str, Any] | None
"""A part of a run by its name, or its settings; None: as the configuration says."""


def train(
    env: str | Callable[[], gym.Env] | None = None,
    *,
    config: Config | Path | str | None = None,
    preset: str | None = None,
    folder: Path | str | None = None,
    agent: Named | OnPolicyAlgorithm | Callable[[VecEnv], OnPolicyAlgorithm] = None,
    teacher: Named | AnswerFunction = None,
    reward_network: Named | Callable[..., nn.Module] = None,
    strategy: Named | Score = None,
    schedule: Named | Schedule = None,
    mechanisms: dict[str, Any] | Sequence[Mechanism] = (),
    callbacks: Sequence[BaseCallback] = (),
    quiet: bool = False,
    tell: Callable[[Plan], object] | None = None,
    modules: Sequence[str] = (),
    **settings: object,
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
    parts: dict[str, Any] = {
        "env": env, "agent": agent, "teacher": teacher, "reward_network": reward_network, "strategy": strategy,
        "schedule": schedule, "mechanisms": mechanisms,
    }  # fmt: skip
    settings_of_parts = {each.name: each.metadata["setting"] for each in fields(Own) if each.metadata}
    named = {settings_of_parts[name]: part for name, part in parts.items() if isinstance(part, str)}
    nested = {name: part for name, part in parts.items() if isinstance(part, dict)}
    own = Own(**{name: part for name, part in parts.items() if not isinstance(part, str | dict)})
    if own.env is not None:
        named["env"] = "own"  # no tuned preset applies to it
    if isinstance(config, Config):
        preset, base = preset or DEFAULT, config
    else:
        preset, base = compose(config, preset, named.get("env"))
    plan = planned(update(base, settings | named | nested), own, preset, folder)
    if tell:
        tell(plan)
    return carry_out(plan, own, preset, folder, callbacks, quiet, modules)


def planned(config: Config, own: Own, preset: str, folder: Path | str | None) -> Plan:
    """Check everything and plan the run, before anything is made. Raises UserError for what cannot work."""
    task, t = goal(config.env), config.teacher
    asked = [KINDS[kind].question for kind in config.questions.kinds if kind in KINDS]
    question = t.question or " ".join([*(asked if len(asked) == 1 else []), *([f"The task: {task}."] if task else [])])
    config = replace(config, teacher=replace(t, name=recordings.absolute(t.name), question=question))
    check(config)
    if recorded(config.teacher.name) and build.asks(config):
        recordings.check(config)
    probed = _probed(config, own)
    return make_plan(config, own, probed, choose_folder(config, preset, folder))


def _probed(config: Config, own: Own) -> Probe:
    """Probe the environment for a few steps. Raises UserError if it does not work; warns if it gives the reward away."""
    asks = build.asks(config)
    length = config.questions.length if asks else 1  # a run without questions needs no segments
    probed = probe(build.maker(config, own), length, config.seed, config.record.step_timeout)
    if asks:
        oracle = own.teacher is None and synthetic(config.teacher.name)
        warn_of_leaks(config.env, EQUIVALENT, probed, config.agent.endless, oracle)
    return probed


def carry_out(
    plan: Plan, own: Own, preset: str, folder: Path | str | None, callbacks: Sequence[BaseCallback] = (),
    quiet: bool = False, modules: Sequence[str] = (),
) -> Result:  # fmt: skip
    """Make the planned run's folder and train in it. folder: the one that was asked for, None for the next free one."""
    config, path = plan.config, claim(plan.folder) if folder is None else plan.folder
    with locked(path):
        with cleared_if_refused(path):
            describe(path, config, preset, own.names())
            run = build.make_run(path, config, own, callbacks, quiet)
            build.prepare_run(run)
        return _learned(run, modules)


def _learned(run: Run, modules: Sequence[str]) -> Result:
    log.info("agent: %s", run.agent)
    with label_page(run.folder, run.config, modules):  # served until the end, so that open pages show it
        run.learn()
        return finish(run)


def resume(
    folder: Path | str,
    *,
    callbacks: Sequence[BaseCallback] = (),
    quiet: bool = False,
    modules: Sequence[str] = (),
    **own: object,
) -> Result:
    """Go on with a run that was stopped or killed. own: the parts of your own, by the names that `train` has for them."""
    config, run_json = read_run(folder)
    changed = differences(run_json, config)
    parts = Own.given_again(own, folder, run_json["own"], "resume")
    with locked(Path(folder)):
        run = build.make_run(Path(folder), config, parts, callbacks, quiet)
        step = _restored(run, labels=True)
        exactness = "not exactly: " + "; ".join(changed) if changed else "exactly"
        if step >= run.total_steps:
            log.info("%s was trained to its end, step %d; it is evaluated again, %s", folder, step, exactness)
        else:
            log.info("resuming %s at step %d of %d, %s", folder, step, run.total_steps, exactness)
        build.prepare_run(run)
        return _learned(run, modules)


def evaluate(folder: Path | str, episodes: int | None = None, deterministic: bool = True, **own: object) -> Returns:
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


def load_run(folder: Path | str, **own: object) -> Run:
    """A run at its newest checkpoint: `.model`, `.reward_model`, `.store`. own: as for `evaluate`."""
    config, run_json = read_run(folder)
    parts = Own.given_again(own, folder, run_json["own"], "evaluate")
    run = build.make_run(Path(folder), config, parts, quiet=True)
    if _restored(run, labels=False) == 0:
        run.close()
        raise UserError(f"{folder} has no checkpoint yet; wait for the first, or start it with: prefrl resume {folder}")
    return run


def _restored(run: Run, labels: bool) -> int:
    """Go back to the newest checkpoint; returns its step. labels: refuse if the store lacks labels that it knew."""
    try:
        if (step := run.restore()) and labels:
            run.require_labels()
        return step
    except BaseException:
        run.close()  # an open label store would block restoring a copy of it
        raise

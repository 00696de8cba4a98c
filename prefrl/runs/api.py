"""The Python interface: `train`, `resume`, `evaluate`. Every part can be named, or brought along as a plain object."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gymnasium as gym
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from envs import EQUIVALENT, goal
from prefrl.config.methods import DEFAULT, compose
from prefrl.config.settings import Config
from prefrl.config.values import update
from prefrl.core.errors import UserError
from prefrl.core.files import write_durably
from prefrl.environments.probe import probe, warn_of_leaks
from prefrl.evaluation.learned_reward import compare
from prefrl.evaluation.returns import Returns, random_returns, true_returns
from prefrl.rendering.video import record_episode, write_video
from prefrl.runs import build, recordings
from prefrl.runs.build import Own
from prefrl.runs.folder import choose_folder, claim, cleared_if_refused, describe, differences, locked, read_run
from prefrl.runs.label_page import label_page
from prefrl.runs.lists import check
from prefrl.runs.plan import Plan, make_plan
from prefrl.runs.plots import write_plots
from prefrl.runs.run import Run
from prefrl.teachers import recorded, synthetic

log = logging.getLogger("prefrl")


@dataclass
class Result:
    """A finished run."""

    folder: Path
    true_return: Returns  # of the final, deterministic policy
    random_return: Returns  # the floor
    run: Run

    @property
    def model(self) -> Any:
        """The trained SB3 model: `result.model.predict(observation)`."""
        return self.run.model

    @property
    def reward_model(self) -> Any:
        return self.run.reward_model

    def __str__(self) -> str:
        return (
            f"true return {self.true_return.mean:.4g} (random policy {self.random_return.mean:.4g},"
            f" {len(self.true_return.episodes)} episodes each); everything is in {self.folder}"
        )


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

    env: a Gymnasium id, or a function that makes the environment. config: a Config, or a YAML file of settings. agent: an
    SB3 on-policy model, or a function of a VecEnv that makes one. teacher: queries -> preferences (Q,) of the first, NaN to
    skip, or None to answer through the label store later; or a name. reward_network: number of features -> torch module
    (N, d) -> (N, 1); or a name. strategy, schedule: functions or names. Settings are those of `prefrl train --help`:
    steps=..., questions={"budget": 100}, agent={"gamma": .9}, reward={...}.
    teacher="human" opens the label page; name in `modules` what it has to import to make the environment.
    """
    named = {
        "agent.algorithm": agent, "teacher.name": teacher, "reward.network": reward_network,
        "questions.strategy": strategy, "questions.schedule": schedule,
    }  # fmt: skip
    settings |= {name: value for name, value in named.items() if isinstance(value, str)}
    settings |= {part: value for part, value in (("agent", agent), ("teacher", teacher)) if isinstance(value, dict)}
    if isinstance(agent, OnPolicyAlgorithm) and env is None:
        raise UserError(
            "agent= is a model with environments of its own; name the same one for evaluation: train(env, agent=...)"
        )
    named_env = env if isinstance(env, str) else "own" if env is not None else None  # which nothing is tuned for
    if isinstance(config, Config):
        preset, base = preset or DEFAULT, config
    else:
        preset, base = compose(config, preset, named_env)
    if isinstance(env, str):
        settings["env"] = env
    elif env is not None:
        settings.setdefault("env", "own")
    brought = () if isinstance(mechanisms, dict) else tuple(mechanisms)
    if isinstance(mechanisms, dict):
        settings["mechanisms"] = mechanisms
    base = update(base, settings)
    own = Own(*map(_object, (env, agent, teacher, reward_network, strategy, schedule, brought)))
    return _start(base, own, preset, folder, callbacks, quiet, tell, modules)


def _object(part: Any) -> Any:
    """What the user brought along; a name or a dict is a setting."""
    return None if isinstance(part, str | dict) else part


def _start(
    config: Config, own: Own, name: str, folder: Path | str | None, callbacks: Sequence[BaseCallback], quiet: bool,
    tell: Callable[[Plan], None] | None, modules: Sequence[str] = (),
) -> Result:  # fmt: skip
    config = replace(config, teacher=replace(config.teacher, name=recordings.absolute(config.teacher.name)))
    check(config)
    if recorded(config.teacher.name) and build.asks(config):
        recordings.check(config)
    length = config.questions.length if build.asks(config) else 1  # who asks nothing needs no segments
    found = probe(build.maker(config, own), length, config.seed, config.record.step_timeout)
    if build.asks(config):
        oracle = own.teacher is None and synthetic(config.teacher.name)
        warn_of_leaks(config.env, EQUIVALENT, found, config.agent.endless, oracle)
    config = replace(config, teacher=replace(config.teacher, question=config.teacher.question or _question(config.env)))
    path = choose_folder(config, name, folder)
    plan = make_plan(config, own, found, path)
    if tell:
        tell(plan)
    if folder is None:
        path = claim(path)
    with locked(path):
        with cleared_if_refused(path):
            describe(path, config, name, own.names())
            run = Run(path, config, own, callbacks, quiet)
            run.prepare()
        with label_page(path, config, modules):  # until the end, so that open pages hear of it
            run.learn()
            return _finish(run)


def _question(env: str) -> str:
    """What people are asked who compare clips of this environment."""
    return f"Which clip is better? The task: {told}." if (told := goal(env)) else "Which clip is better?"


def _require_own(folder: Path | str, about: dict[str, Any], own: Own, call: str) -> None:
    """Raise UserError unless the parts that the user brought to a run are here again."""
    missing = sorted(set(about["own"]) - set(own.names()))
    if missing:
        raise UserError(
            f"{folder} was trained with {', '.join(missing)} of your own; bring it along again:"
            f" prefrl.{call}({str(folder)!r}, {', '.join(f'{name}=...' for name in missing)})"
        )


def resume(
    folder: Path | str, *, agent: Any = None, env: Any = None, teacher: Any = None, reward_network: Any = None,
    strategy: Any = None, schedule: Any = None, mechanisms: Any = (), callbacks: Sequence[BaseCallback] = (), quiet: bool = False,
    modules: Sequence[str] = (),
) -> Result:  # fmt: skip
    """Go on with a run that was stopped or killed. Parts of your own must be brought along again."""
    config, about = read_run(folder)
    own = Own(env, agent, teacher, reward_network, strategy, schedule, mechanisms)
    _require_own(folder, about, own, "resume")
    changed = differences(about, config)
    with locked(Path(folder)):
        run = Run(Path(folder), config, own, callbacks, quiet)
        step = _taken_up(run, labels=True)
        how = "not exactly: " + "; ".join(changed) if changed else "exactly"
        if step >= run.total_steps:
            log.info("%s was trained to its end, step %d; it is evaluated again, %s", folder, step, how)
        else:
            log.info("resuming %s at step %d of %d, %s", folder, step, run.total_steps, how)
        run.prepare()
        with label_page(Path(folder), config, modules):
            run.learn()
            return _finish(run)


def _taken_up(run: Run, labels: bool) -> int:
    """Go back to the newest checkpoint, and return its step. labels: refuse without those that it had heard."""
    try:
        if (step := run.restore()) and labels:
            run.require_labels()
        return step
    except BaseException:
        run.close()  # an open label store would be in the way of a copy that is put back
        raise


def _finish(run: Run) -> Result:
    """Evaluate, draw and film the outcome."""
    config, folder = run.config, run.folder
    if build.asks(config) and run.learner.version == 0:
        why = run.log.last_fit.note if run.log.last_fit else "no preference was told"
        warnings.warn(
            f"nothing was learned from {run.asker.asked} questions ({why}); the policy is untaught", stacklevel=2
        )
    if told := run.teacher.report():
        _say_replayed(told, config.teacher.name)
    make_env = build.maker(config, run.own)
    episodes = config.record.evaluation_episodes
    result = Result(folder, true_returns(run.agent, make_env, episodes), random_returns(make_env, episodes), run)
    write_durably(folder / "result.json", json.dumps(summary(result, _reward_quality(run)), indent=1).encode())
    write_plots(folder, result.random_return.mean)
    if config.record.video:
        film(run.agent, config, run.own, folder / "video.mp4")
    return result


def _say_replayed(told: dict[str, Any], name: str) -> None:
    """What came of a recording."""
    log.info(
        "%s: %d of %d questions were answered from the recording, which has answers to %d; %d it did not know (%s)",
        name, told["answered"], told["asked"], told["recorded"], told["unknown"], told["unknown_get"],
    )  # fmt: skip
    if told["said_after_the_recorded_run"]:
        log.info(
            "%d of them have answers that came when the recorded trainer no longer listened;"
            " --teacher.timing once gives those as well", told["said_after_the_recorded_run"],
        )  # fmt: skip
    if told["asked"] and not told["known"]:
        warnings.warn(
            "the recording knew no question of this run; see prefrl train --help for its seed and settings",
            stacklevel=3,
        )


def _reward_quality(run: Run) -> dict[str, float]:
    """What the reward model knows: on held-out answers, and beside the true reward where its policy and chance go."""
    if run.reward_model.version == 0 or not run.log.last_fit:
        return run.log.last_fit.metrics if run.log.last_fit else {}
    make_env = build.maker(run.config, run.own)
    return run.log.last_fit.metrics | compare(run.reward_model, run.agent, make_env, run.config.env, run.agent.gamma)


def summary(result: Result, reward_quality: dict[str, float]) -> dict[str, Any]:
    """The outcome in numbers."""
    run = result.run
    return {
        "env": run.config.env,
        "seed": run.config.seed,
        "steps": run.agent.step,
        "asked": run.asker.asked,
        "true_return": result.true_return.mean,
        "true_returns": result.true_return.episodes,
        "random_return": result.random_return.mean,
        "reward_model": reward_quality,
        **({"replay": told} if (told := run.teacher.report()) else {}),
        "fit_cpu_seconds": run.reward_model.cpu_seconds,
    }


def film(model: Any, config: Config, own: Own, path: Path) -> Path | None:
    """Write a video of one evaluation episode; where the environment cannot be drawn, say why and go on."""
    policy = model
    try:
        make_env = build.maker(config, own, render_mode="rgb_array")
        frames, _ = record_episode(
            make_env, lambda seen: policy.predict(seen[None], deterministic=True)[0][0], config.seed, 600
        )
        env = make_env()
        fps = float(env.metadata.get("render_fps") or 30)
        env.close()
        return write_video(frames, path, fps)
    except Exception as fault:  # a video is a courtesy: no drawing library may cost a finished run
        warnings.warn(f"no video of {config.env}: {fault}; --record.no-video asks for none", stacklevel=2)
        return None


def evaluate(folder: Path | str, episodes: int | None = None, deterministic: bool = True, **own: Any) -> Returns:
    """True returns of the newest checkpoint of a run. own: the parts of your own, by the names that `train` has for them."""
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
    """A run as its newest checkpoint left it: `.model`, `.reward_model`, `.store`. own: as for `evaluate`."""
    config, about = read_run(folder)
    brought = Own(**own)
    _require_own(folder, about, brought, "evaluate")
    run = Run(Path(folder), config, brought, quiet=True)
    if _taken_up(run, labels=False) == 0:
        run.close()
        raise UserError(f"{folder} has no checkpoint yet; wait for the first, or start it with: prefrl resume {folder}")
    return run

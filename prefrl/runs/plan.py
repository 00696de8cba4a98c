"""The plan of a run, before it starts: steps, questions, and estimates of time, memory and disk."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from prefrl.agents.agent import cut_every, total_steps
from prefrl.config.settings import Config, OnPolicyConfig
from prefrl.core.errors import UserError
from prefrl.environments.probe import Probe
from prefrl.environments.ring import Ring, step_bytes
from prefrl.environments.vector import make_venv
from prefrl.kinds import kind_of
from prefrl.queries.strategies import STRATEGIES
from prefrl.rewards.encoding import pictures_in
from prefrl.runs import build
from prefrl.runs.own import Own

UPDATE_SECONDS = 11e-6  # per step and epoch of PPO with two small networks, on one laptop core
ACT_SECONDS = 25e-6  # per step: the policy's forward pass for a vector of eight
PAIR_SECONDS = 1.4e-6  # per pair-member update and step of a segment
PICTURE_SECONDS = {"cpu": (1.3e-3, 7.5e-4, 2.8e-3), "cuda": (1e-4, 1e-4, 5e-5)}
"""The same for pictures of 84 x 84 x 4: measured on one core of a server; on a GPU not measured, only guessed."""
SMALLEST = 0.05  # share of PICTURE_SECONDS that even the smallest picture takes
ENOUGH = 100_000  # steps of an environment from which the number of segments in a longer run is told
PACKED = 20  # how many times smaller frames become when they are packed, with a margin: Pong's 60 times


@dataclass(frozen=True)
class Plan:
    """An estimate, made before anything is trained."""

    config: Config
    folder: Path
    steps: int  # in whole turns of the agent
    questions: int
    minutes: float
    megabytes: float  # on disk
    memory: float  # megabytes of observations in memory
    random_return: float

    def __str__(self) -> str:
        c = self.config
        asks = (
            f"{self.questions} questions of {c.questions.length} steps to {c.teacher.name!r}"
            if self.questions
            else "no questions"
        )
        people = " and the time that people take" if c.teacher.name == "human" and self.questions else ""
        return (
            f"{c.env}: {self.steps:,} steps of {c.agent.algorithm.upper()}, {asks}, reward: {c.reward.source}, seed {c.seed}\n"
            f"about {_time(self.minutes)}{people}, {self.memory:.0f} MB of observations in memory and {self.megabytes:.0f} MB in {self.folder}"
        )


def make_plan(config: Config, own: Own, probed: Probe, folder: Path) -> Plan:
    """Plan a run. Raises UserError if no question fits into it; warns of settings under which it cannot work."""
    questions = config.questions.budget if build.asks(config) else 0
    if questions and own.strategy is None:
        _check_members(config)
    steps = config.steps  # as set where the agent is still to be made by the user's function
    if own.agent is None:
        steps = total_steps(config, config.agent.turn_steps)
        _check_cuts(config, steps, max(probed.episode_lengths))
    elif isinstance(own.agent, OnPolicyAlgorithm):
        steps = total_steps(config, own.agent.n_steps * own.agent.n_envs)
    shown = max([1, *(kind_of(name).segments for name in config.questions.kinds)])  # segments in a question
    questions = _check_questions(config, questions, steps, shown)
    if own.agent is None:
        _check_room(config, questions, steps, shown, probed.episode_lengths)
    teacher = config.teacher
    if questions and teacher.name == "human" and not (teacher.wait or teacher.lag):
        warnings.warn(
            "training does not wait for people, and ends before they have answered much where it is quick;"
            " --wait-for-labels 12 --teacher.lag 6 (or --preset human) makes it wait",
            stacklevel=2,
        )
    venv = make_venv(build.maker(config, own), 1)
    venv.close()
    frame, history, image = step_bytes(venv), Ring(venv, 1).history, bool(pictures_in(venv.observation_space))
    seconds = _seconds(config, steps, probed, questions, frame * (history + 1) if image else 0)
    segment = (history + config.questions.length + 1) * frame / (PACKED if image else 1)
    disk = questions * shown * (segment + 4 * config.questions.length) + 3e6
    rollout = config.agent.turn_steps * frame * (history + 1)
    memory = min(config.record.memory_mb * 2**20, (steps + rollout / frame) * (frame + 6))
    memory += 3 * rollout + min(questions, config.reward.window) * shown * segment
    return Plan(config, folder, steps, questions, seconds / 60, disk / 1e6, memory / 1e6, probed.random_return)


def _seconds(config: Config, steps: int, probed: Probe, questions: int, picture: int) -> float:
    """How long the run takes. picture: bytes of an observation; 0 where it is none"""
    update, act, pair = (UPDATE_SECONDS, ACT_SECONDS, PAIR_SECONDS)
    if picture:
        device = "cuda" if torch.cuda.is_available() and config.agent.device != "cpu" else "cpu"
        smaller = max(SMALLEST, picture / (84 * 84 * 4))
        update, act, pair = (smaller * seconds for seconds in PICTURE_SECONDS[device])
    agent = config.agent
    epochs = agent.n_epochs if isinstance(agent, OnPolicyConfig) and agent.algorithm == "ppo" else 1
    seconds = steps * (probed.seconds_per_step + act + epochs * update)
    return seconds + questions * 60 * config.reward.members * config.questions.length * pair + 10


def _time(minutes: float) -> str:
    return f"{minutes:.1f} minutes" if minutes < 120 else f"{minutes / 60:.0f} hours"


def _check_members(config: Config) -> None:
    strategy, members = config.questions.strategy, config.reward.members
    if members < (needed := STRATEGIES[strategy].members):
        raise UserError(
            f"questions.strategy={strategy!r} compares ensemble members and needs reward.members={needed} or more,"
            f" got {members}; enlarge the ensemble, or choose uniform"
        )


def _check_questions(config: Config, questions: int, steps: int, shown: int) -> int:
    """How many questions fit into the run. Raises UserError if none does."""
    q = config.questions
    possible = steps // (shown * q.length)
    if questions and possible < 1:
        raise UserError(
            f"no question fits into the run: {shown} segments of questions.length={q.length} need {shown * q.length}"
            f" steps, and the run has {steps}; shorten them, or raise steps"
        )
    if questions > possible:
        warnings.warn(
            f"questions.budget={questions}, but {steps} steps hold only {possible} questions of {shown} segments of"
            f" {q.length} steps, and no step is in two questions; lower questions.length or raise steps",
            stacklevel=2,
        )
    return min(questions, possible)


def _check_room(config: Config, questions: int, steps: int, shown: int, lengths: list[int]) -> None:
    """Warn where not all questions will be asked: a segment lies within an episode, and within a turn if turns are long.

    Turns are so if most of a turn's steps are whole segments; short ones are put together.
    """
    if not questions or questions < config.questions.budget:  # then it is known already that they are too many
        return
    length, turn = config.questions.length, config.agent.turn_steps // config.agent.n_envs
    each, episodes = min(steps // config.agent.n_envs, ENOUGH), np.cumsum(lengths)
    ends = (np.arange(0, each, episodes[-1])[:, None] + episodes).ravel()  # of episodes like those of the probe
    turns = np.arange(turn, each, turn) if turn >= 8 * length else ends[:0]
    cuts = np.unique(np.concatenate([[0, each], turns, ends[ends < each]]))
    room = int((np.diff(cuts) // length).sum() / each * steps) // shown
    if room < questions:
        warnings.warn(
            f"of {questions} questions about {room} will be asked: no step is in two of them, and no segment of"
            f" questions.length={length} goes past the end of an episode or of a turn ({turn} steps of each environment)."
            " Lower questions.length, or raise steps",
            stacklevel=3,
        )


def _check_cuts(config: Config, steps: int, longest: int) -> None:
    """Warn where checkpoints, at which episodes are cut, come so often that no episode would finish."""
    cut = cut_every(config, config.agent.turn_steps, config.agent.n_envs)
    if cut and longest > cut:
        turn = config.agent.turn_steps // config.agent.n_envs  # steps of each environment
        fits = steps // config.agent.turn_steps // -(-longest // turn)
        remedy = f"set it to {fits} or less" if fits else "set it to 0"
        warnings.warn(
            f"{config.env} has episodes of {longest} steps, and with record.checkpoints={config.record.checkpoints} they"
            f" are cut every {cut}, so none would finish; {remedy}, or raise steps",
            stacklevel=2,
        )

"""All parts of a run, made from its settings and the user's own parts."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from stable_baselines3.common.base_class import BaseAlgorithm

from prefrl.agents.agent import Agent
from prefrl.config.settings import Config
from prefrl.core.errors import UserError
from prefrl.environments.recorder import Recorder
from prefrl.loop import Learner
from prefrl.queries.asker import Asker
from prefrl.rewards.bonuses import PaidReward
from prefrl.rewards.controls import TrueReward
from prefrl.rewards.encoding import is_image
from prefrl.rewards.model import RewardModel
from prefrl.runs import build
from prefrl.runs.build import Own
from prefrl.runs.metrics import Log
from prefrl.runs.notices import TrainerNotices
from prefrl.runs.progress import Progress
from prefrl.store.store import LabelStore, open_store
from prefrl.teachers.human import HumanTeacher, Person
from prefrl.teachers.replay import Replay, ReplayTeacher
from prefrl.teachers.stored import AnswerFunction, StoredTeacher


@dataclass
class Parts:
    """The parts that the preference loop connects, and the run's store, log and notices."""

    agent: Agent
    recorder: Recorder  # the agent's memory
    reward_model: RewardModel | TrueReward  # or the control in its place
    paid: PaidReward  # its rewards and a bonus
    learner: Learner  # learns from feedback: the reward model, or the agent itself
    asker: Asker
    store: LabelStore
    teacher: StoredTeacher
    log: Log
    progress: Progress
    notices: TrainerNotices | None  # for people who label


def make_parts(folder: Path, config: Config, own: Own, quiet: bool = False) -> Parts:
    """Make all parts, untrained. Nothing is written but an empty label store."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # weights differ between thread counts, and small networks gain nothing from more
    agent = build.make_agent(config, own)
    recorder = agent.memory
    if is_image(recorder.observation_space):  # convolutions gain from threads
        torch.set_num_threads(threads)
    reward_model = build.make_reward_model(config, own, recorder)
    paid = PaidReward(reward_model, config.reward)
    learner = cast(Learner, agent if build.learns_itself(config) else reward_model)
    asker = Asker(
        config.questions, agent.total_steps, config.seed, own.strategy or config.questions.strategy, own.schedule
    )
    asks = build.asks(config)
    if not asks:
        asker.budget = 0
    labeller, function = build.make_answer_function(config, own, recorder)
    store, log = open_store(folder, config), Log()
    progress = Progress(agent, asker, log, quiet)
    notices = None
    if asks and isinstance(function, Person):
        asker.at_once = config.teacher.wait
        predictor = reward_model if isinstance(reward_model, RewardModel) else None
        notices = TrainerNotices(agent, asker, predictor, store, log, config.teacher.queue, progress.say)
    teacher = _make_teacher(config, store, function, labeller, agent, notices)
    if asks and not notices and not isinstance(own.agent, BaseAlgorithm):  # a model's environments are left as they are
        _note_openings(recorder, teacher)
    return Parts(agent, recorder, reward_model, paid, learner, asker, store, teacher, log, progress, notices)


def _make_teacher(
    config: Config, store: LabelStore, function: AnswerFunction, labeller: str, agent: Agent,
    notices: TrainerNotices | None,
) -> StoredTeacher:  # fmt: skip
    if notices:
        origins = agent.memory.origins
        return HumanTeacher(store, config.seed, config.teacher, agent.total_steps, notices.waiting, origins)
    if isinstance(function, Replay):
        return ReplayTeacher(store, function, config.seed, config.teacher)
    return StoredTeacher(store, function, labeller, config.seed)


def _note_openings(recorder: Recorder, teacher: StoredTeacher) -> None:
    """Note how episodes begin, which is cheap, so that segments that an oracle was asked about can be redrawn."""
    with suppress(UserError):  # environments without such notes cannot be redrawn, and need not be
        recorder.note_openings(recorder.cheapest_notes())
        teacher.origins = recorder.origins

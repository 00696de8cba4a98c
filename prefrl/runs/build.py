"""Make a run, each of its parts from the names in its settings or from the user's own objects; and prepare it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv
from torch import nn

from prefrl.agents import AGENTS, agent_maker
from prefrl.agents.agent import Agent, torch_device
from prefrl.config.settings import Config, RewardConfig
from prefrl.core.errors import UserError, pick
from prefrl.core.libraries import leave_out_compiler, use_one_thread
from prefrl.core.observations import shapes
from prefrl.core.streams import number, stream
from prefrl.environments.making import MakeEnv, env_maker
from prefrl.environments.native_atari import NativeAtari
from prefrl.environments.recorder import Recorder
from prefrl.environments.vector import make_venv
from prefrl.loop import Learner
from prefrl.mechanisms import make_mechanisms
from prefrl.queries.asker import Asker
from prefrl.rendering.check import film, prepare
from prefrl.rendering.drawing import CannotDraw
from prefrl.rendering.redraw import Unfaithful
from prefrl.rewards.bonuses import PaidReward
from prefrl.rewards.controls import ConstantReward, RandomReward, TrueReward
from prefrl.rewards.encoding import INPUTS, Features, Pictures, is_image, pictures_in
from prefrl.rewards.mixed import Mixed
from prefrl.rewards.model import RewardModel
from prefrl.rewards.networks import ALL_NETWORKS, MIXED_NETWORKS, PICTURE_NETWORKS, default_network
from prefrl.rewards.own_network import checked
from prefrl.runs import recordings
from prefrl.runs.metrics import Log
from prefrl.runs.own import Own
from prefrl.runs.progress import Progress, TrainerNotices
from prefrl.runs.run import Run
from prefrl.store.store import open_store
from prefrl.teachers import make_teacher, recorded, synthetic
from prefrl.teachers.human import HumanTeacher, Person
from prefrl.teachers.replay import Replay, ReplayTeacher
from prefrl.teachers.stored import AnswerFunction, Shuffled, StoredTeacher


def make_run(
    folder: Path, config: Config, own: Own, callbacks: Sequence[BaseCallback] = (), quiet: bool = False
) -> Run:
    """Make a run with all its parts, untrained. Nothing is written but an empty label store."""
    threads = torch.get_num_threads()
    use_one_thread()
    agent = make_agent(config, own)
    if hasattr(agent, "callbacks"):
        agent.callbacks = list(callbacks)
    elif callbacks:
        raise UserError(f"callbacks= are called by Stable-Baselines3, and {type(agent).__name__} is none of its agents")
    recorder = agent.memory
    if is_image(recorder.observation_space):  # convolutions gain from threads
        torch.set_num_threads(threads)
    reward_model = make_reward_model(config, own, recorder)
    learner = cast(Learner, agent if learns_itself(config) else reward_model)
    asker = Asker(config.questions, agent.total_steps, config.seed, own.strategy, own.schedule)
    labeller, function = make_answer_function(config, own, recorder)
    store, log = open_store(folder, config), Log()
    progress = Progress(agent, asker, log, quiet)
    notices = None
    if asks(config) and isinstance(function, Person):
        asker.at_once = config.teacher.wait
        predictor = reward_model if isinstance(reward_model, RewardModel) else None
        notices = TrainerNotices(agent, asker, predictor, store, log, config.teacher.queue, progress.show_state)
        teacher: StoredTeacher = HumanTeacher(
            store, config.seed, config.teacher, agent.total_steps, notices.waiting, recorder.origins
        )
    elif isinstance(function, Replay):
        teacher = ReplayTeacher(store, function, config.seed, config.teacher)
    else:
        teacher = StoredTeacher(store, function, labeller, config.seed)
    if not asks(config):
        asker.budget = 0
    elif not notices and not isinstance(own.agent, BaseAlgorithm):  # a model's environments are left as they are
        with suppress(UserError):  # environments without such notes cannot be redrawn, and need not be
            recorder.note_openings(recorder.cheapest_notes())  # to redraw segments that an oracle was asked about
            teacher.origins = recorder.origins
    paid = PaidReward(reward_model, config.reward)
    return Run(folder, config, own, agent, reward_model, paid, learner, asker, store, teacher, log, progress, notices)


def prepare_run(run: Run) -> None:
    """Prepare a run with a human or replay teacher; others need nothing. After `restore`, before `learn`."""
    if isinstance(run.teacher, ReplayTeacher) and asks(run.config):
        _read_recording(run, run.teacher)
    if run.notices:
        _prepare_drawing(run)


def _read_recording(run: Run, teacher: ReplayTeacher) -> None:
    """Read the recording to replay, and begin episodes in the same way as the recorded run."""
    recording, notes = recordings.read(run.config, teacher.function.until)
    recordings.require_shapes(
        recording, shapes(run.recorder.memory.observations, 2), run.recorder.action_space.shape or ()
    )
    teacher.function.until = recording.last_seq
    if recording.from_people:
        run.asker.at_once = run.config.teacher.wait
    if notes == "film":
        _film(run)
    elif notes == "seed" and recording.from_people:
        with suppress(CannotDraw):  # without a renderer, assume that the generator's state was noted
            _prepare_drawing(run)
    teacher.take(recording, run.agent.step)


def _prepare_drawing(run: Run) -> None:
    if run.own.env is None:
        try:
            return prepare(run.recorder, partial(maker, run.config, run.own), run.config.seed)
        except Unfaithful as fault:
            warnings.warn(f"{fault}. One environment is filmed at every step instead, which is slower", stacklevel=2)
    _film(run)


def _film(run: Run) -> None:
    make_env, megabytes = partial(maker, run.config, run.own), run.config.record.frames_mb
    run.teacher.origins = film(run.recorder, make_env, megabytes, run.folder, run.store.files)


def maker(config: Config, own: Own, render_mode: str | None = None) -> MakeEnv:
    """How to make one environment."""
    return env_maker(own.env or config.env, render_mode, config.pixels)


def vector_env(config: Config, own: Own) -> VecEnv:
    """The environments of a run, side by side."""
    if not config.pixels.native:
        return make_venv(maker(config, own), config.agent.n_envs)
    if own.env is not None:
        raise UserError("pixels.native is for Atari games by name, and env= is a function; leave one of them out")
    if config.teacher.name == "human" and config.reward.source == "learned":
        raise UserError("people need clips, and with pixels.native none can be drawn; leave it out")
    maker(config, own)().close()  # for the checks that only single environments make
    return NativeAtari(config.env, config.agent.n_envs, config.pixels)


def make_reward_model(config: Config, own: Own, recorder: Recorder) -> RewardModel | TrueReward:
    """The reward model, or the control that replaces it."""
    settings = config.reward
    if learns_itself(config):
        return ConstantReward(0.0)
    if settings.source == "true":
        return TrueReward(settings.scale, settings.raw)
    if settings.source in ("zero", "constant"):
        return ConstantReward(settings.constant if settings.source == "constant" else 0.0)
    features = _features(config, recorder, bool(own.reward_network))
    size = features.size
    network = checked(own.reward_network, size) if own.reward_network else _network(settings, size)
    torch.manual_seed(number(config.seed, "reward"))  # the same networks whatever agent was made before
    device = torch_device(config.agent.device, recorder)
    unlabelled = partial(recorder.cut_segments, config.questions.length)
    make = RandomReward if settings.source == "random" else RewardModel
    model = make(settings, features, network, config.seed, device, unlabelled)
    recorder.context = settings.context if model.ensemble.sequential else 0
    return model


def _features(config: Config, recorder: Recorder, own_network: bool) -> Features | Pictures | Mixed:
    """The reward network's inputs: pictures if observations are pictures, unless a network for vectors was named."""
    space, inputs = recorder.observation_space, config.reward.inputs
    name = "auto" if own_network else config.reward.network
    if isinstance(space, spaces.Dict) and pictures_in(space) and name in ("auto", *MIXED_NETWORKS):
        if "observation" in pick(INPUTS, inputs, "reward input"):
            return Mixed(space, recorder.action_space, inputs)
    elif name in MIXED_NETWORKS:
        raise UserError(f"reward.network={name!r} is for a Dict with pictures in it, and observations are {space};"
                        " leave it at auto")  # fmt: skip
    kind = Pictures if name in PICTURE_NETWORKS or (name == "auto" and is_image(space)) else Features
    return kind(space, recorder.action_space, inputs)


def _network(settings: RewardConfig, size: int | tuple[int, ...]) -> Callable[..., nn.Module]:
    name = default_network(size) if settings.network == "auto" else settings.network
    named = pick(ALL_NETWORKS, name, "reward network")[0]

    def make(size: int | tuple[int, ...]) -> nn.Module:
        try:
            return named(size, hidden=settings.hidden)
        except RuntimeError as fault:  # convolutions that leave nothing of a picture
            raise UserError(
                f"reward.network={name!r} cannot take pictures of shape {size} ({fault}); choose"
                " small_cnn, or larger pictures (--pixels.size)"
            ) from fault

    return make


def make_answer_function(config: Config, own: Own, recorder: Recorder) -> tuple[str, AnswerFunction]:
    """The labeller's name under which answers are stored, and the function that answers."""
    t = config.teacher
    if own.teacher is not None:
        name, function = getattr(own.teacher, "__name__", type(own.teacher).__name__), own.teacher
    else:
        name = t.name
        named = partial(
            make_teacher, beta=t.beta, gamma=t.gamma, mistake=t.mistake, skip=t.skip, equal=t.equal, units=t.units,
            rng=stream(config.seed, "teacher"), recent_return=recorder.recent_return,
        )  # fmt: skip
        function = named(t.name) if not recorded(t.name) else Replay(named("oracle") if t.unknown == "oracle" else None)
    if config.reward.source == "shuffled":
        if not synthetic(t.name):
            raise UserError("reward.source='shuffled' deals answers out as they are given; people give them later")
        return f"shuffled {name}", Shuffled(function, config.seed)
    return name, function


def make_agent(config: Config, own: Own) -> Agent:
    """The agent in its environments, with its mechanisms."""
    leave_out_compiler()
    mechanisms = make_mechanisms(config, own.mechanisms)
    return agent_maker.make_agent(config, own.agent, maker(config, own), partial(vector_env, config, own), mechanisms)


def check_parts(config: Config) -> None:
    """Make agent and reward model once, with few environments, so that errors come before the run starts."""
    few = min(2, config.agent.n_envs)
    megabytes = config.record.memory_mb * few / config.agent.n_envs
    small = replace(config, agent=replace(config.agent, n_envs=few), record=replace(config.record, memory_mb=megabytes))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the run itself will warn
        recorder = make_agent(small, Own()).memory
        make_reward_model(small, Own(), recorder)
    recorder.close()


def learns_itself(config: Config) -> bool:
    """Whether the agent learns from feedback directly, without a reward model."""
    return pick(AGENTS, config.agent.algorithm, "agent.algorithm").learns


def asks(config: Config) -> bool:
    """Whether the run asks questions: controls other than `shuffled` ask none."""
    return (config.reward.source in ("learned", "shuffled") or learns_itself(config)) and config.questions.budget > 0

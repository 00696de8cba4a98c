"""A run: a folder that explains itself, the parts put together, and a way to go on after a kill."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter, Logger

from prefrl.runs import build, checkpoint, recordings
from prefrl.agents.on_policy import Agent, Watcher
from prefrl.core.tensors import Tensors, pack_optimiser, unpack_optimiser
from prefrl.environments.watchdog import watching
from prefrl.runs.progress import Progress
from prefrl.runs.build import Own
from prefrl.runs.notices import TrainerNotices
from prefrl.config.settings import Config
from prefrl.core.errors import UserError
from prefrl.rendering.drawing import CannotDraw
from prefrl.store.database import name_of
from prefrl.store.store import open_store
from prefrl.rendering.check import film, prepare
from prefrl.rendering.redraw import Unfaithful
from prefrl.loop import PreferenceLoop
from prefrl.runs.metrics import Log, MetricsFile, TensorBoardFile
from prefrl.queries.asker import Asker
from prefrl.rewards.model import FitReport
from prefrl.rewards.pictures import is_image
from prefrl.runs.stopping import stoppable
from prefrl.teachers.stored import StoredTeacher
from prefrl.teachers.human import HumanTeacher, Person
from prefrl.teachers.replay import ReplayTeacher, Replay

MOMENTS = ("mean", "var", "count")  # of observations, where the user's agent normalises them


class Run(Watcher):
    """All parts of one run. `learn` runs it to its end; `save` and `restore` are its checkpoints."""

    def __init__(
        self, folder: Path, config: Config, own: Own, callbacks: Sequence[BaseCallback] = (), quiet: bool = False
    ):
        self.folder, self.config, self.own = folder, config, own
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # weights differ between thread counts, and small networks gain nothing from more
        self.model, self.recorder = build.make_recorded_agent(config, own)
        if is_image(self.recorder.observation_space):  # convolutions do
            torch.set_num_threads(threads)
        self.total_steps = build.total_steps(config, self.model)
        self.recorder.cut_every = build.cut_every(config, self.model)
        self.reward_model = build.make_reward_model(config, own, self.recorder)
        strategy = own.strategy or config.questions.strategy
        self.asker = Asker(config.questions, self.total_steps, config.seed, strategy, own.schedule)
        if not build.asks(config):
            self.asker.budget = 0
        labeller, judge = build.make_judge(config, own, self.recorder)
        self.judge = judge
        self.store = open_store(folder, config)
        self.progress = Progress(self, quiet)
        self.notices = TrainerNotices(self) if isinstance(judge, Person) and build.asks(config) else None
        self.teacher = StoredTeacher(self.store, judge, labeller, config.seed)
        if isinstance(judge, Replay):
            self.teacher = ReplayTeacher(self.store, judge, config.seed, config.teacher)
        if self.notices:
            self.teacher = HumanTeacher(
                self.store, config.seed, config.teacher, self.total_steps, self.notices.waiting, self.recorder.origins
            )
            self.asker.at_once = config.teacher.wait
        elif build.asks(config) and not isinstance(own.agent, BaseAlgorithm):
            self._note_openings()  # the user's own environments are left as they are
        plain = config.reward.source == "true" and config.reward.raw  # as SB3 pays it
        self.agent = Agent(
            self.model,
            self.recorder,
            self.total_steps,
            config.seed,
            callbacks,
            self,
            0.0 if plain else config.agent.bounds,
        )
        self.last_fit: FitReport | None = None
        self.restored = -1  # the step of the checkpoint that the run went on from
        self.moments: dict[str, Any] = {}  # of observations, as that checkpoint had them
        self.episodes: list[tuple[float, int]] = []  # a resumed run's log of true returns goes on with these,
        self.pending: dict[str, float] = {}  # and with what SB3 had noted for its next row
        self.log = Log(Logger(None, []))

    def _open_log(self) -> None:
        """Write metrics from here on; those of steps that a resumed run goes over again are dropped."""
        writers: list[KVWriter] = [MetricsFile(self.folder / "metrics.csv", self.agent.step)]
        if self.config.record.tensorboard:
            writers.append(TensorBoardFile(self.folder / "tensorboard", self.agent.step))
        self.log = Log(Logger(str(self.folder), writers))
        self.log.last_fit = self.last_fit
        for name, value in self.pending.items():
            self.log.logger.record(name, value)
        self.model.set_logger(self.log.logger)

    def _note_openings(self) -> None:
        """So that people can be shown later what an oracle was asked about. It costs next to nothing."""
        with suppress(UserError):  # environments that keep to themselves cannot be drawn, and need not be
            self.recorder.note_openings(self.recorder.cheapest_notes())
            self.teacher.origins = self.recorder.origins

    def prepare(self) -> None:
        """Where people are asked: make sure that they can be shown what happened, exactly. Before `learn`."""
        if isinstance(self.teacher, ReplayTeacher) and build.asks(self.config):
            self._take_recording(self.teacher)
        if self.notices:
            self._prepare_drawing()

    def _take_recording(self, desk: ReplayTeacher) -> None:
        """Read what is to be replayed, and let episodes begin as they began for those who were asked then."""
        found, notes = recordings.read(self.config, desk.function.until)
        shapes = (self.recorder.observation_space.shape or (), self.recorder.action_space.shape or ())
        recordings.require_shapes(found, *shapes)
        desk.function.until = found.last_seq
        if found.from_people:
            self.asker.at_once = self.config.teacher.wait
        if notes == "film":
            self._film()
        elif notes == "seed" and found.from_people:
            with suppress(CannotDraw):  # whoever cannot draw here has to believe that the generator's state was noted
                self._prepare_drawing()
        desk.take(found, self.agent.step)

    def _prepare_drawing(self) -> None:
        maker = partial(build.maker, self.config, self.own)
        if self.own.env is None:
            try:
                return prepare(self.recorder, maker, self.config.seed)
            except Unfaithful as fault:
                warnings.warn(
                    f"{fault}. One environment is filmed at every step instead, which is slower", stacklevel=2
                )
        self._film()

    def _film(self) -> None:
        maker = partial(build.maker, self.config, self.own)
        self.teacher.origins = film(self.recorder, maker, self.config.record.frames_mb, self.folder, self.store.files)

    def learn(self) -> None:
        """Run to the end, checkpoint there, and close what is open."""
        self._open_log()
        loop = PreferenceLoop(self.agent, self.asker, self.teacher, self.reward_model, self.log)
        before = self.agent.step
        try:
            with stoppable(self.folder), watching(self.recorder, self.config.record.step_timeout), self._telling():
                loop.run()
            if self.agent.step > before:  # a finished run's last checkpoint is not put at risk by writing it again
                self.agent.check_weights()
                self.save()
        finally:
            self.close()

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """People who label are told when there is nobody left to label for."""
        if not self.notices:
            yield
            return
        try:
            yield
            self.notices.finish()
        except BaseException:
            self.notices.post("stopped")
            raise

    def close(self) -> None:
        self.store.close()
        self.log.logger.close()
        self.recorder.close()

    def start(self) -> None:
        assert self.model.ep_info_buffer is not None  # SB3 has just set it up
        self.model.ep_info_buffer.extend({"r": reward, "l": length, "t": 0.0} for reward, length in self.episodes)
        self._restore_moments()
        self.progress.start()
        if self.notices:
            self.notices.start()

    def _restore_moments(self) -> None:
        """Undo what SB3's reset at the start of `learn` has just added to the statistics of a resumed run."""
        normaliser = self.model.get_vec_normalize_env()
        if normaliser is not None and self.moments:
            for name, value in self.moments.items():
                setattr(normaliser.obs_rms, name, value)
            self.model._last_obs = normaliser.normalize_obs(normaliser.get_original_obs())  # type: ignore[assignment]

    def rollout(self) -> None:
        self.progress.show()
        if self.notices:
            self.notices.rollout()

    def boundary(self) -> None:
        self.log.forget_episodes()
        if self.agent.step != self.restored:  # what was just read need not be written
            self.save()

    def end(self) -> None:
        self.progress.close()

    def save(self) -> Path:
        """A checkpoint of this step. Valid only where episodes were just cut, or at the end."""
        policy, optimiser = self.model.policy.state_dict(), self.model.policy.optimizer
        tensors = {f"policy.{name}": values for name, values in policy.items()}
        packed, groups = pack_optimiser(optimiser, "policy_optimiser.")
        tensors |= packed
        if (normaliser := self.model.get_vec_normalize_env()) is not None:
            tensors |= {
                f"normaliser.{name}": torch.as_tensor(np.asarray(getattr(normaliser.obs_rms, name), float))
                for name in MOMENTS
            }
        state: dict[str, Any] = {
            "step": self.agent.step,
            "n_updates": self.model._n_updates,
            "policy_groups": groups,
            "episodes": [[float(e["r"]), int(e["l"])] for e in self.model.ep_info_buffer or ()],
            "pending": {name: float(value) for name, value in self.log.logger.name_to_value.items()},
            "finished": self.recorder.finished,
            "last_fit": asdict(self.log.last_fit) if self.log.last_fit else None,
            "spaces": self._spaces(),
            "asker": self.asker.state(),
            "seen": self.teacher.seen,
            "teacher": self.judge.state() if hasattr(self.judge, "state") else {},
        }
        tensors |= {f"reward.{name}": values for name, values in self.reward_model.tensors().items()}
        state["reward"] = self.reward_model.state()
        return checkpoint.write(self.folder / "checkpoints", self.agent.step, tensors, state, self.config.record.keep)

    def restore(self, path: Path | None = None) -> int:
        """Go back to a checkpoint, by default the newest. Returns its step; 0 if there is none, and the run starts anew."""
        read = checkpoint.read(path) if path else checkpoint.read_newest(self.folder / "checkpoints")
        if read is None:
            return 0
        try:
            return self._take_up(*read)
        except UserError:
            raise
        except (KeyError, RuntimeError, TypeError, ValueError) as fault:
            raise UserError(
                f"the checkpoint in {self.folder} does not fit its config.yaml: {fault}. Was the file changed since?"
            ) from fault

    def _take_up(self, tensors: Tensors, state: dict[str, Any]) -> int:
        if state["spaces"] != self._spaces():
            raise ValueError(f"{self.config.env} has spaces {self._spaces()}, the checkpoint {state['spaces']}")
        self.model.policy.load_state_dict(_part(tensors, "policy."))
        unpack_optimiser(self.model.policy.optimizer, "policy_optimiser.", tensors, state["policy_groups"])
        self.model.num_timesteps, self.model._n_updates = state["step"], state["n_updates"]
        self.recorder.begin_at(state["step"] // self.recorder.num_envs)
        self.recorder.finished = [(r, n) for r, n in state["finished"]]
        self.asker.restore(state["asker"])
        if hasattr(self.judge, "restore"):
            self.judge.restore(state["teacher"])
        self._restore_reward(tensors, state)
        if (normaliser := self.model.get_vec_normalize_env()) is not None:
            self.moments = {name: tensors[f"normaliser.{name}"].numpy() for name in MOMENTS}
            for name, value in self.moments.items():
                setattr(normaliser.obs_rms, name, value)
        self.restored = int(state["step"])
        self.last_fit = FitReport(**state["last_fit"]) if state["last_fit"] else None
        self.episodes, self.pending = state["episodes"], state["pending"]
        return int(state["step"])

    def require_labels(self) -> None:
        """Raise UserError if the label store lacks what the checkpoint, to which the run went back, had asked or heard."""
        asked, last, heard = self.store.asked(self.restored), self.store.last_seq(), self.teacher.seen
        if asked < self.asker.asked or last < heard:
            raise UserError(
                f"{name_of(self.store.engine)} has lost labels: by step {self.restored} the run had asked"
                f" {self.asker.asked} questions and heard answer {heard}, it holds {asked} questions and ends at answer"
                f" {last}; put a copy back (RUN/backups has some if people labelled) after removing labels.db-wal and labels.db-shm,"
                f" and remove the checkpoints that are newer than the copy, or start a new run"
            )

    def _spaces(self) -> list[str]:
        return [str(self.recorder.observation_space), str(self.recorder.action_space)]

    def _restore_reward(self, tensors: Tensors, state: dict[str, Any]) -> None:
        self.teacher.seen = state["seen"]
        for feedback in self.teacher.standing():
            self.reward_model.hear(feedback)
        self.reward_model.restore(_part(tensors, "reward."), state["reward"])


def _part(tensors: Tensors, prefix: str) -> Tensors:
    return {name.removeprefix(prefix): values for name, values in tensors.items() if name.startswith(prefix)}

"""A run: its parts connected by the preference loop, and its checkpoints."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from prefrl.agents.agent import Agent, Watcher
from prefrl.config.settings import Config
from prefrl.core.errors import Stopped, UserError
from prefrl.core.tensors import State, Tensors
from prefrl.environments.recorder import Recorder
from prefrl.loop import Learner, PreferenceLoop
from prefrl.queries.asker import Asker
from prefrl.rewards.base import FitReport
from prefrl.rewards.bonuses import PaidReward
from prefrl.rewards.controls import TrueReward
from prefrl.rewards.model import RewardModel
from prefrl.runs import checkpoint
from prefrl.runs.metrics import Log
from prefrl.runs.own import Own
from prefrl.runs.progress import Progress, TrainerNotices
from prefrl.store.database import name_of
from prefrl.store.store import LabelStore
from prefrl.teachers.stored import StoredTeacher


class Restorable(Protocol):
    """A part of a run that has a state."""

    def tensors(self) -> Tensors: ...
    def state(self) -> State: ...
    def restore(self, tensors: Tensors, state: State) -> None: ...


@dataclass(eq=False, repr=False)
class Run:
    """One run in its folder. `learn` runs it to its end; `restore` goes back to a checkpoint first."""

    folder: Path
    config: Config
    own: Own
    agent: Agent
    reward_model: RewardModel | TrueReward  # or the control in its place
    paid: PaidReward  # its rewards and a bonus
    learner: Learner  # learns from feedback: the reward model, or the agent itself
    asker: Asker
    store: LabelStore
    teacher: StoredTeacher
    log: Log
    progress: Progress
    notices: TrainerNotices | None  # for people who label
    restored: int = -1  # step of the checkpoint that the run went on from

    def __post_init__(self) -> None:
        self.agent.watcher = _TurnWatcher(self)

    @property
    def recorder(self) -> Recorder:
        """The agent's environments, and their latest steps."""
        return self.agent.memory

    @property
    def model(self) -> Any:
        """The SB3 model; of other agents the agent itself."""
        return getattr(self.agent, "model", self.agent)

    @property
    def total_steps(self) -> int:
        return self.agent.total_steps

    def learn(self) -> None:
        """Run to the end, checkpoint there, and close what is open."""
        before = self.agent.step
        self.log.open(self.folder, before, self.config.record.tensorboard)
        self.agent.log_to(self.log.logger)
        loop = PreferenceLoop(
            self.agent, self.asker, self.teacher, self.learner, self.reward_model, self.paid, self.log
        )
        posting_end = self.notices.posting_end() if self.notices else nullcontext()
        try:
            with stoppable(self.folder), self.recorder.watched(self.config.record.step_timeout), posting_end:
                loop.run()
            if self.agent.step > before:  # a finished run's last checkpoint is not put at risk by writing it again
                self.agent.check()
                self.save()
        finally:
            self.close()

    def close(self) -> None:
        self.store.close()
        self.log.logger.close()
        self.recorder.close()

    # -- checkpoints

    def save(self) -> Path:
        """Write a checkpoint of this step. Valid only where episodes were just cut, or at the end."""
        step, parts = self.agent.step, self._restorable()
        taken = tuple(prefix for prefix, _ in parts.values() if prefix)
        if clash := [name for name in self.agent.tensors() if name.startswith(taken)]:
            raise ValueError(f"the agent's tensor {clash[0]!r} needs another name: {taken} are those of other parts")
        tensors = {prefix + name: values for prefix, part in parts.values() for name, values in part.tensors().items()}
        state = {
            "step": step,
            **{name: part.state() for name, (_, part) in parts.items()},
            "asker": self.asker.state(),
            "seen": self.teacher.seen,
            "teacher": self.teacher.function.state() if hasattr(self.teacher.function, "state") else {},
            "finished": self.recorder.finished,
            "spaces": self._spaces(),
            "pending": self.log.pending(),
            "last_fit": asdict(self.log.last_fit) if self.log.last_fit else None,
        }
        return checkpoint.write(self.folder / "checkpoints", step, tensors, state, self.config.record.keep)

    def restore(self, path: Path | None = None) -> int:
        """Go back to a checkpoint, by default the newest. Returns its step; 0 if there is none, and the run starts anew."""
        contents = checkpoint.read(path) if path else checkpoint.read_newest(self.folder / "checkpoints")
        if contents is None:
            return 0
        try:
            self._restore_parts(*contents)
        except UserError:
            raise
        except (KeyError, RuntimeError, TypeError, ValueError) as fault:
            raise UserError(
                f"the checkpoint in {self.folder} does not fit its config.yaml: {fault}. Was the file changed since?"
            ) from fault
        self.restored = int(contents[1]["step"])
        return self.restored

    def _restore_parts(self, tensors: Tensors, state: State) -> None:
        if state["spaces"] != self._spaces():
            raise ValueError(f"{self.config.env} has spaces {self._spaces()}, the checkpoint {state['spaces']}")
        self.recorder.begin_at(state["step"] // self.recorder.num_envs)
        self.recorder.finished = [(r, n) for r, n in state["finished"]]
        self.asker.restore(state["asker"])
        if hasattr(self.teacher.function, "restore"):
            self.teacher.function.restore(state["teacher"])
        self.teacher.seen = state["seen"]
        for feedback in self.teacher.standing():
            self.learner.hear(feedback)
        parts = self._restorable()
        taken = tuple(prefix for prefix, _ in parts.values() if prefix)
        of_agent = {name: values for name, values in tensors.items() if not name.startswith(taken)}
        for name, (prefix, part) in parts.items():
            own = {key.removeprefix(prefix): values for key, values in tensors.items() if key.startswith(prefix)}
            # the first release had the agent's state among the rest, and neither bonus nor mechanisms
            part.restore(own if prefix else of_agent, state.get(name, {} if prefix else state))
        self.log.last_fit = FitReport(**state["last_fit"]) if state["last_fit"] else None
        self.log.note(state["pending"])

    def _restorable(self) -> dict[str, tuple[str, Restorable]]:
        """By name in a checkpoint's state, in the order in which they are restored: the prefix of a part's tensors, and
        the part. The agent's tensors have none."""
        return {
            "reward": ("reward.", self.reward_model),
            "bonus": ("bonus.", self.paid.bonus),
            "agent": ("", self.agent),
            "mechanisms": ("mechanism.", self.agent.mechanisms),
        }

    def require_labels(self) -> None:
        """Raise UserError if the label store lacks what the checkpoint, to which the run went back, had asked or read."""
        step, seen = self.restored, self.teacher.seen
        asked, last = self.store.asked(step), self.store.last_seq()
        if asked < self.asker.asked or last < seen:
            raise UserError(
                f"{name_of(self.store.engine)} has lost labels: by step {step} the run had asked"
                f" {self.asker.asked} questions and read answer {seen}, it holds {asked} questions and ends at answer"
                f" {last}; put a copy back (RUN/backups has some if people labelled) after removing labels.db-wal and labels.db-shm,"
                f" and remove the checkpoints that are newer than the copy, or start a new run"
            )

    def _spaces(self) -> list[str]:
        return [str(self.recorder.observation_space), str(self.recorder.action_space)]


class _TurnWatcher(Watcher):
    """Between two turns of the agent: shows progress, posts notices, and writes a checkpoint where episodes were cut."""

    def __init__(self, run: Run):
        self.run = run

    def start(self) -> None:
        self.run.progress.start()
        if self.run.notices:
            self.run.notices.start()

    def turn(self) -> None:
        self.run.progress.show()
        if self.run.notices:
            self.run.notices.turn()

    def cut(self) -> None:
        self.run.log.forget_episodes()
        if self.run.agent.step != self.run.restored:  # else this checkpoint was just restored
            self.run.save()

    def end(self) -> None:
        self.run.progress.close()


@contextmanager
def stoppable(folder: Path) -> Iterator[None]:
    """Ctrl-C and SIGTERM raise Stopped, which says how to go on; where signals are not ours to handle, nothing changes."""

    def stop(number: int, _: object) -> None:
        raise Stopped(number, folder)

    try:
        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread: whoever is there handles signals
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

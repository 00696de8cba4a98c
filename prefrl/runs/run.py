"""A run: its parts connected by the preference loop, with checkpoints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback

from prefrl.agents.agent import Watcher
from prefrl.config.settings import Config
from prefrl.core.errors import UserError
from prefrl.loop import PreferenceLoop
from prefrl.runs.build import Own
from prefrl.runs.parts import Parts, make_parts
from prefrl.runs.preparing import Preparation
from prefrl.runs.saving import Saving
from prefrl.runs.stopping import stoppable


class Run:
    """One run in its folder. `learn` runs it to its end; `restore` goes back to a checkpoint first."""

    def __init__(
        self, folder: Path, config: Config, own: Own, callbacks: Sequence[BaseCallback] = (), quiet: bool = False
    ):
        self.folder, self.config, self.own = folder, config, own
        self.parts = p = make_parts(folder, config, own, quiet)
        self.agent, self.recorder, self.reward_model, self.learner = p.agent, p.recorder, p.reward_model, p.learner
        self.asker, self.teacher, self.store, self.log = p.asker, p.teacher, p.store, p.log
        self.saving = Saving(folder, config, p)
        self.agent.watcher = _TurnWatcher(p, self.saving)
        _take_callbacks(self.agent, callbacks)

    @property
    def model(self) -> Any:
        """The SB3 model; of other agents the agent itself."""
        return getattr(self.agent, "model", self.agent)

    @property
    def total_steps(self) -> int:
        return self.agent.total_steps

    @property
    def restored(self) -> int:
        """The step of the checkpoint that the run went on from; -1: none."""
        return self.saving.restored

    def prepare(self) -> None:
        """Find an exact way to redraw segments if people are asked, and read a recording to replay. Before `learn`."""
        Preparation(self.folder, self.config, self.own, self.parts).prepare()

    def learn(self) -> None:
        """Run to the end, checkpoint there, and close what is open."""
        before = self.agent.step
        self.log.open(self.folder, before, self.config.record.tensorboard)
        self.agent.log_to(self.log.logger)
        loop = PreferenceLoop(
            self.agent, self.asker, self.teacher, self.learner, self.reward_model, self.parts.paid, self.log
        )
        try:
            with stoppable(self.folder), self.recorder.watched(self.config.record.step_timeout), self._posting_end():
                loop.run()
            if self.agent.step > before:  # a finished run's last checkpoint is not put at risk by writing it again
                self.agent.check()
                self.saving.save()
        finally:
            self.close()

    @contextmanager
    def _posting_end(self) -> Iterator[None]:
        """Post to labellers that training has finished or stopped."""
        notices = self.parts.notices
        if not notices:
            yield
            return
        try:
            yield
            notices.finish()
        except BaseException:
            notices.post("stopped")
            raise

    def restore(self, path: Path | None = None) -> int:
        """Go back to a checkpoint, by default the newest. Returns its step; 0 if there is none, and the run starts anew."""
        return self.saving.restore(path)

    def require_labels(self) -> None:
        """Raise UserError if the label store lacks what the checkpoint, to which the run went back, had asked or heard."""
        self.saving.require_labels()

    def close(self) -> None:
        self.store.close()
        self.log.logger.close()
        self.recorder.close()


class _TurnWatcher(Watcher):
    """Between two turns of the agent: shows progress, posts notices, and writes a checkpoint where episodes were cut."""

    def __init__(self, parts: Parts, saving: Saving):
        self.parts, self.saving = parts, saving

    def start(self) -> None:
        self.parts.progress.start()
        if self.parts.notices:
            self.parts.notices.start()

    def turn(self) -> None:
        self.parts.progress.show()
        if self.parts.notices:
            self.parts.notices.turn()

    def cut(self) -> None:
        self.parts.log.forget_episodes()
        if self.parts.agent.step != self.saving.restored:  # else this checkpoint was just restored
            self.saving.save()

    def end(self) -> None:
        self.parts.progress.close()


def _take_callbacks(agent: Any, callbacks: Sequence[BaseCallback]) -> None:
    if callbacks and not hasattr(agent, "callbacks"):
        raise UserError(f"callbacks= are called by Stable-Baselines3, and {type(agent).__name__} is none of its agents")
    agent.callbacks = list(callbacks)

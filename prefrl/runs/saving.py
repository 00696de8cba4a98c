"""A run's checkpoints: the tensors and state of every part, saved and restored."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from prefrl.config.settings import Config
from prefrl.core.errors import UserError
from prefrl.core.tensors import Tensors
from prefrl.rewards.base import FitReport
from prefrl.runs import checkpoint
from prefrl.runs.parts import Parts
from prefrl.store.database import name_of

TAKEN = ("reward.", "bonus.", "mechanism.")  # prefixes of the tensors that are not the agent's


class Saving:
    """Writes and reads the checkpoints of one run."""

    def __init__(self, folder: Path, config: Config, parts: Parts):
        self.folder, self.config, self.parts = folder, config, parts
        self.restored = -1  # the step of the checkpoint that the run went on from

    def save(self) -> Path:
        """A checkpoint of this step. Valid only where episodes were just cut, or at the end."""
        p, step = self.parts, self.parts.agent.step
        tensors = dict(p.agent.tensors())
        if clash := [name for name in tensors if name.startswith(TAKEN)]:
            raise ValueError(f"the agent's tensor {clash[0]!r} needs another name: {TAKEN} are those of other parts")
        tensors |= {f"reward.{name}": values for name, values in p.reward_model.tensors().items()}
        tensors |= {f"bonus.{name}": values for name, values in p.paid.bonus.tensors().items()}
        tensors |= {f"mechanism.{name}": values for name, values in p.agent.mechanisms.tensors().items()}
        state = {
            "step": step,
            "agent": p.agent.state(),
            "mechanisms": p.agent.mechanisms.state(),
            "reward": p.reward_model.state(),
            "bonus": p.paid.bonus.state(),
            "asker": p.asker.state(),
            "seen": p.teacher.seen,
            "teacher": p.teacher.function.state() if hasattr(p.teacher.function, "state") else {},
            "finished": p.recorder.finished,
            "spaces": self._spaces(),
            "pending": p.log.pending(),
            "last_fit": asdict(p.log.last_fit) if p.log.last_fit else None,
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

    def _restore_parts(self, tensors: Tensors, state: dict[str, Any]) -> None:
        p = self.parts
        if state["spaces"] != self._spaces():
            raise ValueError(f"{self.config.env} has spaces {self._spaces()}, the checkpoint {state['spaces']}")
        p.recorder.begin_at(state["step"] // p.recorder.num_envs)
        p.recorder.finished = [(r, n) for r, n in state["finished"]]
        p.asker.restore(state["asker"])
        if hasattr(p.teacher.function, "restore"):
            p.teacher.function.restore(state["teacher"])
        p.teacher.seen = state["seen"]
        for feedback in p.teacher.standing():
            p.learner.hear(feedback)
        p.reward_model.restore(_part(tensors, "reward."), state["reward"])
        p.paid.bonus.restore(_part(tensors, "bonus."), state.get("bonus", {}))
        of_agent = {name: values for name, values in tensors.items() if not name.startswith(TAKEN)}
        p.agent.restore(of_agent, state.get("agent", state))  # the first release had the agent's state among the rest
        p.agent.mechanisms.restore(_part(tensors, "mechanism."), state.get("mechanisms", {}))
        p.log.last_fit = FitReport(**state["last_fit"]) if state["last_fit"] else None
        p.log.note(state["pending"])

    def require_labels(self) -> None:
        """Raise UserError if the label store lacks what the checkpoint, to which the run went back, had asked or heard."""
        p, step = self.parts, self.restored
        asked, last, heard = p.store.asked(step), p.store.last_seq(), p.teacher.seen
        if asked < p.asker.asked or last < heard:
            raise UserError(
                f"{name_of(p.store.engine)} has lost labels: by step {step} the run had asked"
                f" {p.asker.asked} questions and heard answer {heard}, it holds {asked} questions and ends at answer"
                f" {last}; put a copy back (RUN/backups has some if people labelled) after removing labels.db-wal and labels.db-shm,"
                f" and remove the checkpoints that are newer than the copy, or start a new run"
            )

    def _spaces(self) -> list[str]:
        return [str(self.parts.recorder.observation_space), str(self.parts.recorder.action_space)]


def _part(tensors: Tensors, prefix: str) -> Tensors:
    return {name.removeprefix(prefix): values for name, values in tensors.items() if name.startswith(prefix)}

"""A run as an AI labeller finds it: its questions, its clips, and what the experimenter wants to know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from prefrl.config.settings import Config
from prefrl.config.values import load
from prefrl.core.errors import UserError
from prefrl.kinds import kind_of
from prefrl.labelling.ai.footage import Footage
from prefrl.labelling.ai.pictures import strip
from prefrl.labelling.ai.prompt import Prompt
from prefrl.labelling.ai.selection import Selection, Task
from prefrl.labelling.ai.settings import Settings
from prefrl.labelling.instructions import instructions
from prefrl.rendering.clips import clips_ready
from prefrl.store.store import LabelStore


@dataclass
class RunView:
    """One run's questions, for one labeller."""

    folder: Path
    config: Config
    settings: Settings
    store: LabelStore
    selection: Selection
    footage: Footage
    left: int = field(default=0, init=False)  # questions that were there at the last look, drawn or not

    def ready(self) -> list[Task]:
        """Questions to take whose clips are drawn; the others are seen to."""
        tasks = self.selection.candidates()
        drawn = clips_ready(self.folder, [task.place.clips for task in tasks])
        waiting = [task for task, there in zip(tasks, drawn, strict=True) if not there]
        self.footage.want(
            [task.place for task in waiting if task.kind == "answer"],
            [task.place for task in waiting if task.kind == "opinion"],
        )
        self.left = len(tasks)
        return [task for task, there in zip(tasks, drawn, strict=True) if there]

    def prompt(self, task: Task) -> Prompt | None:
        """What a model is asked, with the clips in stored order; None if a clip is not there after all."""
        frames = self.footage.frames(task.place)
        if frames is None:
            return None
        pictures = tuple(strip(one, self.settings.frames, self.settings.widest) for one in frames)
        words = self.config.teacher.question, instructions(self.folder, self.config.env)
        return Prompt(kind_of(task.place.kind), *words, pictures)

    def stuck(self) -> str | None:
        """Why clips do not come, if they do not."""
        return self.footage.stuck()


@contextmanager
def open_run(
    folder: Path, settings: Settings, modules: Sequence[str] = (), store: str | None = None
) -> Iterator[RunView]:
    """A run as an AI labeller finds it, closed afterwards. Raises UserError for a folder that is no run's."""
    if not (folder / "config.yaml").is_file():
        raise UserError(
            f"{folder} is not a run folder (it has no config.yaml); make one with: prefrl train --teacher human"
        )
    config = load(folder / "config.yaml")
    url = store or config.record.labels or None
    with ExitStack() as stack:
        labels = stack.enter_context(LabelStore.open(folder, url))
        selection = stack.enter_context(closing(Selection(labels, settings.name, settings.overlap)))
        footage = stack.enter_context(closing(Footage(folder, labels, modules, url)))
        yield RunView(folder, config, settings, labels, selection, footage)

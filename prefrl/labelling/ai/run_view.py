"""A run's questions, clips and instructions, as an AI labeller reads them."""

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
from prefrl.labelling.status import instructions
from prefrl.rendering.clip_cache import clips_ready
from prefrl.store.store import LabelStore


@dataclass
class RunView:
    """The questions of one run for one AI labeller."""

    folder: Path
    config: Config
    settings: Settings
    store: LabelStore
    selection: Selection
    footage: Footage
    left: int = field(default=0, init=False)  # questions to answer when ready() was last called, drawn or not

    def ready(self) -> list[Task]:
        """Questions whose clips are drawn; requests the clips of the others."""
        tasks = self.selection.candidates()
        drawn = clips_ready(self.folder, [task.place.clips for task in tasks])
        waiting = [task for task, is_drawn in zip(tasks, drawn, strict=True) if not is_drawn]
        self.footage.want(
            [task.place for task in waiting if task.kind == "answer"],
            [task.place for task in waiting if task.kind == "opinion"],
        )
        self.left = len(tasks)
        return [task for task, is_drawn in zip(tasks, drawn, strict=True) if is_drawn]

    def prompt(self, task: Task) -> Prompt | None:
        """The prompt for a question, with its clips in stored order; None if a clip is missing after all."""
        frames = self.footage.frames(task.place)
        if frames is None:
            return None
        pictures = tuple(strip(clip, self.settings.frames, self.settings.widest) for clip in frames)
        words = self.config.teacher.question, instructions(self.folder, self.config.env)
        return Prompt(kind_of(task.place.kind), *words, pictures)

    def stuck(self) -> str | None:
        """Why no clips are drawn; None while they are."""
        return self.footage.stuck()


@contextmanager
def open_run(
    folder: Path, settings: Settings, modules: Sequence[str] = (), store: str | None = None
) -> Iterator[RunView]:
    """Open a run for an AI labeller, closed afterwards. Raises UserError for a folder that is not a run's."""
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

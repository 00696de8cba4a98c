"""A run's questions, clips and instructions, as an AI labeller reads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from prefrl.config.settings import Config
from prefrl.config.values import load
from prefrl.kinds import kind_of
from prefrl.labelling.ai.ai_settings import AISettings
from prefrl.labelling.ai.clip_frames import ClipFrames
from prefrl.labelling.ai.clip_picture import strip
from prefrl.labelling.ai.prompt import Prompt
from prefrl.labelling.ai.tasks import LabelTask, TaskQueue
from prefrl.labelling.service import require_run
from prefrl.labelling.status import instructions
from prefrl.rendering.clip_cache import clips_ready
from prefrl.store.store import LabelStore


@dataclass
class RunView:
    """The questions of one run for one AI labeller."""

    folder: Path
    config: Config
    settings: AISettings
    store: LabelStore
    tasks: TaskQueue
    clips: ClipFrames
    left: int = field(default=0, init=False)  # questions to answer when ready() was last called, drawn or not

    def ready(self) -> list[LabelTask]:
        """Questions whose clips are drawn; requests the clips of the others."""
        tasks = self.tasks.candidates()
        drawn = clips_ready(self.folder, [task.place.clips for task in tasks])
        self.clips.want([task for task, is_drawn in zip(tasks, drawn, strict=True) if not is_drawn])
        self.left = len(tasks)
        return [task for task, is_drawn in zip(tasks, drawn, strict=True) if is_drawn]

    def prompt(self, task: LabelTask) -> Prompt | None:
        """The prompt for a question, with its clips in stored order; None if a clip is missing after all."""
        frames, text = self.clips.frames(task.place), instructions(self.folder, self.config.env)
        if frames is None:
            return None
        pictures = tuple(strip(clip, self.settings.frames, self.settings.widest) for clip in frames)
        return Prompt(kind_of(task.place.kind), self.config.teacher.question, text, pictures)


@contextmanager
def open_run(
    folder: Path, settings: AISettings, modules: Sequence[str] = (), store: str | None = None
) -> Iterator[RunView]:
    """Open a run for an AI labeller, closed afterwards. Raises UserError for a folder that is not a run's."""
    require_run(folder)
    config = load(folder / "config.yaml")
    url = store or config.record.labels or None
    with ExitStack() as stack:
        labels = stack.enter_context(LabelStore.open(folder, url))
        tasks = stack.enter_context(closing(TaskQueue(labels, settings.name, settings.overlap)))
        clips = stack.enter_context(closing(ClipFrames(folder, labels, modules, url)))
        yield RunView(folder, config, settings, labels, tasks, clips)

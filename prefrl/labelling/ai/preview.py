"""A dry run: what would be sent about the next question, and about what it would cost. Nothing leaves the machine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from prefrl.labelling.ai.prompt import Prompt
from prefrl.labelling.ai.run_view import RunView, open_run
from prefrl.labelling.ai.settings import Settings

LONGEST = 30.0  # seconds to wait for a clip
ANSWER = 60  # tokens of a sentence and a word
TAB = "  | "


def preview(folder: Path, settings: Settings, modules: Sequence[str] = (), store: str | None = None) -> str:
    """The prompt about the next question, and the price of what is open and of the run's budget."""
    with open_run(folder, settings, modules, store) as here:
        prompt = _next(here)
        if prompt is None:
            return f"{folder} has no question whose clips can be shown: {here.stuck() or f'{here.left} are waiting for clips'}"
        return "\n".join([_sent(prompt, settings), "", _price(here, prompt, settings)])


def _next(here: RunView) -> Prompt | None:
    end = time.monotonic() + LONGEST
    while True:
        for task in here.ready()[:1]:
            if prompt := here.prompt(task):
                return prompt
        if not here.left or time.monotonic() > end:
            return None
        time.sleep(0.25)


def _sent(prompt: Prompt, settings: Settings) -> str:
    sizes = [
        f"[{place}: {picture.shape[1]} x {picture.shape[0]} pixels, up to {settings.frames} frames]"
        for place, picture in zip(prompt.kind.places, prompt.pictures, strict=True)
    ]
    body = "\n".join([f"{prompt.kind.prompt}\n\n{prompt.text()}", *sizes])
    return f"to {settings.url}, model {settings.model}:\n" + "\n".join(TAB + line for line in body.split("\n"))


def _price(here: RunView, prompt: Prompt, settings: Settings) -> str:
    tokens, calls, budget = prompt.tokens(), len(prompt.kind.orders()), here.config.questions.budget
    lines = [
        f"about {tokens:,} tokens sent and {ANSWER} received a call, {calls} calls a question"
        " (models count pictures differently)"
    ]
    cost = settings.cost(calls * tokens, calls * ANSWER)
    if cost is None:
        return lines[0] + "\nwith --price, dollars per million tokens, this would say what it costs"
    lines.append(f"about ${cost:.3g} a question: ${here.left * cost:.3g} for the {here.left} to answer now,"
                 f" ${budget * cost:.3g} for the {budget} that the run may ask")  # fmt: skip
    return "\n".join(lines)

"""Dry run: the prompt for the next question and an estimate of its cost, with nothing sent."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from textwrap import indent

from prefrl.labelling.ai.ai_settings import AISettings
from prefrl.labelling.ai.prompt import Prompt
from prefrl.labelling.ai.run_view import RunView, open_run

LONGEST = 30.0  # seconds to wait for a clip
ANSWER = 60  # tokens assumed for a reply
TAB = "  | "


def preview(folder: Path, settings: AISettings, modules: Sequence[str] = (), store: str | None = None) -> str:
    """The prompt for the next question, and the price of the open questions and of the run's budget."""
    with open_run(folder, settings, modules, store) as run:
        prompt = _next_prompt(run)
        if prompt is None:
            return f"{folder} has no question whose clips can be shown: {run.clips.stuck() or f'{run.left} are waiting for clips'}"
        return "\n".join([_prompt_text(prompt, settings), "", _price(run, prompt, settings)])


def _next_prompt(run: RunView) -> Prompt | None:
    end = time.monotonic() + LONGEST
    while True:
        for task in run.ready()[:1]:
            if prompt := run.prompt(task):
                return prompt
        if not run.left or time.monotonic() > end:
            return None
        time.sleep(0.25)


def _prompt_text(prompt: Prompt, settings: AISettings) -> str:
    sizes = [
        f"[{place}: {picture.shape[1]} x {picture.shape[0]} pixels, up to {settings.frames} frames]"
        for place, picture in zip(prompt.kind.places, prompt.pictures, strict=True)
    ]
    body = "\n".join([f"{prompt.kind.prompt}\n\n{prompt.text()}", *sizes])
    return f"to {settings.url}, model {settings.model}:\n" + indent(body, TAB, lambda line: True)


def _price(run: RunView, prompt: Prompt, settings: AISettings) -> str:
    tokens, calls, budget = prompt.tokens(), len(prompt.kind.orders()), run.config.questions.budget
    cost = settings.cost(calls * tokens, calls * ANSWER)
    return (
        f"about {tokens:,} tokens sent and {ANSWER} received a call, {calls} calls a question"
        " (models count pictures differently)\n"
    ) + (
        "with --price, dollars per million tokens, this would say what it costs"
        if cost is None
        else f"about ${cost:.3g} a question: ${run.left * cost:.3g} for the {run.left} to answer now,"
        f" ${budget * cost:.3g} for the {budget} that the run may ask"
    )

"""The prompt for a question: its kind's prompt, the experimenter's instructions, and a picture of each clip."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace

import numpy as np

from prefrl.kinds import Kind
from prefrl.labelling.ai.clip_picture import data_url
from prefrl.labelling.ai.endpoint import Message

AGAIN = """Your last reply was not the JSON object that was asked for. Reply with {"reason": "...", "answer": "..."} alone."""
_FORMAT = 1  # raise it when a change other than in these texts alters what a model is sent


@dataclass(frozen=True)
class Prompt:
    """A question with its clips in one order."""

    kind: Kind
    question: str  # of the run; empty: that of the kind
    instructions: str
    pictures: tuple[np.ndarray, ...]  # of each clip, in the order displayed: (h, w, 3) uint8
    again: str | None = None  # the model's first reply, if no answer could be read from it

    def ordered(self, order: list[int]) -> Prompt:
        """The same question with its clips in this order."""
        return replace(self, pictures=tuple(self.pictures[segment] for segment in order))

    def text(self) -> str:
        """Instructions and question as text."""
        intro = f"Instructions for labellers:\n{self.instructions.strip()}\n\n" if self.instructions.strip() else ""
        return f"{intro}Question: {self.question.strip() or self.kind.question}"

    def key(self, model: str, url: str) -> str:
        """Cache key: a hash of model, text, pixels and order, independent of the PNG encoder."""
        pixels = [f"{clip.shape} {hashlib.sha256(clip.tobytes()).hexdigest()}" for clip in self.pictures]
        content = [_FORMAT, url, model, self.kind.prompt, self.text(), self.again and [self.again, AGAIN], *pixels]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def messages(self) -> list[Message]:
        """The chat messages to send."""
        parts: list[Message] = [{"type": "text", "text": self.text()}]
        for place, picture in zip(self.kind.places, self.pictures, strict=True):
            parts.append({"type": "text", "text": f"The {place} clip:"})
            parts.append({"type": "image_url", "image_url": {"url": data_url(picture)}})
        messages: list[Message] = [{"role": "system", "content": self.kind.prompt}, {"role": "user", "content": parts}]
        if self.again is not None:
            messages.append({"role": "assistant", "content": self.again or "(nothing)"})
            messages.append({"role": "user", "content": AGAIN})
        return messages

    def reply_format(self) -> dict[str, object]:
        """The JSON schema of the reply, in the same format."""
        schema = {"name": "answer", "strict": True, "schema": self.kind.reply_schema()}
        return {"type": "json_schema", "json_schema": schema}

    def tokens(self) -> int:
        """Estimate of the input tokens: one per 4 characters and per 750 pixels. Models differ; `usage` is exact."""
        characters = len(self.kind.prompt) + len(self.text()) + len(self.again or "")
        return 50 + characters // 4 + sum(clip.shape[0] * clip.shape[1] for clip in self.pictures) // 750

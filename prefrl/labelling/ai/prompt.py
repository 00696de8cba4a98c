"""What a model is told and asked about a pair, and the name of that as content."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from prefrl.labelling.ai.pictures import data_url

SYSTEM = """\
You compare two short clips of an agent's behaviour. Each clip is one picture: frames of it, evenly spaced in time, to be \
read like text, row by row from left to right; the first frame is at the top left, the last at the bottom right.
Judge only what happens in the clips. Which of them is called left and which right means nothing.
Answer with one JSON object and nothing else: {"reason": "one sentence", "answer": "left" | "right" | "equal" | "unsure"}
left, right: that clip is better. equal: they are equally good. unsure: it cannot be told from these frames."""
QUESTION = "Which clip is better?"  # where the run names none
AGAIN = """Your last reply was not the JSON object that was asked for. Reply with {"reason": "...", "answer": "..."} alone."""
SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "comparison",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {
                "reason": {"type": "string"},
                "answer": {"type": "string", "enum": ["left", "right", "equal", "unsure"]},
            },
            "required": ["reason", "answer"],
            "additionalProperties": False,
        },
    },
}
_FORMAT = 1  # raise it when anything else than these texts changes what a model is sent


@dataclass(frozen=True)
class Prompt:
    """A question about two pictures in one order."""

    question: str
    instructions: str
    left: np.ndarray  # (h, w, 3) uint8
    right: np.ndarray
    again: str | None = None  # what the model replied before, if that was no answer

    def text(self) -> str:
        """What the experimenter wants to know."""
        about = f"Instructions for labellers:\n{self.instructions.strip()}\n\n" if self.instructions.strip() else ""
        return f"{about}Question: {self.question.strip() or QUESTION}"

    def key(self, model: str, url: str) -> str:
        """Its name as content: the same for the same model, words, pixels and order, whatever wrote the PNGs."""
        pixels = [
            f"{one.shape} {hashlib.sha256(np.ascontiguousarray(one).tobytes()).hexdigest()}"
            for one in (self.left, self.right)
        ]
        content = [_FORMAT, url, model, SYSTEM, self.text(), self.again and [self.again, AGAIN], *pixels]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def messages(self) -> list[dict[str, Any]]:
        """As the API of OpenAI and many others takes it."""
        parts = [
            _text(self.text()), _text("The left clip:"), _picture(self.left),
            _text("The right clip:"), _picture(self.right),
        ]  # fmt: skip
        told: list[dict[str, Any]] = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": parts}]
        if self.again is not None:
            told += [{"role": "assistant", "content": self.again or "(nothing)"}, {"role": "user", "content": AGAIN}]
        return told

    def tokens(self) -> int:
        """A guess at how many are sent: a token for 4 characters, and for 750 pixels. Models differ; usage tells."""
        characters = len(SYSTEM) + len(self.text()) + len(self.again or "")
        pixels = sum(one.shape[0] * one.shape[1] for one in (self.left, self.right))
        return 50 + characters // 4 + pixels // 750


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _picture(picture: np.ndarray) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": data_url(picture)}}

"""The front end of a notebook, as far as the kernel can tell: messages to a widget's comm, and what comes back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from serving import Person

import prefrl


@dataclass
class Reply:
    status_code: int
    kind: str
    content: bytes

    def json(self) -> Any:
        return json.loads(self.content)


class FrontEnd:
    """A cell's output. It has the methods of an HTTP client, so that people can sit at it."""

    def __init__(self, widget: Any):
        self.comm, self.replies, self.ids = widget.comm, {}, count()
        self.comm.publish_msg = self._received

    def _received(self, kind: str, data: dict[str, Any], metadata: Any = None, buffers: Any = None, **_: Any) -> None:
        if data.get("method") == "custom":
            said = data["content"]
            self.replies[said["id"]] = Reply(said["status"], said["kind"], bytes(buffers[0]))

    def deliver(self, request: dict[str, Any]) -> Reply:
        """A message of the front end."""
        self.comm.handle_msg({"content": {"data": {"method": "custom", "content": request}}, "buffers": []})
        return self.replies[request["id"]]

    def post(self, path: str, json: dict[str, Any]) -> Reply:
        return self.deliver(self.request(path, json))

    def get(self, path: str, params: dict[str, Any] | None = None) -> Reply:
        target = f"{path}?{urlencode(params)}" if params else path
        return self.deliver({"id": f"message-{next(self.ids)}", "path": target, "method": "GET", "body": None})

    def request(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return {"id": f"message-{next(self.ids)}", "path": path, "method": "POST", "body": json.dumps(body)}


def sit_at(widget: Any, name: str = "ann") -> Person:
    """Somebody before the cell."""
    return Person(FrontEnd(widget), name)  # type: ignore[arg-type]


def shown(run: Path, **options: Any) -> Any:
    """A cell that shows a run, without repetitions."""
    return prefrl.label(run, **{"labeller": "ann", **options})

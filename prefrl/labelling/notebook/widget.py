"""The label page as a notebook widget: its requests are messages between the cell and the kernel."""

from __future__ import annotations

from typing import TypedDict

import anywidget
import traitlets

from prefrl.labelling.notebook.bundle import bundle
from prefrl.labelling.notebook.cell_service import CellService


class CellRequest(TypedDict):
    """A request of the page, as the message that a cell sends."""

    id: str
    path: str
    method: str
    body: str | None


class LabelWidget(anywidget.AnyWidget):
    """The label page of one run in a cell. `close` removes it; answers are in the run's store."""

    _esm = bundle()
    run = traitlets.Unicode(help="the run's folder").tag(sync=True)
    labeller = traitlets.Unicode(help="the name that answers are stored under").tag(sync=True)

    def __init__(self, service: CellService):
        super().__init__(run=str(service.folder), labeller=service.labeller)
        self.service = service
        self.on_msg(self._reply)

    def _reply(self, _widget: object, request: CellRequest, _buffers: object) -> None:
        """Answer a request with {id, status, kind} and, as a buffer, the content."""
        reply = self.service.request(request["path"], request["method"], request["body"])
        about = {"id": request["id"], "status": reply.status_code, "kind": reply.headers.get("content-type", "")}
        self.send(about, buffers=[reply.content])

    def close(self) -> None:
        """Remove the cell's output, release its questions, and close its label service."""
        self.service.end()
        super().close()

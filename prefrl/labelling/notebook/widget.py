"""The label page as a notebook widget: its requests are messages between the cell and the kernel."""

from __future__ import annotations

from typing import Any

import anywidget
import traitlets

from prefrl.labelling.notebook.bundle import bundle
from prefrl.labelling.notebook.visits import Visits


class LabelWidget(anywidget.AnyWidget):
    """The label page of one run in a cell. `close` removes it; answers are in the run's store."""

    _esm = bundle()
    run = traitlets.Unicode(help="the run's folder").tag(sync=True)
    labeller = traitlets.Unicode(help="the name that answers are stored under").tag(sync=True)

    def __init__(self, visits: Visits, **traits: Any):
        super().__init__(**traits)
        self.visits = visits
        self.on_msg(self._reply)

    def _reply(self, _: Any, request: dict[str, Any], __: Any) -> None:
        """Answer a request {id, path, method, body} with {id, status, kind} and, as a buffer, the content."""
        reply = self.visits.ask(request["path"], request["method"], request["body"])
        self.send({"id": request["id"], "status": reply.status, "kind": reply.kind}, buffers=[reply.content])

    def close(self) -> None:
        """Remove the cell's output, release its questions, and close its label service."""
        self.visits.end()
        super().close()

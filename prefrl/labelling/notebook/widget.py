"""The label page as a notebook widget: its requests are messages between the cell and the kernel."""

from __future__ import annotations

from typing import Any

import anywidget
import traitlets

from prefrl.labelling.notebook.bundle import bundle
from prefrl.labelling.notebook.visits import Visits


class LabelWidget(anywidget.AnyWidget):
    """The label page of one run in a cell. `close` takes it off; answers are in the run's store."""

    _esm = bundle()
    run = traitlets.Unicode(help="the run's folder").tag(sync=True)
    labeller = traitlets.Unicode(help="the name that answers are stored under").tag(sync=True)

    def __init__(self, visits: Visits, **shown: Any):
        super().__init__(**shown)
        self.visits = visits
        self.on_msg(self._asked)

    def _asked(self, _: Any, request: dict[str, Any], __: Any) -> None:
        """A request {id, path, method, body}; its reply {id, status, kind} and, as a buffer, the content."""
        reply = self.visits.ask(request["path"], request["method"], request["body"])
        self.send({"id": request["id"], "status": reply.status, "kind": reply.kind}, buffers=[reply.content])

    def close(self) -> None:
        """Take the cell's output away, give its questions back, and end what works for it."""
        self.visits.end()
        super().close()

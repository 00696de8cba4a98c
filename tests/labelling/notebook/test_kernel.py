"""A real kernel: training in a thread, labelling in a cell beside it, messages over the kernel's own sockets."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from fronting import FrontEnd, Reply
from patience import LONG
from serving import Person
from short import SHORT

from prefrl.store.store import LabelStore

pytest.importorskip("anywidget")
pytest.importorskip("ipykernel")
ROOT = Path(__file__).parents[3]
SETTINGS = {"teacher.mirror": 0.0, **SHORT, "questions.budget": 12, "teacher.wait": 12, "teacher.page": False}
TRAINING = f"""
import threading, time
from pathlib import Path
import prefrl

folder, outcome = Path("run"), []
def learn():
    outcome.append(prefrl.train("prefrl/PendulumSpin-v0", teacher="human", folder=folder, quiet=True, **{SETTINGS!r}))
training = threading.Thread(target=learn, daemon=True)
training.start()
while not (folder / "config.yaml").exists():
    time.sleep(0.1)
"""


class KernelFront(FrontEnd):
    """The front end of a cell in a kernel of its own."""

    def __init__(self, client: Any):
        self.client, self.ids = client, iter(range(10**6))

    def run(self, code: str) -> list[dict[str, Any]]:
        """Execute a cell. Returns what the kernel published meanwhile."""
        asked, published = self.client.execute(code), []
        while True:
            said = self.client.get_iopub_msg(timeout=LONG)
            published.append(said)
            assert said["msg_type"] != "error", "\n".join(said["content"]["traceback"])
            idle = said["msg_type"] == "status" and said["content"]["execution_state"] == "idle"
            if idle and said["parent_header"].get("msg_id") == asked:
                return published

    def show(self, code: str) -> None:
        """Execute a cell that shows a widget, and talk to that from now on."""
        opened = [one["content"] for one in self.run(code) if one["msg_type"] == "comm_open"]
        [self.comm] = [one["comm_id"] for one in opened if "_esm" in one["data"]["state"]]

    def deliver(self, request: dict[str, Any]) -> Reply:
        content = {"comm_id": self.comm, "data": {"method": "custom", "content": request}}
        self.client.shell_channel.send(self.client.session.msg("comm_msg", content))
        while True:
            said = self.client.get_iopub_msg(timeout=LONG)
            reply = said["content"].get("data", {}).get("content", {}) if said["msg_type"] == "comm_msg" else {}
            if reply.get("id") == request["id"]:
                return Reply(reply["status"], reply["kind"], bytes(said["buffers"][0]))


@pytest.fixture
def kernel(tmp_path):
    from jupyter_client.manager import start_new_kernel

    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    manager, client = start_new_kernel(startup_timeout=LONG, cwd=str(tmp_path), env={**os.environ, "PYTHONPATH": path})
    yield KernelFront(client)
    client.stop_channels()
    manager.shutdown_kernel(now=True)


@pytest.mark.slow  # a kernel loads, trains, draws clips and talks over its sockets
def test_a_notebook_trains_and_labels_at_once(kernel, tmp_path):
    kernel.run(TRAINING)
    kernel.show("prefrl.label(folder, labeller='ann')")
    ann, given = Person(kernel, "ann"), 0
    until = time.monotonic() + LONG
    while given < 12:
        assert time.monotonic() < until
        questions = ann.next(3)
        for question in questions:
            assert kernel.get(question["clips"][0]["url"]).kind == "image/webp"
            given += ann.answer(question, "left").status_code == 201
        time.sleep(0 if questions else 0.2)
    kernel.run("training.join(); assert outcome[0].reward_model.version > 0")
    assert ann.get("/api/status", session=ann.session)["trainer"]["state"] == "finished"
    kernel.run("widget = prefrl.label(outcome[0])")  # the same run, by its result: takes the first one's place
    with LabelStore.open(tmp_path / "run") as store:
        assert store.counts().answered == 12 and {row["labeller"] for row in store.history()} == {"ann"}

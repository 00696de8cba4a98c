"""A run's folder with questions and clips, a label server for it, and people who label over HTTP."""

from __future__ import annotations

import hashlib
import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import httpx
import numpy as np
import uvicorn
import yaml
from patience import LONG
from PIL import Image

from prefrl.config.settings import Config
from prefrl.config.values import as_dict, load, update
from prefrl.core.data import Queries, Segments
from prefrl.kinds import KINDS
from prefrl.labelling.access import Access, Rate
from prefrl.labelling.connections import guarded
from prefrl.labelling.server import Shared, make_app
from prefrl.store.database import reading
from prefrl.store.store import LabelStore, open_store
from prefrl.store.tables import questions

ROOT = Path(__file__).parent.parent.parent
TOKEN = "the-experimenters-token"
PEOPLE = {"teacher.name": "human", "teacher.mirror": 0.0}  # no question comes again, unless a test says so
NEVER_TOO_FAST = {"rate": Rate(1e9, 1e9)}


def make_run(folder: Path, asked: int = 6, drawn: bool = True, **settings) -> list[int]:
    """A run's folder as the trainer leaves it for labellers. Returns the ids of its questions."""
    folder.mkdir(parents=True, exist_ok=True)
    config = update(Config(), {"env": "Pendulum-v1", "questions.budget": 700, **PEOPLE, **settings})
    (folder / "config.yaml").write_text(yaml.safe_dump(as_dict(config)))
    return ask(folder, asked, drawn=drawn)


def ask(folder: Path, count: int, seed: int = 0, version: int = 1, drawn: bool = True, scores=None) -> list[int]:
    """Ask questions about random segments, and draw their clips."""
    rng = np.random.default_rng(seed)
    shapes = ((count, 2, 5, 3), (count, 2, 4, 1), (count, 2, 4), (count, 2), (count, 2))
    segments = Segments(*(rng.normal(size=shape) for shape in shapes))
    scores = np.full(count, np.nan) if scores is None else np.asarray(scores, dtype=float)
    with LabelStore.open(folder) as store:
        ids = store.ask(Queries(segments, scores, "uniform", 100 * version, version))
        if drawn:
            draw(folder, store, ids)
    return ids


def draw(folder: Path, store: LabelStore, ids: list[int]) -> None:
    """Put clips where the render worker puts them, in fifty colours."""
    with reading(store.engine) as connection:
        rows = [row for row in connection.execute(questions.select()) if row.id in set(ids)]
    (folder / "clips" / "index").mkdir(parents=True, exist_ok=True)
    for row in rows:
        for side in range(KINDS[row.kind].segments):
            content = sheet((5 * (row.id % 50), 120 * side, 0))
            about = {
                "clip": hashlib.sha256(content).hexdigest(),
                "frames": 5, "columns": 5, "width": 8, "height": 8, "fps": 20.0, "pixelated": False,
            }  # fmt: skip
            (folder / "clips" / f"{about['clip']}.webp").write_bytes(content)
            index = folder / "clips" / "index" / f"{Path(row.segments_file).stem}-{row.row}-{side}.json"
            index.write_text(json.dumps(about))


@cache
def sheet(colour: tuple[int, int, int]) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 8), colour).save(file, "webp", lossless=True)
    return file.getvalue()


def client(base: str, token: str) -> httpx.Client:
    headers = {"X-Prefrl": "1", "Authorization": f"Bearer {token}"}
    # nothing is encrypted, and CAs load slowly
    return httpx.Client(base_url=base, headers=headers, verify=False, timeout=LONG)


class Serving:
    """A server in a thread of this process."""

    def __init__(self, folder: Path, deadline: float = 10.0, **options):
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.folder, self.base = folder, f"http://127.0.0.1:{self.port}"
        self.store = open_store(folder, load(folder / "config.yaml"))
        self.access = Access(TOKEN, self.port, **options.pop("access", {}))
        gate = make_app(Shared(folder, self.store, self.access, **{**NEVER_TOO_FAST, **options}))
        settings = uvicorn.Config(
            gate,
            http=guarded(deadline),
            ws="none",
            lifespan="off",
            log_level="error",
            log_config=None,
            server_header=False,
        )
        self.server = uvicorn.Server(settings)
        self.thread = threading.Thread(target=self.server.run, args=([self.listening],), daemon=True)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)

    def close(self) -> None:
        """Tell it to end; it does so within half a second, which nobody waits for."""
        self.server.should_exit = self.server.force_exit = True
        self.store.close()

    def client(self, token: str = TOKEN) -> httpx.Client:
        return client(self.base, token)

    def person(self, name: str = "ann", token: str = TOKEN) -> Person:
        return Person(self.client(token), name)


class Person:
    """Somebody at the page, as far as the server can tell."""

    def __init__(self, http: httpx.Client, name: str):
        self.http, self.name = http, name
        self.session = self.post("/api/session", labeller=name).json()["session"]

    def post(self, path: str, **body) -> httpx.Response:
        return self.http.post(path, json=body)

    def say(self, path: str, **body) -> httpx.Response:
        """Post within the session."""
        return self.post(path, session=self.session, **body)

    def next(self, want: int = 1, **more) -> list[dict]:
        return self.say("/api/next", want=want, **more).json()["questions"]

    def answer(self, question: dict, choice: str = "left", **more) -> httpx.Response:
        display = {"ticket": question["ticket"], "query": question["query"]}
        answer = KINDS[question["kind"]].chosen(choice).answer
        return self.say("/api/answers", answer=answer, **display, **{"decision_ms": 1500, **more})

    def label(self, count: int, choice: str = "left") -> list[dict]:
        """Answer so many questions, one after the other. Returns what was shown."""
        shown = []
        for _ in range(count):
            shown += self.next()
            assert self.answer(shown[-1], choice).status_code in (201, 409)
        return shown

    def get(self, path: str, **query) -> dict:
        return self.http.get(path, params=query).json()


WITHOUT_WORKER = """
import sys
from prefrl.cli import main
from prefrl.labelling import supervisor
supervisor.command = lambda *_: [sys.executable, "-S", "-c", "import sys; sys.stdin.read()"]
sys.exit(main(sys.argv[1:]))
"""
"""The render worker loads for seconds, and these tests have drawn their clips."""


def start(folder: Path, *options: str, worker: bool = True) -> subprocess.Popen:
    """`prefrl label` in a process of its own."""
    program = ["-m", "prefrl.cli"] if worker else ["-c", WITHOUT_WORKER]
    command = [sys.executable, *program, "label", str(folder), "--no-browser", *options]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)


def address(folder: Path, process: subprocess.Popen, within: float = LONG) -> dict:
    """What the server's file says, once this process serves."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        try:
            about = json.loads((folder / "label-server.json").read_text())
            if about["pid"] == process.pid:
                return about
        except (OSError, ValueError):
            pass
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    raise AssertionError("the server did not start")


def person_at(about: dict, name: str) -> Person:
    return Person(client(f"http://127.0.0.1:{about['port']}", about["token"]), name)


@contextmanager
def running(folder: Path, *options: str, worker: bool = True):
    """A server in a process of its own, ended by SIGTERM. Gives the process and its address."""
    process = start(folder, *options, worker=worker)
    try:
        yield process, address(folder, process)
    finally:
        process.terminate()
        process.communicate(timeout=LONG)

"""A model behind a real HTTP server of this machine: it decides from the pixels that it is sent, and misbehaves on demand."""

from __future__ import annotations

import base64
import io
import json
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from PIL import Image

Decide = Callable[[np.ndarray, np.ndarray], str]
Fault = Callable[["Handler"], None]


def greener(left: np.ndarray, right: np.ndarray) -> str:
    """Prefers the clip with more green in it."""
    green = [float(one[..., 1].mean()) for one in (left, right)]
    return "equal" if green[0] == green[1] else "left" if green[0] > green[1] else "right"


class Model:
    """The server. faults: what the next calls meet with, before any is answered"""

    def __init__(self, decide: Decide = greener):
        self.decide = decide
        self.faults: deque[Fault] = deque()
        self.say: Callable[[str], str] = lambda answer: json.dumps({"reason": f"it is {answer}", "answer": answer})
        self.usage: dict | None = {"prompt_tokens": 1000, "completion_tokens": 50}
        self.calls: list[dict] = []  # request bodies, in order
        self.headers: list[dict] = []
        self.asked: list[tuple[bytes, bytes]] = []  # pixels of left and right that were answered
        self.most_at_once = self._now = 0
        self.delay = 0.0
        self._lock = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Handler,), {"model": self}))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def answer(self, handler: Handler) -> None:
        body = handler.body
        with self._lock:
            self.calls.append(body)
            self.headers.append(dict(handler.headers))
            fault = self.faults.popleft() if self.faults else None
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            time.sleep(self.delay)
            if fault:
                return fault(handler)
            left, right = pictures(body)
            text = self.say(self.decide(left, right))
            with self._lock:
                self.asked.append((left.tobytes(), right.tobytes()))
        finally:
            with self._lock:
                self._now -= 1
        handler.tell(200, completion(text, self.usage))


def completion(text: str, usage: dict | None = None) -> bytes:
    told: dict = {"choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]}
    return json.dumps({**told, "usage": usage} if usage else told).encode()


def pictures(body: dict) -> tuple[np.ndarray, np.ndarray]:
    """The two pictures of a request, as pixels."""
    parts = body["messages"][1]["content"]
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    found = []
    for url in urls:
        kind, _, content = url.partition(",")
        assert kind == "data:image/png;base64"
        found.append(np.asarray(Image.open(io.BytesIO(base64.b64decode(content)), formats=["PNG"])))
    return found[0], found[1]


class Handler(BaseHTTPRequestHandler):
    model: Model
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        assert self.path == "/v1/chat/completions", self.path
        self.body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with suppress(BrokenPipeError, ConnectionResetError):
            self.model.answer(self)

    def tell(self, status: int, content: bytes, kind: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


def error(status: int, message: str = "not now", code: str | None = None, **headers: str) -> Fault:
    """An error as such APIs tell it."""
    content = json.dumps({"error": {"message": message, "code": code}}).encode()
    return lambda handler: handler.tell(status, content, **headers)


def says(text: str) -> Fault:
    """A reply in these words."""
    return lambda handler: handler.tell(200, completion(text, handler.model.usage))


def body(content: bytes, kind: str = "application/json", **headers: str) -> Fault:
    """A response that is not what was asked for."""
    return lambda handler: handler.tell(200, content, kind, **headers)


def dropped(handler: Handler) -> None:
    """Half a reply, and the line is cut."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(completion("{")[:40])
    handler.wfile.flush()
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.close_connection = True


def endless(handler: Handler) -> None:
    """A body without an end."""
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    for _ in range(1000):
        handler.wfile.write(b"10000\r\n" + b" " * 65536 + b"\r\n")


def dripping(handler: Handler) -> None:
    """A byte now and then, each in time."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    while True:  # until who asked has hung up
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.05)

"""Videos of single pairs to keep: made when somebody asks, by a process of its own, and cached while there is room."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from prefrl.labelling.refusals import Refusal

COMMAND = [sys.executable, "-m", "prefrl.reels.single"]
LONGEST = 120.0  # seconds for one
MOST_WAITING = 8  # people at a time; each holds one of the server's threads
MOST_BYTES = 256 * 2**20  # of all that are kept

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PairVideo:
    """What is in one: a pair as somebody saw it, and whatever of the answer may be told to who asks."""

    query: int
    question: str
    clips: list[dict[str, Any]]  # left and right, as the clips' index has them
    told: dict[str, Any] | None = None  # labeller, choice, seconds, model; None: it says nothing of any answer

    @property
    def name(self) -> str:
        """The same content has the same name, and another has another."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


class Videos:
    """Makes them one after the other, behind everything else."""

    def __init__(self, folder: Path):
        self.folder, self.kept = folder, folder / "videos"
        self._turn, self._free = threading.Lock(), threading.Semaphore(MOST_WAITING)
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = False

    def content(self, video: PairVideo) -> bytes:
        """The MP4, made if it is not there. Whoever asks waits for it."""
        if not self._free.acquire(blocking=False):
            raise Refusal("too_fast", f"{MOST_WAITING} videos are being waited for already; ask again in a moment")
        try:
            with self._turn:
                return self._content(video, self.kept / f"{video.name}.mp4")
        finally:
            self._free.release()

    def stop(self) -> None:
        """Make no more, and give up the one that is being made."""
        self._ended = True
        if self._process and self._process.poll() is None:
            self._process.terminate()
            self._process.wait()

    def _content(self, video: PairVideo, path: Path) -> bytes:
        if not path.is_file():
            self._make(video, path)
            self._prune(path)
        os.utime(path)  # what is wanted again goes last
        return path.read_bytes()

    def _make(self, video: PairVideo, path: Path) -> None:
        if self._ended:
            raise Refusal("video", "the server is ending")
        wanted = json.dumps({**asdict(video), "folder": str(self.folder), "out": str(path)}).encode()
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            COMMAND, stdin=pipe, stdout=subprocess.DEVNULL, stderr=pipe, start_new_session=True
        )
        try:
            _, said = self._process.communicate(wanted, timeout=LONGEST)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            raise Refusal("video", f"the video was not ready after {LONGEST:.0f} s; is this machine busy?") from None
        if self._process.returncode or not path.is_file():
            words = said.decode(errors="replace")
            log.error("no video of question %d: %s", video.query, words)
            lines = words.strip().splitlines()  # a progress bar ends in a carriage return
            last = lines[-1] if lines else f"its process ended with status {self._process.returncode}"
            raise Refusal("video", f"the video could not be made: {last.removeprefix('error: ')[:300]}")

    def _prune(self, newest: Path) -> None:
        """Delete what was wanted longest ago, and what a process that was killed left unfinished."""
        found = sorted((entry.stat().st_mtime, entry.stat().st_size, entry.name) for entry in os.scandir(self.kept))
        excess = sum(size for _, size, _ in found) - MOST_BYTES
        for at, size, name in found:
            unfinished = name.startswith(".") and time.time() - at > LONGEST
            if unfinished or (excess > 0 and name != newest.name and not name.startswith(".")):
                (self.kept / name).unlink(missing_ok=True)
                excess -= size

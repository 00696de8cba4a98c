"""A run's folder: choose and lock it, write its configuration and run.json, and read them back."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypedDict

import yaml
from filelock import FileLock, Timeout

from prefrl.config.settings import NEWER, RETIRED, Config, Values
from prefrl.config.values import AGENT, as_dict, dotted, read, update
from prefrl.core.errors import FolderBusy, StorageFull, UserError, brief, why
from prefrl.core.files import write_durably
from prefrl.runs.lists import check

FORMAT = 1
FIXED = ("env", "questions.length", "agent.n_envs", "agent.n_steps", "agent.algorithm")
"""Settings that must not change during a run."""
LEAST_FREE = 256 * 2**20  # bytes
PACKAGES = (
    "prefrl", "torch", "numpy", "stable-baselines3", "gymnasium", "mujoco", "sqlalchemy", "ale-py", "opencv-python",
    "opencv-python-headless", "box2d", "minatar", "minigrid",
)  # fmt: skip


class MachineJson(TypedDict):
    """What exact repetition depends on: versions, thread count, machine class."""

    python: str
    packages: dict[str, str | None]
    machine: str
    threads: int


class RunJson(MachineJson):
    """How a run was started, in run.json."""

    format: int
    method: str
    command: str | None
    started: str
    own: dict[str, str]  # the user's own parts by name
    config: Values  # by dotted name, as it was then: config.yaml may be edited


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Create the folder if necessary, and lock it against other trainers during the block. Raises FolderBusy."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise UserError(f"cannot make the run folder {folder}: {fault}") from fault
    lock, holder = FileLock(folder / ".lock"), folder / ".pid"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        who = holder.read_text() if holder.exists() else "unknown"
        raise FolderBusy(f"{folder} is being trained by process {who}; wait for it, or choose another folder") from None
    try:
        holder.write_text(str(os.getpid()))
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()
        if not any(folder.iterdir()):  # the run was refused
            folder.rmdir()


def next_free(base: Path) -> Path:
    """This path, or the first of -2, -3, ... that does not exist."""
    path, number = base, 2
    while path.exists() or path.is_symlink():  # a link to a disk that is not there now is somebody's run
        path, number = base.with_name(f"{base.name}-{number}"), number + 1
    return path


def claim(path: Path) -> Path:
    """Make this folder, or the next free one if somebody else has made it meanwhile."""
    while True:
        try:
            path.mkdir(parents=True)
            return path
        except FileExistsError:
            path = next_free(path)
        except OSError as fault:
            raise UserError(f"cannot make the run folder {path}: {fault}") from fault


def choose_folder(config: Config, name: str, folder: Path | str | None = None) -> Path:
    """The folder of a new run, not made yet: the one asked for, which must be empty, or the next free one under runs/."""
    if folder is not None:
        path = Path(folder)
        if path.exists() and not path.is_dir():
            raise UserError(f"{path} is a file; choose a folder")
        if path.exists() and any(path.iterdir()):
            raise UserError(f"{path} is not empty; choose another folder, or go on with: prefrl resume {path}")
    else:
        path = next_free(Path("runs") / f"{config.env.replace('/', '-')}-{name}-s{config.seed}")
    existing = next(parent for parent in (path, *path.absolute().parents) if parent.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(f"cannot make the run folder {path}: {existing} is no folder that can be written to")
    free = shutil.disk_usage(existing).free
    if free < LEAST_FREE:
        raise StorageFull(f"{existing} has {free / 2**20:.0f} MiB free; a run wants at least {LEAST_FREE / 2**20:.0f}")
    return path


@contextmanager
def cleared_if_refused(folder: Path) -> Iterator[None]:
    """Empty the folder again if the block raises: a run that could not start leaves no files."""
    try:
        yield
    except BaseException:
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        raise


def describe(folder: Path, config: Config, name: str, own: dict[str, str]) -> None:
    """Write config.yaml and run.json, before the run starts."""
    write_durably(folder / "config.yaml", yaml.safe_dump(as_dict(config), sort_keys=False).encode())
    run_json: RunJson = {
        "format": FORMAT,
        "method": name,
        "command": " ".join(["prefrl", *sys.argv[1:]]) if Path(sys.argv[0]).name == "prefrl" else None,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "own": own,
        "config": settings_of(config),
        **machine(),
    }
    write_durably(folder / "run.json", json.dumps(run_json, indent=1).encode())


def machine() -> MachineJson:
    """This machine."""
    return {
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "threads": 1,
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def read_run(folder: Path | str) -> tuple[Config, RunJson]:
    """The configuration and run.json of a folder. Raises UserError if it is no run, or one of a newer format."""
    path = Path(folder)
    try:
        run_json = json.loads((path / "run.json").read_text())
        version = run_json["format"]
        tables = (run_json["own"], run_json["packages"], run_json.get("config", {}))
        if type(version) is not int or not all(isinstance(table, dict) for table in tables):
            raise ValueError("not one of ours")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as fault:
        raise UserError(f"{path} is not a run folder: run.json: {why(fault)}") from fault
    if version > FORMAT:
        raise UserError(f"{path} was written in format {version}, this prefrl reads up to {FORMAT}; update prefrl")
    lacking = {name: value for name, value in NEWER.items() if name not in run_json.get("config", {})}
    config = update(update(Config(), lacking), read(path / "config.yaml"), str(path / "config.yaml"))
    check(config)
    return config, run_json


def settings_of(config: Config) -> Values:
    """Settings by dotted name, without the address of the labels, which may hold a password."""
    return {name: value for name, value in dotted(as_dict(config)).items() if name != "record.labels"}


def differences(run_json: RunJson, config: Config) -> list[str]:
    """What has changed since the run was started, so that resuming it is not exact.

    Raises UserError for a changed setting of FIXED.
    """
    now = settings_of(config)
    before = now
    if noted := {name: value for name, value in run_json.get("config", {}).items() if name not in RETIRED}:
        default = update(update(Config(), NEWER), {AGENT: config.agent.algorithm})
        before = settings_of(default) | noted  # what an older prefrl did not know was at its default
    for name in FIXED:
        if now.get(name) != before.get(name):
            raise UserError(
                f"config.yaml says {name}: {brief(now.get(name))}, and the run was started with"
                f" {brief(before.get(name))}, which its checkpoints and labels are made for; change it back, or start a"
                " new run"
            )
    current = machine()
    packages = current["packages"]
    earlier = packages | run_json["packages"]  # an older prefrl noted fewer
    return [
        *changes(before, now),
        *changes(earlier, packages),
        *changes(run_json, {key: current[key] for key in ("python", "machine")}),
    ]


def changes(before: Mapping[str, object], now: Mapping[str, object]) -> list[str]:
    """Changed values, one line each; of names that are missing now only those of mechanisms."""
    removed = [name for name in before if name not in now and name.startswith("mechanisms.")]
    return [
        f"{name} {brief(before.get(name))} -> {brief(now.get(name))}"
        for name in [*now, *removed]
        if before.get(name) != now.get(name)
    ]

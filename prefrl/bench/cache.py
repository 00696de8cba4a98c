"""Results of jobs on disk: each is found again by the hash of what was run, and of the versions that ran it."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import envs
import prefrl
from prefrl.config.settings import Config
from prefrl.config.values import as_dict, update
from prefrl.core.errors import UserError
from prefrl.core.files import write_durably
from prefrl.runs.folder import machine
from prefrl.teachers import recorded

EVALUATION = 100_000
"""Steps of whole episodes, the same ones for every run of an environment.

With 20,000, a hundred episodes of Pendulum, one policy scored -225 that earns -206 in 800: a standard error of up to 19.
"""

Result = dict[str, Any]
"""What a job gives, as JSON, with its `warnings` and the versions that `made` it (`work.do`)."""

ASIDE = ("bench", "labelling", "reels", "cli.py")  # of prefrl: what no figure of a run depends on


@dataclass(frozen=True, eq=False)
class Job:
    """Something to do in a worker: a whole run, or the floor of its environment. Equal if the same would be done."""

    config: Config
    task: str = "run"  # a key of work.TASKS
    modules: tuple[str, ...] = ()  # to import first, for the environments that they register
    evaluation: int = EVALUATION

    @cached_property
    def key(self) -> str:
        """A hash of all fields above; of the environment alone where nothing else matters."""
        task = {"env": self.config.env, "pixels.atari": self.config.pixels.atari}
        config = self.config if self.task == "run" else update(Config(), task)
        read = [_source(module) for module in self.modules] + _recorded(config)
        return _digest([self.task, as_dict(config), self.evaluation, read])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Job) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __str__(self) -> str:
        return f"{self.config.env}, " + (f"seed {self.config.seed}" if self.task == "run" else self.task)


@cache
def code() -> str:
    """A digest of the source that runs depend on: prefrl without its front ends, and envs."""
    digest = hashlib.sha256()
    for package, aside in ((prefrl, ASIDE), (envs, ())):
        root = Path(str(package.__file__)).parent
        for path in sorted(root.rglob("*.py")):
            if path.relative_to(root).parts[0] not in aside:
                digest.update(path.read_bytes())
    digest.update(Path(__file__).with_name("work.py").read_bytes())
    return digest.hexdigest()[:16]


@cache
def versions() -> dict[str, Any]:
    """What a result depends on besides its configuration: source, Python, packages. The machine is noted, not compared."""
    found = machine()
    return {"code": code(), "python": found["python"], "packages": found["packages"]}


def differences(one: Result, other: Result) -> list[str]:
    """In which versions two results differ, one line each; empty if in none."""
    keys = ("code", "python")
    a, b = ({k: made[k] for k in keys if k in made} | made.get("packages", {}) for made in (one, other))
    return [f"{name} {a[name]} / {b[name]}" for name in sorted(a.keys() & b.keys()) if a[name] != b[name]]


class Cache:
    """A folder of finished results, one JSON file each, and of the run folders of what is not finished yet."""

    def __init__(self, folder: Path):
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as fault:
            raise UserError(f"cannot keep results in {folder}: {fault}; choose another folder with --cache") from fault

    def file(self, job: Job) -> Path:
        return self.folder / f"{job.key}-{_digest(versions())}.json"

    def find(self, job: Job) -> Result | None:
        """The result of this job by these versions, or None. A file that cannot be read counts as none."""
        try:
            found = json.loads(self.file(job).read_text())
            return found if isinstance(found, dict) and "made" in found else None
        except (OSError, ValueError):
            return None

    def keep(self, job: Job, result: Result) -> None:
        """Write a result."""
        write_durably(self.file(job), json.dumps(result, indent=1).encode())

    def others(self, job: Job) -> list[list[str]]:
        """How results of the same job by other versions differ from ours: one list a result."""
        made = []
        for path in self.folder.glob(f"{job.key}-*.json"):
            try:
                made.append(json.loads(path.read_text())["made"])
            except (OSError, ValueError, KeyError, TypeError):
                continue
        return [found for one in made if (found := differences(one, versions()))]

    def workplace(self, job: Job) -> Path:
        """The run folder of this job while it is not finished; what was killed goes on from its last checkpoint."""
        return (self.folder / "unfinished" / self.file(job).stem).absolute()

    def clear(self, job: Job) -> None:
        shutil.rmtree(self.workplace(job), ignore_errors=True)


def _source(module: str) -> str:
    """The text of a module that registers environments: when it changes, so may its results."""
    try:
        spec = find_spec(module)
    except (ImportError, ValueError) as fault:
        raise UserError(f"cannot import {module}: {fault}") from fault
    if spec is None:
        raise UserError(f"there is no module {module!r}; install it, or go to the folder that holds it")
    if spec.submodule_search_locations:  # a package: what it imports of itself counts as well
        files = [path for place in spec.submodule_search_locations for path in sorted(Path(place).rglob("*.py"))]
        return "".join(path.read_text(errors="replace") for path in files)
    return Path(spec.origin).read_text() if spec.origin and spec.origin.endswith(".py") else module


def _recorded(config: Config) -> list[str]:
    """A digest of the answers that a replaying teacher reads: they may be corrected."""
    run = recorded(config.teacher.name)
    files = [Path(run) / f"labels.db{end}" for end in ("", "-wal")] if run else []
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path.exists()]


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

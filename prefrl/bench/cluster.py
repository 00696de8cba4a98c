"""Jobs on a Ray cluster: one actor per core, which imports torch once and then takes job after job."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import Any

from prefrl.bench.cache import Job, differences, versions
from prefrl.bench.workers import Outcome, attempt
from prefrl.core.errors import UserError

STARTUP = 120  # seconds that a cluster has to start the first actor


class _Actor:
    """A worker process of the cluster. Ray gives it as many threads as cores, that is one."""

    def versions(self) -> dict[str, Any]:
        return versions()

    def attempt(self, slot: int, job: Job, folder: Path) -> Outcome:
        return attempt(slot, job, folder)


def _require_listener(address: str) -> None:
    """Raise OSError for a host and port at which nothing listens: Ray would try for minutes, and end the process."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit() or "/" in host:
        return
    socket.create_connection((host, int(port)), timeout=10).close()


class Cluster:
    """Actors of a Ray cluster. address: `auto` or `host:port` of a running one, `local` to start one here."""

    def __init__(self, address: str, count: int | None = None):
        try:
            import ray
        except ImportError as fault:
            raise UserError(
                "--ray-address needs Ray, which is not installed; pip install 'prefrl[bench]', or leave it out:"
                " all cores of this machine work without it"
            ) from fault
        self.ray: Any = ray
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        local = {"num_cpus": count, "include_dashboard": False} if address == "local" else {}
        try:
            _require_listener(address)
            self.ray.init(address, logging_level="ERROR", log_to_driver=False, **local)
        except Exception as fault:  # a bare one where a busy machine takes longer than Ray's 30 s to start it
            raise UserError(
                f"--ray-address {address}: {fault}; start a cluster with `ray start --head`, or say --ray-address local"
            ) from fault
        self.count = count or int(self.ray.cluster_resources().get("CPU", 1))
        self.actors: dict[int, Any] = {}
        self.running: dict[Any, int] = {}
        try:
            self._require_our_versions()
        except BaseException:
            self.close()
            raise

    def _actor(self, slot: int) -> Any:
        if slot not in self.actors:
            self.actors[slot] = self.ray.remote(num_cpus=1)(_Actor).remote()
        return self.actors[slot]

    def _require_our_versions(self) -> None:
        """Results of mixed versions would stand in one table."""
        try:
            theirs = self.ray.get(self._actor(0).versions.remote(), timeout=STARTUP)
        except self.ray.exceptions.RayError as fault:
            raise UserError(f"the cluster starts no worker of prefrl: {fault}; install prefrl on its nodes") from fault
        if found := differences(versions(), theirs):
            raise UserError(
                f"the cluster has other versions than this machine (here / there): {'; '.join(found)}; install the same"
            )

    def submit(self, slot: int, job: Job, folder: Path) -> None:
        self.running[self._actor(slot).attempt.remote(slot, job, folder)] = slot

    def wait(self, seconds: float) -> list[Outcome]:
        if not self.running:
            time.sleep(seconds)
            return []
        ended, _ = self.ray.wait(list(self.running), num_returns=1, timeout=seconds)
        return [self._receive(one) for one in ended]

    def _receive(self, one: Any) -> Outcome:
        slot = self.running.pop(one)
        try:
            return self.ray.get(one)
        except self.ray.exceptions.RayError as fault:
            self.actors.pop(slot, None)
            return Outcome(slot, fault=f"its worker was lost: {str(fault).splitlines()[0]}", again=True)

    def close(self) -> None:
        while self.actors:  # also when called twice
            self.ray.kill(self.actors.popitem()[1])
        self.ray.shutdown()

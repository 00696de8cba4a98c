"""Ray does the same jobs as processes do, with the same results."""

import sys

import pytest
from bench.test_sweep import ARM

from prefrl.bench.cache import Cache
from prefrl.bench.cluster import Cluster
from prefrl.bench.sweep import sweep
from prefrl.bench.work import do
from prefrl.core.errors import UserError


@pytest.mark.slow  # Ray starts a cluster of its own, and loses a worker
def test_a_ray_worker_gives_the_same_result_and_a_lost_one_is_replaced(tmp_path):
    ray = pytest.importorskip("ray")
    cluster = Cluster("local", 1)
    try:
        cluster.submit(0, ARM, tmp_path / "lost")
        ray.kill(cluster.actors[0])
        [outcome] = wait_for(cluster)
        assert outcome.again and outcome.fault.startswith("its worker was lost")
        done = sweep([ARM], Cache(tmp_path / "cache"), cluster)
    finally:
        cluster.close()
    assert done.results[ARM]["true_return"] == do(ARM, tmp_path / "here")["true_return"]


def wait_for(cluster):
    while not (found := cluster.wait(10)):
        pass
    return found


def test_a_cluster_that_is_not_there_is_named():
    pytest.importorskip("ray")
    with pytest.raises(UserError, match="--ray-address 127.0.0.1:1: .*start a cluster with `ray start --head`"):
        Cluster("127.0.0.1:1")


def test_without_ray_the_way_to_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match="pip install 'prefrl\\[bench\\]'"):
        Cluster("local")

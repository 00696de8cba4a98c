"""Write segments as the episodes of a Minari dataset."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from prefrl import __version__
from prefrl.core.data import Segments
from prefrl.core.errors import UserError
from prefrl.core.observations import mapped
from prefrl.dataset import layout
from prefrl.dataset.exported_run import ExportedRun
from prefrl.runs import build
from prefrl.runs.build import Own

try:
    import h5py  # noqa: F401  Minari's own way of storing
    import minari
    from minari.data_collector import EpisodeBuffer
    from minari.dataset.minari_storage import MinariStorage
except ImportError as fault:
    raise UserError(f"Minari datasets need minari with h5py ({fault}): pip install 'prefrl[export]'") from fault


def write(exported: ExportedRun, out: Path) -> None:
    """The segments of one question after the other, each truncated at its end; rewards are the true ones."""
    folder = out / layout.EPISODES / layout.MINARI_ID / "data"
    folder.parent.mkdir(parents=True)
    observation, action = _spaces(exported)
    spec = None  # of an environment that Gymnasium does not know
    with suppress(gym.error.Error):
        spec = gym.spec(exported.config.env)
    storage = MinariStorage.new(folder, observation, action, spec, jpeg_encoding=False)
    storage.update_metadata({
        "dataset_id": layout.MINARI_ID, "minari_version": minari.__version__, "algorithm_name": exported.config.agent.algorithm.upper(),
        "author": {f"prefrl {__version__}"},
        "description": f"Segments that questions were asked about; rewards are the true ones of {exported.config.env}.",
    })  # fmt: skip
    written = 0
    for ids, sides, segments in exported.batches("minari"):
        numbers = range(written, written + len(segments))
        storage.update_episodes(_episode(number, segments[place]) for place, number in enumerate(numbers))
        columns = {
            "query_id": ids, "side": sides, "env_index": segments.env_index, "start_step": segments.start_step,
        }  # fmt: skip
        metadata = [{name: int(column[place]) for name, column in columns.items()} for place in range(len(segments))]
        storage.update_episode_metadata(metadata, numbers)
        written += len(segments)


def _episode(number: int, segment: Segments) -> EpisodeBuffer:
    """A segment, batch shape (), as an episode that was truncated at its end."""
    return EpisodeBuffer(
        id=number, observations=mapped(np.asarray, segment.observations), actions=segment.actions, rewards=segment.true_rewards,
        terminations=np.zeros(segment.length, bool), truncations=np.arange(segment.length) == segment.length - 1, infos={},
    )  # fmt: skip


def _spaces(exported: ExportedRun) -> tuple[gym.Space, gym.Space]:
    """Observation and action space of the environment; if it cannot be made, the widest that the segments fit into."""
    try:
        env = build.maker(exported.config, Own(**exported.own))()
    except UserError:
        first = exported.store.files.read(exported.questions[0]["segments_file"])
        each = mapped(lambda part: _widest(np.asarray(part), 3), first.observations)
        return spaces.Dict(each) if isinstance(each, dict) else each, _widest(first.actions, 3)
    try:
        return env.observation_space, env.action_space
    finally:
        env.close()


def _widest(values: np.ndarray, lead: int) -> gym.Space:
    low, high = (-np.inf, np.inf)
    if values.dtype.kind != "f":
        kind = np.iinfo(np.uint8 if values.dtype == bool else values.dtype)
        low, high = kind.min, kind.max
    return spaces.Box(low, high, values.shape[lead:], values.dtype if values.dtype != bool else np.uint8)

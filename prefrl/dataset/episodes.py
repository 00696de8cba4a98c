"""Segments as the episodes of a Minari dataset."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from tqdm import tqdm

from prefrl import __version__
from prefrl.core.errors import UserError
from prefrl.core.observations import mapped
from prefrl.dataset import layout
from prefrl.dataset.content import Content
from prefrl.kinds import kind_of
from prefrl.runs import build
from prefrl.runs.own import Own
from prefrl.store.contents import Row

try:
    import h5py  # noqa: F401  Minari's own way of storing
    import minari
    from minari.data_collector import EpisodeBuffer
    from minari.dataset.minari_storage import MinariStorage
except ImportError as fault:
    raise UserError(f"Minari datasets need minari with h5py ({fault}): pip install 'prefrl[export]'") from fault

BATCH = 64  # questions whose segments are held at once


def write_episodes(content: Content, out: Path) -> None:
    """The segments of one question after the other, each truncated at its end; rewards are the true ones."""
    folder = out / layout.EPISODES / layout.MINARI_ID / "data"
    folder.parent.mkdir(parents=True)
    observation, action = _spaces(content)
    storage = MinariStorage.new(folder, observation, action, _spec(content.config.env), jpeg_encoding=False)
    storage.update_metadata({
        "dataset_id": layout.MINARI_ID, "minari_version": minari.__version__, "algorithm_name": content.config.agent.algorithm.upper(),
        "author": {f"prefrl {__version__}"},
        "description": f"Segments that questions were asked about; rewards are the true ones of {content.config.env}.",
    })  # fmt: skip
    written = 0
    for rows in tqdm(content.batches(BATCH), "minari", leave=False, file=sys.stderr, delay=1):
        episodes, metadata = zip(*_episodes(content, rows, written), strict=True)
        storage.update_episodes(episodes)
        storage.update_episode_metadata(metadata, range(written, written + len(metadata)))
        written += len(metadata)


def _episodes(content: Content, rows: list[Row], first: int) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Episodes of some questions of one kind, numbered from `first` on, each with its metadata."""
    count = kind_of(rows[0]["kind"]).segments
    segments = content.store.files.gather([row["segments_file"] for row in rows], [row["row"] for row in rows]).flat()
    for place in range(len(segments)):
        segment, steps = segments[place], segments.length
        metadata = {
            "query_id": rows[place // count]["id"], "side": place % count, "env_index": int(segment.env_index),
            "start_step": int(segment.start_step),
        }  # fmt: skip
        yield EpisodeBuffer(
            id=first + place, observations=mapped(np.asarray, segment.observations), actions=segment.actions, rewards=segment.true_rewards,
            terminations=np.zeros(steps, bool), truncations=np.arange(steps) == steps - 1, infos={},
        ), metadata  # fmt: skip


def _spaces(content: Content) -> tuple[gym.Space, gym.Space]:
    """Observation and action space of the environment; if it cannot be made, the widest that the segments fit into."""
    try:
        env = build.maker(content.config, Own(**content.own))()
    except UserError:
        first = content.store.files.read(content.files[0])
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


def _spec(env: str) -> Any:
    """The spec from which Minari makes the environment; None for a name that Gymnasium does not know."""
    try:
        return gym.spec(env)
    except gym.error.Error:
        return None

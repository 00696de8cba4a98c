"""Checkpoints are whole or not there, and whatever is not ours is refused without running or reserving anything."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from prefrl.core.errors import StorageFull, UserError
from prefrl.runs import checkpoint

TENSORS = {
    "policy.weight": torch.arange(12.0).reshape(3, 4),
    "normaliser.count": torch.tensor(7.5, dtype=torch.float64),
}
STATE = {"step": 100, "finished": [[1.5, 200]], "seen": 12}

FORK = """
import os, sys, torch
from pathlib import Path
from prefrl.runs import checkpoint
folder = Path({folder!r})
for _ in sys.stdin:  # a fork is much cheaper than twenty imports of torch
    step = (checkpoint.read_newest(folder) or [0, {{"step": 0}}])[1]["step"]
    child = os.fork()
    while not child:
        step += 1
        checkpoint.write(folder, step, {{"weights": torch.full((200_000,), float(step))}}, {{"step": step}}, keep=2)
    print(child, flush=True)
    os.waitpid(child, 0)
    print("ended", flush=True)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Checkpoints of steps 100 and 200."""
    for step in (100, 200):
        checkpoint.write(tmp_path / "checkpoints", step, TENSORS, STATE | {"step": step}, keep=3)
    return tmp_path / "checkpoints"


def names(folder: Path) -> list[int]:
    return [int(path.name) for path in checkpoint.found(folder)]


def forge(path: Path, **files: bytes) -> None:
    """Replace files of a checkpoint and write the manifest that fits them."""
    contents = {"tensors.safetensors": save(TENSORS), "state.json": b"{}"} | {
        name.replace("_", "."): c for name, c in files.items()
    }
    for name, content in contents.items():
        (path / name).write_bytes(content)
    entries = {name: checkpoint._entry(content) for name, content in contents.items()}
    (path / "manifest.json").write_text(json.dumps({"format": 1, "step": 200, "files": entries}))


def test_what_was_written_is_read(folder):
    tensors, state = checkpoint.read_newest(folder)
    assert state == STATE | {"step": 200}
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)
    assert tensors["normaliser.count"].dtype == torch.float64


def test_no_folder_is_no_checkpoint(tmp_path):
    assert checkpoint.read_newest(tmp_path / "nothing") is None


def test_only_the_newest_are_kept(folder):
    for step in (300, 400, 500):
        checkpoint.write(folder, step, TENSORS, STATE, keep=2)
    assert names(folder) == [500, 400]


def test_a_run_that_went_back_drops_the_later_ones_not_its_own(folder):
    checkpoint.write(folder, 150, TENSORS, STATE, keep=1)  # 200 was damaged, and the run went on from 100
    assert names(folder) == [150]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_never_written(folder, value):
    with pytest.raises(UserError, match=r"policy\.bias is not finite at step 300; no checkpoint was written"):
        checkpoint.write(folder, 300, TENSORS | {"policy.bias": torch.tensor([0.0, value])}, STATE, keep=1)
    assert names(folder) == [200, 100]


def test_numbers_that_are_not_finite_are_never_accepted(folder):
    forge(folder / f"{200:012d}", tensors_safetensors=save({"policy.weight": torch.tensor([float("nan")])}))
    with pytest.warns(UserWarning, match=r"holds numbers in policy\.weight that are not finite; falling back"):
        assert checkpoint.read_newest(folder)[1]["step"] == 100


def test_every_flipped_bit_is_found(folder):
    rng = random.Random(0)
    files = sorted((folder / f"{200:012d}").iterdir())
    missed = []
    for _ in range(200):
        file = rng.choice(files)
        content = bytearray(file.read_bytes())
        at, bit = rng.randrange(len(content)), rng.randrange(8)
        content[at] ^= 1 << bit
        whole = file.read_bytes()
        file.write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                if checkpoint.read_newest(folder)[1]["step"] != 100 and not _harmless(bytes(content), whole):
                    missed.append((file.name, at, bit))
            except UserError as fault:  # a flip can make a valid manifest of a newer format
                assert re.search("reads up to 1", str(fault))
        file.write_bytes(whole)
    assert not missed


def _harmless(content: bytes, whole: bytes) -> bool:
    """Whether a manifest still says the same of every file: its step is repeated in the folder's name."""
    try:
        changed, said = json.loads(content), json.loads(whole)
    except ValueError:
        return False
    return changed.get("files") == said["files"] and changed.get("format") == said["format"]


@pytest.mark.parametrize("file", ["manifest.json", "state.json", "tensors.safetensors"])
@pytest.mark.parametrize("damage", ["cut", "empty", "missing", "pipe", "folder", "device"])
def test_a_damaged_checkpoint_is_passed_over_with_a_warning(folder, file, damage):
    victim = folder / f"{200:012d}" / file
    content = victim.read_bytes()
    victim.unlink()
    {
        "cut": lambda: victim.write_bytes(content[: len(content) // 2]),
        "empty": lambda: victim.write_bytes(b""),
        "missing": lambda: None,
        "pipe": lambda: os.mkfifo(victim),
        "folder": victim.mkdir,
        "device": lambda: victim.symlink_to("/dev/zero"),
    }[damage]()
    with pytest.warns(UserWarning, match="000000000200.*falling back to the one before"):
        assert checkpoint.read_newest(folder)[1]["step"] == 100


HOSTILE = {
    "a header that claims a terabyte": {"tensors_safetensors": (2**40).to_bytes(8, "little") + b"{}"},
    "tensors larger than their file": {
        "tensors_safetensors": (lambda head: len(head).to_bytes(8, "little") + head)(
            b'{"w": {"dtype": "F32", "shape": [1000000000, 1000], "data_offsets": [0, 4000000000000]}}'
        )
    },
    "a pickle": {"tensors_safetensors": b"\x80\x04cos\nsystem\n(S'touch owned'\ntR."},
    "state nested a hundred thousand deep": {"state_json": b"[" * 100_000 + b"]" * 100_000},
    "state that is not text": {"state_json": b"\xff\xfe\x00"},
}


@pytest.mark.parametrize("files", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_checkpoint_with_the_right_sums_is_refused(folder, files):
    forge(folder / f"{200:012d}", **files)
    with pytest.warns(UserWarning, match="cannot be read"):
        assert checkpoint.read_newest(folder)[1]["step"] == 100


@pytest.mark.parametrize(
    "manifest",
    [
        "[]", "3", "{}", '{"format": 1}', '{"format": 1, "files": 3}', '{"format": 1, "files": {"state.json": 3}}',
        '{"format": 1e999, "files": {}}', '{"format": NaN, "files": {}}', '{"format": "1", "files": {}}',
        '{"format": true, "files": {}}', '{"format": 0, "files": {}}', '{"format": -1, "files": {}}',
        '{"format": ' + "9" * 5000 + ', "files": {}}', "[" * 100_000, " " * 2_000_000,
    ],
    ids=range(15),
)  # fmt: skip
def test_a_hostile_manifest_is_damage(folder, manifest):
    (folder / f"{200:012d}" / "manifest.json").write_text(manifest)
    with pytest.warns(UserWarning, match="falling back"):
        assert checkpoint.read_newest(folder)[1]["step"] == 100


def test_a_newer_format_is_refused_by_name_and_left_alone(folder):
    manifest = folder / f"{200:012d}" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(UserError, match="has format 2, this prefrl reads up to 1; update prefrl"):
        checkpoint.read_newest(folder)
    assert names(folder) == [200, 100]


def test_if_all_are_damaged_it_says_so(folder):
    for path in checkpoint.found(folder):
        (path / "state.json").write_text("{}")
    with (
        pytest.warns(UserWarning),
        pytest.raises(UserError, match="all checkpoints in .* are damaged .*; start the run anew"),
    ):
        checkpoint.read_newest(folder)


def test_leftovers_of_a_killed_write_are_removed(folder):
    (folder / "000000000300.tmp").mkdir()
    assert names(folder) == [200, 100]
    checkpoint.write(folder, 300, TENSORS, STATE, keep=3)
    assert not list(folder.glob("*.tmp"))


def test_a_full_disk_leaves_the_previous_checkpoint(folder, tmp_path):
    code = f"""
import resource, torch
from pathlib import Path
from prefrl.runs import checkpoint
from prefrl.core.errors import StorageFull
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    checkpoint.write(Path({str(folder)!r}), 300, {{"w": torch.zeros(100_000)}}, {{}}, keep=1)
except StorageFull as fault:
    print(fault)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert re.search("cannot write the checkpoint .*File too large; free some space and resume", told)
    assert StorageFull.code == 75
    assert sorted(path.name for path in folder.iterdir()) == ["000000000100", "000000000200"]
    assert checkpoint.read_newest(folder)[1]["step"] == 200


def test_kill_while_writing_never_leaves_an_unreadable_checkpoint(tmp_path):
    folder, rng = tmp_path / "checkpoints", random.Random(1)
    writer, pipe = FORK.format(folder=str(folder)), subprocess.PIPE
    parent = subprocess.Popen([sys.executable, "-c", writer], stdin=pipe, stdout=pipe, text=True)
    kills, step = 0, 0
    while kills < 20 or step <= 20:  # a slow machine needs more kills to get as far
        parent.stdin.write("go\n")
        parent.stdin.flush()
        child = int(parent.stdout.readline())
        time.sleep(rng.uniform(0.02, 0.1) * (1 + kills / 20))  # and a busy one more time
        os.kill(child, signal.SIGKILL)
        kills += 1
        assert parent.stdout.readline() == "ended\n"
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # not even a fallback is needed
            read = checkpoint.read_newest(folder)
        if read is not None:
            tensors, state = read
            assert torch.equal(tensors["weights"], torch.full((200_000,), float(state["step"])))
            assert state["step"] >= step
            step = state["step"]
        assert kills < 2000, f"only {step} checkpoints after {kills} kills"
    parent.stdin.close()
    parent.wait(300)

"""Every notebook runs from its first cell to its last, with little to do, and is stored without what came out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from patience import LONG

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")

ROOT = Path(__file__).parent.parent
TINY = {
    "1_the_cycle": "ACTS, QUESTIONS, STEPS = 100, 30, 6000",
    "2_what_the_reward_learned": "STEPS, QUESTIONS, GRID = 6000, 20, 9",
    "3_swapping_oracles": "ACTS, QUESTIONS, STEPS = 300, 40, 6000",
    "4_label_it_yourself": "STEPS, QUESTIONS, WAIT = 4000, 8, 0",
    "5_bring_your_own": "STEPS, QUESTIONS = 4000, 20",
}
"""What takes the place of the cell that is tagged `parameters`."""


def read(name: str):
    return nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)


def test_there_is_a_tiny_version_of_every_notebook():
    assert {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")} == set(TINY)


@pytest.mark.parametrize("name", TINY)
def test_it_holds_no_output(name):
    for cell in read(name).cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None, cell.source


@pytest.mark.slow  # each starts a kernel that imports everything, and trains one run or more
@pytest.mark.parametrize("name", TINY)
def test_it_runs(name, tmp_path, monkeypatch):
    if name == "4_label_it_yourself":
        pytest.importorskip("anywidget")
    from nbclient import NotebookClient

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])))
    notebook = read(name)
    [parameters] = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    parameters.source = TINY[name]
    NotebookClient(
        notebook, timeout=LONG, startup_timeout=LONG, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert shown and not [output for output in shown if output.output_type == "error"]
    wanted = "application/vnd.jupyter.widget-view+json" if name == "4_label_it_yourself" else "image/png"
    assert any(wanted in output.get("data", {}) for output in shown)

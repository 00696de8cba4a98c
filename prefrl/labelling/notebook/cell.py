"""`prefrl.label(run)`: the label page of a run as the output of a notebook cell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from prefrl.core.errors import UserError
from prefrl.labelling.messages import NewSession
from prefrl.labelling.notebook.visits import Visits
from prefrl.labelling.service import require_run
from prefrl.runs.address import user

if TYPE_CHECKING:
    from prefrl.labelling.notebook.widget import LabelWidget

_SHOWN: dict[Path, LabelWidget] = {}  # by the run's folder: a cell that is run again replaces its earlier widget


def label(
    run: Any, *, labeller: str | None = None, modules: Sequence[str] = (), store: str | None = None
) -> LabelWidget:
    """Label pairs of a run in a notebook, while it trains or afterwards. Make it the last line of a cell.

    run: a run's folder, or what prefrl.train returned. labeller: the name stored with the answers, by default your user
    name. modules: to import for the environment to be drawn. store: database of the labels, where it is not labels.db in
    the run's folder.

    Answers go into the same store as those of `prefrl label`, and are on disk before they are acknowledged. The render
    worker lives as long as a cell shows the run. Raises UserError for what is no run, and without anywidget.
    """
    try:
        from prefrl.labelling.notebook.widget import LabelWidget
    except ImportError as missing:
        raise UserError(
            f"labelling in a notebook needs anywidget ({missing}): pip install 'prefrl[notebook]'"
        ) from missing
    folder = _folder(run)
    require_run(folder)
    name = _name(labeller or user())
    if folder in _SHOWN:
        _SHOWN.pop(folder).close()
    visits = Visits(folder, modules=modules, store=store, labeller=name)
    _SHOWN[folder] = LabelWidget(visits, run=str(folder), labeller=name)
    return _SHOWN[folder]


def _folder(run: Any) -> Path:
    """The folder of a path, a training result or a run."""
    folder = getattr(run, "folder", run)
    if not isinstance(folder, str | Path):
        raise UserError(f"{run!r} is no run; give its folder, or what prefrl.train returned")
    return Path(folder).resolve()


def _name(labeller: str) -> str:
    try:
        return NewSession(labeller=labeller).labeller
    except ValidationError as fault:
        raise UserError(f"labeller={labeller!r} cannot be stored; a name has 1 to 40 printable characters") from fault

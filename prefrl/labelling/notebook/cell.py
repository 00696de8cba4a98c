"""`prefrl.label(run)`: the label page of a run as the output of a notebook cell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pydantic import ValidationError

from prefrl.core.errors import UserError
from prefrl.labelling.messages import NewSession
from prefrl.labelling.notebook.cell_service import CellService
from prefrl.labelling.service import require_run
from prefrl.runs.address import user

if TYPE_CHECKING:
    from prefrl.labelling.notebook.widget import LabelWidget

_SHOWN: dict[Path, LabelWidget] = {}  # by the run's folder: a cell that is run again replaces its earlier widget


class InFolder(Protocol):
    """A run, or what training returned: it has a folder."""

    @property
    def folder(self) -> Path | str: ...


def label(
    run: str | Path | InFolder, *, labeller: str | None = None, modules: Sequence[str] = (), store: str | None = None
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
    given = getattr(run, "folder", run)
    if not isinstance(given, str | Path):
        raise UserError(f"{run!r} is no run; give its folder, or what prefrl.train returned")
    folder = Path(given).resolve()
    require_run(folder)
    try:
        name = NewSession(labeller=labeller or user()).labeller
    except ValidationError as fault:
        raise UserError(f"labeller={labeller!r} cannot be stored; a name has 1 to 40 printable characters") from fault
    if folder in _SHOWN:
        _SHOWN.pop(folder).close()
    _SHOWN[folder] = LabelWidget(CellService(folder, name, modules, store))
    return _SHOWN[folder]

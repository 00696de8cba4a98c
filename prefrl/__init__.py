"""prefrl: reinforcement learning from human preferences, in the style of Christiano et al. 2017.

    import prefrl
    result = prefrl.train("Pendulum-v1", steps=100_000, **{"questions.budget": 100})

Names are loaded when they are first used: `import prefrl` alone loads neither torch nor an environment.
"""

from __future__ import annotations

import importlib
from typing import Any

_WHERE = {
    "train": "prefrl.runs.api",
    "resume": "prefrl.runs.api",
    "evaluate": "prefrl.runs.api",
    "load_run": "prefrl.runs.api",
    "label_with_ai": "prefrl.labelling.ai.labeller",
    "Result": "prefrl.runs.outcome",
    "label": "prefrl.labelling.notebook.cell",
    "Config": "prefrl.config.settings",
    "preset": "prefrl.config.methods",
    "Segments": "prefrl.core.data",
    "Queries": "prefrl.core.data",
    "Feedback": "prefrl.core.data",
    "UserError": "prefrl.core.errors",
    "LabelStore": "prefrl.store.store",
    "Kind": "prefrl.kinds.base",
    "Mechanism": "prefrl.mechanisms.base",
}
__all__ = sorted(_WHERE)
__version__ = "0.2.0"


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"prefrl has no {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return __all__

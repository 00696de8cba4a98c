"""What Gymnasium's `step` and `reset` return, for the tasks of this folder."""

from typing import Any

import numpy as np

Info = dict[str, Any]
Step = tuple[np.ndarray, float, bool, bool, Info]
Reset = tuple[np.ndarray, Info]

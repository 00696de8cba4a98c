"""Noise: labels wrong at 0 to 40 %, fitted with and without the assumption that a tenth of them are coin flips.

    python -m experiments.noise

`error 0.1` is the likelihood of Christiano et al. 2017 (2.2.3), right for 5 % of wrong answers; `error 0` trusts every
answer; `error 0.4` is right for 20 % of wrong ones.
"""

from functools import partial

from experiments.figure import Experiment, on_control_tasks
from prefrl.bench.figures import against

AXIS = "teacher.mistake"
EXPERIMENT = Experiment(
    "noise",
    on_control_tasks(
        environments=["Pendulum-v1", "prefrl/CartPole-v0"],
        vary={"reward.error": [0.0, 0.1, 0.4], AXIS: [0.0, 0.1, 0.2, 0.3, 0.4]},
    ),
    partial(against, axis=AXIS, label="share of wrong answers"),
)

if __name__ == "__main__":
    EXPERIMENT.main(__doc__)

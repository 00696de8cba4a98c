"""The search behind a default that all control tasks share: PPO's minibatch, on seeds that no result reports.

python -m experiments.defaults
"""

from experiments.figure import Experiment, on_control_tasks

MINIBATCHES = {f"minibatches of {size}": {"agent.batch_size": size} for size in (64, 128, 256)}
EXPERIMENT = Experiment(
    "defaults",
    on_control_tasks(
        environments=["Pendulum-v1", "prefrl/CartPole-v0", "prefrl/MountainCarContinuous-v0", "prefrl/Acrobot-v0"],
        variants=MINIBATCHES, controls=["true", "zero"], seeds=[*range(1000, 1004)],
    ),
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main(__doc__)

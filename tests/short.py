"""Settings of short whole runs."""

from typing import Any

SHORT: dict[str, Any] = {
    "steps": 2048,
    "agent.n_envs": 4,
    "agent.n_steps": 64,
    "agent.batch_size": 64,
    "agent.n_epochs": 2,
    "questions.budget": 24,
    "questions.length": 10,
    "reward.hidden": (16,),
    "reward.first_epochs": 5,
    "reward.epochs": 2,
    "record.video": False,
    "record.plots": False,
    "record.tensorboard": False,
    "record.evaluation_episodes": 2,
    "record.checkpoints": 4,
}
"""Settings of a whole run that takes about a second."""

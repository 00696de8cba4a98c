"""The table of tasks: where each lives, how long its episodes are, and one line on what it is about.

To add a task, write its file and add its row here. Three rules hold for every row, and the tests check them:
an episode never terminates and is truncated after `steps`, so its length tells a learner nothing; the true reward
tells two random segments apart; and `reset(seed)` and the actions determine everything that follows.
"""

from typing import NamedTuple

import gymnasium


class TaskSpec(NamedTuple):
    entry_point: str  # "module:Class", imported only when the task is made
    steps: int  # per episode, always
    summary: str


_TASKS = {
    # Classic control: a fall or a reached goal starts the next attempt inside the same episode.
    "CartPole": TaskSpec("envs.cartpole:CartPole", 500, "balance a pole; a fall costs one, leaning a little"),
    "CartPoleFalls": TaskSpec(
        "envs.cartpole:CartPoleFalls", 500, "balance a pole; a fall costs one, nothing else counts"
    ),
    "MountainCar": TaskSpec("envs.laps:MountainCar", 300, "rock a car up a hill, again and again"),
    "MountainCarContinuous": TaskSpec(
        "envs.laps:MountainCarContinuous", 300, "rock a car up a hill, again and again; continuous force"
    ),
    "Acrobot": TaskSpec("envs.laps:Acrobot", 500, "swing a two-link arm above the line, again and again"),
    "LunarLander": TaskSpec("envs.lunar_lander:LunarLander", 600, "land on the pad and stay; a wreck stays a wreck"),
    # MuJoCo: what used to end the episode now has to be learned.
    "HalfCheetah": TaskSpec("envs.mujoco_tasks:HalfCheetah", 1000, "run forward"),
    "Hopper": TaskSpec("envs.mujoco_tasks:Hopper", 1000, "hop forward and stay up; a fall does not end it"),
    "Walker2d": TaskSpec("envs.mujoco_tasks:Walker2d", 1000, "walk forward and stay up; a fall does not end it"),
    "Ant": TaskSpec("envs.mujoco_tasks:Ant", 1000, "walk forward on four legs; a fall does not end it"),
    "Swimmer": TaskSpec("envs.mujoco_tasks:Swimmer", 1000, "swim forward"),
    "Reacher": TaskSpec("envs.mujoco_tasks:Reacher", 50, "bring the fingertip to the target"),
    "InvertedPendulum": TaskSpec("envs.mujoco_tasks:InvertedPendulum", 200, "balance a pole; a fall costs one"),
    # Pictures, small enough for a laptop.
    "Dot": TaskSpec("envs.dot_task:Dot", 50, "pictures of 16 x 16: bring the dot onto the mark and stay there"),
    # Goals that a person can see and Gymnasium has no reward for: the true reward is a scripted oracle's judgement.
    "HopperBackflip": TaskSpec("envs.novel:HopperBackflip", 500, "goal only: turn backflips"),
    "HalfCheetahOneLeg": TaskSpec("envs.novel:HalfCheetahOneLeg", 500, "goal only: run forward on the hind leg alone"),
    "CartPoleWindmill": TaskSpec("envs.windmill:CartPoleWindmill", 300, "goal only: whirl the pole clockwise"),
    "PendulumSpin": TaskSpec("envs.spin:PendulumSpin", 200, "goal only: keep spinning counter-clockwise"),
}

CATALOGUE: dict[str, str] = {f"prefrl/{name}-v0": task.summary for name, task in _TASKS.items()}

# Gymnasium's tasks that end early, or whose reward ties most pairs, and ours to use instead. HalfCheetah, Swimmer,
# Reacher and Pendulum are absent because the plain ones already have a fixed length and a graded reward.
EQUIVALENT: dict[str, str] = {
    "CartPole-v0": "prefrl/CartPole-v0",
    "CartPole-v1": "prefrl/CartPole-v0",
    "MountainCar-v0": "prefrl/MountainCar-v0",
    "MountainCarContinuous-v0": "prefrl/MountainCarContinuous-v0",
    "Acrobot-v1": "prefrl/Acrobot-v0",
    "LunarLander-v3": "prefrl/LunarLander-v0",
    **{
        f"{name}-{version}": f"prefrl/{name}-v0"
        for name in ("Hopper", "Walker2d", "Ant", "InvertedPendulum")
        for version in ("v4", "v5")
    },
}

_GOALS = {
    "Pendulum-v1": "swing the pendulum up and hold it there, with little force",
    "HalfCheetah-v5": "run forward, to the right",
    "Swimmer-v5": "swim forward, to the right",
    "Reacher-v5": "bring the fingertip to the target",
}


def goal(env_id: str) -> str:
    """What a task is about, for people who compare clips of it; empty where we cannot know."""
    return _GOALS.get(env_id, CATALOGUE.get(env_id, "").removeprefix("goal only: "))


def register_all() -> None:
    """Make every task known to `gymnasium.make`; calling it again changes nothing."""
    for name, task in _TASKS.items():
        if (id := f"prefrl/{name}-v0") not in gymnasium.registry:
            gymnasium.register(id, entry_point=task.entry_point, max_episode_steps=task.steps)

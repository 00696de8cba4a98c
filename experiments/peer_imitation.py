"""One run of `imitation`'s preference comparisons on Pendulum, in an environment of its own; see peers.py.

Started by peers.py with the Python of that environment; imports nothing of prefrl. Prints one line of JSON.
The agent is our PPO with our settings, the reward net has our layers, the questions are as many and as long.
"""

from __future__ import annotations

import json
import resource
import sys
import time

import numpy as np


def main() -> None:
    """The arguments are seed, steps, questions, length of a segment and episodes of the evaluation."""
    seed, steps, questions, length, episodes = map(int, sys.argv[1:])
    import torch
    from imitation.algorithms import preference_comparisons as pc
    from imitation.rewards.reward_nets import BasicRewardNet
    from imitation.util.networks import RunningNorm
    from imitation.util.util import make_vec_env
    from stable_baselines3 import PPO
    from stable_baselines3.common.evaluation import evaluate_policy

    torch.set_num_threads(1)
    started = time.process_time()
    rng = np.random.default_rng(seed)
    venv = make_vec_env("Pendulum-v1", rng=rng, n_envs=8)
    net = BasicRewardNet(
        venv.observation_space, venv.action_space, hid_sizes=(64, 64), normalize_input_layer=RunningNorm
    )
    model = pc.PreferenceModel(net)
    agent = PPO(
        "MlpPolicy", venv, n_steps=256, batch_size=256, n_epochs=10, learning_rate=1e-3, gamma=0.9, gae_lambda=0.95,
        policy_kwargs={"net_arch": [64, 64]}, seed=seed, device="cpu",
    )  # fmt: skip
    learner = pc.PreferenceComparisons(
        pc.AgentTrainer(algorithm=agent, reward_fn=net, venv=venv, rng=rng, exploration_frac=0.0),
        net,
        num_iterations=10,
        fragmenter=pc.RandomFragmenter(warning_threshold=0, rng=rng),
        preference_gatherer=pc.SyntheticGatherer(rng=rng, temperature=0),
        reward_trainer=pc.BasicRewardTrainer(model, pc.CrossEntropyRewardLoss(), epochs=10, rng=rng),
        fragment_length=length,
        transition_oversampling=1,
        initial_comparison_frac=0.25,
        query_schedule="hyperbolic",
        initial_epoch_multiplier=4,  # as in its tutorial; the default of 200 takes minutes
    )
    learner.train(total_timesteps=steps, total_comparisons=questions)
    seconds = time.process_time() - started
    test = make_vec_env("Pendulum-v1", rng=np.random.default_rng(1_000_003), n_envs=10)
    earned, _ = evaluate_policy(agent, test, episodes, deterministic=True)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"true_return": float(np.mean(earned)), "cpu_seconds": seconds, "megabytes": memory}))


if __name__ == "__main__":
    main()

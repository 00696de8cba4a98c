"""The loop of Christiano et al. 2017. It imports nothing of ours: the parts know nothing of each other.

act         the agent's rollout just ended; its recorder remembers what happened
ask         when questions are due, pairs of segments go to the teacher
listen      whatever answers are there by now: an oracle's at once, a person's minutes later
understand  the reward model is fitted to all answers, once enough of them are new
improve     the agent improves its policy on the rollout, paid by the reward model as it is now

What an answer teaches (equation 1; feedback/pair.py, rewards/objectives.py): the first of two segments is preferred with
probability sigmoid(sum of its learned rewards - sum of the second's), and a fit makes the answers given more likely.
"""

from __future__ import annotations

from typing import Any


class PreferenceLoop:
    """Five parts, and a turn that carries things from one to the next."""

    def __init__(self, agent: Any, asker: Any, teacher: Any, reward_model: Any, log: Any):
        self.agent, self.asker, self.teacher, self.reward_model, self.log = agent, asker, teacher, reward_model, log

    def run(self) -> None:
        """One call of the agent's own `learn`; it hands us a turn at the end of each rollout."""
        self.agent.learn(self.turn)

    def turn(self) -> Any:
        """Between acting and improving. Returns the learned rewards of the rollout: (n_steps, n_envs)"""
        step, recorder = self.agent.step, self.agent.recorder
        self.asker.take_back(self.teacher.outdated(step))  # people may not come to all; an oracle answers at once
        for queries in self.asker.choose(step, self.teacher.capacity(step), recorder, self.reward_model):
            self.teacher.ask(queries)  # ask
        if any([self.reward_model.hear(feedback) for feedback in self.teacher.answers(step) or [None]]):  # listen
            self.log.fitted(self.reward_model.fit(step))  # understand
        rollout = self.agent.rollout()  # act: it has just ended; the agent improves on it with these rewards
        rewards = self.reward_model.rewards(rollout)
        self.log.turned(rollout, rewards, self.asker.asked)
        return rewards

"""Every setting of a run: one dataclass per part, a comment per field that is also its help text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from prefrl.config.ranges import RANGES
from prefrl.core.errors import UserError

Source = Literal["learned", "true", "zero", "constant", "random", "shuffled"]


@dataclass
class AgentConfig:
    """The Stable-Baselines3 agent that acts and improves its policy."""

    algorithm: str = "ppo"
    """Which SB3 on-policy algorithm: ppo or a2c."""
    policy: str = "auto"
    """SB3 policy class; auto: CnnPolicy where observations are pictures, else MlpPolicy."""
    n_envs: int = 8
    """Environments that act side by side."""
    n_steps: int = 256
    """Steps per environment in a rollout; the reward model is asked once per rollout."""
    batch_size: int = 128
    """Minibatch of PPO's update."""
    n_epochs: int = 10
    """Passes over a rollout."""
    learning_rate: float = 1e-3
    """Adam's step size."""
    anneal: float = 0.4
    """Last share of the run, over which the learning rate falls linearly to zero: the last policy is what counts."""
    bounds: float = 0.5
    """Cost of an action sampled half the action space's width beyond its bounds, in spreads of the learned reward; a
    policy that runs off over a wrong slope would not come back."""
    gamma: float = 0.99
    """Discount per step."""
    gae_lambda: float = 0.95
    """Generalised advantage estimation's lambda."""
    clip_range: float = 0.2
    """PPO's clipping of the probability ratio."""
    ent_coef: float = 0.0
    """Weight of the entropy bonus."""
    vf_coef: float = 0.5
    """Weight of the value loss."""
    max_grad_norm: float = 0.5
    """Gradients longer than this are shortened."""
    hidden: tuple[int, ...] = (64, 64)
    """Layers of policy and value network."""
    endless: bool = False
    """The agent is not told where episodes end, as in Christiano et al. 2017 on Atari; returns and segments know."""
    device: str = "auto"
    """Torch device of policy and reward networks; auto: a GPU for pictures if there is one, else the CPU."""


@dataclass
class QuestionConfig:
    """What the teacher is asked, and when."""

    budget: int = 300
    """Questions over the whole run; skipped and tied ones count."""
    kinds: tuple[str, ...] = ("pair",)
    """Kinds of feedback that are asked for; see `prefrl list`."""
    mix: tuple[float, ...] = ()
    """Shares of the budget, one for each kind; empty: equal ones."""
    turns: str = "mixed"
    """Several kinds: mixed at all times, or one_by_one, each when the budget of the one before is asked."""
    length: int = 25
    """Steps in a segment. Shorter ones say more about single steps; people need one to two seconds."""
    strategy: str = "disagreement"
    """How pairs are chosen; see `prefrl list`."""
    candidates: int = 10
    """Candidate pairs drawn for each question that a strategy chooses."""
    schedule: str = "hyperbolic"
    """When questions are asked; see `prefrl list`."""
    initial: float = 0.25
    """Share of the budget that is due at once: asked as fast as the first rollouts give segments."""
    until: float = 1.0
    """Share of the run by which the whole budget has been asked; once nobody asks, agents find what pays by mistake."""
    half_at: float = 0.1
    """Share of the run after which a hyperbolic schedule asks half as fast."""
    growth: float = 0.2
    """A session asks at least this share of the questions asked before it, since each costs a fit."""


@dataclass
class TeacherConfig:
    """Who answers. None keeps the named teacher's own value."""

    name: str = "oracle"
    """oracle, mistake, noisy, skip, equal, myopic, human, or replay=RUN, a run's recorded answers; see `prefrl list`."""
    beta: float | None = None
    """Rationality: log-odds of the better answer per unit of return."""
    gamma: float | None = None
    """Myopia: steps further from the segment's end count less."""
    mistake: float | None = None
    """Share of answers turned round."""
    skip: float | None = None
    """How readily two poor segments are skipped."""
    equal: float | None = None
    """How readily two similar segments are called equal."""
    units: str = "task"
    """task: spreads of segment returns. bpref: as published. bpref-code: with epsilon applied twice, as released."""
    question: str = ""
    """What people are asked about a pair of clips; empty: which is better at the task, if it is one of ours."""
    wait: int = 0
    """People: training pauses until this many questions are answered; so many are due at once."""
    lag: int = 0
    """People: training pauses while so many questions, or more, are unanswered; 0: it never does."""
    queue: int = 50
    """People: no more is asked while this many questions are unanswered."""
    stale: float = 0.25
    """People: unanswered questions are taken back after this share of the run; 0: never."""
    page: bool = True
    """People: open the label page with the run."""
    opinions: float = 1.0
    """People: how many labellers judge each question; 1.2: every fifth is judged by a second one."""
    combine: str = "reliability"
    """What becomes of several opinions on one question: reliability, mean or first; see `prefrl list`."""
    gold: float = 0.0
    """People: share of what they see whose answer is known, to see how often each is right. Nothing is learned from it."""
    repeat: float = 0.0
    """People: share of what they see that each has judged before, to see how steady they are."""
    mirror: float = 0.05
    """People: the same with the sides changed."""
    timing: str = "heard"
    """Replay: when recorded answers come. heard: at the step at which the recorded run heard them, corrections and
    all. once: those that stand in the end, as soon as their question is asked."""
    unknown: str = "skip"
    """Replay: what becomes of questions that the recording does not know. skip, or oracle: the true reward decides."""


@dataclass
class RewardConfig:
    """The reward model, by default with the recipe of Christiano et al. 2017; where ours differs, the setting says so."""

    source: Source = "learned"
    """Where the agent's reward comes from. All but `learned` are controls; `shuffled` learns from permuted answers."""
    objective: str = "preferences"
    """What is learned from a question: preferences, or returns (the true returns of its segments, an ablation)."""
    network: str = "auto"
    """Reward network; see `prefrl list`. auto: mlp, or for pictures cnn or small_cnn, by their size."""
    hidden: tuple[int, ...] = (64, 64)
    """Its layers."""
    members: int = 3
    """Networks in the ensemble."""
    together: bool = False
    """All networks in one pass (torch.vmap): fewer kernels, for a GPU; on a CPU one after the other is faster."""
    precision: str = "float32"
    """What networks compute in: float32, or bfloat16, for GPUs that have it; a CPU takes four times as long."""
    inputs: str = "all"
    """What the reward may depend on: all (observation, its change, action), transition (no action), observation, both
    (observation and action), action."""
    change_scale: float = 0.55
    """Changes enter scaled by this, so that the fit explains by states what states can explain."""
    action_scale: float = 0.03
    """Continuous actions enter scaled by this: on any wrong slope a policy runs to the bounds, and stays there."""
    learning_rate: float = 1e-3
    """Adam's step size."""
    batch_size: int = 32
    """Pairs in a minibatch."""
    first_epochs: int = 40
    """Passes over the answers in the first fit, at most."""
    epochs: int = 20
    """Passes in later fits, at most, and fewer with many answers; a fit stops when held-out ones no longer improve."""
    patience: int = 4
    """Passes without improvement on held-out answers before a fit stops."""
    refit: float = 0.01
    """Fit again once new answers are this share of those known, or none have come for a while."""
    warm: bool = True
    """Go on from the last fit's weights; off: from scratch every time."""
    bootstrap: bool = True
    """Weigh answers as if each member had drawn them with replacement; 1/e are held out either way."""
    error: float = 0.1
    """Share of answers assumed to be coin flips."""
    l2: float = 1e-4
    """First weight decay; adapted to keep held-out loss at 1.1 to 1.5 times training loss."""
    window: int = 3000
    """Learn from the latest answers only."""
    scale: float = 1.0
    """Spread of the reward that the agent is paid."""
    raw: bool = False
    """Pay the `true` control the environment's reward as it is, as plain SB3 would; else at the spread above."""
    constant: float = 1.0
    """What the `constant` control pays for every step."""


@dataclass
class PixelConfig:
    """Environments that show pictures, Atari games among them: what the agent and the reward model see."""

    show: str = "auto"
    """Where observations come from: auto, drawn (the pixel version of a task) or raw; see `prefrl list`."""
    size: int = 84
    """Larger pictures are shrunk to so many pixels on both sides."""
    grey: bool = True
    """Without colour."""
    stack: int = 4
    """Frames in an observation."""
    atari: str = "v5"
    """How games are played: v5 (actions stick with probability .25) or paper (they do not; up to 30 no-ops at first)."""
    native: bool = False
    """Let ale-py step all games at once, faster: for synthetic teachers, since no clips can be drawn afterwards."""
    mask: bool = True
    """Black out the score, lives and counters of the games whose profile we have. People are drawn the whole screen."""


@dataclass
class RecordConfig:
    """What a run writes and remembers."""

    memory_mb: float = 256.0
    """Bound on the recorder's memory."""
    frames_mb: float = 512.0
    """People: bound on the memory for pictures, where an environment has to be filmed while it acts."""
    checkpoints: int = 10
    """Checkpoints over the run. Episodes are cut there, in every run alike, so that a resumed run is the same run."""
    keep: int = 3
    """Checkpoints kept."""
    tensorboard: bool = True
    """Write TensorBoard files."""
    video: bool = True
    """Film an evaluation episode at the end."""
    evaluation_episodes: int = 20
    """Episodes of the final evaluation."""
    labels: str = ""
    """Database URL of the labels, for several machines (PostgreSQL); empty: labels.db in the run's folder."""
    step_timeout: float = 60.0
    """Seconds after which an environment that does not answer counts as hanging."""


@dataclass
class Config:
    """A whole run."""

    env: str = "Pendulum-v1"
    """Gymnasium id; `prefrl list` shows ours."""
    steps: int = 100_000
    """Environment steps; rounded up to whole rollouts."""
    seed: int = 0
    """Same seed, same machine, same versions: the same run."""
    agent: AgentConfig = field(default_factory=AgentConfig)
    questions: QuestionConfig = field(default_factory=QuestionConfig)
    teacher: TeacherConfig = field(default_factory=TeacherConfig)
    pixels: PixelConfig = field(default_factory=PixelConfig)
    reward: RewardConfig = field(default_factory=RewardConfig)
    record: RecordConfig = field(default_factory=RecordConfig)

    def wanted_opinions(self) -> float:
        """How many labellers judge each question; a synthetic teacher has but one opinion."""
        return self.teacher.opinions if self.teacher.name == "human" else 1

    def check(self) -> None:
        """Raise UserError for the first value out of its range."""
        for name, (low, high) in RANGES.items():
            value = get(self, name)
            for one in value if isinstance(value, tuple) else (value,):
                if one is not None and not low <= one <= high:
                    raise UserError(f"{name}={value} is out of range: expected {low:g} to {high:g}")
        if (checks := self.teacher.gold + self.teacher.repeat + self.teacher.mirror) > 1:
            raise UserError(f"teacher.gold, repeat and mirror are shares of what people see; they sum to {checks:g}")
        if self.reward.objective == "returns" and self.teacher.name == "human":
            raise UserError(
                "reward.objective=returns learns from true rewards, not from people; leave out --teacher human"
            )
        collected = self.agent.n_envs * self.agent.n_steps
        if self.agent.algorithm == "ppo" and not 2 <= self.agent.batch_size <= collected:
            raise UserError(
                f"agent.batch_size={self.agent.batch_size} must lie in 2 to {collected},"
                " the steps of a rollout (agent.n_envs x agent.n_steps)"
            )


def get(config: Config, name: str) -> Any:
    """A setting by its dotted name."""
    found: Any = config
    for part in name.split("."):
        found = getattr(found, part)
    return found


PARTS: dict[str, type] = {
    "agent": AgentConfig,
    "questions": QuestionConfig,
    "teacher": TeacherConfig,
    "pixels": PixelConfig,
    "reward": RewardConfig,
    "record": RecordConfig,
}

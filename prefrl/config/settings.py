"""Every setting of a run, one dataclass per part. The docstring below a field is its help text; `setting` has its range."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass, replace
from math import inf
from typing import Any, Literal

from prefrl.core.errors import UserError, near

Source = Literal["learned", "true", "zero", "constant", "random", "shuffled"]

Values = dict[str, Any]
"""Values of settings by name, nested or dotted."""
RETIRED: Values = {"reward.together": False, "reward.precision": "float32"}
"""Settings that no longer exist, with the value they all but always had: accepted in files of older runs, and ignored."""
NEWER: dict[str, Any] = {"agent.fast": "off", "reward.fast": "off"}
"""Settings that runs of earlier releases lack, with the value with which those go on as they were."""


def setting(default: Any, *, low: float, high: float) -> Any:
    """A field with its default and its range, which holds for each number of a tuple; None is always allowed."""
    return field(default=default, metadata={"range": (low, high)})


@dataclass
class AgentConfig:
    """The agent, which acts and improves its policy: the settings that all agents share."""

    algorithm: str = "ppo"
    """Which agent; see `prefrl list`. Each has settings of its own."""
    n_envs: int = setting(8, low=1, high=4096)
    """Environments that act side by side."""
    device: str = "auto"
    """Torch device of policy and reward networks; auto: a GPU for pictures if there is one, else the CPU."""
    endless: bool = False
    """The agent is not told where episodes end, as in Christiano et al. 2017 on Atari; returns and segments know."""

    @property
    def turn_steps(self) -> int:
        """Environment steps in a turn of the loop; a run is made of whole turns."""
        return self.n_envs

    def check(self) -> None:
        """Raise UserError for settings that are in range, but do not fit each other."""


@dataclass
class OnPolicyConfig(AgentConfig):
    """The Stable-Baselines3 on-policy agent (PPO, A2C) that acts and improves its policy."""

    policy: str = "auto"
    """SB3 policy class; auto: CnnPolicy where observations are pictures, else MlpPolicy."""
    n_steps: int = setting(256, low=2, high=1e6)
    """Steps per environment in a rollout; the learned reward is computed once per rollout."""
    batch_size: int = 128
    """Minibatch of PPO's update."""
    n_epochs: int = setting(10, low=1, high=1000)
    """Passes over a rollout."""
    learning_rate: float = setting(1e-3, low=1e-8, high=1)
    """Adam's step size."""
    anneal: float = setting(0.4, low=0, high=1)
    """Last share of the run, over which the learning rate falls linearly to zero: the last policy is what counts."""
    bounds: float = setting(0.5, low=0, high=1e6)
    """Cost of an action sampled half the action space's width beyond its bounds, in spreads of the learned reward:
    it keeps the policy from running beyond the bounds where the learned reward is wrong there."""
    gamma: float = setting(0.99, low=0, high=1)
    """Discount per step."""
    gae_lambda: float = setting(0.95, low=0, high=1)
    """Generalised advantage estimation's lambda."""
    clip_range: float = setting(0.2, low=1e-6, high=10)
    """PPO's clipping of the probability ratio."""
    ent_coef: float = setting(0.0, low=0, high=10)
    """Weight of the entropy bonus."""
    vf_coef: float = setting(0.5, low=0, high=100)
    """Weight of the value loss."""
    max_grad_norm: float = setting(0.5, low=1e-6, high=1e6)
    """Gradients are clipped to this norm."""
    hidden: tuple[int, ...] = setting((64, 64), low=1, high=65_536)
    """Layers of policy and value network."""
    fast: str = "auto"
    """auto: rollouts and gradients are computed by numpy where the policy is an MLP on vectors; off: by SB3 itself."""

    @property
    def turn_steps(self) -> int:
        return self.n_envs * self.n_steps

    def check(self) -> None:
        if self.fast not in ("auto", "off"):
            raise UserError(f"agent.fast={self.fast!r} does not exist{near(self.fast, ('auto', 'off'))}")
        if self.algorithm == "ppo" and not 2 <= self.batch_size <= self.turn_steps:
            raise UserError(
                f"agent.batch_size={self.batch_size} must lie in 2 to {self.turn_steps},"
                " the steps of a rollout (agent.n_envs x agent.n_steps)"
            )


AGENT_SETTINGS: dict[str, type[AgentConfig]] = {"ppo": OnPolicyConfig, "a2c": OnPolicyConfig}
"""Name of an agent -> the class of its settings."""


def register_agent(name: str, settings: type[AgentConfig]) -> None:
    """Make `agent.algorithm: name` known, with settings of its own: a dataclass that extends AgentConfig."""
    if not (is_dataclass(settings) and issubclass(settings, AgentConfig)):
        raise UserError(
            f"the settings of agent {name!r} are {settings!r}; expected a dataclass that extends AgentConfig"
        )
    AGENT_SETTINGS[name] = settings


def with_agent(config: AgentConfig, algorithm: str) -> AgentConfig:
    """The settings of another agent. Of another class, they keep shared settings that are not at their defaults."""
    if algorithm not in AGENT_SETTINGS:
        raise UserError(f"agent.algorithm={algorithm!r} does not exist{near(algorithm, AGENT_SETTINGS)}")
    old, new = type(config), AGENT_SETTINGS[algorithm]
    if new is old:
        return replace(config, algorithm=algorithm)
    shared = next(ancestor for ancestor in old.__mro__ if issubclass(new, ancestor))
    values = {each.name: getattr(config, each.name) for each in fields(shared)}
    changed = {name: value for name, value in values.items() if value != getattr(old(), name)}
    return new(**changed | {"algorithm": algorithm})


@dataclass
class QuestionConfig:
    """What the teacher is asked, and when."""

    budget: int = setting(300, low=0, high=1e7)
    """Questions over the whole run; skipped and tied ones count."""
    kinds: tuple[str, ...] = ("pair",)
    """Kinds of feedback that are asked for; see `prefrl list`."""
    mix: tuple[float, ...] = setting((), low=0, high=1e6)
    """Shares of the budget, one for each kind; empty: equal ones."""
    turns: str = "mixed"
    """Several kinds: mixed at all times, or one_by_one, each when the budget of the one before is asked."""
    length: int = setting(25, low=1, high=100_000)
    """Steps in a segment. Shorter ones say more about single steps; people need one to two seconds."""
    strategy: str = "disagreement"
    """How pairs are chosen; see `prefrl list`."""
    candidates: int = setting(10, low=1, high=1000)
    """Candidate pairs drawn for each question that a strategy chooses."""
    schedule: str = "hyperbolic"
    """When questions are asked; see `prefrl list`."""
    initial: float = setting(0.25, low=0, high=1)
    """Share of the budget that is due at once: asked as fast as the first rollouts give segments."""
    until: float = setting(1.0, low=0.01, high=1)
    """Share of the run by which the budget is spent; questions until late guard against reward hacking."""
    half_at: float = setting(0.1, low=1e-6, high=1e6)
    """Share of the run after which a hyperbolic schedule asks half as fast."""
    growth: float = setting(0.2, low=0, high=10)
    """A session asks at least this share of the questions asked before it, since each costs a fit."""


@dataclass
class TeacherConfig:
    """Who answers. None keeps the named teacher's own value."""

    name: str = "oracle"
    """oracle, mistake, noisy, skip, equal, myopic, human, or replay=RUN, a run's recorded answers; see `prefrl list`."""
    beta: float | None = setting(None, low=1e-6, high=inf)
    """Rationality: log-odds of the better answer per unit of return."""
    gamma: float | None = setting(None, low=0, high=1)
    """Myopia: steps further from the segment's end count less."""
    mistake: float | None = setting(None, low=0, high=1)
    """Share of answers that are reversed."""
    skip: float | None = setting(None, low=0, high=1)
    """How readily two poor segments are skipped."""
    equal: float | None = setting(None, low=0, high=1)
    """How readily two similar segments are called equal."""
    units: str = "task"
    """task: spreads of segment returns. bpref: as published. bpref-code: with epsilon applied twice, as released."""
    question: str = ""
    """What people are asked about a pair of clips; empty: which is better at the task, if it is one of ours."""
    wait: int = setting(0, low=0, high=1e6)
    """People: training pauses until this many questions are answered; so many are due at once."""
    lag: int = setting(0, low=0, high=1e6)
    """People: training pauses while so many questions, or more, are unanswered; 0: it never does."""
    queue: int = setting(50, low=1, high=1e6)
    """People: no more is asked while this many questions are unanswered."""
    stale: float = setting(0.25, low=0, high=1)
    """People: unanswered questions expire after this share of the run; 0: never."""
    page: bool = True
    """People: open the label page with the run."""
    opinions: float = setting(1.0, low=1, high=100)
    """People: how many labellers judge each question; 1.2: every fifth is judged by a second one."""
    combine: str = "reliability"
    """How several opinions on one question are combined: reliability, mean or first; see `prefrl list`."""
    gold: float = setting(0.0, low=0, high=0.5)
    """People: share of what they see whose answer is known, to see how often each is right. Nothing is learned from it."""
    repeat: float = setting(0.0, low=0, high=1)
    """People: share of what they see that each has judged before, to see how steady they are."""
    mirror: float = setting(0.05, low=0, high=1)
    """People: share of what they see that each has judged before, with the sides swapped."""
    timing: str = "heard"
    """Replay: when recorded answers come. heard: at the step at which the recorded run read them, with
    corrections. once: those that stand in the end, as soon as their question is asked."""
    unknown: str = "skip"
    """Replay: the answer to questions that the recording does not have. skip, or oracle: the true reward decides."""


@dataclass
class RewardConfig:
    """The reward model, by default with the recipe of Christiano et al. 2017; where ours differs, the setting says so."""

    source: Source = "learned"
    """Where the agent's reward comes from. All but `learned` are controls; `shuffled` learns from permuted answers."""
    objective: str = "preferences"
    """What is learned from a question: preferences, or returns (the true returns of its segments, an ablation)."""
    network: str = "auto"
    """Reward network; see `prefrl list`. auto: mlp, or for pictures cnn or small_cnn, by their size."""
    hidden: tuple[int, ...] = setting((64, 64), low=1, high=65_536)
    """Its layers."""
    members: int = setting(3, low=1, high=100)
    """Networks in the ensemble."""
    context: int = setting(0, low=0, high=1e6)
    """Steps before a rollout that are given to networks of sequences with it."""
    fit: str = "bootstrap"
    """How networks are fitted to answers; see `prefrl list`."""
    fast: str = "auto"
    """auto: MLPs on vectors are evaluated and differentiated by numpy in fits, which differs by rounding; off: by torch."""
    bonus: str = "none"
    """Bonus added to the learned reward; see `prefrl list`."""
    bonus_weight: float = setting(0.0, low=-1e6, high=1e6)
    """Weight of the bonus."""
    inputs: str = "all"
    """What the reward may depend on: all (observation, its change, action), transition (no action), observation, both
    (observation and action), action."""
    change_scale: float = setting(0.55, low=1e-6, high=1e6)
    """Changes enter scaled by this, so that the fit explains by observations what they can explain."""
    action_scale: float = setting(0.03, low=1e-6, high=1e6)
    """Continuous actions enter scaled by this: where the reward slopes wrongly, policies stay at the bounds."""
    learning_rate: float = setting(1e-3, low=1e-8, high=1)
    """Adam's step size."""
    batch_size: int = setting(32, low=1, high=1e6)
    """Pairs in a minibatch."""
    first_epochs: int = setting(40, low=1, high=1e6)
    """Passes over the answers in the first fit, at most."""
    epochs: int = setting(20, low=1, high=1e6)
    """Passes in later fits, at most, and fewer with many answers; a fit stops when held-out ones no longer improve."""
    patience: int = setting(4, low=1, high=1e6)
    """Passes without improvement on held-out answers before a fit stops."""
    refit: float = setting(0.01, low=0, high=10)
    """Fit again once new answers are this share of the earlier ones, or none have come for a while."""
    warm: bool = True
    """Go on from the last fit's weights; off: from scratch every time."""
    bootstrap: bool = True
    """Weigh answers as if each member had drawn them with replacement; 1/e are held out either way."""
    error: float = setting(0.1, low=0, high=0.99)
    """Share of answers assumed to be coin flips."""
    l2: float = setting(1e-4, low=0, high=10)
    """First weight decay; adapted to keep held-out loss at 1.1 to 1.5 times training loss."""
    window: int = setting(3000, low=1, high=1e9)
    """Learn from the latest answers only."""
    scale: float = setting(1.0, low=1e-6, high=1e6)
    """Spread of the reward that the agent is paid."""
    raw: bool = False
    """Pay the `true` control the environment's reward as it is, as plain SB3 would; else at the spread above."""
    constant: float = setting(1.0, low=-1e6, high=1e6)
    """What the `constant` control pays for every step."""


@dataclass
class PixelConfig:
    """Environments that show pictures, Atari games among them: what the agent and the reward model see."""

    show: str = "auto"
    """Where observations come from: auto, drawn (the pixel version of a task) or raw; see `prefrl list`."""
    size: int = setting(84, low=8, high=1024)
    """Larger pictures are shrunk to so many pixels on both sides."""
    grey: bool = True
    """Without colour."""
    stack: int = setting(4, low=1, high=64)
    """Frames in an observation."""
    atari: str = "v5"
    """How games are played: v5 (sticky actions, probability .25) or paper (none; up to 30 no-ops at first)."""
    native: bool = False
    """Let ale-py step all games at once, faster: for synthetic teachers, since no clips can be drawn afterwards."""
    mask: bool = True
    """Black out the score, lives and counters of the games whose profile we have. People are drawn the whole screen."""


@dataclass
class RecordConfig:
    """What a run writes and remembers."""

    memory_mb: float = setting(256.0, low=1, high=1e7)
    """Bound on the recorder's memory."""
    frames_mb: float = setting(512.0, low=1, high=1e7)
    """People: bound on the memory for pictures, where an environment has to be filmed while it acts."""
    checkpoints: int = setting(10, low=0, high=10_000)
    """Checkpoints over the run. Episodes are cut there, in every run alike, so that a resumed run is the same run."""
    keep: int = setting(3, low=1, high=10_000)
    """Checkpoints kept."""
    tensorboard: bool = True
    """Write TensorBoard files."""
    video: bool = True
    """Film an evaluation episode at the end."""
    plots: bool = True
    """Draw the learning curve and the reward model's metrics at the end; `prefrl plot` draws them later."""
    evaluation_episodes: int = setting(20, low=1, high=100_000)
    """Episodes of the final evaluation."""
    labels: str = ""
    """Database URL of the labels, for several machines (PostgreSQL); empty: labels.db in the run's folder."""
    step_timeout: float = setting(60.0, low=0.1, high=1e6)
    """Seconds after which an environment that does not answer counts as hanging."""


@dataclass
class Config:
    """A whole run."""

    env: str = "Pendulum-v1"
    """Gymnasium id; `prefrl list` shows ours."""
    steps: int = setting(100_000, low=1, high=1e12)
    """Environment steps; rounded up to whole rollouts."""
    seed: int = setting(0, low=0, high=2**31 - 1)
    """Same seed, same machine, same versions: the same run."""
    agent: AgentConfig = field(default_factory=OnPolicyConfig)
    questions: QuestionConfig = field(default_factory=QuestionConfig)
    teacher: TeacherConfig = field(default_factory=TeacherConfig)
    pixels: PixelConfig = field(default_factory=PixelConfig)
    reward: RewardConfig = field(default_factory=RewardConfig)
    mechanisms: dict[str, Values] = field(default_factory=dict)
    """Mechanisms that act on the policy besides the learned reward: name -> settings; see `prefrl list`."""
    record: RecordConfig = field(default_factory=RecordConfig)

    def wanted_opinions(self) -> float:
        """How many labellers answer each question; 1 for a synthetic teacher."""
        return self.teacher.opinions if self.teacher.name == "human" else 1

    def check(self) -> None:
        """Raise UserError for the first value that is out of its range, or does not fit another."""
        for name, (low, high) in ranges(self).items():
            value = get(self, name)
            for number in value if isinstance(value, tuple) else (value,):
                if number is not None and not low <= number <= high:
                    raise UserError(f"{name}={value} is out of range: expected {low:g} to {high:g}")
        if (checks := self.teacher.gold + self.teacher.repeat + self.teacher.mirror) > 1:
            raise UserError(f"teacher.gold, repeat and mirror are shares of what people see; they sum to {checks:g}")
        if self.reward.objective == "returns" and self.teacher.name == "human":
            raise UserError(
                "reward.objective=returns learns from true rewards, not from people; leave out --teacher human"
            )
        self.agent.check()


def ranges(part: Any, prefix: str = "") -> dict[str, tuple[float, float]]:
    """Dotted name -> (low, high) of every number in a configuration."""
    bounds: dict[str, tuple[float, float]] = {}
    for each in fields(part):
        value = getattr(part, each.name)
        if is_dataclass(value):
            bounds |= ranges(value, f"{prefix}{each.name}.")
        elif "range" in each.metadata:
            bounds[prefix + each.name] = each.metadata["range"]
    return bounds


def get(config: Config, name: str) -> Any:
    """A setting by its dotted name."""
    value: Any = config
    for part in name.split("."):
        value = value[part] if isinstance(value, dict) else getattr(value, part)
    return value

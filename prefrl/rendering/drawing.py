"""Render environments: a tracking camera for MuJoCo, cheap settings without a GPU."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from prefrl.core.errors import UserError
from prefrl.environments.making import MakeEnv
from prefrl.environments.offscreen import HEADLESS

SOFTWARE = (b"llvmpipe", b"softpipe", b"swrast", b"software")  # names of Mesa's software renderers
SMALL = 300  # pixels: enough to judge a body by, and a third of the work of Gymnasium's 480


class CannotDraw(UserError):
    """This environment cannot be rendered on this machine."""


def drawn(make_env: MakeEnv) -> gym.Env:
    """Make an environment that renders rgb_array, with its camera on the body. Raises CannotDraw."""
    try:
        env = make_env()
    except (ImportError, AttributeError) as fault:  # what a missing EGL or OSMesa library looks like
        raise CannotDraw(f"cannot load what draws this environment ({fault!r}); {HEADLESS}") from fault
    except UserError as fault:
        raise CannotDraw(f"no environment to draw with: {fault}. A function env= has to take render_mode=") from fault
    if env.render_mode != "rgb_array":
        env.close()
        raise CannotDraw(
            f"drawing needs an environment with render_mode='rgb_array', this has {env.render_mode!r}; pass it to gym.make"
        )
    follow(env)
    return env


def picture_of(env: gym.Env) -> np.ndarray:
    """Render the current state: (height, width, 3) uint8. Raises CannotDraw."""
    try:
        frame = np.asarray(env.render())
    except Exception as fault:  # each renderer fails in its own way: GLError, FatalError, AttributeError, ...
        raise CannotDraw(f"{env.unwrapped} cannot draw ({fault!r}); {HEADLESS}") from fault
    if frame.ndim != 3 or frame.shape[-1] != 3 or frame.dtype != np.uint8:
        raise CannotDraw(f"{env.unwrapped} draws {frame.dtype} {frame.shape}; expected uint8 (height, width, 3)")
    return frame


def fps_of(env: gym.Env) -> float:
    """How many of its frames make a second."""
    return float(env.metadata.get("render_fps") or 30)


def follow(env: gym.Env) -> None:
    """Let the model's own "track" camera draw. Gymnasium 1.4 passes it over: a body that runs leaves the picture."""
    renderer, model = _mujoco(env)
    if renderer is None or renderer.camera_id != -1:
        return
    for number in range(model.ncam):
        if model.camera(number).name == "track":
            renderer.camera_id = number


def draws_in_software(env: gym.Env) -> bool:
    """Whether MuJoCo draws without a GPU: 50 to 150 ms a frame instead of 1 to 5. Ask after the first frame."""
    if _mujoco(env)[0] is None:
        return False
    from OpenGL import GL  # here: its import fixes the platform, which MuJoCo has to choose first

    renderer = (GL.glGetString(GL.GL_RENDERER) or b"").lower()
    return any(name in renderer for name in SOFTWARE)


def simplify(env: gym.Env) -> None:
    """No shadows, no reflections, no smooth edges, a smaller picture; bodies and physics stay. Before the first frame."""
    renderer, model = _mujoco(env)
    if renderer is None:
        return
    model.vis.quality.offsamples = model.vis.quality.shadowsize = 0
    model.mat_reflectance[:] = 0
    scale = min(1.0, SMALL / max(renderer.width, renderer.height))
    renderer.width, renderer.height = round(scale * renderer.width), round(scale * renderer.height)
    model.vis.global_.offwidth, model.vis.global_.offheight = renderer.width, renderer.height


def close(env: gym.Env) -> None:
    """Close an environment and its renderer. Left to Gymnasium, its OpenGL resources are freed when Python
    collects the garbage, in whichever context is current by then: the next environment's pictures turn black."""
    viewer = getattr(_mujoco(env)[0], "viewer", None)
    if viewer is not None:
        viewer.make_context_current()
        viewer.con.free()
    env.close()


def _mujoco(env: gym.Env) -> tuple[Any, Any]:
    """Gymnasium's renderer and the model that it draws; None for environments of another kind."""
    renderer = getattr(env.unwrapped, "mujoco_renderer", None)
    return renderer, getattr(renderer, "model", None)

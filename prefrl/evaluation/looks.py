"""How MuJoCo draws: with a camera that follows the body, and, where there is no GPU, without what costs most."""

from __future__ import annotations

from typing import Any

import gymnasium as gym

SOFTWARE = (b"llvmpipe", b"softpipe", b"swrast", b"software")  # how Mesa names what is no GPU
SMALL = 300  # pixels: enough to judge a body by, and a third of the work of Gymnasium's 480


def follow(env: gym.Env) -> None:
    """Let the model's own "track" camera draw. Gymnasium 1.4 passes it over: a body that runs leaves the picture."""
    renderer, model = _mujoco(env)
    if renderer is None or renderer.camera_id != -1:
        return
    cameras = [model.camera(number) for number in range(model.ncam)]
    for camera in cameras:
        if camera.name == "track":
            renderer.camera_id = camera.id


def draws_in_software(env: gym.Env) -> bool:
    """Whether MuJoCo draws without a GPU: 50 to 150 ms a frame instead of 1 to 5. Ask after the first frame."""
    if _mujoco(env)[0] is None:
        return False
    from OpenGL import GL  # here: it settles on a platform when it is imported, and MuJoCo has to choose that first

    told = (GL.glGetString(GL.GL_RENDERER) or b"").lower()
    return any(name in told for name in SOFTWARE)


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
    """Close an environment with all that it draws with. Left to Gymnasium, what OpenGL holds for it is freed when Python
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

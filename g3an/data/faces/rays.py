"""Rays against triangles: by Embree, or by Warp where Embree has no wheel (Linux on ARM)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from g3an.errors import G3ANError

BACKENDS = ("embreex", "warp")


@dataclass(frozen=True)
class Ends:
    """Where rays end.

    Attributes
    ----------
    ray
        Numbers of the rays that hit something, ``(n,)``.
    triangle
        What each of them hits, ``(n,)``.
    u, v
        Barycentric weights of the triangle's second and third corner there, ``(n,)``.
    distance
        From the ray's origin, ``(n,)``.
    """

    ray: np.ndarray
    triangle: np.ndarray
    u: np.ndarray
    v: np.ndarray
    distance: np.ndarray


class Triangles:
    """Triangles that rays can be sent against.

    Parameters
    ----------
    corners
        float32 ``(V, 3)``.
    triangles
        int32 ``(F, 3)`` into the corners.
    backend
        One of ``BACKENDS``; None takes the first that is installed.

    Raises
    ------
    G3ANError
        Neither is installed.
    """

    def __init__(self, corners: np.ndarray, triangles: np.ndarray, backend: str | None = None) -> None:
        backend = backend or installed()
        self._scene: Any = (_Embree if backend == "embreex" else _Warp)(corners, triangles)

    def first(self, origins: np.ndarray, directions: np.ndarray) -> Ends:
        """What each ray meets first; origins and unit directions float32 ``(n, 3)``."""
        return self._scene.first(origins, directions)

    def blocked(self, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """Whether anything lies in the way of each ray: bool ``(n,)``."""
        return self._scene.blocked(origins, directions)


@lru_cache(maxsize=1)
def installed() -> str:
    """The backend that is used."""
    for name in BACKENDS:
        if find_spec(name) is not None:
            return name
    raise G3ANError(
        "The simulated faces are drawn with embreex, or warp-lang where that has no wheel, and neither is installed: "
        "run `pip install embreex` or `pip install warp-lang`."
    )


class _Embree:
    def __init__(self, corners: np.ndarray, triangles: np.ndarray) -> None:
        from embreex.mesh_construction import TriangleMesh
        from embreex.rtcore_scene import EmbreeScene

        self.scene = EmbreeScene(_device())
        TriangleMesh(self.scene, corners, triangles)

    def first(self, origins: np.ndarray, directions: np.ndarray) -> Ends:
        found = self.scene.run(origins, directions, query="INTERSECT", output=True)
        ray = np.flatnonzero(found["primID"] >= 0)
        return Ends(ray, *(found[name][ray] for name in ("primID", "u", "v", "tfar")))

    def blocked(self, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
        return self.scene.run(origins, directions, query="OCCLUDED") >= 0


@lru_cache(maxsize=1)
def _device() -> Any:
    """Embree's device, without helper threads; one serves a process.

    Embree starts a thread for each core that its caller may run on. One of them may hold a lock in the moment in which
    a loader forks its workers, which then wait for ever for a thread that they do not have. Processes draw clips in
    parallel here, so threads would win nothing; embreex passes no setting on to Embree, hence the detour.
    """
    from embreex.rtcore import EmbreeDevice

    if not hasattr(os, "sched_setaffinity"):  # macOS and Windows start afresh rather than fork
        return EmbreeDevice()
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        return EmbreeDevice()
    finally:
        os.sched_setaffinity(0, cores)


class _Warp:
    def __init__(self, corners: np.ndarray, triangles: np.ndarray) -> None:
        self.warp, self.kernel = _kernel()
        self.mesh = self.warp.Mesh(
            self.warp.array(corners, dtype=self.warp.vec3, device="cpu"),
            self.warp.array(triangles.ravel(), dtype=int, device="cpu"),
        )

    def _send(self, origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        vectors = [self.warp.array(x, dtype=self.warp.vec3, device="cpu") for x in (origins, directions)]
        triangle = self.warp.empty(len(origins), dtype=int, device="cpu")
        place = self.warp.empty(len(origins), dtype=self.warp.vec3, device="cpu")
        self.warp.launch(self.kernel, len(origins), [self.mesh.id, *vectors], [triangle, place], device="cpu")
        return triangle.numpy(), place.numpy()

    def first(self, origins: np.ndarray, directions: np.ndarray) -> Ends:
        triangle, place = self._send(origins, directions)
        ray = np.flatnonzero(triangle >= 0)
        w, u, distance = place[ray].T
        return Ends(ray, triangle[ray], u, 1 - u - w, distance)

    def blocked(self, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
        return self._send(origins, directions)[0] >= 0


@lru_cache(maxsize=1)
def _kernel() -> tuple[Any, Any]:
    from g3an.data.faces import warp_rays

    return warp_rays.wp, warp_rays.first

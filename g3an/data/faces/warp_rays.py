# mypy: ignore-errors
"""The ray kernel of Warp, which compiles a module's functions from their source and annotations as they stand."""

import warp as wp

wp.config.log_level = wp.LOG_ERROR


@wp.kernel
def first(
    mesh: wp.uint64,
    origins: wp.array(dtype=wp.vec3),
    directions: wp.array(dtype=wp.vec3),
    triangle: wp.array(dtype=int),
    place: wp.array(dtype=wp.vec3),
):
    """What each ray meets first: the triangle, or -1; weights of its first two corners, and the distance."""
    number = wp.tid()
    hit = wp.mesh_query_ray(mesh, origins[number], directions[number], 1.0e6)
    triangle[number] = -1
    if hit.result:
        triangle[number] = hit.face
        place[number] = wp.vec3(hit.u, hit.v, hit.t)

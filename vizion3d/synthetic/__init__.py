# SPDX-License-Identifier: Apache-2.0
"""A stereo camera for those who have none at hand: pictures of a drawn scene whose depth is known exactly.

Depth, disparity and occlusion come from the analytic intersection of every pixel's ray with planes, boxes and spheres.
They are exact up to the rounding of a float64: a ground truth to try a stereo matcher or a whole robot pipeline with::

    from vizion3d.camera import PinholeCamera, StereoRig
    from vizion3d.synthetic import default_scene, render_stereo

    camera = PinholeCamera(640, 480, fx=525.0, fy=525.0, cx=319.5, cy=239.5)
    frame = render_stereo(default_scene(time_s=0.0), StereoRig(camera, baseline_m=0.12))
    frame.left, frame.right  # (480, 640, 3) uint8 RGB
    frame.depth_m, frame.disparity_px  # (480, 640) float64, what the left camera sees
    frame.visible  # (480, 640) bool: the right camera sees that surface point too

Call `default_scene` with a running time to get a live camera. What stands still in a scene is drawn once per camera and
kept, so that the following frames cost only what moves.

Everything is in the optical frame of the left camera, in metres: x right, y down, z forward.
"""

from vizion3d.synthetic.primitives import Box, Plane, Primitive, Sphere
from vizion3d.synthetic.renderer import StereoFrame, View, render, render_raw, render_stereo
from vizion3d.synthetic.scene import Scene, default_scene
from vizion3d.synthetic.texture import Texture

__all__ = [
    "Box",
    "Plane",
    "Primitive",
    "Scene",
    "Sphere",
    "StereoFrame",
    "Texture",
    "View",
    "default_scene",
    "render",
    "render_raw",
    "render_stereo",
]

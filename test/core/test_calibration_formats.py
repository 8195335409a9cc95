# SPDX-License-Identifier: Apache-2.0
"""One rig in every form in which people keep it is read as the same rig."""

from __future__ import annotations

import dataclasses
import json

import cv2
import numpy as np
import pytest

from vizion3d.calibration_files import camera_yaml, load_calibration, load_calibrations, load_stereo_rig
from vizion3d.camera import Calibration, StereoRig
from vizion3d.cli import main
from vizion3d.errors import CalibrationError
from vizion3d.lens_rays import project_to_pixels

SIZE = 752, 480
# The cameras of EuRoC's MAV, from their sensor.yaml files.
EUROC_K = (458.654, 0, 367.215, 0, 457.296, 248.375, 0, 0, 1), (457.587, 0, 379.999, 0, 456.134, 255.238, 0, 0, 1)
EUROC_D = (
    (-0.28340811, 0.07395907, 0.00019359, 1.76187114e-05),
    (-0.28368365, 0.07451284, -0.00010473, -3.55590700e-05),
)
EUROC_BODY_FROM_CAMERA = [
    np.array([*rows, 0, 0, 0, 1]).reshape(4, 4)
    for rows in (
        (
            *(0.0148655429818, -0.999880929698, 0.00414029679422, -0.0216401454975),
            *(0.999557249008, 0.0149672133247, 0.025715529948, -0.064676986768),
            *(-0.0257744366974, 0.00375618835797, 0.999660727178, 0.00981073058949),
        ),
        (
            *(0.0125552670891, -0.999755099723, 0.0182237714554, -0.0198435579556),
            *(0.999598781151, 0.0130119051815, 0.0251588363115, 0.0453689425024),
            *(-0.0253898008918, 0.0179005838253, 0.999517347078, 0.00786212447038),
        ),
    )
]
RIGHT_FROM_LEFT = np.linalg.inv(EUROC_BODY_FROM_CAMERA[1]) @ EUROC_BODY_FROM_CAMERA[0]
STEREO_RECTIFY = 5e-5  # by so much the focal lengths of OpenCV 4.5's stereoRectify differ from those of later ones


@pytest.fixture
def euroc(data) -> tuple[Calibration, Calibration]:
    """As the shared YAML files have it."""
    return load_calibrations([data / f"camera_info/euroc_{side}.yaml" for side in ("left", "right")])


def write(path, text: str):
    path.write_text(text, encoding="utf-8")
    return path


def assert_same(found: Calibration, expected: Calibration, tolerance: float = 0.0) -> None:
    """Equal but for how zeros and ones are written, and for trailing zeros of D."""
    assert (found.width, found.height, found.effective_binning, found.roi) == (
        expected.width,
        expected.height,
        expected.effective_binning,
        expected.roi,
    )
    assert (found.distortion_model or "plumb_bob") == (expected.distortion_model or "plumb_bob")
    for name in "KRP":
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=tolerance, atol=tolerance, err_msg=name)
    length = max(len(found.D), len(expected.D))
    np.testing.assert_array_equal(*(np.pad(c.D, (0, length - len(c.D))) for c in (found, expected)))


# --- ROS ---

CAMERA = Calibration(
    640,
    480,
    K=(501.25, 0, 321.5, 0, 502.75, 239.5, 0, 0, 1),
    D=(0.1, -0.2, 1e-05, 0.002, 0.0),
    R=(0.9999, 0.01, -0.005, -0.01, 0.9999, 0.002, 0.005, -0.002, 0.99998),
    P=(500.1, 0, 320.2, -60.3, 0, 500.1, 240.4, 0, 0, 0, 1, 0),
)


def camera_info(camera: Calibration, upper: bool = False) -> dict:
    letters = {letter: list(getattr(camera, letter)) for letter in "KDRP"}
    x, y, width, height = camera.roi
    return {
        "header": {"stamp": {"sec": 1, "nanosec": 2}, "frame_id": "left"},
        "height": camera.height,
        "width": camera.width,
        "distortion_model": camera.distortion_model,
        **(letters if upper else {letter.lower(): values for letter, values in letters.items()}),
        "binning_x": camera.binning[0],
        "binning_y": camera.binning[1],
        "roi": {"x_offset": x, "y_offset": y, "height": height, "width": width, "do_rectify": False},
    }


def echo(info: dict, flow: bool = False) -> str:
    """As ros2 topic echo prints it."""
    import yaml

    return yaml.safe_dump(info, sort_keys=False, default_flow_style=None if flow else False)


VARIANTS = {
    "plain": CAMERA,
    "binning": dataclasses.replace(CAMERA, binning=(2, 2)),
    "roi": dataclasses.replace(CAMERA, binning=(1, 2), roi=(16, 8, 320, 240)),
    "rational": dataclasses.replace(CAMERA, distortion_model="rational_polynomial", D=(0.1, 0.2, 0.0, 0.0, 0.3, 0.4, 0.5, 0.6)),
    "equidistant": dataclasses.replace(CAMERA, distortion_model="equidistant", D=(0.1, 0.2, 0.3, 0.4)),
}


@pytest.mark.parametrize("camera", VARIANTS.values(), ids=VARIANTS)
def test_one_camera_in_all_forms_of_ros(tmp_path, camera):
    texts = {
        "written.yaml": camera_yaml(camera, "left"),
        "echo.yaml": echo(camera_info(camera)),
        "echo_flow.txt": echo(camera_info(camera), flow=True),
        "echo_once.txt": echo(camera_info(camera)) + "---\n",
        "echo_long.txt": f"---\n{echo(camera_info(camera))}---\n{echo(camera_info(camera))}---\n",
        "ros1.txt": echo(camera_info(camera, upper=True)) + "---\n",
        "info.json": json.dumps(camera_info(camera)),
        "isaac.json": json.dumps(camera_info(camera, upper=True), indent=2),
    }
    for name, text in texts.items():
        assert load_calibration(write(tmp_path / name, text)) == camera, name


def test_binning_and_roi_in_yaml_are_not_ignored(tmp_path):
    left = dataclasses.replace(CAMERA, P=(500.1, 0, 320.2, 0, 0, 500.1, 240.4, 0, 0, 0, 1, 0), binning=(2, 2))
    paths = [
        write(tmp_path / f"{side}.yaml", camera_yaml(camera, side))
        for side, camera in (("left", left), ("right", dataclasses.replace(CAMERA, binning=(2, 2))))
    ]
    rig = load_stereo_rig(paths, (320, 240))
    assert rig.left.fx == pytest.approx(250.05) and rig.left.cx == pytest.approx(160.1)


def test_a_file_without_a_lens_model_is_taken_as_ros_takes_it(tmp_path, caplog):
    text = camera_yaml(CAMERA, "left").replace("distortion_model: plumb_bob\n", "")
    assert load_calibration(write(tmp_path / "old.yaml", text)) == CAMERA
    assert "names no distortion_model: plumb_bob is assumed" in caplog.text
    text = camera_yaml(VARIANTS["equidistant"], "left").replace("distortion_model", "camera_model")
    assert load_calibration(write(tmp_path / "other.yaml", text)).distortion_model == "equidistant"


OST = """\
# oST version 5.0 parameters


[image]

width
640

height
480

[narrow_stereo{name}]

camera matrix
501.250000 0.000000 321.500000
0.000000 502.750000 239.500000
0.000000 0.000000 1.000000

distortion
0.100000 -0.200000 0.000010 0.002000 0.000000

rectification
0.999900 0.010000 -0.005000
-0.010000 0.999900 0.002000
0.005000 -0.002000 0.999980

projection
500.100000 0.000000 320.200000 {tx}
0.000000 500.100000 240.400000 0.000000
0.000000 0.000000 1.000000 0.000000

"""


def test_ost(tmp_path):
    assert load_calibration(write(tmp_path / "ost.ini", OST.format(name="", tx="-60.3"))) == CAMERA
    left, right = OST.format(name="/left", tx="0.000000"), OST.format(name="/right", tx="-60.300000")
    both = left + right[right.index("[narrow_stereo/right]") :]
    for paths in ([both], [left, right]):
        files = [write(tmp_path / f"ost{i}.txt", text) for i, text in enumerate(paths)]
        assert load_stereo_rig(files, (640, 480)).baseline_m == pytest.approx(60.3 / 500.1)
    with pytest.raises(CalibrationError, match="projection is missing; camera matrix, distortion, rectification, projection"):
        load_calibration(write(tmp_path / "cut.ini", left[: left.index("projection")]))


# --- raw pairs with extrinsics ---


def file_storage(entries: dict, ending: str = ".yml") -> str:
    """As cv2.FileStorage writes it."""
    storage = cv2.FileStorage(ending, cv2.FILE_STORAGE_WRITE | cv2.FILE_STORAGE_MEMORY)
    for name, value in entries.items():
        storage.write(name, np.array(value, dtype=np.float64) if not isinstance(value, int) else value)
    return storage.releaseAndGetString()


def euroc_storage() -> dict:
    entries = {}
    for i, (K, D) in enumerate(zip(EUROC_K, EUROC_D, strict=True), 1):
        entries |= {f"M{i}": np.reshape(K, (3, 3)), f"D{i}": [[*D, 0]]}
    return entries | {"R": RIGHT_FROM_LEFT[:3, :3], "T": RIGHT_FROM_LEFT[:3, 3:]}


@pytest.mark.parametrize("ending", [".yml", ".xml", ".json"])
def test_extrinsics_of_opencv_are_rectified_as_the_shared_files_were(tmp_path, euroc, caplog, ending):
    caplog.set_level("INFO")
    path = write(tmp_path / f"stereo{ending}", file_storage(euroc_storage(), ending))
    for found, expected in zip(load_calibrations([path], SIZE), euroc, strict=True):
        assert_same(found, expected, STEREO_RECTIFY)
    assert "computed as OpenCV's stereoRectify does with alpha 0" in caplog.text
    assert load_stereo_rig([path], SIZE).baseline_m == pytest.approx(0.11007, abs=1e-4)


def test_the_two_files_of_opencvs_sample(tmp_path, euroc, caplog):
    caplog.set_level("INFO")
    entries = euroc_storage()
    left, right = euroc
    known = {f"{n}{i}": np.reshape(getattr(c, n), (3, -1)) for i, c in enumerate(euroc, 1) for n in "RP"}
    intrinsics = write(tmp_path / "intrinsics.yml", file_storage({n: entries[n] for n in ("M1", "D1", "M2", "D2")}))
    extrinsics = write(tmp_path / "extrinsics.yml", file_storage({n: entries[n] for n in "RT"} | known))
    for found, expected in zip(load_calibrations([intrinsics, extrinsics], SIZE), (left, right), strict=True):
        assert_same(found, expected)
    assert not caplog.records  # nothing was computed
    with pytest.raises(CalibrationError, match=r"intrinsics.yml: R is missing: R and T, or R1 R2 P1 P2"):
        load_calibrations([intrinsics], SIZE)


def test_one_camera_of_opencv(tmp_path):
    entries = {"image_width": 752, "image_height": 480, "camera_matrix": np.reshape(EUROC_K[0], (3, 3))}
    path = write(tmp_path / "camera.yml", file_storage(entries | {"distortion_coefficients": np.reshape(EUROC_D[0], (4, 1))}))
    camera = load_calibration(path)
    assert (camera.width, camera.height, camera.K, camera.D) == (*SIZE, EUROC_K[0], EUROC_D[0])
    with pytest.raises(CalibrationError, match="describes one camera"):
        load_calibrations([path], SIZE)


def test_opencv_in_millimetres_is_refused(tmp_path):
    entries = euroc_storage()
    entries["T"] = entries["T"] * 1000
    with pytest.raises(CalibrationError, match=r"stereo.yml: the cameras are 110.1 apart, which can hardly be metres"):
        load_calibrations([write(tmp_path / "stereo.yml", file_storage(entries))], SIZE)


def test_opencv_without_a_size_asks_for_it(tmp_path):
    path = write(tmp_path / "stereo.yml", file_storage(euroc_storage()))
    with pytest.raises(CalibrationError, match="it does not say the size of its images; .* --size W H"):
        load_calibrations([path])


KALIBR = """\
cam0:
  cam_overlaps: [1]
  camera_model: pinhole
  distortion_coeffs: {D[0]}
  distortion_model: {model}
  intrinsics: {K[0]}
  resolution: [752, 480]
  rostopic: /cam0/image_raw
cam1:
  T_cn_cnm1:
{T}
  cam_overlaps: [0]
  camera_model: pinhole
  distortion_coeffs: {D[1]}
  distortion_model: {model}
  intrinsics: {K[1]}
  resolution: [752, 480]
  rostopic: /cam1/image_raw
"""


def kalibr(model: str = "radtan", D=EUROC_D, step: np.ndarray = RIGHT_FROM_LEFT) -> str:
    K = [[K[0], K[4], K[2], K[5]] for K in EUROC_K]
    rows = "\n".join(f"  - {row}" for row in step.tolist())
    return KALIBR.format(D=[list(d) for d in D], K=K, T=rows, model=model)


def test_kalibr_is_rectified_as_the_shared_files_were(tmp_path, euroc):
    path = write(tmp_path / "camchain.yaml", kalibr())
    for found, expected in zip(load_calibrations([path]), euroc, strict=True):
        assert_same(found, expected, STEREO_RECTIFY)
    assert EUROC_K[0] == load_calibration(path).K


def test_kalibrs_other_cameras_and_order(tmp_path):
    third = kalibr()
    third += "cam2" + third[third.index("cam1:") + 4 :]
    path = write(tmp_path / "camchain.yaml", third)
    first_two = load_stereo_rig([path], SIZE).baseline_m
    assert load_stereo_rig([path], SIZE, cameras=(1, 2)).baseline_m == pytest.approx(first_two, rel=1e-6)
    assert load_stereo_rig([path], SIZE, cameras=(0, 2)).baseline_m == pytest.approx(2 * first_two, rel=0.01)
    with pytest.raises(CalibrationError, match="there are no cameras 0 and 3; there are 0 to 2"):
        load_calibrations([path], cameras=(0, 3))
    with pytest.raises(CalibrationError, match=r"the second camera is 0.11.* m to the left of the first: exchange the two"):
        load_calibrations([path], cameras=(1, 0))


@pytest.mark.parametrize(("old", "new"), [("camera_model: pinhole", "camera_model: omni"), ("radtan", "fov")])
def test_lenses_of_kalibr_that_are_not_known_are_refused(tmp_path, old, new):
    with pytest.raises(
        CalibrationError, match="cam0 is (omni-radtan|pinhole-fov); pinhole with radtan, equidistant, none is read"
    ):
        load_calibrations([write(tmp_path / "camchain.yaml", kalibr().replace(old, new))])


@pytest.mark.parametrize("model", ["plumb_bob", "equidistant"])
def test_r_and_p_describe_the_rig_that_the_extrinsics_do(tmp_path, model):
    """A point seen in both raw images is in one row of the rectified ones, at the disparity of its depth."""
    D = EUROC_D if model == "plumb_bob" else ((0.01, -0.02, 0.01, -0.002), (0.012, -0.018, 0.01, -0.003))
    text = kalibr("radtan" if model == "plumb_bob" else "equidistant", D)
    left, right = load_calibrations([write(tmp_path / "camchain.yaml", text)])
    assert left.distortion_model == right.distortion_model == model
    rig = StereoRig.from_calibrations(left, right)
    point = np.array([0.3, -0.2, 2.0])
    rectified = []
    for camera, seen in ((left, point), (right, RIGHT_FROM_LEFT[:3, :3] @ point + RIGHT_FROM_LEFT[:3, 3])):
        pixel = project_to_pixels(camera, seen[:2] / seen[2])
        K, D, R, P = (np.array(getattr(camera, n)) for n in "KDRP")
        undistort = cv2.undistortPoints if model == "plumb_bob" else cv2.fisheye.undistortPoints
        matrices = K.reshape(3, 3), D
        rectified.append(undistort(pixel.reshape(1, 1, 2), *matrices, R=R.reshape(3, 3), P=P.reshape(3, 4)[:, :3]).ravel())
    (u_left, v_left), (u_right, v_right) = rectified
    assert v_left == pytest.approx(v_right, abs=1e-3)
    depth_m = rig.left.fx * rig.baseline_m / (u_left - u_right + rig.doffs_px)
    assert depth_m == pytest.approx((np.reshape(left.R, (3, 3)) @ point)[2], rel=1e-4)
    assert rig.baseline_m == pytest.approx(np.linalg.norm(RIGHT_FROM_LEFT[:3, 3]), rel=1e-4)


# --- KITTI's raw recordings ---

CAM_TO_CAM = "calib_time: 09-Jan-2012 13:57:47\ncorner_dist: 9.950000e-02\n" + "".join(
    f"S_{i:02}: 1392 512\nK_{i:02}: {f} 0 690 0 {f} 233 0 0 1\nD_{i:02}: -0.37 0.2 0.001 0.002 -0.07\n"
    f"R_{i:02}: 1 0 0 0 1 0 0 0 1\nT_{i:02}: 0 0 0\nS_rect_{i:02}: 1242 375\n"
    f"R_rect_{i:02}: 0.9999 0.0098 -0.0074 -0.0098 0.9999 -0.0043 0.0074 0.0044 0.9999\n"
    f"P_rect_{i:02}: 721.5377 0 609.5593 {tx} 0 721.5377 172.854 {ty} 0 0 1 0.0027\n"
    for i, f, tx, ty in (
        (0, 984.2, 0, 0),
        (1, 989.5, -387.5744, 0),
        (2, 959.7, 44.85728, 0.2163791),
        (3, 903.7, -339.5242, 2.199936),
    )
)


def test_raw_recordings_of_kitti(tmp_path, caplog):
    caplog.set_level("INFO")
    path = write(tmp_path / "calib_cam_to_cam.txt", CAM_TO_CAM)
    images = tmp_path / "image_02/data/0.png", tmp_path / "image_03/data/0.png"
    rig = load_stereo_rig([path], (1242, 375), images=images)
    assert rig.baseline_m == pytest.approx(0.53272, abs=1e-5) and rig.rows_off(33) == pytest.approx(0.17, abs=0.005)
    assert "KITTI cameras 2 and 3 (by the folders of the images)" in caplog.text
    assert load_stereo_rig([path], (621, 188)).left.fx == pytest.approx(721.5377 / 2)  # the file says its size
    raw, _ = load_calibrations([path], (1392, 512), cameras=(2, 3))
    assert (raw.K[0], len(raw.D), raw.R[1], raw.image_size) == (959.7, 5, 0.0098, (1392, 512))


# --- anything else ---


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("sensor_type: camera\nT_BS:\n  rows: 4\n", "is an EuRoC sensor.yaml"),
        ("[LEFT_CAM_HD]\nfx=700\n[STEREO]\nBaseline=120\n", "is a ZED factory calibration"),
        ('{"boardName": "OAK-D", "cameraData": []}', "is a DepthAI EEPROM calibration"),
        ('%YAML:1.0\nCamera.type: "PinHole"\nCamera.fx: 435.2\n', "is an ORB-SLAM settings file"),
        ("calib_time: 15-Mar-2012\nR: 1 0 0\nT: 0 0 0\n", "is a KITTI calibration between sensors"),
        ("the camera is fine", "is no known calibration"),
        ("camera_matrix: [1, 2\nb: 3", "is YAML with a mistake"),
    ],
)
def test_other_files_are_named(tmp_path, text, message):
    with pytest.raises(CalibrationError, match=rf"what.txt {message}.*Read are: camera_calibration YAML"):
        load_calibration(write(tmp_path / "what.txt", text))


# --- conversion ---


def test_everything_converts_to_the_same_rig(tmp_path, capsys, data):
    teddy, kitti = data / "stereo/teddy/calib.txt", data / "stereo/kitti_odometry/calib.txt"
    hawk = [data / f"camera_info/hawk_rational_{side}.json" for side in ("left", "right")]
    cases = [
        ([write(tmp_path / "camchain.yaml", kalibr())], SIZE, []),
        ([write(tmp_path / "stereo.yml", file_storage(euroc_storage()))], SIZE, ["--size", "752", "480"]),
        ([teddy], (450, 375), []),
        ([kitti], (1241, 376), ["--size", "1241", "376"]),
        (hawk, (1920, 1200), []),
        ([write(tmp_path / "calib_cam_to_cam.txt", CAM_TO_CAM)], (1242, 375), ["--cameras", "2", "3"]),
    ]
    out = [tmp_path / "left.yaml", tmp_path / "right.yaml"]
    for paths, size, options in cases:
        assert main(["calib", "convert", *map(str, paths), "--out", *map(str, out), *options]) == 0
        cameras = (2, 3) if "--cameras" in options else None
        for path, expected in zip(out, load_calibrations(paths, size, cameras=cameras), strict=True):
            assert_same(load_calibration(path), expected)
        assert load_stereo_rig(out, size) == load_stereo_rig(paths, size, cameras=cameras)
    assert f"{out[0]}  1242x375 rectified" in capsys.readouterr().out


def test_one_camera_converts_to_one_file(tmp_path, data):
    out = tmp_path / "camera.yaml"
    assert main(["calib", "convert", str(data / "camera_info/equidistant_1280x800.json"), "--out", str(out)]) == 0
    assert load_calibration(out).distortion_model == "equidistant"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["camchain.yaml", "--out", "a", "b", "c"], "at most two files"),
        (
            ["camchain.yaml", "--out", "a"],
            "2 cameras are in camchain.yaml; name a file for each of them: --out left.yaml right.yaml",
        ),
        (["one.yaml", "--out", "a", "b"], "one.yaml describes one camera; give the file of the left and that of the right"),
        (["camchain.yaml", "camchain.yaml", "--out", "a", "b"], "describe 4 cameras"),
        (["nowhere.yaml", "--out", "a", "b"], "cannot read the calibration file nowhere.yaml"),
        (["stereo.yml", "--out", "a", "b"], "stereo.yml: it does not say the size of its images"),
    ],
)
def test_conversions_that_cannot_be_are_refused(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "camchain.yaml", kalibr())
    write(tmp_path / "one.yaml", camera_yaml(CAMERA, "one"))
    write(tmp_path / "stereo.yml", file_storage(euroc_storage()))
    assert main(["calib", "convert", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "a").exists()

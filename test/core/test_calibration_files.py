# SPDX-License-Identifier: Apache-2.0
import pytest

from vizion3d.calibration_files import kitti, load_calibration, load_stereo_rig, middlebury
from vizion3d.calibration_files.formats import Request
from vizion3d.camera import PinholeCamera, StereoRig
from vizion3d.errors import CalibrationError

MIDDLEBURY = """\
cam0=[1500 0 199; 0 1500 187; 0 0 1]
cam1=[1500 0 251; 0 1500 187; 0 0 1]
doffs=52
baseline=80
width=450
height=375
"""
TEDDY = StereoRig(PinholeCamera(450, 375, 1500, 1500, 199, 187), baseline_m=0.08, doffs_px=52)

YAML = """\
image_width: 640
image_height: 480
camera_name: {name}
camera_matrix: {{rows: 3, cols: 3, data: [501, 0, 321, 0, 502, 239, 0, 0, 1]}}
distortion_model: plumb_bob
distortion_coefficients: {{rows: 1, cols: 5, data: [0.1, -0.2, 0.001, 0.002, 0]}}
rectification_matrix: {{rows: 3, cols: 3, data: [1, 0, 0, 0, 1, 0, 0, 0, 1]}}
projection_matrix: {{rows: 3, cols: 4, data: [500, 0, 320, {tx}, 0, 500, 240, 0, 0, 0, 1, 0]}}
"""
KITTI_ROW = "718.856 0 607.1928 {tx} 0 718.856 185.2157 0 0 0 1 0"


def middlebury_rig(text: str, size: tuple[int, int] = (450, 375)) -> StereoRig:
    return StereoRig.from_calibrations(*middlebury.parse(text, Request(size)), size)


@pytest.fixture
def yaml_pair(tmp_path):
    paths = tmp_path / "left.yaml", tmp_path / "right.yaml"
    for path, tx in zip(paths, (0, -60), strict=True):
        path.write_text(YAML.format(name=path.stem, tx=tx))
    return list(paths)


def test_camera_yaml_is_read_as_written(yaml_pair):
    camera = load_calibration(yaml_pair[1])
    assert (camera.width, camera.height) == (640, 480)
    assert camera.K == (501, 0, 321, 0, 502, 239, 0, 0, 1)
    assert camera.D == (0.1, -0.2, 0.001, 0.002, 0)
    assert camera.R == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    assert camera.P == (500, 0, 320, -60, 0, 500, 240, 0, 0, 0, 1, 0)
    assert camera.distortion_model == "plumb_bob"


def test_yaml_pair_left_first(yaml_pair):
    rig = load_stereo_rig(yaml_pair, (640, 480))
    assert rig == StereoRig(PinholeCamera(640, 480, 500, 500, 320, 240), 0.12)
    assert load_stereo_rig([str(path) for path in yaml_pair], (640, 480)) == rig
    with pytest.raises(CalibrationError, match="Left and right are swapped"):
        load_stereo_rig(yaml_pair[::-1], (640, 480))


def test_yaml_pair_of_a_resized_image(yaml_pair):
    assert load_stereo_rig(yaml_pair, (320, 240)) == load_stereo_rig(yaml_pair, (640, 480)).scaled(0.5, 0.5)
    with pytest.raises(CalibrationError, match="the image is 640x360 but its calibration is for 640x480"):
        load_stereo_rig(yaml_pair, (640, 360))


def test_middlebury_is_read_as_written(tmp_path):
    (tmp_path / "calib.txt").write_text(MIDDLEBURY)
    assert load_stereo_rig([tmp_path / "calib.txt"], (450, 375)) == TEDDY
    assert middlebury_rig(MIDDLEBURY.replace("=", " = ").replace("\n", "\r\n")) == TEDDY


def test_middlebury_of_a_resized_image_has_scaled_offsets():
    assert middlebury_rig(MIDDLEBURY, (900, 750)) == TEDDY.scaled(2, 2)


def test_middlebury_without_its_optional_lines(caplog):
    lines = MIDDLEBURY.splitlines()
    assert middlebury_rig("\n".join([*lines[:2], "baseline=80"])) == TEDDY  # cam1 says what doffs does
    assert middlebury_rig(MIDDLEBURY.replace(lines[1], "")) == TEDDY  # and doffs what cam1 does
    assert not caplog.records
    assert middlebury_rig("\n".join([lines[0], "baseline=80"])) == StereoRig(TEDDY.left, 0.08, doffs_px=0)
    assert "neither cam1 nor doffs: cx_right - cx_left is taken as 0" in caplog.text


def test_middlebury_that_contradicts_itself_is_told(caplog):
    assert middlebury_rig(MIDDLEBURY.replace("doffs=52", "doffs=26")).doffs_px == 26
    assert "doffs is 26 but cx of cam1 and cam0 differ by 52; doffs is used" in caplog.text
    with pytest.raises(CalibrationError, match="fx differs: left 1500, right 1400"):
        middlebury_rig(MIDDLEBURY.replace("cam1=[1500", "cam1=[1400"))
    with pytest.raises(CalibrationError, match="the rows are not aligned: cy left 187, right 190"):
        middlebury_rig(MIDDLEBURY.replace("251; 0 1500 187", "251; 0 1500 190"))


KITTI_OBJECT = """\
P0: 721.5377 0 609.5593 0 0 721.5377 172.854 0 0 0 1 0
P1: 721.5377 0 609.5593 -387.5744 0 721.5377 172.854 0 0 0 1 0
P2: 721.5377 0 609.5593 44.85728 0 721.5377 172.854 0.2163791 0 0 1 0.002745884
P3: 721.5377 0 609.5593 -339.5242 0 721.5377 172.854 2.199936 0 0 1 0.002729905
R0_rect: 0.9999 0.0098 -0.0074 -0.0098 0.9999 -0.0043 0.0074 0.0044 0.9999
Tr_velo_to_cam: 0.0075 -0.9999 -0.0006 -0.0041 0.0148 0.0007 -0.9998 -0.0763 0.9998 0.0075 0.0148 -0.2717
"""


@pytest.mark.parametrize(
    ("folders", "cameras", "used", "why"),
    [
        (("training/image_2", "training/image_3"), None, (2, 3), "by the folders of the images"),
        (("00/image_0", "00/image_1"), None, (0, 1), "by the folders of the images"),
        (("drive/image_02/data", "drive/image_03/data"), None, (2, 3), "by the folders of the images"),
        (("colored_0", "colored_1"), None, (2, 3), "by the folders of the images"),
        (("left", "right"), None, (0, 1), "the grey pair"),
        (("left", "right"), (2, 3), (2, 3), "as asked for"),
        (("image_0", "image_1"), (2, 3), (2, 3), "as asked for"),
        (("image_2", "image_2"), None, (0, 1), "the grey pair"),
    ],
)
def test_the_cameras_of_kitti_follow_the_folders_or_the_user(tmp_path, caplog, folders, cameras, used, why):
    caplog.set_level("INFO")
    (tmp_path / "000007.txt").write_text(KITTI_OBJECT)
    images = tuple(tmp_path / folder / "000007.png" for folder in folders)
    rig = load_stereo_rig([tmp_path / "000007.txt"], (1242, 375), images=images, cameras=cameras)
    assert rig.baseline_m == pytest.approx({(0, 1): 0.53715, (2, 3): 0.53272}[used], abs=1e-5)
    assert f"KITTI cameras {used[0]} and {used[1]} ({why})" in caplog.text


def test_kitti_cameras_that_do_not_exist_are_refused():
    with pytest.raises(CalibrationError, match="the KITTI calibration has no camera 7; it has 0, 1, 2, 3"):
        kitti.parse(KITTI_OBJECT, Request((1242, 375), cameras=(2, 7)))
    two = "\n".join(KITTI_ROW.format(tx=tx) for tx in (0, -386.1448))
    with pytest.raises(CalibrationError, match="has no camera 2; it has 0, 1"):
        kitti.parse(two, Request((1241, 376), images=("image_2/1.png", "image_3/1.png")))


@pytest.mark.parametrize("size", [(1242, 375), (1241, 376), (1226, 370), (1238, 374), (1224, 370)])
def test_the_sizes_of_kitti_are_taken(size):
    assert kitti.parse(KITTI_OBJECT, Request(size))[0].image_size == size


@pytest.mark.parametrize("size", [(621, 188), (640, 480), (1024, 320), (1242, 256)])
def test_kitti_images_of_another_size_are_refused(size):
    with pytest.raises(CalibrationError, match=rf"for images of about 1219x346, .* but the image is {size[0]}x{size[1]}"):
        kitti.parse(KITTI_OBJECT, Request(size))


@pytest.mark.parametrize("label", ["", "P{}: "])
def test_kitti_with_and_without_labels(tmp_path, label):
    rows = [label.format(i) + KITTI_ROW.format(tx=tx) for i, tx in enumerate((0, -386.1448, 45.1, -337.3))]
    (tmp_path / "calib.txt").write_text("\n".join(rows) + "\nTr: 1 2 3\n")
    rig = load_stereo_rig([tmp_path / "calib.txt"], (1241, 376))
    assert rig.left == PinholeCamera(1241, 376, 718.856, 718.856, 607.1928, 185.2157)
    assert rig.baseline_m == pytest.approx(0.53717, abs=1e-5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MIDDLEBURY.replace("baseline", "base"), "not a Middlebury calib.txt: 'baseline' is missing or not a number"),
        (MIDDLEBURY.replace("baseline=80", "baseline=wide"), "not a Middlebury calib.txt: .*wide"),
        (MIDDLEBURY.replace("cam0=[1500 0 199; 0 1500 187; 0 0 1]", "cam0=[]"), "not a Middlebury calib.txt"),
        (MIDDLEBURY.replace("baseline=80", "baseline=-80"), "Left and right are swapped"),
        (MIDDLEBURY.replace("baseline=80", "baseline=0"), "the baseline is 0"),
        (MIDDLEBURY.replace("[1500", "[nan"), "left camera: P is .*nan"),
        (MIDDLEBURY.replace("height=375", "height=450"), "the image is 450x375 but its calibration is for 450x450"),
    ],
)
def test_wrong_middlebury_files_are_refused(text, message):
    with pytest.raises(CalibrationError, match=message):
        middlebury_rig(text)


def test_missing_and_unknown_files_are_refused(tmp_path, yaml_pair):
    with pytest.raises(CalibrationError, match=r"cannot read the calibration file .*nowhere.txt"):
        load_stereo_rig([tmp_path / "nowhere.txt"], (640, 480))
    (tmp_path / "notes.txt").write_text("the camera is fine\n1 2 3\n")
    with pytest.raises(CalibrationError, match=r"notes.txt is no known calibration. Read are: .*YAML.*Middlebury .*KITTI"):
        load_stereo_rig([tmp_path / "notes.txt"], (640, 480))
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")
    with pytest.raises(CalibrationError, match=r"picture.png is no text, so no calibration"):
        load_stereo_rig([tmp_path / "picture.png"], (640, 480))
    for paths in (yaml_pair * 2, yaml_pair[:0]):
        with pytest.raises(CalibrationError, match=f"{len(paths)} calibration files given"):
            load_stereo_rig(paths, (640, 480))


@pytest.mark.parametrize("name", ["camera", "cam0"])
def test_one_yaml_alone_asks_for_the_other(tmp_path, name):
    (tmp_path / "one.yaml").write_text(YAML.format(name=name, tx=0))
    with pytest.raises(
        CalibrationError, match=r"one.yaml describes one camera; give the file of the left and that of the right camera"
    ):
        load_stereo_rig([tmp_path / "one.yaml"], (640, 480))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "projection_matrix",
            "projection",
            "right.yaml: projection_matrix is missing; K, D, R and P are needed",
        ),
        ("image_width: 640", "image_width: wide", "image_width is 'wide'; a whole number is needed"),
        ("[1, 0, 0, 0, 1, 0, 0, 0, 1]", "one", "rectification_matrix is 'one'; numbers are needed"),
        ("[1, 0, 0, 0, 1, 0, 0, 0, 1]", "~", "rectification_matrix is missing"),
        ("image_width: 640", "image_width: [640", r"right.yaml is YAML with a mistake \(line 2: "),
        (", 0, 0, 0, 1, 0]", "]", "projection_matrix has 7 numbers; 12 are needed"),
    ],
)
def test_wrong_yaml_files_are_refused(yaml_pair, old, new, message):
    text = yaml_pair[1].read_text()
    assert old in text
    yaml_pair[1].write_text(text.replace(old, new))
    with pytest.raises(CalibrationError, match=message):
        load_stereo_rig(yaml_pair, (640, 480))


@pytest.mark.parametrize("text", ["", "just words", "- 1\n- 2\n"])
def test_yaml_that_is_no_camera_is_refused(tmp_path, text):
    (tmp_path / "camera.yaml").write_text(text)
    with pytest.raises(CalibrationError, match=r"camera.yaml is (empty|no known calibration). Read are"):
        load_calibration(tmp_path / "camera.yaml")


@pytest.mark.parametrize(
    ("pair", "size", "focal_px", "baseline_m"),
    [("oak", (1280, 720), 833.04045, 0.29107), ("euroc", (752, 480), 436.244, 0.1101)],
)
def test_real_yaml_pairs(data, pair, size, focal_px, baseline_m):
    rig = load_stereo_rig([data / f"camera_info/{pair}_{side}.yaml" for side in ("left", "right")], size)
    assert rig.left.fx == pytest.approx(focal_px, abs=1e-3)
    assert rig.left.fx == rig.left.fy
    assert rig.baseline_m == pytest.approx(baseline_m, abs=1e-4)
    assert rig.doffs_px == pytest.approx(0, abs=1e-6)
    assert (rig.left.width, rig.left.height) == size


def test_real_mono_yaml(data):
    calibration = load_calibration(data / "camera_info/oak_rgb.yaml")
    camera = PinholeCamera.from_calibration(calibration)
    assert (camera.fx, camera.fy) == (calibration.P[0], calibration.P[5])
    assert camera.fx != camera.fy
    assert calibration.K[0] != calibration.P[0]


def test_real_middlebury_and_kitti(data):
    assert load_stereo_rig([data / "stereo/teddy/calib.txt"], (450, 375)) == TEDDY
    kitti = load_stereo_rig([data / "stereo/kitti_odometry/calib.txt"], (1241, 376))
    assert kitti.left == PinholeCamera(1241, 376, 718.856, 718.856, 607.1928, 185.2157)
    assert kitti.baseline_m == pytest.approx(0.53717, abs=1e-5)
    assert kitti.doffs_px == 0

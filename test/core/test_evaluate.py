# SPDX-License-Identifier: Apache-2.0
import dataclasses
import json
import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vizion3d.camera import PinholeCamera, StereoRig
from vizion3d.errors import CalibrationError, InputError, MissingImageError, Vizion3dError
from vizion3d.evaluate import (
    Answer,
    Encoding,
    Errors,
    PairFiles,
    StereoCase,
    evaluate,
    evaluate_depth,
    evaluate_disparity,
    find_pairs,
    left_right_check,
    predict,
    read_map,
    score_confidence,
)
from vizion3d.evaluate.picture import error_picture
from vizion3d.evaluate.predict import aligned_depth, opencv_sgbm
from vizion3d.evaluate.report import Result, as_json, confidence_table, range_table, score_table
from vizion3d.stereo import StereoDepthEstimator

nan, inf = math.nan, math.inf
PX = st.one_of(st.floats(-10, 100), st.just(nan))


def test_every_number_of_a_map_small_enough_to_count_by_hand():
    truth = np.array([[10.0, 10, 10, 100, 10, 10, nan, inf]])
    answer = np.array([[10.0, 11.5, 13.5, 104, nan, 7.9, 10, 10]])
    scores = Errors.of_disparity(answer, truth).scores()
    assert (scores.truth_pixels, scores.answered_pixels) == (6, 5)
    assert scores.density == pytest.approx(5 / 6)
    assert (scores.bad_1, scores.bad_2, scores.bad_3) == (4 / 5, 3 / 5, 2 / 5)
    assert scores.bad_2_unanswered == pytest.approx(4 / 6)
    assert scores.d1 == 1 / 5  # 104 is 4 px off but less than 5 %
    assert scores.d1_unanswered == pytest.approx(2 / 6)
    assert scores.epe_px == pytest.approx((0 + 1.5 + 3.5 + 4 + 2.1) / 5)
    assert scores.median_px == pytest.approx(2.1)
    off = [0, 1 - 10 / 11.5, 1 - 10 / 13.5, 1 - 100 / 104, 10 / 7.9 - 1]
    assert scores.abs_rel == pytest.approx(np.mean(off))
    assert scores.median_rel == pytest.approx(np.median(off))
    assert scores.off_5_percent == 3 / 5
    assert scores.too_far == 1 / 5 and scores.too_far_of_truth == pytest.approx(1 / 6)
    assert scores.too_near == 0


@given(
    arrays(float, (4, 5), elements=PX),
    arrays(float, (4, 5), elements=PX),
    arrays(bool, (4, 5)),
    st.sampled_from([-5.0, 0.0, 12.0]),
)
def test_unanswered_pixels_are_bad_and_nothing_else_is(answer, truth, valid, doffs_px):
    truth[0, 0] = 20.0
    errors = Errors.of_disparity(answer, truth, doffs_px)
    for scores in (errors.scores(), errors.scores(answered=valid), errors.scores(region=valid)):
        unanswered = scores.truth_pixels - scores.answered_pixels
        for name in ("bad_1", "bad_2", "bad_3", "d1"):
            wrong = getattr(scores, name) * scores.answered_pixels if scores.answered_pixels else 0
            if scores.truth_pixels:
                assert getattr(scores, f"{name}_unanswered") == pytest.approx((wrong + unanswered) / scores.truth_pixels)
        if scores.answered_pixels:
            assert scores.bad_1 >= scores.bad_2 >= scores.bad_3 >= scores.d1
    assert errors.scores(answered=valid).answered_pixels <= errors.scores().answered_pixels


@pytest.mark.parametrize("doffs_px", [-20.0, 0.0, 35.0])
def test_disparity_and_its_depth_get_the_same_relative_numbers(doffs_px):
    rng = np.random.default_rng(0)
    truth = rng.uniform(25, 90, (40, 50))
    answer = truth + rng.normal(0, 4, truth.shape)
    by_disparity = evaluate_disparity(answer, truth, doffs_px=doffs_px).all
    by_depth = evaluate_depth(63 / (answer + doffs_px), 63 / (truth + doffs_px)).all
    for name in ("density", "abs_rel", "median_rel", "off_5_percent", "too_far", "too_near_of_truth"):
        assert getattr(by_depth, name) == pytest.approx(getattr(by_disparity, name))
    assert math.isnan(by_depth.bad_2) and math.isnan(by_depth.epe_px)


def test_behind_the_camera_is_no_answer():
    truth = np.full((1, 4), 10.0)
    scores = Errors.of_disparity(np.array([[10.0, -25, -19.9, 0]]), truth, doffs_px=20).scores()
    assert scores.answered_pixels == 3
    assert Errors.of_disparity(np.array([[10.0, -25, -19.9, 0]]), truth).scores().answered_pixels == 1


def test_what_is_beyond_the_search_and_delivered_as_farther():
    truth = np.array([[0, 0, 0, 0, 2.0, 8, 3, 4, 5, nan]])
    truth[0, :4] = nan
    answer = np.array([[nan] * 4 + [2.0, 1, 2, 1, nan, 1]])
    valid = np.array([[True] * 7 + [False] * 3])
    beyond = evaluate_disparity(answer, truth, valid=valid, max_disparity_px=2.5).beyond_range
    # 8 leads out of the image; 3, 4 and 5 are beyond, of which one is valid
    assert beyond.truth_share == pytest.approx(3 / 5)
    assert beyond.valid_share == pytest.approx(1 / 3)


def test_sets_of_pixels():
    truth = np.full((2, 4), 10.0)
    answer = np.array([[10.0, 20, 10, nan], [20, 20, 20, 10]])
    visible = np.array([[True] * 4, [False] * 4])
    valid = np.array([[True, False, True, True], [True, False, False, False]])
    evaluation = evaluate_disparity(answer, truth, valid=valid, visible=visible)
    assert evaluation.all.bad_2 == pytest.approx(4 / 7) and evaluation.all.density == 7 / 8
    assert evaluation.non_occluded.bad_2 == pytest.approx(1 / 3) and evaluation.non_occluded.truth_pixels == 4
    assert evaluation.valid.bad_2 == pytest.approx(1 / 3) and evaluation.valid.density == 3 / 8
    assert evaluation.valid_non_occluded.bad_2 == 0 and evaluation.valid_non_occluded.density == 2 / 4


def test_confidence_that_knows_and_confidence_that_does_not():
    bad = np.arange(1000) < 300
    assert score_confidence(np.where(bad, 0.2, 0.9), bad).ause == 0
    oracle = np.maximum(np.arange(1, 1001) - 700, 0) / np.arange(1, 1001)
    assert score_confidence(np.full(1000, 0.5), bad).ause == pytest.approx(np.mean(0.3 - oracle))
    reverse = np.minimum(np.arange(1, 1001), 300) / np.arange(1, 1001)
    assert score_confidence(np.where(bad, 0.9, 0.2), bad).ause == pytest.approx(np.mean(reverse - oracle))


def test_calibration_error_is_the_distance_from_the_part_that_is_right():
    bad = np.arange(1000) % 10 < 3
    assert score_confidence(np.full(1000, 0.7), bad).ece == pytest.approx(0)
    assert score_confidence(np.full(1000, 1.0), bad).ece == pytest.approx(0.3)
    half = np.arange(1000) < 500
    assert score_confidence(np.where(half, 0.7, 0.95), bad).ece == pytest.approx(0.5 * 0.25)


def test_bins_with_too_few_answers_tell_nothing():
    confidence = np.concatenate([np.full(4, 0.3), np.full(5, 0.6), np.full(990, 1.0), [0.1]])
    bins = score_confidence(confidence, np.ones(1000, bool)).bins
    assert [b.share for b in bins] == [0, 0.005, 0.005, 0, 0, 0.99]  # 0.1 begins the second
    assert [b.bad for b in bins] == pytest.approx([nan, 1, 1, nan, nan, 1], nan_ok=True)


def test_left_right_check_is_the_visibility_of_the_drawn_scene(frame, rig):
    mirrored = left_right_check(frame.disparity_px, right_truth(frame, rig))
    assert np.mean(mirrored == frame.visible) > 0.99


def right_truth(frame, rig) -> np.ndarray:
    from vizion3d.synthetic import default_scene, render

    return rig.left.fx * rig.baseline_m / render(default_scene(), rig.right, rig.baseline_m).depth_m - rig.doffs_px


def case_of(frame, rig, **changes) -> StereoCase:
    case = StereoCase("room", frame.left, frame.right, frame.disparity_px, frame.visible, rig)
    return dataclasses.replace(case, **changes)


def test_a_model_is_judged_through_the_door_of_robots(frame, rig):
    case = case_of(frame, rig)
    np.testing.assert_allclose(case.depth_m, frame.depth_m)
    answer = predict(StereoDepthEstimator("sgbm"), case)
    scores = evaluate(case, answer)
    assert scores.valid.density > 0.9 and scores.valid.bad_2 < 0.02 and scores.valid_non_occluded.density > 0.97
    assert scores.confidence.bins[-1].bad < 0.01 < scores.confidence.bins[0].bad
    nearer = evaluate(case, predict(StereoDepthEstimator("sgbm"), case, z_far=3.0)).valid
    assert nearer.answered_pixels < scores.valid.answered_pixels
    plain = evaluate(case, opencv_sgbm(case))
    assert plain.valid == plain.all and plain.confidence is None
    assert plain.all.density < scores.valid.density


def test_without_a_rig_no_limit_of_depth_acts(frame, rig):
    case = case_of(frame, None)
    answers = [predict(StereoDepthEstimator("sgbm"), case, z_far=z_far) for z_far in (None, 1e-6)]
    np.testing.assert_array_equal(answers[0].valid, answers[1].valid)
    assert evaluate(case, answers[0]).valid.density > 0.9
    assert case.depth_m is None


@pytest.mark.parametrize("part", [1, 2, 3])
def test_a_window_shows_the_same_scene_with_less_of_it_seen_twice(frame, rig, part):
    window = case_of(frame, rig).window(part)
    height, width = 480 // part, 640 // part
    y, x = (480 - height) // 2, (640 - width) // 2
    assert window.left.shape == window.right.shape == (height, width, 3)
    np.testing.assert_array_equal(window.left, frame.left[y : y + height, x : x + width])
    np.testing.assert_allclose(window.depth_m, frame.depth_m[y : y + height, x : x + width])
    assert (window.rig.left.cx, window.rig.left.width) == (rig.left.cx - x, width)
    u = np.arange(width) - window.truth_px
    np.testing.assert_array_equal(window.visible, frame.visible[y : y + height, x : x + width] & (u >= 0) & (u <= width - 1))
    with pytest.raises(InputError, match="a window of 1/0 of room"):
        window.window(0)


@pytest.mark.parametrize(
    ("pair", "density", "bad_2", "bad_2_unanswered"),
    [
        ("teddy", 84.8, 4.54, 19.1),
        ("wood2", 86.0, 0.60, 14.5),
        ("aloe", 83.5, 1.74, 18.0),
        ("sceneflow_0", 85.6, 4.19, 18.0),
    ],
)
def test_sgbm_on_real_pairs_is_no_worse_than_it_was(data, pair, density, bad_2, bad_2_unanswered):
    (files,) = find_pairs(data / "stereo" / pair)
    case = files.load()
    scores = evaluate(case, predict(StereoDepthEstimator("sgbm"), case)).valid
    assert 100 * scores.density > density - 0.3
    assert 100 * scores.bad_2 < bad_2 + 0.3
    assert 100 * scores.bad_2_unanswered < bad_2_unanswered + 0.3


def test_shared_pairs_are_found_with_masks_and_calibration(data):
    pairs = {pair.name: pair for pair in find_pairs(data / "stereo")}
    assert list(pairs) == ["aloe", "sceneflow_0", "teddy", "wood2"]  # kitti_odometry has no truth
    assert [str(pairs[name].encoding) for name in ("aloe", "teddy", "wood2")] == ["disparity", "disparity/4", "disparity/2"]
    teddy = pairs["teddy"].load()
    assert teddy.rig.doffs_px == 52 and 0.8 < teddy.visible.mean() < 0.95
    assert 1.1 < np.nanmin(teddy.depth_m) < np.nanmax(teddy.depth_m) < 1.9
    assert pairs["aloe"].load().visible is None


def test_encodings_of_real_files(data):
    flying = read_map(data / "stereo/sceneflow_0/disp_left.pfm")[0]  # its header has a blank too many
    assert flying.shape == (540, 960) and np.isfinite(flying).all()
    assert (flying.min(), flying.max()) == pytest.approx((1.15, 75.9), abs=0.05)
    for name, encoding, share, median_m in (("tum_fr2_desk", "tum", 0.667, 1.5), ("nyu_basement", "nyu", 0.733, 3.26)):
        depth_m, _ = read_map(data / "rgbd" / name / "depth.png", Encoding.parse(encoding))
        assert np.isfinite(depth_m).mean() == pytest.approx(share, abs=1e-3)
        assert np.nanmedian(depth_m) == pytest.approx(median_m, abs=0.01)


MAP = np.array([[1.5, 2.25, nan], [4.0, 80.0, 6.5]])


def write_pfm(path, values, header=b"Pf\n%d %d\n-1.0\n", order="<f4") -> None:
    path.write_bytes(header % values.shape[::-1] + values[::-1].astype(order).tobytes())


@pytest.mark.parametrize(
    ("name", "write", "encoding"),
    [
        ("m.pfm", lambda p: write_pfm(p, np.where(np.isnan(MAP), inf, MAP)), None),
        ("m.pfm", lambda p: write_pfm(p, MAP, b"Pf \n%d  %d \n1.0\n", ">f4"), None),
        ("m.pfm", lambda p: write_pfm(p, MAP, b"Pf\r\n%d %d\r\n-0.003922\r\n"), None),  # Middlebury's scale is no factor
        ("m.npy", lambda p: np.save(p, MAP.astype(np.float32)), None),
        ("m.png", lambda p: cv2.imwrite(str(p), (np.nan_to_num(MAP) * 256).astype(np.uint16)), "kitti"),
        ("m.png", lambda p: cv2.imwrite(str(p), (np.nan_to_num(MAP) * 4).clip(0, 320).astype(np.uint16)), "disparity/4"),
        ("m.png", lambda p: cv2.imwrite(str(p), np.dstack([(np.nan_to_num(MAP) * 500).astype(np.uint16)] * 3)), "depth/500"),
        ("m.npy", lambda p: np.save(p, np.nan_to_num(MAP * 5000).astype(np.int32)), "tum"),
    ],
)
def test_every_encoding_gives_the_same_map(tmp_path, name, write, encoding):
    write(tmp_path / name)
    values, found = read_map(tmp_path / name, Encoding.parse(encoding) if encoding else None)
    np.testing.assert_allclose(values, MAP)
    assert found.kind == ("depth" if encoding in ("depth/500", "tum") else "disparity")


def write_bytes(path, content: bytes):
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.pfm", b"P5\n3 2\n255\n", "has no PFM header"),
        ("m.pfm", b"Pf\n3 2\n-1.0\n" + bytes(23), "is cut off: 3x2 pixels need 24 bytes, there are 23"),
        ("m.npy", b"numbers", "cannot be read as npy"),
        ("m.png", b"", "cannot be read as a map"),
        ("m.png", cv2.imencode(".png", np.eye(4, dtype=np.uint8))[1].tobytes(), "8-bit numbers, whose unit is not in the file"),
        ("m.png", cv2.imencode(".png", np.arange(27, dtype=np.uint8).reshape(3, 3, 3))[1].tobytes(), "one number a pixel"),
    ],
)
def test_files_that_are_no_maps_are_named(tmp_path, name, content, message):
    with pytest.raises(InputError, match=message):
        read_map(write_bytes(tmp_path / name, content))
    with pytest.raises(MissingImageError, match="there is no file"):
        read_map(tmp_path / "nowhere.png")


@pytest.mark.parametrize(
    "text", ["", "metres", "disparity/", "disparity/0", "depth/-1", "depth/1e999", "disparity/1.2.3", "kitti/2"]
)
def test_unknown_encodings_are_refused_with_the_known_ones(text):
    with pytest.raises(
        InputError, match="known are disparity and depth, with a divisor.*kitti = disparity/256, .*tum = depth/5000"
    ):
        Encoding.parse(text)


@pytest.fixture(scope="module")
def small() -> StereoCase:
    from vizion3d.synthetic import default_scene, render_stereo

    rig = StereoRig(PinholeCamera(160, 120, 131.0, 131.0, 79.5, 59.5), 0.12)
    return case_of(render_stereo(default_scene(), rig), rig)


def write_pair(folder, case, left="left.png", right="right.png", truth="disp_left.pfm") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / left), case.left[..., ::-1])
    cv2.imwrite(str(folder / right), case.right[..., ::-1])
    write_pfm(folder / truth, case.truth_px)


def test_a_folder_in_the_manner_of_middlebury_and_eth3d(tmp_path, small):
    for name in ("b", "a"):
        write_pair(tmp_path / name, small, "im0.png", "im1.png", "disp0GT.pfm")
    mask = np.where(small.visible, 255, 128).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "a/mask0nocc.png"), mask)
    (tmp_path / "a/calib.txt").write_text("cam0=[131 0 79.5; 0 131 59.5; 0 0 1]\nbaseline=120\nwidth=160\nheight=120\n")
    (tmp_path / "empty").mkdir()
    first, second = (pair.load() for pair in find_pairs(tmp_path))
    assert (first.name, second.name) == ("a", "b")
    np.testing.assert_array_equal(first.visible, small.visible)
    assert first.rig == small.rig and second.rig is None and second.visible is None
    np.testing.assert_allclose(first.truth_px, small.truth_px, rtol=1e-6)
    np.testing.assert_array_equal(first.left, small.left)


def test_a_folder_in_the_manner_of_kitti(tmp_path, small):
    for folder, image in (("image_2", small.left), ("image_3", small.right)):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / "000000_10.png"), image[..., ::-1])
        cv2.imwrite(str(tmp_path / folder / "000000_11.png"), image[..., ::-1])
    for folder, known in (("disp_occ_0", np.ones_like(small.visible)), ("disp_noc_0", small.visible)):
        (tmp_path / folder).mkdir()
        stored = np.where(known, small.truth_px * 256, 0).round().astype(np.uint16)
        cv2.imwrite(str(tmp_path / folder / "000000_10.png"), stored)
    (case,) = (pair.load() for pair in find_pairs(tmp_path))
    np.testing.assert_allclose(case.truth_px, small.truth_px, atol=1 / 512)
    np.testing.assert_array_equal(case.visible, small.visible)


def test_a_list_of_pairs(tmp_path, small):
    write_pair(tmp_path / "one", small)
    depth_mm = (small.depth_m * 1000).round().astype(np.uint16)
    cv2.imwrite(str(tmp_path / "depth.png"), depth_mm)
    (tmp_path / "calib.txt").write_text("cam0=[131 0 79.5; 0 131 59.5; 0 0 1]\nbaseline=120\n")
    (tmp_path / "pairs.yaml").write_text(
        "- {left: one/left.png, right: one/right.png, truth: one/disp_left.pfm}\n"
        "- {name: by depth, left: one/left.png, right: one/right.png, truth: depth.png,\n"
        "   encoding: millimetres, calib: calib.txt}\n"
    )
    first, second = (pair.load() for pair in find_pairs(tmp_path / "pairs.yaml"))
    assert (first.name, second.name) == ("one", "by depth")
    np.testing.assert_allclose(second.truth_px, first.truth_px, atol=0.02)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("left: a.png", "is no list of pairs"),
        ("[]", "is no list of pairs"),
        ("- {left: a.png, right: b.png}", "entry 1 of .*needs left, right and truth"),
        ("- {left: a, right: b, truth: c, gt: d}", "entry 1 of .*may have name, left"),
        ("- {left: a, right: b, truth: c, encoding: feet}", "the encoding is 'feet'"),
        ("- [", "cannot be read"),
    ],
)
def test_lists_that_cannot_be_used(tmp_path, text, message):
    (tmp_path / "pairs.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        find_pairs(tmp_path / "pairs.yaml")


def test_folders_without_truth_are_told_what_is_known(tmp_path, small):
    with pytest.raises(InputError, match=r"holds no pair with truth; known are folders with im0\.png im1\.png disp0GT\.pfm"):
        find_pairs(tmp_path)
    with pytest.raises(InputError, match="is no folder and no YAML list"):
        find_pairs(tmp_path / "nowhere")


def test_files_that_do_not_belong_together(tmp_path, small):
    write_pair(tmp_path, small)
    files = PairFiles("p", tmp_path / "left.png", tmp_path / "right.png", tmp_path / "disp_left.pfm")
    write_pfm(tmp_path / "small.pfm", small.truth_px[:, :-4])
    np.save(tmp_path / "depth.npy", small.depth_m)
    np.save(tmp_path / "unknown.npy", np.full_like(small.depth_m, nan))
    for changes, message in (
        ({"truth": tmp_path / "small.pfm"}, r"small.pfm is 156x120 but .*left.png is 160x120; they must be equal"),
        ({"truth_right": tmp_path / "small.pfm"}, "small.pfm is 156x120"),
        ({"mask": tmp_path / "small.pfm"}, "small.pfm is 156x120"),
        ({"truth": tmp_path / "depth.npy", "encoding": Encoding("depth")}, "is read as depth; a calibration is needed"),
        ({"calib": (tmp_path / "left.png",)}, "calibration"),
    ):
        with pytest.raises((InputError, CalibrationError), match=message):
            dataclasses.replace(files, **changes).load()
    unknown = dataclasses.replace(files, truth=tmp_path / "unknown.npy").load()
    with pytest.raises(InputError, match="no pixel has a known truth"):
        evaluate(unknown, Answer(small.truth_px))
    with pytest.raises(Vizion3dError, match="the disparity map is 156x120 but the truth 160x120"):
        evaluate(small, Answer(small.truth_px[:, :-4]))


def test_relative_depth_is_aligned_before_it_is_judged(small):
    relative = 3.0 / small.depth_m + 0.7
    np.testing.assert_allclose(aligned_depth(relative, small.depth_m), small.depth_m)
    np.testing.assert_allclose(aligned_depth(3 * small.depth_m + 2, small.depth_m, is_inverse=False), small.depth_m)


def results(small) -> list[Result]:
    confidence = np.linspace(0, 1, small.truth_px.size).reshape(small.truth_px.shape)
    answer = Answer(small.truth_px + 1.5, small.visible, confidence, max_disparity_px=10.0)
    plain = Answer(np.where(small.visible, small.truth_px, nan))
    judged = [("a", "m", answer), ("b", "m", answer), ("a", "plain", plain)]
    return [Result(case, model, evaluate(small, a), 0.5) for case, model, a in judged]


def test_json_has_every_number_and_no_nan(small):
    document = json.loads(json.dumps(as_json(results(small)), allow_nan=False))
    assert document["schema"] == "vizion3d-eval/1"
    first, _, plain = document["results"]
    assert (first["case"], first["model"], first["calibrated"], first["seconds"]) == ("a", "m", True, 0.5)
    assert first["valid"]["bad_1"] == 1 and first["valid"]["bad_2"] == 0 and first["all"]["density"] == 1
    assert first["valid"]["density"] == pytest.approx(small.visible.mean())
    assert len(first["confidence"]["bins"]) == 6 and set(first["confidence"]) == {"bins", "ece", "ause"}
    assert first["beyond_range"]["max_disparity_px"] == 10
    assert plain["confidence"] is None and plain["beyond_range"] is None
    assert set(plain["all"]) >= {"density", "bad_2_unanswered", "d1", "epe_px", "median_px", "abs_rel", "too_far"}
    assert set(plain) == {
        "case", "model", "seconds", "calibrated", "all", "non_occluded", "valid", "valid_non_occluded", "confidence",
        "beyond_range",
    }  # fmt: skip


def test_tables_line_up_and_say_the_numbers(small):
    text = score_table(results(small))
    lines = text.splitlines()
    assert len({len(line) for line in lines}) == 1
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert rows[0][:6] == ["pair", "model", "pixels", "density %", "bad-1 %", "bad-2 %"]
    # 4 sets of two pairs, 2 of plain OpenCV (whose valid answers are all), the mean of the two
    assert len(rows) == 2 + 2 * 4 + 2 + 4
    assert rows[2][:7] == ["a", "m", "all", "100.00", "100.00", "0.00", "0.00"]
    assert [row[0] for row in rows[-4:]] == ["mean"] * 4
    assert "0.95 to 1" in confidence_table(results(small)) and "plain" not in confidence_table(results(small))
    assert "of them valid %" in range_table(results(small))
    assert confidence_table(results(small)[2:]) == range_table(results(small)[2:]) == ""


def test_the_error_picture_says_where_and_which_way():
    truth = np.full((60, 400), 20.0)
    answer = truth.copy()
    answer[:, 100:200] -= 6  # smaller disparity: too far
    answer[:, 200:300] += 6
    answer[:, 300:350] = nan
    truth[:, 350:] = nan
    valid = np.ones(truth.shape, bool)
    valid[30:, :100] = False
    picture = error_picture(Errors.of_disparity(answer, truth), valid)
    assert picture.dtype == np.uint8 and picture.shape[1:] == (400, 3) and picture.shape[0] > 60
    right, far, near, unanswered, unknown = (picture[10, x].astype(int) for x in (50, 150, 250, 320, 380))
    assert right.min() > 220  # white
    assert far[0] > far[2] + 100 and near[2] > near[0] + 80  # red and blue
    assert np.ptp(unanswered) == 0 and unknown.max() == 0
    assert len({tuple(picture[y, x]) for y, x in ((10, 50), (50, 50), (10, 320), (10, 380))}) == 4
    assert (picture[60:] == 255).mean() > 0.5  # the legend
    depth = error_picture(Errors.of_depth(1 / answer, 1 / truth))
    np.testing.assert_array_equal(depth[10, [50, 150, 250]], picture[10, [50, 150, 250]])


def test_small_pictures_are_drawn_large_enough_to_read():
    assert error_picture(Errors.of_depth(np.ones((10, 20)), np.ones((10, 20)))).shape[1] == 320


def test_evaluating_needs_no_torch():
    import subprocess
    import sys

    script = "import sys, vizion3d.evaluate, vizion3d.synthetic.benchmark\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)

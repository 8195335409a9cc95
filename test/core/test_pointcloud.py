# SPDX-License-Identifier: Apache-2.0
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vizion3d.errors import DependencyError, InputError
from vizion3d.pointcloud import PointCloud, depth_image_to_open3d

VERTEX = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("red", "u1"), ("green", "u1"), ("blue", "u1")])


def organized(height: int, width: int, seed: int = 0) -> PointCloud:
    """Random points, a third of them NaN."""
    rng = np.random.default_rng(seed)
    points = rng.normal(scale=5, size=(height, width, 3)).astype(np.float32)
    points[rng.random((height, width)) < 0.34] = np.nan
    return PointCloud(points, rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def read_ply(path: Path) -> tuple[list[str], np.ndarray]:
    """Header lines and packed vertices."""
    header, _, body = path.read_bytes().partition(b"end_header\n")
    return header.decode("ascii").splitlines(), np.frombuffer(body, VERTEX)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 1000))
def test_ply_has_15_bytes_for_each_valid_point(tmp_path_factory, height, width, seed):
    cloud = organized(height, width, seed)
    path = tmp_path_factory.mktemp("ply") / "cloud.ply"
    cloud.write_ply(path)
    header, vertices = read_ply(path)
    valid = [
        (*cloud.points[v, u], *cloud.colors[v, u])
        for v in range(height)
        for u in range(width)
        if not np.isnan(cloud.points[v, u, 0])
    ]
    assert header == [
        "ply",
        "format binary_little_endian 1.0",
        f"element vertex {len(valid)}",
        "property float x",
        "property float y",
        "property float z",
        "property uchar red",
        "property uchar green",
        "property uchar blue",
    ]
    assert VERTEX.itemsize == 15
    np.testing.assert_array_equal(vertices, np.array(valid, VERTEX))


def test_ply_bytes_of_one_known_point(tmp_path):
    cloud = PointCloud(np.array([[1, -2, 0.5]], np.float32), np.array([[1, 128, 255]], np.uint8))
    cloud.write_ply(str(tmp_path / "one.ply"))
    vertex = bytes.fromhex("0000803f 000000c0 0000003f 01 80 ff")
    assert (tmp_path / "one.ply").read_bytes().endswith(b"property uchar blue\nend_header\n" + vertex)


def test_ply_of_nothing(tmp_path):
    PointCloud(np.full((3, 4, 3), np.nan, np.float32), np.zeros((3, 4, 3), np.uint8)).write_ply(tmp_path / "none.ply")
    header, vertices = read_ply(tmp_path / "none.ply")
    assert "element vertex 0" in header
    assert len(vertices) == 0


def test_dense_keeps_the_valid_points_row_by_row():
    cloud = organized(5, 7)
    dense = cloud.dense()
    assert cloud.is_organized and not dense.is_organized
    order = [(v, u) for v in range(5) for u in range(7) if np.isfinite(cloud.points[v, u]).all()]
    assert 0 < len(order) < 35
    np.testing.assert_array_equal(dense.points, [cloud.points[p] for p in order])
    np.testing.assert_array_equal(dense.colors, [cloud.colors[p] for p in order])
    np.testing.assert_array_equal(dense.dense().points, dense.points)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_one_bad_coordinate_makes_a_point_invalid(bad, axis):
    points = np.ones((4, 3), np.float32)
    points[2, axis] = bad
    assert len(PointCloud(points, np.zeros((4, 3), np.uint8)).dense().points) == 3


@pytest.mark.parametrize(
    ("points", "colors"),
    [((4, 3), (5, 3)), ((4, 3), (2, 2, 3)), ((4, 2), (4, 2)), ((3,), (3,)), ((1, 2, 2, 3), (1, 2, 2, 3))],
)
def test_shapes_that_do_not_fit_are_refused(points, colors):
    with pytest.raises(InputError, match=r"points \(.*\) and colors \(.*\) must both be \(N, 3\) or both be \(H, W, 3\)"):
        PointCloud(np.zeros(points, np.float32), np.zeros(colors, np.uint8))


def test_open3d_gets_the_same_points():
    pytest.importorskip("open3d", reason="Open3D is not installed")
    cloud = organized(6, 9)
    dense = cloud.dense()
    converted = cloud.to_open3d()
    np.testing.assert_array_equal(np.asarray(converted.points), dense.points.astype(np.float64))
    np.testing.assert_array_equal(np.asarray(converted.colors), dense.colors / 255)
    picture = np.arange(12, dtype=np.uint16).reshape(3, 4)
    np.testing.assert_array_equal(np.asarray(depth_image_to_open3d(picture)), picture)


def test_open3d_reads_our_ply(tmp_path):
    open3d = pytest.importorskip("open3d", reason="Open3D is not installed")
    cloud = organized(6, 9)
    cloud.write_ply(tmp_path / "cloud.ply")
    read = open3d.io.read_point_cloud(str(tmp_path / "cloud.ply"))
    np.testing.assert_array_equal(np.asarray(read.points), cloud.dense().points.astype(np.float64))
    np.testing.assert_allclose(np.asarray(read.colors), cloud.dense().colors / 255)


def test_without_open3d_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "open3d", None)  # makes Python's own import fail
    with pytest.raises(DependencyError, match=r"needed for a point cloud object: pip install open3d\. ") as info:
        organized(2, 2).to_open3d()
    assert isinstance(info.value, ImportError)
    with pytest.raises(DependencyError, match=r"needed for a depth image object.*Arrays and PLY need no Open3D"):
        depth_image_to_open3d(np.zeros((2, 2), np.uint16))


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("raise OSError('libGL.so.1: cannot open shared object file')", "libGL.so.1: cannot open shared object file"),
        ("import a_module_that_is_missing", "No module named 'a_module_that_is_missing'"),
        ("raise AttributeError('_ARRAY_API not found')", "_ARRAY_API not found"),
    ],
)
def test_an_open3d_that_cannot_be_loaded_is_not_called_missing(tmp_path, monkeypatch, line, cause):
    (tmp_path / "open3d.py").write_text(line)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "open3d", raising=False)
    with pytest.raises(DependencyError, match=f"it is installed but cannot be loaded: {cause}"):
        organized(2, 2).to_open3d()


# --- voxels ---


def scattered(seed: int = 0) -> PointCloud:
    """A plane with noise, organised, with holes."""
    random = np.random.default_rng(seed)
    points = random.uniform((-2, -1, -6), (2, 1, -1), (40, 50, 3)).astype(np.float32)
    points[random.random((40, 50)) < 0.2] = np.nan
    return PointCloud(points, random.integers(0, 256, (40, 50, 3), np.uint8))


def test_a_voxel_holds_the_mean_of_its_points_and_colors():
    cloud = scattered()
    made = cloud.voxel_means(0.5)
    dense = cloud.dense()
    by_cube: dict[tuple, list[int]] = {}
    for index, point in enumerate(dense.points):
        by_cube.setdefault(tuple(np.floor(point.astype(float) / 0.5)), []).append(index)
    assert len(made.points) == len(by_cube) < len(dense.points)
    for point, color in zip(made.points, made.colors, strict=True):
        inside = by_cube.pop(tuple(np.floor(point.astype(float) / 0.5)))  # the mean of a cube lies in it
        np.testing.assert_allclose(point, dense.points[inside].mean(axis=0, dtype=float), rtol=1e-6, atol=1e-6)
        np.testing.assert_array_equal(color, np.rint(dense.colors[inside].mean(axis=0)))
    assert not by_cube


def test_voxels_are_those_of_open3d_on_its_grid():
    open3d = pytest.importorskip("open3d", reason="open3d is not installed")
    cloud = scattered().dense()
    first = np.floor(cloud.points.min(axis=0) / 0.5) * 0.5 + 0.25  # Open3D's grid begins half a voxel before the first point
    points = np.concatenate((first[None], cloud.points)).astype(np.float32)
    inside = (points >= first).all(axis=1)
    cloud = PointCloud(points[inside], np.concatenate(([[0, 0, 0]], cloud.colors)).astype(np.uint8)[inside])
    theirs = cloud.to_open3d().voxel_down_sample(0.5)
    made = cloud.voxel_means(0.5)
    assert isinstance(theirs, open3d.geometry.PointCloud) and len(theirs.points) == len(made.points)
    order, own = (np.lexsort(np.round(points, 4).T) for points in (np.asarray(theirs.points), made.points))
    np.testing.assert_allclose(np.asarray(theirs.points)[order], made.points[own], atol=1e-5)
    np.testing.assert_allclose(255 * np.asarray(theirs.colors)[order], made.colors[own], atol=0.51)


def test_voxels_of_nothing_and_of_wrong_sizes():
    nothing = PointCloud(np.full((2, 2, 3), np.nan, np.float32), np.zeros((2, 2, 3), np.uint8)).voxel_means(0.1)
    assert nothing.points.shape == nothing.colors.shape == (0, 3)
    with pytest.raises(InputError, match="voxel_m is 0"):
        scattered().voxel_means(0)
    with pytest.raises(InputError, match="far too small for a cloud of [45] m"):
        scattered().voxel_means(1e-8)

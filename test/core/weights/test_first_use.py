# SPDX-License-Identifier: Apache-2.0
"""Opening networks from the cache: what loads is recorded, what does not is not, and nothing is fetched in vain."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from weights_server import BODY, Reply, Server, stand_in

from vizion3d import lifting, stereo
from vizion3d.errors import InputError, Vizion3dError, WeightsError
from vizion3d.lifting.models import open_model
from vizion3d.options import MonoOptions, StereoOptions
from vizion3d.stereo import StereoDepth, StereoDepthAdvancedConfig, StereoDepthCommand
from vizion3d.stereo.matchers import open_matcher
from vizion3d.weights import cache_path, integrity, verify

CPU = StereoOptions(device="cpu")
PICTURE = np.zeros((64, 96, 3), np.uint8)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIZION3D_OFFLINE", "1")


def test_a_copy_that_was_interrupted_and_made_again_works_on_a_robot_without_network(offline: None, s2m2_file: Path) -> None:
    place = cache_path("s2m2-s")
    place.parent.mkdir(parents=True)
    for part in (0.1, 0.5, 0.99):
        place.write_bytes(s2m2_file.read_bytes()[: int(part * s2m2_file.stat().st_size)])
        with pytest.raises(WeightsError, match="is cut short.*; delete it and fetch or copy it again"):
            open_matcher("s2m2-s", CPU)
    shutil.copy(s2m2_file, place)
    assert open_matcher("s2m2-s", CPU).name == str(place)
    assert integrity.read_seal(place) is not None
    assert open_matcher("s2m2-s", CPU) and verify("s2m2-s") == place


def test_a_whole_file_of_another_network_is_not_recorded(offline: None, s2m2_file: Path) -> None:
    place = cache_path("s2m2-s")
    place.parent.mkdir(parents=True)
    place.write_bytes(BODY)
    with pytest.raises(WeightsError, match="is not S2M2"):
        open_matcher("s2m2-s", CPU)
    shutil.copy(s2m2_file, place)
    assert open_matcher("s2m2-s", CPU)


def test_the_advice_about_another_file_than_the_recorded_one_leads_out(offline: None, s2m2_file: Path) -> None:
    place = cache_path("s2m2-s")
    place.parent.mkdir(parents=True)
    place.write_bytes(BODY)
    integrity.record(place)
    shutil.copy(s2m2_file, place)
    with pytest.raises(WeightsError, match=f"delete its record {integrity.seal_path(place)}; if not, delete both files"):
        open_matcher("s2m2-s", CPU)
    integrity.seal_path(place).unlink()
    assert open_matcher("s2m2-s", CPU)


def test_a_record_without_its_file_means_nothing(offline: None, s2m2_file: Path) -> None:
    place = cache_path("s2m2-s")
    place.parent.mkdir(parents=True)
    place.write_bytes(BODY)
    integrity.record(place)
    place.unlink()
    with pytest.raises(WeightsError, match="offline mode"):
        open_matcher("s2m2-s", CPU)
    shutil.copy(s2m2_file, place)
    assert open_matcher("s2m2-s", CPU)


def test_nothing_is_written_beside_a_file_of_the_users_own(s2m2_file: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine" / "net.pth"
    file.parent.mkdir()
    shutil.copy(s2m2_file, file)
    open_matcher(file, CPU)
    assert list(file.parent.iterdir()) == [file]


def test_a_fine_tuned_depth_anything_is_read_as_its_script_writes_it(vits_file: Path, tmp_path: Path) -> None:
    tensors = torch.load(vits_file, weights_only=True)
    del tensors["pretrained.mask_token"]
    trained = {"model": {f"module.{name}": tensor for name, tensor in tensors.items()}, "optimizer": {"state": {}}, "epoch": 7}
    torch.save(trained, tmp_path / "latest.pth")
    options = MonoOptions(device="cpu", input_size=56)
    picture = torch.zeros(56, 56, 3, dtype=torch.uint8)
    maps = [open_model(file, options).predict(picture, None).values for file in (vits_file, tmp_path / "latest.pth")]
    assert torch.equal(*maps)


def _stereo(left: np.ndarray = PICTURE, right: np.ndarray = PICTURE, **config: object) -> object:
    command = StereoDepthCommand(left, right, "s2m2-xl", advanced_config=StereoDepthAdvancedConfig(**config))
    return StereoDepth().run(command)


@pytest.mark.parametrize(
    ("run", "error"),
    [
        (lambda: _stereo(device="cuda:99"), InputError),
        (lambda: _stereo(right=PICTURE[:, :-1]), InputError),
        (lambda: _stereo("missing.png"), InputError),
        (lambda: lifting.DepthEstimation().run(lifting.DepthEstimationCommand(PICTURE, "s2m2-xl")), WeightsError),
        (lambda: open_model("s2m2-xl", MonoOptions(device="cpu")), WeightsError),
        (lambda: stereo.StereoDepthEstimator(b"s2m2-xl"), InputError),
        (lambda: lifting.MonoDepthEstimator(memoryview(b"s2m2-xl")), InputError),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_fetched(
    server: Server, monkeypatch: pytest.MonkeyPatch, run, error: type[Vizion3dError]
) -> None:
    stand_in(monkeypatch, "s2m2-xl", url=server.serve(Reply()))
    with pytest.raises(error):
        run()
    assert server.asked == []


def test_a_published_address_with_a_query_is_known_before_it_is_fetched(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.serve(Reply())
    stand_in(monkeypatch, "s2m2-xl", url=url)
    with pytest.raises(WeightsError, match="it is S2M2, which takes a rectified pair") as caught:
        open_model(f"{url}?download=true&token=hidden", MonoOptions(device="cpu"))
    assert server.asked == [] and "hidden" not in str(caught.value)


def test_three_threads_that_ask_first_load_once_and_models_can_be_unloaded(
    s2m2_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    original = stereo.StereoDepthEstimator.open
    monkeypatch.setattr(stereo.StereoDepthEstimator, "open", lambda *given: opened.append(given) or original(*given))
    command = StereoDepthCommand(PICTURE, PICTURE, s2m2_file, advanced_config=StereoDepthAdvancedConfig(device="cpu"))
    StereoDepth.unload()
    barrier, results = threading.Barrier(3), []

    def run() -> None:
        barrier.wait()
        results.append(StereoDepth().run(command))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(results), len(opened)) == (3, 1)
    StereoDepth.unload()
    StereoDepth().run(command)
    assert len(opened) == 2
    StereoDepth.unload()

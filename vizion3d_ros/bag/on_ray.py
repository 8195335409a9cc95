# SPDX-License-Identifier: Apache-2.0
"""Segments of a job as tasks of a Ray cluster, which hands them out and does again what a process that died was at."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from vizion3d.errors import DependencyError, InputError, Vizion3dError
from vizion3d.runtime.threads import set_threads
from vizion3d_ros.bag.job import Job
from vizion3d_ros.bag.pipelines import open_pipeline
from vizion3d_ros.bag.segment import SegmentReport, make_segment

LOCAL = "local"
_TRIES, _LOOK_S = 3, 0.5
_open_once = lru_cache(1)(open_pipeline)


def make_on_ray(
    address: str, job: Job, folder: Path, segments: Sequence[int], stop: Callable[[], bool], on_segment: Callable[..., object]
) -> None:
    """Make segments; each machine of the cluster has to see the recording and the folder under the paths of this one.

    Args:
        address: of the cluster; "local" starts one for this job.
        job: what to do.
        folder: of the recording that is made.
        segments: which ones.
        stop: whether to end early.
        on_segment: is called with the index and the report of each, as they come.

    Raises:
        DependencyError: Ray is missing.
        InputError: there is no such cluster, processes end again and again, or what `make_segment` raises.
    """
    try:
        import ray
    except ImportError as error:
        raise DependencyError('--ray needs the package ray: pip install "vizion3d[ray]"') from error
    try:
        ray.init(address=address, log_to_driver=False)
    except Exception as error:  # of every kind, by what does not answer
        raise InputError(f"--ray {address}: no cluster could be reached ({error}); give its address, or {LOCAL}") from error
    try:
        gpus = int(job.settings.device.startswith("cuda"))
        task = ray.remote(max_retries=_TRIES, num_gpus=gpus)(_make)
        shared = ray.put(job)
        at_work: dict[Any, int] = {task.remote(shared, index, str(folder), os.getcwd()): index for index in segments}
        while at_work and not stop():
            for done in ray.wait([*at_work], timeout=_LOOK_S)[0]:
                on_segment(at_work.pop(done), _answer(ray, done))
    finally:
        ray.shutdown()


def _answer(ray: Any, done: Any) -> SegmentReport:
    try:
        answer = ray.get(done)
    except ray.exceptions.RayError as error:
        raise InputError(
            f"a task of Ray ended {_TRIES + 1} times, maybe for want of memory ({error}); go on with --resume"
        ) from None
    if isinstance(answer, Vizion3dError):
        raise answer
    return answer


def _make(job: Job, index: int, folder: str, cwd: str) -> SegmentReport | Vizion3dError:
    """In a process of the cluster, which keeps its pipeline from task to task."""
    os.chdir(cwd)
    set_threads(job.settings.threads)
    try:
        return make_segment(job, index, _open_once(job.settings), Path(folder))
    except Vizion3dError as error:
        return error

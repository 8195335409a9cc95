# SPDX-License-Identifier: Apache-2.0
"""Models that stay loaded from call to call: whoever asks first loads, the others wait for that one."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class _Place(Generic[T]):
    """Where one model is or will be."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.model: T | None = None


class LoadedModels(Generic[T]):
    """The last models that were asked for.

    Args:
        limit: how many are kept.
    """

    def __init__(self, limit: int = 2) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._places: dict[Hashable, _Place[T]] = {}  # the last one used is the last one here

    def get(self, key: Hashable, load: Callable[[], T]) -> T:
        """The model of that key; `load` makes it unless it is here. If loading fails, the next who asks tries again."""
        with self._lock:
            place = self._places.pop(key, None) or _Place()
            self._places[key] = place
            for oldest in [*self._places][: -self._limit]:
                del self._places[oldest]
        with place.lock:
            if place.model is None:
                place.model = load()
            return place.model

    def unload(self) -> None:
        """Forget all models, and give back the memory that torch keeps of them on a GPU."""
        with self._lock:
            self._places.clear()
        torch = sys.modules.get("torch")
        if torch and torch.cuda.is_initialized():
            torch.cuda.empty_cache()

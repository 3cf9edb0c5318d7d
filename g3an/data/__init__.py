"""Clips from anywhere: drawn shapes, horizontal strips, frame folders, video files, and what ``g3an prepare`` wrote.

``ClipDataset`` and ``open_dataset`` are imported on first use, because they bring torch along (seconds), which
the processes that ``prepare`` starts to decode files have no use for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from g3an.data.clips import ClipDataset, open_dataset

__all__ = ["ClipDataset", "open_dataset"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from g3an.data import clips

        return getattr(clips, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""What storing clips as H.264 video does to FID: real clips against the same clips encoded and decoded.

Tools that write generated clips to videos before they measure them add this to their numbers, or take it off when the
real clips were stored in the same way.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import torch
from torch import Tensor

from g3an.errors import G3ANError
from g3an.evaluation.extractors import Extractor
from g3an.evaluation.ladder import features
from g3an.evaluation.metrics import fid


def reencoded(clips: Tensor, crf: int = 23, fps: float = 25) -> Tensor:
    """Each clip through a video of its own: libx264, yuv420p, one thread, else as ffmpeg has it.

    Parameters
    ----------
    clips
        ``(n, 3, T, H, W)`` in [-1, 1], H and W even.
    crf
        Constant rate factor, from 0 (almost lossless) to 51; ffmpeg's own is 23.
    fps
        Frames a second; with it the encoder shares out its bits.

    Returns
    -------
    Tensor
        Of the same shape, float32 in [-1, 1], of 256 levels.

    Raises
    ------
    G3ANError
        The clips have another shape, crf is outside its range, or ffmpeg cannot encode them.
    """
    if clips.ndim != 5 or clips.shape[1] != 3 or clips.shape[3] % 2 or clips.shape[4] % 2:
        raise G3ANError(f"Clips to encode are (n, 3, T, H, W) with H and W even, not {tuple(clips.shape)}.")
    if not 0 <= crf <= 51:
        raise G3ANError(f"crf is {crf}; it lies from 0 to 51.")
    levels = ((clips + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 4, 1).contiguous().numpy()
    with tempfile.TemporaryDirectory() as folder:
        decoded = np.stack([_through_a_video(clip, Path(folder) / "clip.mp4", crf, fps) for clip in levels])
    return torch.from_numpy(decoded).permute(0, 4, 1, 2, 3).float().div_(127.5).sub_(1)


def _through_a_video(frames: np.ndarray, path: Path, crf: int, fps: float) -> np.ndarray:
    """Frames uint8 ``(T, H, W, 3)`` encoded and decoded."""
    count, height, width, _ = frames.shape
    try:
        writer = imageio_ffmpeg.write_frames(
            path, (width, height), fps=fps, codec="libx264", pix_fmt_out="yuv420p", quality=None, macro_block_size=1,
            ffmpeg_log_level="error", output_params=["-crf", str(crf), "-threads", "1"],
        )  # fmt: skip
        writer.send(None)
        for frame in frames:
            writer.send(frame)
        writer.close()
        reader = imageio_ffmpeg.read_frames(path, pix_fmt="rgb24")
        next(reader)  # what the container says
        seen = [np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in reader]
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        raise G3ANError(f"ffmpeg cannot store a clip as H.264 ({reason}).") from None
    if len(seen) != count:
        raise G3ANError(f"Of {count} frames that were encoded, ffmpeg decodes {len(seen)}.")
    return np.stack(seen)


@dataclass(frozen=True)
class ReEncoding:
    """What :func:`reencoding_effect` found.

    Attributes
    ----------
    floor
        FID of real clips to other windows of the same videos.
    other
        The same when those other windows were re-encoded.
    same
        FID of the real clips to themselves re-encoded.
    psnr
        Of the re-encoded clips, in dB.
    crf, clips
        The encoder's quality, and clips a side.
    """

    floor: float
    other: float
    same: float
    psnr: float
    crf: int
    clips: int


def reencoding_effect(extractor: Extractor, one: Tensor, two: Tensor, crf: int = 23, fps: float = 25) -> ReEncoding:
    """Measure what re-encoding alone does to FID by an extractor.

    Parameters
    ----------
    one, two
        Real clips, ``(n, 3, T, H, W)`` in [-1, 1], as from :func:`g3an.evaluation.ladder.two_windows`.
    crf, fps
        As for :func:`reencoded`.

    Raises
    ------
    G3ANError
        As :func:`reencoded`, or there are fewer than two clips.
    """
    known, others = features(extractor, one), features(extractor, two)
    stored_one, stored_two = reencoded(one, crf, fps), reencoded(two, crf, fps)
    error = float((stored_one - one).square().mean(dtype=torch.float64))
    return ReEncoding(
        floor=fid(known, others),
        other=fid(known, features(extractor, stored_two)),
        same=fid(known, features(extractor, stored_one)),
        psnr=10 * float(np.log10(4 / error)),
        crf=crf,
        clips=len(one),
    )

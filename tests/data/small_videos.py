"""Small videos for the tests of g3an.data, encoded on the spot."""

from __future__ import annotations

import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from PIL import Image

from g3an.data.shapes import Drawing


def noisy(index: int = 2, frames: int = 24, size: int = 64) -> np.ndarray:
    """A moving shape with grain, so that frames are unlike each other and a codec has something to do."""
    video = Drawing(0, index, size).read(range(frames)).astype(int)
    return (video + np.random.default_rng(index).integers(-6, 7, video.shape)).clip(0, 255).astype(np.uint8)


def encode(path: Path, frames: np.ndarray, *options: str) -> Path:
    """Write frames as a video file (by default lossless)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _, height, width, _ = frames.shape
    how = options or ("-c:v", "ffv1", "-pix_fmt", "bgr0")
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24"]
    command += ["-s", f"{width}x{height}", "-r", "25", "-i", "-", "-threads", "1", *how, str(path)]
    subprocess.run(command, input=frames.tobytes(), check=True)
    return path


def write_strip(path: Path, frames: np.ndarray) -> Path:
    """Write frames side by side as one PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(list(frames), axis=1)).save(path)
    return path


def write_frames(folder: Path, frames: np.ndarray, suffix: str = ".png") -> Path:
    """Write frames as img_0, img_1, … img_10: names that sort wrongly as text."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"img_{number}{suffix}")
    return folder

"""Whether a network repeats its training clips, and whether its people stay themselves from frame to frame.

Both need no factors, so they work for any data set, Weizmann with its nine people above all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from g3an.errors import G3ANError
from g3an.evaluation.extractors import check_clips
from g3an.evaluation.metrics import check_features
from g3an.files import rounded
from g3an.perception import Perception

QUANTILES = (0.05, 0.5, 0.95)
"""Of distances, from near to far."""


@dataclass(frozen=True)
class Memory:
    """How near samples come to training clips.

    Attributes
    ----------
    generated, fresh
        QUANTILES of the distance to the nearest training clip, of samples and of clips that were not trained on.
    nearer
        Share of samples that are nearer to some training clip than 95 % of fresh clips are. A network that invents
        has about 0.05; one that repeats, near 1.
    nearest
        For every sample the number of the training clip, ``(n,)``, and ``distance`` to it.
    """

    generated: tuple[float, ...]
    fresh: tuple[float, ...]
    nearer: float
    nearest: np.ndarray
    distance: np.ndarray

    def to_dict(self) -> dict[str, Any]:
        """Plain types, without the single clips."""
        content = asdict(self)
        return rounded({name: content[name] for name in ("generated", "fresh", "nearer")})


def memory(generated: Tensor, train: Tensor, people: Sequence[str], fresh: Tensor | None = None) -> Memory:
    """Distances to the nearest training clip, of samples and of fresh clips, in the space of some features.

    Features are divided by their spread over the training clips first; the distance is the root mean square of the
    differences.

    Parameters
    ----------
    generated, train
        Features, or flattened small videos: ``(n, d)`` and ``(m, d)``.
    people
        Who is in each training clip.
    fresh
        Features of clips of people that were not trained on, ``(k, d)``. None, where everybody was: then every
        training clip takes its turn, and is compared with those of other people only.

    Raises
    ------
    G3ANError
        Features that cannot be compared, or a single person without ``fresh``.
    """
    made, known = check_features(generated, "generated"), check_features(train, "training")
    scale = known.std(0).clamp(min=1e-6)
    distance, nearest = (torch.cdist(made / scale, known / scale) / scale.numel() ** 0.5).min(1)
    if fresh is None:
        who = np.asarray(people)
        alike = torch.from_numpy(who[:, None] == who)
        if bool(alike.all()):
            raise G3ANError("All training clips show one person; give fresh clips to compare with.")
        apart = (torch.cdist(known / scale, known / scale) / scale.numel() ** 0.5).masked_fill(alike, torch.inf)
        between = apart.min(1).values
    else:
        between = (torch.cdist(check_features(fresh, "fresh") / scale, known / scale) / scale.numel() ** 0.5).min(1)[0]
    far, near = distance.numpy(), between.numpy()

    def spread(x: np.ndarray) -> tuple[float, ...]:
        return tuple(float(value) for value in np.quantile(x, QUANTILES))

    share = float((far < np.quantile(near, 0.05)).mean())
    return Memory(spread(far), spread(near), share, nearest.numpy(), far)


@dataclass(frozen=True)
class Consistency:
    """After the average content distance of MoCoGAN (Tulyakov et al., CVPR 2018).

    Attributes
    ----------
    within
        Mean distance of two frames of one clip.
    between
        Mean distance of two frames of two clips.
    ratio
        Of the two: 0 is one person who stands still, 1 another person in every frame.
    """

    within: float
    between: float

    @property
    def ratio(self) -> float:
        """``within`` over ``between``."""
        return self.within / self.between

    def to_dict(self) -> dict[str, float]:
        """Plain types."""
        return rounded({"within": self.within, "between": self.between, "ratio": self.ratio})


@torch.inference_mode()
def consistency(videos: Tensor, network: Perception | None = None, frames: int = 8) -> Consistency:
    """Identity consistency of any clips, by what a frozen classifier sees in their frames.

    The paper's tool compares face descriptors, whose weights no package carries; here the frames are compared by the
    coarsest map of :class:`Perception`, as they are faces in one data set and whole people in another.

    Parameters
    ----------
    videos
        ``(n, 3, T, 64, 64)`` in [-1, 1], n from 2 up.
    frames
        Spread over each clip.

    Raises
    ------
    G3ANError
        Clips that cannot be measured, or the same clip over and over.
    """
    clips = check_clips(videos)
    if len(clips) < 2 or clips.shape[2] < 2:
        raise G3ANError(f"Consistency is measured on 2 or more clips of 2 or more frames, not {tuple(clips.shape)}.")
    network = network or Perception()
    chosen = torch.linspace(0, clips.shape[2] - 1, min(frames, clips.shape[2])).round().long()
    seen = torch.cat([
        network(some[:, :, chosen].transpose(1, 2).flatten(0, 1))[-1].flatten(1) for some in clips.split(32)
    ])  # fmt: skip
    seen = torch.nn.functional.normalize(seen.double(), dim=1)
    apart = torch.cdist(seen, seen)
    which = torch.arange(len(clips)).repeat_interleave(len(chosen))
    alike = which[:, None] == which
    other = ~torch.eye(len(seen), dtype=torch.bool)
    between = float(apart[~alike].mean())
    if between < 1e-9:
        raise G3ANError("All clips are the same; there is nobody to tell apart.")
    return Consistency(float(apart[alike & other].mean()), between)

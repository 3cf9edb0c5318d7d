"""Training of small networks that read one course of clips of simulated faces, frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from g3an.data.faces.dataset import FaceDataset
from g3an.evaluation.factors import FactorClips, shaken

Network = TypeVar("Network", bound=nn.Module)


def fit_course(
    make: Callable[[], Network], sets: Sequence[FaceDataset], loss: Callable[[Tensor, dict[str, Tensor]], Tensor],
    what: str, *, epochs: int, clips: int, batch: int, learning_rate: float, seed: int, progress: bool,
) -> Network:  # fmt: skip
    """A trained network, in evaluation mode.

    The random numbers of whoever asks are left as they were: a run that finds its judge trained goes on from the same.

    Parameters
    ----------
    make
        Gives a network that reads clips ``(B, 3, T, 64, 64)`` in [-1, 1].
    sets
        Train people, 16 frames at step 1; their clips take turns.
    loss
        Of what the network says and what :func:`g3an.evaluation.factors.described` knows of the clips.
    what
        Name on the progress bar.
    epochs, clips, batch, learning_rate
        Adam with one cycle of the learning rate; ``clips`` random ones of each set an epoch.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = make().train()
        optimiser = torch.optim.AdamW(network.parameters(), learning_rate, weight_decay=0.02)
        each = len(sets) * clips
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, learning_rate, total_steps=epochs * -(-each // batch), pct_start=0.1
        )
        for epoch in range(epochs):
            loader = DataLoader(FactorClips(list(sets), each, epoch), batch)
            for truth in tqdm(loader, desc=f"{what} {epoch + 1}/{epochs}", disable=not progress):
                missed = loss(network(softened(shaken(truth["video"]))), truth)
                optimiser.zero_grad()
                missed.backward()
                optimiser.step()
                schedule.step()
    return network.eval()


def softened(videos: Tensor) -> Tensor:
    """Every other batch of clips a little blurred, since what is generated is softer than what was drawn."""
    if torch.rand(()) >= 0.5:
        return videos
    flat = videos.transpose(1, 2).flatten(0, 1)
    soft = F.avg_pool2d(F.pad(flat, (1, 1, 1, 1), "replicate"), 3, 1)
    return flat.lerp(soft, 0.8 * float(torch.rand(()))).unflatten(0, (len(videos), -1)).transpose(1, 2)

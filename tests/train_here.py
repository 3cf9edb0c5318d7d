"""One process of the trainings that test_processes.py compares: ``train_here.py RUN OPTIONS``, the latter in JSON.

===========  =================================================================
settings     of the smoke profile
resume       whether to go on
halves       steps in which the generator normalises each half of a batch by itself: a list of [first, end]
failing      the rank of the process whose loss becomes NaN
===========  =================================================================
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch
import torch._dynamo  # two seconds, which optimisers otherwise take in each forked process
from torch import Tensor

from g3an import training
from g3an.config import ModelConfig, TrainConfig

TINY = {"widths": (4, 4, 2, 2, 2), "attention_after": (1,)}


def in_double() -> None:
    """Compute in double precision.

    A GAN multiplies differences: one weight that is off by its last bit in single precision changes losses by 0.07
    within 20 steps, in one and the same process. Sums over 4 and 4 clips round otherwise than sums over 8.
    """
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double  # type: ignore[method-assign]
    batches = training._batches

    def doubled(*words):
        for step, batch in batches(*words):
            yield step, {name: x.double() if x.is_floating_point() else x for name, x in batch.items()}

    training._batches = doubled
    training.Perception = Single  # type: ignore[misc]


class Single(training.Perception):
    """The frozen classifier in single precision, which takes a tenth of the time, clip by clip: so it rounds alike."""

    def __init__(self) -> None:
        super().__init__()
        self.to(torch.float32)

    def forward(self, frames: Tensor) -> list[Tensor]:
        maps = [super(Single, self).forward(clip) for clip in frames.to(torch.float32).split(8)]
        return [torch.cat(parts).double() for parts in zip(*maps, strict=True)]


def in_halves(batch: int, steps: list[list[int]]) -> None:
    """Be one process that does with each half of a batch what two processes do with theirs."""
    normalise, diversity = torch.nn.BatchNorm3d.forward, training.diversity_loss
    batches, now = training._batches, [0]

    def told(*words):
        for now[0], clips in batches(*words):
            yield now[0], clips

    def halved(size: int) -> bool:
        # The passes that recompute statistics are the main process's alone, and undivided.
        return size == batch and any(first <= now[0] < end for first, end in steps)

    def each(norm: torch.nn.BatchNorm3d, x: Tensor) -> Tensor:
        if not (norm.training and torch.is_grad_enabled() and halved(len(x))):
            return normalise(norm, x)
        return torch.cat([normalise(norm, half) for half in x.chunk(2)])

    def mean(real: Tensor, fake: Tensor) -> tuple[Tensor, dict[str, float]]:
        if not halved(len(real)):
            return diversity(real, fake)
        found = [diversity(*halves) for halves in zip(real.chunk(2), fake.chunk(2), strict=True)]
        ratios = {name: sum(ratio[name] for _, ratio in found) / 2 for name in found[0][1]}
        return torch.stack([loss for loss, _ in found]).mean(), ratios

    torch.nn.BatchNorm3d.forward = each  # type: ignore[method-assign]
    training.diversity_loss, training._batches = mean, told


def main(run: Path, options: dict) -> None:
    rank = os.environ.get("RANK", "0")
    torch.set_num_threads(1)
    in_double()
    if "halves" in options:
        in_halves(options["settings"]["batch"], options["halves"])
    if options.get("failing") == rank:
        training.generator_loss = lambda fake, kind="bce": fake.mean() * float("nan")
    # Principal components of fewer clips: drawing 2048 takes half a minute.
    fit = training.Encoder.fit
    training.Encoder.fit = lambda encoder, data, seed: fit(encoder, data, seed, 128)  # type: ignore[method-assign]
    written: list[str] = []
    write_state, save_generator = training.write_state, training.save_generator

    def counted(path, *rest):
        written.append(Path(path).name)
        write_state(path, *rest)

    def saved(path, *rest):
        written.append(Path(path).name)
        return save_generator(path, *rest)

    training.write_state, training.save_generator = counted, saved
    model, config = ModelConfig.from_preset("small", **TINY), TrainConfig.from_profile("smoke", **options["settings"])
    training.train(run, "shapes", None, model, config, resume=bool(options.get("resume")), progress=False, device="cpu")
    (run / f"written{rank}.json").write_text(json.dumps(written))


def child(variables: dict[str, str], output: Path, run: Path, options: dict) -> None:
    """One process of a group that was forked off, without importing torch anew."""
    os.environ.update(variables)
    with open(output, "w", encoding="utf-8") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    main(run, options)


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))

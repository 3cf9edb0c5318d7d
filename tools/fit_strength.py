"""Train the network of strength that ships with the package, g3an/evaluation/strength.safetensors.

It meets 3,000 people of each simulated set beside the train people; all are drawn on first use (half an hour). The
training then takes about a quarter of an hour. The last lines say how well it reads the clips of test people.
"""

from __future__ import annotations

import torch

from g3an.data import open_dataset
from g3an.data.faces.dataset import FaceDataset
from g3an.data.faces.sets import SETS
from g3an.evaluation.faces import agreement
from g3an.evaluation.strength import fit_strength, save_strength

EXTRA = 3000


def opened(split: str) -> list[FaceDataset]:
    """Both sets; train people with those who are in no set."""
    train = split == "train"
    return [open_dataset(name, split=split, mirror=train, extra_people=EXTRA * train) for name in SETS]  # type: ignore[arg-type, misc]


def main() -> None:
    network = fit_strength(opened("train"), epochs=6, clips=4032)
    save_strength(network)
    for data in opened("test"):
        epoch = data.epoch(0, 512)
        clips = [epoch[k] for k in range(512)]
        shown = torch.stack([data.amplitude(clip) for clip in clips])  # type: ignore[arg-type]
        seen = network.read(torch.stack([clip["video"] for clip in clips]))
        explained = 1 - float((seen - shown).square().mean() / shown.var())
        agrees = {name: round(r, 2) for name, r in agreement(data.name).items()}
        print(f"{data.name}: {explained:.1%} of the variance explained; agreement {agrees}")


if __name__ == "__main__":
    main()

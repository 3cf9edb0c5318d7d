"""Train the network of the lids that ships with the package, g3an/evaluation/lids.safetensors (some minutes).

The simulated sets are drawn on first use. The last lines say how well it reads the clips of test people.
"""

from __future__ import annotations

import numpy as np
import torch

from g3an.data import open_dataset
from g3an.data.faces.dataset import FaceDataset
from g3an.data.faces.sets import SETS
from g3an.evaluation.lids import BLINK, fit_lids, save_lids


def main() -> None:
    """Train people of both sets; test people of each are read."""
    opened: dict[str, list[FaceDataset]] = {
        split: [open_dataset(name, split=split, mirror=split == "train") for name in SETS]  # type: ignore[arg-type, misc]
        for split in ("train", "test")
    }
    network = fit_lids(opened["train"], epochs=2, clips=1200)
    save_lids(network)
    for data in opened["test"]:
        epoch = data.epoch(0, 512)
        clips = [epoch[k] for k in range(512)]
        closed = torch.stack([data.courses(clip)[BLINK] for clip in clips])  # type: ignore[arg-type]
        seen = network.read(torch.stack([clip["video"] for clip in clips]))
        explained = 1 - float((seen - closed).square().mean() / closed.var())
        peaks = np.corrcoef(seen.amax(1), closed.amax(1))[0, 1]
        print(f"{data.name}: {explained:.1%} of the variance explained, correlation of strongest closures {peaks:.2f}")


if __name__ == "__main__":
    main()

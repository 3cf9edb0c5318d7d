"""Train the factor network that ships with the package, g3an/evaluation/factors.safetensors (about 15 minutes).

It draws mug-sim on first use. The last lines say how well it reads the clips of test people.
"""

from __future__ import annotations

import numpy as np
import torch

from g3an.data import open_dataset
from g3an.data.faces.motion import COURSES
from g3an.evaluation.faces import verification
from g3an.evaluation.factors import described, fit, save_factors


def tell(epoch: int, losses: dict[str, float]) -> None:
    print(epoch + 1, {name: round(loss, 3) for name, loss in losses.items()}, flush=True)


def main() -> None:
    network = fit(each=tell)
    save_factors(network)
    data = open_dataset("mug-sim", split="test")
    clips = [data.clip(i) for i in range(len(data))]
    seen = network.read(torch.stack([clip["video"] for clip in clips]))
    right = (seen.expression.argmax(1) == torch.tensor(data.categories)).double().mean()
    print(f"expressions of test people read as they are: {right:.1%}")
    print(f"pairs of clips told apart, one person or two: {verification(seen, np.array(data.subjects)):.2%}")
    truth = torch.stack([described(data, clip, {})["course"] for clip in clips])  # type: ignore[arg-type]
    explained = 1 - (seen.course - truth).square().mean((0, 2)) / truth.var((0, 2))
    shares = {name: round(float(share), 2) for name, share in zip(COURSES, explained, strict=True)}
    print(f"share of each course's variance explained: {shares}")


if __name__ == "__main__":
    main()

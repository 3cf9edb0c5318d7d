"""Fit and store the probe of looks: ``python tools/fit_looks.py``, some minutes once the simulated sets are drawn."""

from __future__ import annotations

from g3an.data import open_dataset
from g3an.data.faces.dataset import FaceDataset
from g3an.data.faces.sets import SETS
from g3an.evaluation.factors import load_factors
from g3an.evaluation.looks import fit_looks, save_looks


def main() -> None:
    """Train people of both sets; what it reads of test people is printed and stored."""
    opened: dict[str, list[FaceDataset]] = {
        split: [open_dataset(name, split=split) for name in SETS]  # type: ignore[arg-type, misc]
        for split in ("train", "test")
    }
    looks = fit_looks(opened["train"], opened["test"], load_factors())
    save_looks(looks)
    for quality, name in sorted(zip(looks.quality, looks.names, strict=True), reverse=True):
        print(f"{quality:6.3f} {name}")


if __name__ == "__main__":
    main()

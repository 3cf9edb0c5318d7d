"""A few people of ``shapes``."""

from g3an.data import ClipDataset, open_dataset


def few(people: int = 3) -> ClipDataset:
    """The first people of ``shapes``: few enough to compare by hand."""
    data = open_dataset("shapes")
    kept = [i for i, who in enumerate(data.subjects) if who in sorted(set(data.subjects))[:people]]
    return ClipDataset(
        "shapes", [data.readers[i] for i in kept], [data.sources[i] for i in kept], data.classes,
        [data.categories[i] for i in kept], [data.subjects[i] for i in kept],
    ).keep()  # fmt: skip

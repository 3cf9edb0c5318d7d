"""Turn the axes of a shipped network's z_a in the order of what they change, and write its card anew.

    .venv/bin/python tools/turn_axes.py weizmann path/to/strips

The network makes the same people with the same probability; figures and results have to be made again after it, since a
seed now is somebody else.
"""

import argparse

from g3an.axes import CLIPS, look_axes, turn_axes
from g3an.cards import describe
from g3an.checkpoints import WEIGHTS_FOLDER, load_generator, save_generator
from g3an.evaluation.stored import training_clips

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("name", help="a shipped network")
parser.add_argument("root", nargs="?", help="where its data lie; simulated faces need no folder")
asked = parser.parse_args()

generator = load_generator(asked.name)
data = training_clips(generator, generator.card["dataset"], asked.root)
turned = turn_axes(generator, look_axes(generator))
about = f"turned after training in the order of their effect on the looks of {CLIPS:,} clips"
card = {**generator.card, "axes": f"{about}; the sliced Wasserstein distance was measured before"}
save_generator(WEIGHTS_FOLDER / asked.name, turned, card)
print(describe(WEIGHTS_FOLDER / f"{asked.name}.json", data))

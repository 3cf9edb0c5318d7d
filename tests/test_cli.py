"""The command line: exit codes, one sentence for each mistake, and what reaches the library."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from g3an import cli
from g3an.checkpoints import shipped

EVALUATE = ["evaluate", "--dataset", "shapes", "--weights", "w.json"]


def g3an(*words: str, folder: Path | None = None) -> subprocess.CompletedProcess:
    """The command as a user starts it."""
    return subprocess.run(
        [sys.executable, "-m", "g3an", *words], capture_output=True, text=True, timeout=120, cwd=folder, check=False
    )


def call(monkeypatch, *words: str) -> int:
    """The command inside this process; its exit code."""
    monkeypatch.setattr(sys, "argv", ["g3an", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def test_a_run_from_the_command_line(project, make_notebook):
    parameters = "values: list[int] = [1]\noffset: float = 0.0"
    make_notebook("01_add", ["print(sum(values) + offset)"], parameters, project / "notebooks")
    (project / "set.yaml").write_text("values: [1, 2, 3]\n")
    words = ("-f", "set.yaml", "-p", "offset", "-0.5", "--out", "my run")
    done = g3an("run", "notebooks/01_add.ipynb", *words, folder=project)
    assert done.returncode == 0, done.stderr
    assert Path("my run", "01_add.html").as_posix() in done.stdout
    assert "5.5" in (project / "my run" / "01_add.html").read_text()
    record = json.loads((project / "my run" / "run.json").read_text())
    assert record["status"] == "finished" and record["given"] == ["offset", "values"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "notebooks/01_add.ipynb", "-p", "sede", "1"], "no parameter 'sede'. Did you mean 'seed'?"),
        (["run", "notebooks/01_add.ipynb", "-p", "seed", "x"], "must be int"),
        (["run", "notebooks/01_add.ipynb", "-p", "seed"], "takes two words"),
        (["run", "notebooks/01_add.ipynb", "-f", "none.yaml"], "cannot be read"),
        (["run", "notebooks/02_add.ipynb"], "does not exist"),
        (["figures", "fig66"], "There is no figure 'fig66'"),
        (["train", "--run", "r", "--preset", "tiny"], "There is no preset 'tiny'"),
        (["train", "--run", "r", "--profile", "smoke", "--loss", "l2"], "loss is 'l2'"),
        (["train", "--run", "r", "-p", "learning_rat_g", "1"], "Did you mean 'learning_rate_g'"),
        (["train", "--run", "r", "-p", "r1", "much"], "'r1' is of type float"),
        (["train", "--run", "r", "-p", "steps", "3", "--steps", "4"], "'steps' is given twice"),
        ([*EVALUATE, "--extractor", "i3", "--out", "n.json"], "no extractor 'i3'. Did you mean 'i3d'?"),
        ([*EVALUATE, "--extractor", "i3d", "--out", "n.json"], "i3d needs its weight file, i3d_torchscript.pt"),
        ([*EVALUATE, "--extractor", "i3d", "--extractor-weights", "a.pt"], "There is no weight file a.pt"),
        ([*EVALUATE, "--extractor-weights", "a.pt"], "transnetv2 comes with its weights"),
        ([*EVALUATE, "--out", "notebooks"], "notebooks is a folder; give the path of a file"),
        ([*EVALUATE, "--out", "notebooks/01_add.ipynb/n.json"], "Cannot write to notebooks/01_add.ipynb"),
        (["train", "--run", "r", "--device", "gpu"], "--device is 'gpu'; it must be auto, cpu, cuda or mps"),
        (["results", "--out", "results.md"], "the page to the .md beside it; results.md ends otherwise"),
        (["results", "weizmann", "--out", "new.json"], "say where they lie, g3an results --weizmann PATH"),
        ([*EVALUATE, "--extractor-sha256", "123"], "64 hexadecimal digits; '123' is not"),
    ],
)
def test_a_mistake_is_one_sentence_on_stderr_and_code_2(project, make_notebook, monkeypatch, capsys, words, said):
    make_notebook("01_add", ["1"], "seed: int = 1", project / "notebooks")
    assert call(monkeypatch, *words) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("Error: ") and said in shown.err
    assert shown.err.count("\n") == 1 and not shown.out and not (project / "reports").exists()


@pytest.mark.parametrize(
    "words",
    [
        [*EVALUATE, "--seed", "-1"],
        [*EVALUATE, "--clips", "1"],
        [*EVALUATE, "--step", "0"],
        ["disentangle", "--weights", "mug-sim", "--seed", "-1"],
        ["memory", "--weights", "mug-sim", "--dataset", "mug-sim", "--samples", "0"],
        ["render", "mug-sim", "--workers", "-1"],
    ],
)
def test_numbers_out_of_range_are_refused_before_anything_starts(monkeypatch, capsys, words):
    assert call(monkeypatch, *words) == 2
    assert f"Invalid value for '{words[-2]}'" in capsys.readouterr().err


def test_a_device_that_is_not_there_is_refused(monkeypatch, capsys):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert call(monkeypatch, "train", "--run", "r", "--device", "cuda") == 2
    assert "--device is cuda, which PyTorch does not find here" in capsys.readouterr().err
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    taken = []
    monkeypatch.setattr("g3an.training.train", lambda *_, device, **__: taken.append(device) or Path("generator.json"))
    assert call(monkeypatch, "train", "--run", "r", "--device", "cuda") == 0
    assert taken == ["auto"], "which is the first GPU that accelerate finds"


@pytest.mark.parametrize("saved", [True, False])
def test_ctrl_c_while_training_ends_in_130_as_other_commands_do(monkeypatch, capsys, saved):
    from g3an.training import Stopped

    def interrupted(*_, **__):
        raise Stopped("Stopped after step 3. Go on with --resume.") if saved else KeyboardInterrupt

    monkeypatch.setattr("g3an.training.train", interrupted)
    assert call(monkeypatch, "train", "--run", "r", "--profile", "smoke") == 130
    told = capsys.readouterr().err
    assert told.startswith("Stopped after step 3" if saved else "Interrupted")
    assert "--resume" in told and "Error" not in told


def test_a_mistake_as_a_user_sees_it(tmp_path):
    done = g3an("run", "nowhere.ipynb", folder=tmp_path)
    assert done.returncode == 2 and "Traceback" not in done.stderr and done.stdout == ""


def test_pairs_may_hold_equals_signs_and_spaces(project, make_notebook, monkeypatch):
    path = make_notebook("01_add", ["1"], 'text: str = ""', project / "notebooks")
    seen = {}

    def fake(notebook, parameters, out, progress):
        seen.update(parameters)
        return project

    monkeypatch.setattr("g3an.runs.run_notebook", fake)
    assert call(monkeypatch, "run", str(path), "-p", "text", "a = b") == 0
    assert seen == {"text": "a = b"}


def test_training_options_reach_the_trainer(monkeypatch, tmp_path):
    seen = {}

    def fake(folder, dataset, root, model, config, **rest):
        seen.update(folder=folder, dataset=dataset, root=root, model=model, config=config, **rest)
        return tmp_path / "generator.json"

    monkeypatch.setattr("g3an.training.train", fake)
    words = "--run r --dataset folder --root clips --preset appendix --profile smoke --steps 7 --seed 5 --resume"
    words += " -p learning_rate_d 1e-4 -p augment [translation,colour] -p r1 1"
    assert call(monkeypatch, "train", *words.split(), "--device", "cpu") == 0
    assert (seen["folder"], seen["dataset"], seen["root"]) == (Path("r"), "folder", Path("clips"))
    assert seen["model"].preset == "appendix"
    assert (seen["config"].profile, seen["config"].steps, seen["config"].seed) == ("smoke", 7, 5)
    config = seen["config"]
    assert (config.learning_rate_d, config.augment, config.r1) == (1e-4, ("translation", "colour"), 1.0)
    assert seen["resume"] is True and seen["device"] == "cpu"


def test_prepare_lists_what_it_refused_and_ends_in_code_3(monkeypatch, tmp_path, capsys):
    from PIL import Image

    (tmp_path / "videos" / "walk").mkdir(parents=True)
    Image.new("RGB", (64 * 16, 64)).save(tmp_path / "videos" / "walk" / "subject1.png")
    (tmp_path / "videos" / "walk" / "subject2.png").write_bytes(b"no picture")
    words = ("prepare", str(tmp_path / "videos"), str(tmp_path / "clips"), "--workers", "1")
    assert call(monkeypatch, *words) == 3
    shown = capsys.readouterr().out
    assert "subject2.png" in shown and "1 prepared (0 unchanged), 1 refused" in shown
    (tmp_path / "videos" / "walk" / "subject2.png").unlink()
    assert call(monkeypatch, *words) == 0
    assert "1 prepared (1 unchanged), 0 refused" in capsys.readouterr().out


def test_no_words_show_the_commands():
    done = g3an()
    listed = done.stdout + done.stderr
    for command in ("figures", "run", "train", "prepare", "import-official", "bench"):
        assert f"\n  {command} " in listed


def test_a_measurement_is_printed_and_written(monkeypatch, tmp_path, capsys):
    from g3an import bench

    monkeypatch.setattr(bench, "fsa", lambda: {"threads": 2, "rows": [{"channels": 32}]})
    assert call(monkeypatch, "bench", "fsa", "--json", str(tmp_path / "b.json")) == 0
    assert json.loads((tmp_path / "b.json").read_text())["threads"] == 2
    assert "channels" in capsys.readouterr().out


def test_a_measurement_that_cannot_be_written_is_printed_all_the_same(monkeypatch, tmp_path, capsys):
    """Its folder may vanish, or fill, while it is measured."""
    from g3an import bench

    def measured():
        (tmp_path / "b.json").mkdir()
        return {"threads": 2, "rows": [{"channels": 32}]}

    monkeypatch.setattr(bench, "fsa", measured)
    assert call(monkeypatch, "bench", "fsa", "--json", str(tmp_path / "b.json")) == 2
    shown = capsys.readouterr()
    assert "channels" in shown.out and "Cannot write" in shown.err


@pytest.mark.parametrize(
    ("words", "where"),
    [
        (["evaluate", "--weights", "mug-sim", "--dataset", "mug-sim"], "g3an.evaluation.evaluate.evaluate"),
        (["disentangle", "--weights", "mug-sim"], "g3an.evaluation.codes.measure_codes"),
        (["memory", "--weights", "weizmann", "--dataset", "shapes"], "g3an.evaluation.stored.measure_memory"),
        (["bench", "fsa"], "g3an.bench.fsa"),
    ],
)
def test_nothing_is_measured_for_a_file_that_cannot_be_written(monkeypatch, tmp_path, capsys, words, where):
    measured = []
    monkeypatch.setattr(where, lambda *_, **__: measured.append(words))
    (tmp_path / "file").touch()
    option = "--json" if words[0] == "bench" else "--out"
    assert call(monkeypatch, *words, option, str(tmp_path / "file" / "n.json")) == 2
    assert "Cannot write to" in capsys.readouterr().err and not measured


@pytest.mark.parametrize(
    ("dataset", "extractor", "given", "mirror"),
    [("mug-sim", "factors", None, None), ("weizmann", "transnetv2", None, False), ("shapes", "transnetv2", 3, True)],
)
def test_what_looks_at_clips_is_chosen_by_the_data_set(monkeypatch, dataset, extractor, given, mirror):
    from g3an.evaluation import evaluate, protocol

    seen = []

    def measured(generator, dataset, network, root, **how):
        seen.append((dataset, network.name, how["step"], how["mirror"]))
        return []

    monkeypatch.setattr(evaluate, "evaluate", measured)
    monkeypatch.setattr(protocol, "table", lambda found: "")
    words = ["evaluate", "--weights", "weizmann", "--dataset", dataset, *(["--step", str(given)] if given else []),
             *([] if mirror is None else ["--mirror" if mirror else "--no-mirror"])]  # fmt: skip
    assert call(monkeypatch, *words) == 0
    assert seen == [(dataset, extractor, given, mirror)]


def test_factors_of_real_people_need_their_clips():
    done = g3an("disentangle", "--weights", "weizmann")
    assert done.returncode == 2 and "'weizmann' needs the folder where it lies (root)" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_codes_change_is_told_and_written(monkeypatch, tmp_path, capsys):
    from g3an.evaluation import codes, stored

    known = stored.read_stored()["networks"]["mug-sim"]["codes"]["found"]
    asked = {}

    def measured(generator, **how):
        asked.update(how)
        return SimpleNamespace(to_dict=lambda: known)

    monkeypatch.setattr(codes, "measure_codes", measured)
    out = tmp_path / "codes.json"
    assert call(monkeypatch, "disentangle", "--weights", "mug-sim", "--people", "5", "--out", str(out)) == 0
    told = capsys.readouterr().out
    assert "What each code decides" in told and "Figure 16 as numbers" in told
    assert json.loads(out.read_text()) == known
    assert asked["people"] == 5 and {0, 1, 5} <= set(asked["ranked"]["motion"])


def test_repeated_clips_are_looked_for_in_what_the_network_learned_from(monkeypatch, tmp_path, capsys):
    from g3an import neighbours
    from g3an.evaluation import stored

    known = stored.read_stored()["networks"]["weizmann"]
    seen = []

    def measured(generator, train, fresh, extractor, **how):
        seen.append((train.name, train.steps, fresh, extractor.name, how["samples"]))
        return known["memory"]["found"]

    monkeypatch.setattr(stored, "measure_memory", measured)
    monkeypatch.setattr(stored, "measure_consistency", lambda *_, **__: known["consistency"]["found"])
    drawn = []

    def nearest(generator, train, steps, extractor, seed):
        drawn.append((train.name, steps, extractor.name, seed))
        return SimpleNamespace(picture=b"a picture")

    monkeypatch.setattr(neighbours, "nearest_clips", nearest)
    words = ("--weights", "weizmann", "--dataset", "shapes", "--samples", "8", "--out", str(tmp_path / "m.json"))
    assert call(monkeypatch, "memory", *words) == 0
    assert not drawn
    assert call(monkeypatch, "memory", *words, "--picture", str(tmp_path / "m.png"), "--seed", "3") == 0
    steps = shipped()["weizmann"]["training"]["clip_steps"]
    assert len(steps) > 1 and drawn == [("shapes", steps, "transnetv2", 3)]
    assert (tmp_path / "m.png").read_bytes() == b"a picture"
    seen.pop()
    assert seen == [("shapes", tuple(steps), None, "transnetv2", 8)]
    assert "Identity consistency" in capsys.readouterr().out
    assert json.loads((tmp_path / "m.json").read_text())["memory"] == known["memory"]["found"]


def test_results_go_to_a_file_and_a_page(monkeypatch, tmp_path, capsys):
    from g3an.evaluation import page, stored

    monkeypatch.setattr(stored, "_sections", lambda *_: {})
    out = tmp_path / "my numbers.json"
    assert call(monkeypatch, "results", "mug-sim", "--out", str(out)) == 0
    text = (tmp_path / "my numbers.md").read_text()
    assert text == page.page(stored.read_stored(out), "my numbers.json") and "](my%20numbers.json)" in text
    assert "my numbers.md" in capsys.readouterr().out

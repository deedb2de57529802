import dataclasses
import os
import re
import shlex
from pathlib import Path

import pytest
from terminal import write_run

from aframe import storage
from aframe.errors import ParameterMismatchError
from aframe.runs.artifacts import Artifacts
from aframe.runs.contents import listing, strain_contents
from aframe.runs.directories import Directories
from aframe.runs.stages import check_outputs, stages_of
from aframe.settings.read import load_config


def test_a_changed_prior_file_is_noticed(tmp_path: Path) -> None:
    """Its name in the ``.cfg`` stays the same, its content changes."""
    directory = write_run(tmp_path / "run", "waveforms.prior=my.prior")
    directories = _directories(tmp_path)
    run = Artifacts(load_config(str(directory / "sandbox.cfg")), directories)
    (directory / "my.prior").write_text("mass_1 = Uniform(5, 100)\n")
    before = run.signal_parameters()
    (directory / "my.prior").write_text("mass_1 = Uniform(5, 50)\n")
    assert before != run.signal_parameters()
    assert before["waveforms.prior"] == run.signal_parameters()["waveforms.prior"] == "my.prior"


def test_a_changed_module_is_noticed(tmp_path: Path) -> None:
    directory = write_run(tmp_path / "run", "waveforms.prior=my_own_populations.heavy")
    run = Artifacts(load_config(str(directory / "sandbox.cfg")), _directories(tmp_path))
    (directory / "my_own_populations.py").write_text("heavy = 50\n")
    before = run.signal_parameters()
    (directory / "my_own_populations.py").write_text("heavy = 20\n")
    assert before != run.signal_parameters()
    shipped = Artifacts(load_config(str(write_run(tmp_path / "demo") / "sandbox.cfg")), _directories(tmp_path))
    assert not [name for name in shipped.signal_parameters() if "SHA" in name]


def test_events_depend_on_the_engine_and_not_on_the_server(tmp_path: Path) -> None:
    def parameters(*changes: str) -> dict[str, object]:
        directory = write_run(tmp_path / "-".join(["run", *changes]).replace("/", "_"))
        path, keys = directory / "sandbox.cfg", "".join(f"{change}\n" for change in changes)
        path.write_text(path.read_text().replace("[luigi_inference]\n", f"[luigi_inference]\n{keys}"))
        return Artifacts(load_config(str(path)), _directories(tmp_path)).unit_parameters

    torch, triton = parameters(), parameters("engine = triton")
    assert torch["inference.engine"] != triton["inference.engine"]
    server = ("triton_address = gpu1:8001", "triton_in_flight = 3", "triton_retries = 1")
    assert triton == parameters("engine = triton", *server)
    assert "export.export_precision" in triton
    assert "export.export_precision" not in torch


def _directories(path: Path) -> Directories:
    return Directories(**dict.fromkeys(("train_data", "test_data", "train_run", "condor", "results"), str(path)))


def test_a_changed_key_names_exactly_the_files_to_delete(tmp_path: Path) -> None:
    """The results' directory can have the same name as one of its parts."""
    directory = write_run(tmp_path / "run")
    where = dataclasses.replace(_directories(tmp_path), results=str(tmp_path / "my units" / "units"))
    before = Artifacts(load_config(str(directory / "sandbox.cfg")), where)
    units = [before.unit("0lag", (0, 0), (0, number), 1) for number in (1, 2)]
    outputs = {
        **dict.fromkeys(units, before.unit_parameters),
        before.events("background"): before.event_parameters,
        before.result("candidates.hdf5"): before.answer_parameters,
        before.validation_waveforms: before.validation_waveform_parameters,
    }
    for path, parameters in outputs.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with storage.create_hdf5(path, parameters):
            pass
    check_outputs(before)
    inference = dataclasses.replace(before.config.inference, integration_window_length=2.0)
    after = Artifacts(dataclasses.replace(before.config, inference=inference), where)
    with pytest.raises(ParameterMismatchError) as refused:
        check_outputs(after)
    match = re.search(
        r"inference\.integration_window_length = 1\.0, .* = 2\.0: restore .* \((rm -r .*)\)$", str(refused.value)
    )
    assert match
    gone = [str(Path(units[0]).parent), before.events("background"), before.result("candidates.hdf5")]
    assert shlex.split(match[1]) == ["rm", "-r", *gone]


def test_only_a_network_of_matched_filters_needs_a_bank(tmp_path: Path) -> None:
    """The parameters and the stages of other networks do not know of banks."""
    directory = write_run(tmp_path / "run")
    run = Artifacts(load_config(str(directory / "sandbox.cfg")), _directories(tmp_path))
    before = run.model_parameters
    assert not run.needs_bank
    assert "TemplateBank" not in [stage.task for stage in stages_of(run)]
    assert not [name for name in before if name.startswith("bank.")]
    text = (directory / "train.yaml").read_text()
    (directory / "train.yaml").write_text(
        text.replace("class_path: FactorisedNetwork", "class_path: MatchedFilterNetwork")
    )
    assert run.needs_bank
    assert "TemplateBank" in [stage.task for stage in stages_of(run)]
    keys = {"bank.size": 512, "bank.minimum_match": 0.95, "bank.template_length": 3.25, "bank.after": 0.25}
    assert keys.items() <= run.model_parameters.items()
    assert keys.items() <= run.bank_parameters.items()
    assert not keys.items() & before.items()


def _edited(path: Path, content: str) -> None:
    """Change a file in place, without a change of its size or of its time if the content has the same length."""
    status = path.stat()
    path.write_text(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize(
    ("section", "line", "changed"),
    [
        ("data", "asd = mine.txt", "strain"),
        ("data", "segments = mine.txt", "strain"),
        ("candidates", "catalogue = mine.txt", "answer"),
        ("vetoes", "gates = H1:mine.txt", "clean"),
        ("vetoes", "veto_segments = H1:other.txt, L1:mine.txt", "clean"),
        ("vetoes", "known_events = 1262304700, mine.txt\nknown_event_window = 8", "clean"),
        ("vetoes", "veto_definer = mine.txt\nveto_categories = 2\nflag_segments = flags", "clean"),
    ],
)
def test_a_file_that_is_edited_in_place_is_noticed(tmp_path: Path, section: str, line: str, changed: str) -> None:
    directory = write_run(tmp_path / "run")
    cfg, mine = directory / "sandbox.cfg", directory / "mine.txt"
    text, heading = cfg.read_text(), f"[luigi_{section}]\n"
    text = re.sub(r"^asd = .*\n", "", text, flags=re.M) if "asd" in line else text
    text = text if heading in text else f"{text}\n{heading}"
    cfg.write_text(text.replace(heading, f"{heading}{line}\n"))
    for name in ("mine.txt", "other.txt"):
        (directory / name).write_text("1262304400 1262304410\n")
    (directory / "flags").mkdir()
    run = Artifacts(load_config(str(cfg)), _directories(tmp_path))

    def parameters() -> dict[str, dict[str, object]]:
        return {
            "strain": run.strain_parameters("test"),
            "clean": run.clean_event_parameters,
            "answer": run.answer_parameters,
        }

    before = parameters()
    output = str(tmp_path / "output.hdf5")
    with storage.create_hdf5(output, before[changed]):
        pass
    storage.check_parameters(output, parameters()[changed])
    _edited(mine, "1262304400 1262304419\n")
    after = parameters()
    order = ("strain", "clean", "answer")
    assert [before[name] == after[name] for name in order] == [
        order.index(name) < order.index(changed) for name in order
    ]
    with pytest.raises(
        ParameterMismatchError, match=rf"made with another content of the files of {section}\.\w+: restore the files"
    ):
        storage.check_parameters(output, after[changed])
    mine.unlink()
    storage.check_parameters(output, parameters()[changed])  # what is done needs its list no more


def test_recordings_count_by_size_time_and_ends_of_the_files_of_a_stage(tmp_path: Path) -> None:
    directory = write_run(tmp_path / "run")
    cfg, frames = directory / "sandbox.cfg", directory / "frames"
    frames.mkdir()
    cfg.write_text(cfg.read_text().replace("source = simulated", "source = local\nframes = frames"))
    run = Artifacts(load_config(str(cfg)), _directories(tmp_path))
    start, stop = (int(time) for time in run.interval("test"))
    test, other = frames / f"H-H1_X-{start}-{stop - start}.gwf", frames / f"H-H1_X-{stop + 100}-64.gwf"
    for path in (test, other):
        path.write_text("head" + 10_000 * "." + "tail")

    def parameters() -> dict[str, object]:
        listing.cache_clear()
        return run.strain_parameters("test")

    before = parameters()
    _edited(other, "HEAD" + 10_000 * "." + "tail")
    assert parameters() == before
    for content in ("HEAD" + 10_000 * "." + "tail", "head" + 10_000 * "." + "TAIL", "head" + 9_999 * "." + "tail"):
        _edited(test, content)
        assert parameters() != before
    _edited(test, "head" + 10_000 * "." + "tail")
    assert parameters() == before
    os.utime(test)  # changed now, as by an edit of its middle
    assert parameters() != before


def test_curves_in_the_detectors_own_directories_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = load_config(str(write_run(tmp_path / "run", f"data.asd={tmp_path / 'curves'}") / "sandbox.cfg"))
    assert not strain_contents(config, 0.0, 1.0)
    for ifo in ("H1", "L1"):
        (tmp_path / "curves" / ifo).mkdir(parents=True)
        (tmp_path / "curves" / ifo / "asd.txt").write_text("10 1e-23\n1000 1e-23\n")
    before = strain_contents(config, 0.0, 1.0)
    (tmp_path / "curves" / "L1" / "asd.txt").write_text("10 1e-23\n1000 2e-23\n")
    assert before != strain_contents(config, 0.0, 1.0)
    assert before
    assert "left out" not in capsys.readouterr().err

"""Mistakes on the command line: the change that makes each, the command, and a pattern of its message."""

import numpy as np
from run_changes import file, folder, frames, in_turn, nothing, state_dict, two_strains
from run_mistakes import CHECK

COMMANDS = {
    "run that is not there": (
        nothing,
        ("run", "{run}/nowhere"),
        "nowhere/run.sh does not exist: write .* `aframe init",
    ),
    "run that is a file": (nothing, ("run", "{run}/train.yaml"), r"train\.yaml/run\.sh does not exist"),
    "configuration that is missing": (
        lambda run: (run / "sandbox.cfg").unlink(),
        CHECK,
        r"sandbox\.cfg does not exist: `aframe init DIR` writes",
    ),
    "directory for a configuration": (
        nothing,
        ("data", "--cfg", "{run}"),
        "run is a directory: give the .cfg file in it",
    ),
    "no configuration at all": (nothing, ("data",), "which run[?] give --cfg FILE, or set LAW_CONFIG_FILE"),
    "misspelled command": (nothing, ("stauts", "{run}"), "there is no command 'stauts' .did you mean 'status'"),
    "misspelled option": (
        nothing,
        ("run", "{run}", "--wrokers", "2"),
        "no option --wrokers .did you mean '--workers'",
    ),
    "option without its value": (nothing, ("run", "{run}", "--workers"), "argument --workers: expected one argument"),
    "word for a number on the command line": (
        nothing,
        ("run", "{run}", "--workers", "all"),
        "--workers: invalid int value",
    ),
    "command without what it is about": (nothing, ("run",), "required: directory; `aframe run --help` tells all"),
    "misspelled training command": (nothing, ("train", "fot"), "invalid choice: 'fot'"),
    "word for a number in training": (
        nothing,
        ("train", "fit", "--config", "{run}/train.yaml", "--model.learning_rate=quick"),
        r"model\.learning_rate = 'quick' must be a number$",
    ),
    "training without a file": (
        nothing,
        ("train", "fit"),
        "needs --config FILE: `aframe init DIR` writes a train.yaml",
    ),
    "run that is there already": (nothing, ("init", "{run}"), "already has sandbox.cfg, train.yaml, .env, run.sh"),
    "word for a number to set": (
        nothing,
        ("init", "{run}/new", "--set", "inference.Tb=long"),
        r"--set inference\.Tb=long: Tb = 'long' in \[luigi_inference\] is no number",
    ),
    "unknown key of the YAML to set": (
        nothing,
        ("init", "{run}/new", "--set", "train.trainer.max_epoch=3"),
        r"train\.yaml has no key 'max_epoch' there \(did you mean 'max_epochs'\?\)",
    ),
    "strain of a variable that is not set": (
        nothing,
        ("infer", "--model", "{run}/untrained.pt", "--strain", ""),
        "a path is empty: give one ",
    ),
    "output of a variable that is not set": (
        nothing,
        ("infer", "--model", "{run}/untrained.pt", "--strain", "{run}/frames", "--output", ""),
        "a path is empty: give one ",
    ),
    "page of another kind": (
        nothing,
        ("plot", "{run}", "--time", "1262304000", "--output", "{run}/page.txt"),
        r"page\.txt is no page: give a name that ends with \.html",
    ),
    "files without a detector": (
        frames("H1 L1"),
        ("init", "{run}/new", "--frames", "{run}/frames", "--ifos", "H1,V1"),
        r"frames holds strain of H1, L1, none of V1: give another directory, or other --ifos",
    ),
    "start before there is GPS time": (
        nothing,
        ("init", "{run}/new", "--observing-run", "O3a", "--start", "1970-01-01"),
        r"'1970-01-01' is before 1980 or after 2047: give a time of data",
    ),
    "unknown key to set": (
        nothing,
        ("init", "{run}/new", "--set", "search.highpas=3"),
        "unknown key 'highpas' .*did you mean 'highpass'",
    ),
    "comment in a value to set": (
        nothing,
        ("init", "{run}/new", "--set", "data.frames=O3 #2"),
        r"--set data\.frames=O3 #2: the \.cfg would have 'O3', as # and ; begin a comment: put the path in quotes$",
    ),
    "new run in a directory that law cannot read": (
        nothing,
        ("init", "{run}/50%"),
        r"run/50% has a %, at which law fails: choose another directory$",
    ),
    "new run in a directory that is no UTF-8": (nothing, ("init", "{run}/\udcff"), r"is not UTF-8, or has a control"),
    "run of another kind": (
        nothing,
        ("init", "{run}/new", "--config", "bhb"),
        "invalid choice: 'bhb' .choose from 'demo', 'demo-factorised', 'o3-like', 'challenge-1', "
        "'challenge-2', 'challenge-3', 'bbh', 'bbh-joint', 'bns', 'nsbh', 'imbh', 'all'",
    ),
    "number of workers below zero": (nothing, ("run", "{run}", "--workers", "-2"), "--workers -2 must be positive"),
    "report of what is no run": (nothing, ("report", "{run}/frames"), r"frames/\.env does not exist"),
    "options of strain without strain": (
        nothing,
        ("infer", "--cfg", "{run}/sandbox.cfg", "--precision", "bfloat16", "--top", "3"),
        "--precision, --top go with --strain: without it",
    ),
    "strain and a run": (
        nothing,
        ("infer", "--cfg", "{run}/sandbox.cfg", "--model", "m.pt", "--strain", "H1.hdf5"),
        r"--cfg \S+ is of a run, and --strain of files",
    ),
    "strain without a model": (nothing, ("infer", "--strain", "{run}/H1.hdf5"), "--strain needs --model model.pt"),
    "model that is none": (
        nothing,
        ("infer", "--model", "{run}/train.yaml", "--strain", "H1.hdf5"),
        r"train\.yaml is no model file",
    ),
    "directory without a model": (
        nothing,
        ("infer", "--model", "{run}", "--strain", "H1.hdf5"),
        r"run is a directory without model\.pt: give the model\.pt that a training wrote",
    ),
    "state_dict for a model": (
        state_dict,
        ("infer", "--model", "{run}/state.pt", "--strain", "H1.hdf5"),
        r"state\.pt is a state_dict, weights without their network, no model file: give the model\.pt",
    ),
    "checkpoint that is damaged": (
        file("last.ckpt", b"PK damaged"),
        ("train", "validate", "--config", "{run}/train.yaml", "--ckpt_path", "{run}/last.ckpt"),
        r"last\.ckpt is no whole checkpoint \(BadZipFile: .*\): give another one",
    ),
    "model that is missing": (
        nothing,
        ("export", "--model", "{run}/none.pt", "--repository", "{run}/models"),
        r"none\.pt does not exist",
    ),
    "strain that is missing": (
        nothing,
        ("infer", "--model", "{run}/untrained.pt", "--strain", "{run}/none*.hdf5"),
        r"none\*\.hdf5 .*mend the path",
    ),
    "strain without samples": (
        frames(fill=np.nan),
        ("infer", "--model", "{run}/untrained.pt", "--strain", "{run}/frames"),
        r"no stretch of H1, L1 without gaps .*missing samples: NaN in H1, NaN in L1",
    ),
    "strain of one value": (
        frames(fill=-9999.0),
        ("infer", "--model", "{run}/untrained.pt", "--strain", "{run}/frames"),
        r"missing samples: -9999 in H1, -9999 in L1",
    ),
    "strain of a detector too few": (
        frames("H1"),
        ("infer", "--model", "{run}/untrained.pt", "--strain", "{run}/frames"),
        "H1, L1",
    ),
    "two strains of a detector in a search": (
        two_strains,
        ("infer", "--model", "{run}/untrained.pt", "--strain", "{run}/frames"),
        r"H1:GDS-CALIB_STRAIN and H1:GDS-CALIB_STRAIN_CLEAN: choose with --channel H1:GDS-CALIB_STRAIN, in a \.cfg",
    ),
    "two strains of a detector in a new run": (
        two_strains,
        ("init", "{run}/new", "--frames", "{run}/frames"),
        r"H1\.hdf5 has two channels of H1 .*: choose with --channel",
    ),
    "channel that no file has": (
        two_strains,
        ("infer", "--model", "{run}/untrained.pt", "--strain", "{run}/frames", "--channel", "H1:GDS-STRAIN"),
        r"no file has the channel H1:GDS-STRAIN: choose among H1, H1:GDS-CALIB_STRAIN",
    ),
    "channel without its detector": (
        frames(),
        ("infer", "--model", "{run}/untrained.pt", "--strain", "{run}/frames", "--channel", "GDS-CALIB_STRAIN"),
        r"--channel GDS-CALIB_STRAIN: give DETECTOR:NAME",
    ),
    "channel of open data": (
        nothing,
        ("init", "{run}/new", "--observing-run", "O3a", "--channel", "H1:GDS-CALIB_STRAIN"),
        r"--channel H1:GDS-CALIB_STRAIN needs --frames",
    ),
    "output of another kind": (
        frames(),
        ("infer", "--model", "{run}/untrained.pt", "--strain", "{run}/frames", "--output", "{run}/events.csv"),
        r"events\.csv is no HDF5 file: give a name that ends in \.hdf5",
    ),
    "output on a store of another kind": (
        frames(),
        ("infer", "--model", "{run}/untrained.pt", "--strain", "{run}/frames", "--output", "ftp://place/events.hdf5"),
        r"ftp://place/events\.hdf5 is no local path and no s3://bucket/key: give one of these$",
    ),
    "output that is a bucket": (
        frames(),
        ("infer", "--model", "{run}/untrained.pt", "--strain", "{run}/frames", "--output", "s3://events.hdf5"),
        r"--output s3://events\.hdf5 names a bucket and no file in it: give s3://bucket/key$",
    ),
    "output of too long a name": (
        frames(),
        ("infer", "--model", "{run}/untrained.pt", "--strain", "{run}/frames", "--output", "e" * 300 + ".hdf5"),
        r"--output: its name is longer than 255 bytes: give a shorter one$",
    ),
    "output that is an input": (
        frames(),
        ("infer", "--model", "{run}/untrained.pt", "--strain", "{run}/frames", "--output", "{run}/frames/H1.hdf5"),
        r"--output \S+H1\.hdf5 is an input of this search and would be lost",
    ),
    "output that is a directory": (
        in_turn(frames(), folder("events.hdf5")),
        ("infer", "--model", "{run}/untrained.pt", "--strain", "{run}/frames", "--output", "{run}/events.hdf5"),
        r"--output \S+events\.hdf5 is a directory: give a file in it$",
    ),
    "page of events that is a directory": (
        in_turn(frames(), folder("events.html")),
        ("infer", "--model", "{run}/untrained.pt", "--strain", "{run}/frames", "--page", "{run}/events.html"),
        r"--page \S+events\.html is a directory: give a file in it$",
    ),
    "page that is a directory": (
        folder("page.html"),
        ("plot", "{run}", "--time", "1262304000", "--output", "{run}/page.html"),
        r"--output \S+page\.html is a directory: give a file in it$",
    ),
    "page of events of another kind": (
        frames(),
        ("infer", "--model", "{run}/untrained.pt", "--strain", "{run}/frames", "--page", "{run}/events.pdf"),
        r"events\.pdf is no page: give a name that ends in \.html",
    ),
    "directory for a background": (
        frames(),
        ("infer", "--model", "{run}/untrained.pt", "--strain", "{run}/frames", "--background", "{run}"),
        r"run is a directory: give an HDF5 file$",
    ),
    "background of another kind": (
        frames(),
        ("infer", "--model", "{run}/untrained.pt", "--strain", "{run}/frames", "--background", "{run}/train.yaml"),
        r"train\.yaml is no HDF5 file: mend the path",
    ),
    "window of no length": (
        frames(),
        ("infer", "--model", "{run}/untrained.pt", "--strain", "{run}/frames", "--integration-window-length", "0"),
        r"integration_window_length = 0\.0 s must be positive",
    ),
    "fewer candidates than one": (
        frames(),
        ("infer", "--model", "{run}/untrained.pt", "--strain", "{run}/frames", "--top", "-3"),
        r"--top -3: give at least 1",
    ),
    "new run in a file": (
        nothing,
        ("init", "{run}/train.yaml"),
        r"cannot be written \(\S+/train\.yaml is no directory",
    ),
    "new run of too long a name": (nothing, ("init", "{run}/" + "x" * 300), r"a name in it is longer than 255 bytes"),
    "new run where the system allows none": (nothing, ("init", "/proc/aframe"), r"/proc/aframe cannot be written \("),
    "page in what is no directory": (
        frames(),
        ("infer", "--model", "{run}/untrained.pt", "--strain", "{run}/frames", "--page", "/dev/full/p.html"),
        r"/dev/full/p\.html cannot be written \(/dev/full is no directory\)",
    ),
    "output that cannot be written": (
        frames(),
        ("infer", "--model", "{run}/untrained.pt", "--strain", "{run}/frames", "--output", "/proc/events.hdf5"),
        r"/proc/events\.hdf5 cannot be written",
    ),
}
"""Mistakes on the command line, likewise."""

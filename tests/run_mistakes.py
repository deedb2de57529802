"""Mistakes in a run: the change that makes each, the command, and a pattern of its message."""

from run_changes import (
    LOCAL,
    cfg,
    cut,
    edit,
    env,
    file,
    frames,
    in_turn,
    nothing,
    other_copy,
    program,
    strain_with,
    two_strains,
    vetoes,
    yaml,
)
from terminal import settle

CHECK = ("run", "{run}", "--check")
"""Command that checks a run."""

FIXED_REDSHIFT = """mass_1_source = Uniform(minimum=30, maximum=60)
mass_ratio = Uniform(minimum=0.5, maximum=1)
redshift = 0.1
chi_1 = 0
chi_2 = 0
theta_jn = Sine()
phase = Uniform(minimum=0, maximum=2 * np.pi)
psi = Uniform(minimum=0, maximum=np.pi)
ra = Uniform(minimum=0, maximum=2 * np.pi)
dec = Cosine()
"""
"""Prior file of a population at one distance."""

SIGNALS = {
    "prior of no module": (
        cfg(r"^prior = \S+", "prior = my.priors.bns"),
        CHECK,
        r"prior = my\.priors\.bns cannot be im",
    ),
    "prior of no function": (
        cfg(r"^prior = \S+", "prior = aframe.waveforms.priors.demo_bhb"),
        CHECK,
        "demo_bhb cannot be imported",
    ),
    "prior that fails": (
        file("faulty.py", "def binaries():\n    return 1 / 0\n", cfg(r"^prior = \S+", "prior = faulty.binaries")),
        CHECK,
        r"sandbox\.cfg:\d+: prior = faulty\.binaries fails \(ZeroDivisionError: division by zero\): mend",
    ),
    "prior that is no population": (
        file("own_list.py", "def binaries():\n    return []\n", cfg(r"^prior = \S+", "prior = own_list.binaries")),
        CHECK,
        r"prior = own_list\.binaries gives a list: it must be a function that returns an aframe",
    ),
    "prior file that is missing": (
        cfg(r"^prior = \S+", "prior = own.prior"),
        CHECK,
        r"own\.prior: neither \S+ nor a file of bilby's collection",
    ),
    "prior without a needed parameter": (
        file(
            "own.prior",
            "mass_1_source = Uniform(name='mass_1_source', minimum=5, maximum=100)\n",
            cfg(r"^prior = \S+", "prior = ./own.prior"),
        ),
        CHECK,
        r"own\.prior: .*(lacks|needs|without|has no)",
    ),
    "prior file that is a table": (
        file("table.prior", "mass_1,mass_2\n" + "30,20\n" * 280, cfg(r"^prior = \S+", "prior = ./table.prior")),
        CHECK,
        r"table\.prior is no prior file: 'mass_1,mass_2' is no name; give lines such as",
    ),
    "prior file with a parameter twice": (
        file("own.prior", "a_1 = 0\nmass_1 = 30\na_1 = 0.5\n", cfg(r"^prior = \S+", "prior = ./own.prior")),
        CHECK,
        r"own\.prior: a_1 is in lines 1 and 3: leave one of them out",
    ),
    "prior file with a wrong line": (
        file(
            "own.prior",
            "mass_1_source = Uniform(minimum=5, maximum=100)  # M_sun\nmass_ratio = Uniform(\n    minimum=0.1,\n"
            "    maximum=1,\n)\n"
            "redshift = UniformSourceframe(0, 1)\n",
            cfg(r"^prior = \S+", "prior = ./own.prior"),
        ),
        CHECK,
        r"own\.prior, line 6: redshift = UniformSourceframe\(0, 1\) cannot be read by bilby \(TypeError: .*\): mend",
    ),
    "prior file with a word for a number": (
        file("own.prior", "psi = 1\nphase = two * pi\n", cfg(r"^prior = \S+", "prior = ./own.prior")),
        CHECK,
        r"own\.prior, line 2: phase = two \* pi cannot be read by bilby \(it is neither a number nor a prior\): mend",
    ),
    "prior file whose table is missing": (
        file("own.prior", "psi = 1\na_1 = FromFile('spins.txt', 0, 1)\n", cfg(r"^prior = \S+", "prior = ./own.prior")),
        CHECK,
        r"own\.prior, line 2: a_1's table \S+/run/\S*spins\.txt does not exist: mend its path$",
    ),
    "constraint that no binary meets": (
        file(
            "own.prior",
            FIXED_REDSHIFT.replace("0.1\n", "UniformSourceFrame(0, 1)\nmass_2_source = Constraint(70, 80)\n"),
            cfg(r"^prior = \S+", "prior = ./own.prior"),
        ),
        CHECK,
        r":\d+: prior = \./own\.prior: the prior's constraint on mass_2_source leaves no draw: widen it$",
    ),
    "distances for redshifts": (
        file(
            "own.prior",
            FIXED_REDSHIFT.replace("redshift = 0.1", "redshift = UniformComovingVolume(100, 5000)"),
            cfg(r"^prior = \S+", "prior = ./own.prior"),
        ),
        CHECK,
        r":\d+: prior = \./own\.prior: the prior's redshift is from 100 to 5000, and it must lie within 0 to 100",
    ),
    "right ascension in degrees": (
        file(
            "own.prior",
            FIXED_REDSHIFT.replace("ra = Uniform(minimum=0, maximum=2 * np.pi)", "ra = Uniform(0, 360)").replace(
                "redshift = 0.1", "redshift = UniformSourceFrame(0, 1)"
            ),
            cfg(r"^prior = \S+", "prior = ./own.prior"),
        ),
        CHECK,
        r":\d+: prior = \./own\.prior: the prior's ra is from 0 to 360, and it must lie within -6\.28.*in radians\)$",
    ),
    "prior file with an open bracket": (
        file("own.prior", "psi = 1\nmass_1 = Uniform(minimum=5\n", cfg(r"^prior = \S+", "prior = ./own.prior")),
        CHECK,
        r"own\.prior, line 2: '\(' was never closed: mend the line",
    ),
    "population at one redshift": (
        file("own.prior", FIXED_REDSHIFT, cfg(r"^prior = \S+", "prior = ./own.prior")),
        CHECK,
        r":\d+: prior = \./own\.prior: its redshift has a single value, and a volume needs a density: give it a narrow",
    ),
    "unknown approximant": (
        cfg(r"^approximant = \S+", "approximant = IMRPhenomZ"),
        CHECK,
        r":\d+: approximant = IMRPhenomZ is none of",
    ),
    "approximant without the prior's spins": (
        cfg(r"^approximant = \S+", "approximant = IMRPhenomD"),
        CHECK,
        "approximant = IMRPhenomD does not precess",
    ),
}
"""Mistakes in the population and its waveforms: the change, the command, and its message."""

RUNS = {
    "misspelled key": (
        cfg("^highpass =", "highpas ="),
        CHECK,
        r"sandbox\.cfg:21: unknown key 'highpas' in \[luigi_search\] \(did you mean 'highpass'\?\)",
    ),
    "misspelled section": (
        cfg(r"^\[luigi_inference\]", "[luigi_inferense]"),
        CHECK,
        r"sandbox\.cfg:\d+: unknown section \[luigi_inferense\] \(did you mean 'luigi_inference'\?\)",
    ),
    "missing key": (
        cfg("^highpass = .*$", ""),
        CHECK,
        r"missing key 'highpass' in \[luigi_search\] \(frequency .*, Hz\)",
    ),
    "word for a number": (cfg("^highpass = 32", "highpass = low"), CHECK, r":21: highpass = 'low' .* is no number"),
    "number that is none": (cfg("^Tb = 3000", "Tb = inf"), CHECK, r"Tb = 'inf' in \[luigi_inference\] is not finite"),
    "key given twice": (
        cfg("^seed = 1122", "seed = 1122\nseed = 3"),
        CHECK,
        r":25: seed in \[luigi_search\] stands in line 24 too: keep",
    ),
    "section given twice": (
        cfg(r"^\[luigi_data\]", "[luigi_search]\nseed = 3\n\n[luigi_data]"),
        CHECK,
        r"seed in \[luigi_search\] stands in",
    ),
    "line without a value": (
        cfg("^highpass = .*$", "highpass"),
        CHECK,
        r"sandbox\.cfg:21: 'highpass\\n' is no `key = ",
    ),
    "no sections": (file("sandbox.cfg", "highpass = 32\n"), CHECK, r"sandbox\.cfg is no configuration file"),
    "percent sign": (cfg(r"^asd = \S+", "asd = 90%.txt"), CHECK, r":\d+: asd = '90%\.txt' in \[luigi_data\] has a %"),
    "path of which a part is a comment": (
        in_turn(frames(), lambda run: (run / "frames #2").mkdir(), cfg("^frames = frames", "frames = frames #2")),
        CHECK,
        r":\d+: frames = 'frames' in \[luigi_data\]: the rest of the line is a comment, but frames #2 exists: put the",
    ),
    "directory that law cannot read": (
        lambda run: edit(run / ".env", "^LAW_HOME=.*$", 'LAW_HOME="/tmp/50%"'),
        CHECK,
        r"\.env:9: LAW_HOME = /tmp/50% has a %, at which law fails: rename the directory$",
    ),
    "highpass above Nyquist": (
        cfg("^highpass = 32", "highpass = 600"),
        CHECK,
        r":21: highpass = 600 Hz .* Nyquist frequency 512 Hz",
    ),
    "signals that begin above highpass": (
        cfg("^minimum_frequency = 20", "minimum_frequency = 120"),
        CHECK,
        r":\d+: minimum_frequency = 120 Hz .* is above highpass = 32 Hz in \[luigi_search\]: signals would lack",
    ),
    "kernel longer than the waveform": (
        cfg("^kernel_length = 1.5", "kernel_length = 5"),
        CHECK,
        "kernel_length = 5 s .* longer than waveform_duration = 4 s",
    ),
    "PSD longer than the segments": (
        cfg("^psd_length = 64", "psd_length = 256"),
        CHECK,
        "min_duration = 200 s .* is too short: psd_length, .* take 258 s",
    ),
    "shifts shorter than the light's travel": (
        in_turn(
            cfg("^inference_sampling_rate = 8", "inference_sampling_rate = 128"),
            cfg("^shifts = 0, 1", "shifts = 0, 0.0078125"),
        ),
        CHECK,
        r"shifts = 0, 0\.0078125 s .* slides H1 and L1 by 0\.0078125 s, .* light travel time \(10\.0 ms\)",
    ),
    "shifts between windows": (
        cfg("^shifts = 0, 1", "shifts = 0, 1.1"),
        CHECK,
        r"shifts = 0, 1\.1: 1\.1 s lies between windows, .* 1 or 1\.125",
    ),
    "shifts of three detectors": (
        cfg("^shifts = 0, 1", "shifts = 0, 1, 2"),
        CHECK,
        "one value for each of ifos = H1, L1",
    ),
    "misspelled detector": (
        cfg("^ifos = H1, L1", "ifos = H1, LL1"),
        CHECK,
        r"sandbox\.cfg:14: ifos = H1, LL1: LAL knows no detector LL1; it knows",
    ),
    "times in the wrong order": (
        cfg(r"^test_stop = \d+", "test_stop = 1262304001"),
        CHECK,
        "test_stop = 1262304001 .* must come after train_stop",
    ),
    "times in milliseconds": (
        cfg(r"^test_stop = \d+", "test_stop = 1262304768000"),
        CHECK,
        "test_stop = 1262304768000 GPS s .* is after the year 2100: give GPS seconds",
    ),
    "more background than there can be": (
        cfg("^Tb = 3000", "Tb = 1e9"),
        CHECK,
        r"sandbox\.cfg:\d+: Tb = 1000000000 s cannot be reached: .*; lower Tb",
    ),
    "more injections than have room": (
        cfg("^num_injections = 16", "num_injections = 100000"),
        CHECK,
        "num_injections = 100000 do not fit .* hold",
    ),
    "segments that are all too short": (
        cfg(r"^test_stop = \d+", "test_stop = 1262304356"),
        CHECK,
        "no coincident segment of min_duration = 200 s .* 100 s",
    ),
    "list of segments that is missing": (
        cfg("^min_duration", "segments = mine.txt\nmin_duration"),
        CHECK,
        r"mine\.txt does not exist",
    ),
    "list of segments that is none": (
        file("mine.txt", "1 two\n", cfg("^min_duration", "segments = mine.txt\nmin_duration")),
        CHECK,
        r"mine\.txt, line 1: '1 two' is no segment: expected",
    ),
    "unknown noise curve": (
        cfg(r"^asd = \S+", "asd = quiet.txt"),
        CHECK,
        r":\d+: asd = 'quiet\.txt' is neither a file nor .*aLIGO_O4_high",
    ),
    "noise curve that is none": (
        file("curve.txt", "10 1e-23\n5 1e-23\n7 1e-23\n", cfg(r"^asd = \S+", "asd = curve.txt")),
        CHECK,
        r"curve\.txt: frequencies must rise",
    ),
    "directory of strain that is missing": (
        cfg("^source = simulated", LOCAL),
        CHECK,
        r"frames holds no \.hdf5, .*: mend frames in \[luigi_data\]",
    ),
    "strain of another detector": (
        frames("H1 V1"),
        CHECK,
        r"frames holds strain of H1, V1, none of L1: mend frames in \[luigi_data\], or ifos",
    ),
    "strain of too low a rate": (
        frames(rate=512.0),
        CHECK,
        r"H1\.hdf5: strain of H1 at 1262304000 has 512 Hz, less than sample_rate = 1024 Hz",
    ),
    "two strains of a detector": (two_strains, CHECK, r"two channels of H1 .* with channel = H1:GDS-CALIB_STRAIN in"),
    "two files of one time that differ": (
        other_copy,
        CHECK,
        r"H1\.hdf5 \(/H1\) and \S+copy\.hdf5 \(/H1\) have different strain of H1 at 1262304000: give each stretch",
    ),
    "strain whose start is no GPS time": (
        strain_with(x0="2020-01-01T00:00:00"),
        CHECK,
        r"H1\.hdf5 holds no strain: 'H1' begins at 2020-01-01T00:00:00 with steps of \S+: write a GPS time",
    ),
    "strain in ms that does not say so": (
        strain_with(x0=1262304000000.0, dx=1000 / 2048),
        CHECK,
        r"'H1' begins at 1262304000000 s: write GPS seconds, or the unit of its times as xunit",
    ),
    "strain in UNIX time": (
        strain_with(x0=1578268800.0),
        CHECK,
        r"'H1' begins at 1578268800, in the year 2030: it seems to be in UNIX time, and GPS seconds are needed; give",
    ),
    "strain of two detectors": (
        strain_with(channel="L1:GDS-CALIB_STRAIN"),
        CHECK,
        r"H1\.hdf5 contradicts itself: the name or channel 'L1:GDS-CALIB_STRAIN' is of L1, and the dataset 'H1' of H1",
    ),
    "strain of two sample rates": (
        strain_with(sample_rate=4096.0),
        CHECK,
        r"H1\.hdf5 contradicts itself: H1 has dx = 0\.00048828125 and sample_rate = 4096\.0: mend or delete one",
    ),
    "strain that is cut short": (cut, CHECK, r"frames/L1\.hdf5 is not a complete HDF5 file"),
    "strain that is no strain": (
        file("frames/H1.hdf5", "once upon a time", cfg("^source = simulated", LOCAL)),
        CHECK,
        r"frames/H1\.hdf5 is no HDF5 file: mend the path",
    ),
    "noise curves in two units": (
        file(
            "psd.txt",
            "5 1e-46\n2000 1e-46\n",
            file("asd.txt", "5 1e-23\n2000 1e-23\n", cfg(r"^asd = \S+", "asd = psd.txt, asd.txt")),
        ),
        CHECK,
        r"asd\.txt has 1/sqrt\(Hz\), but \S+psd\.txt has 1/Hz: give all curves of asd in one unit",
    ),
    "noise curve in kHz": (
        file("curve.txt", "0.005 1e-23\n2 1e-23\n", cfg(r"^asd = \S+", "asd = curve.txt")),
        CHECK,
        r"curve\.txt covers 0\.005 to 2 Hz, .*: its frequencies seem to be in kHz: give Hz",
    ),
    "noise curve without rows": (
        file("curve.txt", "# frequency, asd\n", cfg(r"^asd = \S+", "asd = curve.txt")),
        CHECK,
        r"curve\.txt is empty, or has no numbers: give two columns",
    ),
    "directory without noise curves": (
        file("curves/README.md", "none", cfg(r"^asd = \S+", "asd = curves")),
        CHECK,
        r"asd = \S*curves holds no noise curve",
    ),
    "noise curves of another detector": (
        file(
            "curves/V1_1.txt",
            "5 1e-23\n2000 1e-23\n",
            file("curves/H1_1.txt", "5 1e-23\n2000 1e-23\n", cfg(r"^asd = \S+", "asd = curves/*.txt")),
        ),
        CHECK,
        r"curves/\*\.txt has no noise curve of L1: its files are named for H1, V1: add one, or change asd or ifos",
    ),
    "table of glitches that is missing": (
        cfg("^min_duration", "glitches = mine.csv\nmin_duration"),
        CHECK,
        r"mine\.csv does not exist",
    ),
    "table of glitches without a column": (
        file("mine.csv", "glitch_class,ifo\nblip,H1\n", cfg("^min_duration", "glitches = mine.csv\nmin_duration")),
        CHECK,
        r"mine\.csv lacks the column rate_per_hour, .*: begin with a copy of glitches_o3\.csv",
    ),
    "noise curve of another band": (
        file("narrow.txt", "100 1e-23\n199 1e-23\n", cfg(r"^asd = \S+", "asd = narrow.txt")),
        CHECK,
        r"narrow\.txt covers 100 to 199 Hz, not the band of 32 to 512 Hz",
    ),
    "times that pandas rounded": (
        file("own.txt", "           gps\n0  1.262304e+09\n", vetoes("known_events = own.txt\nknown_event_window = 4")),
        CHECK,
        r"own\.txt, line 2: '0 1\.262304e\+09': 1\.262304e\+09 is rounded to 1000 s: write all digits of the time$",
    ),
    "time zone behind a known event": (
        file("own.txt", "2020-01-06 00:01:22 PST\n", vetoes("known_events = own.txt\nknown_event_window = 4")),
        CHECK,
        r"own\.txt, line 1: .*'2020-01-06T00:01:22PST' ends in PST, which is not UTC: give the time in UTC, or an off",
    ),
    "time zone in small letters behind a known event": (
        file("own.txt", "2020-01-06 00:01:22 pst\n", vetoes("known_events = own.txt\nknown_event_window = 4")),
        CHECK,
        r"own\.txt, line 1: .*'2020-01-06T00:01:22pst' ends in pst, which is not UTC: give the time in UTC, or an off",
    ),
    "column of time zones": (
        file(
            "own.csv",
            "name,time,tz\nGW1,2020-01-06 00:01:22,PST\n",
            vetoes("known_events = own.csv\nknown_event_window = 4"),
        ),
        CHECK,
        r"own\.csv, line 2: .* has the time zone 'PST': give times in UTC, and leave the column out$",
    ),
    "gates in milliseconds by a comment": (
        file("gates.txt", "# gps half_width (ms) taper (ms)\n1262304100 5 5\n", vetoes("gates = H1:gates.txt")),
        CHECK,
        r"gates\.txt, comment above the rows: .*: a column is in 'ms', and seconds are needed: convert it, and write",
    ),
    "half-widths of gates in milliseconds": (
        file("gates.csv", "gps,half_width (ms),taper\n1262304100,25,25\n", vetoes("gates = H1:gates.csv")),
        CHECK,
        r"gates\.csv, line 1: .*: a column is in 'ms', and seconds are needed: convert it, and write \(s\) or no unit$",
    ),
    "flags of several detectors": (
        file(
            "good.json",
            '{"H1_DATA": [[1262304000, 1262304768]], "H1_CBC_CAT1": [[1262304000, 1262304768]], "L1_DATA": []}',
            vetoes("good_segments = H1:good.json"),
        ),
        CHECK,
        r"good\.json has several flags of H1 \(H1_DATA, H1_CBC_CAT1, L1_DATA\): write the segments of one flag into",
    ),
    "flags of a table": (
        file(
            "good.csv",
            "ifo,name,version,start_time,end_time\nH1,DATA,1,1262304000,1262304768\nH1,CBC_CAT1,1,1262304000,1262304768\n",
            vetoes("good_segments = H1:good.csv"),
        ),
        CHECK,
        r"good\.csv has several flags of H1 \(H1:DATA:1, H1:CBC_CAT1:1\): write the segments of one flag into",
    ),
    "row of LIGO_LW that is cut short": (
        file(
            "veto.xml",
            '<LIGO_LW><Table Name="segment:table">\n<Column Name="start_time" Type="int_4s"/>\n<Column Name="end_time" '
            'Type="int_4s"/>\n<Stream Name="segment:table" Type="Local" Delimiter=",">\n1,2,\n3\n</Stream></Table>'
            "</LIGO_LW>",
            vetoes("veto_segments = H1:veto.xml"),
        ),
        CHECK,
        r"veto\.xml, line 6: a row has not all of its 2 values: fetch the file again$",
    ),
    "segments with paddings": (
        file("veto.csv", "start,stop,end_pad\n1262304100,1262304101,8\n", vetoes("veto_segments = H1:veto.csv")),
        CHECK,
        r"veto\.csv, line 2: .* has a padding: add it to start and stop, and leave its column out$",
    ),
    "catalogue in UNIX time": (
        file(
            "own.csv",
            "name,gps\nGW1,1578268882\n",
            cfg(r"^\[luigi_sens", "[luigi_candidates]\ncatalogue = own.csv\n\n[luigi_sens"),
        ),
        CHECK,
        r":\d+: catalogue = own\.csv has the time 1578268882, in the year 2030: it seems to be in UNIX time, and GPS",
    ),
    "gates that are missing": (
        cfg(r"^\[luigi_sensitivity\]", "[luigi_vetoes]\ngates = H1:gates.txt\n\n[luigi_sensitivity]"),
        CHECK,
        r"gates\.txt does not exist",
    ),
    "gates of another detector": (
        cfg(r"^\[luigi_sensitivity\]", "[luigi_vetoes]\ngates = V1:gates.txt\n\n[luigi_sensitivity]"),
        CHECK,
        r":\d+: gates = V1:gates\.txt .* no DETECTOR:FILE of a detector in ifos, such as H1:gates\.txt",
    ),
    "gates of start, stop and padding": (
        file("gates.txt", "1262304100 1262304101 0.25\n", vetoes("gates = H1:gates.txt")),
        CHECK,
        r"gates\.txt, line 1: '1262304100 1262304101 0\.25' is a gate of 2\.5\d+e\+09 s, longer .*: expected 'centre",
    ),
    "gates of minutes": (
        file("gates.txt", "1262304400 150 0\n", vetoes("gates = H1:gates.txt")),
        CHECK,
        r"line 1: '1262304400 150 0' is a gate of 300 s, longer than 60 s: expected .*; give .* as veto_segments$",
    ),
    "margin of no vetoes": (
        vetoes("veto_margin = 1"),
        CHECK,
        r"sandbox\.cfg:\d+: veto_margin = 1 s .* has nothing to extend: give gates, .*, or leave it out$",
    ),
    "list of segments that is empty": (
        file("mine.txt", "# seg start stop duration\n", cfg("^min_duration", "segments = mine.txt\nmin_duration")),
        CHECK,
        r":\d+: segments = mine\.txt is empty: list the time to analyse, or leave segments out$",
    ),
    "gates in milliseconds": (
        file("gates.txt", "1262304100500 25 25\n", vetoes("gates = H1:gates.txt")),
        CHECK,
        r"line 1: '1262304100500 25 25' \(1262304100500 seems to be in milliseconds\) is a gate of 100 s, longer",
    ),
    "gates in nanoseconds": (
        file("gates.txt", "1262304100500000000 .5 .5\n", vetoes("gates = H1:gates.txt")),
        CHECK,
        r"line 1: '1262304100500000000 \.5 \.5' \(1262304100500000000 seems to be in nanoseconds\) is no gate",
    ),
    "narrow gates in milliseconds": (
        file("gates.txt", "1262304100500 .5 .5\n", vetoes("gates = H1:gates.txt")),
        CHECK,
        r"sandbox\.cfg:\d+: gates = gates\.txt has the time \d+, in the year 41980: it seems to be in milliseconds",
    ),
    "good time of another observing run": (
        file("good.txt", "931035615 931035715\n", vetoes("good_segments = L1:good.txt")),
        CHECK,
        r":\d+: good_segments = good\.txt is of 931035615 to 931035715 \(GPS s, 2009\), the data are of 1262304000 to "
        r"\d+ \(2020\): give a list of that time, or leave good_segments out$",
    ),
    "vetoes that leave nothing": (
        file("good.txt", "1262304000 1262304001\n", vetoes("good_segments = L1:good.txt")),
        CHECK,
        r"\[luigi_vetoes\] leaves no data of L1 \(not in good\.txt\): leave one out, or mend its list",
    ),
    "segments of another observing run": (
        file("mine.txt", "931035615,931039615\n", cfg("^min_duration", "segments = mine.txt\nmin_duration")),
        CHECK,
        r":\d+: segments = mine\.txt is of 931035615 to 931039615 \(GPS s, 2009\), the data are of 1262304000",
    ),
    "known event in UNIX time": (
        vetoes("known_events = 1578268882\nknown_event_window = 4"),
        CHECK,
        r":\d+: known_events = 1578268882 has the time 1578268882, in the year 2030: it seems to be in UNIX time",
    ),
    "known event with a decimal comma": (
        file("own.csv", "name;gps\nGW1;1262304100,4\n", vetoes("known_events = own.csv\nknown_event_window = 4")),
        CHECK,
        r"own\.csv, line 2: 'GW1 1262304100,4' has no GPS time: expected .* GPS seconds with a decimal",
    ),
    "catalogue without times": (
        file(
            "own.csv",
            "name,when\nGW1,1\n",
            cfg(r"^\[luigi_sens", "[luigi_candidates]\ncatalogue = own.csv\n\n[luigi_sens"),
        ),
        CHECK,
        r"own\.csv, line 1: 'name when' has no GPS time: expected a table with a column gps",
    ),
    "batch system that is not here": (
        cfg(r"^\[luigi_sensitivity\]", "[luigi_batch]\nworkflow = htcondor\n\n[luigi_sensitivity]"),
        CHECK,
        "workflow = htcondor of FetchStrain: condor_submit is not on PATH: run on a machine that submits",
    ),
    "batch system that does not answer": (
        in_turn(
            cfg(r"^\[luigi_sensitivity\]", "[luigi_batch]\nworkflow = slurm\n\n[luigi_sensitivity]"),
            program("sbatch"),
            program("scancel"),
            program("squeue", "echo 'no controller' >&2; exit 1"),
        ),
        CHECK,
        r"workflow = slurm of FetchStrain: squeue fails \(no controller\): wait until slurm is mended",
    ),
    "misspelled key of the YAML": (
        yaml("^  learning_rate:", "  learning_rat:"),
        CHECK,
        r"train\.yaml:\d+: unknown key 'learning_rat' in model \(did you mean 'learning_rate'\?\)",
    ),
    "GPU where there is none": (
        yaml("^  accelerator: .*$", "  accelerator: gpu"),
        CHECK,
        r"train\.yaml:\d+: trainer\.accelerator = 'gpu', but torch finds no GPU here: set auto or cpu",
    ),
    "training in a precision that no processor has": (
        yaml("^  precision: .*$", "  precision: 16-mixed"),
        CHECK,
        r"train\.yaml:\d+: trainer\.precision = 16-mixed is for GPUs, and this training is on a processor: set auto$",
    ),
    "training in a precision of no name": (
        yaml("^  precision: .*$", "  precision: double"),
        CHECK,
        r"train\.yaml:\d+: trainer\.precision = 'double' must be auto, 32-true, bf16-mixed, ",
    ),
    "record of a precision that is damaged": (
        file("train_run/precision.json", '{"prec', nothing),
        CHECK,
        r"train_run/precision\.json is no record of a precision \(32-true or bf16-mixed\): delete it",
    ),
    "scoring in a precision of no name": (
        cfg("^precision = float32", "precision = half"),
        CHECK,
        r"sandbox\.cfg:\d+: precision = 'half' in \[luigi_inference\] is none of auto, float32, bfloat16, float16$",
    ),
    "misspelled argument of a network": (
        yaml("^      embedding_size:", "      embeding_size:"),
        CHECK,
        r"'embeding_size' .*did you mean 'embedding_size'\?",
    ),
    "misspelled network": (
        yaml("class_path: FactorisedNetwork", "class_path: FactorizedNetwork"),
        CHECK,
        "did you mean 'FactorisedNetwork'",
    ),
    "word for a number in the YAML": (
        yaml("^  learning_rate: .*$", "  learning_rate: quick"),
        CHECK,
        r"train\.yaml:17: model\.learning_rate = 'quick' must be a number",
    ),
    "key given twice in the YAML": (
        yaml("^  repairings: .*$", "  repairings: 3\n  repairings: 4"),
        CHECK,
        r"model\.repairings stands in line 20 too",
    ),
    "values of the YAML that do not go together": (
        yaml("^  first_coalescence: .*$", "  first_coalescence: 1.45"),
        CHECK,
        r"train\.yaml:\d+: first_coalescence = 1\.45 s and last_coalescence = 1\.4 s must follow each other",
    ),
    "YAML that is none": (yaml("^trainer:", "trainer: ["), CHECK, r"train\.yaml:4: this is no YAML file"),
    "YAML that is missing": (cfg("^config = train.yaml", "config = other.yaml"), CHECK, r"other\.yaml does not exist"),
    "run that was moved": (
        lambda run: edit(run / ".env", "^AFRAME_RUN_DIR=.*$", f'AFRAME_RUN_DIR="{run.parent}/before"'),
        CHECK,
        r"\.env:2: AFRAME_RUN_DIR = .*/before is not the directory of this file: if .* copied, set it to .*/run$",
    ),
    "line of .env that is none": (
        lambda run: edit(run / ".env", "^AFRAME_RESULTS_DIR=", "AFRAME_RESULTS_DIR = "),
        CHECK,
        r"\.env:8: this is no NAME=.value.: mend the line",
    ),
    ".env that is no text": (
        file(".env", b"\xff\xfe"),
        CHECK,
        r"\.env is no text file",
    ),
    "masses that the prior does not have": (
        cfg("^mass_combos = .*$", "mass_combos = 35-35, 300-200"),
        CHECK,
        r"sandbox\.cfg:\d+: mass_combos = 300-200: the prior of the injections makes no binary of such",
    ),
    "variable that is not set": (
        env("RESULTS", ""),
        CHECK,
        "environment variable AFRAME_RESULTS_DIR is not set: set it",
    ),
    "store of another kind": (
        env("RESULTS", "gs://bucket/x"),
        CHECK,
        "AFRAME_RESULTS_DIR = gs://bucket/x is no local directory or s3://",
    ),
    "submit files on a store": (
        env("CONDOR", "s3://bucket/x"),
        CHECK,
        "AFRAME_CONDOR_DIR = s3://bucket/x is no local directory: choose one",
    ),
    "directory under a file": (
        env("TRAIN_DATA", "/etc/passwd/x"),
        CHECK,
        "AFRAME_TRAIN_DATA_DIR = .* cannot be written .*/etc/passwd is no directory",
    ),
    "disk that is full": (
        env("RESULTS", "/proc/aframe"),
        CHECK,
        r"AFRAME_RESULTS_DIR = /proc/aframe cannot be written \(its disk has 0 MB",
    ),
    "GPU that is none": (
        nothing,
        (*CHECK, "--gpus", "0,first"),
        "--gpus 0,first: first is no GPU: give numbers, as 0,1",
    ),
    "parameters that differ from what is there": (
        in_turn(lambda run: settle(run, "injections"), cfg("^spacing = 16", "spacing = 20")),
        CHECK,
        r"waveforms\.hdf5 was made with injections\.spacing = 16\.0, but the configuration .* = 20\.0: restore",
    ),
    "result that is cut short": (
        file("test_data/waveforms.hdf5", b"\x89HDF"),
        CHECK,
        r"waveforms\.hdf5 is not a complete HDF5 file",
    ),
}
"""Other mistakes in a run, likewise."""

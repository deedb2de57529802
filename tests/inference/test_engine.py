from dataclasses import replace

import elsewhere
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aframe.errors import ConfigurationError, DataError
from aframe.inference.engine import Engine, Injection, injection_start
from aframe.inference.run import attended
from aframe.inference.scorers import TorchScorer, in_process
from aframe.inference.slides import Grid
from aframe.preprocessing import PHASES, Preprocessing, Whitening
from aframe.train.architectures import MatchedFilterNetwork
from aframe.train.model import Model
from aframe.whitening import apply_filter, power_spectral_density, whitening_filter

IFOS = ("H1", "L1", "V1")
SEGMENTS = st.fixed_dictionaries(
    {
        "duration": st.integers(36, 96).map(lambda quarters: quarters / 4 + 0.0625),
        "steps": st.tuples(st.integers(-4, 4), st.integers(-4, 4), st.integers(-4, 4)).filter(
            lambda s: len(set(s)) == 3
        ),
        "ifos": st.sampled_from([2, 3]),
        "sampling_rate": st.sampled_from([2.0, 4.0, 8.0, 16.0]),
        "block_length": st.sampled_from([1.0, 2.5, 4.0, 50.0]),
        "number": st.integers(0, 3),
        "tile": st.sampled_from([1, 7, 40, 512]),
        "together": st.sampled_from([1, 3]),
        "phase": st.sampled_from(PHASES),
        "seed": st.integers(0, 2**31),
    }
)
PLACES = ("anywhere", "block border", "start", "end", "another signal")
SIGNALS = st.lists(
    st.tuples(
        st.sampled_from(PLACES), st.floats(0, 1), st.integers(-400, 100), st.integers(1, 700), st.floats(0.5, 30.0)
    ),
    min_size=0,
    max_size=5,
)  # place, fraction of the span, distance in samples, length in samples, amplitude in standard deviations of the noise
PROPERTY = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def plain_scores(model, strain, slide, offsets, injections=()):
    """The definition: whiten each raw sample with the filter of its block, and score each window separately."""
    whitening, streams = model.preprocessing.whitening, []
    for index, (ifo, offset) in enumerate(zip(model.preprocessing.ifos, offsets, strict=True)):
        quiet = torch.from_numpy(strain[ifo])
        raw = quiet.clone()
        for injection in injections:
            place = torch.arange(injection.responses.shape[-1]) + whitening.psd_size + offset + injection.start
            inside = (place >= 0) & (place < len(raw))
            raw[place[inside]] += injection.responses[index][inside]
        size = len(raw) - whitening.psd_size - whitening.after_size
        whitened = torch.empty(size)
        for low in range(0, size, whitening.block_size):
            psd = power_spectral_density(
                quiet[low : low + whitening.psd_size], whitening.sample_rate, whitening.fftlength
            )
            filtered = apply_filter(raw, whitening_filter(psd, whitening))
            block = slice(low, min(low + whitening.block_size, size))
            first = whitening.psd_size - whitening.before_size
            whitened[block] = filtered[first + block.start : first + block.stop].float()
        streams.append(whitened[offset:])
    size, stride = model.preprocessing.kernel_size, model.preprocessing.stride_size
    windows = [torch.stack([s[i * stride : i * stride + size] for s in streams]) for i in range(slide.windows)]
    return model.network.score(torch.stack(windows)).numpy() if windows else np.empty(0, np.float32)


def setup(case, kind, make_model, make_strain):
    ifos = IFOS[: case["ifos"]]
    model = make_model(kind, ifos, case["sampling_rate"], case["block_length"], phase=case["phase"])
    strain = make_strain(ifos, case["duration"], case["seed"])
    grid = Grid(model.preprocessing, tuple(step / case["sampling_rate"] for step in case["steps"][: len(ifos)]))
    slide = grid.slide(0, case["duration"], case["number"])
    return model, strain, grid, slide


@pytest.mark.parametrize("kind", ["factorised", "per_detector", "matched_filter", "joint"])
@PROPERTY
@given(case=SEGMENTS)
def test_streaming_equals_whole(kind, case, make_model, make_strain):
    model, strain, grid, slide = setup(case, kind, make_model, make_strain)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(in_process, "FUSED_WINDOWS", case["tile"])
        patch.setattr(in_process, "ENCODED_WINDOWS", case["tile"])
        scores = Engine.from_strain(TorchScorer(model), strain, grid).scores(slide)
    expected = plain_scores(model, strain, slide, grid.offsets(slide.number))
    assert scores.shape == (slide.windows,)
    np.testing.assert_allclose(scores, expected, atol=1e-4, rtol=1e-4)


def placed(signals, engine, slide, seed):
    """Injections: some cross the border of a detector's block, some reach beyond the slide's ends, some overlap."""
    random, preprocessing = torch.Generator().manual_seed(seed), engine.preprocessing
    offsets = engine.grid.offsets(slide.number)
    span = max(0, slide.windows - 1) * preprocessing.stride_size + preprocessing.kernel_size
    injections: list[Injection] = []
    for place, fraction, distance, size, amplitude in signals:
        block = preprocessing.whitening.block_size
        border = block * (1 + int(fraction * span / block)) - offsets[size % len(offsets)]
        other = injections[-1].start if injections else 0
        places = dict(zip(PLACES, (round(fraction * span), border, 0, span, other), strict=True))
        responses = 1e-21 * amplitude * torch.randn(len(offsets), size, generator=random)
        injections.append(Injection(responses, places[place] + distance))
    return injections


@pytest.mark.parametrize("kind", ["factorised", "matched_filter", "joint"])
@PROPERTY
@given(case=SEGMENTS, signals=SIGNALS)
def test_injections_by_linearity_equal_injections_into_the_strain(kind, case, signals, make_model, make_strain):
    model, strain, grid, slide = setup(case, kind, make_model, make_strain)
    scorer = TorchScorer(model)
    scorer.stretches_at_once = case["together"]
    engine = Engine.from_strain(scorer, strain, grid)
    injections = placed(signals, engine, slide, case["seed"])
    background = engine.scores(slide)
    kept = background.copy()
    scores = engine.scores_with(slide, background, injections)
    expected = plain_scores(model, strain, slide, grid.offsets(slide.number), injections)
    np.testing.assert_allclose(scores, expected, atol=1e-4, rtol=1e-4)
    assert (background == kept).all()
    whitening = model.preprocessing.whitening
    begins = np.arange(slide.windows) * model.preprocessing.stride_size
    touched, shown = np.zeros((2, slide.windows), dtype=bool)  # by the whitened signal, and by the signal itself
    for injection in injections:
        start, end = injection.start, injection.start + injection.responses.shape[-1]
        reached = (start - whitening.after_size, end + whitening.before_size)
        touched |= (begins < reached[1]) & (begins + model.preprocessing.kernel_size > reached[0])
        shown |= (begins < end) & (begins + model.preprocessing.kernel_size > start)
    assert (scores[~touched] == background[~touched]).all()
    if shown.any():
        assert (scores[touched] != background[touched]).any()
    part = [(each.start + each.responses.shape[-1] // 3, each.start + each.responses.shape[-1]) for each in injections]
    scores = engine.scores_with(
        slide, background, [replace(each, loud=span) for each, span in zip(injections, part, strict=True)]
    )
    near = np.zeros(slide.windows, dtype=bool)
    for start, end in part:
        near |= (begins < end) & (begins + model.preprocessing.kernel_size > start)
    # the shorter strain is cut elsewhere for its transforms, which a very loud signal shows in the fourth digit
    np.testing.assert_allclose(scores[near], expected[near], atol=1e-4, rtol=5e-4)
    assert (scores[~near] == background[~near]).all()


@pytest.mark.parametrize("kind", ["factorised", "joint"])
def test_all_but_scores_stays_on_the_device(kind, make_model, make_strain):
    model, strain = make_model(kind, ("H1", "L1", "V1"), block_length=2.5), make_strain(IFOS, 40.0, 5)
    grid, random = Grid(model.preprocessing, (0.0, 1.0, -0.5)), torch.Generator().manual_seed(5)
    slides = [grid.slide(0, 40.0, number) for number in (0, 1, 3, 2)]
    signals = [
        Injection(3e-20 * torch.randn(3, size, generator=random), start)
        for start, size in ((-100, 300), (900, 310), (1800, 290), (2600, 40), (2700, 500), (6000, 300), (8300, 900))
    ]
    reference = Engine.from_strain(TorchScorer(model), strain, grid)
    with elsewhere.Elsewhere():
        scorer = TorchScorer(model, device=elsewhere.ELSEWHERE)
        scorer.ahead, scorer.stretches_at_once = 1, 3
        engine = Engine.from_strain(scorer, strain, grid)
        tensors = [*engine.embeddings, *(t for stream in engine.streams for t in (stream.data, stream.taps))]
        assert {t.device.type for t in tensors} == {elsewhere.ELSEWHERE}
        elsewhere.returned.clear()
        for slide, scores in zip(slides, engine.scores_each(slides), strict=True):
            np.testing.assert_allclose(scores, reference.scores(slide), atol=1e-5, rtol=1e-5)
        assert elsewhere.returned == [slide.windows for slide in slides]
        elsewhere.returned.clear()
        scores = engine.scores_with(slides[1], reference.scores(slides[1]), signals)
    expected = reference.scores_with(slides[1], reference.scores(slides[1]), signals)
    np.testing.assert_allclose(scores, expected, atol=1e-5, rtol=1e-5)
    assert sum(elsewhere.returned) < 1.5 * slides[1].windows


def test_a_slide_is_sent_before_the_scores_of_the_last_one_are_used(make_model, make_strain):
    model = make_model("factorised")
    grid, sent = Grid(model.preprocessing, (0.0, 1.0)), []

    class Watched(TorchScorer):
        def _fuse(self, views):
            sent.append(self.windows_in(views[0].shape[-1]))
            return super()._fuse(views)

    scorer = Watched(model)
    scorer.ahead = 1  # as on a GPU
    engine = Engine.from_strain(scorer, make_strain(("H1", "L1"), 10.0, 5), grid)
    slides = [grid.slide(0, 10.0, number) for number in (0, 6, 1, 2)]  # one of them without windows
    windows = []
    for slide, scores in zip(slides, engine.scores_each(slides), strict=True):
        windows.append(slide.windows)
        assert len(scores) == slide.windows
        ahead = [n for n in windows if n] + [s.windows for s in slides[len(windows) :] if s.windows][:1]
        assert sent[: len(ahead)] == ahead
    assert windows[1] == 0 < windows[2]
    assert sent == [n for n in windows if n]


@pytest.mark.parametrize("kind", ["factorised", "joint"])
def test_precision_of_bfloat16(kind, make_model, make_strain):
    strain = make_strain(("H1", "L1"), 40.0, 5)
    scores = {}
    for precision in (torch.float32, torch.bfloat16):
        model = make_model(kind)
        grid = Grid(model.preprocessing, (0.0, 1.0))
        scores[precision] = Engine.from_strain(TorchScorer(model, precision), strain, grid).scores(
            grid.slide(0, 40.0, 1)
        )
    spread = scores[torch.float32].max() - scores[torch.float32].min()
    assert np.abs(scores[torch.bfloat16] - scores[torch.float32]).max() < 0.15 * spread


def test_an_engine_leaves_its_model_as_it_was(make_model, make_strain):
    model = make_model("joint")
    strain, grid = make_strain(("H1", "L1"), 10.0, 0), Grid(model.preprocessing, (0.0, 1.0))
    Engine.from_strain(TorchScorer(model, torch.bfloat16), strain, grid)
    assert {p.dtype for p in model.network.parameters()} == {torch.float32}


def test_a_segment_without_a_window_is_refused(make_model, make_strain):
    model = make_model("factorised")
    grid = Grid(model.preprocessing, (0.0, 1.0))
    strain = make_strain(("H1", "L1"), 5.25, 0)
    with pytest.raises(DataError, match="too short to analyse"):
        Engine.from_strain(TorchScorer(model), strain, grid)


def test_a_stride_that_does_not_fit_the_network_is_refused(make_model, make_strain):
    model = make_model("factorised", sampling_rate=64.0)
    grid = Grid(model.preprocessing, (0.0, 1.0))
    with pytest.raises(ConfigurationError, match="one step every 8 samples"):
        Engine.from_strain(TorchScorer(model), make_strain(("H1", "L1"), 10.0, 0), grid)


def test_an_injection_begins_so_that_it_merges_at_its_time():
    # 4 s at 256 Hz that merge 1 s before their end, 10 s after the first sample
    assert injection_start(1010.0, 1000.0, 256.0, 1024, 1.0) == 10 * 256 - 3 * 256
    assert injection_start(1001.0, 1000.0, 256.0, 1024, 1.0) == -2 * 256


def test_a_long_signal_is_whitened_across_blocks_and_scored_where_it_ends(make_strain):
    """A template of eleven seconds, over three blocks of four seconds each, with a window of half a second more."""
    whitening = Whitening(256.0, 4.0, 1.0, 1.0, 4.0, 20.0, None)
    preprocessing = Preprocessing(("H1", "L1"), 12.0, 8.0, (11.1, 11.4), whitening)
    random = torch.Generator().manual_seed(3)
    templates = torch.randn((4, 11 * 256 + 128), dtype=torch.complex64, generator=random)
    templates = torch.fft.ifft(torch.fft.fft(templates) * (torch.fft.fftfreq(len(templates[0]), 1 / 256) > 25))
    network = MatchedFilterNetwork(2, preprocessing.kernel_size, groups=2)
    network.set_bank(templates / templates.real.square().sum(-1, keepdim=True).sqrt(), torch.arange(1.0, 5.0))
    model = Model(network.eval().requires_grad_(False), preprocessing)
    strain, grid = make_strain(preprocessing.ifos, 60.0, 5), Grid(preprocessing, (0.0, 1.0))
    slide = grid.slide(0, 60.0, 0)
    engine = Engine.from_strain(TorchScorer(model), strain, grid)
    background = engine.scores(slide)
    start, size = 20 * 256, templates.shape[-1]
    responses = 6e-22 * templates[1].real.expand(2, -1) / templates[1].real.square().mean().sqrt()
    signal = Injection(responses, start)
    assert all(len(stream.blocks(start, size)) >= 3 for stream in engine.streams)

    whole = engine.scores_with(slide, background, [signal])
    expected = plain_scores(model, strain, slide, grid.offsets(0), [signal])
    np.testing.assert_allclose(whole, expected, atol=1e-3, rtol=1e-3)

    part, coalescence = attended(network, preprocessing), start + size - 64
    assert part is not None
    assert part[1] - part[0] < 0.6 * 256
    brief = replace(signal, loud=(coalescence - 64, coalescence + 64), part=part)
    scores = engine.scores_with(slide, background, [brief])
    assert scores.argmax() == whole.argmax()
    assert scores.max() == pytest.approx(whole.max(), rel=1e-3)
    assert scores.max() > background.max() + 10
    assert 0 < np.count_nonzero(scores != background) <= 10 < np.count_nonzero(whole != background)


def test_networks_without_a_bank_attend_to_the_whole_window(make_model):
    model = make_model("factorised")
    assert attended(model.network, model.preprocessing) is None

import pytest
import torch

from aframe.train.architectures.partitions import Partitions


def series(*shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize(("size", "outputs"), [(300, 10), (300, 80), (7, 500), (1, 1), (64, 64)])
def test_outputs_are_inner_products(size: int, outputs: int, every: int) -> None:
    filters, samples = series(3, size), series(2, size + (outputs - 1) * every)
    pieces = samples.unfold(1, size, every)
    expected = torch.einsum("bot,ft->bfo", pieces, filters.conj())
    result = Partitions(filters, outputs, every).correlate(samples)
    torch.testing.assert_close(result, expected, rtol=0, atol=2e-6 * size + 1e-5)


def test_real_streams_are_filtered_like_complex_ones() -> None:
    filters, samples = series(3, 40), series(2, 59).real
    partitions = Partitions(filters, 20, 1)
    torch.testing.assert_close(partitions.correlate(samples), partitions.correlate(samples + 0j))


def test_what_is_missing_counts_as_zero_and_what_is_too_much_does_not_matter() -> None:
    filters, samples = series(3, 40), series(1, 59)
    partitions = Partitions(filters, 20, 1)
    longer = torch.cat([samples, torch.zeros(1, 30)], dim=1)
    torch.testing.assert_close(partitions.correlate(longer), partitions.correlate(samples))
    shorter = torch.cat([samples[:, :50], torch.zeros(1, 9)], dim=1)
    torch.testing.assert_close(partitions.correlate(samples[:, :50]), partitions.correlate(shorter))


def test_few_outputs_of_long_filters_need_short_transforms() -> None:
    few, many = Partitions(series(1, 6192), 56, 1), Partitions(series(1, 60), 5000, 1)
    assert few.grid < 512
    assert few.parts > 10
    assert many.grid < 6000
    assert many.parts == 1

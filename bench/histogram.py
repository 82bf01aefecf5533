"""Latency histograms as the load generator keeps them: 32 buckets per power of two."""

Histogram = dict[int, int]
"""Number of values, by bucket."""


def difference(later: Histogram, earlier: Histogram) -> Histogram:
    """Return the counts between two snapshots."""
    return {
        bucket: count - earlier.get(bucket, 0)
        for bucket, count in later.items()
        if count > earlier.get(bucket, 0)
    }


def percentile(histogram: Histogram, percent: float) -> float:
    """Return a percentile in milliseconds; 0 if nothing was counted."""
    rank = sum(histogram.values()) * percent / 100
    for bucket in sorted(histogram):
        rank -= histogram[bucket]
        if rank <= 0:
            return middle_us(bucket) / 1000
    return 0.0


def middle_us(bucket: int) -> float:
    """Return the middle of a bucket in microseconds."""
    if bucket < 64:
        return bucket + 0.5
    octave, step = divmod(bucket - 32, 32)
    return (32 + step + 0.5) * float(1 << octave)

//! Latencies in bounded memory: buckets that grow with the value, each at most 1/32 wide.

use std::time::Duration;

/// Bits of precision below the highest one.
const PRECISION: u32 = 5;
const SUB_BUCKETS: usize = 1 << PRECISION;
/// 2^40 microseconds are twelve days.
const MAX_BITS: u32 = 40;
const BUCKETS: usize = SUB_BUCKETS * (MAX_BITS - PRECISION + 2) as usize;

#[derive(Debug, Clone)]
pub(super) struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Histogram {
    pub(super) fn new() -> Self {
        Self {
            counts: vec![0; BUCKETS],
            total: 0,
        }
    }

    pub(super) fn record(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.counts[bucket(micros.min((1 << MAX_BITS) - 1))] += 1;
        self.total += 1;
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// The latency in milliseconds that a share of all (0 to 1) does not exceed.
    pub(super) fn quantile_ms(&self, share: f64) -> f64 {
        let rank = (self.total as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return upper_bound(bucket) as f64 / 1e3;
            }
        }
        0.0
    }
}

fn bucket(micros: u64) -> usize {
    let bits = u64::BITS - micros.leading_zeros();
    let shift = bits.saturating_sub(PRECISION + 1);
    // Above the precision, the shifted value has its highest bit set: it is at least SUB_BUCKETS.
    shift as usize * SUB_BUCKETS + (micros >> shift) as usize
}

fn upper_bound(bucket: usize) -> u64 {
    let shift = (bucket / SUB_BUCKETS).saturating_sub(1);
    let value = bucket - shift * SUB_BUCKETS;
    ((value as u64 + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_a_bucket_that_is_close_to_it() {
        for micros in (0..5000).chain([1 << 20, (1 << 30) + 12_345, (1 << MAX_BITS) - 1]) {
            let upper = upper_bound(bucket(micros));
            assert!(upper >= micros, "{micros}: {upper}");
            assert!(upper - micros <= micros / 32, "{micros}: {upper}");
        }
    }

    #[test]
    fn quantiles_are_those_of_the_values() {
        let mut histogram = Histogram::new();
        for micros in 1..=1000 {
            histogram.record(Duration::from_micros(micros));
        }
        assert!((histogram.quantile_ms(0.5) - 0.5).abs() < 0.02);
        assert!((histogram.quantile_ms(0.99) - 0.99).abs() < 0.04);
        assert_eq!(Histogram::new().quantile_ms(0.5), 0.0);
    }
}

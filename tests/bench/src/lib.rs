//! Benchmarks as ratios.

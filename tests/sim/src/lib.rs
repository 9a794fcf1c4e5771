//! Deterministic simulator: the production driver, core and log on simulated disk, network and clock.

//! Partitions by nftables, and bad weather by the relay.

use std::time::Duration;

use crate::failure::Failure;
use crate::network::{apart, one_way};
use crate::relay::{DAMAGED, DOUBLED, LATE, LOST, OVERTAKEN, Relay};
use crate::run::Run;
use crate::scenario::{Scenario, USUAL};
use crate::tool::Tool;
use crate::weather::Weather;

/// Cuts of one kind, short and long form.
const CUTS: (u64, u64) = (3, 30);

/// Changes of the weather.
const WEATHERS: (u64, u64) = (8, 120);

/// Between two of them, in milliseconds.
const WEATHER_MS: (u64, u64) = (500, 2_500);

/// In percent, and how long: where one kind of weather is alone.
const OFTEN: u64 = 30;
const A_WHILE: Duration = Duration::from_millis(20);

/// Cuts and mendings of a flapping line, and how long each state lasts, in milliseconds.
const FLAPS: (u64, u64) = (15, 150);
const FLAP_MS: (u64, u64) = (50, 1_500);

pub(super) const PARTITION: Scenario = Scenario {
    name: "partition",
    about: "whoever leads, or another, is cut off from all others, both ways",
    needs: &[Tool::Nft],
    faults: partition,
    ..USUAL
};

pub(super) const ONE_WAY: Scenario = Scenario {
    name: "one-way",
    about: "whoever leads is not heard by the others, or does not hear them",
    needs: &[Tool::Nft],
    faults: deaf_or_mute,
    ..USUAL
};

pub(super) const BRIDGE: Scenario = Scenario {
    name: "bridge",
    about: "two halves of five nodes have only one node in common",
    needs: &[Tool::Nft],
    nodes: 5,
    nodes_at_most: 5,
    faults: bridge,
    ..USUAL
};

pub(super) const FLAPPING: Scenario = Scenario {
    name: "flapping",
    about: "a node, or one direction, is cut off and back again in quick turns",
    needs: &[Tool::Nft],
    faults: flapping,
    ..USUAL
};

pub(super) const WEATHER: Scenario = Scenario {
    name: "weather",
    about: "delay, jitter, reordering, loss, duplication, damage, black holes, slow lines: by the relay",
    needs: &[Tool::Nft],
    relayed: true,
    faults: weather,
    ..USUAL
};

fn partition(run: &mut Run) -> Result<(), Failure> {
    for _ in 0..run.times(CUTS.0, CUTS.1) {
        run.writes(15)?;
        let leader = run.leader()?;
        let alone = if run.rng.chance(75) {
            leader
        } else {
            run.other_than(leader)?
        };
        let others = others(run, alone);
        run.cut_off("partition", &apart(&[alone], &others))?;
        run.leader_among(Some(&others))?;
        run.writes(15)?;
        steps_down(run, alone)?;
        run.heal()?;
        run.caught_up(alone)?;
    }
    Ok(())
}

/// Who hears no majority does not believe to lead for long.
fn steps_down(run: &mut Run, alone: u64) -> Result<(), Failure> {
    run.eventually("the one that is cut off to step down", |run| {
        if run.status(alone)?.leader == Some(alone) {
            return Err(format!("n{alone} believes that it leads"));
        }
        Ok(())
    })
}

fn deaf_or_mute(run: &mut Run) -> Result<(), Failure> {
    for round in 0..run.times(CUTS.0, CUTS.1) {
        run.writes(15)?;
        let leader = run.leader()?;
        let others = others(run, leader);
        run.cut_off("one-way cut", &one_way(leader, &others, round % 2 == 0))?;
        // It hears nobody, or nobody hears it: either way it cannot lead any longer.
        run.leader_among(Some(&others))?;
        run.writes(15)?;
        steps_down(run, leader)?;
        run.heal()?;
        run.caught_up(leader)?;
    }
    Ok(())
}

fn bridge(run: &mut Run) -> Result<(), Failure> {
    for _ in 0..run.times(CUTS.0, CUTS.1) {
        run.writes(15)?;
        let mut ids = run.cluster.running();
        for at in (1..ids.len()).rev() {
            let other = usize::try_from(run.rng.below(at as u64 + 1)).unwrap_or(0);
            ids.swap(at, other);
        }
        let [a, b, _, c, d] = ids[..] else {
            return Err(Failure::harness("build a bridge", "it takes five nodes"));
        };
        run.cut_off("bridge", &apart(&[a, b], &[c, d]))?;
        run.writes(30)?;
        run.heal()?;
        for id in [a, b, c, d] {
            run.caught_up(id)?;
        }
    }
    Ok(())
}

fn flapping(run: &mut Run) -> Result<(), Failure> {
    for _ in 0..run.times(FLAPS.0, FLAPS.1) {
        let ids = run.cluster.running();
        let one = run.rng.pick(&ids).copied().unwrap_or(1);
        let others = others(run, one);
        let pairs = match run.rng.below(3) {
            0 => apart(&[one], &others),
            1 => one_way(one, &others, true),
            _ => one_way(one, &others, false),
        };
        run.cut("flap", &pairs)?;
        let time = run.rng.between(FLAP_MS.0, FLAP_MS.1);
        run.stay(Duration::from_millis(time))?;
        run.heal()?;
        let time = run.rng.between(FLAP_MS.0, FLAP_MS.1);
        run.stay(Duration::from_millis(time))?;
    }
    run.writes(15)
}

fn weather(run: &mut Run) -> Result<(), Failure> {
    for _ in 0..run.times(WEATHERS.0, WEATHERS.1) {
        let Some(relay) = &run.relay else {
            return Err(Failure::harness("change the weather", "there is no relay"));
        };
        relay.clear();
        for (from, to) in relay.pairs().to_vec() {
            if run.rng.chance(60) {
                let mut weather = Weather::draw(&mut run.rng);
                weather.black_hole = run.rng.chance(5);
                relay.set(from, to, weather);
            }
        }
        run.timeline.note("weather", "another one");
        let time = run.rng.between(WEATHER_MS.0, WEATHER_MS.1);
        run.stay(Duration::from_millis(time))?;
    }
    run.settle_weather();
    run.writes(15)?;
    every_kind(run)?;
    run.writes(15)
}

/// Each kind of weather alone, until a packet has met with it.
fn every_kind(run: &mut Run) -> Result<(), Failure> {
    let fair = Weather::default();
    let kinds = [
        (
            LOST,
            Weather {
                lost: OFTEN,
                ..fair
            },
        ),
        (
            LATE,
            Weather {
                delay: A_WHILE,
                ..fair
            },
        ),
        (
            OVERTAKEN,
            Weather {
                reordered: OFTEN,
                ..fair
            },
        ),
        (
            DOUBLED,
            Weather {
                doubled: OFTEN,
                ..fair
            },
        ),
        (
            DAMAGED,
            Weather {
                damaged: OFTEN,
                ..fair
            },
        ),
    ];
    for (name, weather) in kinds {
        let Some(relay) = &run.relay else {
            return Err(Failure::harness("change the weather", "there is no relay"));
        };
        let before = met(relay, name);
        for (from, to) in relay.pairs() {
            relay.set(*from, *to, weather);
        }
        run.eventually(name, |run| match &run.relay {
            Some(relay) if met(relay, name) > before => Ok(()),
            _ => Err("there were none".to_owned()),
        })?;
        run.settle_weather();
    }
    Ok(())
}

fn met(relay: &Relay, name: &str) -> u64 {
    let mut counts = relay.counts().into_iter();
    counts
        .find(|(known, _)| *known == name)
        .map_or(0, |(_, count)| count)
}

fn others(run: &Run, one: u64) -> Vec<u64> {
    let mut ids = run.cluster.running();
    ids.retain(|id| *id != one);
    ids
}

//! Everything at once, in any order.

use std::time::Duration;

use crate::failure::Failure;
use crate::load::FSM;
use crate::network::{apart, one_way};
use crate::run::Run;
use crate::scenario::{Scenario, USUAL};
use crate::tool::Tool;
use crate::weather::Weather;

pub(super) const STORM: Scenario = Scenario {
    name: "storm",
    about: "kills, pauses, partitions, weather, transfers and checkpoints in any order, none undone in time",
    needs: &[Tool::Nft],
    relayed: true,
    bound_all: Duration::from_secs(3_600),
    faults,
    ..USUAL
};

/// Faults in the short form and the long one.
const FAULTS: (u64, u64) = (40, 600);

/// Between two of them, in milliseconds.
const PAUSE_MS: (u64, u64) = (20, 700);

fn faults(run: &mut Run) -> Result<(), Failure> {
    for _ in 0..run.times(FAULTS.0, FAULTS.1) {
        let ids = run.cluster.ids();
        let one = run.rng.pick(&ids).copied().unwrap_or(1);
        match run.rng.below(12) {
            0..3 => crash_or_start(run, one)?,
            3..5 => pause_or_resume(run, one)?,
            5..7 => cut(run, one)?,
            7 => run.heal()?,
            8 => weather(run, one),
            9 => everyone(run)?,
            10 => beside(run, &["leader", "transfer", "--fsm", FSM])?,
            _ => beside(run, &["snapshot", FSM])?,
        }
        let time = run.rng.between(PAUSE_MS.0, PAUSE_MS.1);
        run.stay(Duration::from_millis(time))?;
    }
    Ok(())
}

fn crash_or_start(run: &mut Run, one: u64) -> Result<(), Failure> {
    if run.cluster.is_running(one) {
        run.kill(one)
    } else {
        run.start(one)
    }
}

fn pause_or_resume(run: &mut Run, one: u64) -> Result<(), Failure> {
    if run.cluster.paused().contains(&one) {
        run.resume(one)
    } else if run.cluster.is_running(one) {
        run.pause(one)
    } else {
        Ok(())
    }
}

fn cut(run: &mut Run, one: u64) -> Result<(), Failure> {
    let mut others = run.cluster.ids();
    others.retain(|id| *id != one);
    let pairs = match run.rng.below(4) {
        0 | 1 => apart(&[one], &others),
        2 => one_way(one, &others, true),
        _ => one_way(one, &others, false),
    };
    run.cut("partition", &pairs)
}

fn weather(run: &mut Run, one: u64) {
    let Some(relay) = &run.relay else {
        return;
    };
    for (from, to) in relay.pairs() {
        if *from == one || *to == one {
            relay.set(*from, *to, Weather::draw(&mut run.rng));
        }
    }
    run.timeline.note("weather", &format!("around n{one}"));
}

/// All come back, and for once there is time to choose a leader.
fn everyone(run: &mut Run) -> Result<(), Failure> {
    run.heal()?;
    run.settle_weather();
    for id in run.cluster.paused() {
        run.resume(id)?;
    }
    for id in run.cluster.ids() {
        if !run.cluster.is_running(id) {
            run.start(id)?;
        }
    }
    run.writes(1)
}

/// Something an operator does; it may fail here, and is not waited for.
fn beside(run: &mut Run, arguments: &[&str]) -> Result<(), Failure> {
    run.timeline.note("command", &arguments.join(" "));
    let child = run.beside(arguments)?;
    run.errands.push(child);
    Ok(())
}

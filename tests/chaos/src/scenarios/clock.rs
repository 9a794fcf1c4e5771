//! Clocks that jump or keep another pace, by libfaketime.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

use crate::cluster::Around;
use crate::failure::Failure;
use crate::load::Mix;
use crate::run::Run;
use crate::scenario::{Scenario, USUAL};
use crate::scrape::Scrape;
use crate::tool::{Tool, faketime_library};

pub(super) const JUMP: Scenario = Scenario {
    name: "clock-jump",
    about: "the wall clock of one node after the other jumps by up to an hour, forth and back",
    needs: &[Tool::Faketime],
    prepare: |run| start_all(run, false),
    faults: jump,
    ..USUAL
};

pub(super) const PACE: Scenario = Scenario {
    name: "clock-pace",
    about: "nodes whose clocks, the monotonic one too, run at half to double speed; no lease reads",
    needs: &[Tool::Faketime],
    mix: Mix {
        lease_reads: false,
        padding: 0,
    },
    prepare: |run| start_all(run, true),
    faults: pace,
    ..USUAL
};

/// Seconds of a jump, at least and below: more than any answer takes.
const JUMP_SECONDS: (u64, u64) = (10, 3_600);

/// Seconds that a clock may be read wrongly.
const CLOCK_ERROR: f64 = 0.5;

/// How long a pace is watched, and the share by which it may be off.
const WATCHED: Duration = Duration::from_secs(2);
const PACE_ERROR: f64 = 0.02;

/// Until libfaketime looks into its file again, and then some.
const SETTLE: Duration = Duration::from_millis(1_500);

fn file(run: &Run, id: u64) -> PathBuf {
    run.folder.join(format!("clock-n{id}"))
}

fn start_all(run: &mut Run, monotonic: bool) -> Result<(), Failure> {
    for id in run.cluster.ids() {
        set(run, id, "+0")?;
        let around = around(run, id, monotonic)?;
        run.start_in(id, &around)?;
    }
    Ok(())
}

fn around(run: &Run, id: u64, monotonic: bool) -> Result<Around, Failure> {
    let library = faketime_library().unwrap_or_default();
    let still = if monotonic { "0" } else { "1" };
    let file = std::path::absolute(file(run, id));
    let file = file.map_err(|error| Failure::harness("find the file of a clock", error))?;
    let variables = [
        ("LD_PRELOAD", library),
        ("FAKETIME_TIMESTAMP_FILE", &*file.to_string_lossy()),
        ("FAKETIME_CACHE_DURATION", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", still),
    ];
    Ok(Around {
        before: Vec::new(),
        variables: variables
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
    })
}

fn set(run: &Run, id: u64, how: &str) -> Result<(), Failure> {
    std::fs::write(file(run, id), format!("{how}\n"))
        .map_err(|error| Failure::harness("set a clock", error))
}

fn jump(run: &mut Run) -> Result<(), Failure> {
    for _ in 0..run.times(6, 60) {
        let ids = run.cluster.running();
        let id = run.rng.pick(&ids).copied().unwrap_or(1);
        let seconds = i64::try_from(run.rng.between(JUMP_SECONDS.0, JUMP_SECONDS.1)).unwrap_or(0);
        let ahead = [seconds, -seconds, 0];
        let ahead = run.rng.pick(&ahead).copied().unwrap_or(0);
        let how = format!("{ahead:+}");
        set(run, id, &how)?;
        run.stay(SETTLE)?;
        sees(run, id, ahead)?;
        run.timeline.note("clock jump", &format!("n{id}: {how}"));
        run.writes(5)?;
        if run.rng.chance(30) {
            // It starts with a clock that is wrong already.
            run.kill(id)?;
            let around = around(run, id, false)?;
            run.start_in(id, &around)?;
            run.caught_up(id)?;
            sees(run, id, ahead)?;
        }
    }
    Ok(())
}

/// Waits until a node's wall clock is so many seconds ahead of ours.
fn sees(run: &mut Run, id: u64, ahead: i64) -> Result<(), Failure> {
    run.eventually(&format!("n{id} to see its clock jump"), |_| {
        let reading = Reading::of(id)?;
        #[expect(clippy::cast_precision_loss, reason = "seconds of an hour")]
        let ahead = ahead as f64;
        let (early, late) = (reading.asked.1 + ahead, reading.answered.1 + ahead);
        match reading.wall {
            wall if wall >= early - CLOCK_ERROR && wall <= late + CLOCK_ERROR => Ok(()),
            wall => Err(format!(
                "it is at {wall} and not between {early} and {late}"
            )),
        }
    })
}

fn pace(run: &mut Run) -> Result<(), Failure> {
    for _ in 0..run.times(3, 30) {
        let ids = run.cluster.running();
        let id = run.rng.pick(&ids).copied().unwrap_or(1);
        // A pace holds for a life: a monotonic clock never goes back.
        let tenths = run.rng.between(5, 21);
        let how = format!("+0 x{}.{}", tenths / 10, tenths % 10);
        run.kill(id)?;
        set(run, id, &how)?;
        let around = around(run, id, true)?;
        run.start_in(id, &around)?;
        run.caught_up(id)?;
        keeps_pace(run, id, tenths)?;
        run.timeline.note("clock pace", &format!("n{id}: {how}"));
        run.writes(20)?;
    }
    Ok(())
}

/// A node's clocks, the monotonic one and the other, must go so many tenths as fast as ours.
fn keeps_pace(run: &mut Run, id: u64, tenths: u64) -> Result<(), Failure> {
    let what = format!("n{id}'s clocks to keep their pace");
    let begin = run.eventually(&what, |_| Reading::of(id))?;
    run.stay(WATCHED)?;
    run.eventually(&what, |_| {
        let end = Reading::of(id)?;
        // Ours went at least and at most so far between the two readings.
        let (least, most) = (
            end.asked.0 - begin.answered.0,
            end.answered.0 - begin.asked.0,
        );
        #[expect(clippy::cast_precision_loss, reason = "a pace")]
        let pace = tenths as f64 / 10.0;
        for went in [end.monotonic - begin.monotonic, end.wall - begin.wall] {
            if went < pace * least * (1.0 - PACE_ERROR) || went > pace * most * (1.0 + PACE_ERROR) {
                return Err(format!("one went {went} s in {least} to {most} s"));
            }
        }
        Ok(())
    })
}

/// What a node's clocks show, and what ours did before and after, in seconds: ours since some time,
/// and since 1970.
#[derive(Debug, Clone, Copy)]
struct Reading {
    asked: (f64, f64),
    answered: (f64, f64),
    monotonic: f64,
    wall: f64,
}

impl Reading {
    fn of(id: u64) -> Result<Self, String> {
        let asked = ours();
        let scrape = Scrape::of(id)?;
        let answered = ours();
        let monotonic = scrape.value("coracle_process_uptime_seconds")?;
        let started = scrape.value("coracle_process_start_time_seconds")?;
        Ok(Self {
            asked,
            answered,
            monotonic,
            wall: started + monotonic,
        })
    }
}

fn ours() -> (f64, f64) {
    static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let since = since.unwrap_or_default();
    (BEGIN.elapsed().as_secs_f64(), since.as_secs_f64())
}

//! A node that fails at a place in its code, while it leads and while it follows. What can be
//! named is in `host/src/server/failpoints`; only a `coracle` built with them can play.

mod places; // where, and as what
mod ways; // what leads there

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use coracle_client::FsmState;

use self::places::{PLACES, Point, Way};
use self::ways::{FORGETFUL, Ways};
use crate::cluster::Around;
use crate::ends::End;
use crate::failure::Failure;
use crate::load::FSM;
use crate::run::Run;
use crate::scenario::{SMALL_TAIL, Scenario, USUAL};

/// Names the file that says where to fail.
const VARIABLE: &str = "CORACLE_FAILPOINTS";

/// Failures of the short form.
const FEW: usize = 8;

/// Time for a place to be passed; what leads to it is done again meanwhile.
const REACHED: Duration = Duration::from_secs(30);

/// Time after which it is done again.
const AGAIN: Duration = Duration::from_secs(1);

/// Time for a node that panicked to end.
const SLOW_END: Duration = Duration::from_secs(8);

/// Time for what follows a failure to be seen.
const AFTERMATH: Duration = Duration::from_millis(1700);

/// Time for one failure and all that is done about it.
const ONE: Duration = Duration::from_secs(120);

pub(super) const FAILPOINTS: Scenario = Scenario {
    name: "failpoints",
    about: "a node fails at a place in its code: 8 of them, all with --all",
    settings: SMALL_TAIL,
    bound: ONE,
    bound_all: ONE,
    prepare,
    faults,
    ..USUAL
};

fn file(run: &Run, id: u64, ending: &str) -> PathBuf {
    run.folder.join(format!("failpoints/n{id}.{ending}"))
}

fn start(run: &mut Run, id: u64) -> Result<(), Failure> {
    let armed = file(run, id, "armed").to_string_lossy().into_owned();
    let around = Around {
        variables: vec![(VARIABLE.to_owned(), armed)],
        ..Around::default()
    };
    run.start_in(id, &around)
}

fn prepare(run: &mut Run) -> Result<(), Failure> {
    let made = std::fs::create_dir_all(run.folder.join("failpoints"));
    made.map_err(|error| Failure::harness("make a folder", error))?;
    for id in run.cluster.ids() {
        start(run, id)?;
    }
    let plugin = run.plugin("kv").to_string_lossy().into_owned();
    run.eventually("a second fsm", |run| {
        let create = ["fsm", "create", FORGETFUL, "--plugin", &plugin];
        match run.cluster.coracle(&create) {
            Err(failure) if !failure.to_string().contains("there is an fsm") => {
                Err(failure.to_string())
            }
            _ => Ok(()),
        }
    })?;
    let ready = file(run, 1, "ready");
    if !ready.exists() {
        let why = "this coracle has no failpoints: `cargo xtask failpoints` builds one";
        return Err(Failure::Skipped(why.to_owned()));
    }
    let said = std::fs::read_to_string(ready)
        .map_err(|error| Failure::harness("read the places", error))?;
    let said: BTreeSet<&str> = said.lines().collect();
    let known: BTreeSet<&str> = PLACES.iter().map(|place| place.name).collect();
    let different: Vec<&&str> = said.symmetric_difference(&known).collect();
    match different.as_slice() {
        [] => Ok(()),
        different => Err(Failure::Violation(format!(
            "the node and this scenario have different places: {different:?}"
        ))),
    }
}

fn faults(run: &mut Run) -> Result<(), Failure> {
    let mut points = Point::all();
    if !run.only.is_empty() {
        points.retain(|point| run.only.iter().any(|only| only == point.place.name));
        if points.is_empty() {
            let what = format!("fail at {}", run.only.join(", "));
            return Err(Failure::harness(what, "there is no such place"));
        }
    } else if !run.all {
        let few = (0..FEW).filter_map(|_| run.rng.pick(&points).cloned());
        points = few.collect();
    }
    let mut ways = Ways::default();
    let mut reached: BTreeMap<&str, u64> = BTreeMap::new();
    for point in &points {
        run.deadline = Instant::now() + ONE;
        let fired = play(run, &mut ways, point)?;
        *reached.entry(point.place.name).or_default() += u64::from(fired);
    }
    run.totals.insert("places", reached.len() as u64);
    reached.retain(|_, times| *times == 0);
    run.totals
        .insert("places never reached", reached.len() as u64);
    if reached.is_empty() {
        return Ok(());
    }
    let never: Vec<&str> = reached.into_keys().collect();
    Err(Failure::Violation(format!(
        "never reached: {}",
        never.join(", ")
    )))
}

/// Whether the place was passed.
fn play(run: &mut Run, ways: &mut Ways, point: &Point) -> Result<bool, Failure> {
    let writes = run.rng.between(5, 20);
    run.writes(writes)?;
    let target = target(run, point)?;
    let end = End::Failpoint {
        exit: point.action == "exit",
        asked: point.place.way == Way::Stop,
    };
    run.may_end.insert(target, end);
    let (place, action) = (point.place.name, point.action);
    arm(run, target, &format!("{place} {action}"))?;
    let detail = format!("n{target}, {}: {place} {action}", point.role());
    let reached = provoke(run, ways, point, target)?;
    for ending in ["armed", "fired"] {
        // Only one of them is there.
        let _gone = std::fs::remove_file(file(run, target, ending));
    }
    match reached {
        true => run.timeline.note("failpoint", &detail),
        false => run.timeline.note("failpoint not reached", &detail),
    }
    aftermath(run, point, target, reached)?;
    run.check()?;
    run.may_end.clear();
    for id in run.cluster.ids() {
        if !run.cluster.is_running(id) {
            start(run, id)?;
        }
    }
    run.caught_up(target)?;
    ways.undo(run)?;
    Ok(reached)
}

/// Who is to fail.
fn target(run: &mut Run, point: &Point) -> Result<u64, Failure> {
    let leader = match point.place.way {
        Way::Join => run.eventually("a leader of group 0", |run| {
            let status = run.node_status(1)?;
            status.leader.ok_or_else(|| "n1 knows none".to_owned())
        })?,
        Way::Sessions => run.eventually("a leader of the other fsm", |run| {
            let leader = run.status_of(1, FORGETFUL)?.leader;
            leader.ok_or_else(|| "n1 knows none".to_owned())
        })?,
        _ => run.leader()?,
    };
    match point.leads {
        true => Ok(leader),
        false => run.other_than(leader),
    }
}

fn arm(run: &Run, target: u64, line: &str) -> Result<(), Failure> {
    let (draft, armed) = (file(run, target, "draft"), file(run, target, "armed"));
    std::fs::write(&draft, line)
        .and_then(|()| std::fs::rename(&draft, &armed))
        .map_err(|error| Failure::harness("arm a failpoint", error))
}

/// Does what leads to the place, until it was passed or for long enough.
fn provoke(run: &mut Run, ways: &mut Ways, point: &Point, target: u64) -> Result<bool, Failure> {
    let path = file(run, target, "fired");
    let until = Instant::now() + REACHED;
    let mut next = Instant::now();
    while !path.exists() && Instant::now() < until {
        if Instant::now() >= next {
            ways.lead(run, point, target, || path.exists())?;
            next = Instant::now() + AGAIN;
        }
        run.stay(Duration::from_millis(25))?;
    }
    Ok(path.exists())
}

/// A node that must stop stops; one that may go on and does not serve is started again.
fn aftermath(run: &mut Run, point: &Point, target: u64, reached: bool) -> Result<(), Failure> {
    if reached && point.stops() {
        return run.eventually(&format!("n{target} to stop"), |run| {
            match run.cluster.is_running(target) {
                true => Err(format!("it goes on after {point:?}")),
                false => Ok(()),
            }
        });
    }
    // A thread that panics takes its node along, once what it does besides has ended.
    let time = match point.action {
        "panic" => SLOW_END,
        _ => AFTERMATH,
    };
    let until = Instant::now() + time;
    while run.cluster.is_running(target) && Instant::now() < until {
        run.stay(Duration::from_millis(25))?;
    }
    let running = |status: coracle_client::FsmStatus| status.state == FsmState::Running;
    let serves = [FSM, FORGETFUL]
        .iter()
        .all(|fsm| run.status_of(target, fsm).is_ok_and(running));
    if run.cluster.is_running(target) && !serves {
        run.timeline.note("restart", &format!("n{target}"));
        run.kill(target)?;
    }
    Ok(())
}

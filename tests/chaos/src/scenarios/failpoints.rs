//! A node that fails at a place in its code, while it leads and while it follows. What can be
//! named is in `host/src/server/failpoints`; only a `coracle` built with them can play.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use coracle_client::FsmState;

use crate::cluster::{Around, address};
use crate::failure::Failure;
use crate::load::FSM;
use crate::program;
use crate::run::Run;
use crate::scenario::{SMALL_TAIL, Scenario, USUAL};

/// Names the file that says where to fail.
const VARIABLE: &str = "CORACLE_FAILPOINTS";

const ACTIONS: &[&str] = &["exit", "panic", "sleep", "error"];

/// Failures of the short form.
const FEW: usize = 8;

/// Time for a place to be passed; those that nothing here leads to are counted as not reached.
const REACHED: Duration = Duration::from_secs(6);

/// Seconds for a command that leads to a place.
const MOMENT: &str = "4";

/// Time for a node that panicked to end.
const SLOW_END: Duration = Duration::from_secs(8);

/// Time for what follows a failure to be seen.
const AFTERMATH: Duration = Duration::from_millis(1700);

pub(super) const FAILPOINTS: Scenario = Scenario {
    name: "failpoints",
    about: "a node fails at a place in its code: 8 of them, all with --all",
    settings: SMALL_TAIL,
    bound: Duration::from_secs(240),
    bound_all: Duration::from_secs(5400),
    prepare,
    faults,
    ..USUAL
};

fn file(run: &Run, id: u64, ending: &str) -> PathBuf {
    run.folder.join(format!("failpoints/n{id}.{ending}"))
}

fn around(run: &Run, id: u64) -> Around {
    let armed = file(run, id, "armed").to_string_lossy().into_owned();
    Around {
        variables: vec![(VARIABLE.to_owned(), armed)],
        ..Around::default()
    }
}

fn start(run: &mut Run, id: u64) -> Result<(), Failure> {
    let around = around(run, id);
    run.start_in(id, &around)
}

fn prepare(run: &mut Run) -> Result<(), Failure> {
    let made = std::fs::create_dir_all(run.folder.join("failpoints"));
    made.map_err(|error| Failure::harness("make a folder", error))?;
    for id in run.cluster.ids() {
        start(run, id)?;
    }
    let answered = |run: &mut Run| match run.cluster.coracle(&["status"]) {
        Ok(_) => Ok(()),
        Err(failure) => Err(failure.to_string()),
    };
    run.eventually("a node to answer", answered)?;
    let ready = file(run, 1, "ready");
    if !ready.exists() {
        let why = "this coracle has no failpoints: `cargo xtask failpoints` builds one";
        return Err(Failure::Skipped(why.to_owned()));
    }
    Ok(())
}

/// One failure.
#[derive(Debug, Clone)]
struct Point {
    place: String,
    action: &'static str,
    leads: bool,
}

fn faults(run: &mut Run) -> Result<(), Failure> {
    let places = std::fs::read_to_string(file(run, 1, "ready"))
        .map_err(|error| Failure::harness("read the places", error))?;
    let mut points: Vec<Point> = Vec::new();
    for place in places.lines() {
        for action in ACTIONS {
            points.extend([true, false].map(|leads| Point {
                place: place.to_owned(),
                action,
                leads,
            }));
        }
    }
    if !run.all {
        let few = (0..FEW).filter_map(|_| run.rng.pick(&points).cloned());
        points = few.collect();
    }
    for point in &points {
        play(run, point)?;
    }
    Ok(())
}

fn play(run: &mut Run, point: &Point) -> Result<(), Failure> {
    let writes = run.rng.between(5, 20);
    run.writes(writes)?;
    let leader = run.leader()?;
    let target = match point.leads {
        true => leader,
        false => run.other_than(leader)?,
    };
    let Point { place, action, .. } = point;
    let role = if point.leads { "leader" } else { "follower" };
    run.may_end.insert(target);
    arm(run, target, &format!("{place} {action}"))?;
    let detail = format!("n{target}, {role}: {place} {action}");
    let reached = provoke(run, point, target)?;
    let _gone = std::fs::remove_file(file(run, target, "armed"));
    let _gone = std::fs::remove_file(file(run, target, "fired"));
    match reached {
        true => run.timeline.note("failpoint", &detail),
        false => run.timeline.note("failpoint not reached", &detail),
    }
    aftermath(run, point, target, reached)?;
    run.may_end.remove(&target);
    for id in run.cluster.ids() {
        if !run.cluster.is_running(id) {
            start(run, id)?;
        }
    }
    run.caught_up(target)
}

fn arm(run: &Run, target: u64, line: &str) -> Result<(), Failure> {
    let (draft, armed) = (file(run, target, "draft"), file(run, target, "armed"));
    std::fs::write(&draft, line)
        .and_then(|()| std::fs::rename(&draft, &armed))
        .map_err(|error| Failure::harness("arm a failpoint", error))
}

/// Does what leads to the place, until it was passed or for long enough.
fn provoke(run: &mut Run, point: &Point, target: u64) -> Result<bool, Failure> {
    let fired = file(run, target, "fired");
    let until = Instant::now() + REACHED;
    let mut rounds = 0;
    while !fired.exists() && Instant::now() < until {
        if rounds % 40 == 0 {
            lead_to(run, point, target, &fired)?;
        }
        rounds += 1;
        run.stay(Duration::from_millis(25))?;
    }
    Ok(fired.exists())
}

/// One of the things that pass the place; whether it works is not the point.
fn lead_to(run: &mut Run, point: &Point, target: u64, fired: &Path) -> Result<(), Failure> {
    let place = point.place.as_str();
    let has = |words: &[&str]| words.iter().any(|word| place.contains(word));
    if has(&["install", "snapshot-send"]) || has(&["restore"]) && !point.leads {
        let behind = match point.leads {
            true => run.other_than(target)?,
            false => target,
        };
        run.may_end.insert(behind);
        return fall_behind(run, behind, fired);
    }
    let words: Vec<String> = if has(&["init", "host", "plugin"]) {
        let plugin = run.plugin(if has(&["plugin"]) { "counter" } else { "kv" });
        let plugin = plugin.to_string_lossy().into_owned();
        let name = format!("extra-{}", run.rng.below(1 << 20));
        ["fsm", "create", &name, "--plugin", &plugin]
            .map(str::to_owned)
            .into()
    } else if has(&["hard-state"]) {
        ["leader", "transfer", "--fsm", FSM]
            .map(str::to_owned)
            .into()
    } else if has(&["configuration"]) {
        let how = if run.rng.chance(50) {
            "demote"
        } else {
            "promote"
        };
        let other = run.other_than(target)?;
        vec!["members".to_owned(), how.to_owned(), format!("n{other}")]
    } else if has(&["checkpoint", "compact", "snapshot", "restore"]) {
        ["snapshot", FSM].map(str::to_owned).into()
    } else {
        return Ok(());
    };
    ask(run, &words);
    Ok(())
}

/// Runs the command line for a moment. What it waits for may need the node that just failed.
fn ask(run: &Run, words: &[String]) {
    let endpoints = run.cluster.running().into_iter();
    let endpoints: Vec<String> = endpoints
        .map(|id| format!("http://{}:7401", address(id)))
        .collect();
    let mut command = Command::new("timeout");
    command.arg(MOMENT).arg(run.cluster.binary()).args(words);
    let _whatever = program::output(command.env("CORACLE_ENDPOINTS", endpoints.join(",")));
}

/// A follower misses so much that it needs a snapshot.
fn fall_behind(run: &mut Run, behind: u64, fired: &Path) -> Result<(), Failure> {
    run.kill(behind)?;
    for _ in 0..2 {
        let writes = run.rng.between(60, 120);
        if run.writes(writes).is_err() && !fired.exists() {
            break;
        }
        ask(run, &["snapshot".to_owned(), FSM.to_owned()]);
    }
    start(run, behind)
}

/// Places at which the log is written: after an error there a node must not go on.
fn is_of_the_log(place: &str) -> bool {
    const OF_THE_LOG: &[&str] = &[
        "hard-state",
        "append",
        "configuration",
        "compact",
        "install",
        "host",
        "log-sync",
        "anchor",
    ];
    OF_THE_LOG.iter().any(|word| place.contains(word))
}

/// A node that must stop stops; one that may go on and does not serve is started again.
fn aftermath(run: &mut Run, point: &Point, target: u64, reached: bool) -> Result<(), Failure> {
    let stops = match point.action {
        "exit" => true,
        "sleep" => false,
        _ => is_of_the_log(&point.place),
    };
    if reached && stops {
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
    let serves = run
        .status(target)
        .is_ok_and(|status| status.state == FsmState::Running);
    if run.cluster.is_running(target) && !serves {
        run.timeline.note("restart", &format!("n{target}"));
        run.kill(target)?;
    }
    Ok(())
}

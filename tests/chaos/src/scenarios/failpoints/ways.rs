//! What leads a node to a place in its code.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use coracle_client::{CreateToken, MemberRole};

use super::places::{Point, Way};
use crate::cluster::{HTTP_PORT, QUIC_PORT, address, client_of};
use crate::ends::End;
use crate::failure::Failure;
use crate::load::FSM;
use crate::run::Run;

/// Time for a command that leads to a place. It ends before if the place was passed: what it waits for
/// may need the node that just failed.
const MOMENT: Duration = Duration::from_secs(20);

/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(25);

/// Time for a request of the harness itself.
const REQUEST: Duration = Duration::from_secs(4);

/// The fsm whose sessions expire; nobody else uses it.
pub(super) const FORGETFUL: &str = "forgetful";

/// Its one large value, in bytes: a command may have a MiB.
const LARGE: usize = 1_000_000;

/// Keyed reads of it: more than 16 MiB of outcomes.
const KEYED: u64 = 20;

/// Addresses of nodes that only try to join begin after this one.
const STRANGERS: u64 = 100;

/// Hours are not needed.
const TICKET_SECONDS: u64 = 600;

/// What was made on the way to places, and goes again.
#[derive(Debug, Default)]
pub(super) struct Ways {
    /// Plugins that nobody had.
    salted: u64,
    /// The last of them, as long as it may be asked for again.
    plugin: Option<String>,
    joined: u64,
    extra: Vec<String>,
    demoted: Option<u64>,
}

impl Ways {
    /// Does what leads to the place once more; whether it works is not the point.
    pub(super) fn lead(
        &mut self,
        run: &mut Run,
        point: &Point,
        target: u64,
        fired: impl Fn() -> bool,
    ) -> Result<(), Failure> {
        match point.place.way {
            Way::Load => {}
            Way::Transfer => ask(run, &["leader", "transfer", "--fsm", FSM], &fired)?,
            Way::Members => self.change_members(run, target, &fired)?,
            Way::Checkpoint => ask(run, &["snapshot", FSM], &fired)?,
            Way::FallBehind => fall_behind(run, point, target, &fired)?,
            Way::Create => self.create(run, &fired)?,
            Way::Upgrade => {
                let plugin = self.salted(run)?;
                ask(run, &["upgrade", FSM, &plugin], &fired)?;
            }
            Way::Join => self.join(run, target)?,
            Way::Sessions => forget(run, &fired),
            Way::Stop => {
                if run.cluster.is_running(target) {
                    run.timeline.note("stop", &format!("n{target}"));
                    run.cluster.signal(target, "TERM")?;
                }
            }
        }
        Ok(())
    }

    /// Takes back what was made.
    pub(super) fn undo(&mut self, run: &mut Run) -> Result<(), Failure> {
        self.plugin = None;
        if let Some(demoted) = self.demoted.take() {
            let node = format!("n{demoted}");
            done(run, &["members", "promote", &node], &["is a voter"])?;
        }
        for name in std::mem::take(&mut self.extra) {
            done(
                run,
                &["fsm", "remove", &name],
                &["there is no fsm", "no fsm"],
            )?;
        }
        if self.joined > 0 {
            for mut stranger in run.errands.drain(..) {
                // It may have ended long ago.
                let _ended = stranger.kill().and_then(|()| stranger.wait());
            }
            for node in strangers(run)? {
                let name = format!("n{node}");
                done(
                    run,
                    &["members", "remove", &name],
                    &["there is no", "no node"],
                )?;
            }
        }
        Ok(())
    }

    /// The component kv with a few bytes more, which mean nothing: a plugin that nobody has. The same
    /// again until the place is done with, for compiling takes a while.
    fn salted(&mut self, run: &mut Run) -> Result<String, Failure> {
        if let Some(plugin) = &self.plugin {
            return Ok(plugin.clone());
        }
        self.salted += 1;
        let path = run.folder.join("failpoints/salted.wasm");
        std::fs::read(run.plugin("kv"))
            .and_then(|mut bytes| {
                // A custom section: its id, its length, the length of its name, its name.
                bytes.extend([0, 13, 4]);
                bytes.extend(b"salt");
                bytes.extend(self.salted.to_le_bytes());
                std::fs::write(&path, bytes)
            })
            .map_err(|error| Failure::harness("salt a plugin", error))?;
        let plugin = path.to_string_lossy().into_owned();
        self.plugin = Some(plugin.clone());
        Ok(plugin)
    }

    fn create(&mut self, run: &mut Run, fired: &dyn Fn() -> bool) -> Result<(), Failure> {
        let plugin = self.salted(run)?;
        let name = format!("extra-{}", self.salted);
        if self.extra.is_empty() {
            self.extra.push(name.clone());
        }
        ask(run, &["fsm", "create", &name, "--plugin", &plugin], fired)
    }

    fn change_members(
        &mut self,
        run: &mut Run,
        target: u64,
        fired: &dyn Fn() -> bool,
    ) -> Result<(), Failure> {
        let how = match self.demoted {
            None => "demote",
            Some(_) => "promote",
        };
        let leader = run.leader_now();
        let mut others = run.cluster.running();
        others.retain(|id| *id != target && Some(*id) != leader);
        let Some(node) = self.demoted.or(others.first().copied()) else {
            return Ok(());
        };
        self.demoted = (how == "demote").then_some(node);
        ask(run, &["members", how, &format!("n{node}")], fired)
    }

    /// Starts a node that asks `target` to let it in.
    fn join(&mut self, run: &mut Run, target: u64) -> Result<(), Failure> {
        let token = CreateToken {
            role: MemberRole::Learner,
            ttl_seconds: TICKET_SECONDS,
            uses: 1,
        };
        let client = client_of(&[target], REQUEST, false)?;
        let Ok(made) = run.runtime.block_on(client.create_token(&token)) else {
            return Ok(());
        };
        self.joined += 1;
        let at = address(STRANGERS + self.joined);
        let folder = run
            .folder
            .join(format!("failpoints/stranger-{}", self.joined));
        let mut command = Command::new(run.cluster.binary());
        let stranger = command
            .args(["start", "--join", &made.ticket])
            .args(["--quic", &format!("{at}:{QUIC_PORT}")])
            .args(["--http", &format!("{at}:{HTTP_PORT}")])
            .arg("--data-dir")
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| Failure::harness("start a node that joins", error))?;
        run.errands.push(stranger);
        Ok(())
    }
}

/// Nodes that were not there in the beginning.
fn strangers(run: &mut Run) -> Result<Vec<u64>, Failure> {
    let own = run.cluster.ids();
    let members = run.eventually("the list of members", |run| {
        let client =
            client_of(&run.awake(), REQUEST, true).map_err(|failure| failure.to_string())?;
        let members = run.runtime.block_on(client.members());
        members.map_err(|error| error.to_string())
    })?;
    let nodes = members.members.iter().map(|member| member.node);
    Ok(nodes.filter(|node| !own.contains(node)).collect())
}

/// Runs the command line for a moment.
fn ask(run: &mut Run, words: &[&str], fired: &dyn Fn() -> bool) -> Result<(), Failure> {
    let mut asked = run.beside(words)?;
    let until = Instant::now() + MOMENT;
    while !fired() && Instant::now() < until && matches!(asked.try_wait(), Ok(None)) {
        run.stay(LOOK)?;
    }
    // It may have ended by itself.
    let _ended = asked.kill().and_then(|()| asked.wait());
    Ok(())
}

/// Runs the command line until it has worked, or says that it has worked before.
fn done(run: &mut Run, words: &[&str], before: &[&str]) -> Result<(), Failure> {
    let what = words.join(" ");
    run.eventually(&what, |run| match run.cluster.coracle(words) {
        Ok(_) => Ok(()),
        Err(failure) => {
            let said = failure.to_string();
            match before.iter().any(|words| said.contains(words)) {
                true => Ok(()),
                false => Err(said),
            }
        }
    })
}

/// A follower misses so much that it needs a snapshot.
fn fall_behind(
    run: &mut Run,
    point: &Point,
    target: u64,
    fired: &dyn Fn() -> bool,
) -> Result<(), Failure> {
    let behind = match point.leads {
        true => run.other_than(target)?,
        false => target,
    };
    let has = run.eventually("what it has applied", |run| {
        Ok(run.status(behind)?.applied_index)
    })?;
    run.may_end.entry(behind).or_insert(End::Failure);
    run.kill(behind)?;
    // The other voter must not fail before the log is cut: what is armed waits for a snapshot.
    run.eventually("the log to be cut past what it has", |run| {
        if fired() {
            return Ok(());
        }
        ask(run, &["snapshot", FSM], fired).map_err(|failure| failure.to_string())?;
        let leader = run.leader_now().ok_or("nobody leads")?;
        match run.status(leader)?.first_index {
            first if first > has + 1 => Ok(()),
            first => Err(format!("it begins at {first}, n{behind} has {has}")),
        }
    })?;
    super::start(run, behind)
}

/// Fills the table of sessions with large outcomes.
fn forget(run: &mut Run, fired: &dyn Fn() -> bool) {
    // With retries each command has a key of its own.
    let Ok(client) = client_of(&run.awake(), REQUEST, true) else {
        return;
    };
    let value = format!("put large {}", "x".repeat(LARGE));
    let mut keyed = vec![Bytes::from(value)];
    keyed.resize(
        usize::try_from(KEYED).unwrap_or(1),
        Bytes::from("get large"),
    );
    for command in keyed {
        if fired() {
            return;
        }
        // It may be the one that nobody is left to answer.
        let _whatever = run.runtime.block_on(client.apply(FORGETFUL, command));
    }
}

//! `coracle demo`: three nodes to try and break.

mod shell;

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use clap::Args;
use coracle_client::{CreateFsm, DigestHex, LimitOverrides};
use serde_json::{Map, Value};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::local::LocalCluster;
use super::{Failure, Global, console, fsm, plugin, progress, start};
use shell::{Said, Shell};

/// The fsm of the demo.
const FSM: &str = "kv";

#[derive(Debug, Args)]
#[command(after_help = "\
Nodes talk QUIC with mutual TLS over loopback and keep their logs in a temporary folder, which is
deleted at the end. Type .help in the shell. With --exec, the lines of a file are run instead:
blank ones and those that begin with # are skipped, each is shown with its result, and the first
that fails ends the demo with its exit code. With -o json each result is a document on a line,
with the line it belongs to as its member `line`.

Examples:
  coracle demo --plugin kv.wasm
  coracle demo --plugin kv.wasm --exec script.txt")]
pub(super) struct Demo {
    /// The plugin of the fsm kv
    #[arg(long, value_name = "FILE")]
    plugin: PathBuf,
    /// Run the lines of a file, or of stdin (-)
    #[arg(long, value_name = "FILE|-")]
    exec: Option<PathBuf>,
    /// How many nodes
    #[arg(long, value_name = "N", default_value_t = 3)]
    nodes: u64,
}

impl Demo {
    pub(super) async fn run(&self, global: &Global) -> Result<(), Failure> {
        start::log_to_stderr("error")?;
        // Before anything is started for nothing.
        plugin::read(&self.plugin)?;
        let lines = self.lines()?;
        let started = Instant::now();
        let mut terminate = signal(SignalKind::terminate()).map_err(unheard)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(unheard)?;
        let mut cluster = LocalCluster::start(self.nodes, None).await?;
        // Whatever ends it, the nodes stop and their folder goes.
        let result = tokio::select! {
            result = self.with(&mut cluster, started, lines, global) => result,
            _ = interrupt.recv() => self.interrupted(),
            _ = terminate.recv() => self.interrupted(),
        };
        cluster.shutdown().await;
        result
    }

    /// For a person it is a way to leave; a script has not run to its end.
    fn interrupted(&self) -> Result<(), Failure> {
        match self.exec {
            Some(_) => Err(Failure::other("interrupted")),
            None => Ok(()),
        }
    }

    async fn with(
        &self,
        cluster: &mut LocalCluster,
        started: Instant,
        lines: mpsc::Receiver<io::Result<String>>,
        global: &Global,
    ) -> Result<(), Failure> {
        let client = global.client_of(cluster.endpoints()?)?;
        let leader = cluster.wait_for("leader", |views| {
            views
                .iter()
                .find_map(|view| view.status.as_ref().ok()?.leader)
        });
        let leader = progress::during("electing a leader", leader).await?;
        banner(cluster, leader, started);
        let spec = CreateFsm {
            plugin: DigestHex([0; 32]),
            config: [].into(),
            limits: LimitOverrides::default(),
        };
        fsm::create(&client, FSM, &self.plugin, spec).await?;
        console::say(&format!("fsm {FSM} runs {}", self.plugin.display()));
        let mut shell = Shell::new(cluster, client, FSM);
        match &self.exec {
            Some(_) => execute(&mut shell, lines, global.json()).await,
            None => converse(&mut shell, lines, global.json()).await,
        }
    }

    /// The lines to run, from a thread of their own: stdin blocks.
    fn lines(&self) -> Result<mpsc::Receiver<io::Result<String>>, Failure> {
        let source: Box<dyn BufRead + Send> = match self.exec.as_deref() {
            None => Box::new(BufReader::new(io::stdin())),
            Some(path) if path == Path::new("-") => Box::new(BufReader::new(io::stdin())),
            Some(path) => {
                let file = File::open(path);
                let failed = |e| Failure::other(format!("cannot read {}: {e}", path.display()));
                Box::new(BufReader::new(file.map_err(failed)?))
            }
        };
        let (sender, receiver) = mpsc::channel(1);
        thread::spawn(move || {
            for line in source.lines() {
                let last = line.is_err();
                if sender.blocking_send(line).is_err() || last {
                    return;
                }
            }
        });
        Ok(receiver)
    }
}

fn banner(cluster: &LocalCluster, leader: u64, started: Instant) {
    let head = ["NODE", "QUIC", "HTTP"].map(str::to_owned).to_vec();
    let rows = cluster.files().map(|node| {
        let mark = if node.id == leader { " (leader)" } else { "" };
        vec![
            format!("n{}{mark}", node.id),
            node.quic.to_string(),
            node.http.clone(),
        ]
    });
    let table = console::table(&std::iter::once(head).chain(rows).collect::<Vec<_>>());
    console::say(&format!(
        "Coracle {}: {} nodes in this process, data in {} (deleted at the end)\n{table}\n\
         n{leader} leads, {:.1} s after the start",
        env!("CARGO_PKG_VERSION"),
        cluster.files().count(),
        cluster.folder().display(),
        started.elapsed().as_secs_f64(),
    ));
}

/// Runs lines until one fails.
async fn execute(
    shell: &mut Shell<'_>,
    mut lines: mpsc::Receiver<io::Result<String>>,
    json: bool,
) -> Result<(), Failure> {
    let mut number = 0;
    while let Some(line) = lines.recv().await {
        number += 1;
        let line = line.map_err(|e| Failure::other(format!("cannot read line {number}: {e}")))?;
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        if !json {
            console::data(&format!("> {line}"))?;
        }
        match shell.run(&line).await {
            Ok(Said::Result(text, members)) => show(&line, &text, members, json)?,
            Ok(Said::Quit) => return Ok(()),
            Err(failure) => return Err(failure.at(&format!("line {number}"))),
        }
    }
    Ok(())
}

/// Runs what a person types; a failure is shown and the person goes on.
async fn converse(
    shell: &mut Shell<'_>,
    mut lines: mpsc::Receiver<io::Result<String>>,
    json: bool,
) -> Result<(), Failure> {
    console::say("type `apply put boat coracle`, `query get boat`, `.kill n1`, or `.help`");
    let prompt = io::stdin().is_terminal();
    loop {
        if prompt {
            // Without a prompt the shell works as well.
            let _ = write!(io::stderr(), "{FSM}> ").and_then(|()| io::stderr().flush());
        }
        let Some(line) = lines.recv().await else {
            return Ok(());
        };
        let line = line.map_err(|e| Failure::other(format!("cannot read stdin: {e}")))?;
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        match shell.run(&line).await {
            Ok(Said::Result(text, members)) => show(&line, &text, members, json)?,
            Ok(Said::Quit) => return Ok(()),
            Err(failure) => failure.print(json),
        }
    }
}

/// One line's result: words, or a JSON document with the line in it.
fn show(
    line: &str,
    text: &str,
    mut members: Map<String, Value>,
    json: bool,
) -> Result<(), Failure> {
    if !json {
        return console::data(text);
    }
    members.insert("line".into(), line.trim().into());
    console::json(&members)
}

fn unheard(error: io::Error) -> Failure {
    Failure::other(format!("cannot wait for signals: {error}"))
}

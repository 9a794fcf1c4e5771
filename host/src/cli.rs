//! The command line: stdout is data, stderr is everything for people, the exit code says what
//! happened.

mod apply;
mod bench;
mod config;
mod console;
mod demo;
mod events;
mod failure;
mod fsm;
mod init;
mod leader;
mod local;
mod members;
mod panic_hook;
mod plugin;
mod progress;
mod query;
mod recover;
mod snapshot;
mod start;
mod status;
mod times;
mod token;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use coracle_client::{Client, Endpoint, parse_duration};

use failure::{Exit, Failure};

/// Nodes take no request for longer.
const MAX_TIMEOUT: Duration = Duration::from_secs(600);

/// Where a node listens unless told otherwise.
const DEFAULT_ENDPOINT: &str = "http://127.0.0.1:7401";

/// Replicated state machines as WebAssembly plugins.
#[derive(Debug, Parser)]
#[command(name = "coracle", version, propagate_version = true, after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  coracle demo --plugin kv.wasm               three nodes in this process, and a shell
  coracle init --nodes 3 --dir cluster        certificates and a configuration per node
  coracle start --config cluster/n1/coracle.toml
  coracle fsm create kv --plugin kv.wasm
  coracle apply kv put boat coracle
  coracle query kv get boat

Exit codes:
  0 ok              4 forbidden      7 unavailable, not applied
  1 other failure   5 not found      8 timed out, outcome unknown
  2 usage           6 conflict       9 refused by the fsm, or failed in it
  3 no endpoint can be reached";

/// What every command knows.
#[derive(Debug, Args)]
struct Global {
    /// How results are printed.
    #[arg(short, long, value_enum, default_value_t = Format::Text, global = true)]
    output: Format,
    /// A node's HTTP address; repeat it, or separate with commas [default: http://127.0.0.1:7401]
    #[arg(
        long = "endpoint",
        value_name = "URL",
        env = "CORACLE_ENDPOINTS",
        value_delimiter = ',',
        global = true
    )]
    endpoints: Vec<Endpoint>,
    /// Time for one request, all attempts together, e.g. 500ms, 5s, 2m [default: 10s; 5m where a
    /// plugin is compiled]
    #[arg(long, value_name = "DURATION", value_parser = time_limit, global = true)]
    timeout: Option<Duration>,
}

/// The value of `--timeout`: no time would leave open whether anything was sent, and a node takes
/// no request for longer than [`MAX_TIMEOUT`].
fn time_limit(text: &str) -> Result<Duration, String> {
    let limit = parse_duration(text).map_err(|e| e.to_string())?;
    if limit.is_zero() || limit > MAX_TIMEOUT {
        return Err(format!("want more than 0 and at most {MAX_TIMEOUT:?}"));
    }
    Ok(limit)
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people; the bytes of a reply go out as they are.
    Text,
    /// One JSON document on one line.
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run three nodes in this process, with a shell to try and break them
    Demo(demo::Demo),
    /// Lay out a new cluster: certificates, and a configuration for each node
    Init(init::Init),
    /// Run a node until SIGTERM
    Start(start::Start),
    /// Apply a command to an fsm
    Apply(apply::Apply),
    /// Ask an fsm without changing it
    Query(query::Query),
    /// Upload and list plugins
    #[command(subcommand)]
    Plugin(plugin::Plugin),
    /// Create, list, show and remove fsms
    #[command(subcommand)]
    Fsm(fsm::Fsm),
    /// Replace the plugin of a running fsm
    Upgrade(fsm::Upgrade),
    /// Take, save, verify and restore snapshots
    Snapshot(snapshot::Snapshot),
    /// Go on after a majority of the nodes is lost for good; offline
    Recover(recover::Recover),
    /// Who leads, and handing it over
    #[command(subcommand)]
    Leader(leader::Leader),
    /// Drain a node before it is stopped, or take it back
    #[command(subcommand)]
    Node(leader::Node),
    /// Wait until a node has applied all that was acknowledged
    Barrier(leader::Barrier),
    /// Follow what happens
    Events(events::Events),
    /// Show and change settings while nodes run
    #[command(subcommand)]
    Config(config::Config),
    /// Show how the nodes see the cluster
    Status(status::Status),
    /// List, add, promote, demote, replace and remove nodes
    #[command(subcommand)]
    Members(members::Members),
    /// Make, list, revoke and show what new nodes join with
    #[command(subcommand)]
    Token(token::Token),
    /// Measure
    #[command(subcommand)]
    Bench(bench::Bench),
}

impl Global {
    /// The endpoints given, or the default one.
    fn endpoints(&self) -> Vec<Endpoint> {
        if self.endpoints.is_empty() {
            let default = DEFAULT_ENDPOINT.parse();
            return vec![default.expect("invariant: the default endpoint is one")];
        }
        self.endpoints.clone()
    }

    fn client(&self) -> Result<Client, Failure> {
        self.client_of(self.endpoints())
    }

    fn client_of(&self, endpoints: Vec<Endpoint>) -> Result<Client, Failure> {
        let mut builder = Client::builder(endpoints);
        if let Some(timeout) = self.timeout {
            builder = builder.timeout(timeout).admin_timeout(timeout);
        }
        Ok(builder.build()?)
    }

    fn json(&self) -> bool {
        self.output == Format::Json
    }
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            if error.use_stderr() && json_is_asked_for(std::env::args()) {
                let text = error.to_string();
                let text = text.trim_end().trim_start_matches("error: ");
                Failure::usage(text).print(true);
                return Exit::Usage.into();
            }
            // Help and version are no failures; nothing is left to do if they cannot be printed.
            let _ = error.print();
            return if error.use_stderr() {
                Exit::Usage.into()
            } else {
                Exit::Ok.into()
            };
        }
    };
    panic_hook::install(cli.global.json());
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return Failure::other(format!("cannot start threads: {error}")).report(&cli),
    };
    let result = runtime.block_on(run(&cli));
    // Blocked threads, such as one that reads stdin, must not hold up the end.
    runtime.shutdown_background();
    match result {
        Ok(()) => Exit::Ok.into(),
        Err(failure) => failure.report(&cli),
    }
}

/// Read by hand, for a line that is no command.
fn json_is_asked_for(line: impl Iterator<Item = String>) -> bool {
    let words: Vec<String> = line.take_while(|word| word != "--").collect();
    let one = |word: &String| ["-ojson", "-o=json", "--output=json"].contains(&word.as_str());
    let two = |pair: &[String]| ["-o", "--output"].contains(&pair[0].as_str()) && pair[1] == "json";
    words.iter().any(one) || words.windows(2).any(two)
}

impl Failure {
    fn report(&self, cli: &Cli) -> ExitCode {
        self.print(cli.global.json());
        self.exit.into()
    }
}

async fn run(cli: &Cli) -> Result<(), Failure> {
    let global = &cli.global;
    match &cli.command {
        Command::Demo(command) => command.run(global).await,
        Command::Init(command) => command.run(global),
        Command::Start(command) => command.run().await,
        Command::Apply(command) => command.run(global).await,
        Command::Query(command) => command.run(global).await,
        Command::Plugin(command) => command.run(global).await,
        Command::Fsm(command) => command.run(global).await,
        Command::Upgrade(command) => command.run(global).await,
        Command::Snapshot(command) => command.run(global).await,
        Command::Recover(command) => command.run(global),
        Command::Leader(command) => command.run(global).await,
        Command::Node(command) => command.run(global).await,
        Command::Barrier(command) => command.run(global).await,
        Command::Events(command) => command.run(global).await,
        Command::Config(command) => command.run(global).await,
        Command::Status(command) => command.run(global).await,
        Command::Members(command) => command.run(global).await,
        Command::Token(command) => command.run(global).await,
        Command::Bench(command) => command.run(global).await,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_options_may_stand_anywhere() {
        for line in [
            "coracle --endpoint http://a:1 -o json apply kv put a 1",
            "coracle apply --endpoint http://a:1 kv -o json put a 1",
            "coracle apply kv put a 1 --endpoint http://a:1 -o json",
        ] {
            let cli = Cli::try_parse_from(line.split(' ')).expect(line);
            assert_eq!(
                cli.global.endpoints()[0].to_string(),
                "http://a:1",
                "{line}"
            );
            assert!(cli.global.json(), "{line}");
        }
    }

    #[test]
    fn json_is_noticed_on_a_line_that_is_no_command() {
        let asked = |line: &str| json_is_asked_for(line.split(' ').map(str::to_owned));
        for line in [
            "coracle -o json x",
            "coracle x --output=json",
            "coracle -ojson",
        ] {
            assert!(asked(line), "{line}");
        }
        for line in [
            "coracle x",
            "coracle apply kv -- -o json",
            "coracle x -o text json",
        ] {
            assert!(!asked(line), "{line}");
        }
    }

    #[test]
    fn usage_errors_are_found_before_anything_is_sent() {
        for line in [
            "coracle",
            "coracle apply",
            "coracle apply kv",
            "coracle apply kv put --lines f",
            "coracle apply kv --lines f --key k",
            "coracle fsm create kv",
            "coracle fsm create kv --plugin f --config novalue",
            "coracle status --timeout soon",
            "coracle status --timeout 0s",
            "coracle status --timeout 11m",
            "coracle status --endpoint ftp://a",
            "coracle init --nodes three",
            "coracle token create join --ttl 0s",
            "coracle token create join --uses 0",
            "coracle token create join --uses 65",
            "coracle recover",
            "coracle recover --data-dir d --survivors x",
            "coracle recover --data-dir d --config c",
            "coracle bench apply --clients 0",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}

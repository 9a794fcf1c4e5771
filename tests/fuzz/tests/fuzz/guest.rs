//! The guest's side: what the SDK reads of a host, a client and a snapshot.

use std::io::{BufRead, Write};

use coracle_fuzz::{Tape, input, within};
use coracle_guest::{
    Decode, Encode, Environment, Error, Malformed, Postcard, Raw, StateMachine, TestHost, Text,
    apply_frame, commands, state,
};

/// What is given to a list before its elements have come: serde takes at most 1 MiB.
const SLACK: usize = (1 << 20) + (64 << 10);

/// Keeps what it is told.
#[derive(Debug, PartialEq)]
struct Notes(Vec<(String, Vec<u64>)>);

impl StateMachine for Notes {
    const NAME: &'static str = "notes";
    const VERSION: &'static str = "1.0.0";
    type Format = Postcard;
    type Command<'a> = (&'a str, Vec<u64>);
    type Query<'a> = Option<&'a [u8]>;
    type Reply = u64;
    type Answer = Vec<(String, Vec<u64>)>;
    type Refusal = String;

    fn init(_: &Environment) -> Result<Self, Error> {
        Ok(Self(Vec::new()))
    }

    fn apply(&mut self, _: &Environment, command: (&str, Vec<u64>)) -> Result<u64, String> {
        self.0.push((command.0.to_owned(), command.1));
        Ok(self.0.len() as u64)
    }

    fn query(&self, _: &Environment, _: Option<&[u8]>) -> Result<Self::Answer, String> {
        Ok(self.0.clone())
    }

    fn snapshot(&self, _: &Environment, sink: &mut impl Write) -> Result<(), Error> {
        state::save(&self.0, sink)
    }

    fn restore(_: &Environment, source: &mut impl BufRead) -> Result<Self, Error> {
        Ok(Self(state::load(source)?))
    }
}

fn command(numbers: &[u64]) -> Vec<u8> {
    Postcard::bytes(&("a", numbers))
}

fn frame(commands: &[Vec<u8>]) -> Vec<u8> {
    let mut frame = (commands.len() as u32).to_le_bytes().to_vec();
    for command in commands {
        frame.extend((command.len() as u32).to_le_bytes());
        frame.extend(command);
    }
    frame
}

#[test]
fn frames() {
    let seeds = [
        frame(&[]),
        frame(&[command(&[]), Vec::new(), command(&[1, u64::MAX])]),
    ];
    let world = Environment::test();
    fuzz!(20_000, 200, |tape: &[u8]| {
        let bytes = input(&mut Tape::new(tape), &seeds);
        let read = commands(&bytes).map(|all| all.map(<[u8]>::to_vec).collect::<Vec<_>>());
        let mut notes = Notes(Vec::new());
        let outcomes = within(SLACK + 64 * bytes.len(), || {
            apply_frame(&mut notes, &world, &bytes)
        });
        match (read, outcomes) {
            (Ok(read), Ok(outcomes)) => {
                assert_eq!(frame(&read), bytes, "one encoding only");
                assert_eq!(outcomes[..4], bytes[..4], "an outcome for each");
                assert!(outcomes.len() >= 4 + 5 * read.len());
                assert!(notes.0.len() <= read.len());
            }
            (Err(bad), Err(too)) => {
                assert_eq!(bad, too);
                assert_eq!(notes.0, [], "nothing is applied");
            }
            (read, outcomes) => panic!("{read:?}, but {outcomes:?}"),
        }
    });
}

#[test]
fn formats() {
    let seeds = [
        command(&[1, 300]),
        b"-17".to_vec(),
        Postcard::bytes(&"text"),
    ];
    let host = TestHost::<Notes>::new().expect("begins");
    fuzz!(20_000, 200, |tape: &[u8]| {
        let bytes = input(&mut Tape::new(tape), &seeds);
        let again = within(SLACK + 64 * bytes.len(), || {
            let read: Result<(&str, Vec<u64>), Malformed> = Postcard::decode(&bytes);
            read.map(|(text, numbers)| (text.to_owned(), numbers))
        });
        if let Ok(value) = again {
            let written = Postcard::bytes(&value);
            assert_eq!(Postcard::decode(&written), Ok(value), "it comes back");
        }
        let typed: Result<i64, Malformed> = Text::decode(&bytes);
        if let Ok(number) = typed {
            let mut written = Vec::new();
            Text::encode(&number, &mut written);
            assert_eq!(Text::decode(&written), Ok(number), "it comes back");
        }
        assert_eq!(Raw::decode(&bytes), Ok(&bytes[..]));
        let _ = host.query(&bytes);
    });
}

#[test]
fn states() {
    let mut seeds = vec![Vec::new(), Vec::new()];
    state::save(&vec![("a".to_owned(), vec![1_u64, 300])], &mut seeds[0]).expect("saves");
    state::write_header(&mut seeds[1], b"coraclkv", 2).expect("writes");
    state::write_u64(&mut seeds[1], 7).expect("writes");
    state::write_bytes(&mut seeds[1], b"bytes").expect("writes");
    fuzz!(20_000, 200, |tape: &[u8]| {
        let bytes = input(&mut Tape::new(tape), &seeds);
        let allowed = SLACK + 64 * bytes.len();
        if let Ok(host) = within(allowed, || TestHost::<Notes>::restore(&bytes)) {
            let again = host.snapshot().expect("it was read");
            let back = TestHost::<Notes>::restore(&again).expect("it was written");
            assert_eq!(back.machine(), host.machine(), "it comes back");
        }
        let source = &mut &bytes[..];
        let fields = within(SLACK, || fields(source));
        if let Ok((format, number, text)) = fields {
            let mut again = Vec::new();
            state::write_header(&mut again, b"coraclkv", format).expect("writes");
            state::write_u64(&mut again, number).expect("writes");
            state::write_bytes(&mut again, &text).expect("writes");
            assert_eq!(again, bytes, "one encoding only");
        }
    });
}

fn fields(source: &mut &[u8]) -> Result<(u32, u64, Vec<u8>), Error> {
    let format = state::read_header(source, b"coraclkv")?;
    let number = state::read_u64(source)?;
    let text = state::read_bytes(source, usize::MAX)?;
    state::end(source)?;
    Ok((format, number, text))
}

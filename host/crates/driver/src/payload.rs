//! What is inside an entry of kind [`Normal`](coracle_proto::EntryKind::Normal).
//!
//! ```text
//! kind u8 | version u8 | time u64 | seed [32] | body           all little-endian, unpadded
//! Commands:          n u32 | n x (flags u8 | key [16] if 1 | principal u64 if 2) | frame
//! frame:             n u32 | n x (len u32 | bytes)
//! Create, Activate:  a MachineSpec in postcard
//! Checkpoint, Retire: nothing
//! Restore:           digest of the image [32] | fresh u8
//! ```
//!
//! The frame is built once, here, and goes unchanged to the wire, the log and the guest.

use bytes::{BufMut, Bytes, BytesMut};

use crate::task::{Command, HostEntry};
use crate::{Digest, MachineSpec};

/// Commands in one group, at most.
pub const MAX_GROUP_COMMANDS: usize = 256;

/// Bytes of command bodies in one group, at most; a single larger command (up to the limit of its
/// fsm) goes alone.
pub const MAX_GROUP_BYTES: usize = 256 << 10;

/// The version of the framing this build writes, and the only one it reads.
pub const PAYLOAD_VERSION: u8 = 1;

/// Length of what every payload begins with: kind, version, time, seed.
const HEAD: usize = 1 + 1 + 8 + 32;

/// The fewest bytes a body can take in a frame: its length.
const MIN_BODY: usize = 4;

/// The fewest bytes a command can take: its flags, and its body.
const MIN_COMMAND: usize = 1 + MIN_BODY;

const COMMANDS: u8 = 1;
const CREATE: u8 = 2;
const ACTIVATE: u8 = 3;
const CHECKPOINT: u8 = 4;
const RETIRE: u8 = 5;
const RESTORE: u8 = 6;

const HAS_KEY: u8 = 1;
const HAS_PRINCIPAL: u8 = 2;

/// A decoded payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// Nanoseconds since the Unix epoch, as the leader stamped it.
    pub time: u64,
    /// The random bytes the leader drew.
    pub seed: [u8; 32],
    /// What is to be done.
    pub body: Body,
}

/// What a payload asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Apply a group of commands.
    Commands(Group),
    /// Start the state machine; the first entry of its kind in a group counts.
    Create(MachineSpec),
    /// Replace the state machine at this index.
    Activate(MachineSpec),
    /// Take a checkpoint at this index.
    Checkpoint,
    /// Refuse everything from here on.
    Retire,
    /// Replace state and sessions by those of an image.
    Restore {
        /// Digest of the image's file.
        image: Digest,
        /// Only if nothing was applied yet.
        fresh: bool,
    },
}

/// A group of commands: the host's section and the frame of the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    headers: Vec<CommandHeader>,
    bodies: Vec<(u32, u32)>,
    frame: Bytes,
}

/// What the host keeps beside one command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CommandHeader {
    /// Hash of the client's `Idempotency-Key` and its principal; `None`: not deduplicated.
    pub key: Option<[u8; 16]>,
    /// Who asked; 0 until there are principals.
    pub principal: u64,
}

impl Group {
    /// How many commands; never 0.
    pub fn len(&self) -> usize {
        self.headers.len()
    }

    /// Whether there are none: never, an empty group does not decode.
    pub fn is_empty(&self) -> bool {
        self.headers.is_empty()
    }

    /// The host's section.
    pub fn headers(&self) -> &[CommandHeader] {
        &self.headers
    }

    /// The frame exactly as it is in the entry.
    pub fn frame(&self) -> &Bytes {
        &self.frame
    }

    /// The body of the command at `ordinal`; empty if there is none.
    pub fn body(&self, ordinal: usize) -> &[u8] {
        self.bodies
            .get(ordinal)
            .and_then(|&(start, len)| self.frame.get(start as usize..(start + len) as usize))
            .unwrap_or_default()
    }

    /// A frame of only these commands, in this order.
    pub fn frame_of(&self, ordinals: &[usize]) -> Bytes {
        frame_of(ordinals.iter().map(|&ordinal| self.body(ordinal)))
    }
}

/// What is wrong with a payload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// It ends too early.
    #[error("payload: needs {needs} bytes at offset {offset}, has {has}")]
    Short {
        /// Where.
        offset: usize,
        /// How many are needed there.
        needs: usize,
        /// How many are left.
        has: usize,
    },
    /// It goes on after its end.
    #[error("payload: {extra} bytes after its end")]
    Trailing {
        /// How many.
        extra: usize,
    },
    /// This build does not know its version.
    #[error("payload: version {version}, this build reads {PAYLOAD_VERSION}")]
    Version {
        /// What it says.
        version: u8,
    },
    /// This build does not know its kind.
    #[error("payload: unknown kind {kind}")]
    Kind {
        /// What it says.
        kind: u8,
    },
    /// A command has flags this build does not know.
    #[error("payload: unknown flags {flags:#04x} at offset {offset}")]
    Flags {
        /// What it says.
        flags: u8,
        /// Where.
        offset: usize,
    },
    /// The host's section and the frame disagree, or there is no command at all.
    #[error("payload: {headers} commands in the host's section, {bodies} in the frame")]
    Count {
        /// In the host's section.
        headers: u32,
        /// In the frame.
        bodies: u32,
    },
    /// The settings of a state machine do not decode.
    #[error("payload: machine settings: {reason}")]
    Spec {
        /// What the decoder says.
        reason: String,
    },
}

/// The frame of a group of bodies.
pub fn frame_of<'a>(bodies: impl Iterator<Item = &'a [u8]> + Clone) -> Bytes {
    let (count, bytes) = bodies.clone().fold((0u32, 0), |(count, bytes), body| {
        (count + 1, bytes + 4 + body.len())
    });
    let mut out = BytesMut::with_capacity(4 + bytes);
    put_frame(&mut out, count, bodies);
    out.freeze()
}

/// Encodes a group of commands. Bodies are below 4 GiB: the caller has checked its limits.
pub fn encode_commands(time: u64, seed: [u8; 32], commands: &[Command]) -> Bytes {
    let bytes: usize = commands.iter().map(|c| 1 + 16 + 4 + c.body.len()).sum();
    let mut out = BytesMut::with_capacity(HEAD + 8 + bytes);
    put_head(&mut out, COMMANDS, time, seed);
    let count = commands.len() as u32;
    out.put_u32_le(count);
    for command in commands {
        match command.key {
            Some(key) => {
                out.put_u8(HAS_KEY);
                out.put_slice(&key);
            }
            None => out.put_u8(0),
        }
    }
    put_frame(&mut out, count, commands.iter().map(|c| c.body.as_ref()));
    out.freeze()
}

/// Encodes an entry of the host itself.
pub fn encode_host(time: u64, seed: [u8; 32], entry: &HostEntry) -> Bytes {
    let mut out = BytesMut::with_capacity(HEAD);
    let (kind, spec) = match entry {
        HostEntry::Create(spec) => (CREATE, Some(spec)),
        HostEntry::Activate(spec) => (ACTIVATE, Some(spec)),
        HostEntry::Checkpoint => (CHECKPOINT, None),
        HostEntry::Retire => (RETIRE, None),
        HostEntry::Restore { .. } => (RESTORE, None),
    };
    put_head(&mut out, kind, time, seed);
    if let Some(spec) = spec {
        let encoded = postcard::to_stdvec(spec).expect("invariant: plain data encodes into a Vec");
        out.put_slice(&encoded);
    }
    if let HostEntry::Restore { image, fresh } = entry {
        out.put_slice(&image.0);
        out.put_u8(u8::from(*fresh));
    }
    out.freeze()
}

/// The time stamped into a payload, without decoding the rest.
pub fn time_of(payload: &[u8]) -> Result<u64, PayloadError> {
    let mut reader = Reader {
        data: payload,
        at: 0,
    };
    reader.head().map(|(_, time, _)| time)
}

/// Decodes a payload; bodies stay where they are.
pub fn decode(payload: &Bytes) -> Result<Payload, PayloadError> {
    let mut reader = Reader {
        data: payload,
        at: 0,
    };
    let (kind, time, seed) = reader.head()?;
    let body = match kind {
        COMMANDS => Body::Commands(group(payload, &mut reader)?),
        CREATE => Body::Create(reader.spec()?),
        ACTIVATE => Body::Activate(reader.spec()?),
        CHECKPOINT => Body::Checkpoint,
        RETIRE => Body::Retire,
        RESTORE => reader.restore()?,
        kind => return Err(PayloadError::Kind { kind }),
    };
    reader.end()?;
    Ok(Payload { time, seed, body })
}

fn put_head(out: &mut BytesMut, kind: u8, time: u64, seed: [u8; 32]) {
    out.put_u8(kind);
    out.put_u8(PAYLOAD_VERSION);
    out.put_u64_le(time);
    out.put_slice(&seed);
}

fn put_frame<'a>(out: &mut BytesMut, count: u32, bodies: impl Iterator<Item = &'a [u8]>) {
    out.put_u32_le(count);
    for body in bodies {
        out.put_u32_le(body.len() as u32);
        out.put_slice(body);
    }
}

fn group(payload: &Bytes, reader: &mut Reader<'_>) -> Result<Group, PayloadError> {
    let headers = reader.headers()?;
    let start = reader.at;
    let bodies = reader.bodies(headers.len() as u32)?;
    Ok(Group {
        headers,
        bodies,
        frame: payload.slice(start..reader.at),
    })
}

struct Reader<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn left(&self) -> usize {
        self.data.len() - self.at
    }

    fn take(&mut self, needs: usize) -> Result<&'a [u8], PayloadError> {
        let (offset, has) = (self.at, self.left());
        let taken = self
            .data
            .get(offset..)
            .and_then(|rest| rest.get(..needs))
            .ok_or(PayloadError::Short { offset, needs, has })?;
        self.at += needs;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PayloadError> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    fn u32(&mut self) -> Result<u32, PayloadError> {
        self.array().map(u32::from_le_bytes)
    }

    fn head(&mut self) -> Result<(u8, u64, [u8; 32]), PayloadError> {
        let [kind, version] = self.array()?;
        if version != PAYLOAD_VERSION {
            return Err(PayloadError::Version { version });
        }
        Ok((kind, u64::from_le_bytes(self.array()?), self.array()?))
    }

    fn headers(&mut self) -> Result<Vec<CommandHeader>, PayloadError> {
        let count = self.u32()?;
        // A count that cannot be true must not reserve memory.
        let mut headers = Vec::with_capacity((count as usize).min(self.left() / MIN_COMMAND));
        for _ in 0..count {
            headers.push(self.header()?);
        }
        Ok(headers)
    }

    fn header(&mut self) -> Result<CommandHeader, PayloadError> {
        let offset = self.at;
        let [flags] = self.array()?;
        if flags & !(HAS_KEY | HAS_PRINCIPAL) != 0 {
            return Err(PayloadError::Flags { flags, offset });
        }
        let mut header = CommandHeader::default();
        if flags & HAS_KEY != 0 {
            header.key = Some(self.array()?);
        }
        if flags & HAS_PRINCIPAL != 0 {
            header.principal = u64::from_le_bytes(self.array()?);
        }
        Ok(header)
    }

    fn bodies(&mut self, headers: u32) -> Result<Vec<(u32, u32)>, PayloadError> {
        let start = self.at;
        let bodies = self.u32()?;
        if headers != bodies || bodies == 0 {
            return Err(PayloadError::Count { headers, bodies });
        }
        let mut spans = Vec::with_capacity((bodies as usize).min(self.left() / MIN_BODY));
        for _ in 0..bodies {
            let len = self.u32()?;
            spans.push(((self.at - start) as u32, len));
            self.take(len as usize)?;
        }
        Ok(spans)
    }

    fn spec(&mut self) -> Result<MachineSpec, PayloadError> {
        let rest = self.take(self.left())?;
        let (spec, extra) =
            postcard::take_from_bytes(rest).map_err(|error| PayloadError::Spec {
                reason: error.to_string(),
            })?;
        self.at -= extra.len();
        Ok(spec)
    }

    fn restore(&mut self) -> Result<Body, PayloadError> {
        let image = Digest(self.array()?);
        let offset = self.at;
        match self.array()? {
            [fresh @ (0 | 1)] => Ok(Body::Restore {
                image,
                fresh: fresh == 1,
            }),
            [flags] => Err(PayloadError::Flags { flags, offset }),
        }
    }

    fn end(&self) -> Result<(), PayloadError> {
        match self.left() {
            0 => Ok(()),
            extra => Err(PayloadError::Trailing { extra }),
        }
    }
}

#[cfg(test)]
mod tests;

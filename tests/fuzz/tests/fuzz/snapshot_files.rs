//! Snapshot files: on a disk that damages them, and on their way from a peer.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use coracle_driver::{Digest, Disk as _, Section, SnapshotError, SnapshotReader, Snapshots};
use coracle_fuzz::{Tape, damaged, within};
use coracle_log::{MemoryDisk, SnapshotFiles};
use coracle_proto::{GroupId, LogId};

const G: GroupId = GroupId(3);
const LAST: LogId = LogId { term: 2, index: 9 };
const FOLDER: &str = "snapshots";

/// What reading a file may take besides the file itself, which is in memory here.
const SLACK: usize = 1 << 20;

/// Bytes of a trailer; the last four are its checksum.
const TRAILER: usize = 45;

/// Another digest in the trailer, with a checksum that is right.
fn forge(tape: &mut Tape<'_>, bytes: &mut [u8]) {
    let Some(start) = bytes.len().checked_sub(TRAILER) else {
        return;
    };
    let trailer = &mut bytes[start..];
    trailer[9 + tape.below(32)] ^= 1 << (tape.byte() % 8);
    let sum = crc32c::crc32c(&trailer[..TRAILER - 4]);
    trailer[TRAILER - 4..].copy_from_slice(&sum.to_le_bytes());
}

/// The file, damaged by a disk or changed by somebody.
fn changed(tape: &mut Tape<'_>, good: &Good) -> Vec<u8> {
    let forged = tape.byte() < 16;
    let mut bytes = damaged(tape, good.bytes.clone());
    if forged {
        forge(tape, &mut bytes);
    }
    bytes
}

struct Good {
    disk: MemoryDisk,
    files: SnapshotFiles,
    path: PathBuf,
    digest: Digest,
    bytes: Vec<u8>,
    header: Vec<u8>,
    sections: [Vec<u8>; 2],
}

fn good(header: usize, sessions: usize, state: usize) -> Good {
    let disk = MemoryDisk::new();
    let files = SnapshotFiles::open(Arc::new(disk.clone()), Path::new(FOLDER)).expect("opens");
    let noise = |len: usize, salt: usize| -> Vec<u8> {
        (0..len)
            .map(|at| (at * 31 + (at >> 7) + salt) as u8)
            .collect()
    };
    let header = noise(header, 1);
    let sections = [noise(sessions, 2), noise(state, 3)];
    let mut writer = files.create(G, LAST, &header).expect("is created");
    for (section, bytes) in [Section::Sessions, Section::State]
        .into_iter()
        .zip(&sections)
    {
        for part in bytes.chunks(1000) {
            writer.write(section, part).expect("is written");
        }
    }
    let digest = writer.finish().expect("is finished");
    let mut reader = files.open(G, LAST, &digest).expect("is there");
    let mut bytes = vec![0; reader.file_len() as usize];
    reader.read_raw(0, &mut bytes).expect("is read");
    let listed = disk.list(Path::new(FOLDER)).expect("is listed");
    let path = listed.into_iter().next().expect("one file");
    Good {
        disk,
        files,
        path,
        digest,
        bytes,
        header,
        sections,
    }
}

fn seeds() -> Vec<Good> {
    vec![good(0, 0, 0), good(50, 300, 4000), good(200, 0, 150_000)]
}

fn all(reader: &mut dyn SnapshotReader, section: Section) -> Result<Vec<u8>, SnapshotError> {
    let mut all = Vec::new();
    loop {
        let part = reader.read(section, 700)?;
        if part.is_empty() {
            return Ok(all);
        }
        all.extend(part);
    }
}

#[test]
fn damaged_snapshot() {
    let seeds = seeds();
    fuzz!(10_000, 100, |tape: &[u8]| {
        let mut tape = Tape::new(tape);
        let good = tape.pick(&seeds);
        let bytes = changed(&mut tape, good);
        let whole = bytes == good.bytes;
        good.disk.restore(&good.path, &bytes);
        within(SLACK + 2 * bytes.len(), || {
            let verified = good.files.verify(G, LAST, &good.digest).is_ok();
            assert_eq!(verified, whole, "only the file that was written is sound");
            let Ok(mut reader) = good.files.open(G, LAST, &good.digest) else {
                return;
            };
            if let Ok(sessions) = all(&mut *reader, Section::Sessions) {
                assert!(good.sections[0].starts_with(&sessions) || !verified);
            }
            let state = all(&mut *reader, Section::State);
            assert!(state.is_ok_and(|state| state == good.sections[1]) || !verified);
        });
    });
}

#[test]
fn received_snapshot() {
    let seeds = seeds();
    fuzz!(10_000, 100, |tape: &[u8]| {
        let mut tape = Tape::new(tape);
        let good = tape.pick(&seeds);
        let bytes = changed(&mut tape, good);
        let disk = MemoryDisk::new();
        let folder = Path::new(FOLDER);
        let files = SnapshotFiles::open(Arc::new(disk), folder).expect("opens");
        let offered = tape.flag();
        let cut = tape.below(bytes.len() + 1);
        let received = receive(&files, good, &bytes, cut, offered);
        assert_eq!(received.is_ok(), bytes == good.bytes, "{received:?}");
        match received {
            Ok((digest, header)) => {
                assert_eq!((digest, header), (good.digest, good.header.clone()));
                files
                    .verify(G, LAST, &good.digest)
                    .expect("it is there, and sound");
            }
            Err(_) => assert_eq!(files.newest(G).expect("is listed"), None, "no name"),
        }
    });
}

/// The bytes in two parts; offered, the connection breaks between them and the rest is resumed.
fn receive(
    files: &SnapshotFiles,
    good: &Good,
    bytes: &[u8],
    cut: usize,
    offered: bool,
) -> Result<(Digest, Vec<u8>), SnapshotError> {
    let cut = cut.min(bytes.len());
    if !offered {
        let mut receiver = files.receive(G)?;
        receiver.write(&bytes[..cut])?;
        receiver.write(&bytes[cut..])?;
        return receiver.finish(None);
    }
    let (mut receiver, kept) = files.resume(G, LAST, &good.digest)?;
    assert_eq!(kept, 0, "nothing is there yet");
    receiver.write(&bytes[..cut])?;
    drop(receiver);
    let (mut receiver, kept) = files.resume(G, LAST, &good.digest)?;
    assert_eq!(kept, cut as u64, "what came stays");
    receiver.write(&bytes[cut..])?;
    receiver.finish(Some((LAST, good.digest)))
}

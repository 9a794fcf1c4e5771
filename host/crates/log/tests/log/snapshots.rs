//! Snapshot files.

use std::path::Path;
use std::sync::Arc;

use coracle_driver::{
    Digest, Disk, Section, SnapshotError, SnapshotReader, SnapshotRef, Snapshots,
};
use coracle_log::{Fault, MAX_PARTIAL_FILES, MemoryDisk, SnapshotFiles};
use coracle_proto::{GroupId, LogId};

use crate::fixture::configuration;

const G: GroupId = GroupId(3);

fn files(disk: &MemoryDisk) -> SnapshotFiles {
    SnapshotFiles::open(Arc::new(disk.clone()), Path::new("snapshots")).unwrap()
}

fn at(index: u64) -> LogId {
    LogId { term: 2, index }
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 % 251) as u8).collect()
}

fn written(files: &SnapshotFiles, index: u64, len: usize) -> Digest {
    let mut writer = files.create(G, at(index), b"header").unwrap();
    writer.write(Section::Sessions, b"one ").unwrap();
    writer.write(Section::Sessions, b"two").unwrap();
    for part in bytes(len).chunks(1000) {
        writer.write(Section::State, part).unwrap();
    }
    writer.finish().unwrap()
}

fn section(reader: &mut dyn SnapshotReader, section: Section) -> Result<Vec<u8>, SnapshotError> {
    let mut all = Vec::new();
    loop {
        let part = reader.read(section, 777)?;
        if part.is_empty() {
            return Ok(all);
        }
        all.extend(part);
    }
}

fn raw(reader: &mut dyn SnapshotReader) -> Vec<u8> {
    let mut bytes = vec![0; reader.file_len() as usize];
    reader.read_raw(0, &mut bytes).unwrap();
    bytes
}

fn listed(disk: &MemoryDisk) -> Vec<String> {
    let files = disk.list(Path::new("snapshots")).unwrap();
    files
        .iter()
        .map(|file| file.display().to_string())
        .collect()
}

#[test]
fn what_was_written_is_read() {
    let disk = MemoryDisk::new();
    let files = files(&disk);
    let digest = written(&files, 5, 200_000);
    disk.crash(1);
    let mut reader = files.open(G, at(5), &digest).unwrap();
    assert_eq!(reader.header(), b"header");
    assert_eq!(
        section(&mut *reader, Section::Sessions).unwrap(),
        b"one two"
    );
    assert_eq!(
        section(&mut *reader, Section::State).unwrap(),
        bytes(200_000)
    );
    let mut reader = files.open(G, at(5), &digest).unwrap();
    assert_eq!(
        section(&mut *reader, Section::State).unwrap(),
        bytes(200_000)
    );
    assert!(section(&mut *reader, Section::Sessions).unwrap().is_empty());
}

#[test]
fn equal_contents_have_equal_digests_and_names_say_what_is_inside() {
    let disk = MemoryDisk::new();
    let files = files(&disk);
    let digest = written(&files, 5, 3000);
    assert_eq!(written(&files, 5, 3000), digest);
    let prefix = &digest.to_string()[..16];
    let name = format!("snapshots/g3-00000000000000000005-2-{prefix}.snapshot");
    assert_eq!(listed(&disk), [name]);
}

#[test]
fn nothing_has_a_name_before_it_is_whole() {
    let whole = MemoryDisk::new();
    written(&files(&whole), 5, 70_000);
    for operations in 0..whole.operations() {
        let disk = MemoryDisk::new();
        disk.fail_after(operations, Fault::Crash);
        let outcome = (|| {
            let files = SnapshotFiles::open(Arc::new(disk.clone()), Path::new("snapshots"))?;
            let mut writer = files.create(G, at(5), b"header")?;
            writer.write(Section::State, &bytes(70_000))?;
            writer.finish()
        })();
        disk.crash(operations);
        let files = files(&disk);
        match (&listed(&disk)[..], outcome) {
            ([], Err(_)) => {}
            ([name], outcome) => {
                assert!(name.ends_with(".snapshot"), "{name}");
                if let Ok(digest) = outcome {
                    let mut reader = files.open(G, at(5), &digest).unwrap();
                    assert_eq!(
                        section(&mut *reader, Section::State).unwrap(),
                        bytes(70_000)
                    );
                }
            }
            (names, outcome) => panic!("{operations}: {names:?}, {outcome:?}"),
        }
    }
}

#[test]
fn a_file_travels_as_raw_bytes() {
    let (here, there) = (files(&MemoryDisk::new()), files(&MemoryDisk::new()));
    let digest = written(&here, 5, 100_000);
    let sent = raw(&mut *here.open(G, at(5), &digest).unwrap());
    let mut receiver = there.receive(G).unwrap();
    for part in sent.chunks(4096) {
        receiver.write(part).unwrap();
    }
    assert_eq!(receiver.finish(None).unwrap(), (digest, b"header".to_vec()));
    let mut reader = there.open(G, at(5), &digest).unwrap();
    assert_eq!(
        section(&mut *reader, Section::State).unwrap(),
        bytes(100_000)
    );
}

#[test]
fn a_received_file_that_is_not_the_offered_one_gets_no_name() {
    let (here, disk) = (files(&MemoryDisk::new()), MemoryDisk::new());
    let there = files(&disk);
    let digest = written(&here, 5, 100);
    let sent = raw(&mut *here.open(G, at(5), &digest).unwrap());
    for offered in [(at(6), digest), (at(5), Digest([9; 32]))] {
        let mut receiver = there.receive(G).unwrap();
        receiver.write(&sent).unwrap();
        receiver.finish(Some(offered)).unwrap_err();
        assert!(there.open(G, at(5), &digest).is_err());
    }
    assert_eq!(there.list(G).unwrap(), []);
}

#[test]
fn an_image_arrives_in_parts_and_is_named_only_if_it_is_the_right_one() {
    let (here, there) = (files(&MemoryDisk::new()), files(&MemoryDisk::new()));
    let digest = written(&here, 5, 10_000);
    let sent = raw(&mut *here.open(G, at(5), &digest).unwrap());
    let (one, two) = sent.split_at(4000);

    assert_eq!(there.add_to_image(&digest, 0, one).unwrap(), 4000);
    // A part that came twice, and one that is ahead.
    assert_eq!(there.add_to_image(&digest, 0, one).unwrap(), 4000);
    assert_eq!(there.add_to_image(&digest, 9000, two).unwrap(), 4000);
    assert!(there.open_image(&digest).is_err());
    there.add_to_image(&digest, 4000, two).unwrap();
    assert_eq!(there.finish_image(&digest).unwrap().last, at(5));
    assert!(there.has_image(&digest));

    // The same bytes under another name.
    let other = Digest([3; 32]);
    there.add_to_image(&other, 0, &sent).unwrap();
    there.finish_image(&other).unwrap_err();
    assert!(!there.has_image(&other));
    there.retain_images(&[]).unwrap();
    assert!(!there.has_image(&digest));
}

#[test]
fn as_many_older_files_stay_as_are_asked_for_and_none_of_a_group_that_is_not_hosted() {
    let files = files(&MemoryDisk::new());
    let digests: Vec<_> = (1..=4).map(|index| written(&files, index, 10)).collect();
    let newest = SnapshotRef {
        last: at(4),
        configuration: configuration(0),
        digest: digests[3],
    };
    let left = || {
        let found = files.list(G).unwrap();
        found.iter().map(|it| it.last.index).collect::<Vec<_>>()
    };

    files.retain(G, std::slice::from_ref(&newest), 2).unwrap();
    assert_eq!(left(), [2, 3, 4]);
    files.retain(G, &[newest], 0).unwrap();
    assert_eq!(left(), [4]);
    files.retain_groups(|group| group == G).unwrap();
    assert_eq!(left(), [4]);
    files.retain_groups(|group| group != G).unwrap();
    assert_eq!(left(), [0; 0]);
}

#[test]
fn a_received_file_with_any_byte_wrong_is_refused_and_leaves_nothing() {
    let here = files(&MemoryDisk::new());
    let digest = written(&here, 5, 900);
    let sent = raw(&mut *here.open(G, at(5), &digest).unwrap());
    let disk = MemoryDisk::new();
    let there = files(&disk);
    let receive = |group, bytes: &[u8]| {
        let mut receiver = there.receive(group).unwrap();
        receiver.write(bytes).unwrap();
        receiver.finish(None).unwrap_err()
    };
    for at in 0..sent.len() {
        let mut bytes = sent.clone();
        bytes[at] ^= 4;
        assert!(matches!(receive(G, &bytes), SnapshotError::Damaged { .. }));
    }
    for len in [0, 10, 60, sent.len() - 1] {
        assert!(matches!(
            receive(G, &sent[..len]),
            SnapshotError::Damaged { .. }
        ));
    }
    let longer = [&sent[..], b"x"].concat();
    assert!(matches!(receive(G, &longer), SnapshotError::Damaged { .. }));
    let error = receive(GroupId(9), &sent).to_string();
    assert!(error.contains("a snapshot of g3, not of g9"), "{error}");
    assert!(listed(&disk).is_empty());
}

#[test]
fn a_damaged_chunk_is_found_when_it_is_read_and_the_file_is_named() {
    let disk = MemoryDisk::new();
    let files = files(&disk);
    let digest = written(&files, 5, 200_000);
    let name = listed(&disk).remove(0);
    disk.flip_bit(Path::new(&name), 150_000 * 8);
    let mut reader = files.open(G, at(5), &digest).unwrap();
    let error = section(&mut *reader, Section::State).unwrap_err();
    assert!(error.to_string().contains(&name), "{error}");
}

#[test]
fn a_cut_or_missing_file_is_told_apart() {
    let disk = MemoryDisk::new();
    let files = files(&disk);
    let digest = written(&files, 5, 2000);
    let name = listed(&disk).remove(0);
    let file = disk.open(Path::new(&name), false).unwrap();
    file.set_len(1500).unwrap();
    let cut = files.open(G, at(5), &digest).unwrap_err();
    assert!(matches!(cut, SnapshotError::Damaged { .. }), "{cut}");
    let missing = files.open(G, at(6), &digest).unwrap_err();
    assert!(
        matches!(missing, SnapshotError::Missing { .. }),
        "{missing}"
    );
}

#[test]
fn only_the_files_named_and_newer_ones_are_kept() {
    let disk = MemoryDisk::new();
    let files = files(&disk);
    let digests = [5, 6, 7].map(|index| written(&files, index, 100));
    let unfinished = files.create(G, at(8), b"").unwrap();
    let mut other = files.create(GroupId(33), at(1), b"").unwrap();
    other.write(Section::State, b"x").unwrap();
    other.finish().unwrap();
    let keep = SnapshotRef {
        last: at(6),
        configuration: configuration(0),
        digest: digests[1],
    };
    files.retain(G, &[keep], 0).unwrap();
    assert!(files.open(G, at(6), &digests[1]).is_ok());
    assert!(files.open(G, at(5), &digests[0]).is_err());
    assert!(files.open(G, at(7), &digests[2]).is_ok());
    unfinished.finish().unwrap();
    assert_eq!(listed(&disk).len(), 4);
    files.retain(G, &[], 0).unwrap();
    assert_eq!(listed(&disk).len(), 1);
}

#[test]
fn sections_are_written_in_order() {
    let files = files(&MemoryDisk::new());
    let mut writer = files.create(G, at(1), b"").unwrap();
    writer.write(Section::State, b"x").unwrap();
    assert!(writer.write(Section::Sessions, b"y").is_err());
}

#[test]
fn the_state_digest_is_that_of_the_state_alone() {
    let files = files(&MemoryDisk::new());
    let digest = |header: &[u8], parts: [&[u8]; 2]| {
        let mut writer = files.create(G, at(1), header).unwrap();
        writer.write(Section::Sessions, header).unwrap();
        parts
            .iter()
            .for_each(|part| writer.write(Section::State, part).unwrap());
        writer.state_digest()
    };
    assert_eq!(
        digest(b"a", [b"one", b"two"]),
        digest(b"b", [b"onetw", b"o"])
    );
    assert_ne!(
        digest(b"a", [b"one", b"two"]),
        digest(b"a", [b"one", b"six"])
    );
}

fn partial(files: &SnapshotFiles, group: u64, index: u64, digest: &Digest, bytes: &[u8]) -> u64 {
    let (mut receiver, had) = files.resume(GroupId(group), at(index), digest).unwrap();
    receiver.write(bytes).unwrap();
    had
}

fn partials(disk: &MemoryDisk) -> usize {
    let kept = listed(disk);
    kept.iter().filter(|it| it.ends_with(".partial")).count()
}

#[test]
fn a_file_that_broke_off_is_gone_on_with_even_after_a_restart() {
    let (here, there) = (MemoryDisk::new(), MemoryDisk::new());
    let sender = files(&here);
    let digest = written(&sender, 9, 5000);
    let all = raw(&mut *sender.open(G, at(9), &digest).unwrap());
    assert_eq!(partial(&files(&there), 3, 9, &digest, &all[..2000]), 0);

    let receiver = files(&there);
    let (mut rest, had) = receiver.resume(G, at(9), &digest).unwrap();

    assert_eq!(had, 2000);
    let (mut other, none) = receiver.resume(G, at(9), &digest).unwrap();
    assert_eq!(none, 0, "one at a time goes on with it");
    other.write(b"of another sender").unwrap();
    drop(other);
    rest.write(&all[2000..]).unwrap();
    assert_eq!(rest.finish(None).unwrap().0, digest);
    assert_eq!(partials(&there), 0);
    assert_eq!(receiver.newest(G).unwrap(), Some((at(9), digest)));
    assert_eq!(receiver.newest(GroupId(4)).unwrap(), None);
}

#[test]
fn a_partial_file_that_turns_out_wrong_is_not_gone_on_with_again() {
    let disk = MemoryDisk::new();
    let files = files(&disk);
    let digest = Digest([7; 32]);
    let (mut receiver, _) = files.resume(G, at(9), &digest).unwrap();
    receiver.write(&bytes(3000)).unwrap();

    receiver.finish(None).unwrap_err();

    assert_eq!(partials(&disk), 0);
    assert_eq!(partial(&files, 3, 9, &digest, b"again"), 0);
}

#[test]
fn partial_files_are_few_and_go_when_something_newer_comes() {
    let disk = MemoryDisk::new();
    let files = files(&disk);
    let digest = Digest([7; 32]);
    for group in 10..10 + 3 * MAX_PARTIAL_FILES as u64 {
        partial(&files, group, 9, &digest, b"some");
    }
    assert_eq!(partials(&disk), MAX_PARTIAL_FILES);

    let last = 9 + 3 * MAX_PARTIAL_FILES as u64;
    partial(&files, last, 12, &digest, b"newer");
    assert_eq!(partials(&disk), MAX_PARTIAL_FILES, "one per group");
    assert_eq!(partial(&files, last, 12, &digest, b" and more"), 5);
    files.retain(GroupId(last), &[], 0).unwrap();
    assert_eq!(partials(&disk), MAX_PARTIAL_FILES - 1);
}

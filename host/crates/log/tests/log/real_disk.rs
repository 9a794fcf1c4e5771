//! The operating system's disk.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use coracle_driver::{Disk, Log, LogReader};
use coracle_log::{RealDisk, Store};
use coracle_proto::GroupId;

use crate::fixture::*;

#[test]
fn a_store_on_a_real_folder_is_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let disk = || Arc::new(RealDisk::open(folder.path()).unwrap());
    let (mut store, reader, _) = Store::open(disk(), options()).unwrap();
    store
        .commit(&[host(1, 0), append(1, entries(1, 1..=5, 100))])
        .unwrap();
    store.close().unwrap();
    drop((store, reader));
    let (_store, reader, _) = Store::open(disk(), options()).unwrap();
    let all = reader.entries(GroupId(1), 1, 5, usize::MAX).unwrap();
    assert_eq!(all, entries(1, 1..=5, 100));
}

#[test]
fn a_folder_has_one_user_until_its_last_file_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let disk = RealDisk::open(folder.path()).unwrap();
    let file = disk.open(Path::new("a"), true).unwrap();
    drop(disk);
    let error = RealDisk::open(folder.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ResourceBusy);
    assert!(error.to_string().contains("in use"), "{error}");
    drop(file);
    RealDisk::open(folder.path()).unwrap();
}

#[test]
fn both_disks_name_files_alike() {
    let folder = tempfile::tempdir().unwrap();
    let real = RealDisk::open(folder.path()).unwrap();
    for disk in [&real as &dyn Disk, &coracle_log::MemoryDisk::new()] {
        disk.create_dir(Path::new("x/y")).unwrap();
        for name in ["x/y/b", "x/y/a", "x/c"] {
            disk.open(Path::new(name), true)
                .unwrap()
                .write_at(3, b"abc")
                .unwrap();
        }
        disk.rename(Path::new("x/y/b"), Path::new("x/y/d")).unwrap();
        disk.sync_dir(Path::new("x/y")).unwrap();
        disk.sync_dir(Path::new("")).unwrap();
        let files = disk.list(Path::new("x/y")).unwrap();
        assert_eq!(files, ["x/y/a", "x/y/d"].map(PathBuf::from));
        assert_eq!(disk.list(Path::new("none")).unwrap(), Vec::<PathBuf>::new());
        let file = disk.open(Path::new("x/y/d"), false).unwrap();
        let mut bytes = [9; 6];
        file.read_at(0, &mut bytes).unwrap();
        assert_eq!(&bytes, b"\0\0\0abc");
        let error = file.read_at(3, &mut bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        let error = disk.open(Path::new("x/none"), false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}

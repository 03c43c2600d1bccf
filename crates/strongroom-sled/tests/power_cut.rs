//! A power cut at any point loses nothing that was acknowledged and leaves no batch by half.
//!
//! The test makes an ext4 file system in a file, mounts it, lets a writer work on it and shuts the file system down
//! without writing its journal (`EXT4_IOC_SHUTDOWN`). What is in memory alone is then gone, as if power had failed.
//! It needs root, loop devices, `mkfs.ext4`, `mount` and Python 3. Where they are missing it fails; leave it out by name:
//! `cargo test -- --skip power_cut`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // A test may stop at what it did not expect.

mod writer;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use writer::{LARGE, Load, MIXED, Random, Writer, Written};

/// Not a rule: the process whose power is cut.
#[test]
fn writer_process() {
    writer::serve();
}

#[test]
fn a_power_cut_keeps_every_acknowledged_batch_whole() {
    cut_and_check(MIXED, 6, 300);
}

#[test]
fn a_power_cut_keeps_every_acknowledged_large_batch_whole() {
    cut_and_check(LARGE, 6, 12);
}

#[test]
fn a_vault_whose_power_is_cut_is_whole() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::create(directory.path());
    let mut random = Random::new(1);
    for _ in 0..6 {
        let mount = disk.mount();
        let store = mount.path.join("store");
        let mut writer = Writer::start_on_vault(&store);
        let mut written = Written::default();
        for _ in 0..1 + random.next() % 20 {
            writer.next(&mut written);
        }
        mount.cut_power();
        writer.kill(&mut written);
        drop(mount);
        let mount = disk.mount();
        writer::vault::check(&mount.path.join("store"));
    }
}

fn cut_and_check(load: Load, rounds: u64, acks_max: u64) {
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::create(directory.path());
    let mut written = Written::default();
    let mut random = Random::new(rounds);
    for _ in 0..rounds {
        let mount = disk.mount();
        let store = mount.path.join("store");
        let mut writer = Writer::start(&store, load);
        for _ in 0..1 + random.next() % acks_max {
            writer.next(&mut written);
        }
        mount.cut_power();
        writer.kill(&mut written);
        drop(mount);
        let mount = disk.mount();
        written.check(&mount.path.join("store"), load);
    }
    assert!(written.len() > rounds);
    let segments = std::fs::metadata(disk.mount().path.join("store/db")).unwrap().len() >> 23;
    assert!(segments > 1, "all of it fitted into {segments} segments");
}

/// A file that holds a file system.
struct Disk {
    image: PathBuf,
    mount_point: PathBuf,
}

impl Disk {
    fn create(directory: &Path) -> Self {
        let disk = Self { image: directory.join("image"), mount_point: directory.join("mounted") };
        File::create(&disk.image).unwrap().set_len(IMAGE_LEN).unwrap();
        std::fs::create_dir(&disk.mount_point).unwrap();
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&disk.image));
        disk
    }

    fn mount(&self) -> Mount {
        run(Command::new("mount").args(["-o", "loop"]).arg(&self.image).arg(&self.mount_point));
        Mount { path: self.mount_point.clone() }
    }
}

/// The mounted file system; the loop device goes with it.
struct Mount {
    path: PathBuf,
}

impl Mount {
    fn cut_power(&self) {
        run(Command::new("python3").args(["-c", SHUTDOWN]).arg(&self.path));
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(&self.path).output();
        if unmounted.is_ok_and(|output| output.status.success()) {
            return;
        }
        // A failed test may leave a process behind that still holds a file.
        let _ = Command::new("umount").arg("--lazy").arg(&self.path).output();
        if !std::thread::panicking() {
            panic!("the file system could not be unmounted");
        }
    }
}

fn run(command: &mut Command) {
    let failure = match command.output() {
        Ok(Output { status, .. }) if status.success() => return,
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    panic!(
        "{command:?}: {failure}\nThis test needs root and loop devices; leave it out with `--skip power_cut`."
    );
}

/// `EXT4_IOC_SHUTDOWN` with `EXT4_GOING_FLAGS_NOLOGFLUSH`, in a language that may call it without `unsafe`.
const SHUTDOWN: &str = "import fcntl, os, struct, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack('I', 2))";

const IMAGE_LEN: u64 = 1 << 30;

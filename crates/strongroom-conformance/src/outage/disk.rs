//! A file system in a file, whose power can be cut.

use std::fs::{File, create_dir};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A file that holds a file system.
pub(super) struct Disk {
    image: PathBuf,
    mount_point: PathBuf,
}

impl Disk {
    pub(super) fn create(directory: &Path) -> Self {
        let disk = Self { image: directory.join("image"), mount_point: directory.join("mounted") };
        let image = File::create(&disk.image).expect("there is room for temporary files");
        image.set_len(IMAGE_LEN).expect("a file can be sparse");
        create_dir(&disk.mount_point).expect("there is room for temporary files");
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&disk.image));
        disk
    }

    pub(super) fn mount(&self) -> Mount {
        run(Command::new("mount").args(["-o", "loop"]).arg(&self.image).arg(&self.mount_point));
        Mount { path: self.mount_point.clone() }
    }
}

/// The mounted file system; the loop device goes with it.
pub(super) struct Mount {
    path: PathBuf,
}

impl Mount {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn cut_power(&self) {
        run(Command::new("python3").args(["-c", SHUTDOWN]).arg(&self.path));
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Threads of a backend may hold a file for a moment after their store has gone.
        for _ in 0..UNMOUNTS_MAX {
            let unmounted = Command::new("umount").arg(&self.path).output();
            if unmounted.is_ok_and(|output| output.status.success()) {
                return;
            }
        }
        // A failed test may leave a process behind that still holds one.
        let _ = Command::new("umount").arg("--lazy").arg(&self.path).output();
        assert!(std::thread::panicking(), "the file system could not be unmounted");
    }
}

fn run(command: &mut Command) {
    let failure = match command.output() {
        Ok(Output { status, .. }) if status.success() => return,
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    unreachable!(
        "{command:?}: {failure}\nThis test needs root and loop devices; leave it out with `--skip power_cut`."
    );
}

/// `EXT4_IOC_SHUTDOWN` with `EXT4_GOING_FLAGS_NOLOGFLUSH`, in a language that may call it without `unsafe`.
const SHUTDOWN: &str = "import fcntl, os, struct, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack('I', 2))";

const IMAGE_LEN: u64 = 1 << 30;

/// Each takes milliseconds.
const UNMOUNTS_MAX: u32 = 500;

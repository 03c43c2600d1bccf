//! A test program that starts itself again, and what the second process says.

use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};

#[cfg(unix)]
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

/// The number of the newest acknowledged batch or step of each thread.
pub(crate) type Acks = BTreeMap<u64, u64>;

/// A running writer.
pub(crate) struct Writer {
    child: Child,
    lines: BufReader<ChildStderr>,
    acks: Acks,
}

impl Writer {
    /// Starts this very test program as a writer. It must have a test `writer_process` that serves.
    pub(crate) fn start(path: &Path, job: &str) -> Self {
        let program = env::current_exe().expect("the test program has a path");
        let mut child = Command::new(program)
            .args(["writer_process", "--exact", "--nocapture"])
            .env(PATH_VARIABLE, path)
            .env(JOB_VARIABLE, job)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the test program starts again");
        let lines = BufReader::new(child.stderr.take().expect("standard error is piped"));
        Self { child, lines, acks: Acks::new() }
    }

    /// Waits for the next so many acknowledgements.
    pub(crate) fn listen(&mut self, acks: u64) {
        for _ in 0..acks {
            let mut line = String::new();
            self.lines.read_line(&mut line).expect("the writer speaks UTF-8");
            assert!(
                !line.is_empty(),
                "the writer said nothing: the file needs a test `writer_process`, in no module"
            );
            assert!(ack(&line).is_some(), "the writer said: {line}{}", self.rest());
            self.acks.extend(ack(&line));
        }
    }

    /// Waits until the writer says the line.
    pub(crate) fn hear(&mut self, expected: &str) {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("the writer speaks UTF-8");
        assert!(line.trim_end() == expected, "the writer said: {line}{}", self.rest());
    }

    /// Every further line of a writer that ends by itself.
    pub(crate) fn said(mut self) -> Vec<String> {
        let said = self.lines.by_ref().lines().map(|line| line.expect("the writer speaks UTF-8")).collect();
        self.child.wait().expect("the writer ends");
        said
    }

    /// The other lines of a writer that ends by itself.
    fn rest(&mut self) -> String {
        let _ = self.child.kill();
        std::io::read_to_string(&mut self.lines).unwrap_or_default()
    }

    /// Stops every thread of the writer where it is. Returns when the last one has come to rest, which none does inside
    /// a sync.
    #[cfg(unix)]
    pub(crate) fn stop(&self) {
        let writer = Pid::from_child(&self.child);
        kill_process(writer, Signal::STOP).expect("the writer runs");
        let stopped =
            waitpid(Some(writer), WaitOptions::UNTRACED).expect("the writer is a child of this process");
        assert!(stopped.is_some_and(|(_, status)| status.stopped()), "the writer ended by itself");
    }

    #[cfg(not(unix))]
    pub(crate) fn stop(&self) {
        unreachable!("a power cut needs Linux");
    }

    /// Kills the writer and takes in what it had said by then.
    pub(crate) fn kill(mut self) -> Acks {
        self.child.kill().expect("the writer runs");
        self.child.wait().expect("the writer ends");
        for line in self.lines.lines() {
            self.acks.extend(ack(&line.expect("the writer speaks UTF-8")));
        }
        self.acks
    }
}

/// The thread and the number of an acknowledgement.
fn ack(line: &str) -> Option<(u64, u64)> {
    let (thread, newest) = line.trim_end().strip_prefix("ack ")?.split_once(' ')?;
    Some((thread.parse().ok()?, newest.parse().ok()?))
}

/// Tells the other process what is done.
pub(crate) fn acknowledge(thread: u64, newest: u64) {
    say(&format!("ack {thread} {newest}"));
}

/// Tells the other process why a thread goes no further.
pub(crate) fn stop(thread: u64, error: &dyn std::error::Error) {
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    say(&format!("thread {thread} stopped: {error}: {cause}"));
}

/// Tells the other process. Straight to the pipe, one line a write, so that lines of threads do not mix.
pub(crate) fn say(line: &str) {
    // Nobody listens any more when this process is about to end.
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Where this process is to write and what, if it was started to.
pub(crate) fn job() -> Option<(PathBuf, String)> {
    Some((env::var_os(PATH_VARIABLE)?.into(), env::var(JOB_VARIABLE).ok()?))
}

const PATH_VARIABLE: &str = "STRONGROOM_TEST_WRITER_PATH";
const JOB_VARIABLE: &str = "STRONGROOM_TEST_WRITER_JOB";

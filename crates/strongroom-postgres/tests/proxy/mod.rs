//! A socket before the server's that counts protocol messages, cuts the connection after so many, or holds them back.

#![allow(clippy::unwrap_used, dead_code, reason = "a test that cannot go on fails; not every one needs all")]

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use strongroom_postgres::PostgresOptions;
use tempfile::TempDir;

/// A proxy of one server.
pub(crate) struct Proxy {
    dir: TempDir,
    shared: Arc<Shared>,
}

struct Shared {
    server: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// After how many more messages, of either side, the connection that carries them is cut.
    cut_after: Option<usize>,
    was_cut: bool,
    /// After how many more messages of a client everything is held.
    hold_after: Option<usize>,
    holds: bool,
    /// Whether a message waits.
    held: bool,
    connections: usize,
}

impl Proxy {
    pub(crate) fn start(server_dir: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join(SOCKET)).unwrap();
        let server = server_dir.join(SOCKET);
        let shared = Arc::new(Shared { server, state: Mutex::default(), changed: Condvar::new() });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let server = UnixStream::connect(&accepting.server).unwrap();
                accepting.state.lock().unwrap().connections += 1;
                for (from, to, is_client) in [(&client, &server, true), (&server, &client, false)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let shared = Arc::clone(&accepting);
                    thread::spawn(move || shared.carry(from, to, is_client));
                }
            }
        });
        Self { dir, shared }
    }

    pub(crate) fn options(&self, database: &str) -> PostgresOptions {
        let dir = self.dir.path().display();
        let address = format!(
            "host={dir} user=strongroom dbname={database} sslmode=disable application_name={APPLICATION}"
        );
        PostgresOptions::parse(&address).unwrap().connect_timeout(Duration::from_secs(60))
    }

    /// How many connections were made through it.
    pub(crate) fn connections(&self) -> usize {
        self.shared.state.lock().unwrap().connections
    }

    /// Cuts the connection once this many more messages went through, counted in both directions.
    pub(crate) fn cut_after(&self, messages: usize) {
        self.shared.state.lock().unwrap().cut_after = Some(messages);
    }

    /// Cuts nothing from now on; whether it had cut.
    pub(crate) fn stop(&self) -> bool {
        let mut state = self.shared.state.lock().unwrap();
        state.cut_after = None;
        state.was_cut
    }

    /// Lets nothing through any more once this many more messages of a client went through.
    pub(crate) fn hold_after(&self, messages: usize) {
        self.shared.state.lock().unwrap().hold_after = Some(messages);
    }

    /// Lets nothing through until [`release`](Self::release).
    pub(crate) fn hold(&self) {
        self.shared.state.lock().unwrap().holds = true;
    }

    /// Waits until a message is held.
    pub(crate) fn await_held(&self) {
        let state = self.shared.state.lock().unwrap();
        drop(self.shared.changed.wait_while(state, |state| !state.held).unwrap());
    }

    pub(crate) fn release(&self) {
        self.shared.state.lock().unwrap().holds = false;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    /// Carries whole messages until either side ends. The first message of a client has no letter before its length.
    fn carry(&self, mut from: UnixStream, mut to: UnixStream, is_client: bool) {
        let mut greets = is_client;
        while let Ok(message) = next_message(&mut from, greets) {
            greets = false;
            if !self.admit(is_client) {
                break;
            }
            if to.write_all(&message).is_err() {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }

    /// Waits while messages are held; `false` when the connection is to be cut before this one.
    fn admit(&self, is_client: bool) -> bool {
        let mut state = self.state.lock().unwrap();
        if is_client {
            state.holds |= state.hold_after == Some(0);
            state.hold_after = state.hold_after.and_then(|left| left.checked_sub(1));
        }
        while state.holds {
            state.held = true;
            self.changed.notify_all();
            state = self.changed.wait(state).unwrap();
        }
        match &mut state.cut_after {
            None => true,
            Some(0) => {
                state.cut_after = None;
                state.was_cut = true;
                false
            }
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }
}

fn next_message(from: &mut UnixStream, greets: bool) -> std::io::Result<Vec<u8>> {
    let head_len = if greets { 4 } else { 5 };
    let mut message = vec![0; head_len];
    from.read_exact(&mut message)?;
    let length = message.last_chunk::<4>().map(|length| u32::from_be_bytes(*length)).unwrap() as usize;
    let body_len = length.checked_sub(4).ok_or(ErrorKind::InvalidData)?;
    message.resize(head_len + body_len, 0);
    from.read_exact(message.get_mut(head_len..).unwrap())?;
    Ok(message)
}

/// What the server calls the connections that came through a proxy.
pub(crate) const APPLICATION: &str = "proxied";

const SOCKET: &str = ".s.PGSQL.5432";

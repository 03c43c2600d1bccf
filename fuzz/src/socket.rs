//! Both ends of the socket of a store.
#![cfg(unix)]

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;

use futures_executor::block_on;
use strongroom::store::{Key, KeyRange, ReadBatch, Scan, Store as _, WriteBatch};
use strongroom_memory::MemoryStore;
use strongroom_socket::{Door, DoorStore, SocketStore};
use tempfile::TempDir;

use crate::bytes::Bytes;

/// Whatever a client sends, each response is a whole frame, the connection ends, and the next client is served.
pub fn socket_door(data: &[u8]) {
    static OPEN: LazyLock<(TempDir, Door)> = LazyLock::new(|| {
        let place = place();
        let door = DoorStore::new(Arc::new(MemoryStore::new())).open_door(place.path().join("s"));
        (place, door.expect("a socket can be made"))
    });
    let path = OPEN.0.path().join("s");
    let mut stream = UnixStream::connect(&path).expect("the door is open");
    // The other end may have hung up on what it read so far.
    let _ = stream.write_all(&frames(data));
    let _ = stream.shutdown(Shutdown::Write);
    let mut answers = Vec::new();
    let _ = stream.read_to_end(&mut answers);
    let mut rest = answers.as_slice();
    while let Some((len, after)) = rest.split_first_chunk() {
        let answer = after.get(..u32::from_be_bytes(*len) as usize).expect("an answer is a whole frame");
        rest = &after[answer.len()..];
    }
    assert!(rest.is_empty(), "an answer is a whole frame");
    SocketStore::connect(&path).expect("the next one comes in");
}

/// Whatever a server sends back, each call of a client ends, and a response that it accepts has what was requested.
pub fn socket_client(data: &[u8]) {
    let place = place();
    let path = place.path().join("s");
    let listener = UnixListener::bind(&path).expect("a socket can be made");
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| answer(&listener, data, &over));
        if let Ok(store) = SocketStore::connect(&path) {
            for _ in 0..3 {
                call(&store);
            }
        }
        over.store(true, Ordering::Relaxed);
        // Wakes up the thread that waits for the next connection.
        drop(UnixStream::connect(&path));
    });
}

fn call(store: &SocketStore) {
    let key = Key::from(b"k".as_slice());
    let scan = Scan::new(KeyRange::prefix(b"a"), 2);
    let asked = ReadBatch { gets: vec![key.clone()], scans: vec![scan] };
    if let Ok(set) = block_on(store.read(&asked)) {
        assert!((set.gets.len(), set.scans.len()) == (1, 1), "an answer has what was asked for");
    }
    let mut batch = WriteBatch::default();
    batch.put(key, b"v".to_vec());
    let _ = block_on(store.commit(Arc::new(batch)));
}

/// Sends the next frame of `data` for each call, and hangs up when there is none left.
fn answer(listener: &UnixListener, data: &[u8], over: &AtomicBool) {
    let mut bytes = Bytes::of(data);
    while let Ok((mut stream, _)) = listener.accept() {
        if over.load(Ordering::Relaxed) {
            return;
        }
        let mut len = [0; 4];
        while !bytes.is_empty() && stream.read_exact(&mut len).is_ok() {
            let mut called = vec![0; u32::from_be_bytes(len) as usize];
            let (answer, is_whole) = frame(&mut bytes);
            // A client waits for the rest of an answer, so it has to end.
            if stream.read_exact(&mut called).is_err() || stream.write_all(&answer).is_err() || !is_whole {
                break;
            }
        }
    }
}

/// Mostly the length that a frame has, then its bytes; and whether the length is right.
fn frame(bytes: &mut Bytes<'_>) -> (Vec<u8>, bool) {
    let claimed = bytes.seldom(16).then(|| [bytes.byte(), bytes.byte(), bytes.byte(), bytes.byte()]);
    let body = bytes.piece();
    let len = claimed.unwrap_or((body.len() as u32).to_be_bytes());
    ([&len, body].concat(), claimed.is_none())
}

fn frames(data: &[u8]) -> Vec<u8> {
    let mut bytes = Bytes::of(data);
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        frames.extend(frame(&mut bytes).0);
    }
    frames
}

fn place() -> TempDir {
    tempfile::tempdir().expect("a temporary directory can be made")
}

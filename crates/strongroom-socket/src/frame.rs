//! One call or answer on a stream: its length, then its bytes.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Instant;

/// Sends one frame, in one write where the system takes it.
pub(crate) fn send(mut stream: impl Write, bytes: &[u8]) -> io::Result<()> {
    let len = u32::try_from(bytes.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut frame = Vec::with_capacity(LEN_BYTES + bytes.len());
    frame.extend_from_slice(&len.to_be_bytes());
    frame.extend_from_slice(bytes);
    stream.write_all(&frame)
}

/// Receives one frame of at most `max` bytes; `None` at the end of the stream.
pub(crate) fn receive(mut stream: impl Read, max: u32) -> io::Result<Option<Vec<u8>>> {
    // Unlike `read`, `read_to_end` continues after a signal. The system restarts no read of a socket that has a time
    // limit: signal(7).
    let mut len = Vec::with_capacity(LEN_BYTES);
    stream.by_ref().take(LEN_BYTES as u64).read_to_end(&mut len)?;
    if len.is_empty() {
        return Ok(None);
    }
    let len = len.try_into().map_err(|_| io::Error::from(io::ErrorKind::UnexpectedEof))?;
    let len = u32::from_be_bytes(len);
    if len > max {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame is too long"));
    }
    // Grows as bytes come, so that a length alone takes no memory.
    let mut bytes = Vec::new();
    stream.take(len.into()).read_to_end(&mut bytes)?;
    if bytes.len() == len as usize { Ok(Some(bytes)) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// The same, if all of it comes before `end`.
pub(crate) fn receive_until(end: Instant, stream: &UnixStream, max: u32) -> io::Result<Option<Vec<u8>>> {
    receive(Until { end, stream }, max)
}

/// A stream that is read until a moment. The system's own limit starts over with each read.
struct Until<'s> {
    end: Instant,
    stream: &'s UnixStream,
}

impl Read for Until<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left))?;
        self.stream.read(buffer)
    }
}

const LEN_BYTES: usize = 4;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A stream on which a signal arrives before each byte.
    struct Interrupted<'b> {
        bytes: &'b [u8],
        signalled: bool,
    }

    impl Read for Interrupted<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.signalled = !self.signalled;
            if self.signalled {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let len = buffer.len().min(1);
            self.bytes.read(buffer.get_mut(..len).unwrap_or_default())
        }
    }

    #[test]
    fn a_signal_ends_no_call() {
        let mut frame = Vec::new();
        send(&mut frame, b"call").unwrap();
        let mut stream = Interrupted { bytes: &frame, signalled: false };
        assert_eq!(receive(&mut stream, 4).unwrap().as_deref(), Some(b"call".as_slice()));
        assert_eq!(receive(&mut stream, 4).unwrap(), None);
    }

    #[test]
    fn a_frame_is_received_in_its_time_or_not_at_all() {
        let (there, here) = UnixStream::pair().unwrap();
        send(&there, b"call").unwrap();
        let in_time = receive_until(Instant::now() + Duration::from_secs(60), &here, 4).unwrap();
        assert_eq!(in_time.as_deref(), Some(b"call".as_slice()));
        send(&there, b"call").unwrap();
        assert_eq!(receive_until(Instant::now(), &here, 4).unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}

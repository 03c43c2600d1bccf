//! One call or answer on a stream: its length, then its bytes.

use std::io::{self, Read, Write};

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
    let mut len = [0; LEN_BYTES];
    match stream.read(&mut len)? {
        0 => return Ok(None),
        read => {
            let rest = len.get_mut(read..).unwrap_or_default();
            stream.read_exact(rest)?;
        }
    }
    let len = u32::from_be_bytes(len);
    if len > max {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame is too long"));
    }
    // Grows as bytes come, so that a length alone takes no memory.
    let mut bytes = Vec::new();
    stream.take(len.into()).read_to_end(&mut bytes)?;
    if bytes.len() == len as usize { Ok(Some(bytes)) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

const LEN_BYTES: usize = 4;

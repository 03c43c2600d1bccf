//! A server that runs as long as a test wants it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::Shell;

/// A running server, and what it printed first.
pub(crate) struct Server {
    child: Child,
    pub(crate) ready: Value,
    api_key: Option<String>,
    /// Where its store is, if it goes with the server.
    home: Option<Shell>,
}

impl Server {
    pub(crate) fn start(shell: &Shell, arguments: &[&str]) -> Self {
        Self::start_with_log(shell, arguments, Stdio::inherit())
    }

    pub(crate) fn start_with_log(shell: &Shell, arguments: &[&str], log: Stdio) -> Self {
        let arguments = [&["--json", "serve", "--listen", "127.0.0.1:0"], arguments].concat();
        let mut child = shell.command(&arguments).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let file = ready["api_key_file"].as_str();
        let api_key = file.map(|file| std::fs::read_to_string(file).unwrap().trim_end().to_owned());
        Self { child, ready, api_key, home: None }
    }

    /// The same with the directory of its store, which lasts as long as the server.
    pub(crate) fn with_home(mut self, home: Shell) -> Self {
        self.home = Some(home);
        self
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn text(&self, field: &str) -> &str {
        self.ready[field].as_str().unwrap()
    }

    /// The first API key, from its file.
    pub(crate) fn api_key(&self) -> &str {
        self.api_key.as_deref().unwrap()
    }

    /// Sends one request and answers the status and the body.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (u16, Value) {
        self.connect().send(method, path, headers, body).unwrap()
    }

    /// A connection that stays open from request to request.
    pub(crate) fn connect(&self) -> Connection {
        let host = self.text("url").strip_prefix("http://").unwrap();
        Connection { stream: BufReader::new(TcpStream::connect(host).unwrap()) }
    }

    /// Ends it as a power cut would, but for the machine.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn stop(self) -> i32 {
        self.signal("-TERM");
        self.ended()
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Waits for its end, and returns its code.
    pub(crate) fn ended(mut self) -> i32 {
        self.child.wait().unwrap().code().unwrap()
    }
}

/// A test that failed leaves no server behind.
impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection to a server.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// Sends one request and answers the status and the body; fails where the connection ends before that.
    pub(crate) fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> io::Result<(u16, Value)> {
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\n{headers}content-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        let status = self.line()?.split(' ').nth(1).unwrap().parse().unwrap();
        let mut length = 0;
        loop {
            let line = self.line()?;
            match line.split_once(": ") {
                Some(("content-length", text)) => length = text.parse().unwrap(),
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 || !line.ends_with("\r\n") {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }
}

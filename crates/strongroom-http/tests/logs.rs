//! Secrets never reach a log, at any level. A process has one subscriber, so this file has one test.

mod support;

use std::io;
use std::sync::{Arc, Mutex};

use strongroom::{VarFormat, VariableDefinition};
use strongroom_http::serve;
use support::Fixture;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tracing::Level;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut log = self.0.lock().map_err(|_| io::Error::other("the log's lock is poisoned"))?;
        log.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_secret_reaches_the_log_at_trace_level() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt().with_max_level(Level::TRACE).with_writer(move || writer.clone()).init();
    let fixture = Fixture::new().await;
    let definition = VariableDefinition::new("SECRET", VarFormat::Number).encrypted();
    let secret = fixture.define(definition).await;
    let plain = fixture.define_string("PLAIN").await;
    fixture.register("a").await;
    let token = fixture.token("a").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, fixture.service.clone(), std::future::pending()));

    let credential = "/linked-account/default-app/auth-credentials/k";
    let own = format!("authorization: Bearer {token}");
    let key = format!("x-api-key: {}\r\nlinked_account_id: a", fixture.key);
    let path = format!("/env/value/{plain}?linked_account_id=a");
    let set = |id: &str, value: &str| format!(r#"{{"variable_definition_id":"{id}","value":{value}}}"#);
    for (method, path, header, body) in [
        ("POST", "/env/values", key.as_str(), set(&plain, r#""canary""#)),
        ("POST", "/env/values", &own, set(&secret, r#""canary""#)),
        ("POST", "/env/values", &own, set(&secret, r#"["canary"]"#)),
        ("POST", "/env/values", &own, r#"{"value":"canary"#.to_owned()),
        ("GET", &path, &key, String::new()),
        ("GET", "/linked-account?env_variable_name=PLAIN&env_variable_value=canary", &key, String::new()),
        ("PUT", credential, &own, r#"{"value":{"p":"canary"}}"#.to_owned()),
        ("PUT", credential, &key, r#"{"value":"canary"}"#.to_owned()),
        ("PUT", credential, "x-api-key: tk_canary", r#"{"value":"canary"}"#.to_owned()),
        ("PUT", credential, "authorization: Bearer canary", r#"{"value":"canary"}"#.to_owned()),
        ("POST", "/session-token/revoke", &own, String::new()),
    ] {
        let request = format!(
            "{method} /api/v2/public{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
             content-type: application/json\r\n{header}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
    }
    let lines = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(lines.contains("answered"), "the log is kept");
    for secret in ["canary", fixture.key.as_str(), &fixture.key[3..40], &token, &token[40..80]] {
        assert!(!lines.contains(secret), "{secret} in the log");
    }
}

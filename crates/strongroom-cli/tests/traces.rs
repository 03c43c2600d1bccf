//! Spans of a server, as a collector of OpenTelemetry receives them.
#![cfg(feature = "otlp")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod shell;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};
use prost::Message as _;

use shell::Shell;
use shell::server::Server;

/// Takes what is posted to it, over HTTP, as a collector does.
struct Collector {
    endpoint: String,
    bodies: Receiver<Vec<u8>>,
}

impl Collector {
    fn start(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        let (sender, bodies) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                let (mut line, mut length, mut is_protobuf) = (String::new(), 0, false);
                while stream.read_line(&mut line).unwrap() > 2 {
                    let lower = line.to_ascii_lowercase();
                    if let Some(text) = lower.strip_prefix("content-length: ") {
                        length = text.trim().parse().unwrap();
                    }
                    is_protobuf |= lower.trim() == "content-type: application/x-protobuf";
                    line.clear();
                }
                assert!(is_protobuf);
                let mut body = vec![0; length];
                stream.read_exact(&mut body).unwrap();
                let _ = sender.send(body);
                let head = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                stream.get_mut().write_all(head.as_bytes()).unwrap();
            }
        });
        Self { endpoint, bodies }
    }

    /// What came by now. The server sends all that is left before it ends.
    fn received(&self) -> Vec<Vec<u8>> {
        self.bodies.try_iter().collect()
    }
}

fn spans(bodies: &[Vec<u8>]) -> Vec<Span> {
    let requests = bodies.iter().map(|body| ExportTraceServiceRequest::decode(body.as_slice()).unwrap());
    let resources = requests.flat_map(|request| request.resource_spans);
    resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
}

fn attribute<'s>(span: &'s Span, key: &str) -> Option<&'s Value> {
    span.attributes.iter().find(|entry| entry.key == key)?.value.as_ref()?.value.as_ref()
}

fn text<'s>(span: &'s Span, key: &str) -> &'s str {
    let Some(Value::StringValue(text)) = attribute(span, key) else { return "" };
    text
}

const SET: &str = "POST /api/v2/public/env/values";
const FITS: &str = "9182736455463728";
const DOES_NOT: &str = "hunter2-of-the-trace";
const TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
const PARENT: u64 = 0x00f0_67aa_0ba9_02b7;

/// What a collector has of a server that was asked, inside of a caller's trace, to set an encrypted value and then one
/// that does not fit; and the API key.
fn traced(part: &str) -> (Vec<Vec<u8>>, String) {
    let (shell, collector) = (Shell::new(), Collector::start("200 OK"));
    let arguments = ["--otlp-traces-endpoint", &collector.endpoint, "--otlp-traces-part", part];
    let server = Server::start(&shell, &arguments);
    shell.ok(&["define", "TOKEN", "--format", "integer"]);
    let id = shell.json(&["show", "TOKEN"])["id"].as_str().unwrap().to_owned();
    let traceparent = format!("00-{TRACE:032x}-{PARENT:016x}-01");
    let headers =
        [("x-api-key", server.api_key()), ("traceparent", &traceparent), ("x-request-id", "request-1")];
    for value in [FITS, DOES_NOT] {
        let body = format!(r#"{{"variable_definition_id":"{id}","value":"{value}"}}"#);
        server.send("POST", "/api/v2/public/env/values", &headers, &body);
    }
    let api_key = server.api_key().to_owned();
    assert_eq!(server.stop(), 0);
    (collector.received(), api_key)
}

#[test]
fn a_request_is_a_span_of_the_callers_trace_and_its_verbs_are_inside() {
    let (bodies, _) = traced("1");
    let spans = spans(&bodies);
    let requests: Vec<_> = spans.iter().filter(|span| span.name == SET).collect();
    assert_eq!(requests.len(), 2);
    let (set, refused) = (requests[0], requests[1]);
    for request in [set, refused] {
        assert_eq!(request.trace_id, TRACE.to_be_bytes());
        assert_eq!(request.parent_span_id, PARENT.to_be_bytes());
        assert_eq!(request.kind(), SpanKind::Server);
        assert_eq!(text(request, "http.request.method"), "POST");
        assert_eq!(text(request, "http.route"), "/api/v2/public/env/values");
        assert_eq!(text(request, "strongroom.request.id"), "request-1");
        assert!(text(request, "enduser.id").starts_with("api-key:"));
    }
    assert_eq!(attribute(set, "http.response.status_code"), Some(&Value::IntValue(200)));
    assert_eq!(attribute(refused, "http.response.status_code"), Some(&Value::IntValue(400)));

    let inside = |request: &Span| {
        let verbs = spans.iter().filter(|span| span.parent_span_id == request.span_id);
        verbs.map(|span| (span.name.clone(), span.clone())).collect::<Vec<_>>()
    };
    let verbs = inside(set);
    let (_, verb) = verbs.iter().find(|(name, _)| name == "set_values").unwrap();
    assert_eq!(verb.trace_id, set.trace_id);
    assert!(set.start_time_unix_nano <= verb.end_time_unix_nano);
    assert!(verb.end_time_unix_nano <= set.end_time_unix_nano);
    assert_eq!(text(verb, "strongroom.environment"), "test");
    assert_eq!(attribute(verb, "error.type"), None);
    let verbs = inside(refused);
    let (_, failed) = verbs.iter().find(|(name, _)| name == "set_values").unwrap();
    assert_ne!(failed.status.as_ref().unwrap().code(), StatusCode::Error, "it is the caller's");
    assert_eq!(text(failed, "error.type"), "invalid");
}

#[test]
fn no_value_and_no_key_is_in_a_span() {
    let (bodies, api_key) = traced("1");
    assert!(!bodies.is_empty());
    let all = bodies.concat();
    let holds = |secret: &str| all.windows(secret.len()).any(|bytes| bytes == secret.as_bytes());
    assert!(holds("TOKEN") || holds("set_values"));
    for secret in [FITS, DOES_NOT, &api_key] {
        assert!(!holds(secret));
    }
}

#[test]
fn of_a_part_of_no_traces_nothing_is_sent_although_the_caller_asks_for_it() {
    assert!(traced("0").0.is_empty());
}

#[test]
fn a_collector_that_is_away_or_refuses_costs_no_request_and_is_logged() {
    let refusing = Collector::start("503 Service Unavailable");
    for (endpoint, said) in
        [("http://127.0.0.1:1/v1/traces", "spans were not sent"), (&refusing.endpoint, "refused spans")]
    {
        let shell = Shell::new();
        let log = shell.path("log");
        let file = Stdio::from(std::fs::File::create(&log).unwrap());
        let server = Server::start_with_log(&shell, &["--otlp-traces-endpoint", endpoint], file);
        let (status, _) = server.send("GET", "/readyz", &[], "");
        assert_eq!(status, 200);
        assert_eq!(server.stop(), 0);
        let log = std::fs::read_to_string(log).unwrap();
        assert!(log.contains(said), "{log}");
    }
}

#[test]
fn an_address_that_is_none_is_refused_before_anything_is_made() {
    let shell = Shell::new();
    for arguments in [
        &["serve", "--otlp-traces-endpoint", "not an address"][..],
        &["serve", "--otlp-traces-endpoint", "ftp://x/"],
        &["serve", "--otlp-traces-endpoint", "http://x/v1/traces", "--otlp-traces-part", "2"],
        &["serve", "--otlp-traces-part", "0.5"],
    ] {
        assert_eq!(shell.run(arguments).code, 2, "{arguments:?}");
    }
    assert!(!shell.path("vault").exists());
}

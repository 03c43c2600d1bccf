//! Calls of the wire contract, one at a time.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use strongroom::Secret;
use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body, Error};
use zeroize::Zeroizing;

use crate::config::Server;
use crate::failure::{Exit, Failure};
use crate::keys;
use crate::output::Output;

/// A server and the key to it.
#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
    base: String,
    key: Secret,
}

/// One call: a method, the segments of a path below the contract's base, and parameters of the query.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) path: &'a [&'a str],
    pub(super) query: &'a [(&'a str, &'a str)],
}

impl Client {
    pub(super) fn open(server: &Server, output: &Output) -> Result<Self, Failure> {
        if server.url.starts_with("https://") && !cfg!(feature = "tls") {
            return Err(Failure::usage("this build speaks no TLS").next("build it with `--features tls`"));
        }
        let key = keys::api_key(&server.api_key_file, output)?;
        // A redirect would carry the key to wherever the answer says.
        let config = Agent::config_builder().max_redirects(0).max_redirects_will_error(false);
        let mut config = config.http_status_as_error(false).timeout_global(Some(TIMEOUT));
        let base = format!("{}/api/v2/public", server.url.trim_end_matches('/'));
        if is_this_machine(&base) {
            // What stays on this machine needs no TLS, so that it must not go to a proxy of the environment either.
            config = config.proxy(None);
        } else if base.starts_with("http://") {
            output.warn("the API key and the values go to the server without TLS");
        }
        Ok(Self { agent: config.build().into(), base, key })
    }

    pub(super) fn get(&self, call: Call<'_>) -> Result<Value, Failure> {
        let request = self.agent.get(self.url(call.path)).query_pairs(call.query.iter().copied());
        answer(request.header(KEY_HEADER, self.key.expose()).call())
    }

    pub(super) fn delete(&self, call: Call<'_>) -> Result<Value, Failure> {
        let request = self.agent.delete(self.url(call.path)).query_pairs(call.query.iter().copied());
        answer(request.header(KEY_HEADER, self.key.expose()).call())
    }

    pub(super) fn post(&self, path: &[&str], body: &Value) -> Result<Value, Failure> {
        self.send(self.agent.post(self.url(path)), body)
    }

    pub(super) fn put(&self, path: &[&str], body: &Value) -> Result<Value, Failure> {
        self.send(self.agent.put(self.url(path)), body)
    }

    /// The items of all pages of a list.
    pub(super) fn pages(&self, call: Call<'_>) -> Result<Vec<Value>, Failure> {
        let mut items = Vec::new();
        for number in 1_u32.. {
            let number = number.to_string();
            let query = [call.query, &[("limit", PAGE_LIMIT), ("page", &number)]].concat();
            let mut page = self.get(Call { path: call.path, query: &query })?;
            let total = page.get("totalDocs").and_then(Value::as_u64).unwrap_or(0);
            let Some(Value::Array(docs)) = page.get_mut("docs").map(Value::take) else { break };
            let is_last = docs.is_empty();
            items.extend(docs);
            if is_last || items.len() as u64 >= total {
                break;
            }
        }
        Ok(items)
    }

    fn send(
        &self,
        request: ureq::RequestBuilder<ureq::typestate::WithBody>,
        body: &Value,
    ) -> Result<Value, Failure> {
        let body = Zeroizing::new(body.to_string());
        let request = request.header(KEY_HEADER, self.key.expose()).content_type("application/json");
        answer(request.send(body.as_bytes()))
    }

    fn url(&self, path: &[&str]) -> String {
        let mut url = self.base.clone();
        for segment in path {
            url.push('/');
            url.extend(utf8_percent_encode(segment, IN_SEGMENT));
        }
        url
    }
}

fn answer(response: Result<Response<Body>, Error>) -> Result<Value, Failure> {
    let mut response = response.map_err(|error| {
        Failure::new(Exit::Store, format!("the server could not be reached: {error}"))
            .next("check --url, and that `strongroom serve` runs there")
    })?;
    let status = response.status();
    let body = response.body_mut().read_to_vec().ok();
    let json: Option<Value> = body.and_then(|body| serde_json::from_slice(&body).ok());
    match json {
        Some(json) if status.is_success() => Ok(json),
        json => Err(refused(status, json.as_ref())),
    }
}

/// What an answer other than a success means for whoever asked.
fn refused(status: StatusCode, body: Option<&Value>) -> Failure {
    let said = body.and_then(|body| body.get("message")).and_then(Value::as_str);
    let message = match said {
        Some(said) => format!("the server answered {}: {said}", status.as_u16()),
        None => format!("the server answered {} and nothing of the contract", status.as_u16()),
    };
    match status {
        // The place of the calls, not what one of them looked for.
        StatusCode::NOT_FOUND if said.is_none_or(|said| said == NO_ROUTE) => {
            Failure::new(Exit::Store, message).next("check --url: it is scheme, host and port alone")
        }
        StatusCode::UNAUTHORIZED => Failure::new(Exit::Key, message).next("check --api-key-file"),
        StatusCode::NOT_FOUND => Failure::not_found(message),
        StatusCode::TOO_MANY_REQUESTS => Failure::new(Exit::Store, message).next("try again later"),
        status if status.is_client_error() => Failure::invalid(message),
        _ => Failure::new(Exit::Store, message),
    }
}

fn is_this_machine(base: &str) -> bool {
    let authority = base.trim_start_matches("http://").split('/').next().unwrap_or_default();
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    matches!(host, "localhost" | "[::1]")
        || host.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
}

/// What is encoded in a segment. A dot is, since `.` and `..` are keys of credentials too.
const IN_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~');
/// What a server says of a path that is none of its calls.
const NO_ROUTE: &str = "Route not found";
const KEY_HEADER: &str = "x-api-key";
const TIMEOUT: Duration = Duration::from_secs(60);
/// The most that the contract allows.
const PAGE_LIMIT: &str = "100";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_its_own_addresses_alone() {
        for url in ["http://localhost:1/x", "http://127.0.0.1:7077", "http://[::1]:7077", "http://localhost"]
        {
            assert!(is_this_machine(url), "{url}");
        }
        for url in ["http://localhost.example:1", "http://10.0.0.1", "http://127.0.0.1.example", "http://a@b"]
        {
            assert!(!is_this_machine(url), "{url}");
        }
    }
}

//! A server instead of a store: calls of the wire contract, one at a time.

pub(crate) mod docs;
mod refusal;
#[cfg(feature = "tls")]
pub(crate) mod trust;

use std::io::{self, Read as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use strongroom::{DefinitionName, LinkedAccountId, Secret, VariableDefinition};
use strongroom_http::control::{self, Reason};
use ureq::http::{Response, Uri};
use ureq::typestate::WithBody;
use ureq::{Agent, Body, Error, RequestBuilder};
use zeroize::Zeroizing;

use self::docs::{Definition, Page};
use self::refusal::Refusal;
use crate::config::{ApiKeySource, Server};
use crate::consent::keeps_nothing;
use crate::failure::{Exit, Failure};
use crate::files::{NewFile, is_out_of_room, unwritable};
use crate::keys;
use crate::output::Output;
use crate::progress::Progress;
use crate::suggest::new_account;
use crate::typo::closest;

/// A server and the API key for it.
#[derive(Debug)]
pub(crate) struct Client {
    agent: Agent,
    /// The base of the documented calls.
    base: String,
    /// The base of the control calls.
    control: String,
    key: Secret,
    /// For each answer.
    wait: Duration,
}

/// One call: the segments of its path below the contract's base, and query parameters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) path: &'a [&'a str],
    pub(crate) query: &'a [(&'a str, &'a str)],
}

/// An empty object.
#[derive(Debug, Serialize)]
pub(crate) struct NoBody {}

impl Client {
    pub(crate) fn open(server: &Server, output: &Output) -> Result<Self, Failure> {
        if server.url.starts_with("https://") && !cfg!(feature = "tls") {
            return Err(
                Failure::usage("this build does not support TLS").next("build it with `--features tls`")
            );
        }
        let key = keys::api_key(&server.api_key, output)?;
        // A redirect would send the key wherever the response says.
        let config = Agent::config_builder().max_redirects(0).max_redirects_will_error(false);
        let mut config = config.http_status_as_error(false).timeout_global(Some(server.wait));
        let url = server.url.trim_end_matches('/');
        let (base, control) = (format!("{url}/api/v2/public"), format!("{url}{}", control::BASE));
        if is_this_machine(&base) {
            // Local traffic goes without TLS, so it must not reach a proxy from the environment either.
            config = config.proxy(None);
        } else if base.starts_with("http://") {
            output.warn("the API key and the values are sent to the server without TLS");
        }
        #[cfg(feature = "tls")]
        if let Some(file) = &server.ca_file {
            config = config.tls_config(trust::only(file)?);
        }
        Ok(Self { agent: config.build().into(), base, control, key, wait: server.wait })
    }

    /// The same server with the API key of another file.
    pub(crate) fn with_key_of(&self, file: PathBuf, output: &Output) -> Result<Self, Failure> {
        let key = keys::api_key(&ApiKeySource::File(file), output)?;
        let (base, control) = (self.base.clone(), self.control.clone());
        Ok(Self { agent: self.agent.clone(), base, control, key, wait: self.wait })
    }

    /// Every definition, with all that it requires of a value.
    pub(crate) fn definitions(&self) -> Result<Vec<VariableDefinition>, Failure> {
        let all: Vec<control::Definition> =
            self.control_items(Call { path: &["definitions"], query: &[] })?;
        all.into_iter().map(docs::definition).collect()
    }

    /// Fails if the key belongs to an org or environment other than the settings name.
    pub(crate) fn refuse_elsewhere(&self, server: &Server) -> Result<(), Failure> {
        let Server { org, environment, .. } = server;
        if org.is_none() && environment.is_none() {
            return Ok(());
        }
        let status: control::Status = self.control_get(Call { path: &["status"], query: &[] })?;
        let other_org = org.as_ref().filter(|named| named.to_string() != status.org_id);
        let other = environment.as_ref().filter(|named| named.as_str() != status.environment);
        let differs = match (other_org, other) {
            (None, None) => return Ok(()),
            (Some(named), _) => {
                format!("the settings name org {named}, and the API key is of {}", status.org_id)
            }
            (None, Some(named)) => {
                format!("the settings name environment {named}, and the API key is of {}", status.environment)
            }
        };
        Err(Failure::usage(differs).next(
            "nothing was done; use a key of that one, or take it out of STRONGROOM_ORG, STRONGROOM_ENVIRONMENT, the \
             configuration or the project (--no-project)",
        ))
    }

    /// The org and environment of the API key.
    pub(crate) fn works_in(&self) -> Result<(String, String), Failure> {
        let status: control::Status = self.control_get(Call { path: &["status"], query: &[] })?;
        Ok((status.org_id, status.environment))
    }

    /// What `control` returns; if the key lacks the right to it, what `documented` returns: keys may have either.
    pub(crate) fn either<T>(
        &self,
        control: impl FnOnce(&Self) -> Result<T, Failure>,
        documented: impl FnOnce(&Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        match control(self) {
            Err(refused) if refused.is(Reason::LacksRight) => match documented(self) {
                // It lacks both rights, and the first one is the one to request.
                Err(again) if again.is(Reason::LacksRight) => Err(refused),
                done => done,
            },
            done => done,
        }
    }

    /// What `fetch` returns with plain text. If the key lacks the right to that, what it returns without, provided that
    /// is plain text too, as for values that are not encrypted.
    pub(crate) fn revealed<T>(
        fetch: impl Fn(&str) -> Result<T, Failure>,
        is_plain: impl Fn(&T) -> bool,
    ) -> Result<T, Failure> {
        match fetch("true") {
            Err(refused) if refused.is(Reason::LacksRight) => match fetch("false") {
                Ok(found) if is_plain(&found) => Ok(found),
                _ => Err(refused),
            },
            done => done,
        }
    }

    /// The answer to a control call.
    pub(crate) fn control_put<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        self.send(self.agent.put(join(&self.control, path)), body)
    }

    pub(crate) fn get<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T, Failure> {
        let request = self.agent.get(self.url(call.path)).query_pairs(call.query.iter().copied());
        parse(request.header(KEY_HEADER, self.key.expose()).call())
    }

    /// The answer to a control call.
    pub(crate) fn control_get<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T, Failure> {
        let request = self.agent.get(join(&self.control, call.path)).query_pairs(call.query.iter().copied());
        parse(request.header(KEY_HEADER, self.key.expose()).call())
    }

    pub(crate) fn control_delete<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T, Failure> {
        let request =
            self.agent.delete(join(&self.control, call.path)).query_pairs(call.query.iter().copied());
        parse(request.header(KEY_HEADER, self.key.expose()).call())
    }

    pub(crate) fn control_post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        self.send(self.agent.post(join(&self.control, path)), body)
    }

    pub(crate) fn control_patch<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        self.send(self.agent.patch(join(&self.control, path)), body)
    }

    /// The items of all pages of a control call's list.
    pub(crate) fn control_items<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<Vec<T>, Failure> {
        let (items, unreadable) = self.control_list(call)?;
        match unreadable.into_iter().next() {
            Some(why) => Err(Failure::new(Exit::Key, format!("the server returned: {why}"))
                .next("`strongroom list` has the others, and names all that cannot be read")),
            None => Ok(items),
        }
    }

    /// The same, and why the missing items cannot be read.
    pub(crate) fn control_list<T: DeserializeOwned>(
        &self,
        call: Call<'_>,
    ) -> Result<(Vec<T>, Vec<String>), Failure> {
        let (mut items, mut unreadable, mut after) = (Vec::<T>::new(), Vec::new(), None::<String>);
        loop {
            let next = after.iter().map(|after| ("after", after.as_str()));
            let query: Vec<_> = call.query.iter().copied().chain([("limit", "1000")]).chain(next).collect();
            let page: control::Page<T> = self.control_get(Call { path: call.path, query: &query })?;
            items.extend(page.items);
            unreadable.extend(page.unreadable);
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok((items, unreadable)),
            }
        }
    }

    /// Waits until a task of the server has ended, and shows its progress.
    pub(crate) fn control_task(&self, mut task: control::Task) -> Result<control::Task, Failure> {
        let progress = Progress::without_end("rows processed");
        while task.state == "running" {
            thread::sleep(BETWEEN_LOOKS);
            task = self.control_get(Call { path: &["tasks", &task.id], query: &[] })?;
            progress.reach(task.done, task.total);
        }
        if task.state == "finished" {
            return Ok(task);
        }
        Err(Refusal::of_task(task))
    }

    /// Writes the body of a control call to `new`, which will be `file`, and returns how many bytes it has.
    pub(crate) fn control_download(&self, path: &[&str], new: &NewFile, file: &Path) -> Result<u64, Failure> {
        // Without a limit for the whole, since a backup may be large, but with one for each part.
        let config = self.agent.get(join(&self.control, path)).config().timeout_global(None);
        let request = config.timeout_connect(Some(self.wait)).timeout_per_read(Some(self.wait)).build();
        let response = request.header(KEY_HEADER, self.key.expose()).call();
        let mut response = response.map_err(|error| unreachable(&error))?;
        if !response.status().is_success() {
            let body = response.body_mut().read_to_vec().unwrap_or_default();
            return Err(Refusal::of(&response, &body));
        }
        let written = io::copy(&mut response.body_mut().as_reader(), &mut new.file());
        written.map_err(|error| match is_out_of_room(&error) {
            true => unwritable(file, &error),
            false => Failure::new(Exit::Store, format!("what the server sends ended early: {error}"))
                .next("nothing was kept of it; run the command again"),
        })
    }

    pub(crate) fn delete(&self, call: Call<'_>) -> Result<(), Failure> {
        let request = self.agent.delete(self.url(call.path)).query_pairs(call.query.iter().copied());
        parse(request.header(KEY_HEADER, self.key.expose()).call()).map(|IgnoredAny| ())
    }

    pub(crate) fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        self.send(self.agent.post(self.url(path)), body)
    }

    pub(crate) fn put<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        self.send(self.agent.put(self.url(path)), body)
    }

    /// The items of all pages of a list.
    pub(crate) fn pages<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<Vec<T>, Failure> {
        let mut items = Vec::new();
        for number in 1_u32.. {
            let number = number.to_string();
            let query = [call.query, &[("limit", PAGE_LIMIT), ("page", &number)]].concat();
            let page: Page<T> = self.get(Call { path: call.path, query: &query })?;
            let is_last = page.docs.is_empty();
            items.extend(page.docs);
            if is_last || items.len() as u64 >= page.total_docs {
                break;
            }
        }
        Ok(items)
    }

    /// Fails if no definition has this name, and suggests the one that was meant, if the key may list them.
    pub(crate) fn refuse_unknown(&self, name: &DefinitionName) -> Result<(), Failure> {
        let by_control = |client: &Self| {
            let path = ["definitions", name.as_str()];
            client.control_get(Call { path: &path, query: &[] }).map(|IgnoredAny| ())
        };
        let by_document = |client: &Self| client.definition_id(name).map(drop);
        match self.either(by_control, by_document) {
            // A key that may only write reports that when it is used.
            Err(refused) if refused.is_of_right() => Ok(()),
            Err(refused) if refused.is(Reason::DefinitionNotFound) => {
                let known = self.definitions()?;
                let known = known.iter().map(|one| one.name.as_str());
                Err(Failure::undefined(name).meant(closest(name.as_str(), known)))
            }
            known => known,
        }
    }

    /// Fails if the org has no such account.
    pub(crate) fn refuse_unknown_account(&self, account: &LinkedAccountId) -> Result<(), Failure> {
        let by_control = |client: &Self| {
            let path = ["accounts", account.as_str()];
            client.control_get(Call { path: &path, query: &[] }).map(|IgnoredAny| ())
        };
        let by_document = |client: &Self| {
            let path = ["linked-account", account.as_str()];
            client.get(Call { path: &path, query: &[] }).map(|IgnoredAny| ())
        };
        self.either(by_control, by_document)
    }

    /// Notes that a linked account is unknown, as far as the key may know: a mistyped one would otherwise silently get
    /// values.
    pub(crate) fn note_new_account(&self, account: &LinkedAccountId, output: &Output) {
        let is_absent = |refused: Failure| refused.is(Reason::AccountNotFound);
        if !self.refuse_unknown_account(account).is_err_and(is_absent) {
            return;
        }
        let query = [("linked_account_id", account.as_str()), ("limit", "1")];
        let values: Result<control::Page<IgnoredAny>, _> =
            self.control_get(Call { path: &["values"], query: &query });
        if values.is_ok_and(|page| !page.items.is_empty()) {
            return;
        }
        let known: Result<control::Page<control::AccountView>, _> =
            self.control_get(Call { path: &["accounts"], query: &[("limit", "1000")] });
        let known = known.map(|page| page.items).unwrap_or_default();
        let known = known.iter().map(|found| found.linked_account_id.as_str());
        output.note(&new_account(account, closest(account.as_str(), known)));
    }

    /// Whether the definition keeps no version of overwritten values, as far as the key may know.
    pub(crate) fn keeps_nothing(&self, name: &DefinitionName) -> bool {
        let path = ["definitions", name.as_str()];
        let found: Result<control::Definition, _> = self.control_get(Call { path: &path, query: &[] });
        found.is_ok_and(|found| keeps_nothing(found.history_versions, found.history_age_secs))
    }

    /// The id of the definition with this name. The filter is a regular expression because the server splits a list
    /// of names at commas, which a name may contain.
    pub(crate) fn definition_id(&self, name: &DefinitionName) -> Result<String, Failure> {
        let pattern = format!("^{}$", regex::escape(name.as_str()));
        let call = Call { path: &["env", "definitions"], query: &[("name", &pattern)] };
        let found = self.pages::<Definition>(call)?;
        let found = found.into_iter().find(|doc| doc.name == name.as_str());
        found.map(|doc| doc.id).ok_or_else(|| Failure::undefined(name))
    }

    fn send<T: DeserializeOwned>(
        &self,
        request: RequestBuilder<WithBody>,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        // The body holds values in the clear: with enough room the buffer never moves and leaves no copy behind.
        let unsendable = |_| Failure::new(Exit::Other, "the request could not be written");
        let mut length = Length(0);
        serde_json::to_writer(&mut length, body).map_err(unsendable)?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(length.0));
        serde_json::to_writer(&mut *bytes, body).map_err(unsendable)?;
        let request = request.header(KEY_HEADER, self.key.expose()).content_type("application/json");
        parse(request.send(bytes.as_slice()))
    }

    fn url(&self, path: &[&str]) -> String {
        join(&self.base, path)
    }
}

/// Counts what is written to it.
struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn join(base: &str, path: &[&str]) -> String {
    let mut url = base.to_owned();
    for segment in path {
        url.push('/');
        url.extend(utf8_percent_encode(segment, IN_SEGMENT));
    }
    url
}

fn parse<T: DeserializeOwned>(response: Result<Response<Body>, Error>) -> Result<T, Failure> {
    let mut response = response.map_err(|error| unreachable(&error))?;
    let body = read(response.body_mut());
    if !response.status().is_success() {
        // Its status says enough if the body did not come.
        return Err(Refusal::of(&response, &body.unwrap_or_default()));
    }
    let body = body.map_err(|error| cut_off(&error))?;
    serde_json::from_slice(&body).map_err(|_| Refusal::of(&response, &[]))
}

/// The body of a response, which may hold values in the clear: with enough room the buffer never moves and leaves no
/// copy behind.
fn read(body: &mut Body) -> Result<Zeroizing<Vec<u8>>, Error> {
    let length = body.content_length().unwrap_or_default().min(ANSWER_BYTES_MAX);
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or_default() + 1));
    body.with_config().limit(ANSWER_BYTES_MAX).reader().read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn unreachable(error: &Error) -> Failure {
    if is_timeout(error) {
        return cut_off(error);
    }
    let text = error.to_string();
    let next =
        step_of_certificate(&text).unwrap_or("check --url, and that `strongroom serve` is running there");
    Failure::new(Exit::Store, format!("the server could not be reached: {text}")).next(next)
}

/// The failure for a response that did not come, or not to its end, after the request was sent.
fn cut_off(error: &Error) -> Failure {
    let message = match is_timeout(error) {
        true => "the server did not answer in time".to_owned(),
        false => format!("the server's answer ended early: {error}"),
    };
    Failure::new(Exit::Store, message)
        .next("a change may have been made: look before you repeat it; --wait SECONDS waits longer")
}

fn is_timeout(error: &Error) -> bool {
    let is_late = |error: &io::Error| error.kind() == io::ErrorKind::TimedOut;
    matches!(error, Error::Timeout(_)) || matches!(error, Error::Io(error) if is_late(error))
}

/// What to do about an untrusted certificate, which the TLS library reports only in words.
pub(crate) fn step_of_certificate(text: &str) -> Option<&'static str> {
    if !text.contains("invalid peer certificate") {
        return None;
    }
    let says = |word: &str| text.to_lowercase().contains(word);
    Some(match () {
        () if says("expired") => {
            "the certificate of the server has expired: renew it there, and send the server SIGHUP"
        }
        () if says("notvalidyet") || says("not valid yet") => "compare the clocks of both machines",
        () if says("notvalidforname") || says("not valid for name") => {
            "use the host in --url that the certificate of the server is for"
        }
        () => "name the authority of its certificate with --ca-file FILE, if it is one of yours",
    })
}

fn is_this_machine(base: &str) -> bool {
    let url = base.parse::<Uri>().ok();
    let Some(host) = url.as_ref().and_then(Uri::host) else { return false };
    let is_loopback = |ip: &str| ip.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    host == "localhost" || is_loopback(host.trim_start_matches('[').trim_end_matches(']'))
}

/// The characters escaped in a segment. The dot is escaped because `.` and `..` are valid credential keys.
const IN_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~');
const KEY_HEADER: &str = "x-api-key";
/// What a run sees comes in one response: as much as a server lets wait for its readers unless told otherwise.
const ANSWER_BYTES_MAX: u64 = 256 << 20;
/// Between two reads of a task's progress.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);
/// The most that the contract allows.
const PAGE_LIMIT: &str = "100";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_addresses_are_this_machine() {
        for url in ["http://localhost:1/x", "http://127.0.0.1:7077", "http://[::1]:7077", "https://localhost"]
        {
            assert!(is_this_machine(url), "{url}");
        }
        for url in [
            "http://localhost.example:1",
            "http://10.0.0.1",
            "http://127.0.0.1.example",
            "http://127.0.0.1:1@b.example",
        ] {
            assert!(!is_this_machine(url), "{url}");
        }
    }
}

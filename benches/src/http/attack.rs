//! What another org notices while one caller does its worst.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use strongroom::{Environment, RawKey, Scope, Unlock, VarFormat, VariableDefinition, Vault};
use strongroom_http::{ApiKeys, NewApiKey, Service, ServiceOptions};
use strongroom_redb::RedbStore;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::load;
use super::processor::{Processor, Share};
use super::server::Server;

/// The 99th percentile of another org's reads and writes: without an attack, and under one.
#[derive(Debug)]
pub struct Attacked {
    /// The attack.
    pub name: &'static str,
    /// While nobody attacks.
    pub quiet: Duration,
    /// Under the attack.
    pub attacked: Duration,
    /// Requests of the other org that were not answered with 200.
    pub failed: usize,
    /// How many times a second the attackers were answered or refused, or gave up and began again.
    pub sent_per_sec: f64,
    /// Who had the processor under the attack.
    pub shares: Vec<Share>,
}

/// The connections of an attack.
type Attack = fn(SocketAddr, &Callers) -> Vec<Sender>;

/// Each attack on a server of its own, on redb, between two quiet times.
pub fn attacks() -> Vec<Attacked> {
    let worst: [(&str, Attack); 3] = [
        ("1,030 started bodies", started_bodies),
        ("a token writes on 64 connections", writes),
        ("1,000 forged tokens a second", forged_tokens),
    ];
    worst.into_iter().map(|(name, senders)| attack(name, senders)).collect()
}

fn attack(name: &'static str, senders: Attack) -> Attacked {
    let (server, callers) = started();
    let other = Other {
        address: server.address(),
        key: callers.other_key.clone(),
        definition: callers.definition.clone(),
    };
    other.round();
    let (mut quiet, _) = other.round();
    let stop = Arc::new(AtomicBool::new(false));
    let attackers = begin(senders(server.address(), &callers), &stop);
    thread::sleep(WARM_UP);
    let (begun, sent, processor) = (Instant::now(), SENT.load(Ordering::Relaxed), Processor::now());
    let (mut attacked, failed) = other.round();
    let sent_per_sec = (SENT.load(Ordering::Relaxed) - sent) as f64 / begun.elapsed().as_secs_f64();
    let shares = processor.shares();
    stop.store(true, Ordering::Relaxed);
    attackers.join().expect("an attacker does not panic");
    thread::sleep(WARM_UP);
    quiet.extend(other.round().0);
    Attacked { name, quiet: p99(&mut quiet), attacked: p99(&mut attacked), failed, sent_per_sec, shares }
}

fn p99(taken: &mut [Duration]) -> Duration {
    taken.sort_unstable();
    taken.get(taken.len() * 99 / 100).copied().unwrap_or_default()
}

/// Who calls, and what for.
struct Callers {
    other_key: String,
    definition: String,
    token: String,
}

/// A server as `strongroom serve` sets it up, with an account of one org, and another org.
fn started() -> (Server, Callers) {
    let (service, keys, definition) = service();
    let server = Server::of_service(service);
    let [own_key, other_key] = keys;
    let body = format!(r#"{{"linked_account_id":"{ACCOUNT}"}}"#);
    let request = request("POST", "/session-token", &format!("x-api-key: {own_key}"), &body);
    let answer = load::body_of(server.address(), &request);
    let answer = std::str::from_utf8(&answer).expect("JSON is text");
    let token = answer.split('"').find(|part| part.starts_with("ey")).expect("a token is in it").to_owned();
    (server, Callers { other_key, definition, token })
}

fn service() -> (Service, [String; 2], String) {
    futures_executor::block_on(async {
        let store = RedbStore::temporary().expect("there is room for temporary files");
        let vault = Vault::create(store, Unlock::raw_key(RawKey::generate()?)).await?;
        let org = |id: &str| Ok::<_, strongroom::Error>(vault.org(id.parse()?, Environment::test()));
        let (org, other) = (org("6500a1b2c3d4e5f6a7b8c9d0")?, org("6500a1b2c3d4e5f6a7b8c9d1")?);
        org.create_account(ACCOUNT.parse()?).with_default_app().await?;
        let definition = other.define(VariableDefinition::new("PORT", VarFormat::String)).await?.to_string();
        other.set_value("PORT", Scope::Org, "80").await?;
        let key = async |org| {
            Ok::<_, strongroom::Error>(
                ApiKeys::of(org)?.create(NewApiKey::named("load")).await?.key.expose().to_owned(),
            )
        };
        let keys = [key(&org).await?, key(&other).await?];
        Ok::<_, strongroom::Error>((ServiceOptions::default().serve(vault.clone()), keys, definition))
    })
    .expect("the vault is new")
}

/// The other org: it reads and writes in turn at an even pace, whatever happens.
struct Other {
    address: SocketAddr,
    key: String,
    definition: String,
}

impl Other {
    /// How long each request took, and how many failed.
    fn round(&self) -> (Vec<Duration>, usize) {
        let key = format!("x-api-key: {}", self.key);
        let definition = &self.definition;
        let body = format!(r#"{{"variable_definition_id":"{definition}","value":"81"}}"#);
        let requests = [
            request("GET", &format!("/env/value/{definition}"), &key, ""),
            request("POST", "/env/values", &key, &body),
        ];
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime can be had");
        runtime.block_on(async {
            let (mut taken, mut failed) = (Vec::new(), 0);
            let mut pace = interval(PACE);
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut connection = Connection::to(self.address).await;
            for request in requests.iter().cycle().take(REQUESTS) {
                pace.tick().await;
                let start = Instant::now();
                match connection.send(request).await {
                    Some(200) => {}
                    Some(_) => failed += 1,
                    None => {
                        failed += 1;
                        connection = Connection::to(self.address).await;
                    }
                }
                taken.push(start.elapsed());
            }
            (taken, failed)
        })
    }
}

/// One connection of an attacker: what it sends, again and again, and how long it waits in between.
struct Sender {
    address: SocketAddr,
    request: Vec<u8>,
    pause: Duration,
}

fn started_bodies(address: SocketAddr, callers: &Callers) -> Vec<Sender> {
    let whole = request("POST", "/env/values", &bearer(&callers.token), "{123456789");
    let started = whole.get(..whole.len() - 9).unwrap_or_default();
    // Those that are refused come again at once.
    senders(1_030, &Sender { address, request: started.to_vec(), pause: Duration::ZERO })
}

fn writes(address: SocketAddr, callers: &Callers) -> Vec<Sender> {
    let path = "/linked-account/default-app/auth-credentials/api_key";
    let body = format!(r#"{{"value":"{}"}}"#, "x".repeat(65_000));
    let request = request("PUT", path, &bearer(&callers.token), &body);
    senders(64, &Sender { address, request, pause: Duration::ZERO })
}

fn forged_tokens(address: SocketAddr, callers: &Callers) -> Vec<Sender> {
    // A signature of the right form that is of no key.
    let (unsigned, signature) = callers.token.rsplit_once('.').expect("a token has three parts");
    let forged = format!("{unsigned}.{}", signature.chars().rev().collect::<String>());
    let request = request("GET", "/env/definitions", &bearer(&forged), "");
    senders(20, &Sender { address, request, pause: Duration::from_millis(20) })
}

fn senders(count: usize, one: &Sender) -> Vec<Sender> {
    let again = |_| Sender { address: one.address, request: one.request.clone(), pause: one.pause };
    (0..count).map(again).collect()
}

/// Lets all of them send, on a thread of their own, until `stop`.
fn begin(senders: Vec<Sender>, stop: &Arc<AtomicBool>) -> JoinHandle<()> {
    let stop = Arc::clone(stop);
    let run = move || {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime can be had");
        runtime.block_on(async {
            let senders = senders.into_iter().map(|sender| {
                let stop = Arc::clone(&stop);
                tokio::spawn(async move { sender.send_until(&stop).await })
            });
            for sender in senders.collect::<Vec<_>>() {
                sender.await.expect("an attacker does not panic");
            }
        });
    };
    thread::Builder::new().name("attackers".to_owned()).spawn(run).expect("a thread can be had")
}

impl Sender {
    async fn send_until(self, stop: &AtomicBool) {
        let mut connection = Connection::to(self.address).await;
        while !stop.load(Ordering::Relaxed) {
            // A started body is answered after its time limit, or refused at once: either way it begins again.
            let answered = timeout(PATIENCE, connection.send(&self.request)).await;
            SENT.fetch_add(1, Ordering::Relaxed);
            if !matches!(answered, Ok(Some(200 | 401))) {
                connection = Connection::to(self.address).await;
            }
            sleep(self.pause).await;
        }
    }
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the server listens");
        stream.set_nodelay(true).expect("a socket can be");
        Self { stream, buffer: Vec::new() }
    }

    /// The status of the answer, once all of it is there; `None` if the server ends the connection.
    async fn send(&mut self, request: &[u8]) -> Option<u16> {
        self.stream.write_all(request).await.ok()?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await.ok()? == 0 {
                return None;
            }
            if let Some(status) = whole_answer(&self.buffer) {
                return Some(status);
            }
        }
    }
}

fn whole_answer(answer: &[u8]) -> Option<u16> {
    let body = answer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(answer.get(..body)?).ok()?;
    let (_, length) = head.split_once("content-length: ")?;
    let length: usize = length.split('\r').next()?.parse().ok()?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    (answer.len() >= body + length).then_some(status)
}

fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}")
}

fn request(method: &str, path: &str, caller: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "{method} /api/v2/public{path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{caller}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// What all attackers have sent.
static SENT: AtomicU64 = AtomicU64::new(0);

const ACCOUNT: &str = "user_12345";
/// The other org sends 200 a second.
const PACE: Duration = Duration::from_millis(5);
const REQUESTS: usize = 1_000;
const WARM_UP: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(2);

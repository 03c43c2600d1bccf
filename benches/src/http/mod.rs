//! Requests a second over loopback, beside a handler that does nothing with what it read.

mod attack;
mod bare;
mod load;
mod processor;
mod server;

use std::time::Duration;

use strongroom::Store;
use strongroom_http::{ApiKeys, MeasuredStore, Metrics, NewApiKey, Service, ServiceOptions};
use strongroom_memory::MemoryStore;
use strongroom_redb::RedbStore;
use strongroom_sled::SledStore;

pub use self::attack::{Attacked, attacks};
use self::load::{Load, Round};
pub use self::processor::Share;
use self::server::Server;
use crate::population::{DEFINITIONS, Population, VALUE};
use crate::vault::{Filled, account, name};

/// One call on one store, measured in turn with the bare handler.
#[derive(Debug)]
pub struct Line {
    /// The store and the call.
    pub name: String,
    /// The service.
    pub ours: Rate,
    /// The bare handler, on the same server.
    pub bare: Rate,
    /// The least share of the bare handler's rate that will do.
    pub bar: Option<f64>,
}

/// What a server stood.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// Requests answered a second.
    pub per_sec: f64,
    /// 99 of 100 requests took at most this long.
    pub p99: Duration,
    /// Processor time of the server, its store included, for each request.
    pub server_time: Duration,
}

/// Get, set and upsert of a credential on memory.
pub fn on_memory() -> Vec<Line> {
    lines("memory", MemoryStore::new())
}

/// The same on sled.
pub fn on_sled() -> Vec<Line> {
    lines("sled", SledStore::temporary().expect("there is room for temporary files"))
}

/// The same on redb.
pub fn on_redb() -> Vec<Line> {
    lines("redb", RedbStore::temporary().expect("there is room for temporary files"))
}

fn lines(store_name: &str, store: impl Store) -> Vec<Line> {
    let (service, requests) = service(store);
    let ours = Server::of_service(service);
    requests
        .into_iter()
        .map(|Requests { call, each, bar }| {
            let body = load::body_of(ours.address(), each.first().expect("there are connections"));
            let bare = Server::of_router(bare::router(body));
            let (ours, bare) = in_turn(&ours, &bare, &each);
            Line { name: format!("{store_name}: {call}"), ours, bare, bar }
        })
        .collect()
}

/// A call, as each connection sends it.
struct Requests {
    call: &'static str,
    each: Vec<Vec<u8>>,
    bar: Option<f64>,
}

/// The service as `strongroom serve` sets it up, over a filled vault.
fn service(store: impl Store) -> (Service, Vec<Requests>) {
    let metrics = Metrics::new();
    let filled = Filled::new(MeasuredStore::new(store, metrics.vault()), Population::of_values(10_000));
    let asked = filled.ask(&crate::population::Request { org: 0, account: 0, workflow: 0, definition: 0 });
    let (key, definition) = futures_executor::block_on(async {
        for number in 0..CONNECTIONS {
            asked.org.create_account(account(number)).with_default_app().await?;
        }
        let key = ApiKeys::of(&asked.org)?.create(NewApiKey::named("load")).await?.key;
        let stored = asked.org.definition(name(DEFINITIONS - 1).as_str()).await?.expect("it was defined");
        Ok::<_, strongroom::Error>((key, stored.id))
    })
    .expect("the vault is new");

    let head = |method: &str, path: &str, number: usize, body: &str| {
        let (key, account, length) = (key.expose(), account(number), body.len());
        format!(
            "{method} /api/v2/public{path} HTTP/1.1\r\nhost: 127.0.0.1\r\nx-api-key: {key}\r\n\
             linked_account_id: {account}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    };
    let each = |request: &dyn Fn(usize) -> Vec<u8>| (0..CONNECTIONS).map(request).collect();
    let get = each(&|number| head("GET", &format!("/env/value/{definition}"), number, ""));
    let body = format!(r#"{{"variable_definition_id":"{definition}","value":"{VALUE}"}}"#);
    let set = each(&|number| head("POST", "/env/values", number, &body));
    let body = format!(r#"{{"value":"{VALUE}"}}"#);
    let path = "/linked-account/default-app/auth-credentials/api_key";
    let upsert = each(&|number| head("PUT", path, number, &body));
    let requests = vec![
        Requests { call: "get value", each: get, bar: Some(0.5) },
        Requests { call: "set value", each: set, bar: None },
        Requests { call: "upsert credential", each: upsert, bar: None },
    ];
    (ServiceOptions::default().metrics(metrics).serve(filled.vault.clone()), requests)
}

/// Both servers in turns, so that a busy moment of the machine meets each alike; medians of all turns.
fn in_turn(ours: &Server, bare: &Server, requests: &[Vec<u8>]) -> (Rate, Rate) {
    let mut loads = [ours, bare].map(|server| Load::connect(server.address(), requests));
    let mut rounds = [const { Vec::new() }; 2];
    for load in &mut loads {
        load.round(ROUND / 4);
    }
    for _ in 0..ROUNDS {
        for (load, rounds) in loads.iter_mut().zip(&mut rounds) {
            rounds.push(load.round(ROUND));
        }
    }
    let [ours, bare] = rounds.map(|rounds| Rate::median(&rounds));
    (ours, bare)
}

impl Rate {
    fn median(rounds: &[Round]) -> Self {
        Self {
            per_sec: median(rounds.iter().map(Round::per_sec)),
            p99: Duration::from_secs_f64(median(rounds.iter().map(|round| round.p99.as_secs_f64()))),
            server_time: Duration::from_secs_f64(median(rounds.iter().map(Round::server_secs))),
        }
    }
}

fn median(samples: impl Iterator<Item = f64>) -> f64 {
    let mut samples: Vec<f64> = samples.collect();
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or_default()
}

/// Each sends one request at a time.
const CONNECTIONS: usize = 64;
const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_secs(1);

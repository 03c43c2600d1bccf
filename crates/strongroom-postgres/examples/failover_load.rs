//! The load of `scripts/failover`: writers that count up in a vault on several servers, and know what was acknowledged.
//!
//! It takes the address and reads lines: at `killed` it says how long the next acknowledged write took from then; at
//! `end` it compares the store with what was acknowledged, verifies the vault and says what it found.

#![allow(clippy::print_stdout, reason = "it says what it found")]

use std::error::Error;
use std::io::stdin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{env, thread};

use futures_executor::block_on;
use strongroom::{Environment, ErrorKind, Org, RawKey, Scope, Unlock, VarFormat, VariableDefinition, Vault};
use strongroom_postgres::{PostgresOptions, PostgresStore};

const WRITERS: usize = 16;

#[derive(Default)]
struct Load {
    is_over: AtomicBool,
    acknowledged: AtomicU64,
    refused: AtomicU64,
    unknown: AtomicU64,
    /// When a server was killed; taken by the next acknowledged write.
    killed: Mutex<Option<Instant>>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).ok_or("an address is missing")?;
    let options = PostgresOptions::parse(&address)?.connect_timeout(Duration::from_secs(2));
    let store = PostgresStore::open(&options.answer_timeout(Duration::from_secs(5)))?;
    let vault = block_on(Vault::create(store, Unlock::raw_key(RawKey::generate()?)))?;
    let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, Environment::test());
    block_on(org.define(VariableDefinition::new("COUNT", VarFormat::Integer)))?;
    let load = Arc::new(Load::default());
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (org, load) = (org.clone(), Arc::clone(&load));
            thread::spawn(move || count_up(&org, &scope(writer), &load))
        })
        .collect();
    println!("ready");
    for line in stdin().lines() {
        match line?.as_str() {
            "killed" => *load.killed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now()),
            _ => break,
        }
    }
    load.is_over.store(true, Ordering::SeqCst);
    let mut lost = 0;
    for (writer, counts) in writers.into_iter().enumerate() {
        let (last_acknowledged, last_sent) = counts.join().map_err(|_| "a writer failed")?;
        let stored = block_on(org.value("COUNT", scope(writer)))?;
        let stored: u64 = stored.map_or(Ok(0), |value| value.value.expose().parse())?;
        lost += u64::from(!(last_acknowledged..=last_sent).contains(&stored));
    }
    let report = block_on(vault.verify())?;
    let count = |of: &AtomicU64| of.load(Ordering::SeqCst);
    println!(
        "{} acknowledged, {} refused, {} of unknown outcome; {lost} of {WRITERS} writers lost a write; verify: {}",
        count(&load.acknowledged),
        count(&load.refused),
        count(&load.unknown),
        if report.is_clean() { "clean" } else { "not clean" },
    );
    if lost > 0 || !report.is_clean() { Err("a write was lost".into()) } else { Ok(()) }
}

/// Counts up until the end: what was acknowledged last, and what was sent last.
fn count_up(org: &Org, scope: &Scope, load: &Load) -> (u64, u64) {
    let (mut acknowledged, mut sent) = (0, 0);
    while !load.is_over.load(Ordering::SeqCst) {
        sent += 1;
        let began = Instant::now();
        match block_on(org.set_value("COUNT", scope, sent.to_string())) {
            Ok(_) => {
                acknowledged = sent;
                load.acknowledged.fetch_add(1, Ordering::SeqCst);
                let mut killed = load.killed.lock().unwrap_or_else(PoisonError::into_inner);
                // One that was on its way is none of the new primary's.
                if let Some(killed) = killed.take_if(|killed| began > *killed) {
                    println!("next write after {} ms", killed.elapsed().as_millis());
                }
            }
            Err(error) => {
                let is_unknown = error.kind() == ErrorKind::Indeterminate;
                let count = if is_unknown { &load.unknown } else { &load.refused };
                count.fetch_add(1, Ordering::SeqCst);
                // As a client that tries again would.
                thread::sleep(Duration::from_millis(50));
            }
        }
    }
    (acknowledged, sent)
}

fn scope(writer: usize) -> Scope {
    Scope::LinkedAccount(format!("user_{writer}").parse().expect("it is a valid id"))
}

//! The engine over a store, a clock, random bytes and an order of calls that all come from one seed.
//!
//! Actors set, resolve, rotate, shred, move, lock, crash and stall on one engine or several, while batches are late,
//! answers are lost and syncs fail. What they were told must fit one order of their calls ([`history`]), and what is
//! left must be as the auditor says ([`crate::audit`]). A seed replays exactly; one that fails is shrunk to the actions
//! that matter. `scripts/simulate` plays many.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says which seeds fail"
)]

mod client;
mod dice;
mod disk;
mod history;
mod plan;
mod world;

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use strongroom::hazmat::with_random_bytes;

use dice::Dice;
use plan::{Action, Plan};
use world::World;

/// Plays a plan; a panic of the engine is a failure too.
fn play(plan: &Plan) -> Result<u64, String> {
    let mut random = Dice::new(!plan.seed);
    let run = || with_random_bytes(move |bytes| random.fill(bytes), || World::play(plan));
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or(panic.downcast_ref::<&str>().copied());
        Err(format!("a panic: {}", text.unwrap_or("without words")))
    })
}

/// Panics with what is left of the plan of a seed that fails.
fn assert_holds(seed: u64) {
    let plan = Plan::of(seed);
    if play(&plan).is_ok() {
        return;
    }
    let shrunk = plan.shrink(|plan| play(plan).is_err());
    let failure = play(&shrunk).unwrap_err();
    panic!("seed {seed} fails with {shrunk:#?}\n{failure}");
}

fn all_hold(seeds: impl IntoIterator<Item = u64>) {
    let failed: Vec<u64> = seeds.into_iter().filter(|seed| play(&Plan::of(*seed)).is_err()).collect();
    if let Some(first) = failed.first() {
        eprintln!("failing seeds: {failed:?}");
        assert_holds(*first);
    }
}

/// The seeds that `SIMULATE=first..end` names, or those of every run of the tests.
fn seeds() -> Range<u64> {
    let Ok(named) = std::env::var("SIMULATE") else { return 0..SEEDS_LEN };
    let (first, end) = named.split_once("..").expect("SIMULATE is first..end");
    first.parse().expect("a number")..end.parse().expect("a number")
}

#[test]
fn what_clients_are_told_and_what_is_left_fit_one_order_of_their_calls() {
    all_hold(seeds());
}

#[test]
fn seeds_that_once_found_something_hold() {
    let seeds = include_str!("seeds.txt").lines().filter(|line| !line.starts_with('#'));
    all_hold(seeds.map(|line| line.parse().expect("one seed a line")));
}

#[test]
fn a_seed_replays_exactly() {
    for seed in 0..20 {
        assert_eq!(play(&Plan::of(seed)), play(&Plan::of(seed)), "seed {seed}");
    }
}

/// A store that forgets what it acknowledged is found, and what is shrunk still fails.
#[test]
fn a_store_that_forgets_is_found() {
    let forgetful = |seed| {
        let mut plan = Plan::of(seed);
        plan.faults = disk::Faults { forgotten: 100, ..disk::Faults::default() };
        plan
    };
    let found = (0..50).map(forgetful).find(|plan| play(plan).is_err()).expect("it is found");
    let actions_len = found.actions_len();
    let shrunk = found.shrink(|plan| play(plan).is_err());
    assert!(play(&shrunk).is_err() && shrunk.actions_len() < actions_len, "{shrunk:?}");
    assert!(shrunk.actors.iter().flat_map(|(_, actions)| actions).any(|action| *action != Action::Stall));
}

const SEEDS_LEN: u64 = 200;

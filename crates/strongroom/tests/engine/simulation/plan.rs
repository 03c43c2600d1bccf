//! What the actors of one run do: drawn from a seed, and shorter when actions are dropped.

use super::dice::Dice;
use super::disk::Faults;

pub(crate) const NAMES: [&str; 2] = ["A", "B"];
pub(crate) const ACCOUNTS: [&str; 2] = ["a", "b"];
pub(crate) const KEYS: [&str; 2] = ["k", "l"];
pub(crate) const RECORDS: [&str; 2] = ["r", "s"];

/// The org, both accounts, and a workflow.
pub(crate) const SCOPES_LEN: usize = 4;

type Name = &'static str;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Define(Name),
    DeleteDefinition(Name),
    /// Allows values of the org only.
    Narrow(Name),
    Widen(Name),
    ChangeFormat(Name),
    Set(Name, usize),
    /// Only if there is no value yet.
    SetFirst(Name, usize),
    /// At every scope, in one batch.
    SetEverywhere(Name),
    Unset(Name, usize),
    Get(Name, usize),
    List(usize),
    Resolve(Name),
    ResolveAll,
    UpsertAccount(Name, Name),
    UpsertCredential(Name, Name),
    GetCredential(Name, Name),
    /// By whoever has the lease of the integration.
    RefreshCredential(Name, Name),
    DeleteCredential(Name, Name),
    DeleteAccount(Name),
    ShredAccount(Name),
    ShredOrg,
    PutRecord(Name),
    GetRecord(Name),
    DeleteRecord(Name),
    RotateData,
    RotateRoot,
    RunJobs,
    LockOrg,
    UnlockOrg,
    LockVault,
    UnlockVault,
    Backup,
    Copy,
    AbandonCopy,
    /// The engine of the actor is gone, with all that its actors were doing.
    Crash,
    /// Every engine is gone at once.
    CutPower,
    /// Nobody runs for longer than a lease lasts.
    Stall,
    /// Another actor gives up what it is doing.
    Cancel(usize),
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Of the dice that order the calls and decide what goes wrong.
    pub(crate) seed: u64,
    pub(crate) engines_len: usize,
    pub(crate) faults: Faults,
    /// What each actor does, and on which engine.
    pub(crate) actors: Vec<(usize, Vec<Action>)>,
}

impl Plan {
    pub(crate) fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let engines_len = 1 + dice.below(3);
        let mut rate = |permille: u64| if dice.permille(500) { permille } else { 0 };
        let mut faults = Faults {
            unavailable: rate(15),
            contention: rate(60),
            lost: rate(60),
            failed_sync: rate(5),
            ..Faults::default()
        };
        if dice.permille(100) {
            faults.replayed = 100;
        }
        let actors_len = 1 + dice.below(4);
        let actors = (0..actors_len).map(|_| {
            let actions_len = 3 + dice.below(12);
            let engine = dice.below(engines_len);
            (engine, (0..actions_len).map(|_| action(&mut dice, actors_len)).collect())
        });
        let actors = actors.collect();
        Self { seed: dice.roll(), engines_len, faults, actors }
    }

    pub(crate) fn is_hostile(&self) -> bool {
        self.faults.replayed > 0
    }

    /// Whether another engine may be on the store.
    pub(crate) fn is_shared(&self) -> bool {
        self.engines_len > 1
    }

    pub(crate) fn actions_len(&self) -> usize {
        self.actors.iter().map(|(_, actions)| actions.len()).sum()
    }

    /// The same without some of its actions, as long as `fails`.
    pub(crate) fn shrink(mut self, fails: impl Fn(&Self) -> bool) -> Self {
        for len in [8, 4, 2, 1, 1] {
            for actor in 0..self.actors.len() {
                let mut at = 0;
                while at < self.actors[actor].1.len() {
                    let mut shorter = self.clone();
                    let actions = &mut shorter.actors[actor].1;
                    let end = (at + len).min(actions.len());
                    actions.drain(at..end);
                    if fails(&shorter) {
                        self = shorter;
                    } else {
                        at += len;
                    }
                }
            }
        }
        self
    }
}

fn action(dice: &mut Dice, actors_len: usize) -> Action {
    let (name, account) = (*dice.pick(&NAMES), *dice.pick(&ACCOUNTS));
    let (key, record) = (*dice.pick(&KEYS), *dice.pick(&RECORDS));
    let scope = dice.below(SCOPES_LEN);
    match dice.below(100) {
        0..8 => Action::Define(name),
        8..10 => Action::DeleteDefinition(name),
        10..12 => Action::Narrow(name),
        12..13 => Action::Widen(name),
        13..15 => Action::ChangeFormat(name),
        15..27 => Action::Set(name, scope),
        27..30 => Action::SetFirst(name, scope),
        30..32 => Action::SetEverywhere(name),
        32..35 => Action::Unset(name, scope),
        35..39 => Action::Get(name, scope),
        39..41 => Action::List(scope),
        41..45 => Action::Resolve(name),
        45..47 => Action::ResolveAll,
        47..52 => Action::UpsertAccount(account, key),
        52..57 => Action::UpsertCredential(account, key),
        57..59 => Action::GetCredential(account, key),
        59..60 => Action::RefreshCredential(account, key),
        60..61 => Action::DeleteCredential(account, key),
        61..64 => Action::DeleteAccount(account),
        64..65 => Action::ShredAccount(account),
        65..67 => Action::ShredOrg,
        67..69 => Action::PutRecord(record),
        69..71 => Action::GetRecord(record),
        71..72 => Action::DeleteRecord(record),
        72..77 => Action::RotateData,
        77..80 => Action::RotateRoot,
        80..83 => Action::RunJobs,
        83..84 => Action::LockOrg,
        84..86 => Action::UnlockOrg,
        86..87 => Action::LockVault,
        87..89 => Action::UnlockVault,
        89..91 => Action::Backup,
        91..93 => Action::Copy,
        93..94 => Action::AbandonCopy,
        94..96 => Action::Crash,
        96..97 => Action::CutPower,
        97..98 => Action::Stall,
        _ => Action::Cancel(dice.below(actors_len)),
    }
}

//! What a user may do, drawn at random from few names, so that verbs meet one another.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use strongroom::{Scope, ScopeKind, Scopes};

use crate::common::{account, workflow};

pub(crate) const NAMES: [&str; 3] = ["A", "B", "C"];
pub(crate) const ACCOUNTS: [&str; 2] = ["a", "a/"];
pub(crate) const APPS: [&str; 3] = ["default-app", "crm", "crm work"];
pub(crate) const KEYS: [&str; 2] = ["k", "l"];
const TEXTS: [&str; 4] = ["", "x", " x\r\n", "\u{e9}\u{0}"];

type Name = &'static str;
type Text = &'static str;

/// One verb of the public API with its arguments.
#[derive(Debug, Clone)]
pub(crate) enum Verb {
    Define {
        name: Name,
        encrypted: bool,
        default: Option<Text>,
        required: bool,
        scopes: Scopes,
    },
    Change {
        name: Name,
        to: Change,
    },
    DeleteDefinition {
        name: Name,
    },
    SetValue {
        set: Set,
        expected: Mark,
        record: Option<Name>,
    },
    SetValues(Vec<Set>),
    DeleteValue {
        name: Name,
        scope: Scope,
        expected: Mark,
        keep: bool,
    },
    /// A former version, counted from the newest one.
    Restore {
        name: Name,
        scope: Scope,
        nth: usize,
    },
    Undelete {
        name: Name,
        scope: Scope,
    },
    CreateAccount {
        account: Name,
        credential: Option<(Name, Text)>,
    },
    UpsertAccount {
        account: Name,
        credential: Option<(Name, Text)>,
    },
    DeleteAccount {
        account: Name,
    },
    AddIntegration {
        account: Name,
        app: Name,
    },
    DeleteIntegration {
        account: Name,
        app: Name,
    },
    UpsertCredential {
        account: Name,
        app: Name,
        key: Name,
        value: Text,
        expected: Mark,
    },
    DeleteCredential {
        account: Name,
        app: Name,
        key: Name,
    },
    PutRecord {
        key: Name,
        value: Text,
    },
    DeleteRecord {
        key: Name,
    },
    /// Every data key; nothing that a reader sees changes.
    RotateKeys,
}

impl Verb {
    /// Whether the verb leaves rows to be swept.
    pub(crate) fn cascades(&self) -> bool {
        matches!(
            self,
            Self::DeleteDefinition { .. } | Self::DeleteAccount { .. } | Self::DeleteIntegration { .. }
        )
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) name: Option<Name>,
    pub(crate) encrypted: bool,
    pub(crate) default: Option<Option<Text>>,
    pub(crate) scopes: Option<Scopes>,
}

#[derive(Debug, Clone)]
pub(crate) struct Set {
    pub(crate) name: Name,
    pub(crate) scope: Scope,
    pub(crate) value: Text,
}

/// Which revision a write expects.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mark {
    Any,
    Absent,
    /// The one that stands there.
    Current,
    /// The last one that no longer stands there.
    Stale,
}

/// A stream that starts where there is something to work on.
pub(crate) fn verbs() -> impl Strategy<Value = Vec<Verb>> {
    vec(verb(), 1..40).prop_map(|verbs| start().into_iter().chain(verbs).collect())
}

/// What makes something to work on.
pub(crate) fn start() -> Vec<Verb> {
    let define =
        |name| Verb::Define { name, encrypted: false, default: None, required: true, scopes: Scopes::ALL };
    vec![define("A"), define("B"), Verb::CreateAccount { account: "a", credential: Some(("k", "x")) }]
}

/// Any verb.
pub(crate) fn verb() -> impl Strategy<Value = Verb> {
    prop_oneof![4 => on_definitions(), 8 => on_values(), 8 => on_accounts(), 1 => on_records()]
}

/// Every scope at which the verbs set values.
pub(crate) fn every_scope() -> Vec<Scope> {
    vec![Scope::Org, account("a"), account("a/"), workflow("w")]
}

fn on_definitions() -> impl Strategy<Value = Verb> {
    prop_oneof![
        3 => (name(), prop::bool::weighted(0.2), default(), any::<bool>(), scopes()).prop_map(
            |(name, encrypted, default, required, scopes)| {
                Verb::Define { name, encrypted, default, required, scopes }
            },
        ),
        2 => (name(), change()).prop_map(|(name, to)| Verb::Change { name, to }),
        1 => name().prop_map(|name| Verb::DeleteDefinition { name }),
    ]
}

fn on_values() -> impl Strategy<Value = Verb> {
    prop_oneof![
        3 => (set(), mark(), option::weighted(0.2, key())).prop_map(|(set, expected, record)| {
            Verb::SetValue { set, expected, record }
        }),
        1 => vec(set(), 1..4).prop_map(Verb::SetValues),
        1 => (name(), scope(), mark(), any::<bool>())
            .prop_map(|(name, scope, expected, keep)| Verb::DeleteValue { name, scope, expected, keep }),
        1 => (name(), scope(), 0..3_usize).prop_map(|(name, scope, nth)| Verb::Restore { name, scope, nth }),
        1 => (name(), scope()).prop_map(|(name, scope)| Verb::Undelete { name, scope }),
    ]
}

fn on_accounts() -> impl Strategy<Value = Verb> {
    let credential = || option::of((key(), value()));
    prop_oneof![
        1 => (owner(), credential()).prop_map(|(account, credential)| Verb::CreateAccount { account, credential }),
        1 => (owner(), credential()).prop_map(|(account, credential)| Verb::UpsertAccount { account, credential }),
        1 => owner().prop_map(|account| Verb::DeleteAccount { account }),
        2 => (owner(), app()).prop_map(|(account, app)| Verb::AddIntegration { account, app }),
        1 => (owner(), app()).prop_map(|(account, app)| Verb::DeleteIntegration { account, app }),
        5 => (owner(), app(), key(), value(), mark()).prop_map(|(account, app, key, value, expected)| {
            Verb::UpsertCredential { account, app, key, value, expected }
        }),
        2 => (owner(), app(), key()).prop_map(|(account, app, key)| Verb::DeleteCredential { account, app, key }),
    ]
}

fn on_records() -> impl Strategy<Value = Verb> {
    prop_oneof![
        (key(), value()).prop_map(|(key, value)| Verb::PutRecord { key, value }),
        key().prop_map(|key| Verb::DeleteRecord { key }),
        Just(Verb::RotateKeys),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    let parts = (option::of(name()), prop::bool::weighted(0.2), option::of(default()), option::of(scopes()));
    parts.prop_map(|(name, encrypted, default, scopes)| Change { name, encrypted, default, scopes })
}

fn set() -> impl Strategy<Value = Set> {
    (name(), scope(), value()).prop_map(|(name, scope, value)| Set { name, scope, value })
}

/// Mostly all three.
fn scopes() -> impl Strategy<Value = Scopes> {
    let only = select(&ScopeKind::ALL[..]).prop_map(Scopes::only);
    let two = select(&ScopeKind::ALL[..]).prop_map(|kind| Scopes::only(ScopeKind::Org).and(kind));
    prop_oneof![3 => Just(Scopes::ALL), 1 => only, 1 => two]
}

fn mark() -> impl Strategy<Value = Mark> {
    prop_oneof![
        5 => Just(Mark::Any),
        1 => Just(Mark::Absent),
        2 => Just(Mark::Current),
        1 => Just(Mark::Stale),
    ]
}

fn scope() -> impl Strategy<Value = Scope> {
    select(every_scope())
}

fn default() -> impl Strategy<Value = Option<Text>> {
    option::weighted(0.3, value())
}

fn name() -> impl Strategy<Value = Name> {
    select(&NAMES[..])
}

fn owner() -> impl Strategy<Value = Name> {
    select(&ACCOUNTS[..])
}

fn app() -> impl Strategy<Value = Name> {
    select(&APPS[..])
}

fn key() -> impl Strategy<Value = Name> {
    select(&KEYS[..])
}

fn value() -> impl Strategy<Value = Text> {
    select(&TEXTS[..])
}

//! Writes, beside a raw seal and the store's own part: the same read and the same commit without expectations.

use std::hint::black_box;
use std::sync::Arc;

use futures_executor::block_on;
use futures_util::future::join_all;
use strongroom::store::{ReadBatch, Store, WriteBatch};
use strongroom::{Error, NewValue, Org, Scope};

use crate::population::VALUE;
use crate::raw::Cipher;
use crate::vault::{Filled, account, name};
use crate::{Run, Work};

/// Updates one value again and again.
pub(crate) fn set_value<S: Store>(label: &str, filled: &Filled<S>) -> Work {
    let verb = async |org: Org| org.set_value("VARIABLE_000", Scope::Org, VALUE).await.map(drop);
    write(format!("{label}: set_value, one writer"), filled, verb)
}

/// Updates one credential again and again.
pub(crate) fn upsert_credential<S: Store>(label: &str, filled: &Filled<S>) -> Work {
    let org = first(filled);
    block_on(org.upsert_account(account(0)).with_default_app().into_future()).expect("a new account");
    let verb = async |org: Org| org.account(account(0)).upsert_credential("api_key", VALUE).await.map(drop);
    write(format!("{label}: upsert_credential, one writer"), filled, verb)
}

/// 64 writers at once, beside one batch of the same 64 values.
pub(crate) fn many_writers<S: Store>(label: &str, filled: &Filled<S>) -> Work {
    let (writer, targets) = (first(filled), places());
    let work = all_at_once(first(filled));
    let floor = Run::wall(move |n| {
        for _ in 0..n {
            let values = targets.iter().map(|(name, scope)| NewValue::new(name, scope, VALUE));
            block_on(writer.set_values(&values.collect::<Vec<_>>())).expect("the values are valid");
        }
    });
    Work::new(format!("{label}: set_value, 64 writers"), work, "set_values of 64", floor).bar(1.25)
}

/// Sets 64 values, each by a writer of its own.
pub(crate) fn all_at_once(org: Org) -> Run {
    in_a_row(org, 1)
}

/// The same, each writer so many times in a row, as they do who serve requests: none waits for the others.
pub(crate) fn in_a_row(org: Org, times: usize) -> Run {
    let places = places();
    Run::wall(move |n| {
        for _ in 0..n {
            let all = places.iter().map(async |(name, scope)| {
                for _ in 0..times {
                    org.set_value(name, scope, VALUE).await.expect("no writer fails");
                }
            });
            block_on(join_all(all));
        }
    })
}

/// Writes that leave an event each, beside the same without.
pub(crate) fn audited<S: Store>(label: &str, plain: &Filled<S>, audited: &Filled<S>) -> Vec<Work> {
    let (one, all) = (one_writer(first(audited)), all_at_once(first(audited)));
    let (plain_one, plain_all) = (one_writer(first(plain)), all_at_once(first(plain)));
    let line = |what: &str, work, floor| {
        Work::new(format!("{label}: set_value with an audit, {what}"), work, "the same without", floor)
    };
    vec![line("one writer", one, plain_one).bar(1.2), line("64 writers", all, plain_all).bar(1.25)]
}

fn one_writer(org: Org) -> Run {
    Run::wall(move |n| {
        for _ in 0..n {
            block_on(org.set_value("VARIABLE_000", Scope::Org, VALUE)).expect("the value is valid");
        }
    })
}

fn places() -> Vec<(String, Scope)> {
    (0..WRITERS).map(|number| (name(20 + number / 16), Scope::LinkedAccount(account(number % 16)))).collect()
}

fn write<S: Store>(
    label: String,
    filled: &Filled<S>,
    verb: impl AsyncFn(Org) -> Result<(), Error> + 'static,
) -> Work {
    let (read, commit) = filled.overhear(&verb);
    let org = first(filled);
    let work = Run::wall(move |n| {
        for _ in 0..n {
            block_on(verb(org.clone())).expect("the value is valid");
        }
    });
    let floor = floor(Arc::clone(&filled.store), read, commit);
    Work::new(label, work, "the store's read + raw seal + the store's commit", floor)
}

fn floor<S: Store>(store: Arc<S>, read: ReadBatch, commit: WriteBatch) -> Run {
    let cipher = Cipher::new();
    Run::wall(move |n| {
        for _ in 0..n {
            block_on(async {
                black_box(store.read(&read).await.is_ok());
                black_box(cipher.seal(&[1; 180], VALUE.as_bytes()).len());
                store.commit(Arc::new(commit.clone())).await.expect("nothing is expected");
            });
        }
    })
}

fn first<S: Store>(filled: &Filled<S>) -> Org {
    filled.orgs.first().expect("there is an org").clone()
}

/// How many writers write at once.
pub(crate) const WRITERS: usize = 64;

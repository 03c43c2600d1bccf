//! A second process that opens a store while the first one has it open.

use std::collections::BTreeSet;
use std::path::Path;

use strongroom::store::StoreErrorKind;

use super::process::{Writer, say};
use crate::batch::scan_all;
use crate::cases::races::{COUNT, INCREMENTS, count_on, counted, number};
use crate::opened::Opened;

/// Does what a second process is started for, and says how it went.
pub(super) fn serve(opened: Result<Opened, StoreErrorKind>) {
    match opened {
        Err(kind) => say(&format!("refused {kind:?}")),
        Ok(store) if store.store().capabilities().shared => {
            say(OPENED);
            count_on(&store, counted(&store), SUM);
            for _ in 0..PUTS {
                say(&format!("{PUT}{}", store.put("a", "the same bytes").0));
            }
            say(DONE);
        }
        Ok(store) => {
            say(OPENED);
            store.put("second", "1");
            store.close().expect("the store closes");
            say(DONE);
        }
    }
}

/// Holds that a second process is refused while this one has the store open, and let in once it has not.
pub(super) fn check_one(path: &Path, open: &dyn Fn() -> Opened) {
    let store = open();
    store.put("first", "1");
    let refused = format!("refused {:?}", StoreErrorKind::InUse);
    assert_eq!(second(path).said(), [refused], "a store that is not shared is open in one process");
    store.put("first", "2");
    assert_eq!(store.value("first"), Some(b"2".to_vec()));
    store.close().expect("the store closes");
    drop(store);
    assert_eq!(second(path).said(), [OPENED, DONE], "the place is free once the store is closed");
    assert_eq!(open().keys(scan_all()), [b"first".as_slice(), b"second"], "what each process wrote");
}

/// Holds that three processes at once lose no update and give no revision twice.
pub(super) fn check_several(path: &Path, open: &dyn Fn() -> Opened) {
    let store = open();
    store.put(COUNT, 0_u32.to_be_bytes());
    let mut others = [second(path), second(path)];
    for other in &mut others {
        other.hear(OPENED);
    }
    count_on(&store, counted(&store), SUM);
    let mut revisions: BTreeSet<u64> = (0..PUTS).map(|_| store.put("a", "the same bytes").0).collect();
    for other in others {
        let mut said = other.said();
        assert_eq!(said.pop().as_deref(), Some(DONE), "the other process said: {said:?}");
        let puts = said.iter().filter_map(|line| line.strip_prefix(PUT)?.parse::<u64>().ok());
        revisions.extend(puts);
    }
    assert_eq!(revisions.len(), PROCESSES as usize * PUTS, "no two puts of a key share a revision");
    assert_eq!(number(&counted(&store)), SUM, "every update counts");
}

fn second(path: &Path) -> Writer {
    Writer::start(path, NAME)
}

pub(super) const NAME: &str = "second";
const OPENED: &str = "opened";
const PUT: &str = "put ";
const DONE: &str = "done";
const PROCESSES: u32 = 3;
const SUM: u32 = PROCESSES * INCREMENTS;
const PUTS: usize = 100;

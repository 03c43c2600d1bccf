//! Rules about several handles on one store. A store that is not shared refuses the second one, and they end there.

use std::collections::BTreeSet;
use std::thread;

use strongroom::store::{ReadBatch, StoreErrorKind};

use super::races::{assert_one_winner, count_to_the_end};
use super::reads::{Race, assert_one_batch, move_over};
use crate::Subject;
use crate::batch::{absent, at_revision, batch, delete, exists, gets, put, scan_all};
use crate::opened::Opened;

pub(super) fn a_handle_sees_what_another_commits(subject: &Subject) {
    let Some([one, other]) = two_handles(subject) else { return };
    for round in 0..10_u8 {
        for (writer, reader) in [(&one, &other), (&other, &one)] {
            let revision = writer.put("a", [round]);
            let seen = reader.get("a").expect("the row of another handle");
            assert_eq!((seen.value, seen.revision), (vec![round], revision));
            writer.delete("a");
            assert_eq!(reader.keys(scan_all()), Vec::<Vec<u8>>::new(), "a row that another handle deleted");
        }
    }
}

pub(super) fn handles_never_share_a_revision_of_a_key(subject: &Subject) {
    let Some(handles) = two_handles(subject) else { return };
    let mut seen = BTreeSet::new();
    for _ in 0..20 {
        for handle in &handles {
            assert!(seen.insert(handle.put("a", "the same bytes")), "the revision is new");
        }
    }
    // Also where neither could see the other's last put.
    let [one, other] = handles
        .each_ref()
        .map(|handle| move || (0..100).map(|_| handle.put("a", "the same bytes")).collect::<Vec<_>>());
    let (one, other) = thread::scope(|threads| {
        let one = threads.spawn(one);
        (other(), one.join().expect("a put does not panic"))
    });
    assert!(one.into_iter().chain(other).all(|revision| seen.insert(revision)), "the revisions are new");
}

pub(super) fn expectations_are_about_what_every_handle_wrote(subject: &Subject) {
    let Some([one, other]) = two_handles(subject) else { return };
    let old = one.put("a", "1");
    let new = other.commit(batch([at_revision("a", old)], [put("a", "2")]));
    let conflict = StoreErrorKind::Conflict { index: 0 };
    assert_eq!(one.refusal(batch([at_revision("a", old)], [put("a", "3")])), conflict);
    assert_eq!(one.refusal(batch([absent("a")], [put("a", "3")])), conflict);
    one.commit(batch([at_revision("a", new)], [delete("a")]));
    assert_eq!(other.refusal(batch([exists("a")], [put("b", "4")])), conflict);
    assert_eq!(other.read(&gets(["a", "b"])).gets, [None, None]);
}

pub(super) fn of_racing_commits_of_two_handles_one_wins(subject: &Subject) {
    let Some([one, other]) = two_handles(subject) else { return };
    let mut revision = one.put("a", "start");
    for _ in 0..30 {
        let replace = |value: &str| batch([at_revision("a", revision)], [put("a", value)]);
        revision = assert_one_winner([(&one, replace("1")), (&other, replace("2"))]).revision;
        assert_eq!(one.get("a").map(|row| row.revision), Some(revision), "the winner's row is there");
    }
}

pub(super) fn a_counter_of_two_handles_loses_no_update(subject: &Subject) {
    let Some([one, other]) = two_handles(subject) else { return };
    count_to_the_end(&[&one, &one, &other, &other]);
}

pub(super) fn a_read_is_one_snapshot_whichever_handle_writes(subject: &Subject) {
    let Some([one, other]) = two_handles(subject) else { return };
    move_over(&one, 0);
    let race = Race::default();
    thread::scope(|threads| {
        threads.spawn(|| race.run(&race.reads_len, |_| assert_one_batch(&other)));
        race.run(&race.commits_len, |round| move_over(&one, round));
    });
}

pub(super) fn a_handle_goes_on_when_another_is_closed(subject: &Subject) {
    let Some([one, other]) = two_handles(subject) else { return };
    one.put("a", "1");
    one.close().expect("the handle closes");
    other.put("b", "2");
    assert_eq!(other.keys(scan_all()), [b"a", b"b"]);
    assert_eq!(one.read_refusal(&ReadBatch::default()), StoreErrorKind::Closed);
}

/// Two handles on one place; none where the store says that it is not shared, and is not.
fn two_handles(subject: &Subject) -> Option<[Opened; 2]> {
    let one = subject.fresh();
    let (shared, other) = (one.store().capabilities().shared, one.open_another());
    assert_eq!(other.is_ok(), shared, "a store is shared exactly when it has many handles");
    Some([one, other.ok()?])
}

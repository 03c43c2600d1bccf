//! Who was shown what, in the audit.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use strongroom::{
    AuditEvent, AuditFilter, Environment, EventKind, PageRequest, RawKey, Scope, Unlock, VarFormat,
    VariableDefinition, Vault,
};
use strongroom_http::{ApiKeys, Grant, NewApiKey, Right, ServiceOptions, WhenFull, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use support::gate::gated;
use support::{BASE, Fixture};

async fn fixture(when_full: WhenFull, notes_max: usize) -> Fixture {
    noting(|options| options.note_reads(when_full, notes_max)).await
}

/// With an audit, an open variable and an encrypted one, each with a value of the org and of the account `a`.
async fn noting(set_up: impl FnOnce(ServiceOptions) -> ServiceOptions) -> Fixture {
    let fixture = Fixture::with(set_up).await;
    fixture.vault.change_settings(|settings| settings.audit = true).await.unwrap();
    fixture.register("a").await;
    fixture.define_string("OPEN").await;
    fixture.define(VariableDefinition::new("SECRET", VarFormat::String).encrypted()).await;
    for name in ["OPEN", "SECRET"] {
        fixture.org.set_value(name, Scope::Org, "x").await.unwrap();
        fixture.org.set_value(name, Scope::LinkedAccount("a".parse().unwrap()), "y").await.unwrap();
    }
    fixture
}

async fn path(fixture: &Fixture, name: &str) -> String {
    let id = fixture.org.definition(name).await.unwrap().unwrap().id;
    format!("/env/value/{id}")
}

/// The events of what was read.
async fn noted(fixture: &Fixture) -> Vec<AuditEvent> {
    let filter = AuditFilter::all().kind(EventKind::ValueRead);
    fixture.org.audit(&filter, PageRequest::first(1_000)).await.unwrap().items
}

/// How many values were read, by events of whom.
async fn noted_of(fixture: &Fixture, actor: &str) -> usize {
    fixture.service.write_read_notes().await.unwrap();
    let events = noted(fixture).await;
    let own = events.iter().filter(|event| event.actor.as_ref().unwrap().starts_with(actor));
    own.map(|event| event.changes.len()).sum()
}

#[tokio::test]
async fn what_is_shown_is_noted_on_behalf_of_whom_it_is_shown_to() {
    let fixture = fixture(WhenFull::Refuse, 100).await;
    let (open, secret) = (path(&fixture, "OPEN").await, path(&fixture, "SECRET").await);
    let token = fixture.token("a").await;
    for path in [&open, &secret] {
        assert_eq!(fixture.call("GET", path).send().await.status, 200);
        assert_eq!(fixture.call_with_token(&token, "GET", path).send().await.status, 200);
    }
    assert_eq!((noted_of(&fixture, "api-key:").await, noted_of(&fixture, "session:").await), (1, 1));
    let events = noted(&fixture).await;
    let of_account =
        events.iter().find(|event| event.actor.as_ref().unwrap().starts_with("session:")).unwrap();
    let change = &of_account.changes[0];
    let stored =
        fixture.org.value("OPEN", Scope::LinkedAccount("a".parse().unwrap())).await.unwrap().unwrap();
    assert_eq!(
        (change.linked_account.as_ref().unwrap().as_str(), change.before),
        ("a", Some(stored.revision))
    );
    assert_eq!(change.name.as_deref(), Some("OPEN"));
    // As the log names the session, without its account.
    let (session, _) = of_account.actor.as_ref().unwrap().split_once('@').unwrap();
    let found = async |actor: &str| {
        let filter = AuditFilter::all().kind(EventKind::ValueRead).actor(actor);
        fixture.org.audit(&filter, PageRequest::first(10)).await.unwrap().items.len()
    };
    assert_eq!((found(session).await, found(&session[..session.len() - 1]).await), (1, 0));

    let by_value = fixture.call("GET", "/linked-account?env_variable_name=OPEN&env_variable_value=y");
    assert_eq!(by_value.send().await.status, 200);
    assert_eq!(noted_of(&fixture, "api-key:").await, 2, "a comparison tells too");
}

#[tokio::test]
async fn every_control_call_that_shows_a_value_notes_it() {
    let fixture = fixture(WhenFull::Refuse, 100).await;
    let keys = ApiKeys::of(&fixture.org).unwrap();
    let new = NewApiKey::named("n").with(Grant::of([Right::Read, Right::Reveal]));
    let key = keys.create(new).await.unwrap();
    let actor = format!("api-key:{}", key.info.id);
    let mut before = 0;
    for (path, shown) in [
        ("/values", 1),
        ("/values/OPEN", 1),
        ("/values/SECRET", 0),
        ("/values?reveal=true", 2),
        ("/values/SECRET?reveal=true", 1),
        ("/resolve", 1),
        ("/resolve?reveal=true&linked_account_id=a", 2),
        ("/matrix", 1),
        ("/explain/OPEN", 0),
        ("/definitions", 0),
        ("/values/OPEN/history", 0),
    ] {
        let call = fixture.call_at_root("GET", &format!("/api/admin/v1{path}"));
        let answer = call.header("x-api-key", key.key.expose()).send().await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        let after = noted_of(&fixture, &actor).await;
        assert_eq!(after - before, shown, "{path}");
        before = after;
    }
}

#[tokio::test]
async fn a_read_without_room_for_its_note_is_refused_or_counted_as_lost() {
    for (when_full, status, lost) in [(WhenFull::Refuse, 503, 0), (WhenFull::Lose, 200, 1)] {
        let fixture = fixture(when_full, 1).await;
        let open = path(&fixture, "OPEN").await;
        assert_eq!(fixture.call("GET", &open).send().await.status, 200);
        assert_eq!(fixture.call("GET", &open).send().await.status, status, "{when_full:?}");
        let metrics = fixture.call_at_root("GET", "/metrics").send().await.body;
        assert!(metrics.contains(&format!("strongroom_audit_notes_lost_total {lost}\n")), "{metrics}");
        assert_eq!(noted_of(&fixture, "api-key:").await, 1);
        assert_eq!(fixture.call("GET", &open).send().await.status, 200, "there is room again");
    }
}

/// The reads of one org that are answered until there is no room for its notes.
async fn reads_until_refused(fixture: &Fixture, key: &str, path: &str) -> usize {
    for answered in 0..1_000 {
        let call = fixture.call_anonymously("GET", path).header("x-api-key", key).send().await;
        if call.status == 503 {
            return answered;
        }
        assert_eq!(call.status, 200, "{}", call.body);
    }
    unreachable!("there is no end of room")
}

#[tokio::test]
async fn an_org_that_reads_without_end_leaves_the_others_room_for_their_notes() {
    let fixture = fixture(WhenFull::Refuse, 100).await;
    let other = fixture.vault.org("6500a1b2c3d4e5f6a7b8c9d1".parse().unwrap(), Environment::test());
    other.define(VariableDefinition::new("OPEN", VarFormat::String)).await.unwrap();
    other.set_value("OPEN", Scope::Org, "z").await.unwrap();
    let key = ApiKeys::of(&other).unwrap().create(NewApiKey::named("n")).await.unwrap().key;
    let id = other.definition("OPEN").await.unwrap().unwrap().id;

    assert_eq!(reads_until_refused(&fixture, &fixture.key, &path(&fixture, "OPEN").await).await, 50);
    assert_eq!(reads_until_refused(&fixture, key.expose(), &format!("/env/value/{id}")).await, 25);
    assert_eq!(noted_of(&fixture, "api-key:").await, 50);
    let events =
        other.audit(&AuditFilter::all().kind(EventKind::ValueRead), PageRequest::first(100)).await.unwrap();
    assert_eq!(events.items.iter().map(|event| event.changes.len()).sum::<usize>(), 25);
    assert_eq!(reads_until_refused(&fixture, &fixture.key, &path(&fixture, "OPEN").await).await, 50);
}

#[tokio::test]
async fn a_read_is_noted_in_the_environment_of_its_key() {
    let fixture = fixture(WhenFull::Refuse, 100).await;
    let production = fixture.vault.org(*fixture.org.id(), Environment::production());
    let id = production.define(VariableDefinition::new("OPEN", VarFormat::String)).await.unwrap();
    production.set_value("OPEN", Scope::Org, "z").await.unwrap();
    let key = ApiKeys::of(&production).unwrap().create(NewApiKey::named("n")).await.unwrap().key;
    let call = fixture.call_anonymously("GET", &format!("/env/value/{id}"));
    assert_eq!(call.header("x-api-key", key.expose()).send().await.status, 200);
    assert_eq!(noted_of(&fixture, "").await, 0);
    let reads = AuditFilter::all().kind(EventKind::ValueRead);
    assert_eq!(production.audit(&reads, PageRequest::first(100)).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn notes_that_cannot_be_written_for_an_hour_are_counted_as_lost_and_leave_their_room() {
    let fixture = fixture(WhenFull::Refuse, 2).await;
    let open = path(&fixture, "OPEN").await;
    assert_eq!(reads_until_refused(&fixture, &fixture.key, &open).await, 1);
    fixture.org.lock();
    for (passed_secs, lost) in [(0, 0), (3_600, 0), (1, 1), (0, 1)] {
        fixture.clock.forward(passed_secs);
        assert_eq!(fixture.service.write_read_notes().await.is_err(), lost == 0 || passed_secs > 0);
        let metrics = fixture.call_at_root("GET", "/metrics").send().await.body;
        assert!(metrics.contains(&format!("strongroom_audit_notes_lost_total {lost}\n")), "{metrics}");
    }
    fixture.org.unlock(Unlock::raw_key(RawKey::from_bytes([7; 32]))).await.unwrap();
    assert_eq!(reads_until_refused(&fixture, &fixture.key, &open).await, 1, "there is room again");
    assert_eq!(noted_of(&fixture, "api-key:").await, 1);
}

#[tokio::test]
async fn notes_that_have_waited_for_less_than_an_hour_are_not_lost_with_older_ones() {
    let fixture = fixture(WhenFull::Refuse, 100).await;
    let open = path(&fixture, "OPEN").await;
    for passed_secs in [0, 3_600, 1] {
        fixture.clock.forward(passed_secs);
        assert_eq!(fixture.call("GET", &open).send().await.status, 200);
        fixture.org.lock();
        assert!(fixture.service.write_read_notes().await.is_err());
        fixture.org.unlock(Unlock::raw_key(RawKey::from_bytes([7; 32]))).await.unwrap();
    }
    let metrics = fixture.call_at_root("GET", "/metrics").send().await.body;
    assert!(metrics.contains("strongroom_audit_notes_lost_total 1\n"), "{metrics}");
    assert_eq!(noted_of(&fixture, "api-key:").await, 2);
}

#[tokio::test]
async fn what_cannot_be_written_waits_again() {
    let fixture = fixture(WhenFull::Refuse, 100).await;
    let open = path(&fixture, "OPEN").await;
    assert_eq!(fixture.call("GET", &open).send().await.status, 200);
    fixture.org.lock();
    assert!(fixture.service.write_read_notes().await.is_err());
    fixture.org.unlock(Unlock::raw_key(RawKey::from_bytes([7; 32]))).await.unwrap();
    assert_eq!(noted_of(&fixture, "api-key:").await, 1);
    assert_eq!(noted_of(&fixture, "api-key:").await, 1, "once");
}

#[tokio::test(start_paused = true)]
async fn notes_are_written_within_a_second_or_so() {
    let fixture = fixture(WhenFull::Refuse, 100).await;
    let open = path(&fixture, "OPEN").await;
    for round in 1..3 {
        assert_eq!(fixture.call("GET", &open).send().await.status, 200);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(noted(&fixture).await.len(), round);
    }
}

#[tokio::test]
async fn a_server_that_stops_writes_what_waits() {
    let fixture = fixture(WhenFull::Refuse, 100).await;
    let open = path(&fixture, "OPEN").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let request = format!(
        "GET {BASE}{open} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-api-key: {}\r\n\r\n",
        fixture.key
    );
    let asked = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    };
    serve(listener, fixture.service.clone(), asked).await;
    assert_eq!(noted(&fixture).await.len(), 1);
}

#[tokio::test]
async fn reads_are_not_noted_unless_asked_for() {
    let fixture = noting(|options| options).await;
    assert_eq!(fixture.call("GET", &path(&fixture, "OPEN").await).send().await.status, 200);
    assert_eq!(noted_of(&fixture, "api-key:").await, 0);
}

#[tokio::test]
async fn notes_whose_writing_is_given_up_wait_for_the_next() {
    let (store, gate) = gated();
    let vault = Vault::create(store, Unlock::raw_key(RawKey::from_bytes([7; 32]))).await.unwrap();
    let fixture = Fixture::over(vault, ServiceOptions::default().note_reads(WhenFull::Refuse, 1)).await;
    fixture.vault.change_settings(|settings| settings.audit = true).await.unwrap();
    fixture.define_string("OPEN").await;
    fixture.org.set_value("OPEN", Scope::Org, "x").await.unwrap();
    let path = path(&fixture, "OPEN").await;
    assert_eq!(fixture.call("GET", &path).send().await.status, 200);
    gate.hold_next_commit();
    tokio::select! {
        written = fixture.service.write_read_notes() => panic!("{written:?}"),
        () = gate.commit_reached.notified() => {}
    }
    assert_eq!(noted_of(&fixture, "api-key:").await, 1);
    // And their room is free again.
    assert_eq!(fixture.call("GET", &path).send().await.status, 200);
}

//! Many tasks live on the tokens of a hostile provider: each expiry is one exchange, and no token is shown twice. The
//! third number of `REFRESH_SIZE` says how many expiries there are; `scripts/refresh` sets it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::env;
use std::thread;
use std::time::Duration;

use futures_executor::block_on;
use strongroom::{AppCredentials, Environment, IntegrationId, RawKey, Refresh, RefreshState, Unlock, Vault};
use strongroom_conformance::{Answer, TokenClient, TokenServer, Use, number_of, tokens, use_tokens};
use strongroom_redb::RedbStore;

#[test]
fn each_expiry_is_one_exchange_and_no_token_is_shown_twice() {
    let (app, expiries) = (block_on(connected()).unwrap(), expiries());
    let server = TokenServer::new(11, expiries);
    let client = Client { server: &server, app: &app };
    client.connect_again(0);
    // The pauses pass at once: as many as a real timer would make in a day.
    let refresh = Refresh::new(|_| async { thread::yield_now() }).wait(Duration::from_secs(86_400));
    thread::scope(|scope| {
        for _ in 0..TASKS {
            scope.spawn(|| block_on(use_tokens(&app, &client, &refresh)));
        }
    });
    let counts = server.counts();
    println!("{counts:?}");
    assert_eq!((counts.replays, counts.voids), (0, 0), "{counts:?}");
    // Nothing but a lost answer makes the customer connect again.
    assert_eq!(counts.consents, 1 + counts.lost, "{counts:?}");
    assert_eq!((counts.expiries, counts.exchanges), (expiries, expiries), "{counts:?}");
    let held = block_on(app.get_all()).unwrap();
    assert_eq!((number_of(&held), held.refresh), (server.current(), RefreshState::Idle));
}

async fn connected() -> Result<AppCredentials, strongroom::Error> {
    let vault = Vault::create(RedbStore::temporary()?, Unlock::raw_key(RawKey::from_bytes([7; 32]))).await?;
    let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, Environment::test());
    let account = org.create_account("user_12345".parse()?).with_default_app().await?;
    Ok(account.app(IntegrationId::default_app()))
}

/// A user in the process of the server.
struct Client<'t> {
    server: &'t TokenServer,
    app: &'t AppCredentials,
}

impl TokenClient for Client<'_> {
    fn use_access(&self, token: u64) -> Use {
        match (self.server.accepts(token), self.server.is_over()) {
            (true, true) => Use::Over,
            (true, false) => Use::Accepted,
            (false, _) => Use::Expired,
        }
    }

    fn exchange(&self, token: u64) -> Answer {
        let answer = self.server.exchange(token);
        if matches!(answer, Answer::Late(_)) {
            (0..100).for_each(|_| thread::yield_now());
        }
        answer
    }

    fn connect_again(&self, lost: u64) {
        // A thread of its own: the one that asks is driven by an executor already.
        let store = |new| block_on(self.app.replace_all(&tokens(new))).map(drop);
        self.server.connect_again(lost, |new| {
            thread::scope(|scope| scope.spawn(|| store(new)).join().unwrap()).unwrap();
        });
    }
}

fn expiries() -> u64 {
    let asked = env::var("REFRESH_SIZE").unwrap_or_else(|_| "1 16 200 0".into());
    asked.split_whitespace().nth(2).unwrap().parse().unwrap()
}

const TASKS: usize = 16;

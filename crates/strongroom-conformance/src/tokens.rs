//! A provider of OAuth tokens that forgives nothing, for the tests of those who refresh credentials.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use strongroom::{
    AppCredentials, Credentials, Error, ErrorKind, NewCredential, Refresh, RefreshError, Unrefreshed,
};

/// A token endpoint and the resource behind it. Each refresh token is good for one exchange; an access token expires
/// after some uses. Some answers are late and some are lost, and at times it takes no request. After a number of
/// expiries its moods are over: access tokens are good for ever.
///
/// Tokens are numbers: `access-7` and `refresh-7` were issued together.
///
/// ```
/// use strongroom_conformance::{Answer, TokenServer};
/// let server = TokenServer::new(1, 100);
/// let first = server.connect();
/// while server.accepts(first) {}
/// while matches!(server.exchange(first), Answer::Busy) {}
/// assert!(!server.accepts(first));
/// assert_eq!((server.counts().exchanges, server.counts().replays), (1, 0));
/// ```
pub struct TokenServer {
    issued: Mutex<Issued>,
    /// The number of the tokens that the customer last consented to.
    consented: Mutex<u64>,
}

struct Issued {
    /// The newest tokens, the only ones that are good.
    current: u64,
    uses_left: u64,
    exchanged: BTreeSet<u64>,
    expiries_max: u64,
    counts: TokenCounts,
    random: u64,
}

/// What happened at a [`TokenServer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct TokenCounts {
    /// How often the current access token expired.
    pub expiries: u64,
    /// How many refresh tokens were exchanged.
    pub exchanges: u64,
    /// How many of these answers were lost.
    pub lost: u64,
    /// How often a refresh token was shown that had been exchanged before.
    pub replays: u64,
    /// How often one was shown that was void, since the customer had connected again before anybody exchanged it.
    pub voids: u64,
    /// How often the customer connected.
    pub consents: u64,
}

/// What a [`TokenServer`] answers to a refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The number of the new tokens.
    Issued(u64),
    /// The same, after some time.
    Late(u64),
    /// The token was exchanged, and nobody gets the new ones.
    Lost,
    /// The server takes no request now. It did not look at the token.
    Busy,
    /// The token is not valid.
    Invalid,
}

impl TokenServer {
    /// A server whose moods come from `seed`, for so many expiries.
    #[must_use]
    pub fn new(seed: u64, expiries_max: u64) -> Self {
        let issued = Issued {
            current: 0,
            uses_left: 0,
            exchanged: BTreeSet::new(),
            expiries_max,
            counts: TokenCounts::default(),
            random: seed | 1,
        };
        Self { issued: Mutex::new(issued), consented: Mutex::new(0) }
    }

    /// The consent of the customer: the number of new tokens. All others are void from now on.
    pub fn connect(&self) -> u64 {
        let mut number = 0;
        self.connect_again(u64::MAX, |new| number = new);
        number
    }

    /// The consent of the customer, once for all who found that the tokens of the number `lost` are of no use. `store`
    /// keeps the number of the new ones before anybody else continues.
    pub fn connect_again(&self, lost: u64, store: impl FnOnce(u64)) {
        let mut consented = self.consented.lock().unwrap_or_else(PoisonError::into_inner);
        if *consented > lost {
            return;
        }
        let new = {
            let mut issued = self.issued();
            issued.counts.consents += 1;
            issued.issue()
        };
        store(new);
        *consented = new;
    }

    /// Uses an access token. Whether it is good.
    pub fn accepts(&self, token: u64) -> bool {
        let mut issued = self.issued();
        let is_good = token == issued.current && issued.uses_left > 0;
        if is_good && issued.counts.expiries < issued.expiries_max {
            issued.uses_left -= 1;
            issued.counts.expiries += u64::from(issued.uses_left == 0);
        }
        is_good
    }

    /// Exchanges a refresh token.
    pub fn exchange(&self, token: u64) -> Answer {
        let mut issued = self.issued();
        let mood = issued.random() % 100;
        if mood < 5 {
            return Answer::Busy;
        }
        if token != issued.current {
            let is_replay = issued.exchanged.contains(&token);
            issued.counts.replays += u64::from(is_replay);
            issued.counts.voids += u64::from(!is_replay);
            return Answer::Invalid;
        }
        issued.counts.exchanges += 1;
        issued.exchanged.insert(token);
        let next = issued.issue();
        if mood < 7 {
            issued.counts.lost += 1;
            return Answer::Lost;
        }
        if mood < 30 { Answer::Late(next) } else { Answer::Issued(next) }
    }

    /// Whether every expiry was followed by new tokens, and no more are to come.
    pub fn is_over(&self) -> bool {
        let issued = self.issued();
        issued.counts.expiries == issued.expiries_max && issued.uses_left > 0
    }

    /// What happened so far.
    pub fn counts(&self) -> TokenCounts {
        self.issued().counts
    }

    /// The number of the newest tokens.
    pub fn current(&self) -> u64 {
        self.issued().current
    }

    fn issued(&self) -> MutexGuard<'_, Issued> {
        self.issued.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for TokenServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TokenServer").field(&self.counts()).finish()
    }
}

impl Issued {
    fn issue(&mut self) -> u64 {
        self.current += 1;
        self.uses_left = 1 + self.random() % USES_MAX;
        self.current
    }

    /// Xorshift: what it does is the same for every run of a seed.
    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

/// How a user of tokens meets a [`TokenServer`], in its process or over a wire.
pub trait TokenClient {
    /// Uses an access token.
    fn use_access(&self, token: u64) -> Use;

    /// Exchanges a refresh token. A `Late` answer comes when it comes.
    fn exchange(&self, token: u64) -> Answer;

    /// Returns when the customer has connected again, and the new tokens are stored in place of those of this number.
    fn connect_again(&self, lost: u64);
}

/// What came of using an access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// It was accepted.
    Accepted,
    /// It is not good, or not any more.
    Expired,
    /// The test is over.
    Over,
}

/// A user of the credentials of `app`: uses the access token, and refreshes it when it has expired, until the client
/// says that the test is over. If the outcome of a refresh is uncertain, the customer connects again.
///
/// # Panics
/// Where the store fails, or credentials are not two tokens of one number.
#[allow(clippy::panic, reason = "a test fails by panicking")]
pub async fn use_tokens(app: &AppCredentials, client: &impl TokenClient, refresh: &Refresh) {
    let exchange = async |old: &Credentials| match client.exchange(number_of(old)) {
        Answer::Issued(next) | Answer::Late(next) => Ok(tokens(next).into()),
        Answer::Lost => Err(Unrefreshed::Unknown(Error::Contended(0))),
        Answer::Busy => Err(Unrefreshed::Unused(Error::Contended(0))),
        Answer::Invalid => Err(Unrefreshed::Rejected(Error::Contended(0))),
    };
    loop {
        let seen = match app.get_all().await {
            Ok(seen) => seen,
            Err(error) if error.is_retryable() => continue,
            Err(error) => panic!("credentials are not read: {error}"),
        };
        match client.use_access(number_of(&seen)) {
            Use::Accepted => continue,
            Use::Expired => {}
            Use::Over => return,
        }
        let old = number_of(&seen);
        match app.refresh(seen, refresh, exchange).await {
            Ok(done) => assert_ne!(number_of(&done.credentials), old, "the old tokens count as refreshed"),
            Err(Error::Refresh(RefreshError::Uncertain { .. } | RefreshError::Rejected { .. })) => {
                client.connect_again(old);
            }
            Err(error) if matches!(error.kind(), ErrorKind::Busy | ErrorKind::Indeterminate) => {}
            Err(error) => panic!("credentials are not refreshed: {error}"),
        }
    }
}

/// The credentials that are the tokens of a number.
#[must_use]
pub fn tokens(number: u64) -> [NewCredential; 2] {
    ["access", "refresh"].map(|name| NewCredential::new(name, format!("{name}-{number}")))
}

/// The number of the tokens that are stored.
///
/// # Panics
/// Where they are not two of one number.
#[must_use]
#[allow(clippy::panic, reason = "a test fails by panicking")]
pub fn number_of(credentials: &Credentials) -> u64 {
    let number = |name: &str| {
        let found = credentials.get(name).unwrap_or_else(|| panic!("no {name} token"));
        let text = found.value.expose().strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
        text.and_then(|number| number.parse::<u64>().ok()).unwrap_or_else(|| panic!("not a {name} token"))
    };
    assert_eq!(number("access"), number("refresh"), "the tokens were not written together");
    number("access")
}

/// Enough that many users are under way when a token expires.
const USES_MAX: u64 = 64;

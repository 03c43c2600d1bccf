//! Processes on one database live on the tokens of a hostile provider, while they are killed and stopped at every step
//! of a refresh: no token is shown twice, and nothing but a lost answer or process makes the customer connect again.
//!
//! `REFRESH_SIZE` says how many processes, tasks and expiries there are and how many of them meet a fault;
//! `scripts/refresh` sets it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod cluster;

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use futures_executor::block_on;
use rustix::process::{Pid, Signal, kill_process};
use strongroom::{
    AppCredentials, Environment, Error, IntegrationId, RawKey, Refresh, RefreshState, Unlock, Vault,
};
use strongroom_conformance::{Answer, TokenClient, TokenServer, Use, number_of, tokens, use_tokens};
use strongroom_postgres::{PostgresOptions, PostgresStore};

#[test]
fn each_expiry_is_one_exchange_also_where_processes_are_killed_and_stopped() {
    let size = Size::asked();
    let address = cluster::shared().address(&cluster::shared().database());
    let vault = block_on(Vault::create(open(&address), unlock())).unwrap();
    let app = block_on(registered(&vault)).unwrap();
    let house = Arc::new(House::new(size, app.clone()));
    house.connect_again(0);
    let port = listen(&house);
    thread::scope(|scope| {
        for _ in 0..size.processes {
            scope.spawn(|| house.keep_user(&address, port));
        }
    });

    let (counts, faults) = (house.server.counts(), house.faults.lock().unwrap().made);
    println!("{counts:?}, {faults} processes killed or stopped");
    assert!(faults >= 2 * u64::try_from(STEPS.len()).unwrap(), "each kind of fault at each step: {faults}");
    assert_eq!(counts.replays, 0, "{counts:?}");
    // Stopped before it called, a holder still calls when the customer has connected again. Nobody used its token.
    assert!(counts.voids <= faults, "{counts:?}");
    let troubles = 1 + counts.lost + faults;
    assert!(counts.consents <= troubles && counts.consents > counts.lost, "{counts:?}");
    // An expiry whose refresh died before it came to the provider ends with a consent instead.
    assert!(
        counts.exchanges <= counts.expiries && counts.exchanges + faults >= counts.expiries,
        "{counts:?}"
    );
    let held = block_on(app.get_all()).unwrap();
    assert_eq!((number_of(&held), held.refresh), (house.server.current(), RefreshState::Idle));
    assert!(block_on(vault.verify()).unwrap().is_clean());
}

/// Not a rule: the processes that the other starts.
#[test]
fn user_process() {
    let (Ok(address), Ok(port)) = (env::var(ADDRESS), env::var(PORT)) else { return };
    let vault = block_on(Vault::open(open(&address), unlock())).unwrap();
    let app = app(&vault);
    let refresh = Refresh::new(|pause| async move { thread::sleep(pause) })
        // Longer than a process waits for a processor on a busy machine: a lease that ends by itself costs a consent.
        .lease(Duration::from_secs(5))
        .wait(Duration::from_secs(3_600));
    thread::scope(|scope| {
        for _ in 0..Size::asked().tasks {
            scope.spawn(|| block_on(use_tokens(&app, &Wire::connect(&port), &refresh)));
        }
    });
}

/// The provider, the customer and whoever kills the processes.
struct House {
    server: TokenServer,
    app: AppCredentials,
    size: Size,
    faults: Mutex<Faults>,
}

#[derive(Default)]
struct Faults {
    made: u64,
    stopped: Option<u32>,
    /// Uses of tokens since a process was stopped.
    uses: u64,
}

/// Where a process is when something happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// One of its tasks uses an access token; the others may be anywhere.
    Any,
    /// It has the lease, and the provider has not heard of it.
    Leased,
    /// The provider has exchanged the token, and the process has not heard of it.
    Exchanged,
    /// It has the answer.
    Answered,
}

impl House {
    fn new(size: Size, app: AppCredentials) -> Self {
        Self { server: TokenServer::new(13, size.expiries), app, size, faults: Mutex::default() }
    }

    /// Runs a process, and another one each time that it is killed.
    fn keep_user(&self, address: &str, port: u16) {
        let mut user = Command::new(env::current_exe().unwrap());
        user.args(["user_process", "--exact", "--nocapture"]).stdout(Stdio::null());
        user.env(ADDRESS, address).env(PORT, port.to_string());
        loop {
            let status = user.status().unwrap();
            if status.signal().is_none() {
                assert!(status.success(), "a user failed: its message is above");
                return;
            }
        }
    }

    /// Kills or stops the process, if its time has come. Returns what it met.
    fn at(&self, step: Step, process: u32) -> Option<Signal> {
        let mut faults = self.faults.lock().unwrap();
        self.go_on_if_alone(&mut faults, step);
        let due = self.size.expiries * (faults.made + 1) / (self.size.faults + 1);
        let next = STEPS[usize::try_from(faults.made).unwrap() % STEPS.len()];
        let is_due = faults.made < self.size.faults && self.server.counts().expiries >= due;
        if !is_due || next != step || faults.stopped.is_some() {
            return None;
        }
        let kills = (faults.made / u64::try_from(STEPS.len()).unwrap()).is_multiple_of(2);
        let met = if kills { Signal::KILL } else { Signal::STOP };
        faults.made += 1;
        signal(process, met);
        (faults.stopped, faults.uses) = ((!kills).then_some(process), 0);
        Some(met)
    }

    /// A stopped process that holds no lease keeps nobody waiting: it continues when the others have done so.
    fn go_on_if_alone(&self, faults: &mut Faults, step: Step) {
        faults.uses += u64::from(step == Step::Any);
        if faults.uses > USES_BEFORE_GOING_ON {
            self.go_on(faults);
        }
    }

    fn go_on(&self, faults: &mut Faults) {
        if let Some(process) = faults.stopped.take() {
            signal(process, Signal::CONT);
        }
    }

    /// The customer connects again, and the process whose lease is over continues.
    fn connect_again(&self, lost: u64) {
        self.server.connect_again(lost, |new| {
            block_on(self.app.replace_all(&tokens(new))).unwrap();
        });
        self.go_on(&mut self.faults.lock().unwrap());
    }

    /// Answers the lines of one task.
    fn answer(&self, mut lines: BufReader<TcpStream>) -> std::io::Result<()> {
        let mut line = String::new();
        while lines.read_line(&mut line)? > 0 {
            let mut words = line.split_whitespace();
            let (what, process, token) =
                (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            let (process, token) = (process.parse().unwrap(), token.parse().unwrap());
            let reply = match what {
                "use" => {
                    self.at(Step::Any, process);
                    let good = self.server.accepts(token);
                    let over = good && self.server.is_over();
                    if over {
                        self.go_on(&mut self.faults.lock().unwrap());
                    }
                    if !good {
                        "expired"
                    } else if over {
                        "over"
                    } else {
                        "accepted"
                    }
                    .to_owned()
                }
                "exchange" => {
                    if self.at(Step::Leased, process) == Some(Signal::KILL) {
                        return Ok(());
                    }
                    let answer = self.server.exchange(token);
                    self.at(Step::Exchanged, process);
                    format!("{answer:?}")
                }
                "answered" => {
                    self.at(Step::Answered, process);
                    "go on".to_owned()
                }
                _ => {
                    self.connect_again(token);
                    "connected".to_owned()
                }
            };
            writeln!(lines.get_mut(), "{reply}")?;
            line.clear();
        }
        Ok(())
    }
}

/// Answers every task that connects, until this process ends.
fn listen(house: &Arc<House>) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let (port, house) = (listener.local_addr().unwrap().port(), Arc::clone(house));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let house = Arc::clone(&house);
            // A task that is killed ends its connection anyhow.
            thread::spawn(move || house.answer(BufReader::new(stream.unwrap())));
        }
    });
    port
}

/// A task's connection to the provider.
struct Wire(Mutex<BufReader<TcpStream>>);

impl Wire {
    fn connect(port: &str) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port.parse().unwrap())).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(Mutex::new(BufReader::new(stream)))
    }

    fn ask(&self, what: &str, token: u64) -> String {
        let mut lines = self.0.lock().unwrap();
        let (process, mut answer) = (std::process::id(), String::new());
        lines.get_mut().write_all(format!("{what} {process} {token}\n").as_bytes()).unwrap();
        lines.read_line(&mut answer).unwrap();
        answer.trim_end().to_owned()
    }
}

impl TokenClient for Wire {
    fn use_access(&self, token: u64) -> Use {
        match self.ask("use", token).as_str() {
            "accepted" => Use::Accepted,
            "over" => Use::Over,
            _ => Use::Expired,
        }
    }

    fn exchange(&self, token: u64) -> Answer {
        let answer = self.ask("exchange", token);
        self.ask("answered", token);
        let next = |rest: &str| rest.trim_end_matches(')').parse().unwrap();
        match answer.split_once('(') {
            Some(("Issued", rest)) => Answer::Issued(next(rest)),
            Some(("Late", rest)) => {
                // Part of the provider: nothing waits for it to pass.
                thread::sleep(LATE);
                Answer::Late(next(rest))
            }
            _ if answer == "Busy" => Answer::Busy,
            _ if answer == "Invalid" => Answer::Invalid,
            _ => Answer::Lost,
        }
    }

    fn connect_again(&self, lost: u64) {
        self.ask("connect", lost);
    }
}

/// How much of everything there is.
#[derive(Debug, Clone, Copy)]
struct Size {
    processes: u64,
    tasks: u64,
    expiries: u64,
    faults: u64,
}

impl Size {
    /// `REFRESH_SIZE`, as in `4 64 10000 200`.
    fn asked() -> Self {
        let asked = env::var("REFRESH_SIZE").unwrap_or_else(|_| "3 4 120 12".into());
        let numbers: Vec<u64> = asked.split_whitespace().map(|number| number.parse().unwrap()).collect();
        Self { processes: numbers[0], tasks: numbers[1], expiries: numbers[2], faults: numbers[3] }
    }
}

fn signal(process: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(process).unwrap()).unwrap();
    // It may have ended in between.
    let _ = kill_process(pid, signal);
}

fn open(address: &str) -> PostgresStore {
    let options = PostgresOptions::parse(address).unwrap().connect_timeout(Duration::from_secs(60));
    PostgresStore::open(&options).unwrap()
}

fn unlock() -> Unlock {
    Unlock::raw_key(RawKey::from_bytes([7; 32]))
}

async fn registered(vault: &Vault) -> Result<AppCredentials, Error> {
    let app = app(vault);
    let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, Environment::test());
    org.create_account("user_12345".parse()?).with_default_app().await?;
    Ok(app)
}

fn app(vault: &Vault) -> AppCredentials {
    let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse().unwrap(), Environment::test());
    org.account("user_12345".parse().unwrap()).app(IntegrationId::default_app())
}

const STEPS: [Step; 4] = [Step::Leased, Step::Exchanged, Step::Answered, Step::Any];
/// So many that a lease of which a stopped process is the holder would have kept everybody from them.
const USES_BEFORE_GOING_ON: u64 = 1_000;
const LATE: Duration = Duration::from_millis(30);
const ADDRESS: &str = "STRONGROOM_TEST_ADDRESS";
const PORT: &str = "STRONGROOM_TEST_PORT";

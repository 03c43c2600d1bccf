//! `serve`: the vault over HTTP.

mod address;
mod first_key;
mod first_run;
mod ready;
#[cfg(feature = "otlp")]
mod traces;

use std::io::{self, IsTerminal as _};
use std::net::SocketAddr;
#[cfg(feature = "tls")]
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use strongroom::store::{KeyRange, ReadBatch, Scan, StoreErrorKind};
use strongroom::{Error, ErrorKind, Store, Vault};
#[cfg(feature = "tls")]
use strongroom_http::Tls;
use strongroom_http::{Metrics, Service, ServiceOptions, StoreHealth, WhenFull};
use strongroom_socket::DoorStore;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use self::address::Address;
use self::first_key::{FirstKey, KeyPlace};
use self::ready::Ready;
use crate::commands::whole_secs::whole_secs;
use crate::config::{Config, LimitSettings, QuotaSettings, socket_address};
use crate::failure::{Exit, Failure};
use crate::keys;
use crate::marks::KeptMark;
use crate::output::Output;
use crate::passphrase::NewPassphrase;
use crate::session::Session;
#[cfg(unix)]
use crate::signals::Taken;

/// `serve` as it is typed.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Serve {
    /// The address and port to listen on; port 0 selects a free one [default: 127.0.0.1:7077]
    #[arg(long, value_name = "ADDR", value_parser = socket_address)]
    listen: Option<SocketAddr>,
    /// Log on standard error at this level: off, error, warn, info (each request), debug or trace; never a value
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    log: LevelFilter,
    /// The format of the log: lines for people, or one JSON object per line
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// Serve over TLS with this certificate and its chain to the root, in PEM; SIGHUP reads it again
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// The key of the certificate, in PEM
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// Let pages of this origin, such as https://console.example, call from a browser; repeat it for several
    #[arg(long = "cors-origin", value_name = "ORIGIN")]
    origins: Vec<String>,
    /// Serve only the HTTP calls, without the console at `/`
    #[arg(long)]
    no_console: bool,
    /// How long a session token is valid, such as 8h
    #[arg(long, value_name = "TIME", value_parser = whole_secs, default_value = "24h")]
    session_lifetime: Duration,
    /// Note in the audit who was shown which value, encrypted or not; a read that cannot be noted, because too many
    /// notes wait to be written, is refused, or answered and counted as lost
    #[arg(long, value_name = "IF_FULL", value_enum)]
    note_reads: Option<NoteReads>,
    /// Allow core dumps and debuggers for this process, although it holds keys
    #[arg(long)]
    allow_core_dumps: bool,
    /// Allow this process to be swapped to disk, although it holds keys
    #[arg(long)]
    allow_swap: bool,
    /// The default
    #[arg(long, hide = true, conflicts_with = "allow_core_dumps")]
    no_core_dumps: bool,
    #[command(flatten)]
    new: NewPassphrase,
    #[cfg(feature = "otlp")]
    #[command(flatten)]
    traces: traces::TraceSettings,
    #[command(flatten)]
    limits: LimitSettings,
    #[command(flatten)]
    quotas: QuotaSettings,
}

/// A placeholder in a build without TLS.
#[cfg(not(feature = "tls"))]
#[derive(Debug, Clone)]
enum Tls {}

/// What happens to a read that cannot be noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum NoteReads {
    Refuse,
    Lose,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

impl Serve {
    /// Serves until it is asked to stop, then finishes the requests that it accepted.
    pub(crate) fn run(self, mut config: Config, output: &Output) -> Result<(), Failure> {
        config.listen = self.listen.unwrap_or(config.listen);
        config.limits = self.limits.or(&config.limits);
        config.quotas = self.quotas.or(&config.quotas);
        self.harden(output)?;
        start_log(self.log, self.log_format);
        // Kept until the server has stopped.
        #[cfg(feature = "otlp")]
        let _traces = self.traces.start()?;
        let runtime = Runtime::new().map_err(|error| failed("the server could not be started", &error))?;
        let options = self.options()?;
        let tls = self.tls()?;
        let served = Served { tls, options, notes_reads: self.note_reads.is_some() };
        runtime.block_on(serve(&Arc::new(config), served, self.new, output))
    }

    fn options(&self) -> Result<ServiceOptions, Failure> {
        let options = ServiceOptions::default().session_secs(self.session_lifetime.as_secs());
        let options = if self.no_console { options } else { options.with_console() };
        let options = match self.note_reads {
            None => options,
            Some(NoteReads::Refuse) => options.note_reads(WhenFull::Refuse, READ_NOTES_MAX),
            Some(NoteReads::Lose) => options.note_reads(WhenFull::Lose, READ_NOTES_MAX),
        };
        if self.session_lifetime < Duration::from_secs(1) {
            return Err(Failure::usage("--session-lifetime is at least 1s"));
        }
        options.origins(self.origins.iter().map(String::as_str)).map_err(|_| {
            Failure::usage("--cors-origin is a scheme and a host").next("write it as https://console.example")
        })
    }

    #[cfg(feature = "tls")]
    fn tls(&self) -> Result<Option<Tls>, Failure> {
        let Some((certificate, key)) = self.tls_certificate.as_ref().zip(self.tls_key.as_ref()) else {
            return Ok(None);
        };
        Tls::from_files(certificate, key).map(Some).map_err(|error| {
            Failure::usage(format!(
                "the certificate {} or its key cannot be used: {error}",
                certificate.display()
            ))
            .next("name its file in PEM with --tls-certificate, and its key with --tls-key")
        })
    }

    #[cfg(not(feature = "tls"))]
    #[allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "a build with TLS needs both")]
    fn tls(&self) -> Result<Option<Tls>, Failure> {
        Ok(None)
    }

    /// Keeps keys in memory from being written to disk, as far as this system allows it.
    fn harden(&self, output: &Output) -> Result<(), Failure> {
        if !self.allow_core_dumps
            && let Err(error) = strongroom::harden_process()
        {
            let failure = failed("core dumps could not be turned off", &error);
            if self.no_core_dumps {
                return Err(failure);
            }
            output.warn(&failure.to_string());
        }
        if !self.allow_swap
            && let Err(error) = strongroom::lock_memory()
        {
            output.warn(&format!(
                "keys in memory could be swapped to disk: {error}; --allow-swap silences this warning"
            ));
        }
        Ok(())
    }
}

/// How the vault is served.
struct Served {
    tls: Option<Tls>,
    options: ServiceOptions,
    notes_reads: bool,
}

async fn serve(
    config: &Arc<Config>,
    Served { tls, options, notes_reads }: Served,
    new: NewPassphrase,
    output: &Output,
) -> Result<(), Failure> {
    let (listen, limits) = (config.listen, config.limits.limits()?);
    let address = Address::take(listen)?;
    if tls.is_none() && !listen.ip().is_loopback() {
        output.warn("requests arrive without TLS: put a proxy that adds it in front of the server");
    }
    if !config.store.is_kept() {
        output.note("the vault is in memory: it ends with this process, and its API key opens nothing then");
    }
    let (metrics, health) = (Metrics::new(), StoreHealth::default());
    let store = DoorStore::new(open_store(config, &health, output).await?);
    let start = || Ok((keys::for_new_vault(config, new, output)?, KeyPlace::prepare()?));
    let (mut session, started) = Session::open_or_create(config, &store, &metrics, output, start).await?;
    session.mark.advance(&session.vault, output).await;
    // A new vault has one before it is served.
    if notes_reads && started.is_none() && !session.vault.settings().await?.audit {
        output.warn(
            "--note-reads notes nothing as long as this vault has no audit: `strongroom audit --on` begins one, also \
             while it is served",
        );
    }
    // From here on there is work to finish; before this, a signal ends the process at once. After a prompt for a
    // passphrase it still would.
    #[cfg(unix)]
    let _taken = Taken::begin(&SERVED).map_err(|error| failed("signals cannot be received", &error))?;
    let (stopped, hung_up) = (stopped()?, hung_up(tls.clone())?);
    let stop = async {
        tokio::select! {
            () = stopped => {}
            () = hung_up => {}
        }
    };
    let mut mark = std::mem::take(&mut session.mark);
    let options = options.metrics(metrics.clone()).limits(limits).store_health(health);
    let service = options.reopen_with(reopening(config, store, metrics)).serve(session.vault.clone());
    let served_vault = service.clone();
    let jobs = tokio::spawn(finish_jobs(service.clone()));
    let served = async {
        tokio::select! {
            served = serve_vault(&session, started, (address, tls), service, stop, output) => served,
            () = keep_marks(&served_vault, &mut mark, output) => Ok(()),
        }
    };
    let served = served.await;
    if !config.store.is_kept() {
        FirstKey::forget(&session.vault.store_id());
    }
    jobs.abort();
    // Before the store is closed.
    let _ = jobs.await;
    session.mark = mark;
    // With its present root key.
    session.vault = served_vault.vault();
    session.finish(served, output).await
}

/// Opens the store. Waits for a store on a server that does not answer yet, as when both are started together.
async fn open_store(
    config: &Config,
    health: &StoreHealth,
    output: &Output,
) -> Result<Arc<dyn Store>, Failure> {
    let mut patience = START_PATIENCE;
    loop {
        let failure = match config.store.open_to_serve(health) {
            Ok(store) if config.store.address().is_none() => return Ok(store),
            Ok(store) => match store.read(&ReadBatch { gets: Vec::new(), scans: vec![one_row()] }).await {
                Err(error) if error.kind() == StoreErrorKind::Unavailable => error.into(),
                _ => return Ok(store),
            },
            Err(failure) => failure,
        };
        if config.store.address().is_none() || patience.is_zero() {
            return Err(failure);
        }
        if patience == START_PATIENCE {
            let secs = START_PATIENCE.as_secs();
            output.warn(&format!("waiting up to {secs} s for the database: {failure}"));
        }
        tokio::time::sleep(START_PAUSE).await;
        patience = patience.saturating_sub(START_PAUSE);
    }
}

fn one_row() -> Scan {
    Scan::new(KeyRange::all(), 1).keys_only()
}

/// Opens the served vault again, with the key that its file then holds.
fn reopening(
    config: &Arc<Config>,
    store: DoorStore,
    metrics: Metrics,
) -> impl Fn() -> Pin<Box<dyn Future<Output = Result<Vault, Error>> + Send>> + Send + Sync + use<> {
    let config = Arc::clone(config);
    move || {
        let (config, store, metrics) = (Arc::clone(&config), store.clone(), metrics.clone());
        Box::pin(async move { Session::reopen(&config, store, &metrics).await })
    }
}

async fn serve_vault(
    session: &Session,
    started: Option<KeyPlace>,
    (address, tls): (Address, Option<Tls>),
    service: Service,
    stop: impl Future<Output = ()>,
    output: &Output,
) -> Result<(), Failure> {
    let store_id = session.vault.store_id();
    let contents = match started {
        Some(place) => {
            // From the first write on; `strongroom audit --off` ends it.
            session.vault.change_settings(|settings| settings.audit = true).await?;
            first_run::make(&session.org, place, &store_id).await?
        }
        None => first_run::find(&session.org, &store_id).await?,
    };
    let place = (if tls.is_some() { "https" } else { "http" }, address.address());
    let listener = address.listen()?;
    Ready::new(place, service.has_console(), contents).announce(&session.org, output)?;
    listen(listener, service, tls, stop).await;
    Ok(())
}

/// Serves over TLS if there is a certificate.
async fn listen(listener: TcpListener, service: Service, tls: Option<Tls>, stop: impl Future<Output = ()>) {
    #[cfg(feature = "tls")]
    if let Some(tls) = tls {
        return strongroom_http::serve_tls(listener, service, tls, stop).await;
    }
    #[cfg(not(feature = "tls"))]
    drop(tls);
    strongroom_http::serve(listener, service, stop).await;
}

/// SIGHUP reads the certificate again. Completes when the terminal on which the server was started is gone.
#[cfg(unix)]
fn hung_up(tls: Option<Tls>) -> Result<impl Future<Output = ()>, Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut hangup =
        signal(SignalKind::hangup()).map_err(|error| failed("signals cannot be received", &error))?;
    let had_terminal = io::stdin().is_terminal();
    Ok(async move {
        while hangup.recv().await.is_some() {
            if had_terminal && !io::stdin().is_terminal() {
                return;
            }
            read_again(tls.clone()).await;
        }
        std::future::pending::<()>().await;
    })
}

#[cfg(not(unix))]
fn hung_up(tls: Option<Tls>) -> Result<impl Future<Output = ()>, Failure> {
    drop(tls);
    Ok(std::future::pending::<()>())
}

/// Logs the result; if reading fails, the previous certificate stays.
#[cfg(all(unix, feature = "tls"))]
async fn read_again(tls: Option<Tls>) {
    match tls {
        // The files may be slow to read.
        Some(tls) => drop(tokio::task::spawn_blocking(move || tls.reload()).await),
        None => tracing::warn!(target: LOG_TARGET, "{NOTHING_TO_READ}"),
    }
}

#[cfg(all(unix, not(feature = "tls")))]
async fn read_again(tls: Option<Tls>) {
    drop(tls);
    tracing::warn!(target: LOG_TARGET, "{NOTHING_TO_READ}");
}

/// Advances the mark of the store from time to time, and never ends: any earlier copy of the store is then refused.
async fn keep_marks(service: &Service, mark: &mut KeptMark, output: &Output) {
    loop {
        tokio::time::sleep(MARK_INTERVAL).await;
        mark.advance(&service.vault(), output).await;
    }
}

/// Finishes leftover work, and logs unfinished restores: at once, and from time to time what another process has left
/// since. A job that fails is tried again, and does not stop the service. Never ends.
async fn finish_jobs(service: Service) {
    let (mut said, mut known) = (None, Vec::new());
    loop {
        if let Ok(unfinished) = service.vault().unfinished_restores().await {
            for org in unfinished.iter().filter(|org| !known.contains(*org)) {
                tracing::warn!(
                    target: LOG_TARGET,
                    %org,
                    "the restore of this org is unfinished, so it is not served: run the same one again, or \
                     `strongroom shred restore` deletes what it wrote"
                );
            }
            known = unfinished;
        }
        // An outage of the store says nothing of jobs: there may be none.
        let failed = service.vault().run_jobs().await.err().filter(|error| error.kind() != ErrorKind::Busy);
        let failed = failed.map(|error| error.to_string());
        if let Some(error) = failed.as_ref().filter(|_| failed != said) {
            tracing::error!(
                target: LOG_TARGET,
                %error,
                "a job cannot be finished and will be tried again; `strongroom verify` names damaged rows"
            );
        }
        said = failed;
        tokio::time::sleep(JOBS_INTERVAL).await;
    }
}

/// Logs to standard error. Libraries stay silent: their logs are not checked for secrets.
fn start_log(level: LevelFilter, format: LogFormat) {
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(false);
    let own = Targets::new().with_target("strongroom", level);
    let log = tracing_subscriber::registry();
    match format {
        LogFormat::Text => log.with(lines.with_filter(own)).init(),
        LogFormat::Json => {
            let objects = lines.json().flatten_event(true).with_current_span(true).with_span_list(false);
            log.with(objects.with_filter(own)).init();
        }
    }
}

/// Completes when the process is asked to stop, by an interrupt or by SIGTERM.
#[cfg(unix)]
fn stopped() -> Result<impl Future<Output = ()>, Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |kind| signal(kind).map_err(|error| failed("signals cannot be received", &error));
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn stopped() -> Result<impl Future<Output = ()>, Failure> {
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}

fn failed(what: &str, error: &io::Error) -> Failure {
    Failure::new(Exit::Other, format!("{what}: {error}"))
}

/// The first two stop the server; on the third it reads its certificate again.
#[cfg(unix)]
const SERVED: [i32; 3] =
    [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP];
const LOG_TARGET: &str = "strongroom";
/// As long as the lease of a job that a process was running when it was killed.
const JOBS_INTERVAL: Duration = Duration::from_secs(30);
#[cfg(unix)]
const NOTHING_TO_READ: &str = "SIGHUP is ignored: there is no certificate to read again";
/// About 3 MB.
const READ_NOTES_MAX: usize = 10_000;
/// For a database that is started together with the server.
const START_PATIENCE: Duration = Duration::from_secs(60);
const START_PAUSE: Duration = Duration::from_secs(1);
/// Each time, it writes one row.
const MARK_INTERVAL: Duration = Duration::from_secs(5 * 60);

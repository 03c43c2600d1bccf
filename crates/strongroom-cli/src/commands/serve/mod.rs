//! `serve`: the vault over HTTP.

mod first_key;
mod first_run;
mod ready;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use strongroom::Vault;
use strongroom_http::{Metrics, Service, ServiceOptions};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use self::first_key::KeyPlace;
use self::ready::Ready;
use crate::config::{Config, LimitSettings, QuotaSettings, socket_address};
use crate::failure::{Exit, Failure};
use crate::keys;
use crate::marks::KeptMark;
use crate::output::Output;
use crate::passphrase::NewPassphrase;
use crate::session::Session;

/// `serve` as it is typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    /// The address and port to listen on; port 0 takes a free one [default: 127.0.0.1:7077]
    #[arg(long, value_name = "ADDR", value_parser = socket_address)]
    listen: Option<SocketAddr>,
    /// Log on standard error at this level: off, error, warn, info (each request), debug or trace; never a value
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    log: LevelFilter,
    /// Leave core dumps and debuggers on for this process, although it holds keys
    #[arg(long)]
    allow_core_dumps: bool,
    /// Let this process be swapped to disk, although it holds keys
    #[arg(long)]
    allow_swap: bool,
    /// What is so without it
    #[arg(long, hide = true, conflicts_with = "allow_core_dumps")]
    no_core_dumps: bool,
    #[command(flatten)]
    new: NewPassphrase,
    #[command(flatten)]
    limits: LimitSettings,
    #[command(flatten)]
    quotas: QuotaSettings,
}

impl Serve {
    /// Serves until it is asked to stop, then finishes the requests that it accepted.
    pub(crate) fn run(self, mut config: Config, output: &Output) -> Result<(), Failure> {
        config.listen = self.listen.unwrap_or(config.listen);
        config.limits = self.limits.or(&config.limits);
        config.quotas = self.quotas.or(&config.quotas);
        self.harden(output)?;
        start_log(self.log);
        let runtime = Runtime::new().map_err(|error| failed("the server could not be started", &error))?;
        runtime.block_on(serve(&config, self.new, output))
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

async fn serve(config: &Config, new: NewPassphrase, output: &Output) -> Result<(), Failure> {
    let (listen, limits) = (config.listen, config.limits.limits()?);
    let listener = TcpListener::bind(listen).await.map_err(|error| {
        failed(&format!("the server cannot listen on {listen}"), &error)
            .next("name another address with --listen")
    })?;
    let address = listener.local_addr().map_err(|error| failed("the server has no address", &error))?;
    if !address.ip().is_loopback() {
        output.warn("requests arrive without TLS: put a proxy that adds it in front of the server");
    }
    let stop = stopped()?;
    let metrics = Metrics::new();
    let start = || Ok((keys::for_new_vault(config, new, output)?, KeyPlace::prepare()?));
    let (mut session, started) = Session::open_or_create(config, &metrics, output, start).await?;
    session.mark.advance(&session.vault, output).await;
    let mut mark = std::mem::take(&mut session.mark);
    let service = ServiceOptions::default().metrics(metrics).limits(limits).serve(session.vault.clone());
    let served = async {
        tokio::select! {
            served = serve_vault(&session, started, (listener, address), service, stop, output) => served,
            () = keep_marks(&session.vault, &mut mark, output) => Ok(()),
        }
    };
    let served = served.await;
    session.mark = mark;
    session.finish(served, output).await
}

async fn serve_vault(
    session: &Session,
    started: Option<KeyPlace>,
    (listener, address): (TcpListener, SocketAddr),
    service: Service,
    stop: impl Future<Output = ()>,
    output: &Output,
) -> Result<(), Failure> {
    session.vault.run_jobs().await?;
    let store_id = session.vault.store_id();
    let contents = match started {
        Some(place) => first_run::make(&session.org, place, &store_id).await?,
        None => first_run::find(&session.org, &store_id).await?,
    };
    Ready::new(address, contents).announce(&session.org, output)?;
    strongroom_http::serve(listener, service, stop).await;
    Ok(())
}

/// Moves the mark of the store on from time to time, and never ends: a copy of the store from before is then an older
/// one.
async fn keep_marks(vault: &Vault, mark: &mut KeptMark, output: &Output) {
    loop {
        tokio::time::sleep(MARK_INTERVAL).await;
        mark.advance(vault, output).await;
    }
}

/// Logs on standard error. Libraries stay silent: what they log is not checked for secrets.
fn start_log(level: LevelFilter) {
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(false);
    let own = Targets::new().with_target("strongroom", level);
    tracing_subscriber::registry().with(lines.with_filter(own)).init();
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

/// A write of one row each time.
const MARK_INTERVAL: Duration = Duration::from_secs(5 * 60);

//! `health`: whether a server is healthy, for a container or a script.

use std::time::Duration;

use serde::Serialize;
use ureq::Agent;

use crate::client::step_of_certificate;
#[cfg(feature = "tls")]
use crate::client::trust;
use crate::config::{Globals, Reach};
use crate::failure::{Exit, Failure};
use crate::output::Output;

/// `health` as it is typed.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Health {
    /// The server [default: that of --url, otherwise the one on this machine, at the configured `listen`]
    server: Option<String>,
    /// Ask whether it serves requests, reads and writes, instead of whether it has to be restarted
    #[arg(long)]
    ready: bool,
}

#[derive(Serialize)]
struct HealthView<'a> {
    server: &'a str,
    status: u16,
    well: bool,
}

impl Health {
    /// It needs no key.
    pub(crate) fn run(&self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let path = if self.ready { "readyz" } else { "healthz" };
        let reach = Reach::find(self.server.clone(), globals)?;
        let server = reach.url;
        let url = format!("{}/{path}", server.trim_end_matches('/'));
        let config = Agent::config_builder().http_status_as_error(false).proxy(None);
        let config = config.timeout_global(Some(TIMEOUT));
        #[cfg(feature = "tls")]
        let config = match reach.ca_file {
            Some(file) => config.tls_config(trust::only(&file)?),
            None => config,
        };
        let agent: Agent = config.build().into();
        let response = agent.get(&url).call();
        // The error for a malformed address repeats it.
        let hide = |error: ureq::Error| error.to_string().replace(&url, &without_user(&url));
        let response = response.map_err(hide);
        let (url, server) = (without_user(&url), without_user(&server));
        let status = response.map(|response| response.status().as_u16()).map_err(|text| {
            let step = step_of_certificate(&text).unwrap_or("check that `strongroom serve` is running there");
            Failure::new(Exit::Store, format!("{url} could not be reached: {text}")).next(step)
        })?;
        let well = status == 200;
        let view = HealthView { server: &server, status, well };
        if well {
            return output.done(&format!("{url} is well"), &view);
        }
        Err(Failure::new(Exit::Store, format!("{url} answered {status}")).next("its log says why"))
    }
}

/// An address may hold a password.
fn without_user(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    // A password may hold a `/`, but the requested path holds no `@`.
    format!("{scheme}://{}", rest.rsplit('@').next().unwrap_or_default())
}

const TIMEOUT: Duration = Duration::from_secs(4);

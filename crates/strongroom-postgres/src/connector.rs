//! How a connection is made to the first of several servers that is of the wanted kind.

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use deadpool_postgres::Connect;
use rand::TryRng as _;
use rand::rngs::SysRng;
use tokio::task::JoinHandle;
use tokio_postgres::config::{Host, LoadBalanceHosts, SslMode, TargetSessionAttrs};
use tokio_postgres::{AsyncMessage, Client, Config, Error};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::address::{Server, Wanted};

#[derive(Clone)]
pub(crate) struct Connector {
    /// The part that is the same for every server.
    pub(crate) common: Config,
    /// The mode for a server on a Unix socket.
    pub(crate) socket_ssl_mode: SslMode,
    pub(crate) servers: Vec<Server>,
    pub(crate) wanted: Wanted,
    /// For each server. The driver's own limit covers only the socket, and a server may accept it and say nothing.
    pub(crate) timeout: Duration,
    pub(crate) tls: MakeRustlsConnect,
}

type Connected = Result<(Client, JoinHandle<()>), Error>;

impl Connect for Connector {
    fn connect(&self, _: &Config) -> Pin<Box<dyn Future<Output = Connected> + Send + '_>> {
        Box::pin(self.connect_to_first())
    }
}

impl Connector {
    /// The longest that all servers together may take.
    pub(crate) fn patience(&self) -> Duration {
        let tries = self.servers.len() * self.rounds().len();
        self.timeout.saturating_mul(u32::try_from(tries.max(1)).unwrap_or(u32::MAX))
    }

    pub(crate) async fn connect_to_first(&self) -> Connected {
        self.connect_hearing(|_| ()).await
    }

    /// The same, and calls `hear` with the payload of each notification.
    pub(crate) async fn connect_hearing(&self, hear: impl FnMut(&str) + Clone + Send + 'static) -> Connected {
        let servers = self.in_order(self.servers.clone());
        let round = |attributes| servers.iter().map(move |server| self.of_server(server, attributes));
        let tries: Vec<_> = self.rounds().iter().copied().flat_map(round).collect();
        let Some((last, before)) = tries.split_last() else {
            // Gives the driver's error for an address without a host.
            return self.connect_to(&Config::new(), hear).await;
        };
        for config in before {
            let connected = self.connect_to_server(config, hear.clone());
            if let Ok(Ok(connected)) = tokio::time::timeout(self.timeout, connected).await {
                return Ok(connected);
            }
        }
        // The result of the last server is returned; the caller limits its own wait.
        self.connect_to_server(last, hear).await
    }

    async fn connect_to_server(
        &self,
        config: &Config,
        hear: impl FnMut(&str) + Clone + Send + 'static,
    ) -> Connected {
        self.connect_to_any(config, &self.addresses(config).await, hear).await
    }

    /// The addresses of a server's name; none if it has no name, or it is not found, which the driver then reports.
    async fn addresses(&self, config: &Config) -> Vec<IpAddr> {
        let ([Host::Tcp(name)], []) = (config.get_hosts(), config.get_hostaddrs()) else { return Vec::new() };
        let found = tokio::net::lookup_host((name.as_str(), 0)).await;
        let addresses = found.map(|found| found.map(|address| address.ip()).collect());
        self.in_order(addresses.unwrap_or_default())
    }

    /// Tries each address of a server. They share its time, so that a silent one does not keep the next from being
    /// tried.
    async fn connect_to_any(
        &self,
        config: &Config,
        addresses: &[IpAddr],
        hear: impl FnMut(&str) + Clone + Send + 'static,
    ) -> Connected {
        let at = |address: &IpAddr| {
            let mut config = config.clone();
            config.hostaddr(*address);
            config
        };
        let Some((last, before)) = addresses.split_last() else { return self.connect_to(config, hear).await };
        let share = self.timeout / u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        for address in before {
            let config = at(address);
            let connected = self.connect_to(&config, hear.clone());
            if let Ok(Ok(connected)) = tokio::time::timeout(share, connected).await {
                return Ok(connected);
            }
        }
        self.connect_to(&at(last), hear).await
    }

    async fn connect_to(&self, config: &Config, mut hear: impl FnMut(&str) + Send + 'static) -> Connected {
        let (client, mut connection) = config.connect(self.tls.clone()).await?;
        let driven = async move {
            // An error of the connection shows at its next use.
            while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
                if let AsyncMessage::Notification(notification) = message {
                    hear(notification.payload());
                }
            }
        };
        Ok((client, tokio::spawn(driven)))
    }

    fn rounds(&self) -> &'static [TargetSessionAttrs] {
        match self.wanted {
            Wanted::Any => &[TargetSessionAttrs::Any],
            Wanted::ReadWrite => &[TargetSessionAttrs::ReadWrite],
            Wanted::ReadOnly => &[TargetSessionAttrs::ReadOnly],
            Wanted::PreferReadOnly => &[TargetSessionAttrs::ReadOnly, TargetSessionAttrs::Any],
        }
    }

    /// Servers, or addresses of one, in the order in which they are tried.
    fn in_order<T>(&self, mut all: Vec<T>) -> Vec<T> {
        if self.common.get_load_balance_hosts() == LoadBalanceHosts::Random {
            // Without random numbers they keep their order.
            all.sort_by_cached_key(|_| SysRng.try_next_u32().unwrap_or_default());
        }
        all
    }

    fn of_server(&self, server: &Server, attributes: TargetSessionAttrs) -> Config {
        let mut config = self.common.clone();
        match &server.host {
            Some(Host::Tcp(name)) => drop(config.host(name)),
            Some(Host::Unix(path)) => drop(config.host_path(path)),
            None => {}
        }
        match (server.address, &server.host) {
            (Some(address), _) => drop(config.hostaddr(address)),
            (None, Some(Host::Unix(_))) => drop(config.ssl_mode(self.socket_ssl_mode)),
            (None, _) => {}
        }
        config.port(server.port).target_session_attrs(attributes);
        config
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;
    use crate::config::PostgresOptions;

    #[test]
    fn a_silent_address_of_a_name_leaves_time_for_the_next() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        let next = TcpListener::bind(("127.0.0.2", port)).unwrap();
        let address = format!("host=db.example.com port={port} user=u sslmode=disable");
        let options = PostgresOptions::parse(&address).unwrap().connect_timeout(Duration::from_millis(200));
        let connector = options.connector().unwrap();
        let asked = thread::spawn(move || next.accept().map(drop));
        let config = connector.of_server(connector.servers.first().unwrap(), TargetSessionAttrs::Any);
        let addresses = ["127.0.0.1", "127.0.0.2"].map(|address| address.parse().unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let tried = runtime.block_on(connector.connect_to_any(&config, &addresses, |_| ()));
        assert!(tried.is_err());
        asked.join().unwrap().unwrap();
    }

    #[test]
    fn a_server_elsewhere_asks_for_no_tls_over_a_socket_beside_it() {
        let modes = |text: &str| {
            let connector = PostgresOptions::parse(text).unwrap().connector().unwrap();
            let mode = |server: &Server| connector.of_server(server, TargetSessionAttrs::Any).get_ssl_mode();
            connector.servers.iter().map(mode).collect::<Vec<_>>()
        };
        assert_eq!(modes("host=/run,db.example.com"), [SslMode::Disable, SslMode::Require]);
        assert_eq!(modes("host=/run,db.example.com sslmode=require"), [SslMode::Require; 2]);
        assert_eq!(modes("host=/run hostaddr=10.0.0.1"), [SslMode::Require]);
    }
}

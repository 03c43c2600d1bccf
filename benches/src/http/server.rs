//! A server on one thread of its own, so that what it costs is not hidden by a second one.

use std::future::{Future, pending};
use std::net::SocketAddr;
use std::thread;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use strongroom_http::Service;
use tokio::net::TcpListener;
use tokio::runtime::Builder;

/// A server that runs until the process ends.
#[derive(Debug)]
pub(super) struct Server {
    address: SocketAddr,
}

impl Server {
    /// The service, as a host starts it.
    pub(super) fn of_service(service: Service) -> Self {
        Self::start("service", |listener| strongroom_http::serve(listener, service, pending()))
    }

    /// The same layers below the router, with nothing else.
    pub(super) fn of_router(app: Router) -> Self {
        Self::start("bare", |listener| serve(listener, app))
    }

    fn start<F: Future<Output = ()>>(
        name: &str,
        serve: impl FnOnce(TcpListener) -> F + Send + 'static,
    ) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        listener.set_nonblocking(true).expect("a socket can be");
        let run = move || {
            let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime can be had");
            runtime.block_on(async {
                serve(TcpListener::from_std(listener).expect("it does not block")).await;
            });
        };
        // A profiler tells threads apart by their names.
        thread::Builder::new().name(name.to_owned()).spawn(run).expect("a thread can be had");
        Self { address }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn serve(listener: TcpListener, app: Router) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new());
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).expect("a socket can be");
        let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app.clone()));
        tokio::spawn(connection);
    }
}

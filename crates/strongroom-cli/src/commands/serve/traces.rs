//! `serve --otlp-traces-endpoint`: spans for an OpenTelemetry collector. Feature `otlp`.

use std::time::Duration;

use async_trait::async_trait;
use opentelemetry::global;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};

use crate::failure::Failure;

/// Where spans go.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Traces")]
pub(super) struct TraceSettings {
    /// Send a span for each request and its effects to this address of an OpenTelemetry collector, such as
    /// http://127.0.0.1:4318/v1/traces; never a value
    #[arg(long, value_name = "URL")]
    otlp_traces_endpoint: Option<String>,
    /// The part of the traces to send, 0 to 1; their ids decide which, so that services with the same part send the
    /// same traces
    #[arg(long, value_name = "PART", default_value_t = 1.0, value_parser = part, requires = "otlp_traces_endpoint")]
    otlp_traces_part: f64,
}

fn part(text: &str) -> Result<f64, String> {
    let part = text.parse().ok().filter(|part| (0.0..=1.0).contains(part));
    part.ok_or_else(|| "it is a number from 0 to 1".to_owned())
}

fn unusable(endpoint: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::usage(format!("spans cannot be sent to {endpoint}: {error}"))
        .next("write --otlp-traces-endpoint as http://127.0.0.1:4318/v1/traces")
}

/// Sends the remaining spans when the server stops.
#[derive(Debug)]
pub(super) struct Traces(Option<SdkTracerProvider>);

impl TraceSettings {
    pub(super) fn start(&self) -> Result<Traces, Failure> {
        let Some(endpoint) = &self.otlp_traces_endpoint else { return Ok(Traces(None)) };
        if !["http://", "https://"].iter().any(|scheme| endpoint.starts_with(scheme)) {
            return Err(unusable(endpoint, &"it is no address of HTTP"));
        }
        if !cfg!(feature = "tls") && endpoint.starts_with("https://") {
            return Err(unusable(endpoint, &"this build has no TLS"));
        }
        let exporter =
            SpanExporter::builder().with_http().with_http_client(Client::new()).with_endpoint(endpoint);
        let exporter = exporter.build().map_err(|error| unusable(endpoint, &error))?;
        let resource = Resource::builder_empty()
            .with_service_name("strongroom")
            .with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            // By the id of the trace, whatever the caller's flag says, so that services with the same part send the
            // same traces.
            .with_sampler(Sampler::TraceIdRatioBased(self.otlp_traces_part))
            .build();
        global::set_tracer_provider(provider.clone());
        global::set_text_map_propagator(TraceContextPropagator::new());
        Ok(Traces(Some(provider)))
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Some(provider) = &self.0
            && let Err(error) = provider.shutdown_with_timeout(SEND_TIMEOUT)
        {
            tracing::warn!(target: TARGET, %error, "the last spans were not sent");
        }
    }
}

/// Sends on the thread of the batches, which has nothing else to do and may wait.
#[derive(Debug)]
struct Client(ureq::Agent);

impl Client {
    fn new() -> Self {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(SEND_TIMEOUT))
            .http_status_as_error(false)
            // The address is the operator's choice; a redirect target is not.
            .max_redirects(0)
            .proxy(None)
            .build();
        Self(agent.into())
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = self.0.run(request.map(|body| body.to_vec()));
        let mut response =
            sent.inspect_err(|error| tracing::warn!(target: TARGET, %error, "spans were not sent"))?;
        let status = response.status();
        if !status.is_success() {
            tracing::warn!(target: TARGET, status = status.as_u16(), "the collector refused spans");
        }
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?;
        Ok(response.map(|_| body.into()))
    }
}

/// The log target.
const TARGET: &str = "strongroom::traces";
const SEND_TIMEOUT: Duration = Duration::from_secs(5);
/// The response says how many spans were refused, and why.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

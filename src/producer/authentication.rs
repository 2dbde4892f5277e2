//! How the producer tells brokers who it is: the mechanism for connections, and the login that gets credentials for it.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::accumulator::RecordAccumulator;
#[cfg(feature = "sasl")]
use crate::aws::{AwsSource, Environment};
use crate::backoff::Backoff;
use crate::clock;
use crate::config::{Authentication, ConfigError, ProducerSettings, TokenEndpoint, TokenOrigin};
#[cfg(any(feature = "tls", not(feature = "gssapi")))]
use crate::config::{ConfigProblem, ConfigReason};
#[cfg(feature = "gssapi")]
use crate::kerberos::{Contexts, TicketSource};
use crate::login::{
    Current, LoginNews, LoginTask, LoginWatcher, RefreshSettings, Source, tokens, unsecured_tokens,
};
use crate::network::resolver::TcpConnector;
use crate::network::sasl::{self, SaslMechanism};
#[cfg(feature = "tls")]
use crate::network::tls_connector::TlsConnector;
use crate::network::transport::Connector;
use crate::oidc;
use crate::sender::{Control, Sender};
#[cfg(feature = "tls")]
use crate::tls::{Peer, RotatingTls};
use crate::token::AccessToken;

/// What a configuration asks for.
pub(crate) struct Prepared {
    /// `None` if brokers do not ask.
    pub(crate) mechanism: Option<Arc<dyn SaslMechanism>>,
    /// To be run beside the sender, for mechanisms whose credentials come from outside.
    pub(crate) login: Option<RunningBeside>,
}

/// Does something for the sender until it is dropped, such as fetching credentials.
pub(crate) type RunningBeside = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Prepares what a configuration asks for.
pub(crate) fn prepare(
    settings: &ProducerSettings,
    control: &Arc<Control>,
    accumulator: &Arc<RecordAccumulator>,
) -> Result<Prepared, ConfigError> {
    let watcher = Arc::new(Watcher { control: Arc::clone(control), accumulator: Arc::clone(accumulator) });
    let refresh = refresh_settings(settings);
    Ok(match settings.authentication()? {
        None => Prepared { mechanism: None, login: None },
        Some(Authentication::Password(mechanism, credentials)) => {
            Prepared { mechanism: sasl::mechanism(mechanism, &credentials), login: None }
        }
        Some(Authentication::Token(origin)) => {
            let current = Current::new();
            let login = LoginTask::new(source(&origin)?, current.clone(), refresh, watcher);
            Prepared {
                mechanism: Some(sasl::oauth_bearer(current, clock::wall_clock_ms)),
                login: Some(Box::pin(login.run())),
            }
        }
        #[cfg(feature = "sasl")]
        Some(Authentication::Aws(origin)) => {
            let current = Current::new();
            let environment: Environment = Arc::new(|name| std::env::var(name).ok());
            let region =
                environment("AWS_REGION").or_else(|| environment("AWS_DEFAULT_REGION")).map(Arc::from);
            let source = AwsSource::new(origin, environment, Arc::new(TcpConnector::default()));
            let login = LoginTask::new(Box::new(source), current.clone(), refresh, watcher);
            let mechanism = sasl::aws_msk_iam(current, region, clock::wall_clock_ms);
            Prepared { mechanism: Some(mechanism), login: Some(Box::pin(login.run())) }
        }
        #[cfg(feature = "gssapi")]
        Some(Authentication::Kerberos(kerberos)) => {
            let current = Current::new();
            let refresh = RefreshSettings {
                window_factor: kerberos.window_factor,
                window_jitter: kerberos.window_jitter,
                min_period: kerberos.min_period,
                buffer: Duration::ZERO,
                ..refresh
            };
            let source = TicketSource::new(&kerberos, Arc::new(|name| std::env::var(name).ok()));
            let contexts = Contexts::new(current.clone(), kerberos.service, Arc::<Watcher>::clone(&watcher));
            let login = LoginTask::new(Box::new(source), current, refresh, watcher);
            Prepared { mechanism: Some(sasl::gssapi(Arc::new(contexts))), login: Some(Box::pin(login.run())) }
        }
        #[cfg(not(feature = "gssapi"))]
        Some(Authentication::Kerberos(_)) => return Err(not_built("gssapi").into()),
        #[cfg(not(feature = "sasl"))]
        Some(Authentication::Aws(_)) => return Err(not_built("sasl").into()),
    })
}

/// Going on would be without SASL, for a configuration that asks for it. Validation refuses that before.
#[cfg(not(all(feature = "gssapi", feature = "sasl")))]
fn not_built(feature: &str) -> ConfigProblem {
    let text = format!("needs kafka-producer to be built with its feature {feature:?}");
    ConfigProblem::new("sasl.mechanism", "", ConfigReason::Invalid(text))
}

fn source(origin: &TokenOrigin) -> Result<Box<dyn Source<AccessToken>>, ConfigError> {
    Ok(match origin {
        TokenOrigin::Provider(provider) => tokens(provider),
        TokenOrigin::Unsecured(login) => unsecured_tokens(login),
        TokenOrigin::File(path, extensions) => tokens(&oidc::from_file(path, extensions)),
        TokenOrigin::Endpoint(endpoint) => tokens(&oidc::from_endpoint(endpoint, connector(endpoint)?)),
    })
}

/// Returns how to reach a token endpoint. The dialer of the application is not asked: it is for brokers.
fn connector(endpoint: &TokenEndpoint) -> Result<Arc<dyn Connector>, ConfigError> {
    let tcp: Arc<dyn Connector> = Arc::new(TcpConnector::default());
    #[cfg(feature = "tls")]
    if endpoint.url.is_encrypted() {
        let tls = RotatingTls::start(&endpoint.tls, Peer::TokenEndpoint);
        let tls = tls.map_err(|problem| in_login_module(&problem))?;
        return Ok(Arc::new(TlsConnector::new(tcp, tls)));
    }
    let _ = endpoint;
    Ok(tcp)
}

/// Says that what is wrong stands in an option of the login module.
#[cfg(feature = "tls")]
fn in_login_module(problem: &ConfigProblem) -> ConfigError {
    let text = format!("for the token endpoint: {problem}");
    let problem = ConfigProblem::new("sasl.jaas.config", "", ConfigReason::Invalid(text));
    ConfigError::from(problem)
}

/// Starts the sender, and with it other tasks, which end when the sender does.
pub(crate) fn spawn(runtime: &Handle, sender: Sender, others: Vec<RunningBeside>) {
    let others: Vec<_> = others.into_iter().map(|other| AbortOnDrop(runtime.spawn(other))).collect();
    drop(runtime.spawn(async move {
        sender.await;
        drop(others);
    }));
}

/// Ends a task when it is dropped.
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn refresh_settings(settings: &ProducerSettings) -> RefreshSettings {
    RefreshSettings {
        window_factor: settings.sasl_login_refresh_window_factor.0,
        window_jitter: settings.sasl_login_refresh_window_jitter.0,
        min_period: Duration::from_secs(u64::from(settings.sasl_login_refresh_min_period_s)),
        buffer: Duration::from_secs(u64::from(settings.sasl_login_refresh_buffer_s)),
        retry_backoff: Backoff::new(settings.sasl_login_retry_backoff, settings.sasl_login_retry_backoff_max),
    }
}

/// Tells the sender what comes of fetching.
struct Watcher {
    control: Arc<Control>,
    accumulator: Arc<RecordAccumulator>,
}

impl LoginWatcher for Watcher {
    fn note(&self, news: LoginNews) {
        self.control.note_login(news);
        self.accumulator.wake_sender();
    }
}

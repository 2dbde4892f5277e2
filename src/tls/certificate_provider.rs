//! `CertificateProvider`: certificates and keys that the application gets from somewhere else than files.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;

use crate::config::Tls;

/// Gives the producer its certificates, and new ones whenever they change, for
/// [`KafkaProducerBuilder::certificate_provider`](crate::KafkaProducerBuilder::certificate_provider).
///
/// For certificates that live for hours, from a vault or a workload API. Each closure that returns a future of a [`Tls`] is a
/// provider.
///
/// The producer asks for the first certificates when it is built, and its connections wait for them. Whenever it has got some, it asks
/// for the next: let the future wait until there are any. New connections use them at once, and open ones live on. After an error
/// the producer logs a warning, goes on with the certificates that it has, and asks again some seconds later.
///
/// ```no_run
/// use kafka_producer::{CertificateError, KafkaProducer, SecurityProtocol, Tls};
/// # struct Vault;
/// # impl Vault { async fn next_certificate(&self) -> Result<(String, String), CertificateError> { unreachable!() } }
///
/// # async fn example(vault: std::sync::Arc<Vault>) -> Result<(), kafka_producer::BuildError> {
/// let producer = KafkaProducer::builder()
///     .bootstrap_servers("kafka-1:9093")
///     .security_protocol(SecurityProtocol::Ssl)
///     .certificate_provider(move || {
///         let vault = vault.clone();
///         async move {
///             let (chain, key) = vault.next_certificate().await?;
///             Ok(Tls::new().truststore_file("/etc/kafka/ca.pem").keystore_pem(chain, key))
///         }
///     })
///     .build()?;
/// # drop(producer);
/// # Ok(())
/// # }
/// ```
pub trait CertificateProvider: Send + Sync + 'static {
    /// Gets the next certificates: at once if the producer has none yet, and otherwise when there are new ones.
    ///
    /// The future is polled on the runtime in which the producer was built. It is dropped when the producer ends.
    fn certificates(&self) -> CertificateFuture<'_>;
}

/// What [`CertificateProvider::certificates`] returns.
pub type CertificateFuture<'a> = Pin<Box<dyn Future<Output = Result<Tls, CertificateError>> + Send + 'a>>;

/// Why there are no certificates. It is logged.
pub type CertificateError = Box<dyn Error + Send + Sync>;

impl<P, F> CertificateProvider for P
where
    P: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = Result<Tls, CertificateError>> + Send + 'static,
{
    fn certificates(&self) -> CertificateFuture<'_> {
        Box::pin(self())
    }
}

//! What an error of TLS means, in words for the user.

use std::fmt;
use std::io;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, OtherError};

use super::peer::Peer;
use crate::calendar::{utc, utc_day};
use crate::clock;
use crate::security_failure::SecurityFailure;

/// What has to be known for explaining errors: what the client has shown and offered.
#[derive(Debug)]
pub(super) struct Explainer {
    pub(super) peer: Peer,
    pub(super) identity: Option<Shown>,
    /// In Kafka's words.
    pub(super) protocols: String,
    /// In Kafka's words; empty if it is up to the client.
    pub(super) cipher_suites: String,
}

/// The certificate that the client shows.
#[derive(Debug)]
pub(super) struct Shown {
    /// Whose it is.
    pub(super) subject: String,
    /// When it counts, in seconds since 1970, if it can be read.
    pub(super) dates: Option<(i64, i64)>,
    /// The key of the configuration that says so.
    pub(super) key: &'static str,
}

impl Shown {
    /// Says what is wrong with its dates. A server does not say which of the things that may be wrong it means.
    fn fault(&self, now: i64, peer: Peer) -> Option<String> {
        let Self { subject, dates, key } = self;
        let key = peer.setting(key);
        let (begin, end) = (*dates)?;
        // The day is enough: a text that changed with each attempt would be logged with each.
        let (fault, today) = match () {
            () if now > end => (format!("has ended on {}", utc(end)), utc_day(now)),
            () if now < begin => (format!("does not count before {}", utc(begin)), utc_day(now)),
            () => return None,
        };
        Some(format!(
            "the producer's certificate {subject:?} of {key} {fault}, and here it is {today}; put another one there"
        ))
    }
}

impl Explainer {
    /// Explains an error of the handshake.
    pub(super) fn of_handshake(&self, error: io::Error) -> io::Error {
        match rustls_error(&error) {
            Some(cause) => self.explain_beginning(cause).into(),
            None if is_closed(&error) => SecurityFailure::passing(format!(
                "closed in the middle of the TLS handshake: the {} may speak plaintext here (then {}), be stopping, or be \
                 behind a firewall",
                self.peer,
                self.peer.plaintext_hint()
            ))
            .into(),
            None => error,
        }
    }

    /// Explains an error of a stream that is encrypted. In TLS 1.3 a server refuses the certificate of a client only after the
    /// client takes the handshake for done. `has_begun` says whether the server has sent anything since.
    pub(super) fn of_stream(&self, error: io::Error, has_begun: bool) -> io::Error {
        match rustls_error(&error) {
            Some(cause) if !has_begun => self.explain_beginning(cause).into(),
            Some(cause) => self.explain(cause).into(),
            // Not all brokers take leave.
            None if error.kind() == io::ErrorKind::UnexpectedEof => {
                io::Error::new(io::ErrorKind::UnexpectedEof, format!("closed by the {}", self.peer))
            }
            None => error,
        }
    }

    /// Explains an error in front of the first byte. Up to Kafka 2.8, brokers that refuse a client send part of their own hello once
    /// more, in place of an alert.
    fn explain_beginning(&self, error: &Error) -> SecurityFailure {
        let is_repeated = matches!(error, Error::DecryptError | Error::InappropriateHandshakeMessage { .. });
        if self.peer != Peer::Broker || !is_repeated {
            return self.explain(error);
        }
        if let Some(fault) = self.fault_of_ours() {
            return SecurityFailure::lasting(format!(
                "{fault} (the broker breaks off the TLS handshake: {error})"
            ));
        }
        SecurityFailure::lasting(match &self.identity {
            Some(Shown { subject, key, .. }) => format!(
                "the broker breaks off the TLS handshake ({error}); old brokers do that when they refuse the producer's \
                 certificate, which is {subject:?} of {key}"
            ),
            None => format!(
                "the broker breaks off the TLS handshake ({error}); old brokers do that when they ask for a certificate of the \
                 producer's: set ssl.keystore.location, or ssl.keystore.certificate.chain and ssl.keystore.key"
            ),
        })
    }

    fn explain(&self, error: &Error) -> SecurityFailure {
        match error {
            Error::AlertReceived(alert) => self.explain_alert(*alert),
            Error::InvalidCertificate(CertificateError::Other(OtherError(cause))) => {
                match cause.downcast_ref::<SecurityFailure>() {
                    Some(failure) => failure.clone(),
                    None => self.refused(cause),
                }
            }
            Error::InvalidCertificate(cause) => self.refused(cause),
            Error::InvalidMessage(
                InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
            ) => SecurityFailure::lasting(format!(
                "what answers at this address does not speak TLS; {}",
                self.peer.plaintext_hint()
            )),
            Error::PeerIncompatible(cause) => {
                SecurityFailure::lasting(format!("{} ({cause:?})", self.no_common_ground()))
            }
            error => SecurityFailure::passing(error.to_string()),
        }
    }

    fn refused(&self, cause: &dyn fmt::Display) -> SecurityFailure {
        SecurityFailure::lasting(format!("the {}'s certificate is not accepted: {cause}", self.peer))
    }

    fn explain_alert(&self, alert: AlertDescription) -> SecurityFailure {
        use AlertDescription as Alert;
        let is_about_certificate = matches!(
            alert,
            Alert::AccessDenied
                | Alert::BadCertificate
                | Alert::CertificateExpired
                | Alert::CertificateRequired
                | Alert::CertificateRevoked
                | Alert::CertificateUnknown
                | Alert::NoCertificate
                | Alert::UnknownCA
                | Alert::UnsupportedCertificate
        );
        let peer = self.peer;
        if let Some(fault) = self.fault_of_ours().filter(|_| is_about_certificate) {
            return SecurityFailure::lasting(format!("{fault} (the {peer} refuses it: {alert:?})"));
        }
        match &self.identity {
            Some(Shown { subject, key, .. }) if is_about_certificate => {
                let is_about_issuer = matches!(alert, Alert::UnknownCA | Alert::CertificateUnknown);
                let hint = match peer {
                    Peer::Broker if is_about_issuer => {
                        "; its issuer may be missing in the broker's ssl.truststore.location"
                    }
                    Peer::Aws | Peer::TokenEndpoint if is_about_issuer => "; it may not know the issuer",
                    _ => "",
                };
                let key = peer.setting(key);
                SecurityFailure::lasting(format!(
                    "the {peer} refuses the producer's certificate {subject:?} of {key} ({alert:?}){hint}"
                ))
            }
            None if is_about_certificate => {
                let advice = peer.client_certificate().map(|settings| format!("set {settings}"));
                let advice = advice.unwrap_or_else(|| "there is no setting for that".to_owned());
                SecurityFailure::lasting(format!(
                    "the {peer} asks for a certificate of the producer's; {advice} ({alert:?})"
                ))
            }
            _ => match alert {
                Alert::HandshakeFailure | Alert::InsufficientSecurity | Alert::ProtocolVersion => {
                    let may_want_one = self.identity.is_none() && alert == Alert::HandshakeFailure;
                    let settings = peer.client_certificate().filter(|_| may_want_one);
                    let hint = settings
                        .map(|settings| format!("; or it asks for a certificate, then set {settings}"));
                    let hint = hint.unwrap_or_default();
                    SecurityFailure::lasting(format!("{}{hint} ({alert:?})", self.no_common_ground()))
                }
                Alert::UnrecognisedName => SecurityFailure::lasting(format!(
                    "the {peer} has no certificate for the name by which {} (UnrecognisedName)",
                    match peer {
                        Peer::Aws => "the variables of AWS call it",
                        Peer::Broker => "bootstrap.servers or advertised.listeners call it",
                        Peer::TokenEndpoint => "sasl.oauthbearer.token.endpoint.url calls it",
                    }
                )),
                alert => SecurityFailure::passing(format!("the {peer} has ended the connection ({alert:?})")),
            },
        }
    }

    fn fault_of_ours(&self) -> Option<String> {
        self.identity.as_ref()?.fault(clock::wall_clock_ms().div_euclid(1000), self.peer)
    }

    fn no_common_ground(&self) -> String {
        let suites = match self.cipher_suites.as_str() {
            "" => String::new(),
            suites => format!(" and ssl.cipher.suites={suites}"),
        };
        // Nothing of TLS with AWS can be set but whom to trust.
        let key = if matches!(self.peer, Peer::Aws) { "" } else { "ssl.enabled.protocols=" };
        format!(
            "{} and producer have no TLS version, cipher suite or kind of key in common; the producer offers {key}{}{suites}",
            self.peer, self.protocols
        )
    }
}

fn rustls_error(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

fn is_closed(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::BrokenPipe | Kind::ConnectionAborted | Kind::ConnectionReset | Kind::UnexpectedEof
    )
}

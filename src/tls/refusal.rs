//! Why a server's certificate is refused, in words for the user.

use rustls::pki_types::CertificateDer;
use rustls::{CertificateError, Error};

use super::certificate::Certificate;
use super::peer::Peer;
use crate::calendar::utc;

/// Why a certificate is refused.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It has ended, or has not begun.
    Date,
    /// No authority that is trusted has signed it.
    Issuer,
    /// It is for another name.
    Name,
    Other(Error),
}

/// What a server has shown, and when to whom.
#[derive(Debug)]
pub(super) struct Served<'a> {
    pub(super) peer: Peer,
    pub(super) end_entity: &'a CertificateDer<'a>,
    pub(super) intermediates: &'a [CertificateDer<'a>],
    /// The name that the client connects to.
    pub(super) name: &'a str,
    pub(super) now: i64,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let Error::InvalidCertificate(problem) = &error else { return Self::Other(error) };
        match problem {
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Self::Date,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Self::Name,
            CertificateError::UnknownIssuer => Self::Issuer,
            _ => Self::Other(error),
        }
    }
}

impl Refusal {
    /// `key` says whom the client trusts; `None` if the operating system does.
    pub(super) fn explain(&self, served: &Served<'_>, key: Option<&str>) -> String {
        let Some(certificate) = Certificate::read(served.end_entity) else {
            return format!("the {}'s certificate cannot be read{}", served.peer, self.cause());
        };
        match self {
            Self::Date => served.explain_date(&certificate),
            Self::Issuer => served.explain_issuer(&certificate, key),
            Self::Name => served.explain_name(&certificate),
            Self::Other(_) => format!("{} is not accepted{}", served.describe(&certificate), self.cause()),
        }
    }

    fn cause(&self) -> String {
        if let Self::Other(error) = self { format!(": {error}") } else { String::new() }
    }
}

impl Served<'_> {
    fn explain_issuer(&self, certificate: &Certificate, key: Option<&str>) -> String {
        let last = self.intermediates.last().and_then(|last| Certificate::read(last));
        let issuer = last.as_ref().map_or(&certificate.issuer, |last| &last.issuer);
        let described = self.describe(certificate);
        let (whom, what) = match key {
            Some(key) => (self.peer.setting(key), "add to it".to_owned()),
            None => {
                let setting = self.peer.setting("ssl.truststore.location");
                ("the operating system".to_owned(), format!("set {setting} to a file with"))
            }
        };
        format!(
            "{described} is signed by no authority that {whom} vouches for; if you trust it, {what} the certificate of {issuer:?}"
        )
    }

    fn explain_date(&self, certificate: &Certificate) -> String {
        // It may be that of an authority between the broker's and the one that is trusted.
        let others: Vec<_> = self.intermediates.iter().filter_map(|der| Certificate::read(der)).collect();
        let mut all = std::iter::once(certificate).chain(&others);
        let culprit = all.find(|one| !one.is_valid_at(self.now)).unwrap_or(certificate);
        let (described, now, remedy) = (self.describe(culprit), utc(self.now), self.peer.new_certificate());
        // The day is enough: a text that changed with each attempt would be logged with each.
        let today = now.get(..10).unwrap_or_default();
        if self.now < culprit.not_before {
            let begin = utc(culprit.not_before);
            return format!(
                "{described} is not valid before {begin}, and here it is {today}; set the clock, or {remedy}"
            );
        }
        format!("{described} has ended, and here it is {today}; {remedy}")
    }

    fn explain_name(&self, certificate: &Certificate) -> String {
        let (described, name, origin) = (self.describe(certificate), self.name, self.peer.name_origin());
        let offered = match certificate.names.as_slice() {
            [] => "for no name, since it lacks subjectAltName".to_owned(),
            names => format!("for {}", names.join(", ")),
        };
        format!("{described} is {offered}, and not for {name:?}, {origin}")
    }

    fn describe(&self, certificate: &Certificate) -> String {
        let Certificate { subject, issuer, not_after, .. } = certificate;
        format!(
            "the {}'s certificate {subject:?} (issued by {issuer:?}, valid until {})",
            self.peer,
            utc(*not_after)
        )
    }
}

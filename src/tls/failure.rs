//! What an error of TLS means, in words for the user.

use std::io;

use rustls::Error;

use crate::security_failure::SecurityFailure;

/// Explains an error of the handshake.
pub(super) fn of_handshake(error: io::Error) -> io::Error {
    match rustls_error(&error) {
        Some(cause) => {
            SecurityFailure { reason: cause.to_string().into(), is_lasting: is_lasting(cause) }.into()
        }
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            SecurityFailure::passing("connection was closed in the middle of the TLS handshake").into()
        }
        None => error,
    }
}

/// Explains an error of a stream that is encrypted.
pub(super) fn of_stream(error: io::Error) -> io::Error {
    match rustls_error(&error) {
        Some(cause) => {
            SecurityFailure { reason: cause.to_string().into(), is_lasting: is_lasting(cause) }.into()
        }
        None => error,
    }
}

fn rustls_error(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

fn is_lasting(error: &Error) -> bool {
    matches!(
        error,
        Error::InvalidCertificate(_)
            | Error::PeerIncompatible(_)
            | Error::AlertReceived(_)
            | Error::InvalidMessage(_)
    )
}

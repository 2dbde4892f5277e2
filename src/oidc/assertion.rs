//! Assertions: JWTs by which a client shows who it is (RFC 7521, RFC 7523).

use zeroize::Zeroizing;

use super::read_file;
use crate::config::Assertion;
use crate::token::TokenError;

/// Returns an assertion, made or read anew.
pub(super) async fn make(assertion: &Assertion) -> Result<Zeroizing<String>, TokenError> {
    match assertion {
        Assertion::File(path) => {
            let text = read_file("sasl.oauthbearer.assertion.file", path).await?;
            Ok(Zeroizing::new(text.trim().to_owned()))
        }
        Assertion::Signed(_) => Err(TokenError::permanent("assertions cannot be signed yet")),
    }
}

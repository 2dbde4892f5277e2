//! Access tokens as [`Source`]: what a provider gives is checked, and its end found out.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::unsecured::Unsecured;
use super::{Fetched, Fetching, Source, jwt};
use crate::clock;
use crate::config::UnsecuredLogin;
use crate::token::{AccessToken, SharedProvider, TokenEnd, TokenError, TokenProvider, check_extension};

/// Returns the source of the tokens that a provider gives out.
pub(crate) fn tokens(provider: &SharedProvider) -> Box<dyn Source<AccessToken>> {
    Box::new(Tokens(Arc::clone(&provider.0)))
}

/// Returns the source of tokens that the producer makes.
pub(crate) fn unsecured_tokens(login: &UnsecuredLogin) -> Box<dyn Source<AccessToken>> {
    Box::new(Tokens(Arc::new(Unsecured::new(login.clone()))))
}

struct Tokens(Arc<dyn TokenProvider>);

impl Source<AccessToken> for Tokens {
    fn name(&self) -> &'static str {
        "access token"
    }

    fn fetch(&self) -> Fetching<'_, AccessToken> {
        Box::pin(async {
            let token = self.0.token().await?;
            check(&token)?;
            let lifetime = lifetime(&token, clock::wall_clock_ms());
            Ok(Fetched { value: token, lifetime })
        })
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens")
    }
}

/// Checks that a token can be said to a broker (RFC 6750 and RFC 7628). Nothing of the token is told.
fn check(token: &AccessToken) -> Result<(), TokenError> {
    let value = token.value();
    if value.is_empty() {
        return Err(TokenError::permanent("the token is empty"));
    }
    if value.len() > MAX_TOKEN {
        return Err(TokenError::permanent(format_args!(
            "the token has {} bytes; at most {MAX_TOKEN} are taken",
            value.len()
        )));
    }
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    if !value.trim_end_matches('=').bytes().all(is_allowed) {
        return Err(TokenError::permanent(
            "the token has a character that no access token may have (RFC 6750)",
        ));
    }
    for (name, value) in token.extensions() {
        check_extension(name, value).map_err(TokenError::permanent)?;
    }
    Ok(())
}

/// Returns how long a token lasts from `now`, in milliseconds since 1970, if that is known. Zero if it has ended.
fn lifetime(token: &AccessToken, now: i64) -> Option<Duration> {
    let end: SystemTime = match token.end() {
        Some(TokenEnd::After(lifetime)) => return Some(lifetime),
        Some(TokenEnd::At(end)) => end,
        None => jwt::end(token.value())?,
    };
    let now = UNIX_EPOCH + Duration::from_millis(u64::try_from(now).unwrap_or(0));
    Some(end.duration_since(now).unwrap_or_default())
}

/// Brokers take requests of SASL of 512 KiB at most (`sasl.server.max.receive.size`), for all that is said.
const MAX_TOKEN: usize = 500 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base64;

    #[test]
    fn tokens_that_cannot_be_said_are_refused() {
        let is_refused = |token: AccessToken| check(&token).is_err_and(|error| error.is_permanent());

        for value in ["", "a b", "a\u{1}b", "ä", "a,b", "=a", &"x".repeat(MAX_TOKEN + 1)] {
            assert!(is_refused(AccessToken::new(value)), "{value}");
        }
        for (name, value) in
            [("auth", "x"), ("", "x"), ("a1", "x"), ("ä", "x"), ("a", ""), ("a", "\u{1}"), ("a", "ä")]
        {
            assert!(is_refused(AccessToken::new("t").extension(name, value)), "{name}");
        }
        check(&AccessToken::new("e30.e30_-~+/.x==").extension("logicalCluster", "lkc-1 x\t")).unwrap();
    }

    #[test]
    fn lifetime_is_what_the_provider_says_and_else_what_the_token_claims() {
        let claims = base64::encode_for_url(b"{\"exp\":100}");
        let jwt = AccessToken::new(format!("e30.{claims}."));
        let at = UNIX_EPOCH + Duration::from_secs(50);

        assert_eq!(lifetime(&jwt, 40_000), Some(Duration::from_secs(60)));
        assert_eq!(lifetime(&jwt, 100_001), Some(Duration::ZERO));
        assert_eq!(lifetime(&jwt.clone().expires_at(at), 40_000), Some(Duration::from_secs(10)));
        assert_eq!(lifetime(&jwt.expires_in(Duration::from_secs(7)), 40_000), Some(Duration::from_secs(7)));
        assert_eq!(lifetime(&AccessToken::new("opaque"), 0), None);
    }
}

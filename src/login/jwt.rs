//! What a client reads of a JWT (RFC 7519): when it ends. Only the broker can say whether it is genuine.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use zeroize::Zeroizing;

use crate::base64;
use crate::json::Json;

/// Returns what a token claims, if it is a JWT.
pub(super) fn claims(token: &str) -> Option<Json> {
    let mut parts = token.split('.');
    let (header, payload) = (parts.next()?, parts.next()?);
    parts.next().filter(|_| parts.next().is_none() && !header.is_empty())?;
    let payload = Zeroizing::new(base64::decode_for_url(payload)?);
    Json::parse(std::str::from_utf8(&payload).ok()?).ok()
}

/// Returns when a token ends, if it is a JWT that says so.
pub(super) fn end(token: &str) -> Option<SystemTime> {
    let seconds = claims(token)?.number("exp")?;
    UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7519, section 3.1.
    const EXAMPLE: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
        eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
        dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

    #[test]
    fn end_of_the_example_of_the_rfc_is_read() {
        assert_eq!(end(EXAMPLE), Some(UNIX_EPOCH + Duration::from_secs(1_300_819_380)));
        assert_eq!(claims(EXAMPLE).unwrap().text("iss"), Some("joe"));
    }

    #[test]
    fn what_is_no_jwt_or_says_nothing_has_no_end() {
        let made = |claims: &str| format!("e30.{}.", base64::encode_for_url(claims.as_bytes()));
        for token in [
            "",
            "opaque",
            "a.b",
            "e30.e30.e30.e30",
            "e30.!.",
            &made("{}"),
            &made("{\"exp\":\"1\"}"),
            &made("{\"exp\":-1}"),
        ] {
            assert_eq!(end(token), None, "{token}");
        }
        assert_eq!(end(&made("{\"exp\":1.5}")), Some(UNIX_EPOCH + Duration::from_millis(1500)));
        assert_eq!(end(&made("{\"exp\":1e300}")), None);
    }
}

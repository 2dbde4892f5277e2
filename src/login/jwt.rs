//! What a client reads of a JWT (RFC 7519): when it ends, and what a user is told of it. Only the broker can say whether it is genuine.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use zeroize::Zeroizing;

use crate::base64;
use crate::calendar::{utc, utc_day};
use crate::json::Json;
use crate::wire::readable_within;

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

/// Tells what a token claims, for a user whose token a broker refuses. `now_ms` is in milliseconds since 1970.
///
/// A token that has not ended is told with the day of its end only. The text of one that is fetched anew is then mostly the same, and
/// the log does not repeat it.
pub(crate) fn describe(token: &str, now_ms: i64) -> String {
    let Some(claims) = claims(token) else {
        return "the token is no JWT, so only who gave it out knows when it ends and for whom it is"
            .to_owned();
    };
    let told: Vec<_> = TOLD.into_iter().filter_map(|name| Some((name, claim(claims.get(name)?)?))).collect();
    let told: Vec<_> = told.iter().map(|(name, value)| format!("{name} {value}")).collect();
    let told = if told.is_empty() { "neither issuer, audience nor user".to_owned() } else { told.join(", ") };
    let now = now_ms.div_euclid(1000);
    let time = |name: &str| claims.number(name).and_then(seconds);
    let times = match (time("nbf"), time("exp")) {
        (_, Some(end)) if end <= now => format!("has ended on {}", utc(end)),
        (Some(begin), _) if begin > now => format!("does not count before {}", utc(begin)),
        (_, Some(end)) => format!("ends on {}", utc_day(end)),
        (_, None) => "does not say when it ends".to_owned(),
    };
    format!("the token claims {told}, and {times}")
}

/// Prints the value of a claim, which is a text or a list of texts.
fn claim(value: &Json) -> Option<String> {
    let text = match value {
        Json::String(text) => text.to_owned(),
        Json::Array(items) => {
            let items = items.iter().take(MOST_ITEMS);
            let texts = items.map(|item| if let Json::String(text) = item { text.as_str() } else { "?" });
            texts.collect::<Vec<_>>().join(" ")
        }
        Json::Number(number) => number.to_string(),
        _ => return None,
    };
    Some(format!("\"{}\"", readable_within(&text, LONGEST_CLAIM)))
}

/// Returns whole seconds, if they are in a year of four digits.
fn seconds(number: f64) -> Option<i64> {
    let is_date = (0.0..=LAST_SECOND).contains(&number);
    let duration = Duration::try_from_secs_f64(number).ok().filter(|_| is_date)?;
    i64::try_from(duration.as_secs()).ok()
}

/// Who gave the token out, for whom, and to whom. Of clients each kind of server has a name of its own.
const TOLD: [&str; 6] = ["iss", "aud", "sub", "client_id", "azp", "appid"];

const LONGEST_CLAIM: usize = 100;
const MOST_ITEMS: usize = 5;

/// Of the year 9999.
const LAST_SECOND: f64 = 253_402_300_799.0;

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
    fn claims_are_told_and_nothing_else_of_the_token() {
        let told = |claims: &str, now_s: i64| {
            let token = format!("e30.{}.c2lnbmF0dXJl", base64::encode_for_url(claims.as_bytes()));
            let text = describe(&token, now_s * 1000);
            assert!(!text.contains(&token) && !text.contains("c2lnbmF0dXJl"), "{text}");
            text
        };

        let all = r#"{"iss":"https://idp","aud":["kafka","x"],"sub":"alice","client_id":"c","exp":951782400,"jti":"hunter2"}"#;
        let who =
            "the token claims iss \"https://idp\", aud \"kafka x\", sub \"alice\", client_id \"c\", and";
        assert_eq!(told(all, 951_782_399), format!("{who} ends on 2000-02-29"));
        assert_eq!(told(all, 951_782_400), format!("{who} has ended on 2000-02-29 00:00:00 UTC"));
        let none = "the token claims neither issuer, audience nor user, and";
        assert_eq!(told(r#"{"exp":"soon","iss":{}}"#, 0), format!("{none} does not say when it ends"));
        assert_eq!(told(r#"{"exp":1e300}"#, 0), format!("{none} does not say when it ends"));
        assert_eq!(
            told(r#"{"nbf":86400,"exp":90000}"#, 0),
            format!("{none} does not count before 1970-01-02 00:00:00 UTC")
        );
        let hostile = format!(r#"{{"iss":"a\n\u001b[2J\u202e{}"}}"#, "x".repeat(5000));
        let text = told(&hostile, 0);
        assert!(text.starts_with("the token claims iss \"a  [2J x") && text.len() < 200, "{text}");
        assert!(describe("hunter2", 0).starts_with("the token is no JWT"), "an opaque one");
        assert!(!describe("hunter2", 0).contains("hunter2"));
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

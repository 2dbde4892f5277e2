//! What a token endpoint has answered: a token, or why there is none.

use std::time::Duration;

use crate::http::{Answer, Url};
use crate::json::Json;
use crate::token::{AccessToken, TokenError};
use crate::wire::readable;

/// Reads an answer. Nothing of one that holds a token gets into an error. `named_by` is the key that says how the client shows who it
/// is.
pub(super) fn read(url: &Url, answer: &Answer, named_by: &str) -> Result<AccessToken, TokenError> {
    let body = std::str::from_utf8(&answer.body);
    if !matches!(answer.status, 200 | 201) {
        return Err(refusal(url, answer.status, &answer.body, named_by));
    }
    let wrong = |text: String| TokenError::temporary(format_args!("token endpoint {url}: {text}"));
    let body = body.map_err(|_| wrong("the answer is no text".to_owned()))?;
    let json = Json::parse(body).map_err(|error| wrong(format!("the answer is no JSON: {error}")))?;
    let token = ["access_token", "id_token"].iter().find_map(|name| json.text(name));
    let token = token.map(str::trim).filter(|token| !token.is_empty());
    let token = token.ok_or_else(|| wrong("the answer has no access_token".to_owned()))?;
    let token = AccessToken::new(token);
    // This does not depend on whether two clocks agree, unlike the end that a token may tell.
    let lifetime = json.number("expires_in").and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    Ok(match lifetime.filter(|lifetime| !lifetime.is_zero()) {
        Some(lifetime) => token.expires_in(lifetime),
        None => token,
    })
}

/// Tells why there is no token, in the words of the endpoint if they have the form of RFC 6749. Anything else may be an echo of what
/// was asked, with the secret in it.
fn refusal(url: &Url, status: u16, body: &[u8], named_by: &str) -> TokenError {
    let json = std::str::from_utf8(body).ok().and_then(|body| Json::parse(body).ok());
    let said = |name: &str| json.as_ref().and_then(|json| json.text(name)).filter(|text| !text.is_empty());
    let error = said("error").or_else(|| said("errorCode"));
    let description = said("error_description").or_else(|| said("errorSummary"));
    let words = match (error, description, body.len()) {
        (Some(error), Some(description), _) => readable(&format!("{error}: {description}")),
        (Some(error), None, _) => readable(error),
        (None, Some(description), _) => readable(description),
        (None, None, 0) => "it does not say why".to_owned(),
        (None, None, length) => format!("it does not say why in a way that is known (in {length} bytes)"),
    };
    let hint = match (status, error) {
        (300..=399, _) => {
            format!(
                "; it sends the producer elsewhere, which is not followed: {URL} must be where tokens are given out"
            )
        }
        (_, Some("invalid_scope")) => "; check sasl.oauthbearer.scope".to_owned(),
        (_, Some("invalid_client" | "invalid_grant" | "unauthorized_client")) | (401, _) => {
            format!("; check {named_by}")
        }
        (404 | 405, _) => format!("; check {URL}"),
        _ => String::new(),
    };
    let text = format!("token endpoint {url} answers {status}: {words}{hint}");
    let may_pass = matches!(error, Some("server_error" | "slow_down" | "temporarily_unavailable"));
    if is_permanent(status) && !may_pass { TokenError::permanent(text) } else { TokenError::temporary(text) }
}

/// Whether it is no use to ask again. The list is Java's (`HttpJwtRetriever`), with redirects, which Java may follow.
fn is_permanent(status: u16) -> bool {
    matches!(status, 300..=308 | 400..=407 | 409..=415 | 501 | 505)
}

const URL: &str = "sasl.oauthbearer.token.endpoint.url";

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::token::TokenEnd;

    fn answer(status: u16, body: &str) -> Result<AccessToken, TokenError> {
        let url = Url::parse("https://idp.example/token?secret=hunter2").unwrap();
        read(&url, &Answer { status, body: Zeroizing::new(body.into()) }, "KEY")
    }

    #[test]
    fn token_and_lifetime_are_found() {
        let token =
            answer(200, r#"{"token_type":"Bearer","expires_in":3600,"access_token":" a.b.c "}"#).unwrap();
        assert_eq!((token.value(), token.end()), ("a.b.c", Some(TokenEnd::After(Duration::from_secs(3600)))));

        let token = answer(201, r#"{"id_token":"x","expires_in":"soon"}"#).unwrap();
        assert_eq!((token.value(), token.end()), ("x", None));
    }

    #[test]
    fn refusals_are_told_in_the_words_of_the_endpoint_and_are_permanent_where_java_says_so() {
        let at = "token endpoint https://idp.example/token";
        for (status, body, text, is_permanent) in [
            (
                401,
                r#"{"error":"invalid_client","error_description":"who?"}"#,
                "answers 401: invalid_client: who?; check KEY",
                true,
            ),
            (
                400,
                r#"{"error":"invalid_scope"}"#,
                "answers 400: invalid_scope; check sasl.oauthbearer.scope",
                true,
            ),
            (403, r#"{"errorCode":"E1","errorSummary":"no"}"#, "answers 403: E1: no", true),
            (
                404,
                "<html>hunter2\n",
                "answers 404: it does not say why in a way that is known (in 14 bytes); check \
                 sasl.oauthbearer.token.endpoint.url",
                true,
            ),
            (401, "", "answers 401: it does not say why; check KEY", true),
            (400, r#"{"error":"invalid_grant"}"#, "answers 400: invalid_grant; check KEY", true),
            (
                400,
                r#"{"client_assertion":"hunter2"}"#,
                "answers 400: it does not say why in a way that is known (in 30 bytes)",
                true,
            ),
            (500, "", "answers 500: it does not say why", false),
            (503, r#"{"error":"x"}"#, "answers 503: x", false),
            (429, "slow", "answers 429: it does not say why in a way that is known (in 4 bytes)", false),
            (408, "", "answers 408: it does not say why", false),
            (400, r#"{"error":"temporarily_unavailable"}"#, "answers 400: temporarily_unavailable", false),
        ] {
            let error = answer(status, body).unwrap_err();
            assert_eq!((error.to_string(), error.is_permanent()), (format!("{at} {text}"), is_permanent));
        }
        assert!(answer(302, "").unwrap_err().to_string().contains("not followed"));
    }

    #[test]
    fn answer_without_a_token_is_told_without_what_it_says() {
        for (body, text) in [
            ("", "the answer is no JSON: EOF while parsing a value at line 1 column 0"),
            ("hunter2", "the answer is no JSON: expected value at line 1 column 1"),
            (r#"{"access_token":""}"#, "the answer has no access_token"),
            (r#"{"refresh_token":"hunter2"}"#, "the answer has no access_token"),
            (r#"{"access_token":7}"#, "the answer has no access_token"),
        ] {
            let error = answer(200, body).unwrap_err();
            assert_eq!(error.to_string(), format!("token endpoint https://idp.example/token: {text}"));
            assert!(!error.is_permanent());
        }
    }
}

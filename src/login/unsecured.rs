//! Tokens that prove nothing: JWTs without a signature, which only brokers for tests accept
//! (Java: `OAuthBearerUnsecuredLoginCallbackHandler`).

use std::future::ready;

use serde_json::Number;

use crate::base64;
use crate::clock;
use crate::config::UnsecuredLogin;
use crate::json::Json;
use crate::token::{AccessToken, TokenFuture, TokenProvider};

/// Makes tokens by itself.
pub(super) struct Unsecured {
    login: UnsecuredLogin,
}

impl Unsecured {
    pub(super) fn new(login: UnsecuredLogin) -> Self {
        Self { login }
    }

    fn make(&self, now_ms: i64) -> AccessToken {
        let seconds = |ms: i64| Number::from_f64(ms as f64 / 1000.0).map_or(Json::Null, Json::Number);
        let lifetime_ms = self.login.lifetime_s.saturating_mul(1000);
        let mut claims = vec![
            ("exp".to_owned(), seconds(now_ms.saturating_add(lifetime_ms))),
            ("iat".to_owned(), seconds(now_ms)),
        ];
        claims.extend(self.login.claims.iter().cloned());
        let claims = Json::Object(claims).to_string();
        let header = base64::encode_for_url(br#"{"alg":"none"}"#);
        let token = AccessToken::new(format!("{header}.{}.", base64::encode_for_url(claims.as_bytes())));
        let extensions = self.login.extensions.iter();
        extensions.fold(token, |token, (name, value)| token.extension(name, value))
    }
}

impl TokenProvider for Unsecured {
    fn token(&self) -> TokenFuture<'_> {
        Box::pin(ready(Ok(self.make(clock::wall_clock_ms()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::login::jwt;

    #[test]
    fn claims_are_those_that_java_makes() {
        let claims = vec![
            ("sub".to_owned(), Json::String("alice".to_owned())),
            ("scope".to_owned(), Json::Array(vec![Json::String("a".to_owned())])),
        ];
        let extensions = vec![("traceId".to_owned(), "123".to_owned())];
        let login = UnsecuredLogin { lifetime_s: 60, claims, extensions };

        let token = Unsecured::new(login).make(1_000_250);

        assert!(token.value().starts_with("eyJhbGciOiJub25lIn0."), "Java's header");
        let read = jwt::claims(token.value()).unwrap().to_string();
        assert_eq!(read, r#"{"exp":1060.25,"iat":1000.25,"sub":"alice","scope":["a"]}"#);
        assert_eq!(token.extensions().get("traceId").map(String::as_str), Some("123"));
    }
}

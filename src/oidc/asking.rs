//! [`Asking`]: what is said to a token endpoint, as Java's formatters write it.

use zeroize::Zeroizing;

use super::assertion;
use crate::base64;
use crate::config::{ClientProof, Grant};
use crate::http::{encode_for_form, encode_form};
use crate::secret_file::SecretFiles;
use crate::token::TokenError;

/// What is said.
pub(super) struct Asking {
    authorization: Option<Zeroizing<String>>,
    pub(super) body: Zeroizing<String>,
}

impl Asking {
    /// `files` are those of assertions.
    pub(super) async fn new(
        grant: &Grant,
        scope: Option<&str>,
        files: &SecretFiles,
    ) -> Result<Self, TokenError> {
        let scope = scope.map(|scope| ("scope", scope));
        let form = |pairs: &[(&str, &str)]| {
            let pairs: Vec<_> = pairs.iter().copied().chain(scope).collect();
            encode_form(&pairs)
        };
        Ok(match grant {
            Grant::ClientCredentials(ClientProof::Secret { client_id, secret, is_encoded, .. }) => {
                let authorization = Some(basic(client_id, secret.expose(), *is_encoded));
                Self { authorization, body: form(&[("grant_type", "client_credentials")]) }
            }
            Grant::ClientCredentials(ClientProof::Assertion { client_id, assertion }) => {
                let assertion = assertion::make(assertion, files).await?;
                let mut pairs = vec![
                    ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
                    ("client_assertion", assertion.as_str()),
                    ("grant_type", "client_credentials"),
                ];
                pairs.extend(client_id.as_deref().map(|id| ("client_id", id)));
                Self { authorization: None, body: form(&pairs) }
            }
            Grant::JwtBearer(assertion) => {
                let assertion = assertion::make(assertion, files).await?;
                let grant_type = ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
                Self { authorization: None, body: form(&[grant_type, ("assertion", &assertion)]) }
            }
        })
    }

    pub(super) fn headers(&self) -> Vec<(&'static str, &str)> {
        let mut headers = vec![
            ("Accept", "application/json"),
            ("Cache-Control", "no-cache"),
            ("Content-Type", "application/x-www-form-urlencoded"),
        ];
        headers.extend(self.authorization.as_ref().map(|value| ("Authorization", value.as_str())));
        headers
    }
}

/// Returns name and secret as RFC 7617 has them. RFC 6749 wants them encoded before, which not every server knows.
fn basic(client_id: &str, secret: &str, is_encoded: bool) -> Zeroizing<String> {
    let pair = if is_encoded {
        let (id, secret) = (encode_for_form(client_id), encode_for_form(secret));
        Zeroizing::new(format!("{}:{}", id.as_str(), secret.as_str()))
    } else {
        Zeroizing::new(format!("{client_id}:{secret}"))
    };
    let encoded = Zeroizing::new(base64::encode(pair.as_bytes()));
    Zeroizing::new(format!("Basic {}", encoded.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[tokio::test]
    async fn secret_is_said_in_the_header_and_encoded_only_on_demand() {
        for (is_encoded, pair) in [(false, "a b:p/ss"), (true, "a+b:p%2Fss")] {
            let (client_id, secret) = ("a b".to_owned(), Secret::new("p/ss"));
            let proof = ClientProof::Secret { client_id, secret, named_by: "", is_encoded };
            let asking = Asking::new(&Grant::ClientCredentials(proof), Some("kafka x"), &SecretFiles::new())
                .await
                .unwrap();

            let expected = format!("Basic {}", base64::encode(pair.as_bytes()));
            assert!(asking.headers().contains(&("Authorization", expected.as_str())));
            assert_eq!(asking.body.as_str(), "grant_type=client_credentials&scope=kafka+x");
        }
    }
}

//! Assertions: JWTs by which a client shows who it is (RFC 7521, RFC 7523).

use rand::RngExt;
use zeroize::Zeroizing;

use super::read_file;
use crate::base64;
use crate::clock;
use crate::config::{Assertion, SignedAssertion};
use crate::json::Json;
use crate::secret_file::SecretFiles;
use crate::token::TokenError;

/// Returns an assertion, made or read anew.
pub(super) async fn make(
    assertion: &Assertion,
    files: &SecretFiles,
) -> Result<Zeroizing<String>, TokenError> {
    match assertion {
        Assertion::File(path) => {
            let text = read_file(files, "sasl.oauthbearer.assertion.file", path).await?;
            Ok(Zeroizing::new(text.trim().to_owned()))
        }
        Assertion::Signed(signed) => {
            let template = match &signed.template_file {
                Some(path) => Some(read_file(files, TEMPLATE_FILE, path).await?),
                None => None,
            };
            let id = signed.has_id.then(|| new_id(rand::rng().random()));
            let template = template.as_ref().map_or("{}", |text| text.as_str());
            let unsigned = unsigned(signed, template, clock::wall_clock_ms().div_euclid(1000), id)?;
            let key_file = "sasl.oauthbearer.assertion.private.key.file";
            let key = read_file(files, key_file, &signed.key_file).await?;
            sign(signed, &key, unsigned)
        }
    }
}

/// Returns header and claims, as they are to be signed. As in Java, the template counts before the configuration, and what depends on
/// the time before both.
fn unsigned(
    signed: &SignedAssertion,
    template: &str,
    now_s: i64,
    id: Option<String>,
) -> Result<String, TokenError> {
    let wrong = |text: String| TokenError::permanent(format_args!("{TEMPLATE_FILE}: {text}"));
    let template = Json::parse(template).map_err(|error| wrong(error.to_string()))?;
    let part = |name: &str| match template.get(name) {
        None => Ok(Vec::new()),
        Some(Json::Object(members)) => Ok(members.clone()),
        Some(_) => Err(wrong(format!("{name} must be an object"))),
    };
    let number = |value: i64| Json::Number(value.into());
    let text = |value: &str| Json::String(value.to_owned());
    let mut header = part("header")?;
    put(&mut header, "alg", text(&signed.algorithm));
    put(&mut header, "typ", text("JWT"));
    let mut claims = signed.claims.clone();
    for (name, value) in part("payload")? {
        put(&mut claims, &name, value);
    }
    put(&mut claims, "iat", number(now_s));
    put(&mut claims, "exp", number(now_s.saturating_add(signed.expires_after_s)));
    put(&mut claims, "nbf", number(now_s.saturating_sub(signed.counts_before_s)));
    if let Some(id) = id {
        put(&mut claims, "jti", Json::String(id));
    }
    let encode = |members| base64::encode_for_url(Json::Object(members).to_string().as_bytes());
    Ok(format!("{}.{}", encode(header), encode(claims)))
}

fn put(members: &mut Vec<(String, Json)>, name: &str, value: Json) {
    members.retain(|(known, _)| known != name);
    members.push((name.to_owned(), value));
}

#[cfg(feature = "tls")]
fn sign(signed: &SignedAssertion, key: &str, unsigned: String) -> Result<Zeroizing<String>, TokenError> {
    use crate::tls::{self, JwtAlgorithm};

    let algorithm = if signed.algorithm == "ES256" { JwtAlgorithm::Es256 } else { JwtAlgorithm::Rs256 };
    let shown = signed.key_file.display().to_string();
    let signature = tls::sign(algorithm, key, signed.passphrase.expose(), &shown, unsigned.as_bytes());
    let signature = signature.map_err(TokenError::permanent)?;
    Ok(Zeroizing::new(format!("{unsigned}.{}", base64::encode_for_url(&signature))))
}

/// The configuration has been refused.
#[cfg(not(feature = "tls"))]
fn sign(signed: &SignedAssertion, _: &str, _: String) -> Result<Zeroizing<String>, TokenError> {
    let _ = signed.passphrase.expose();
    Err(TokenError::permanent("assertions are signed with the feature \"tls\" only"))
}

/// Returns a random UUID.
fn new_id(random: u128) -> String {
    let id = random & !(0xf << 76 | 0b11 << 62) | 4 << 76 | 0b10 << 62;
    let digits = format!("{id:032x}");
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default().to_owned();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}

const TEMPLATE_FILE: &str = "sasl.oauthbearer.assertion.template.file";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn signed(algorithm: &str, key_file: &str) -> SignedAssertion {
        let claim = |name: &str, value: &str| (name.to_owned(), Json::String(value.to_owned()));
        SignedAssertion {
            algorithm: algorithm.to_owned(),
            key_file: key_file.into(),
            passphrase: Secret::default(),
            template_file: None,
            claims: vec![claim("aud", "kafka"), claim("sub", "me")],
            expires_after_s: 300,
            counts_before_s: 60,
            has_id: false,
        }
    }

    fn decoded(unsigned: &str) -> Vec<String> {
        let parts = unsigned.split('.').map(|part| base64::decode_for_url(part).unwrap());
        parts.map(|part| String::from_utf8(part).unwrap()).collect()
    }

    #[test]
    fn template_counts_before_the_configuration_and_the_time_before_both() {
        let template = r#"{"header":{"kid":"k","alg":"none"},"payload":{"sub":"other","exp":1,"x":[1]}}"#;

        let made = unsigned(&signed("RS256", ""), template, 1000, Some("id".to_owned())).unwrap();

        assert_eq!(
            decoded(&made),
            [
                r#"{"kid":"k","alg":"RS256","typ":"JWT"}"#,
                r#"{"aud":"kafka","sub":"other","x":[1],"iat":1000,"exp":1300,"nbf":940,"jti":"id"}"#,
            ]
        );
        for template in ["", "[", "{\"header\":1}", "{\"payload\":[]}"] {
            assert!(
                unsigned(&signed("RS256", ""), template, 0, None).unwrap_err().is_permanent(),
                "{template}"
            );
        }
    }

    #[test]
    fn ids_are_random_uuids() {
        assert_eq!(new_id(0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(new_id(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }

    /// Checked by the algorithms that check certificates.
    #[cfg(feature = "tls")]
    #[tokio::test]
    async fn signature_is_that_of_the_key_encrypted_or_not() {
        let path = |name: &str| format!("{}/mock/certs/{name}.key", env!("CARGO_MANIFEST_DIR"));
        for (algorithm, plain, files) in [
            ("ES256", "client", ["client", "client-encrypted", "client-scrypt"]),
            ("RS256", "client-rsa", ["client-rsa", "client-rsa-encrypted", "client-rsa-pkcs1"]),
        ] {
            let pem = std::fs::read_to_string(path(plain)).unwrap();
            for file in files {
                let mut signed = signed(algorithm, &path(file));
                signed.passphrase = Secret::new(MOCK_PASSWORD);

                let made = make(&Assertion::Signed(Box::new(signed)), &SecretFiles::new()).await.unwrap();

                let (message, signature) = made.rsplit_once('.').unwrap();
                let signature = base64::decode_for_url(signature).unwrap();
                assert_eq!(signature.len(), if algorithm == "ES256" { 64 } else { 256 });
                let is_genuine =
                    |message: &str| crate::tls::is_genuine(algorithm, &pem, message.as_bytes(), &signature);
                assert!(is_genuine(message), "{file}");
                assert!(!is_genuine("another message"), "{file}");
            }
        }
    }

    #[cfg(feature = "tls")]
    #[tokio::test]
    async fn what_is_wrong_with_the_key_names_its_settings() {
        let path = |name: &str| format!("{}/mock/certs/{name}.key", env!("CARGO_MANIFEST_DIR"));
        let key = "sasl.oauthbearer.assertion.private.key";
        let unfit = |algorithm| format!("is not one for {algorithm} (sasl.oauthbearer.assertion.algorithm)");
        for (algorithm, file, passphrase, words) in [
            ("RS256", "client", "", unfit("RS256")),
            ("ES256", "client-rsa", "", unfit("ES256")),
            ("ES256", "client-encrypted", "", format!("{key}.passphrase")),
            ("ES256", "client-encrypted", "hunter2", format!("{key}.passphrase")),
            ("ES256", "client-3des", MOCK_PASSWORD, "openssl pkcs8".to_owned()),
            ("ES256", "client-old-encrypted", "hunter2", "openssl pkcs8".to_owned()),
        ] {
            let mut signed = signed(algorithm, &path(file));
            signed.passphrase = Secret::new(passphrase);

            let error = make(&Assertion::Signed(Box::new(signed)), &SecretFiles::new()).await.unwrap_err();

            let text = error.to_string();
            assert!(error.is_permanent() && text.contains(&words), "{words:?} in {text}");
            assert!(text.contains(key) && !text.contains("ssl.key") && !text.contains("hunter2"), "{text}");
        }
    }

    #[cfg(feature = "tls")]
    const MOCK_PASSWORD: &str = kafka_mock::MockCertificate::PASSWORD;
}

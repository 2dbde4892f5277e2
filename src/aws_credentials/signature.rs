//! AWS's signature, version 4: in the query of a request that another makes, or in the headers of one with a form.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::AwsCredentials;
use crate::calendar;

/// A request to sign.
pub(crate) struct Presigning<'a> {
    pub(crate) credentials: &'a AwsCredentials,
    pub(crate) host: &'a str,
    /// Encoded as in a URL.
    pub(crate) path: &'a str,
    /// Not encoded.
    pub(crate) query: &'a [(&'static str, &'a str)],
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
    pub(crate) payload_hash: &'a str,
    pub(crate) expires_s: u32,
    /// In milliseconds since 1970.
    pub(crate) now_ms: i64,
}

impl Presigning<'_> {
    /// Returns what the signature adds to the query, itself last.
    pub(crate) fn signed(&self) -> Vec<(&'static str, Zeroizing<String>)> {
        let AwsCredentials { access_key_id, session_token, secret_access_key, .. } = self.credentials;
        let (day, time) = date(self.now_ms);
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let mut added: Vec<_> = [
            ("X-Amz-Algorithm", ALGORITHM.to_owned()),
            ("X-Amz-Credential", format!("{access_key_id}/{scope}")),
            ("X-Amz-Date", time.clone()),
            ("X-Amz-Expires", self.expires_s.to_string()),
        ]
        .map(|(name, value)| (name, Zeroizing::new(value)))
        .into();
        let token = session_token.as_ref().map(|token| Zeroizing::new(token.expose().to_owned()));
        added.extend(token.map(|token| ("X-Amz-Security-Token", token)));
        added.push(("X-Amz-SignedHeaders", Zeroizing::new("host".to_owned())));

        let mut query: Vec<_> =
            self.query.iter().map(|(name, value)| (encode(name), encode(value))).collect();
        query.extend(added.iter().map(|(name, value)| (encode(name), encode(value))));
        query.sort_by(|(name, value), (other, of_other)| (&**name, &**value).cmp(&(&**other, &**of_other)));
        let Self { host, path, payload_hash, .. } = self;
        let length: usize = query.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
        // What grows leaves copies behind.
        let mut request = Zeroizing::new(String::with_capacity(length + host.len() + path.len() + 128));
        let _ = write!(request, "GET\n{path}\n");
        for (index, (name, value)) in query.iter().enumerate() {
            let _ = write!(request, "{}{}={}", if index > 0 { "&" } else { "" }, **name, **value);
        }
        let _ = write!(request, "\nhost:{host}\n\nhost\n{payload_hash}");
        let to_sign = format!("{ALGORITHM}\n{time}\n{scope}\n{}", hash(request.as_bytes()));
        let key = signing_key(secret_access_key.expose(), &day, self.region, self.service);
        added.push(("X-Amz-Signature", Zeroizing::new(hex(&sign(&key, to_sign.as_bytes())))));
        added
    }
}

/// A form to sign, for a request by POST.
pub(crate) struct SignedForm<'a> {
    pub(crate) credentials: &'a AwsCredentials,
    pub(crate) host: &'a str,
    /// Encoded as in a URL, without a query.
    pub(crate) path: &'a str,
    pub(crate) body: &'a str,
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
    /// In milliseconds since 1970.
    pub(crate) now_ms: i64,
}

impl SignedForm<'_> {
    /// Returns the headers of the request.
    pub(crate) fn headers(&self) -> Vec<(&'static str, Zeroizing<String>)> {
        let AwsCredentials { access_key_id, session_token, secret_access_key, .. } = self.credentials;
        let (day, time) = date(self.now_ms);
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let Self { host, path, body, .. } = self;
        let mut request = Zeroizing::new(String::with_capacity(
            session_token.as_ref().map_or(0, |token| token.expose().len()) + host.len() + path.len() + 512,
        ));
        let _ = write!(request, "POST\n{path}\n\ncontent-type:{FORM}\nhost:{host}\nx-amz-date:{time}\n");
        let mut signed = "content-type;host;x-amz-date".to_owned();
        if let Some(token) = session_token {
            let _ = writeln!(request, "x-amz-security-token:{}", token.expose());
            signed.push_str(";x-amz-security-token");
        }
        let _ = write!(request, "\n{signed}\n{}", hash(body.as_bytes()));
        let to_sign = format!("{ALGORITHM}\n{time}\n{scope}\n{}", hash(request.as_bytes()));
        let key = signing_key(secret_access_key.expose(), &day, self.region, self.service);
        let signature = hex(&sign(&key, to_sign.as_bytes()));
        let authorization = format!(
            "{ALGORITHM} Credential={access_key_id}/{scope}, SignedHeaders={signed}, Signature={signature}"
        );
        let mut headers = vec![
            ("Authorization", Zeroizing::new(authorization)),
            ("Content-Type", Zeroizing::new(FORM.to_owned())),
            ("X-Amz-Date", Zeroizing::new(time)),
        ];
        let token = session_token.as_ref().map(|token| Zeroizing::new(token.expose().to_owned()));
        headers.extend(token.map(|token| ("X-Amz-Security-Token", token)));
        headers
    }
}

/// Returns the hash of some bytes as it stands in requests.
pub(crate) fn hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn signing_key(secret: &str, day: &str, region: &str, service: &str) -> Zeroizing<Vec<u8>> {
    let secret = Zeroizing::new(format!("AWS4{secret}"));
    let mut key = Zeroizing::new(secret.as_bytes().to_vec());
    for part in [day, region, service, "aws4_request"] {
        key = sign(&key, part.as_bytes());
    }
    key
}

fn sign(key: &[u8], text: &[u8]) -> Zeroizing<Vec<u8>> {
    // A key may have any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Zeroizing::new(Vec::new()) };
    mac.update(text);
    Zeroizing::new(mac.finalize().into_bytes().to_vec())
}

/// Encodes as RFC 3986 has it, slashes included.
fn encode(text: &str) -> Zeroizing<String> {
    let mut encoded = Zeroizing::new(String::with_capacity(text.len() * 3));
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Returns the day and the time, as signatures have them.
fn date(now_ms: i64) -> (String, String) {
    let seconds = now_ms.div_euclid(1000);
    let (year, month, day) = calendar::date(seconds.div_euclid(86_400));
    let second = seconds.rem_euclid(86_400);
    let day = format!("{year:04}{month:02}{day:02}");
    let time = format!("{day}T{:02}{:02}{:02}Z", second / 3600, second / 60 % 60, second % 60);
    (day, time)
}

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const FORM: &str = "application/x-www-form-urlencoded";

#[cfg(test)]
mod tests {
    use super::*;

    /// The example in AWS's description of query parameters for S3.
    #[test]
    fn presigned_example_of_aws_comes_out() {
        let credentials =
            AwsCredentials::new("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        let presigning = Presigning {
            credentials: &credentials,
            host: "examplebucket.s3.amazonaws.com",
            path: "/test.txt",
            query: &[],
            region: "us-east-1",
            service: "s3",
            payload_hash: "UNSIGNED-PAYLOAD",
            expires_s: 86_400,
            now_ms: 1_369_353_600_000,
        };

        let signed = presigning.signed();

        assert!(signed.contains(&("X-Amz-Date", Zeroizing::new("20130524T000000Z".to_owned()))));
        let signature = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
        assert_eq!(signed.last(), Some(&("X-Amz-Signature", Zeroizing::new(signature.to_owned()))));
    }

    /// `post-x-www-form-urlencoded` of AWS's test suite for signatures.
    #[test]
    fn signed_form_of_the_suite_of_aws_comes_out() {
        let credentials = AwsCredentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let form = SignedForm {
            credentials: &credentials,
            host: "example.amazonaws.com",
            path: "/",
            body: "Param1=value1",
            region: "us-east-1",
            service: "service",
            now_ms: 1_440_938_160_000,
        };

        let headers = form.headers();

        let expected = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
                        SignedHeaders=content-type;host;x-amz-date, \
                        Signature=ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a";
        assert_eq!(headers[0], ("Authorization", Zeroizing::new(expected.to_owned())));
        let with_token = credentials.clone().session_token("token");
        let headers = SignedForm { credentials: &with_token, ..form }.headers();
        assert!(headers[0].1.contains("SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, "));
        assert_eq!(headers[3], ("X-Amz-Security-Token", Zeroizing::new("token".to_owned())));
    }

    /// The example in AWS's description of signing keys.
    #[test]
    fn signing_key_of_aws_comes_out() {
        let key = signing_key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20150830", "us-east-1", "iam");

        assert_eq!(hex(&key), "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9");
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, time) in [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"),
            (1_709_164_800, "20240229T000000Z"),
            (4_107_542_400, "21000301T000000Z"),
            (-1, "19691231T235959Z"),
        ] {
            assert_eq!(date(seconds * 1000).1, time);
        }
    }
}

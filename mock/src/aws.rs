//! AWS_MSK_IAM: whether a client has signed its request with a key that is known. Written apart from any client.

use std::collections::BTreeMap;

use hmac::Hmac;
use hmac::digest::{Digest, FixedOutput, KeyInit, Update};
use sha2::Sha256;

/// Returns the id of the key by which a request is signed, or why it is not believed. `keys` has the secrets by the ids.
pub(crate) fn judge(words: &[u8], keys: &BTreeMap<String, String>) -> Result<String, String> {
    let text = String::from_utf8_lossy(words);
    let part = |name: &str| member(&text, name).ok_or_else(|| format!("{name} is missing"));
    if part("version")? != "2020_10_22" || part("action")? != "kafka-cluster:Connect" {
        return Err("Invalid version or action".to_owned());
    }
    let credential = part("x-amz-credential")?;
    let scope: Vec<_> = credential.split('/').collect();
    let [id, day, region, service, end] = &scope[..] else { return Err("Invalid credential".to_owned()) };
    let secret = keys.get(*id).ok_or_else(|| format!("[{id}]: Access denied"))?;

    let mut query = vec![("Action".to_owned(), part("action")?)];
    for name in ["Algorithm", "Credential", "Date", "Expires", "Security-Token", "SignedHeaders"] {
        let name = format!("X-Amz-{name}");
        if let Some(value) = member(&text, &name.to_lowercase()) {
            query.push((name, value));
        }
    }
    let query: Vec<_> = query.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    let nothing = hex(&Sha256::digest(b""));
    let request = format!("GET\n/\n{}\nhost:{}\n\nhost\n{nothing}", query.join("&"), part("host")?);
    let scope = [*day, *region, *service, *end].join("/");
    let hash = hex(&Sha256::digest(request.as_bytes()));
    let to_sign = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{hash}", part("x-amz-date")?);
    let mut key = format!("AWS4{secret}").into_bytes();
    for step in [*day, *region, *service, *end, &to_sign] {
        key = sign(&key, step);
    }
    if part("x-amz-signature")? == hex(&key) {
        Ok((*id).to_owned())
    } else {
        Err(format!("[{id}]: The signature does not match"))
    }
}

/// Finds a text in JSON without blanks and escapes, as clients write it here.
fn member(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("\"{name}\":\""))?;
    rest.split('"').next().map(str::to_owned)
}

fn sign(key: &[u8], text: &str) -> Vec<u8> {
    let Ok(mut signer) = <Hmac<Sha256> as KeyInit>::new_from_slice(key) else { return Vec::new() };
    signer.update(text.as_bytes());
    signer.finalize_fixed().to_vec()
}

fn encode(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let encoded = text
        .bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") });
    encoded.collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

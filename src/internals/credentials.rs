//! The readers of certificates, keys and credentials. What they say is wrong is told as a text, in which fuzzers look for secrets.

use zeroize::Zeroizing;

use crate::aws;
use crate::aws_credentials::AwsCredentials;
use crate::base64;
use crate::http::{Answer, Url};
use crate::login;
pub use crate::tls::inside::{describe_certificate, open_keystore, read_pem};

/// Reads what endpoints of containers and machines answer. Returns what is shown of it.
///
/// # Errors
///
/// What is wrong with it.
pub fn read_aws_credentials(body: &str) -> Result<String, String> {
    aws::read_credentials(body)
        .map(|credentials| format!("{credentials:?}").replace(&credentials.access_key_id, ""))
}

/// Reads what STS answers. Returns what is shown of it.
///
/// # Errors
///
/// What is wrong with it, or what it says.
pub fn read_aws_role(status: u16, body: &str) -> Result<String, String> {
    let answer = Answer { status, body: Zeroizing::new(body.as_bytes().to_vec()) };
    aws::read_sts(&answer).map(show).map_err(|refusal| refusal.to_string())
}

/// The id of an access key is no secret.
fn show(credentials: AwsCredentials) -> String {
    format!("{:?}", AwsCredentials { access_key_id: String::new(), ..credentials })
}

/// Reads a file of AWS's profiles.
///
/// # Errors
///
/// There is no access key.
pub fn read_aws_profile(text: &str) -> Result<String, String> {
    let credentials = aws::find_profile(text, "default").credentials().ok_or_else(String::new)?;
    Ok(format!("{:?}", credentials.secret_access_key))
}

/// Reads a text as the address of a token endpoint. Returns it as it is shown if it is none, and as it is shown if it is one.
pub fn read_url(text: &str) -> (String, Result<String, &'static str>) {
    (Url::without_secrets(text), Url::parse(text).map(|url| url.to_string()))
}

/// Tells what a token claims, or one with these claims.
pub fn describe_token(text: &str, is_claims: bool, now_ms: i64) -> String {
    let token = if is_claims {
        format!("e30.{}.x", base64::encode_for_url(text.as_bytes()))
    } else {
        text.to_owned()
    };
    login::describe_token(&token, now_ms)
}

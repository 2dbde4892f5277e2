//! AWS's STS, which gives out credentials of roles: what it is asked, and what it answers.

use std::fmt;
use std::sync::atomic::Ordering;

use zeroize::Zeroizing;

use super::xml::text_of;
use super::{AwsSource, timestamp};
use crate::aws_credentials::signature::SignedForm;
use crate::aws_credentials::{AwsCredentials, AwsRole};
use crate::clock;
use crate::http::{Answer, Request, Url, encode_form};
use crate::log;
use crate::token::TokenError;
use crate::wire::readable;

/// Who a pod of EKS is: a role, and a file with a token by which the cluster vouches for the pod.
pub(super) struct WebIdentity<'a> {
    pub(super) role_arn: &'a str,
    pub(super) session_name: Option<&'a str>,
    pub(super) token: &'a str,
    pub(super) region: Option<&'a str>,
}

/// Where STS is, and in which region.
pub(super) struct Endpoint {
    pub(super) url: Url,
    pub(super) region: String,
}

impl AwsSource {
    /// Gets credentials of a role, by those of a principal that may assume it.
    pub(super) async fn assume(
        &self,
        role: &AwsRole,
        credentials: &AwsCredentials,
    ) -> Result<AwsCredentials, TokenError> {
        let session_name = role.session_name.as_deref().unwrap_or(SESSION_NAME);
        let mut pairs = vec![
            ("Action", "AssumeRole"),
            ("Version", VERSION),
            ("RoleArn", &role.arn),
            ("RoleSessionName", session_name),
        ];
        pairs.extend(role.external_id.as_deref().map(|id| ("ExternalId", id)));
        let body = encode_form(&pairs);
        let Endpoint { url, region } = self.sts(role.region.as_deref())?;
        let form = SignedForm {
            credentials,
            host: &url.authority(),
            path: url.target(),
            body: &body,
            region: &region,
            service: "sts",
            now_ms: clock::wall_clock_ms(),
        };
        let headers = form.headers();
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.ask_sts(&url, &headers, &body, &role.arn).await
    }

    /// Gets credentials of a role, by a token of an issuer that AWS trusts.
    pub(super) async fn assume_by_web_identity(
        &self,
        identity: &WebIdentity<'_>,
    ) -> Result<AwsCredentials, TokenError> {
        let WebIdentity { role_arn, session_name, token, region } = identity;
        let body = encode_form(&[
            ("Action", "AssumeRoleWithWebIdentity"),
            ("Version", VERSION),
            ("RoleArn", role_arn),
            ("RoleSessionName", session_name.unwrap_or(SESSION_NAME)),
            ("WebIdentityToken", token),
        ]);
        let Endpoint { url, .. } = self.sts(*region)?;
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        self.ask_sts(&url, &headers, &body, role_arn).await
    }

    pub(super) fn sts(&self, region: Option<&str>) -> Result<Endpoint, TokenError> {
        let region = region.map(str::to_owned).or_else(|| self.region());
        let region = region.filter(|region| region != "aws-global");
        let given = ["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"];
        let given = given.into_iter().find_map(|name| Some((name, self.variable(name)?)));
        let (variable, url) = match (given, &region) {
            (Some((variable, url)), _) => (variable, url),
            (None, None) => ("", "https://sts.amazonaws.com/".to_owned()),
            (None, Some(region)) => {
                if !region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
                    return Err(TokenError::permanent("awsStsRegion or AWS_REGION is no region of AWS"));
                }
                let end = if region.starts_with("cn-") { ".cn" } else { "" };
                ("", format!("https://sts.{region}.amazonaws.com{end}/"))
            }
        };
        let wrong = |text: &str| TokenError::permanent(format_args!("{variable}: {text}"));
        let url = Url::parse(&url).map_err(wrong)?;
        if url.target().contains('?') {
            return Err(wrong("must have no query"));
        }
        if let Some(warning) =
            in_clear(variable, &url).filter(|_| !self.has_warned.swap(true, Ordering::Relaxed))
        {
            log::warn!("{warning}");
        }
        Ok(Endpoint { url, region: region.unwrap_or_else(|| "us-east-1".to_owned()) })
    }

    async fn ask_sts(
        &self,
        url: &Url,
        headers: &[(&'static str, &str)],
        body: &str,
        role_arn: &str,
    ) -> Result<AwsCredentials, TokenError> {
        let request = Request { method: "POST", url, headers, body };
        let answer = self.exchange(&request).await?;
        read(&answer).map_err(|Refusal { text, is_permanent }| {
            let text = format!("{url} for the role {}: {text}", readable(role_arn));
            if is_permanent { TokenError::permanent(text) } else { TokenError::temporary(text) }
        })
    }
}

/// Says that what STS is told, and what it answers, can be read on the way, if that is so.
pub(super) fn in_clear(variable: &str, url: &Url) -> Option<String> {
    (!url.is_encrypted() && !url.is_loopback()).then(|| {
        format!(
            "{variable} is {url}: everyone on the way there can read the tokens of sessions and of pods, and be who they stand for; \
             use https"
        )
    })
}

/// Why STS gives no credentials.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    text: String,
    is_permanent: bool,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Reads what STS answers. Nothing of credentials gets into a refusal.
pub(crate) fn read(answer: &Answer) -> Result<AwsCredentials, Refusal> {
    let passing = |text: String| Refusal { text, is_permanent: false };
    let Ok(xml) = std::str::from_utf8(&answer.body) else {
        return Err(passing(format!("it answers {}, and that is no text", answer.status)));
    };
    if answer.status != 200 {
        let code = text_of(xml, "Code");
        // Behind the first line STS repeats what was signed, a session token with it.
        let message = text_of(xml, "Message");
        let message = message.as_ref().map(|message| message.lines().next().unwrap_or_default());
        let message = message.filter(|message| !TOLD_SECRETS.iter().any(|name| message.contains(name)));
        let words = match (&code, &message) {
            (Some(code), Some(message)) => readable(&format!("{}: {message}", **code)),
            (Some(code), None) => readable(code),
            (None, _) => format!("it does not say why (in {} bytes)", xml.len()),
        };
        let may_pass = code.as_ref().is_some_and(|code| {
            let code = code.as_str();
            code.starts_with("Throttl") || matches!(code, "IDPCommunicationError" | "RequestTimeout")
        });
        let is_permanent = (400..500).contains(&answer.status) && answer.status != 429 && !may_pass;
        return Err(Refusal { text: format!("it answers {}: {words}", answer.status), is_permanent });
    }
    let part = |name: &str| -> Result<Zeroizing<String>, Refusal> {
        let text = text_of(xml, name).filter(|text| !text.is_empty());
        text.ok_or_else(|| passing(format!("the answer has no {name}")))
    };
    let (id, secret, token) = (part("AccessKeyId")?, part("SecretAccessKey")?, part("SessionToken")?);
    let credentials = AwsCredentials::new(id.as_str(), secret.as_str()).session_token(token.as_str());
    Ok(match text_of(xml, "Expiration").and_then(|text| timestamp::parse(&text)) {
        Some(end) => credentials.expires_at(end),
        None => credentials,
    })
}

/// What goes before a secret where a request is repeated.
const TOLD_SECRETS: [&str; 3] = ["x-amz-security-token", "X-Amz-Security-Token", "WebIdentityToken"];

const VERSION: &str = "2011-06-15";

/// That of `aws-msk-iam-auth`.
const SESSION_NAME: &str = "aws-msk-iam-auth";

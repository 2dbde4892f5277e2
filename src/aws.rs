//! Credentials of AWS, from the places where AWS's own tools look for them, in their order: the environment, the shared files, the
//! endpoint of a container, and that of a machine (IMDSv2).

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use crate::aws_credentials::{AwsCredentials, AwsOrigin};
use crate::clock;
use crate::http::{Request, Url};
use crate::json::Json;
use crate::login::{Fetched, Fetching, Source};
use crate::network::transport::Connector;
use crate::network::web::{self, Limits};
use crate::token::TokenError;

mod shared_file;
mod timestamp;

/// Reads a variable of the environment.
pub(crate) type Environment = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Gets credentials.
pub(crate) struct AwsSource {
    origin: AwsOrigin,
    environment: Environment,
    connector: Arc<dyn Connector>,
}

impl AwsSource {
    pub(crate) fn new(origin: AwsOrigin, environment: Environment, connector: Arc<dyn Connector>) -> Self {
        Self { origin, environment, connector }
    }

    async fn get(&self) -> Result<AwsCredentials, TokenError> {
        match &self.origin {
            AwsOrigin::Provider(provider) => provider.credentials().await,
            AwsOrigin::Chain { profile: Some(profile) } => {
                let found = self.look_in_files(profile).await?;
                found.ok_or_else(|| {
                    TokenError::permanent(format_args!(
                        "profile {profile} has no access key in the shared files"
                    ))
                })
            }
            AwsOrigin::Chain { profile: None } => self.look_around().await,
        }
    }

    async fn look_around(&self) -> Result<AwsCredentials, TokenError> {
        if let Some(credentials) = self.look_in_environment() {
            return Ok(credentials);
        }
        let profile = self.variable("AWS_PROFILE").unwrap_or_else(|| "default".to_owned());
        if let Some(credentials) = self.look_in_files(&profile).await? {
            return Ok(credentials);
        }
        if let Some(url) = self.container_url() {
            return self.ask_container(&url).await;
        }
        if self.variable("AWS_EC2_METADATA_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true")) {
            return Err(TokenError::permanent(NOWHERE));
        }
        self.ask_machine().await
    }

    fn look_in_environment(&self) -> Option<AwsCredentials> {
        let id = self.variable("AWS_ACCESS_KEY_ID")?;
        let credentials = AwsCredentials::new(id, self.variable("AWS_SECRET_ACCESS_KEY")?);
        Some(match self.variable("AWS_SESSION_TOKEN") {
            Some(token) => credentials.session_token(token),
            None => credentials,
        })
    }

    /// Keys in the file for credentials count before those in the file for configuration.
    async fn look_in_files(&self, profile: &str) -> Result<Option<AwsCredentials>, TokenError> {
        let home = self.variable("HOME").or_else(|| self.variable("USERPROFILE")).map(PathBuf::from);
        let path = |variable: &str, name: &str| {
            let given = self.variable(variable).map(PathBuf::from);
            given.or_else(|| home.as_ref().map(|home| home.join(".aws").join(name)))
        };
        for path in [path("AWS_SHARED_CREDENTIALS_FILE", "credentials"), path("AWS_CONFIG_FILE", "config")] {
            let Some(path) = path else { continue };
            if let Some(credentials) = shared_file::read(&path, profile).await? {
                return Ok(Some(credentials));
            }
        }
        Ok(None)
    }

    fn container_url(&self) -> Option<String> {
        let relative = self.variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
        relative
            .map(|path| format!("http://169.254.170.2{path}"))
            .or_else(|| self.variable("AWS_CONTAINER_CREDENTIALS_FULL_URI"))
    }

    async fn ask_container(&self, url: &str) -> Result<AwsCredentials, TokenError> {
        let url = parse("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)?;
        let token = match self.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
            Some(path) => Some(shared_file::read_text(&PathBuf::from(path)).await?.trim().to_owned()),
            None => self.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
        };
        let headers: Vec<_> = token.iter().map(|token| ("Authorization", token.as_str())).collect();
        let body = self.ask("GET", &url, &headers).await?;
        read_credentials(&url, &body)
    }

    /// The endpoint gives out a token first, so that nothing is got by a request that another program was tricked into.
    async fn ask_machine(&self) -> Result<AwsCredentials, TokenError> {
        let endpoint = self.variable("AWS_EC2_METADATA_SERVICE_ENDPOINT");
        let endpoint = endpoint.unwrap_or_else(|| "http://169.254.169.254".to_owned());
        let at = |path: &str| {
            parse("AWS_EC2_METADATA_SERVICE_ENDPOINT", &format!("{}{path}", endpoint.trim_end_matches('/')))
        };
        let asking = [("X-aws-ec2-metadata-token-ttl-seconds", "300")];
        let token = self.ask("PUT", &at("/latest/api/token")?, &asking).await;
        let token = token.map_err(|error| TokenError::temporary(format_args!("{NOWHERE}: {error}")))?;
        let headers = [("X-aws-ec2-metadata-token", token.trim())];
        let roles = "/latest/meta-data/iam/security-credentials/";
        let role = self.ask("GET", &at(roles)?, &headers).await?;
        let role = role.lines().next().unwrap_or_default().trim();
        if role.is_empty() {
            return Err(TokenError::permanent("the machine has no role of AWS"));
        }
        let url = at(&format!("{roles}{role}"))?;
        let body = self.ask("GET", &url, &headers).await?;
        read_credentials(&url, &body)
    }

    async fn ask(
        &self,
        method: &'static str,
        url: &Url,
        headers: &[(&'static str, &str)],
    ) -> Result<String, TokenError> {
        let request = Request { method, url, headers, body: "" };
        let failed = |text: &dyn fmt::Display| TokenError::temporary(format_args!("{url}: {text}"));
        let answer =
            web::exchange(&*self.connector, &request, LIMITS).await.map_err(|error| failed(&error))?;
        match answer.status {
            200 => Ok(String::from_utf8_lossy(&answer.body).into_owned()),
            status => Err(failed(&format_args!("it answers {status}"))),
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        (self.environment)(name).filter(|value| !value.is_empty())
    }
}

impl Source<AwsCredentials> for AwsSource {
    fn name(&self) -> &'static str {
        "AWS credentials"
    }

    fn fetch(&self) -> Fetching<'_, AwsCredentials> {
        Box::pin(async {
            let credentials = self.get().await?;
            let now = u64::try_from(clock::wall_clock_ms()).unwrap_or(0);
            let now = UNIX_EPOCH + Duration::from_millis(now);
            let lifetime = credentials.ends.map(|end| end.duration_since(now).unwrap_or_default());
            Ok(Fetched { value: credentials, lifetime })
        })
    }
}

impl fmt::Debug for AwsSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsSource").field("origin", &self.origin).finish_non_exhaustive()
    }
}

fn parse(variable: &str, url: &str) -> Result<Url, TokenError> {
    let parsed = Url::parse(url).map_err(|text| TokenError::permanent(format_args!("{variable}: {text}")))?;
    // What AWS names is on the machine itself, or next to it.
    if parsed.is_encrypted() {
        return Err(TokenError::permanent(format_args!("{variable}: https is not available here")));
    }
    Ok(parsed)
}

/// Reads what the endpoints of containers and machines answer.
fn read_credentials(url: &Url, body: &str) -> Result<AwsCredentials, TokenError> {
    let wrong = |text: &str| TokenError::temporary(format_args!("{url}: {text}"));
    let json = Json::parse(body).map_err(|error| wrong(&format!("the answer is no JSON: {error}")))?;
    let part = |name: &str| json.text(name).ok_or_else(|| wrong(&format!("the answer has no {name}")));
    let credentials =
        AwsCredentials::new(part("AccessKeyId")?, part("SecretAccessKey")?).session_token(part("Token")?);
    Ok(match json.text("Expiration").and_then(timestamp::parse) {
        Some(end) => credentials.expires_at(end),
        None => credentials,
    })
}

const NOWHERE: &str = "no access key in the environment (AWS_ACCESS_KEY_ID), in the shared files (AWS_PROFILE), \
                       and no endpoint of a container or of a machine";

/// The endpoints are near.
const LIMITS: Limits = Limits { connect: Duration::from_secs(2), read: Duration::from_secs(5) };

#[cfg(test)]
mod tests;

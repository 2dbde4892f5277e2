//! Credentials of AWS, from the places where AWS's own tools look for them, in their order: the environment, the web identity of a pod,
//! the shared files, the endpoint of a container, and that of a machine (IMDSv2); or those of a role, from STS.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, UNIX_EPOCH};

use zeroize::Zeroizing;

use crate::aws_credentials::{AwsCredentials, AwsOrigin, AwsRole};
use crate::clock;
#[cfg(feature = "tls")]
use crate::config::{ConfigProblem, Tls};
use crate::http::{Answer, Request, Url};
use crate::json::Json;
use crate::login::{Fetched, Fetching, Source};
#[cfg(feature = "tls")]
use crate::network::tls_connector::TlsConnector;
use crate::network::transport::Connector;
use crate::network::web::{self, Limits};
#[cfg(feature = "tls")]
use crate::own_threads::OneAtATime;
#[cfg(feature = "tls")]
use crate::secret_file::FILE_THREADS;
use crate::secret_file::SecretFiles;
use crate::security_failure::SecurityFailure;
#[cfg(feature = "tls")]
use crate::tls::{Peer, RotatingTls};
use crate::token::TokenError;

mod profile;
mod sts;
mod timestamp;
mod xml;

use self::profile::Profile;
#[cfg(all(feature = "__internals", feature = "keystores"))]
pub(crate) use self::profile::find as find_profile;
use self::sts::WebIdentity;
#[cfg(all(feature = "__internals", feature = "keystores"))]
pub(crate) use self::sts::read as read_sts;

/// Reads a variable of the environment.
pub(crate) type Environment = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Gets credentials.
pub(crate) struct AwsSource {
    origin: AwsOrigin,
    environment: Environment,
    connector: Arc<dyn Connector>,
    files: SecretFiles,
    /// Whether the log was told that STS is asked in clear.
    has_warned: AtomicBool,
    /// What is trusted, which is read from files, too.
    #[cfg(feature = "tls")]
    trusting: OneAtATime<Result<RotatingTls, ConfigProblem>>,
}

impl AwsSource {
    pub(crate) fn new(origin: AwsOrigin, environment: Environment, connector: Arc<dyn Connector>) -> Self {
        Self {
            origin,
            environment,
            connector,
            files: SecretFiles::new(),
            has_warned: AtomicBool::new(false),
            #[cfg(feature = "tls")]
            trusting: OneAtATime::new(&FILE_THREADS),
        }
    }

    async fn get(&self) -> Result<AwsCredentials, TokenError> {
        match &self.origin {
            AwsOrigin::Provider(provider) => provider.credentials().await,
            AwsOrigin::Chain { profile: Some(profile) } => {
                let found = self.look_in_files(profile, true).await?;
                found.ok_or_else(|| {
                    TokenError::permanent(format_args!(
                        "profile {profile} has no access key and no role in the shared files"
                    ))
                })
            }
            AwsOrigin::Chain { profile: None } => self.look_around().await,
            AwsOrigin::Role(role) => {
                let credentials = match &role.credentials {
                    Some(credentials) => credentials.clone(),
                    None => self.look_around().await?,
                };
                self.assume(role, &credentials).await
            }
        }
    }

    async fn look_around(&self) -> Result<AwsCredentials, TokenError> {
        if let Some(credentials) = self.look_in_environment() {
            return Ok(credentials);
        }
        if let Some(path) = self.variable("AWS_WEB_IDENTITY_TOKEN_FILE") {
            let missing =
                || TokenError::permanent("AWS_WEB_IDENTITY_TOKEN_FILE is set, and AWS_ROLE_ARN is not");
            let role_arn = self.variable("AWS_ROLE_ARN").ok_or_else(missing)?;
            let session_name = self.variable("AWS_ROLE_SESSION_NAME");
            return self.be_a_pod(&path, &role_arn, session_name.as_deref(), None).await;
        }
        let profile = self.variable("AWS_PROFILE");
        let name = profile.as_deref().unwrap_or("default");
        if let Some(credentials) = self.look_in_files(name, profile.is_some()).await? {
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

    /// The token is read anew for each request: Kubernetes puts another one there before it ends.
    async fn be_a_pod(
        &self,
        path: &str,
        role_arn: &str,
        session_name: Option<&str>,
        region: Option<&str>,
    ) -> Result<AwsCredentials, TokenError> {
        let token = profile::read_text(&self.files, Path::new(path)).await?;
        let identity = WebIdentity { role_arn, session_name, token: token.trim(), region };
        self.assume_by_web_identity(&identity).await
    }

    /// Finds credentials in a profile, or those of the role that the profile names. `is_wanted` says that the user has named the profile.
    async fn look_in_files(&self, name: &str, is_wanted: bool) -> Result<Option<AwsCredentials>, TokenError> {
        let found = self.profile(name).await?;
        let wrong = |text: &str| TokenError::permanent(format_args!("profile {name} {text}"));
        let Some(role_arn) = &found.role_arn else {
            return match (found.credentials(), found.refused) {
                (Some(credentials), _) => Ok(Some(credentials)),
                (None, Some(refused)) if is_wanted => Err(wrong(&format!("has {refused}, {NOT_HERE}"))),
                // With the role of the machine the producer would be another principal than the user wants.
                (None, None) if is_wanted => Err(wrong("has no access key and no role in the shared files")),
                (None, _) => Ok(None),
            };
        };
        if let Some(path) = &found.web_identity_token_file {
            let session_name = found.role_session_name.as_deref();
            return self.be_a_pod(path, role_arn, session_name, found.region.as_deref()).await.map(Some);
        }
        let source = match (found.source_profile.as_deref(), found.credential_source.as_deref()) {
            (Some(source), _) => {
                let source = if source == name {
                    found.credentials()
                } else {
                    self.profile(source).await?.credentials()
                };
                source.ok_or_else(|| wrong("has a source_profile without an access key"))?
            }
            (None, Some("Environment")) => self
                .look_in_environment()
                .ok_or_else(|| wrong("wants AWS_ACCESS_KEY_ID in the environment"))?,
            (None, Some("EcsContainer")) => {
                let url = self.container_url().ok_or_else(|| wrong("wants the endpoint of a container"))?;
                self.ask_container(&url).await?
            }
            (None, Some("Ec2InstanceMetadata")) => self.ask_machine().await?,
            _ => return Err(wrong("has a role_arn, and neither source_profile nor credential_source")),
        };
        let role = AwsRole {
            arn: role_arn.clone(),
            session_name: found.role_session_name.clone(),
            external_id: found.external_id.clone(),
            region: found.region.clone(),
            credentials: None,
        };
        self.assume(&role, &source).await.map(Some)
    }

    /// Reads a profile. The file for credentials counts before that for configuration.
    async fn profile(&self, name: &str) -> Result<Profile, TokenError> {
        let home = self.variable("HOME").or_else(|| self.variable("USERPROFILE")).map(PathBuf::from);
        let path = |variable: &str, file: &str| {
            let given = self.variable(variable).map(PathBuf::from);
            given.or_else(|| home.as_ref().map(|home| home.join(".aws").join(file)))
        };
        let mut found = Profile::default();
        for path in [path("AWS_SHARED_CREDENTIALS_FILE", "credentials"), path("AWS_CONFIG_FILE", "config")] {
            let Some(path) = path else { continue };
            found = found.or(profile::read(&self.files, &path, name).await?);
        }
        Ok(found)
    }

    fn container_url(&self) -> Option<String> {
        let relative = self.variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
        relative
            .map(|path| format!("http://169.254.170.2{path}"))
            .or_else(|| self.variable("AWS_CONTAINER_CREDENTIALS_FULL_URI"))
    }

    async fn ask_container(&self, url: &str) -> Result<AwsCredentials, TokenError> {
        let variable = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
        let url = parse(variable, url)?;
        // The token must not go out to all the world in clear.
        if !url.is_encrypted() && !url.is_loopback() && !CONTAINER_HOSTS.contains(&url.host()) {
            let text = "must begin with https://, or lead to this machine or to an endpoint of AWS's";
            return Err(TokenError::permanent(format_args!("{variable}: {text}")));
        }
        // EKS puts another token into the file before the last one ends.
        let token = match self.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
            Some(path) => Some(profile::read_text(&self.files, Path::new(&path)).await?),
            None => self.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(Zeroizing::new),
        };
        let headers: Vec<_> = token.iter().map(|token| ("Authorization", token.trim())).collect();
        let body = self.ask("GET", &url, &headers).await?;
        read_credentials(&body).map_err(|text| TokenError::temporary(format_args!("{url}: {text}")))
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
        read_credentials(&body).map_err(|text| TokenError::temporary(format_args!("{url}: {text}")))
    }

    /// Asks for something that may be secret.
    async fn ask(
        &self,
        method: &'static str,
        url: &Url,
        headers: &[(&'static str, &str)],
    ) -> Result<Zeroizing<String>, TokenError> {
        let answer = self.exchange(&Request { method, url, headers, body: "" }).await?;
        let failed = |text: &str| TokenError::temporary(format_args!("{url}: {text}"));
        match (answer.status, std::str::from_utf8(&answer.body)) {
            (200, Ok(text)) => Ok(Zeroizing::new(text.to_owned())),
            (200, Err(_)) => Err(failed("the answer is no text")),
            (status, _) => Err(failed(&format!("it answers {status}"))),
        }
    }

    async fn exchange(&self, request: &Request<'_>) -> Result<Answer, TokenError> {
        let url = request.url;
        let connector = if url.is_encrypted() { self.secure().await? } else { Arc::clone(&self.connector) };
        web::exchange(&*connector, request, LIMITS).await.map_err(|error| {
            let text = format!("{url}: {error}");
            match SecurityFailure::of(&error) {
                Some(failure) if failure.is_lasting => TokenError::permanent(text),
                _ => TokenError::temporary(text),
            }
        })
    }

    /// Returns how to reach AWS by TLS. It is asked once in an hour or so, and what the operating system trusts may have changed.
    #[cfg(feature = "tls")]
    async fn secure(&self) -> Result<Arc<dyn Connector>, TokenError> {
        let bundle = self.variable("AWS_CA_BUNDLE");
        let origin = if bundle.is_some() { "AWS_CA_BUNDLE: " } else { "TLS with AWS: " };
        let tls = bundle.map_or_else(Tls::new, |path| Tls::new().truststore_file(path));
        let starting = move || RotatingTls::start(&tls.into_settings(), Peer::Aws);
        let tls = self.trusting.run(starting).await.map_err(TokenError::temporary)?;
        let tls = tls.map_err(|problem| TokenError::permanent(format_args!("{origin}{problem}")))?;
        Ok(Arc::new(TlsConnector::new(Arc::clone(&self.connector), tls)))
    }

    #[cfg(not(feature = "tls"))]
    #[expect(clippy::unused_async, reason = "with TLS it waits")]
    async fn secure(&self) -> Result<Arc<dyn Connector>, TokenError> {
        Err(TokenError::permanent("needs kafka-producer to be built with its feature \"tls\""))
    }

    fn region(&self) -> Option<String> {
        self.variable("AWS_REGION").or_else(|| self.variable("AWS_DEFAULT_REGION"))
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
    Url::parse(url).map_err(|text| TokenError::permanent(format_args!("{variable}: {text}")))
}

/// Reads what the endpoints of containers and machines answer. What it says is wrong has nothing of the answer in it.
pub(crate) fn read_credentials(body: &str) -> Result<AwsCredentials, String> {
    let json = Json::parse(body).map_err(|error| format!("the answer is no JSON: {error}"))?;
    let part = |name: &str| json.text(name).ok_or_else(|| format!("the answer has no {name}"));
    let credentials =
        AwsCredentials::new(part("AccessKeyId")?, part("SecretAccessKey")?).session_token(part("Token")?);
    Ok(match json.text("Expiration").and_then(timestamp::parse) {
        Some(end) => credentials.expires_at(end),
        None => credentials,
    })
}

/// What containers of ECS and pods of EKS ask, in clear: it is on the machine itself.
const CONTAINER_HOSTS: [&str; 3] = ["169.254.170.2", "169.254.170.23", "fd00:ec2::23"];

const NOT_HERE: &str = "which is not done here: let `Sasl::aws_msk_iam_with` take a provider of yours that runs it, or give the \
                        profile an access key or a role";

const NOWHERE: &str = "no access key in the environment (AWS_ACCESS_KEY_ID), no web identity (AWS_WEB_IDENTITY_TOKEN_FILE), no access \
                       key in the shared files (AWS_PROFILE), and no endpoint of a container or of a machine";

/// The endpoints are near, and STS is in the same region.
const LIMITS: Limits = Limits { connect: Duration::from_secs(5), read: Duration::from_secs(10) };

#[cfg(test)]
mod tests;

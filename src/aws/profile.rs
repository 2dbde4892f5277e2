//! Profiles in the files that AWS's tools share, `~/.aws/credentials` and `~/.aws/config`.

use std::io;
use std::path::Path;

use zeroize::Zeroizing;

use crate::aws_credentials::AwsCredentials;
use crate::secret::Secret;
use crate::secret_file::SecretFiles;
use crate::token::TokenError;

/// What a profile says of who the producer is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Profile {
    access_key_id: Option<String>,
    secret_access_key: Option<Secret>,
    session_token: Option<Secret>,
    pub(super) region: Option<String>,
    pub(super) role_arn: Option<String>,
    pub(super) role_session_name: Option<String>,
    pub(super) external_id: Option<String>,
    pub(super) source_profile: Option<String>,
    pub(super) credential_source: Option<String>,
    pub(super) web_identity_token_file: Option<String>,
    /// What it has that is not done here.
    pub(super) refused: Option<&'static str>,
}

impl Profile {
    /// Returns the access key, if there is one.
    pub(crate) fn credentials(&self) -> Option<AwsCredentials> {
        let (id, secret) = (self.access_key_id.as_ref()?, self.secret_access_key.as_ref()?);
        let mut credentials = AwsCredentials::new(id, secret.expose());
        if let Some(token) = &self.session_token {
            credentials = credentials.session_token(token.expose());
        }
        Some(match &self.region {
            Some(region) => credentials.region(region),
            None => credentials,
        })
    }

    /// Adds what another file says of the same profile. What is known already counts.
    pub(super) fn or(self, other: Self) -> Self {
        // Half of a key from each file would be none.
        let (with_key, session_token) = match (&self.access_key_id, self.session_token) {
            (None, None) => (true, other.session_token),
            (_, token) => (false, token),
        };
        let (id, secret) =
            (other.access_key_id.filter(|_| with_key), other.secret_access_key.filter(|_| with_key));
        Self {
            access_key_id: self.access_key_id.or(id),
            secret_access_key: self.secret_access_key.or(secret),
            session_token,
            region: self.region.or(other.region),
            role_arn: self.role_arn.or(other.role_arn),
            role_session_name: self.role_session_name.or(other.role_session_name),
            external_id: self.external_id.or(other.external_id),
            source_profile: self.source_profile.or(other.source_profile),
            credential_source: self.credential_source.or(other.credential_source),
            web_identity_token_file: self.web_identity_token_file.or(other.web_identity_token_file),
            refused: self.refused.or(other.refused),
        }
    }
}

/// Returns what a file says of a profile, if the file is there.
pub(super) async fn read(files: &SecretFiles, path: &Path, profile: &str) -> Result<Profile, TokenError> {
    match files.read_text(path, MAX_FILE).await {
        Ok(text) => Ok(find(&text, profile)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Profile::default()),
        Err(error) => Err(cannot_read(path, &error)),
    }
}

/// Returns what is in a file.
pub(super) async fn read_text(files: &SecretFiles, path: &Path) -> Result<Zeroizing<String>, TokenError> {
    files.read_text(path, MAX_FILE).await.map_err(|error| cannot_read(path, &error))
}

fn cannot_read(path: &Path, error: &io::Error) -> TokenError {
    TokenError::temporary(format_args!("cannot read {}: {error}", path.display()))
}

/// Finds a profile: in a section of its name, or of that name after the word `profile`.
pub(crate) fn find(text: &str, profile: &str) -> Profile {
    let mut is_in_profile = false;
    let mut found = Profile::default();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
        if let Some(section) = line.strip_prefix('[').and_then(|line| line.split(']').next()) {
            let name = section.trim().strip_prefix("profile ").unwrap_or(section).trim();
            is_in_profile = name == profile;
        } else if let Some((name, value)) = line.split_once('=').filter(|_| is_in_profile) {
            let value = value.trim();
            let text = Some(value).filter(|value| !value.is_empty()).map(str::to_owned);
            match name.trim() {
                "aws_access_key_id" => found.access_key_id = text,
                "aws_secret_access_key" => found.secret_access_key = Some(Secret::new(value)),
                "aws_session_token" => found.session_token = Some(Secret::new(value)),
                "credential_process" => found.refused = Some("credential_process"),
                "credential_source" => found.credential_source = text,
                "external_id" => found.external_id = text,
                "region" => found.region = text,
                "role_arn" => found.role_arn = text,
                "role_session_name" => found.role_session_name = text,
                "source_profile" => found.source_profile = text,
                "sso_account_id" | "sso_session" | "sso_start_url" => found.refused = Some("sso_session"),
                "web_identity_token_file" => found.web_identity_token_file = text,
                _ => {}
            }
        }
    }
    found
}

const MAX_FILE: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_the_profile_are_found_and_no_others() {
        let text = "# mine\n[default]\naws_access_key_id = A\naws_secret_access_key=s=1\n\n[profile other]\n\
                    aws_access_key_id=B\n; x\naws_secret_access_key = t\naws_session_token = u\nregion = r\n[empty]\nregion=x\n";
        let find = |profile| find(text, profile).credentials();

        assert_eq!(find("default"), Some(AwsCredentials::new("A", "s=1")));
        assert_eq!(find("other"), Some(AwsCredentials::new("B", "t").session_token("u").region("r")));
        assert_eq!(find("empty"), None);
        assert_eq!(find("none"), None);
    }

    #[test]
    fn what_one_file_says_counts_before_what_the_other_says() {
        let first = find("[a]\naws_access_key_id=A\naws_secret_access_key=s\n", "a");
        let second = find(
            "[profile a]\naws_access_key_id=B\naws_secret_access_key=t\naws_session_token=hunter2\nregion=r\nrole_arn=x\n",
            "a",
        );

        let both = first.or(second);

        assert_eq!(both.credentials(), Some(AwsCredentials::new("A", "s").region("r")), "keys are not mixed");
        assert_eq!(both.role_arn.as_deref(), Some("x"));
        assert!(!format!("{both:?}").contains("hunter2"));
    }
}

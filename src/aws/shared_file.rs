//! The files that AWS's tools share, `~/.aws/credentials` and `~/.aws/config`.

use std::io;
use std::path::Path;

use zeroize::Zeroizing;

use crate::aws_credentials::AwsCredentials;
use crate::secret_file;
use crate::token::TokenError;

/// Returns the access key of a profile, if the file has one.
pub(super) async fn read(path: &Path, profile: &str) -> Result<Option<AwsCredentials>, TokenError> {
    let owned = path.to_owned();
    let reading = tokio::task::spawn_blocking(move || load(&owned)).await;
    match reading.unwrap_or_else(|error| Err(io::Error::other(error))) {
        Ok(text) => Ok(find(&text, profile)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(cannot_read(path, &error)),
    }
}

/// Returns what is in a file.
pub(super) async fn read_text(path: &Path) -> Result<Zeroizing<String>, TokenError> {
    let owned = path.to_owned();
    let reading = tokio::task::spawn_blocking(move || load(&owned)).await;
    reading.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(|error| cannot_read(path, &error))
}

fn load(path: &Path) -> io::Result<Zeroizing<String>> {
    secret_file::read_text(path, MAX_FILE)
}

fn cannot_read(path: &Path, error: &io::Error) -> TokenError {
    TokenError::temporary(format_args!("cannot read {}: {error}", path.display()))
}

/// Finds an access key: in a section of the profile's name, or of that name after the word `profile`.
fn find(text: &str, profile: &str) -> Option<AwsCredentials> {
    let mut is_in_profile = false;
    let (mut id, mut secret, mut token, mut region) = (None, None, None, None);
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
        if let Some(section) = line.strip_prefix('[').and_then(|line| line.split(']').next()) {
            let name = section.trim().strip_prefix("profile ").unwrap_or(section).trim();
            is_in_profile = name == profile;
        } else if let Some((name, value)) = line.split_once('=').filter(|_| is_in_profile) {
            match name.trim() {
                "aws_access_key_id" => id = Some(value.trim()),
                "aws_secret_access_key" => secret = Some(value.trim()),
                "aws_session_token" => token = Some(value.trim()),
                "region" => region = Some(value.trim()),
                _ => {}
            }
        }
    }
    let mut credentials = AwsCredentials::new(id?, secret?);
    if let Some(token) = token {
        credentials = credentials.session_token(token);
    }
    Some(match region {
        Some(region) => credentials.region(region),
        None => credentials,
    })
}

const MAX_FILE: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_the_profile_are_found_and_no_others() {
        let text = "# mine\n[default]\naws_access_key_id = A\naws_secret_access_key=s=1\n\n[profile other]\n\
                    aws_access_key_id=B\n; x\naws_secret_access_key = t\naws_session_token = u\nregion = r\n[empty]\nregion=x\n";

        assert_eq!(find(text, "default"), Some(AwsCredentials::new("A", "s=1")));
        assert_eq!(find(text, "other"), Some(AwsCredentials::new("B", "t").session_token("u").region("r")));
        assert_eq!(find(text, "empty"), None);
        assert_eq!(find(text, "none"), None);
    }
}

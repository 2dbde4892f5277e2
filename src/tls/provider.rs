//! Whose cryptography it is.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

use crate::config::ConfigProblem;
#[cfg(any(test, not(any(feature = "tls-aws-lc-rs", feature = "tls-ring"))))]
use crate::config::ConfigReason;

/// Returns the provider of the process if it has one, or else that of the crate: a provider that the application has asked for
/// by a feature comes before the one that is always there.
///
/// # Errors
///
/// There is none for this machine.
pub(super) fn choose() -> Result<Arc<CryptoProvider>, ConfigProblem> {
    match CryptoProvider::get_default() {
        Some(provider) => Ok(Arc::clone(provider)),
        None => compiled_in().map(Arc::new),
    }
}

#[cfg(feature = "tls-aws-lc-rs")]
#[expect(clippy::unnecessary_wraps, reason = "other providers do not run everywhere")]
fn compiled_in() -> Result<CryptoProvider, ConfigProblem> {
    Ok(rustls::crypto::aws_lc_rs::default_provider())
}

#[cfg(all(feature = "tls-ring", not(feature = "tls-aws-lc-rs")))]
#[expect(clippy::unnecessary_wraps, reason = "other providers do not run everywhere")]
fn compiled_in() -> Result<CryptoProvider, ConfigProblem> {
    Ok(rustls::crypto::ring::default_provider())
}

#[cfg(not(any(feature = "tls-aws-lc-rs", feature = "tls-ring")))]
fn compiled_in() -> Result<CryptoProvider, ConfigProblem> {
    graviola()
}

/// # Errors
///
/// It does not run on this processor. It would panic at its first use.
#[cfg(all(
    any(target_arch = "aarch64", target_arch = "x86_64"),
    any(test, not(any(feature = "tls-aws-lc-rs", feature = "tls-ring")))
))]
fn graviola() -> Result<CryptoProvider, ConfigProblem> {
    let missing: Vec<_> =
        needed().into_iter().filter(|(_, is_there)| !is_there).map(|(name, _)| name).collect();
    if missing.is_empty() {
        return Ok(rustls_graviola::default_provider());
    }
    Err(problem(&format!("this processor lacks {}", missing.join(", "))))
}

#[cfg(all(
    not(any(target_arch = "aarch64", target_arch = "x86_64")),
    any(test, not(any(feature = "tls-aws-lc-rs", feature = "tls-ring")))
))]
fn graviola() -> Result<CryptoProvider, ConfigProblem> {
    Err(problem("the cryptography of the feature \"tls\" knows only x86-64 and aarch64"))
}

/// Returns what graviola asserts of the processor, and whether it is so.
#[cfg(all(target_arch = "x86_64", any(test, not(any(feature = "tls-aws-lc-rs", feature = "tls-ring")))))]
fn needed() -> [(&'static str, bool); 6] {
    use std::is_x86_feature_detected as has;
    [
        ("ADX", has!("adx")),
        ("AES", has!("aes")),
        ("AVX", has!("avx")),
        ("AVX2", has!("avx2")),
        ("BMI1", has!("bmi1")),
        ("PCLMULQDQ", has!("pclmulqdq")),
    ]
}

/// Returns what graviola asserts of the processor, and whether it is so.
#[cfg(all(target_arch = "aarch64", any(test, not(any(feature = "tls-aws-lc-rs", feature = "tls-ring")))))]
fn needed() -> [(&'static str, bool); 4] {
    use std::arch::is_aarch64_feature_detected as has;
    [("AES", has!("aes")), ("NEON", has!("neon")), ("PMULL", has!("pmull")), ("SHA2", has!("sha2"))]
}

/// What is wrong with the cryptography: of no key of its own, but of the wish for TLS.
#[cfg(any(test, not(any(feature = "tls-aws-lc-rs", feature = "tls-ring"))))]
fn problem(text: &str) -> ConfigProblem {
    let text = format!("{text}; build kafka-producer with its feature \"tls-aws-lc-rs\" or \"tls-ring\"");
    ConfigProblem::new("security.protocol", "SSL", ConfigReason::NotAvailable(text))
}

/// Returns every provider that the crate is built with.
#[cfg(test)]
pub(super) fn all() -> Vec<CryptoProvider> {
    vec![
        graviola().unwrap(),
        #[cfg(feature = "tls-aws-lc-rs")]
        rustls::crypto::aws_lc_rs::default_provider(),
        #[cfg(feature = "tls-ring")]
        rustls::crypto::ring::default_provider(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_that_lacks_instructions_is_told_what_to_build() {
        assert_eq!(
            problem("this processor lacks ADX, AVX2").to_string(),
            "security.protocol = SSL: this processor lacks ADX, AVX2; build kafka-producer with its feature \
             \"tls-aws-lc-rs\" or \"tls-ring\""
        );
    }
}

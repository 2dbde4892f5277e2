//! Whose cryptography it is.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

use crate::config::{ConfigProblem, ConfigReason};

/// Returns the provider of the process if it has one, or else that of the crate.
///
/// # Errors
///
/// There is none for this machine.
pub(super) fn choose() -> Result<Arc<CryptoProvider>, ConfigProblem> {
    CryptoProvider::get_default().map_or_else(compiled_in, |provider| Ok(Arc::clone(provider)))
}

#[cfg(any(target_arch = "aarch64", target_arch = "x86_64"))]
fn compiled_in() -> Result<Arc<CryptoProvider>, ConfigProblem> {
    match missing_instructions() {
        missing if missing.is_empty() => Ok(Arc::new(rustls_graviola::default_provider())),
        missing => Err(problem(format!("this processor lacks {}; {OTHERS}", missing.join(", ")))),
    }
}

#[cfg(not(any(target_arch = "aarch64", target_arch = "x86_64")))]
fn compiled_in() -> Result<Arc<CryptoProvider>, ConfigProblem> {
    Err(problem(format!("there is no cryptography for this kind of processor; {OTHERS}")))
}

/// Returns what graviola needs and this processor does not have. Graviola would panic at its first use.
#[cfg(target_arch = "x86_64")]
fn missing_instructions() -> Vec<&'static str> {
    use std::is_x86_feature_detected as has;
    missing([
        ("ADX", has!("adx")),
        ("AES", has!("aes")),
        ("AVX", has!("avx")),
        ("AVX2", has!("avx2")),
        ("BMI1", has!("bmi1")),
        ("PCLMULQDQ", has!("pclmulqdq")),
    ])
}

/// Returns what graviola needs and this processor does not have. Graviola would panic at its first use.
#[cfg(target_arch = "aarch64")]
fn missing_instructions() -> Vec<&'static str> {
    use std::arch::is_aarch64_feature_detected as has;
    missing([("AES", has!("aes")), ("NEON", has!("neon")), ("PMULL", has!("pmull")), ("SHA2", has!("sha2"))])
}

#[cfg(any(target_arch = "aarch64", target_arch = "x86_64"))]
fn missing(needed: impl IntoIterator<Item = (&'static str, bool)>) -> Vec<&'static str> {
    needed.into_iter().filter(|(_, is_there)| !is_there).map(|(name, _)| name).collect()
}

/// What is wrong with the cryptography: of no key, but of the wish for TLS.
pub(super) fn problem(text: String) -> ConfigProblem {
    ConfigProblem::new("security.protocol", "SSL", ConfigReason::NotAvailable(text))
}

const OTHERS: &str = "build kafka-producer with its feature \"tls-aws-lc-rs\" or \"tls-ring\"";

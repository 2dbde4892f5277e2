//! Whether this processor has what the implementation of TLS needs, which otherwise panics in the middle of a handshake.

/// Says why TLS cannot be spoken here.
pub(super) fn obstacle() -> Option<String> {
    let missing = missing();
    (!missing.is_empty()).then(|| {
        format!("the TLS of kafka-mock cannot run on this processor, which lacks {}", missing.join(", "))
    })
}

#[cfg(target_arch = "x86_64")]
fn missing() -> Vec<&'static str> {
    let needs = [
        ("adx", std::arch::is_x86_feature_detected!("adx")),
        ("aes", std::arch::is_x86_feature_detected!("aes")),
        ("avx", std::arch::is_x86_feature_detected!("avx")),
        ("avx2", std::arch::is_x86_feature_detected!("avx2")),
        ("bmi1", std::arch::is_x86_feature_detected!("bmi1")),
        ("pclmulqdq", std::arch::is_x86_feature_detected!("pclmulqdq")),
    ];
    needs.into_iter().filter(|(_, is_there)| !is_there).map(|(name, _)| name).collect()
}

#[cfg(target_arch = "aarch64")]
fn missing() -> Vec<&'static str> {
    let needs = [
        ("neon", std::arch::is_aarch64_feature_detected!("neon")),
        ("aes", std::arch::is_aarch64_feature_detected!("aes")),
        ("pmull", std::arch::is_aarch64_feature_detected!("pmull")),
        ("sha2", std::arch::is_aarch64_feature_detected!("sha2")),
    ];
    needs.into_iter().filter(|(_, is_there)| !is_there).map(|(name, _)| name).collect()
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn missing() -> Vec<&'static str> {
    vec!["the instructions of x86-64 and aarch64"]
}

//! Signatures of JWTs (RFC 7515), by the cryptography of TLS.

use rustls::SignatureScheme;

use super::{identity, pem, provider};

/// How a JWT is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JwtAlgorithm {
    Es256,
    Rs256,
}

/// Signs a message by a key in PEM. `shown` says in errors where the key is from.
///
/// # Errors
///
/// What is wrong with the key. Nothing of it is told.
pub(crate) fn sign(
    algorithm: JwtAlgorithm,
    pem: &str,
    passphrase: &str,
    shown: &str,
    message: &[u8],
) -> Result<Vec<u8>, String> {
    let sections = pem::sections(pem).map_err(|text| format!("{KEY_FILE} = {shown}: {text}"))?;
    // The same code reads the keys for TLS.
    let named = |text: String| text.replace("ssl.key.password", PASSPHRASE);
    let key = identity::private_key(sections, KEY_FILE, shown, passphrase);
    let key = key.map_err(|problem| named(problem.to_string()))?;
    let provider = provider::choose().map_err(|problem| problem.to_string())?;
    let key = provider.key_provider.load_private_key(key);
    let key = key.map_err(|error| format!("{KEY_FILE} = {shown}: its key cannot be used: {error}"))?;
    let (scheme, name) = match algorithm {
        JwtAlgorithm::Es256 => (SignatureScheme::ECDSA_NISTP256_SHA256, "ES256"),
        JwtAlgorithm::Rs256 => (SignatureScheme::RSA_PKCS1_SHA256, "RS256"),
    };
    let unfit = || {
        format!("{KEY_FILE} = {shown}: its key is not one for {name} (sasl.oauthbearer.assertion.algorithm)")
    };
    let signature = key.choose_scheme(&[scheme]).ok_or_else(unfit)?.sign(message);
    let signature = signature.map_err(|error| format!("{KEY_FILE} = {shown}: {error}"))?;
    match algorithm {
        JwtAlgorithm::Es256 => plain(&signature).ok_or_else(|| "a signature of an unknown form".to_owned()),
        JwtAlgorithm::Rs256 => Ok(signature),
    }
}

/// Returns the two numbers of a signature one after the other, as JWTs have them; TLS has them in DER.
fn plain(der: &[u8]) -> Option<Vec<u8>> {
    let body = der.strip_prefix(&[0x30])?;
    let (length, body) = body.split_first()?;
    let mut rest = body.get(..usize::from(*length))?;
    let mut numbers = Vec::with_capacity(64);
    for _ in 0..2 {
        let (length, after) = rest.strip_prefix(&[0x02])?.split_first()?;
        let (number, after) = after.split_at_checked(usize::from(*length))?;
        rest = after;
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        let number = number.get(zeros..)?;
        numbers.extend(std::iter::repeat_n(0, 32_usize.checked_sub(number.len())?));
        numbers.extend_from_slice(number);
    }
    Some(numbers)
}

const KEY_FILE: &str = "sasl.oauthbearer.assertion.private.key.file";
const PASSPHRASE: &str = "sasl.oauthbearer.assertion.private.key.passphrase";

/// Whether a signature of a JWT is that of a key, by the algorithms that check certificates.
#[cfg(test)]
pub(crate) fn is_genuine(algorithm: &str, pem: &str, message: &[u8], signature: &[u8]) -> bool {
    let sections = pem::sections(pem).unwrap();
    let key = identity::private_key(sections, KEY_FILE, "", "").unwrap();
    let provider = provider::choose().unwrap();
    let key = provider.key_provider.load_private_key(key).unwrap();
    let info = key.public_key().unwrap();
    // The public key ends its description: with P-256 as an uncompressed point, with RSA of 2048 bits as 270 bytes of DER.
    let (scheme, length, signature) = match algorithm {
        "ES256" => (SignatureScheme::ECDSA_NISTP256_SHA256, 65, in_der(signature)),
        _ => (SignatureScheme::RSA_PKCS1_SHA256, 270, signature.to_vec()),
    };
    let public_key = &info[info.len() - length..];
    let known = provider.signature_verification_algorithms.mapping.iter();
    let mut known = known.filter(|(known, _)| *known == scheme).flat_map(|(_, algorithms)| *algorithms);
    known.any(|algorithm| algorithm.verify_signature(public_key, message, &signature).is_ok())
}

/// The inverse of [`plain`].
#[cfg(test)]
fn in_der(plain: &[u8]) -> Vec<u8> {
    let number = |bytes: &[u8]| {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let bytes = &bytes[zeros..];
        // A zero in front, where the number would be negative without it.
        let sign = if bytes[0] & 0x80 == 0 { &[][..] } else { &[0] };
        let length = u8::try_from(sign.len() + bytes.len()).unwrap();
        [&[0x02, length], sign, bytes].concat()
    };
    let body = [number(&plain[..32]), number(&plain[32..])].concat();
    [&[0x30, u8::try_from(body.len()).unwrap()][..], &body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_a_signature_are_padded() {
        let der = [0x30, 0x08, 0x02, 0x02, 0x00, 0x81, 0x02, 0x02, 0x01, 0x02];
        let plain = plain(&der).unwrap();

        assert_eq!((plain.len(), plain[31], &plain[62..]), (64, 0x81, &[1, 2][..]));
        assert_eq!(super::plain(&[0x30, 0x02, 0x02, 0x05]), None);
        assert_eq!(super::plain(&[]), None);
    }
}

//! How the parts of a PKCS#12 file are encrypted: by PBES2 today, by the schemes of PKCS#12 itself before.

use cbc::Decryptor;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockCipherDecrypt, BlockModeDecrypt, InnerIvInit, KeyInit};
use des::{TdesEde2, TdesEde3};
use pkcs8::der::Decode;
use pkcs8::pkcs5::EncryptionScheme;
use pkcs8::pkcs5::pbes2::Kdf;
use rc2::Rc2;
use sha1::Sha1;
use zeroize::Zeroizing;

use super::kdf::{Purpose, derive};
use super::pkcs12::Algorithm;
use crate::tls::der::Der;

/// Why a part cannot be decrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DecryptError {
    Unknown(String),
    /// Nothing sensible has come out.
    WrongPassword,
}

pub(super) fn decrypt(
    algorithm: Algorithm<'_>,
    password: &str,
    bytes: &[u8],
) -> Result<Zeroizing<Vec<u8>>, DecryptError> {
    match algorithm.id {
        PBES2 => by_pbes2(algorithm.whole, password, bytes),
        SHA1_3DES_3_KEYS => by_cbc(algorithm, password, bytes, 24, |key| TdesEde3::new_from_slice(key).ok()),
        SHA1_3DES_2_KEYS => by_cbc(algorithm, password, bytes, 16, |key| TdesEde2::new_from_slice(key).ok()),
        SHA1_RC2_128 => {
            by_cbc(algorithm, password, bytes, 16, |key| Some(Rc2::new_with_eff_key_len(key, 128)))
        }
        SHA1_RC2_40 => by_cbc(algorithm, password, bytes, 5, |key| Some(Rc2::new_with_eff_key_len(key, 40))),
        other => Err(DecryptError::Unknown(format!(
            "is encrypted by {}, which is not known",
            other.escape_ascii()
        ))),
    }
}

fn by_pbes2(algorithm: &[u8], password: &str, bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, DecryptError> {
    let scheme = EncryptionScheme::from_der(algorithm);
    let scheme = scheme.map_err(|error| {
        DecryptError::Unknown(format!("is encrypted in a way that is not known: {error}"))
    })?;
    let work = match scheme.pbes2().map(|parameters| &parameters.kdf) {
        Some(Kdf::Pbkdf2(parameters)) => u64::from(parameters.iteration_count),
        Some(Kdf::Scrypt(parameters)) => {
            let size = parameters.cost_parameter.saturating_mul(u64::from(parameters.block_size));
            size.saturating_mul(u64::from(parameters.parallelization))
        }
        _ => 0,
    };
    if work > u64::from(MAX_ITERATIONS) {
        return Err(DecryptError::Unknown(format!("asks for {work} iterations, more than {MAX_ITERATIONS}")));
    }
    scheme.decrypt(password, bytes).map(Zeroizing::new).map_err(|error| match error {
        pkcs8::pkcs5::Error::DecryptFailed => DecryptError::WrongPassword,
        other => DecryptError::Unknown(format!("is encrypted in a way that is not known: {other}")),
    })
}

fn by_cbc<C: BlockCipherDecrypt>(
    algorithm: Algorithm<'_>,
    password: &str,
    bytes: &[u8],
    key_len: usize,
    cipher: impl FnOnce(&[u8]) -> Option<C>,
) -> Result<Zeroizing<Vec<u8>>, DecryptError> {
    let damaged = || DecryptError::Unknown("is damaged".to_owned());
    let mut parameters = Der::new(algorithm.parameters);
    let mut parameters = parameters.enter(crate::tls::der::SEQUENCE).map_err(|_| damaged())?;
    let salt = parameters.read(crate::tls::der::OCTET_STRING).map_err(|_| damaged())?;
    let iterations = parameters.number().map_err(|_| damaged())?;
    check_iterations(iterations).map_err(DecryptError::Unknown)?;
    let key = derive::<Sha1>(password, salt, iterations, Purpose::Key, key_len);
    let vector = derive::<Sha1>(password, salt, iterations, Purpose::InitialVector, 8);
    let cipher = cipher(&key).ok_or_else(damaged)?;
    let decryptor = Decryptor::inner_iv_slice_init(cipher, &vector).map_err(|_| damaged())?;
    let plain = decryptor.decrypt_padded_vec::<Pkcs7>(bytes);
    plain.map(Zeroizing::new).map_err(|_| DecryptError::WrongPassword)
}

pub(super) fn check_iterations(iterations: u32) -> Result<(), String> {
    if (1..=MAX_ITERATIONS).contains(&iterations) {
        Ok(())
    } else {
        Err(format!("asks for {iterations} iterations, which are not between 1 and {MAX_ITERATIONS}"))
    }
}

/// Java's and OpenSSL's own go up to 600,000; this many take some seconds.
const MAX_ITERATIONS: u32 = 5_000_000;

/// 1.2.840.113549.1.5.13
pub(super) const PBES2: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0d";
/// 1.2.840.113549.1.12.1.3 to 6
const SHA1_3DES_3_KEYS: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01\x03";
const SHA1_3DES_2_KEYS: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01\x04";
const SHA1_RC2_128: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01\x05";
const SHA1_RC2_40: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01\x06";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::der::{INTEGER, OBJECT_ID, OCTET_STRING, SEQUENCE};

    fn element(tag: u8, content: &[&[u8]]) -> Vec<u8> {
        let content = content.concat();
        [&[tag, u8::try_from(content.len()).unwrap()], &content[..]].concat()
    }

    fn algorithm(id: &[u8], parameters: &[Vec<u8>]) -> Vec<u8> {
        let parameters: Vec<_> = parameters.iter().map(Vec::as_slice).collect();
        element(SEQUENCE, &[&element(OBJECT_ID, &[id]), &element(SEQUENCE, &parameters)])
    }

    fn work_of(bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, DecryptError> {
        decrypt(Algorithm::read(&mut Der::new(bytes)).unwrap(), "kafka-mock", &[0; 32])
    }

    #[test]
    fn endless_work_is_refused() {
        let salt = element(OCTET_STRING, &[&[7; 8]]);
        let iterations = element(INTEGER, &[&[0x05, 0xff, 0xff, 0xff]]);
        let aes = element(
            SEQUENCE,
            &[
                &element(OBJECT_ID, &[b"\x60\x86\x48\x01\x65\x03\x04\x01\x2a"]),
                &element(OCTET_STRING, &[&[7; 16]]),
            ],
        );
        let pbkdf2 = algorithm(b"\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0c", &[salt.clone(), iterations.clone()]);
        let block_size = element(INTEGER, &[&[8]]);
        let one = element(INTEGER, &[&[1]]);
        let cost = element(INTEGER, &[&[0x40, 0, 0, 0]]);
        let scrypt =
            algorithm(b"\x2b\x06\x01\x04\x01\xda\x47\x04\x0b", &[salt.clone(), cost, block_size, one]);
        for algorithm in [
            algorithm(SHA1_3DES_3_KEYS, &[salt, iterations]),
            algorithm(PBES2, &[pbkdf2, aes.clone()]),
            algorithm(PBES2, &[scrypt, aes]),
        ] {
            let error = work_of(&algorithm).err();
            let is_about_work = matches!(&error, Some(DecryptError::Unknown(text)) if text.starts_with("asks for ") && text.contains("iterations"));
            assert!(is_about_work, "{error:?}");
        }
    }
}

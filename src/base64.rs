//! Base64 (RFC 4648): with padding as SCRAM and PEM files write bytes, and without and for URLs as JWTs do.

use zeroize::Zeroizing;

pub(crate) fn encode(bytes: &[u8]) -> String {
    encode_with(bytes, ALPHABET, true)
}

/// Writes bytes with the alphabet for URLs, without padding (RFC 7515).
pub(crate) fn encode_for_url(bytes: &[u8]) -> String {
    encode_with(bytes, URL_ALPHABET, false)
}

fn encode_with(bytes: &[u8], alphabet: &[u8; 64], is_padded: bool) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let number =
            group.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let digit = (number >> (18 - 6 * place)) & 0x3f;
            if place <= group.len() {
                text.push(char::from(alphabet[digit as usize]));
            } else if is_padded {
                text.push('=');
            }
        }
    }
    text
}

/// Reads a text, or returns `None` if it is none that `encode_for_url` writes.
pub(crate) fn decode_for_url(text: &str) -> Option<Vec<u8>> {
    decode_with(text, URL_ALPHABET)
}

/// Reads a text, or returns `None` if it is none that `encode` writes.
#[cfg(any(feature = "sasl", feature = "tls", test))]
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 {
        return None;
    }
    decode_with(digits, ALPHABET)
}

/// What is read may be secret, so no other copy is made of it.
fn decode_with(digits: &str, alphabet: &[u8; 64]) -> Option<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(digits.len() / 4 * 3 + 2));
    for group in digits.as_bytes().chunks(4) {
        let mut number = 0;
        for digit in group {
            let place = alphabet.iter().position(|known| known == digit)?;
            number = number << 6 | u32::try_from(place).ok()?;
        }
        let length = group.len() * 6 / 8;
        let number = number << (6 * (4 - group.len()));
        // Bits that belong to no byte must be zero, so that no two texts mean the same.
        if length == 0 || number & (0x00ff_ffff >> (8 * length)) != 0 {
            return None;
        }
        bytes.extend_from_slice(number.to_be_bytes().get(1..=length)?);
    }
    Some(std::mem::take(&mut *bytes))
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4648, section 10.
    #[test]
    fn the_examples_of_the_rfc_come_out() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text).as_deref(), Some(bytes.as_bytes()));
        }
        assert_eq!(decode("++//").as_deref(), Some(&[0xfb, 0xef, 0xff][..]));
    }

    #[test]
    fn what_is_no_base64_is_refused() {
        for text in
            ["Z", "Zg", "Zg=", "Zh==", "Zm9=", "=", "====", "Zg==Zg==", "Z===", "Zm9v\n", "Zm-_", "Zmä="]
        {
            assert_eq!(decode(text), None, "{text}");
        }
    }

    /// RFC 7515, appendix C.
    #[test]
    fn texts_for_urls_have_their_own_alphabet_and_no_padding() {
        assert_eq!(encode_for_url(&[3, 236, 255, 224, 193]), "A-z_4ME");
        assert_eq!(decode_for_url("A-z_4ME"), Some(vec![3, 236, 255, 224, 193]));
        for text in ["A-z_4ME=", "A+z/4ME", "A", "A-z_4MF"] {
            assert_eq!(decode_for_url(text), None, "{text}");
        }
    }

    #[test]
    fn bytes_come_back() {
        proptest::proptest!(|(bytes: Vec<u8>)| {
            proptest::prop_assert_eq!(decode_for_url(&encode_for_url(&bytes)), Some(bytes.clone()));
            proptest::prop_assert_eq!(decode(&encode(&bytes)), Some(bytes));
        });
    }
}

//! Base64 with its padding (RFC 4648), as SCRAM and PEM files write bytes.

pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let number =
            group.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let digit = (number >> (18 - 6 * place)) & 0x3f;
            let is_padding = place > group.len();
            text.push(if is_padding { '=' } else { char::from(ALPHABET[digit as usize]) });
        }
    }
    text
}

/// Reads a text, or returns `None` if it is none that `encode` writes.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for group in digits.as_bytes().chunks(4) {
        let mut number = 0;
        for digit in group {
            number = number << 6 | value(*digit)?;
        }
        let length = group.len() * 6 / 8;
        let number = number << (6 * (4 - group.len()));
        bytes.extend_from_slice(number.to_be_bytes().get(1..=length)?);
    }
    // Bits that belong to no byte must be zero, so that no two texts mean the same.
    (encode(&bytes) == text).then_some(bytes)
}

fn value(digit: u8) -> Option<u32> {
    let place = ALPHABET.iter().position(|known| *known == digit)?;
    u32::try_from(place).ok()
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

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

    #[test]
    fn bytes_come_back() {
        proptest::proptest!(|(bytes: Vec<u8>)| {
            proptest::prop_assert_eq!(decode(&encode(&bytes)), Some(bytes));
        });
    }
}

//! How PKCS#12 makes keys of passwords (RFC 7292, appendix B).

use sha1::digest::Digest;
use sha1::digest::block_api::BlockSizeUser;
use zeroize::Zeroizing;

/// What the bytes are for, which makes them differ.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Key = 1,
    InitialVector = 2,
    Mac = 3,
}

/// Returns `length` bytes made of a password and a salt.
pub(super) fn derive<D: Digest + BlockSizeUser>(
    password: &str,
    salt: &[u8],
    iterations: u32,
    purpose: Purpose,
    length: usize,
) -> Zeroizing<Vec<u8>> {
    let block = D::block_size();
    let diversifier = vec![purpose as u8; block];
    let password = encoded(password);
    let mut input = Zeroizing::new(Vec::new());
    for part in [salt, &password] {
        input.extend(part.iter().cycle().take(part.len().next_multiple_of(block)));
    }
    let mut derived = Zeroizing::new(Vec::new());
    while derived.len() < length {
        let mut hash = D::new().chain_update(&diversifier).chain_update(&*input).finalize();
        for _ in 1..iterations {
            hash = D::digest(&hash);
        }
        let missing = length - derived.len();
        derived.extend(hash.iter().take(missing));
        let summand: Zeroizing<Vec<u8>> = Zeroizing::new(hash.iter().copied().cycle().take(block).collect());
        for part in input.chunks_mut(block) {
            add_one_more(part, &summand);
        }
    }
    derived
}

/// Adds `summand` and one to a number of the same length, most significant byte first. What is carried beyond it is dropped.
fn add_one_more(number: &mut [u8], summand: &[u8]) {
    let mut carry = 1;
    for (digit, other) in number.iter_mut().zip(summand).rev() {
        let [high, low] = (u16::from(*digit) + u16::from(*other) + carry).to_be_bytes();
        *digit = low;
        carry = u16::from(high);
    }
}

/// UTF-16, most significant byte first, with a zero at the end.
fn encoded(password: &str) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(password.encode_utf16().chain([0]).flat_map(u16::to_be_bytes).collect())
}

#[cfg(test)]
mod tests {
    use sha1::Sha1;

    use super::*;

    /// The example that implementers pass around, of the salts of a store that OpenSSL made for the password `smeg`.
    #[test]
    fn known_keys_come_of_known_passwords() {
        let key = derive::<Sha1>("smeg", &hex("0a58cf64530d823f"), 1, Purpose::Key, 24);
        assert_eq!(*key, hex("8aaae6297b6cb04642ab5b077851284eb7128f1a2a7fbca3"));
        let vector = derive::<Sha1>("smeg", &hex("0a58cf64530d823f"), 1, Purpose::InitialVector, 8);
        assert_eq!(*vector, hex("79993dfe048d3b76"));
        let key = derive::<Sha1>("queeg", &hex("05dec959acff72f7"), 1000, Purpose::Key, 24);
        assert_eq!(*key, hex("ed2034e36328830ff09df1e1a07dd357185dac0d4f9eb3d4"));
    }

    fn hex(text: &str) -> Vec<u8> {
        let digits = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
    }
}

//! The arithmetic of SCRAM: from a password to keys, and from keys to a proof (RFC 5802, section 3).

use std::fmt;
use std::marker::PhantomData;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};
use zeroize::Zeroizing;

/// A hash function that SCRAM is used with.
pub(in crate::network::sasl) trait ScramHash:
    fmt::Debug + Send + Sync + 'static
{
    /// The name of the mechanism.
    const NAME: &'static str;
    /// How a message is signed with a key. A copy may go on where the original stands.
    type Signer: Mac + KeyInit + Clone + Send + Sync;

    fn hash(bytes: &[u8]) -> Vec<u8>;
}

#[derive(Debug)]
pub(in crate::network::sasl) struct Sha256Hash;

impl ScramHash for Sha256Hash {
    const NAME: &'static str = "SCRAM-SHA-256";
    type Signer = Hmac<Sha256>;

    fn hash(bytes: &[u8]) -> Vec<u8> {
        Sha256::digest(bytes).to_vec()
    }
}

#[derive(Debug)]
pub(in crate::network::sasl) struct Sha512Hash;

impl ScramHash for Sha512Hash {
    const NAME: &'static str = "SCRAM-SHA-512";
    type Signer = Hmac<Sha512>;

    fn hash(bytes: &[u8]) -> Vec<u8> {
        Sha512::digest(bytes).to_vec()
    }
}

/// A password on its way to keys: `Hi` of the RFC, which is PBKDF2 with one block, in as many parts as one likes.
pub(super) struct Stretching<H: ScramHash> {
    signer: H::Signer,
    /// The signature of the last iteration.
    last: Zeroizing<Vec<u8>>,
    sum: Zeroizing<Vec<u8>>,
    left: u32,
}

impl<H: ScramHash> Stretching<H> {
    pub(super) fn new(password: &str, salt: &[u8], iterations: u32) -> Self {
        let signer = signer::<H>(password.as_bytes());
        let last = sign::<H>(&signer, &[salt, &1_u32.to_be_bytes()]);
        Self { signer, sum: last.clone(), last, left: iterations.saturating_sub(1) }
    }

    /// Does at most so many iterations. Returns the keys once all are done.
    pub(super) fn go_on(&mut self, iterations: u32) -> Option<Keys<H>> {
        let count = iterations.min(self.left);
        for _ in 0..count {
            let mut signer = self.signer.clone();
            signer.update(&self.last);
            self.last.copy_from_slice(&signer.finalize().into_bytes());
            self.sum.iter_mut().zip(self.last.iter()).for_each(|(sum, byte)| *sum ^= byte);
        }
        self.left -= count;
        (self.left == 0).then(|| Keys::new(&self.sum))
    }
}

/// What is needed to prove that one knows a password, and to check that the other does.
pub(super) struct Keys<H: ScramHash> {
    client: Zeroizing<Vec<u8>>,
    server: Zeroizing<Vec<u8>>,
    hash: PhantomData<H>,
}

impl<H: ScramHash> Keys<H> {
    fn new(salted_password: &[u8]) -> Self {
        let signer = signer::<H>(salted_password);
        Self {
            client: sign::<H>(&signer, &[b"Client Key"]),
            server: sign::<H>(&signer, &[b"Server Key"]),
            hash: PhantomData,
        }
    }

    /// Returns the proof of having heard all that was said, and the signature with which the broker proves the same.
    pub(super) fn prove(&self, heard: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let stored = Zeroizing::new(H::hash(&self.client));
        let client_signature = sign::<H>(&signer::<H>(&stored), &[heard]);
        let proof = self.client.iter().zip(client_signature.iter()).map(|(key, byte)| key ^ byte).collect();
        let server_signature = sign::<H>(&signer::<H>(&self.server), &[heard]);
        (proof, server_signature.to_vec())
    }
}

impl<H: ScramHash> Clone for Keys<H> {
    fn clone(&self) -> Self {
        Self { client: self.client.clone(), server: self.server.clone(), hash: PhantomData }
    }
}

impl<H: ScramHash> fmt::Debug for Keys<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

/// Compares without telling by the time that it takes where the difference is.
pub(super) fn are_equal(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len()
        && left.iter().zip(right).fold(0, |sum, (left, right)| sum | (left ^ right)) == 0
}

fn signer<H: ScramHash>(key: &[u8]) -> H::Signer {
    <H::Signer as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length")
}

fn sign<H: ScramHash>(signer: &H::Signer, parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let mut signer = signer.clone();
    parts.iter().for_each(|part| signer.update(part));
    Zeroizing::new(signer.finalize().into_bytes().to_vec())
}

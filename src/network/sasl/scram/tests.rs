//! The examples of the RFCs, and brokers that do not keep to them.

use super::messages::{MAX_ITERATIONS, MAX_MESSAGE, MAX_SALT};
use super::*;
use crate::secret::Secret;

/// For the example of RFC 5802 only: brokers of Kafka do not take it.
#[derive(Debug)]
struct Sha1Hash;

impl ScramHash for Sha1Hash {
    const NAME: &'static str = "SCRAM-SHA-1";
    type Signer = hmac::Hmac<sha1::Sha1>;

    fn hash(bytes: &[u8]) -> Vec<u8> {
        use sha1::Digest as _;
        sha1::Sha1::digest(bytes).to_vec()
    }
}

fn scram<H: ScramHash>(username: &str, password: &str) -> Scram<H> {
    let password = Secret::new(password);
    Scram::new(Credentials { username: username.to_owned(), password, is_token: false })
}

fn text(step: SaslStep) -> String {
    match step {
        SaslStep::Say(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Does all the work, and returns in how many parts.
fn work_out<H: ScramHash>(exchange: &mut ScramExchange<H>) -> (SaslStep, usize) {
    for parts in 1.. {
        match exchange.work().unwrap() {
            SaslStep::Work => {}
            step => return (step, parts),
        }
    }
    unreachable!()
}

fn converse<H: ScramHash>(nonce: &str, server_first: &str) -> (String, String, ScramExchange<H>) {
    let mut exchange = scram::<H>("user", "pencil").begin_with(nonce.to_owned());
    let first = text(exchange.respond(&[]).unwrap());
    assert_eq!(exchange.respond(server_first.as_bytes()), Ok(SaslStep::Work));
    let last = text(work_out(&mut exchange).0);
    (first, last, exchange)
}

const FIRST_256: &str =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const FINAL_256: &[u8] = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

fn converse_256() -> ScramExchange<Sha256Hash> {
    converse("rOprNGfwEbeRWgbNEkqO", FIRST_256).2
}

#[test]
fn the_example_of_rfc_7677_comes_out() {
    let (first, last, mut exchange) = converse::<Sha256Hash>("rOprNGfwEbeRWgbNEkqO", FIRST_256);

    assert_eq!(first, "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
    assert_eq!(
        last,
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    );
    assert_eq!(exchange.respond(FINAL_256), Ok(SaslStep::Done));
}

#[test]
fn the_example_of_rfc_5802_comes_out() {
    let nonce = "fyko+d2lbbFgONRv9qkxdawL";
    let server_first = "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096";
    let (first, last, mut exchange) = converse::<Sha1Hash>(nonce, server_first);

    assert_eq!(first, "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL");
    assert_eq!(last, "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=");
    assert_eq!(exchange.respond(b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ="), Ok(SaslStep::Done));
}

/// No RFC has an example with SHA-512: its arithmetic is checked against the crate `pbkdf2` and the formulas of RFC 5802.
#[test]
fn sha_512_comes_out_as_another_implementation_has_it() {
    use hmac::{Hmac, KeyInit, Mac};
    use sha2::{Digest, Sha512};
    let mac = |key: &[u8], text: &[u8]| {
        let mut mac = Hmac::<Sha512>::new_from_slice(key).unwrap();
        mac.update(text);
        mac.finalize().into_bytes()
    };
    let mut salted = [0; 64];
    pbkdf2::pbkdf2::<Hmac<Sha512>>(b"pencil", b"salt of the broker", 5000, &mut salted).unwrap();
    let heard = "n=user,r=abc,r=abcdef,s=c2FsdCBvZiB0aGUgYnJva2Vy,i=5000,c=biws,r=abcdef";
    let client_key = mac(&salted, b"Client Key");
    let signature = mac(&Sha512::digest(client_key), heard.as_bytes());
    let proof: Vec<u8> = client_key.iter().zip(signature).map(|(key, byte)| key ^ byte).collect();
    let theirs = mac(&mac(&salted, b"Server Key"), heard.as_bytes());

    let (_, last, mut exchange) = converse::<Sha512Hash>("abc", "r=abcdef,s=c2FsdCBvZiB0aGUgYnJva2Vy,i=5000");

    assert_eq!(last, format!("c=biws,r=abcdef,p={}", base64::encode(&proof)));
    assert_eq!(exchange.respond(format!("v={}", base64::encode(&theirs)).as_bytes()), Ok(SaslStep::Done));
}

#[test]
fn names_are_escaped() {
    let mut exchange = scram::<Sha256Hash>("a=b,c", "p").begin_with("n".to_owned());

    assert_eq!(text(exchange.respond(&[]).unwrap()), "n,,n=a=3Db=2Cc,r=n");
}

/// Java's `ScramMessages.ClientFirstMessage` puts extensions behind the nonce (KIP-48).
#[test]
fn delegation_tokens_are_named_as_such() {
    let password = Secret::new("aGFzaA==");
    let token = Credentials { username: "id".to_owned(), password, is_token: true };
    let mut exchange = Scram::<Sha256Hash>::new(token).begin_with("n".to_owned());

    assert_eq!(text(exchange.respond(&[]).unwrap()), "n,,n=id,r=n,tokenauth=true");
}

#[test]
fn work_is_done_in_parts_and_not_twice_for_one_salt() {
    let scram = scram::<Sha256Hash>("user", "pencil");
    let first = "r=abcdef,s=c2FsdA==,i=10000";
    let mut one = scram.begin_with("abc".to_owned());
    one.respond(&[]).unwrap();
    assert_eq!(one.respond(first.as_bytes()), Ok(SaslStep::Work));

    let (proof, parts) = work_out(&mut one);
    assert_eq!(parts, 5);

    let mut another = scram.begin_with("abc".to_owned());
    another.respond(&[]).unwrap();
    assert_eq!(another.respond(first.as_bytes()), Ok(proof));

    let mut other_salt = scram.begin_with("abc".to_owned());
    other_salt.respond(&[]).unwrap();
    assert_eq!(other_salt.respond(b"r=abcdef,s=c2FsdHk=,i=10000"), Ok(SaslStep::Work));
}

#[test]
fn each_nonce_is_another() {
    use rand::SeedableRng;
    let random = &mut StdRng::seed_from_u64(7);

    let (one, other) = (new_nonce(random), new_nonce(random));

    assert_ne!(one, other);
    assert!(one.len() == 26 && one.chars().all(|digit| digit.is_ascii_alphanumeric()), "{one}");
}

#[test]
fn broker_that_does_not_know_the_password_is_not_believed() {
    for last in ["v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=", "v=AAAA", "v=", "v=!", "", "x=1", "v"] {
        let error = converse_256().respond(last.as_bytes()).unwrap_err();
        assert!(error.starts_with("SCRAM-SHA-256: the broker"), "{last}: {error}");
    }
    let other = "v=AAAATRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
    let error = converse_256().respond(other.as_bytes()).unwrap_err();
    assert!(error.contains("cannot prove that it knows the password"), "{error}");
}

#[test]
fn refusal_of_the_broker_is_told() {
    let error = converse_256().respond(b"e=unknown-user,x=1").unwrap_err();

    assert_eq!(&*error, "SCRAM-SHA-256: the broker refuses the username or the password: unknown-user");
}

/// A signature is checked once. What comes after it must not pass for a proof.
#[test]
fn exchange_that_goes_on_after_its_end_fails() {
    let mut exchange = converse_256();
    assert!(exchange.work().is_err());
    assert!(exchange.respond(b"v=AAAA").is_err());

    let mut exchange = converse_256();
    assert!(exchange.respond(b"v=AAAA").is_err());
    assert!(exchange.respond(FINAL_256).is_err());
    assert!(exchange.work().is_err());
}

#[test]
fn refusal_of_the_broker_stays_on_one_line_and_is_short() {
    let words = format!("e=x\n2026-01-01 ERROR forged\x1b[2J{}", "y".repeat(MAX_MESSAGE / 2));

    let error = converse_256().respond(words.as_bytes()).unwrap_err();

    assert!(!error.contains(char::is_control) && error.len() < 2000, "{error}");
}

fn refused(server_first: impl AsRef<[u8]>) -> String {
    let mut exchange = scram::<Sha256Hash>("user", "pencil").begin_with("abc".to_owned());
    exchange.respond(&[]).unwrap();
    exchange.respond(server_first.as_ref()).unwrap_err().to_string()
}

#[test]
fn what_is_wrong_with_the_first_message_is_told() {
    let long_salt = format!("r=abcd,s={},i=4096", "AAAA".repeat(400));
    let long = format!("r=abc{},s=AAAA,i=4096", "d".repeat(9000));
    for (message, what) in [
        ("", "does not begin with a nonce"),
        ("m=ext,r=abcd,s=AAAA,i=4096", "does not begin with a nonce"),
        ("r=abcd", "has no salt"),
        ("r=abcd,s=AAAA", "has no iterations"),
        ("r=abc,s=AAAA,i=4096", "does not continue ours"),
        ("r=xbcd,s=AAAA,i=4096", "does not continue ours"),
        ("r=abcd,s=,i=4096", "no base64"),
        ("r=abcd,s=A,i=4096", "no base64"),
        ("r=abcd,s=AAAA,i=", "is no number"),
        ("r=abcd,s=AAAA,i=-1", "is no number"),
        ("r=abcd,s=AAAA,i=+4096", "is no number"),
        ("r=abcd,s=AAAA,i=4095", "asks for 4095 iterations; below 4096"),
        ("r=abcd,s=AAAA,i=1000001", "asks for 1000001 iterations; at most 1000000"),
        ("r=abcd,s=AAAA,i=1000000000", "asks for 1000000000 iterations; at most 1000000"),
        ("r=abcd,s=AAAA,i=99999999999999999999999", "asks for 99999999999999999999… iterations"),
        (&long_salt, "salt has 1200 bytes; at most 1024"),
        (&long, "message has 9019 bytes; at most 8192"),
    ] {
        let error = refused(message);
        assert!(error.contains(what), "{message}: {error}");
    }
    assert!(refused([b'r', 0xff]).contains("no UTF-8"));
    assert_eq!((MAX_ITERATIONS, MAX_MESSAGE, MAX_SALT), (1_000_000, 8192, 1024));
}

#[test]
fn no_message_of_a_broker_makes_it_panic() {
    proptest::proptest!(|(first in "(r=abc[a-z]{0,3},)?(s=[A-Z=]{0,8},)?(i=[0-9]{0,4})?.{0,20}", last in ".{0,40}")| {
        let mut exchange = scram::<Sha256Hash>("user", "pencil").begin_with("abc".to_owned());
        let _ = (exchange.respond(&[]), exchange.respond(first.as_bytes()));
        let _ = (exchange.work(), exchange.respond(last.as_bytes()), exchange.work());
    });
}

use super::*;
use crate::tls::der::{Der, OCTET_STRING, SEQUENCE};
use crate::tls::pem;

const PASSWORD: Passwords<'_> = Passwords { store: Some("kafka-mock"), key: None };
const WRONG: Option<&str> = Some("kafka-mick");

macro_rules! store {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/mock/certs/", $name)).as_slice()
    };
}

/// What OpenSSL has written as PEM.
fn pem(text: &str) -> Vec<Vec<u8>> {
    pem::sections(text).unwrap().into_iter().map(|section| section.der.to_vec()).collect()
}

fn client() -> Vec<Vec<u8>> {
    pem(include_str!("../../../../mock/certs/client.pem"))
}

fn client_key() -> Vec<u8> {
    pem(include_str!("../../../../mock/certs/client.key")).remove(0)
}

fn ca() -> Vec<Vec<u8>> {
    pem(include_str!("../../../../mock/certs/ca.pem"))
}

const KEYSTORES: [(&str, &[u8]); 5] = [
    ("client.p12", store!("client.p12")),
    ("client-old.p12", store!("client-old.p12")),
    ("client-java.p12", store!("client-java.p12")),
    ("client-java-old.p12", store!("client-java-old.p12")),
    ("client.jks", store!("client.jks")),
];

const TRUSTSTORES: [(&str, &[u8]); 4] = [
    ("ca.p12", store!("ca.p12")),
    ("ca-old.p12", store!("ca-old.p12")),
    ("ca-openssl.p12", store!("ca-openssl.p12")),
    ("ca.jks", store!("ca.jks")),
];

#[test]
fn certificate_and_key_are_those_that_were_put_in() {
    for (name, bytes) in KEYSTORES {
        let store = read(bytes, Role::Keystore, PASSWORD).unwrap_or_else(|error| panic!("{name}: {error:?}"));

        assert!(store.trusted.is_empty(), "{name}");
        let (chain, key) = store.identity.unwrap();
        assert_eq!(chain, client(), "{name}");
        assert_eq!(private_key_of(&key), private_key_of(&client_key()), "{name}");
    }
}

/// Java and OpenSSL add different things to a key, so the number itself is compared.
fn private_key_of(pkcs8: &[u8]) -> Vec<u8> {
    let mut key = Der::new(pkcs8).enter(SEQUENCE).unwrap();
    key.number().unwrap();
    key.read(SEQUENCE).unwrap();
    let mut key = Der::new(key.read(OCTET_STRING).unwrap()).enter(SEQUENCE).unwrap();
    key.number().unwrap();
    key.read(OCTET_STRING).unwrap().to_vec()
}

#[test]
fn authorities_are_those_that_were_put_in() {
    for (name, bytes) in TRUSTSTORES {
        let store = read(bytes, Role::Keystore, PASSWORD).unwrap_or_else(|error| panic!("{name}: {error:?}"));

        assert!(store.identity.is_none(), "{name}");
        assert_eq!(store.trusted, ca(), "{name}");
    }
}

#[test]
fn keys_in_a_store_of_authorities_are_left_alone() {
    for (name, bytes) in KEYSTORES {
        let store = read(bytes, Role::Truststore, Passwords { key: WRONG, ..PASSWORD }).unwrap();

        assert!(store.identity.is_none() && store.trusted.is_empty(), "{name}");
    }
}

#[test]
fn chain_begins_with_the_certificate_of_the_key() {
    let (chain, _) = read(store!("client-chain.p12"), Role::Keystore, PASSWORD).unwrap().identity.unwrap();

    let mut expected = pem(include_str!("../../../../mock/certs/client-chain.pem"));
    expected.extend(ca());
    assert_eq!(chain, expected);
}

#[test]
fn wrong_passwords_are_told_from_damage() {
    for (name, bytes) in KEYSTORES.into_iter().chain(TRUSTSTORES) {
        let error = read(bytes, Role::Keystore, Passwords { store: WRONG, key: None }).err();
        assert_eq!(error, Some(StoreError::WrongStorePassword), "{name}");
    }
    for (name, bytes) in KEYSTORES {
        let error = read(bytes, Role::Keystore, Passwords { key: WRONG, ..PASSWORD }).err();
        assert_eq!(error, Some(StoreError::WrongKeyPassword), "{name}");
    }
}

#[test]
fn keys_may_have_a_password_of_their_own() {
    let bytes = store!("client-two-passwords.jks");

    assert_eq!(read(bytes, Role::Keystore, PASSWORD).err(), Some(StoreError::WrongKeyPassword));
    let store = read(bytes, Role::Keystore, Passwords { key: Some("kafka-mock-key"), ..PASSWORD }).unwrap();
    assert_eq!(store.identity.unwrap().0, client());
}

#[test]
fn authorities_of_a_jks_can_be_read_without_a_password() {
    let none = Passwords { store: None, key: None };

    assert_eq!(read(store!("ca.jks"), Role::Keystore, none).unwrap().trusted, ca());
    assert_eq!(read(store!("ca.p12"), Role::Keystore, none).err(), Some(StoreError::NoPassword));
    assert_eq!(read(store!("client.jks"), Role::Keystore, none).err(), Some(StoreError::NoPassword));
}

#[test]
fn damaged_stores_do_no_harm() {
    let without_checksum = Passwords { store: None, key: PASSWORD.store };
    for (name, bytes, passwords) in [
        ("client-quick.p12", store!("client-quick.p12"), PASSWORD),
        ("client-old-quick.p12", store!("client-old-quick.p12"), PASSWORD),
        ("client.jks", store!("client.jks"), without_checksum),
        ("ca.jks", store!("ca.jks"), without_checksum),
    ] {
        assert!(read(bytes, Role::Keystore, passwords).is_ok(), "{name}");
        for cut in 0..bytes.len() - 20 {
            assert!(
                read(bytes.get(..cut).unwrap(), Role::Keystore, passwords).is_err(),
                "{name} cut at {cut}"
            );
        }
        for place in 0..bytes.len() {
            for value in [0, 0x30, 0x7f, 0x84, 0xff] {
                let mut bytes = bytes.to_vec();
                *bytes.get_mut(place).unwrap() = value;
                let _ = read(&bytes, Role::Keystore, passwords);
            }
        }
    }
}

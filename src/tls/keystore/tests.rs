use super::*;

fn text_of(role: Role, name: &str, bytes: &[u8], store_password: &str, key_password: &str) -> String {
    let (store, key) = (Secret::new(store_password), Secret::new(key_password));
    match open(role, name, bytes, &store, &key) {
        Ok(store) => format!("{} trusted", store.trusted.len()),
        Err(problem) => problem.to_string(),
    }
}

const CLIENT_P12: &[u8] = include_bytes!("../../../mock/certs/client.p12");
const CLIENT_JKS: &[u8] = include_bytes!("../../../mock/certs/client.jks");
const CA_JKS: &[u8] = include_bytes!("../../../mock/certs/ca.jks");
const CA_P12: &[u8] = include_bytes!("../../../mock/certs/ca.p12");
const CA_JCEKS: &[u8] = include_bytes!("../../../mock/certs/ca.jceks");

#[test]
fn formats_that_cannot_be_read_come_with_the_command_that_converts_them() {
    let der = [0x30, 0x82, 1, 0, 0x30, 0x81];
    assert_eq!(
        text_of(Role::Truststore, "ca.jceks", CA_JCEKS, "", ""),
        "ssl.truststore.location = ca.jceks: is a JCEKS store, which cannot be read: convert it by `keytool -list -rfc \
         -storetype JCEKS -keystore ca.jceks > ca.jceks.pem`, and set ssl.truststore.type=PEM"
    );
    assert_eq!(
        text_of(Role::Truststore, "ca.der", &der, "", ""),
        "ssl.truststore.location = ca.der: is a certificate in DER, which cannot be read: convert it by `openssl x509 \
         -inform DER -in ca.der -out ca.der.pem`, and set ssl.truststore.type=PEM"
    );
}

#[cfg(not(feature = "keystores"))]
#[test]
fn without_the_feature_errors_name_it_and_the_command_that_converts() {
    for (role, name, bytes, expected) in [
        (
            Role::Keystore,
            "client.p12",
            CLIENT_P12,
            "ssl.keystore.location = client.p12: is a PKCS#12 store, which needs kafka-producer to be built with its feature \
             \"keystores\"; or convert it by `openssl pkcs12 -in client.p12 -nodes -out client.p12.pem`, and set \
             ssl.keystore.type=PEM",
        ),
        (
            Role::Truststore,
            "ca.p12",
            CA_P12,
            "ssl.truststore.location = ca.p12: is a PKCS#12 store, which needs kafka-producer to be built with its feature \
             \"keystores\"; or convert it by `openssl pkcs12 -in ca.p12 -nokeys -out ca.p12.pem`, and set \
             ssl.truststore.type=PEM",
        ),
        (
            Role::Truststore,
            "ca.jks",
            CA_JKS,
            "ssl.truststore.location = ca.jks: is a JKS store, which needs kafka-producer to be built with its feature \
             \"keystores\"; or convert it by `keytool -list -rfc -keystore ca.jks > ca.jks.pem`, and set \
             ssl.truststore.type=PEM",
        ),
        (
            Role::Keystore,
            "client.jks",
            CLIENT_JKS,
            "ssl.keystore.location = client.jks: is a JKS store, which needs kafka-producer to be built with its feature \
             \"keystores\"; or convert it by `keytool -importkeystore -srckeystore client.jks -srcstoretype JKS \
             -destkeystore client.jks.p12 -deststoretype PKCS12 && openssl pkcs12 -in client.jks.p12 -nodes \
             -out client.jks.pem`, and set ssl.keystore.type=PEM",
        ),
    ] {
        assert_eq!(text_of(role, name, bytes, "kafka-mock", ""), expected);
    }
}

#[cfg(feature = "keystores")]
#[test]
fn stores_are_opened_by_their_passwords() {
    for (name, bytes) in [("ca.jks", CA_JKS), ("ca.p12", CA_P12)] {
        assert_eq!(text_of(Role::Truststore, name, bytes, "kafka-mock", ""), "1 trusted");
    }
    for (name, bytes) in [("client.jks", CLIENT_JKS), ("client.p12", CLIENT_P12)] {
        assert_eq!(text_of(Role::Keystore, name, bytes, "kafka-mock", "kafka-mock"), "0 trusted");
    }
}

#[cfg(feature = "keystores")]
#[test]
fn errors_of_passwords_name_the_key_to_set() {
    let two_passwords = include_bytes!("../../../mock/certs/client-two-passwords.jks");
    for (text, expected) in [
        (
            text_of(Role::Truststore, "ca.p12", CA_P12, "hunter2", ""),
            "ssl.truststore.password = [hidden]: is not the password of ca.p12, or that file is damaged",
        ),
        (
            text_of(Role::Truststore, "ca.p12", CA_P12, "", ""),
            "ssl.truststore.location = ca.p12: is encrypted, and ssl.truststore.password is not set",
        ),
        (
            text_of(Role::Keystore, "client.jks", CLIENT_JKS, "hunter2", ""),
            "ssl.keystore.password = [hidden]: is not the password of client.jks, or that file is damaged",
        ),
        (
            text_of(Role::Keystore, "client.jks", CLIENT_JKS, "kafka-mock", "hunter2"),
            "ssl.key.password = [hidden]: is not the password of the key in client.jks",
        ),
        (
            text_of(Role::Keystore, "two.jks", two_passwords, "kafka-mock", ""),
            "ssl.keystore.location = two.jks: has a key with another password than ssl.keystore.password: set ssl.key.password",
        ),
    ] {
        assert_eq!(text, expected);
        assert!(!text.contains("hunter2"));
    }
}

#[cfg(feature = "keystores")]
#[test]
fn damaged_stores_say_so() {
    let cut = &CA_JKS[..CA_JKS.len() - 30];
    assert_eq!(
        text_of(Role::Truststore, "ca.jks", cut, "", ""),
        "ssl.truststore.location = ca.jks: is a JKS store that is damaged; if another program can read it, convert it by \
         `keytool -list -rfc -keystore ca.jks > ca.jks.pem`, and set ssl.truststore.type=PEM"
    );
}

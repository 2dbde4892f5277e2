//! Lines for `OAuthBearerLoginModule`, as Java's handlers read their options.

use super::*;
use crate::config::{ProducerConfig, jaas};

const MODULE: &str = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required";

fn read(options: &str) -> Result<OAuthOptions, String> {
    match jaas::parse(&format!("{MODULE} {options};")) {
        Ok(Login::OAuth(options)) => Ok(options),
        Ok(other) => panic!("{other:?}"),
        Err(ConfigReason::Invalid(text) | ConfigReason::NotAvailable(text)) => Err(text),
        Err(other) => panic!("{other:?}"),
    }
}

/// The example in the documentation of Java's handler.
#[test]
fn options_for_unsecured_tokens_are_read_as_java_reads_them() {
    let options = r#"unsecuredLoginStringClaim_sub="thePrincipalName"
        unsecuredLoginListClaim_scope="|scopeValue1|scopeValue2" unsecuredLoginNumberClaim_n="1.5"
        unsecuredLoginLifetimeSeconds="60" unsecuredLoginExtension_traceId="123" other="x""#;

    let login = read(options).unwrap().unsecured().unwrap();

    assert_eq!(login.lifetime_s, 60);
    assert_eq!(login.extensions, [("traceId".to_owned(), "123".to_owned())]);
    let claims = Json::Object(login.claims).to_string();
    assert_eq!(claims, r#"{"sub":"thePrincipalName","n":1.5,"scope":["scopeValue1","scopeValue2"]}"#);
}

#[test]
fn name_of_the_user_may_be_in_another_claim() {
    let options = "unsecuredLoginPrincipalClaimName=\"user\" unsecuredLoginStringClaim_user=\"a\"";

    let login = read(options).unwrap().unsecured().unwrap();

    assert_eq!((login.lifetime_s, login.claims.len()), (3600, 1));
}

#[test]
fn what_is_wrong_with_unsecured_tokens_is_told() {
    let sub = "unsecuredLoginStringClaim_sub=alice";
    for (options, text) in [
        (
            "unsecuredLoginLifetimeSeconds=\"60\"",
            "has no option unsecuredLoginStringClaim_sub for the name of the user",
        ),
        (
            "unsecuredLoginStringClaim_sub=\"\"",
            "has no option unsecuredLoginStringClaim_sub for the name of the user",
        ),
        (
            &format!("{sub} unsecuredLoginLifetimeSeconds=\"1h\""),
            "unsecuredLoginLifetimeSeconds must be a whole number",
        ),
        (
            &format!("{sub} unsecuredLoginLifetimeSeconds=60"),
            "the value of unsecuredLoginLifetimeSeconds must be put in quotes",
        ),
        (&format!("{sub} unsecuredLoginNumberClaim_n=\"x\""), "unsecuredLoginNumberClaim_n must be a number"),
        (
            &format!("{sub} unsecuredLoginStringClaim_exp=\"1\""),
            "the claim exp of unsecured tokens cannot be set",
        ),
        (
            &format!("{sub} unsecuredLoginExtension_auth=\"1\""),
            "extension \"auth\" must have a name of ASCII letters other than auth",
        ),
        (
            &format!("{sub} unsecuredLoginExtension_a=\"\u{e4}\""),
            "extension a must have a value of printable ASCII characters",
        ),
    ] {
        assert_eq!(read(options).unwrap_err(), text, "{options}");
    }
}

#[test]
fn lists_are_separated_by_their_first_character() {
    let items = |value| Json::Array(list(value)).to_string();

    assert_eq!(items(""), "[]");
    assert_eq!(items("|"), "[]");
    assert_eq!(items(",a,b"), r#"["a","b"]"#);
    assert_eq!(items("\u{e4}a\u{e4}"), r#"["a",""]"#);
}

/// What comes of a configuration for OAUTHBEARER.
fn origin(properties: &[(&str, &str)]) -> Result<TokenOrigin, String> {
    let base = [("security.protocol", "SASL_PLAINTEXT"), ("sasl.mechanism", "OAUTHBEARER")];
    let config = ProducerConfig::new().bootstrap_servers("a:1").properties(base);
    let config = config.properties(properties.iter().copied());
    match config.settle() {
        Ok(settings) => Ok(settings.token_origin().unwrap()),
        Err(error) => Err(error.problems().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
    }
}

fn endpoint(properties: &[(&str, &str)]) -> TokenEndpoint {
    match origin(properties) {
        Ok(TokenOrigin::Endpoint(endpoint)) => *endpoint,
        other => panic!("{other:?}"),
    }
}

const URL: (&str, &str) = ("sasl.oauthbearer.token.endpoint.url", "http://idp/token");
const ID: (&str, &str) = ("sasl.oauthbearer.client.credentials.client.id", "me");
const SECRET: (&str, &str) = ("sasl.oauthbearer.client.credentials.client.secret", "hunter2");
const BEARER: (&str, &str) = (
    "sasl.oauthbearer.jwt.retriever.class",
    "org.apache.kafka.common.security.oauthbearer.JwtBearerJwtRetriever",
);
const ASSERTION: (&str, &str) = ("sasl.oauthbearer.assertion.file", "/assertion");

const OPTION: &str = "clientSecret in sasl.jaas.config";

fn by_secret(id: &str, secret: &str, named_by: &'static str) -> Grant {
    Grant::ClientCredentials(ClientProof::Secret {
        client_id: id.to_owned(),
        secret: Secret::new(secret),
        named_by,
        is_encoded: false,
    })
}

#[test]
#[cfg(feature = "sasl")]
fn keys_count_before_the_options_that_java_has_deprecated_for_them() {
    let line = format!(
        "{MODULE} clientId=\"old\" clientSecret=\"older\" scope=\"s\" extension_logicalCluster=\"lkc-1\";"
    );
    let line = ("sasl.jaas.config", line.as_str());

    let old = endpoint(&[URL, line]);
    assert_eq!((old.grant, old.scope.as_deref()), (by_secret("old", "older", OPTION), Some("s")));
    assert_eq!(old.extensions, [("logicalCluster".to_owned(), "lkc-1".to_owned())]);
    assert_eq!((old.connect_timeout.as_secs(), old.read_timeout.as_secs()), (10, 30));

    let times = [("sasl.login.connect.timeout.ms", "7"), ("sasl.login.read.timeout.ms", "0")];
    let new = endpoint(&[URL, line, ID, SECRET, ("sasl.oauthbearer.scope", " t "), times[0], times[1]]);
    assert_eq!((new.grant, new.scope.as_deref()), (by_secret("me", "hunter2", SECRET.0), Some("t")));
    assert_eq!((new.connect_timeout.as_millis(), new.read_timeout.as_secs()), (7, 30));

    assert_eq!(endpoint(&[URL, ID, SECRET]).grant, by_secret("me", "hunter2", SECRET.0), "no line is needed");
}

#[test]
#[cfg(feature = "sasl")]
fn file_is_preferred_to_a_key_and_that_to_a_secret() {
    let file = || Assertion::File("/assertion".into());
    let with_file = endpoint(&[URL, ID, SECRET, ASSERTION]).grant;
    let client_id = Some("me".to_owned());
    assert_eq!(with_file, Grant::ClientCredentials(ClientProof::Assertion { client_id, assertion: file() }));
    assert_eq!(endpoint(&[URL, BEARER, ASSERTION]).grant, Grant::JwtBearer(file()));

    let issuer = ("sasl.oauthbearer.assertion.claim.iss", "me");
    let key_is_missing = "sasl.oauthbearer.assertion.private.key.file: required";
    assert_eq!(origin(&[URL, ID, SECRET, issuer]).unwrap_err(), key_is_missing);
    assert_eq!(origin(&[URL, BEARER]).unwrap_err(), key_is_missing);
}

#[test]
#[cfg(feature = "sasl")]
fn urls_of_files_are_paths() {
    for url in ["file:/run/token", "file:///run/token", "FILE://localhost/run/token"] {
        let origin = origin(&[(URL.0, url)]).unwrap();
        assert_eq!(origin, TokenOrigin::File("/run/token".into(), Vec::new()), "{url}");
    }
}

#[test]
#[cfg(feature = "sasl")]
fn what_is_missing_or_wrong_is_named() {
    let plain = "PlainLoginModule required username=a password=hunter2;";
    let other_class = ("sasl.login.callback.handler.class", "com.example.Handler");
    for (properties, text) in [
        (&[][..], "sasl.oauthbearer.token.endpoint.url: required".to_owned()),
        (&[URL], format!("{}: required", ID.0)),
        (&[URL, ID], format!("{}: required", SECRET.0)),
        (&[(URL.0, "idp/token"), ID, SECRET], format!("{} = idp/token: must begin with https://, http:// or file:", URL.0)),
        (
            &[(URL.0, "https://me:hunter2@idp/token?key=hunter3"), ID, SECRET],
            format!("{} = https://[hidden]@idp/token: must have no name and password in it", URL.0),
        ),
        (
            &[URL, ID, SECRET, ("sasl.jaas.config", plain)],
            "sasl.jaas.config = [hidden]: must name org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule \
             with sasl.mechanism = OAUTHBEARER"
                .to_owned(),
        ),
        (
            &[URL, ID, SECRET, other_class],
            "sasl.login.callback.handler.class = com.example.Handler: Java classes cannot be loaded, use \
             `Sasl::oauth_bearer` with a `TokenProvider`"
                .to_owned(),
        ),
    ] {
        assert_eq!(origin(properties).unwrap_err(), text);
    }
    let https = origin(&[(URL.0, "https://idp/token"), ID, SECRET]);
    assert_eq!(https.is_ok(), cfg!(feature = "tls"), "{https:?}");
}

#[test]
#[cfg(feature = "sasl")]
fn endpoint_that_is_asked_in_clear_is_warned_of() {
    let told = |url: &str| {
        let base = [("security.protocol", "SASL_PLAINTEXT"), ("sasl.mechanism", "OAUTHBEARER")];
        let config = ProducerConfig::new().bootstrap_servers("a:1").properties(base);
        config.properties([(URL.0, url), ID, SECRET]).doubtful_security()
    };

    let warned = told("http://idp.example/token?key=hunter3");
    let text =
        "sasl.oauthbearer.token.endpoint.url is http://idp.example/token: everyone on the way there can read";
    assert!(
        matches!(&warned[..], [only] if only.starts_with(text) && only.ends_with("use https")),
        "{warned:?}"
    );
    for url in
        ["http://localhost:8080/token", "http://127.0.0.1/", "http://[::1]/", "https://idp/", "file:/token"]
    {
        assert_eq!(told(url), Vec::<String>::new(), "{url}");
    }
}

#[test]
#[cfg(feature = "sasl")]
fn secrets_are_shown_nowhere() {
    let line = format!("{MODULE} clientSecret=\"hunter3\";");
    let passphrase = ("sasl.oauthbearer.assertion.private.key.passphrase", "hunter4");
    let properties = [URL, ID, SECRET, passphrase, ("sasl.jaas.config", &line)];
    let config = ProducerConfig::new().properties(properties);

    let shown = format!("{config:?} {config:#?} {:?} {:?}", endpoint(&properties), config.get(SECRET.0));

    assert!(shown.contains("[hidden]") && !shown.contains("hunter"), "{shown}");
}

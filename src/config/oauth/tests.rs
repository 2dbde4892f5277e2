//! Lines for `OAuthBearerLoginModule`, as Java's handlers read their options.

use super::*;
use crate::config::jaas;

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

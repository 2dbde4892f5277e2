//! Lines as Java's `StreamTokenizer` reads them; what it makes of each was worked out from its documentation.

use super::*;

const PLAIN: &str = "org.apache.kafka.common.security.plain.PlainLoginModule";

fn read(text: &str) -> (String, String) {
    let Ok(Login::Password(Credentials { username, password, .. })) = parse(text) else { panic!("{text}") };
    (username, password.expose().to_owned())
}

fn refused(text: &str) -> String {
    match parse(text).unwrap_err() {
        ConfigReason::Invalid(text) | ConfigReason::NotAvailable(text) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn lines_that_people_have_are_understood() {
    for line in [
        r#"org.apache.kafka.common.security.plain.PlainLoginModule required username="alice" password="secret";"#,
        r#"org.apache.kafka.common.security.scram.ScramLoginModule required username="alice" password="secret";"#,
        r#"kafkashaded.org.apache.kafka.common.security.plain.PlainLoginModule required username='alice' password='secret';"#,
        "PlainLoginModule REQUIRED\n  username = alice\n  password = secret ;  ",
        r#"PlainLoginModule sufficient serviceName="kafka" password="secret" user_bob="x" username="alice";"#,
        r#"PlainLoginModule optional // who
           username="alice" /* and
           how */ password="secret"; / the rest"#,
        r#"PlainLoginModule required username="bob" username="alice" password="secret";"#,
    ] {
        assert_eq!(read(line), ("alice".to_owned(), "secret".to_owned()), "{line}");
    }
}

#[test]
fn quoted_values_are_read_as_in_java() {
    for (quoted, value) in [
        (r#""a;b=c d""#, "a;b=c d"),
        (r#""say \"hi\"""#, "say \"hi\""),
        (r#"'say "hi"'"#, "say \"hi\""),
        (r#""back\\slash""#, "back\\slash"),
        (r#""\t\n\q""#, "\t\nq"),
        (r#""\101\1018\4012""#, "AA8 12"),
        (r#""\377""#, "\u{ff}"),
        (r#""// no comment""#, "// no comment"),
        ("\"Grüße 🔑\"", "Grüße 🔑"),
        ("Grüße_$-9.x", "Grüße_$-9.x"),
        ("$ecret", "$ecret"),
    ] {
        let line = format!("{PLAIN} required username=\"u\" password={quoted};");

        assert_eq!(read(&line).1, value, "{quoted}");
    }
}

#[test]
fn what_is_wrong_with_a_line_is_told() {
    for (line, text) in [
        ("", "names no login module"),
        ("=", "must begin with the name of a login module"),
        ("X required;", "the login module is not known"),
        ("com.sun.security.auth.module.Krb5LoginModule required;", "must say where tickets come from"),
        ("PlainLoginModule", "`required` must come after"),
        ("PlainLoginModule username=\"u\" password=\"p\";", "`required` must come after"),
        ("PlainLoginModule required username=\"u\" password=\"p\"", "must end with a semicolon"),
        ("PlainLoginModule required username=\"u\";", "has no option password"),
        ("PlainLoginModule required username=\"\" password=\"p\";", "has no option username"),
        ("PlainLoginModule required password=\"p\";", "has no option username"),
        (
            "PlainLoginModule required username=\"u\" password=123;",
            "the value of password must be put in quotes",
        ),
        ("PlainLoginModule required username=u password=-1;", "the value of password must be put in quotes"),
        ("PlainLoginModule required username=u password=p@ss;", "a value that must be put in quotes"),
        ("PlainLoginModule required username password=\"p\";", "every option must have a value"),
        ("PlainLoginModule required username=u password=p; X required;", "one login module only"),
    ] {
        let found = refused(line);

        assert!(found.contains(text), "{line}: {found}");
    }
}

#[test]
fn no_error_repeats_what_may_be_a_password() {
    for line in [
        "hunter2",
        "hunter2 required;",
        "PlainLoginModule hunter2",
        "PlainLoginModule required hunter2",
        "PlainLoginModule required username=u password=p@hunter2;",
        "PlainLoginModule required username=u password=1hunter2;",
        "PlainLoginModule required username=u password=p;hunter2",
        "PlainLoginModule required username=\"u\" password=\"hunter2\"",
    ] {
        let found = refused(line);

        assert!(!found.contains("hunter2"), "{line}: {found}");
    }
}

#[test]
fn any_text_is_read_or_refused() {
    proptest::proptest!(|(text in r#"(PlainLoginModule required )?[a-z0-9"'\\/*=; .\-\n\u{e4}@]{0,60}"#)| {
        let _ = parse(&text);
    });
}

#[test]
fn delegation_tokens_are_for_the_module_of_scram() {
    for (line, is_token) in [
        ("ScramLoginModule required username=u password=p tokenauth=\"true\";", true),
        ("a.ScramLoginModule required tokenauth=TRUE username=u password=p;", true),
        ("ScramLoginModule required username=u password=p tokenauth=\"no\";", false),
        ("ScramLoginModule required username=u password=p;", false),
        ("PlainLoginModule required username=u password=p tokenauth=\"true\";", false),
    ] {
        let Ok(Login::Password(credentials)) = parse(line) else { panic!("{line}") };
        assert_eq!(credentials.is_token, is_token, "{line}");
    }
}

#[test]
fn lines_for_amazon_are_understood_but_for_roles() {
    let module = "software.amazon.msk.auth.iam.IAMLoginModule required";
    let read = |options: &str| parse(&format!("{module} {options};"));

    assert_eq!(read("").unwrap(), Login::Aws(AwsOrigin::Chain { profile: None }));
    let profile = Some("orders".to_owned());
    assert_eq!(
        read("awsProfileName=\"orders\" awsDebugCreds=\"true\"").unwrap(),
        Login::Aws(AwsOrigin::Chain { profile })
    );
    if cfg!(not(feature = "tls")) {
        return;
    }
    let role = AwsRole::new("arn:aws:iam::1:role/x");
    assert_eq!(
        read("awsRoleArn=\"arn:aws:iam::1:role/x\"").unwrap(),
        Login::Aws(AwsOrigin::Role(Box::new(role.clone())))
    );
    let all = "awsRoleArn=\"arn:aws:iam::1:role/x\" awsRoleSessionName=\"me\" awsRoleExternalId=\"e\" awsStsRegion=\"eu-west-1\" \
               awsRoleAccessKeyId=\"A\" awsRoleSecretAccessKey=\"hunter2\" awsRoleSessionToken=\"hunter3\"";
    let credentials = AwsCredentials::new("A", "hunter2").session_token("hunter3");
    let role = role.session_name("me").external_id("e").region("eu-west-1").credentials(credentials);
    let login = read(all).unwrap();
    assert_eq!(login, Login::Aws(AwsOrigin::Role(Box::new(role))));
    assert!(!format!("{login:?}").contains("hunter"), "{login:?}");
    for (options, text) in [
        ("awsProfileName=\"p\" awsRoleArn=\"arn:x\"", "must have one of awsProfileName and awsRoleArn"),
        (
            "awsRoleArn=\"arn:x\" awsRoleAccessKeyId=\"A\"",
            "must have both awsRoleAccessKeyId and awsRoleSecretAccessKey",
        ),
    ] {
        let refused = refused(&format!("{module} {options};"));
        assert!(refused.contains(text) && !refused.contains("arn:"), "{refused}");
    }
}

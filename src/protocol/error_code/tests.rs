//! The table of error codes, compared with that of Java's client.

use super::ErrorCode;

/// Code, name, retriable and invalid metadata of every error that Java knows.
fn java_errors() -> impl Iterator<Item = (i16, &'static str, bool, bool)> {
    include_str!("../testdata/errors.txt").lines().filter(|line| !line.starts_with('#')).map(|line| {
        let fields: Vec<&str> = line.split('|').collect();
        let [code, name, retriable, invalid_metadata] = fields[..] else { panic!("{line}") };
        (code.parse().unwrap(), name, retriable == "true", invalid_metadata == "true")
    })
}

#[test]
fn every_code_agrees_with_java() {
    assert_eq!(java_errors().count(), 135);
    for (code, name, retriable, invalid_metadata) in java_errors() {
        let error = ErrorCode::from(code);

        assert_eq!(error.code(), code);
        assert_eq!(error.name(), name);
        assert_eq!(error.is_retriable(), retriable, "{name}");
        assert_eq!(error.is_invalid_metadata(), invalid_metadata, "{name}");
    }
}

#[test]
fn variants_are_named_after_their_codes() {
    for (code, name, ..) in java_errors() {
        let variant = format!("{:?}", ErrorCode::from(code));

        assert_eq!(variant.to_uppercase(), name.replace('_', ""));
    }
}

#[test]
fn code_that_java_does_not_know_is_unknown() {
    let known: Vec<i16> = java_errors().map(|(code, ..)| code).collect();
    for code in i16::MIN..=i16::MAX {
        let error = ErrorCode::from(code);

        assert_eq!(error.code(), code);
        assert_eq!(error == ErrorCode::Unknown(code), !known.contains(&code));
    }
    assert!(!ErrorCode::Unknown(999).is_retriable());
    assert!(!ErrorCode::Unknown(999).is_invalid_metadata());
}

#[test]
fn display_is_name_and_number() {
    assert_eq!(ErrorCode::NotLeaderOrFollower.to_string(), "NOT_LEADER_OR_FOLLOWER (6)");
    assert_eq!(ErrorCode::Unknown(999).to_string(), "UNKNOWN (999)");
}

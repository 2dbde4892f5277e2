//! Certificates, keys and credentials: what stands in files and properties, and what servers answer.

use kafka_producer::__internals as inside;

use super::input::Input;

/// Any text in PEM, that of a key or of certificates.
pub(crate) fn pem(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Err(told) = inside::read_pem(&text) else { return };
    // A label is at most 64 characters that no base64 in small letters has. Nothing else of the text is told.
    let label = ["a line with BEGIN is damaged", " has no end", " is no base64"]
        .iter()
        .find_map(|end| told.strip_suffix(end));
    let label = label.unwrap_or_else(|| panic!("{told}"));
    assert!(label.len() <= 64 && !label.contains(|c: char| c.is_ascii_lowercase()), "{told}");
}

/// Any bytes as a certificate in DER.
pub(crate) fn certificate(data: &[u8]) {
    let mut told = None;
    let memory = allocation_counter::measure(|| told = inside::describe_certificate(data));

    if let Some(told) = told {
        assert!(!told.contains(char::is_control), "{told:?}");
        // Subject, issuer and twenty names.
        assert!(told.chars().count() <= 24 * 260, "{}", told.len());
    }
    let limit = 64 * 1024 + 64 * u64::try_from(data.len()).expect("inputs are small");
    assert!(memory.bytes_max <= limit, "{} bytes for {}", memory.bytes_max, data.len());
}

/// Any bytes as a store of Java's. The first byte chooses the password.
pub(crate) fn keystore(data: &[u8]) {
    let Some((choice, bytes)) = data.split_first() else { return };
    let password = ["kafka-mock", "", "hunter2"][usize::from(choice % 3)];
    let mut result = Ok(0);
    let memory = allocation_counter::measure(|| result = inside::open_keystore(bytes, password));

    if let Err(told) = result {
        assert!(!told.contains("hunter2") && told.len() < 2000, "{told}");
    }
    // What a length in the file says is not believed.
    let limit = 256 * 1024 + 64 * u64::try_from(bytes.len()).expect("inputs are small");
    assert!(memory.bytes_max <= limit, "{} bytes for {}", memory.bytes_max, bytes.len());
}

/// Any answer of AWS's endpoints, or any file of profiles. The first byte chooses which; the second where a secret stands in it.
pub(crate) fn aws(data: &[u8]) {
    let mut input = Input::new(data);
    let (kind, place) = (input.byte(), input.byte());
    let text = String::from_utf8_lossy(input.rest()).into_owned();
    let middle = (0..=text.len()).rev().find(|at| *at <= usize::from(place) && text.is_char_boundary(*at));
    let (before, behind) = text.split_at(middle.unwrap_or(0));
    let text = format!("{before}{SECRET}{behind}");

    let told = match kind % 4 {
        0 => inside::read_aws_credentials(&text),
        1 => inside::read_aws_role(200, &text),
        // Words of a refusal are told, on one line.
        2 => {
            let told = inside::read_aws_role(400, &text).expect_err("a refusal has no credentials");
            assert!(!told.contains(char::is_control) && told.chars().count() < 1200, "{told:?}");
            return;
        }
        _ => inside::read_aws_profile(&text),
    };

    let told = told.unwrap_or_else(|told| told);
    assert!(!told.contains(SECRET), "{told}");
}

/// Any text as the URL of a token endpoint, with a secret in front of the host or in the query.
pub(crate) fn url(data: &[u8]) {
    let text = String::from_utf8_lossy(data);

    for text in [
        text.to_string(),
        format!("{text}?{SECRET}"),
        format!("https://{SECRET}@{text}"),
        format!("https://me:{SECRET}?{text}@idp"),
        format!("https://me:{text}#{SECRET}@idp"),
        format!("{SECRET}@{text}"),
    ] {
        let (shown, parsed) = inside::read_url(&text);
        let told = format!("{shown} {parsed:?}");
        assert!(!told.contains(char::is_control) && told.len() < 8000 + 2 * text.len(), "{told}");
        assert!(
            data.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()) || !told.contains(SECRET),
            "{told}"
        );
    }
}

/// Any text as an access token, or as the claims of one.
pub(crate) fn jwt(data: &[u8]) {
    let mut input = Input::new(data);
    let is_claims = input.byte() & 1 == 1;
    let now_ms = i64::from(input.byte()) * 10_000_000_000;
    let text = String::from_utf8_lossy(input.rest());

    let told = inside::describe_token(&text, is_claims, now_ms);

    assert!(told.starts_with("the token ") && !told.contains(char::is_control), "{told:?}");
    assert!(told.chars().count() < 1000, "{}", told.len());
}

const SECRET: &str = "hunter2";

//! Certificates and keys in text: base64 between lines that say what it is (RFC 7468).

use zeroize::Zeroizing;

use crate::base64;

/// One thing in a text.
#[derive(PartialEq, Eq)]
pub(super) struct Section {
    /// Such as `CERTIFICATE`.
    pub(super) label: String,
    /// The lines above the base64, as OpenSSL's old encrypted keys have.
    pub(super) has_headers: bool,
    /// Maybe a key.
    pub(super) der: Zeroizing<Vec<u8>>,
}

/// Reads everything in a text. What stands between the sections is left out, as OpenSSL prints it there.
///
/// Line breaks count as blanks: in properties, a whole file may stand in one line.
///
/// # Errors
///
/// A section has no end, or its content is no base64.
pub(super) fn sections(text: &str) -> Result<Vec<Section>, String> {
    let mut sections = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(BEGIN) {
        let (label, after) = after.split_once(DASHES).filter(|(label, _)| is_label(label)).ok_or(CUT_OFF)?;
        let end = format!("-----END {label}-----");
        let (content, after) = after.split_once(end.as_str()).ok_or_else(|| format!("{label} has no end"))?;
        // `Proc-Type: 4,ENCRYPTED` and the like, up to an empty line.
        let has_headers = content.contains(':');
        let digits: Zeroizing<String> =
            Zeroizing::new(content.chars().filter(|c| !c.is_ascii_whitespace()).collect());
        let der = if has_headers { Some(Vec::new()) } else { base64::decode(&digits) };
        let der = der.ok_or_else(|| format!("{label} is no base64"))?;
        sections.push(Section { label: label.to_owned(), has_headers, der: Zeroizing::new(der) });
        rest = after;
    }
    Ok(sections)
}

/// Without a dash at its end a label would go on to the next dashes, with a key in it that errors would show.
fn is_label(label: &str) -> bool {
    label.len() <= LONGEST_LABEL && label.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b' '))
}

const BEGIN: &str = "-----BEGIN ";
const DASHES: &str = "-----";
const CUT_OFF: &str = "a line with BEGIN is damaged";
/// `ENCRYPTED PRIVATE KEY` and the like are shorter.
const LONGEST_LABEL: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = include_str!("../../mock/certs/server.key");

    fn is_base64(byte: u8) -> bool {
        byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')
    }

    #[test]
    fn no_damage_to_a_text_makes_its_error_show_the_key() {
        let secret: String = KEY.lines().filter(|line| !line.starts_with('-')).collect();
        let parts: Vec<_> =
            secret.as_bytes().windows(12).filter(|part| part.iter().all(|b| is_base64(*b))).collect();
        assert!(parts.len() > 50);

        let mut failures = 0;
        for place in 0..KEY.len() {
            let (before, after) = KEY.split_at(place);
            let without = format!("{before}{}", &after[1..]);
            let doubled = format!("{before}{}{after}", &after[..1]);
            let other = format!("{before}~{}", &after[1..]);
            for text in [without, doubled, other] {
                let Err(error) = sections(&text) else { continue };
                failures += 1;
                let shown = error.as_bytes();
                assert!(!shown.windows(12).any(|part| parts.contains(&part)), "{place}: {error}");
            }
        }
        assert!(failures > 50, "{failures}");
    }

    #[test]
    fn everything_in_a_text_is_found() {
        let text =
            format!("Bag Attributes\n{KEY}subject=CN\n{}", include_str!("../../mock/certs/server-chain.pem"));

        let sections = sections(&text).unwrap();

        let labels: Vec<_> = sections.iter().map(|section| section.label.as_str()).collect();
        assert_eq!(labels, ["PRIVATE KEY", "CERTIFICATE", "CERTIFICATE"]);
        assert!(sections.iter().all(|section| !section.has_headers && section.der.first() == Some(&0x30)));
    }
}

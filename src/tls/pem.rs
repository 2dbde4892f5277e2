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
        let (label, after) = after.split_once(DASHES).ok_or("a line with BEGIN is cut off")?;
        let end = format!("-----END {label}-----");
        let (content, after) =
            after.split_once(end.as_str()).ok_or_else(|| format!("{} has no end", label.escape_debug()))?;
        // `Proc-Type: 4,ENCRYPTED` and the like, up to an empty line.
        let has_headers = content.contains(':');
        let digits: Zeroizing<String> =
            Zeroizing::new(content.chars().filter(|c| !c.is_ascii_whitespace()).collect());
        let der = if has_headers { Some(Vec::new()) } else { base64::decode(&digits) };
        let der = der.ok_or_else(|| format!("{} is no base64", label.escape_debug()))?;
        sections.push(Section { label: label.to_owned(), has_headers, der: Zeroizing::new(der) });
        rest = after;
    }
    Ok(sections)
}

const BEGIN: &str = "-----BEGIN ";
const DASHES: &str = "-----";

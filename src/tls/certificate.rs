//! What a certificate says of itself (RFC 5280), for users to read. Nothing is concluded from it but words.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::calendar::days_before;
use crate::wire::readable_within;

/// The parts of a certificate that users know it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Certificate {
    /// As OpenSSL and Java print it, such as `CN=kafka-1,O=Example`.
    pub(super) subject: String,
    pub(super) issuer: String,
    /// In seconds since 1970.
    pub(super) not_before: i64,
    pub(super) not_after: i64,
    /// The DNS names and IP addresses that it is for.
    pub(super) names: Vec<String>,
}

impl Certificate {
    /// Returns what is in a certificate, or `None` if it cannot be read.
    pub(super) fn read(der: &[u8]) -> Option<Self> {
        let mut body = Der(Der(Der(der).expect(SEQUENCE)?).expect(SEQUENCE)?);
        // The version, unless it is the first.
        if body.0.first() == Some(&0xa0) {
            body.next()?;
        }
        let _serial = body.next()?;
        let _algorithm = body.expect(SEQUENCE)?;
        let issuer = name(body.expect(SEQUENCE)?)?;
        let mut validity = Der(body.expect(SEQUENCE)?);
        let subject = name(body.expect(SEQUENCE)?)?;
        let _key = body.expect(SEQUENCE)?;
        let (not_before, not_after) = (time(validity.next()?)?, time(validity.next()?)?);
        let mut names = Vec::new();
        while let Some((tag, content)) = body.next() {
            if tag == 0xa3 {
                names = alternative_names(content).unwrap_or_default();
            }
        }
        Some(Self { subject, issuer, not_before, not_after, names })
    }

    pub(super) fn is_valid_at(&self, seconds: i64) -> bool {
        (self.not_before..=self.not_after).contains(&seconds)
    }
}

/// Bytes in which values follow each other, each with a tag and a length.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// Takes the next value. The length may have up to four bytes.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (tag, rest) = self.0.split_first()?;
        let (first, rest) = rest.split_first()?;
        let (len, rest) = match usize::from(*first) {
            len @ ..=0x7f => (len, rest),
            count @ 0x81..=0x84 => {
                let (digits, rest) = rest.split_at_checked(count - 0x80)?;
                (digits.iter().fold(0, |len, digit| len << 8 | usize::from(*digit)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        Some((*tag, content))
    }

    /// Takes the next value if it has this tag.
    fn expect(&mut self, wanted: u8) -> Option<&'a [u8]> {
        self.next().filter(|(tag, _)| *tag == wanted).map(|(_, content)| content)
    }
}

/// Prints a name, its last part first (RFC 4514).
fn name(der: &[u8]) -> Option<String> {
    let mut parts = Vec::new();
    let mut sets = Der(der);
    while let Some(set) = sets.expect(SET) {
        let mut pair = Der(Der(set).expect(SEQUENCE)?);
        let kind = pair.expect(OBJECT_ID)?;
        let (_, value) = pair.next()?;
        let kind = match kind {
            [85, 4, 3] => "CN",
            [85, 4, 6] => "C",
            [85, 4, 7] => "L",
            [85, 4, 8] => "ST",
            [85, 4, 10] => "O",
            [85, 4, 11] => "OU",
            [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25] => "DC",
            _ => "?",
        };
        parts.push(format!("{kind}={}", String::from_utf8_lossy(value)));
    }
    parts.reverse();
    Some(readable_within(&parts.join(","), LONGEST_NAME))
}

/// Finds the names in the extensions.
fn alternative_names(extensions: &[u8]) -> Option<Vec<String>> {
    let mut extensions = Der(Der(extensions).expect(SEQUENCE)?);
    while let Some(extension) = extensions.expect(SEQUENCE) {
        let mut extension = Der(extension);
        if extension.expect(OBJECT_ID)? != [85, 29, 17] {
            continue;
        }
        let value = std::iter::from_fn(|| extension.next()).find(|(tag, _)| *tag == OCTET_STRING)?.1;
        let mut all = Der(Der(value).expect(SEQUENCE)?);
        let names = std::iter::from_fn(|| all.next()).filter_map(|(tag, content)| match tag {
            0x82 => Some(readable_within(&String::from_utf8_lossy(content), LONGEST_NAME)),
            0x87 => match content.len() {
                4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(content).ok()?).to_string()),
                16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(content).ok()?).to_string()),
                _ => None,
            },
            _ => None,
        });
        return Some(names.take(MOST_NAMES).collect());
    }
    None
}

/// Reads `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`.
fn time((tag, text): (u8, &[u8])) -> Option<i64> {
    let digits = text.strip_suffix(b"Z").filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    let number = |digits: &[u8]| digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = digits.split_at_checked(2)?;
            // RFC 5280, section 4.1.2.5.1.
            (if number(year) < 50 { 2000 + number(year) } else { 1900 + number(year) }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = digits.split_at_checked(4)?;
            (number(year), rest)
        }
        _ => return None,
    };
    let (parts, []) = rest.as_chunks::<2>() else { return None };
    let [month, day, hour, minute, second] =
        parts.iter().map(|digits| number(digits)).collect::<Vec<_>>()[..]
    else {
        return None;
    };
    Some(days_before(year, month, day) * DAY + hour * 3600 + minute * 60 + second)
}

const DAY: i64 = 86_400;

const OCTET_STRING: u8 = 0x04;
const OBJECT_ID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;

/// No host has a longer name. What is longer crowds out what the user is to do about it.
const LONGEST_NAME: usize = 253;

/// More names of a certificate are of no help to a user.
const MOST_NAMES: usize = 20;

#[cfg(test)]
mod tests {
    use kafka_mock::{MockCertificate, MockTls};
    use proptest::prelude::*;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    use super::*;
    use crate::calendar::utc;

    fn der(pem: &str) -> Vec<u8> {
        CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
    }

    /// What `openssl x509 -noout -subject -issuer -dates -ext subjectAltName -nameopt RFC2253` prints.
    #[test]
    fn certificates_are_read_as_openssl_prints_them() {
        let server = Certificate::read(&der(MockCertificate::SERVER.chain_pem())).unwrap();
        let ca = Certificate::read(&der(MockTls::ca_pem())).unwrap();
        let expired = Certificate::read(&der(MockCertificate::SERVER_EXPIRED.chain_pem())).unwrap();

        assert_eq!(server.subject, "CN=localhost");
        assert_eq!(server.issuer, "O=kafka-mock,CN=kafka-mock test CA");
        assert_eq!(server.names, ["localhost", "127.0.0.1", "::1"]);
        assert_eq!(utc(server.not_before), "2020-01-01 00:00:00 UTC");
        assert_eq!(utc(server.not_after), "2120-01-01 00:00:00 UTC");
        assert_eq!((&ca.subject, &ca.issuer), (&server.issuer, &server.issuer));
        assert_eq!(ca.names, [""; 0]);
        assert_eq!(utc(expired.not_before), "2019-01-01 00:00:00 UTC");
        assert_eq!(utc(expired.not_after), "2020-01-01 00:00:00 UTC");
    }

    #[test]
    fn times_are_read_in_both_forms() {
        assert_eq!(time((UTC_TIME, b"491231235959Z")).map(utc).as_deref(), Some("2049-12-31 23:59:59 UTC"));
        assert_eq!(time((UTC_TIME, b"500101000000Z")).map(utc).as_deref(), Some("1950-01-01 00:00:00 UTC"));
        assert_eq!(time((GENERALIZED_TIME, b"2100030100000Z")), None);
    }

    #[test]
    fn cut_and_damaged_certificates_are_no_reason_to_panic() {
        let whole = der(MockCertificate::SERVER.chain_pem());
        for len in 0..whole.len() {
            assert_eq!(Certificate::read(&whole[..len]), None);
        }
        for place in 0..whole.len() {
            for value in [0, 0x7f, 0x80, 0x84, 0xff] {
                let mut damaged = whole.clone();
                damaged[place] = value;
                let _ = Certificate::read(&damaged);
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_no_reason_to_panic(bytes: Vec<u8>) {
            let _ = Certificate::read(&bytes);
            let _ = time((GENERALIZED_TIME, &bytes));
        }

        #[test]
        fn dates_come_back(seconds in -62_000_000_000_i64..250_000_000_000) {
            let text = utc(seconds);
            let digits: String = text.chars().filter(char::is_ascii_digit).collect();
            prop_assert_eq!(time((GENERALIZED_TIME, format!("{digits}Z").as_bytes())), Some(seconds));
        }
    }
}

//! DER (X.690), read one element at a time: the binary form of certificates, keys and PKCS#12 files.

/// What is left to read. Lengths are believed only as far as there are bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Der<'a>(&'a [u8]);

/// The bytes are no DER, or not of the expected kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DerError;

/// One element.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    /// Tag, length and content.
    pub(super) whole: &'a [u8],
}

pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT_ID: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
/// `[0]`, with the tag of what it stands for inside.
pub(super) const CONTEXT_0: u8 = 0xa0;
/// `[0]` in place of the tag of a primitive element.
pub(super) const CONTEXT_0_PRIMITIVE: u8 = 0x80;

impl<'a> Der<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn next(&mut self) -> Result<Element<'a>, DerError> {
        let all = self.0;
        let (&[tag, first], rest) = all.split_first_chunk::<2>().ok_or(DerError)?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            // So many bytes of length follow. None would be a length that is open, which DER does not have.
            0x81..=0x84 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f)).ok_or(DerError)?;
                (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
            }
            _ => return Err(DerError),
        };
        let (content, rest) = rest.split_at_checked(length).ok_or(DerError)?;
        let whole = all.get(..all.len() - rest.len()).ok_or(DerError)?;
        self.0 = rest;
        Ok(Element { tag, content, whole })
    }

    /// Returns the content of the next element, which must have this tag.
    pub(super) fn read(&mut self, tag: u8) -> Result<&'a [u8], DerError> {
        let element = self.next()?;
        if element.tag == tag { Ok(element.content) } else { Err(DerError) }
    }

    /// Steps into the next element, which must have this tag.
    pub(super) fn enter(&mut self, tag: u8) -> Result<Self, DerError> {
        self.read(tag).map(Self)
    }

    /// Returns the content of the next element if it has this tag, and otherwise leaves it where it is.
    pub(super) fn read_if(&mut self, tag: u8) -> Result<Option<&'a [u8]>, DerError> {
        if self.0.first() == Some(&tag) { self.read(tag).map(Some) } else { Ok(None) }
    }

    /// Returns a number that is not negative.
    pub(super) fn number(&mut self) -> Result<u32, DerError> {
        let digits = self.read(INTEGER)?;
        let (first, _) = digits.split_first().ok_or(DerError)?;
        if *first >= 0x80 {
            return Err(DerError);
        }
        digits.iter().try_fold(0_u32, |number, digit| {
            let number = number.checked_mul(256).ok_or(DerError)?;
            number.checked_add(u32::from(*digit)).ok_or(DerError)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_come_one_after_the_other() {
        let mut der = Der::new(&[0x30, 5, 2, 1, 7, 4, 0, 6, 1, 42]);

        let mut inner = der.enter(SEQUENCE).unwrap();
        assert_eq!(inner.number(), Ok(7));
        assert_eq!(inner.read_if(SET), Ok(None));
        assert_eq!(inner.read_if(OCTET_STRING), Ok(Some(&[][..])));
        assert!(inner.is_empty());
        let element = der.next().unwrap();
        assert_eq!((element.tag, element.content, element.whole), (OBJECT_ID, &[42][..], &[6, 1, 42][..]));
        assert!(der.is_empty());
    }

    #[test]
    fn lengths_of_up_to_four_bytes_are_read() {
        for header in [&[4, 0x81, 200][..], &[4, 0x82, 0, 200], &[4, 0x84, 0, 0, 0, 200]] {
            let bytes = [header, &[1; 200]].concat();
            assert_eq!(Der::new(&bytes).read(OCTET_STRING), Ok(&[1; 200][..]));
        }
    }

    #[test]
    fn what_is_cut_off_or_open_is_refused() {
        for bytes in [
            &[][..],
            &[4],
            &[4, 1],
            &[4, 0x80, 0, 0],
            &[4, 0x81],
            &[4, 0x84, 0xff, 0xff, 0xff, 0xff],
            &[4, 0x85],
        ] {
            assert!(Der::new(bytes).next().is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn numbers_are_small_and_not_negative() {
        for (bytes, number) in [
            (&[2, 1, 0][..], Ok(0)),
            (&[2, 5, 0, 255, 255, 255, 255], Ok(u32::MAX)),
            (&[2, 5, 1, 0, 0, 0, 0], Err(DerError)),
            (&[2, 1, 0x80], Err(DerError)),
            (&[2, 0], Err(DerError)),
        ] {
            assert_eq!(Der::new(bytes).number(), number, "{bytes:?}");
        }
    }
}

//! Reading and writing Kafka's primitive types, in both of their fashions.

/// A position in a request.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
    /// Compact lengths and tagged fields.
    pub flexible: bool,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, flexible: false }
    }

    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*taken)
    }

    pub fn i8(&mut self) -> Option<i8> {
        self.array().map(i8::from_be_bytes)
    }

    pub fn i16(&mut self) -> Option<i16> {
        self.array().map(i16::from_be_bytes)
    }

    pub fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_be_bytes)
    }

    pub fn uuid(&mut self) -> Option<[u8; 16]> {
        self.array()
    }

    fn varint(&mut self) -> Option<u32> {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let [byte] = self.array()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// The length of something; `None` inside for null.
    pub fn length(&mut self, is_short: bool) -> Option<Option<usize>> {
        let length = if self.flexible {
            i64::from(self.varint()?) - 1
        } else if is_short {
            i64::from(self.i16()?)
        } else {
            i64::from(self.i32()?)
        };
        Some(usize::try_from(length).ok())
    }

    pub fn string(&mut self) -> Option<Option<&'a str>> {
        match self.length(true)? {
            None => Some(None),
            Some(length) => std::str::from_utf8(self.take(length)?).ok().map(Some),
        }
    }

    /// A string that is never compact: the client id of the header.
    pub fn old_string(&mut self) -> Option<()> {
        if let Ok(length) = usize::try_from(self.i16()?) {
            self.take(length)?;
        }
        Some(())
    }

    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.length(false)?.unwrap_or(0);
        self.take(length)
    }

    pub fn tags(&mut self) -> Option<()> {
        if self.flexible {
            for _ in 0..self.varint()? {
                self.varint()?;
                let length = self.varint()?;
                self.take(length as usize)?;
            }
        }
        Some(())
    }
}

/// Appends to a response.
#[derive(Debug)]
pub struct Writer<'a> {
    pub out: &'a mut Vec<u8>,
    pub flexible: bool,
}

impl Writer<'_> {
    pub fn i8(&mut self, value: i8) {
        self.out.extend(value.to_be_bytes());
    }

    pub fn i16(&mut self, value: i16) {
        self.out.extend(value.to_be_bytes());
    }

    pub fn i32(&mut self, value: i32) {
        self.out.extend(value.to_be_bytes());
    }

    pub fn i64(&mut self, value: i64) {
        self.out.extend(value.to_be_bytes());
    }

    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    fn varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.out.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }

    /// The length of an array.
    pub fn array(&mut self, count: usize) {
        if self.flexible { self.varint(count as u32 + 1) } else { self.i32(count as i32) }
    }

    pub fn string(&mut self, text: &str) {
        if self.flexible {
            self.varint(text.len() as u32 + 1)
        } else {
            self.i16(text.len() as i16)
        }
        self.raw(text.as_bytes());
    }

    pub fn null_string(&mut self) {
        if self.flexible { self.varint(0) } else { self.i16(-1) }
    }

    pub fn ids(&mut self, ids: &[i32]) {
        self.array(ids.len());
        for id in ids {
            self.i32(*id);
        }
    }

    pub fn tags(&mut self) {
        if self.flexible {
            self.out.push(0);
        }
    }
}

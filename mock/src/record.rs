//! Records of format v2: a reader that never trusts a length, and what tests get to see.

use bytes::Bytes;

/// A record as a consumer would read it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MockRecord {
    /// Place of the record in its partition.
    pub offset: i64,
    /// Milliseconds since 1970, as the producer set them.
    pub timestamp: i64,
    /// Key, `None` if null.
    pub key: Option<Bytes>,
    /// Value, `None` if null (a tombstone).
    pub value: Option<Bytes>,
    /// Headers in the producer's order. Keys that are not UTF-8 are shown with replacement characters.
    pub headers: Vec<(String, Option<Bytes>)>,
}

/// One record, borrowed from the (decompressed) bytes of its batch.
#[derive(Debug)]
pub(crate) struct RecordView<'a> {
    pub(crate) timestamp_delta: i64,
    pub(crate) offset_delta: i32,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    header_count: i32,
    headers: &'a [u8],
}

impl RecordView<'_> {
    /// Copies nothing: keys and values share `records`, from which this view was read.
    pub(crate) fn to_record(&self, base_offset: i64, base_timestamp: i64, records: &Bytes) -> MockRecord {
        let share = |part: Option<&[u8]>| part.map(|part| records.slice_ref(part));
        let mut reader = Reader { rest: self.headers };
        let mut headers = Vec::new();
        for _ in 0..self.header_count {
            // The headers were walked once when the view was made.
            let Ok((key, value)) = reader.header() else { break };
            headers.push((String::from_utf8_lossy(key).into_owned(), share(value)));
        }
        MockRecord {
            offset: base_offset.saturating_add(self.offset_delta.into()),
            timestamp: base_timestamp.saturating_add(self.timestamp_delta),
            key: share(self.key),
            value: share(self.value),
            headers,
        }
    }
}

/// Reads the records of a batch one after the other.
#[derive(Debug)]
pub(crate) struct RecordReader<'a> {
    reader: Reader<'a>,
}

impl<'a> RecordReader<'a> {
    pub(crate) fn new(records: &'a [u8]) -> Self {
        Self { reader: Reader { rest: records } }
    }

    /// Returns the next record, `None` at the end of the bytes, or why the bytes are no record.
    pub(crate) fn next_record(&mut self) -> Result<Option<RecordView<'a>>, String> {
        if self.reader.rest.is_empty() {
            return Ok(None);
        }
        let length = self.reader.varint()?;
        let mut body = Reader { rest: self.reader.take(length)? };
        body.take(1)?; // attributes, unused
        let timestamp_delta = body.varlong()?;
        let offset_delta = body.varint()?;
        let key = body.nullable_bytes()?;
        let value = body.nullable_bytes()?;
        let header_count = body.varint()?;
        if header_count < 0 {
            return Err(format!("record has {header_count} headers"));
        }
        let headers = body.rest;
        for _ in 0..header_count {
            body.header()?;
        }
        if !body.rest.is_empty() {
            return Err(format!("record has {} bytes after its headers", body.rest.len()));
        }
        Ok(Some(RecordView { timestamp_delta, offset_delta, key, value, header_count, headers }))
    }
}

#[derive(Debug)]
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: i32) -> Result<&'a [u8], String> {
        let wanted = usize::try_from(length).map_err(|_| format!("length {length} is negative"))?;
        let Some((taken, rest)) = self.rest.split_at_checked(wanted) else {
            return Err(format!("length {length} passes the end of the record"));
        };
        self.rest = rest;
        Ok(taken)
    }

    fn nullable_bytes(&mut self) -> Result<Option<&'a [u8]>, String> {
        match self.varint()? {
            -1 => Ok(None),
            length => self.take(length).map(Some),
        }
    }

    fn header(&mut self) -> Result<(&'a [u8], Option<&'a [u8]>), String> {
        let key = self.nullable_bytes()?.ok_or("header key is null")?;
        Ok((key, self.nullable_bytes()?))
    }

    fn varint(&mut self) -> Result<i32, String> {
        let zigzag = u32::try_from(self.unsigned_varint(5)?).map_err(|_| "varint exceeds 32 bits")?;
        Ok((zigzag >> 1) as i32 ^ -((zigzag & 1) as i32))
    }

    fn varlong(&mut self) -> Result<i64, String> {
        let zigzag = self.unsigned_varint(10)?;
        Ok((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
    }

    fn unsigned_varint(&mut self, max_bytes: u32) -> Result<u64, String> {
        let mut value = 0_u64;
        for index in 0..max_bytes {
            let Some((&byte, rest)) = self.rest.split_first() else {
                return Err("record ends inside a varint".to_owned());
            };
            self.rest = rest;
            value |= u64::from(byte & 0x7f).checked_shl(index * 7).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(format!("varint is longer than {max_bytes} bytes"))
    }
}

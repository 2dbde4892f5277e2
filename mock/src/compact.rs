//! Parts of flexible versions that `kafka-protocol` does not know yet, read by hand. Lengths were checked before, by `shape`.

use bytes::{Buf, Bytes};

/// A string, which may be null.
pub(crate) fn string(bytes: &mut Bytes) -> Option<Option<String>> {
    let Some(length) = length(bytes)?.checked_sub(1) else { return Some(None) };
    if length > bytes.len() {
        return None;
    }
    String::from_utf8(bytes.split_to(length).to_vec()).ok().map(Some)
}

/// An array; null is an empty one.
pub(crate) fn array<T>(
    bytes: &mut Bytes,
    mut element: impl FnMut(&mut Bytes) -> Option<T>,
) -> Option<Vec<T>> {
    let count = length(bytes)?.saturating_sub(1);
    (0..count).map(|_| element(bytes)).collect()
}

/// Tags, none of which mean anything to the mock.
pub(crate) fn skip_tags(bytes: &mut Bytes) -> Option<()> {
    for _ in 0..length(bytes)? {
        length(bytes)?;
        let size = length(bytes)?;
        if size > bytes.len() {
            return None;
        }
        bytes.advance(size);
    }
    Some(())
}

fn length(bytes: &mut Bytes) -> Option<usize> {
    let (mut length, mut shift) = (0_usize, 0);
    loop {
        let byte = bytes.try_get_u8().ok()?;
        length |= usize::from(byte & 0x7f).checked_shl(shift)?;
        shift += 7;
        if byte & 0x80 == 0 {
            return Some(length);
        }
    }
}

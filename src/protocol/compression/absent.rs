//! Stands in for the codecs that the crate is built without. The configuration has refused them by then.

pub(super) fn compress(_records: &[u8], _level: i32, _output: &mut Vec<u8>) -> Option<()> {
    None
}

pub(super) fn decompress(_compressed: &[u8], _limit: usize) -> Option<Vec<u8>> {
    None
}

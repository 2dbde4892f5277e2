//! Bytes that Java wrote.

/// Returns version and bytes of every line of `golden.txt` whose name is `name`; a header's version counts
/// from 1.
pub(super) fn golden(name: &str) -> Vec<(i16, Vec<u8>)> {
    let lines = include_str!("testdata/golden.txt").lines();
    let found: Vec<_> = lines
        .filter_map(|line| {
            let (line_name, line) = line.split_once('|')?;
            let (version, hex) = line.split_once('|')?;
            let version = version.trim_start_matches(char::is_alphabetic);
            (line_name == name).then(|| (version.parse().unwrap(), bytes(hex)))
        })
        .collect();
    assert!(!found.is_empty(), "no golden bytes of {name}");
    found
}

/// Returns the batch that Java wrote with this codec; see `batches.txt` for its records.
pub(super) fn golden_batch(codec: &str) -> Vec<u8> {
    let lines = include_str!("testdata/batches.txt").lines();
    let found = lines.filter_map(|line| line.split_once('|')).find(|(name, _)| *name == codec);
    bytes(found.unwrap_or_else(|| panic!("no golden batch of {codec}")).1)
}

fn bytes(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2));
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

//! Which versions brokers of past releases offer; read from the client libraries of those releases.

use crate::api::Api;
use crate::error::MockError;
use crate::versions::VersionTable;

/// The versions of a release such as `"3.9"` or `"3.9.2"`, or `None` if it is not known.
pub(crate) fn versions_of(release: &str) -> Option<VersionTable> {
    let mut numbers = release.split('.').map(str::parse::<u8>);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else { return None };
    let is_known = match major {
        0 => minor == 11,
        1 => minor <= 1,
        2 => minor <= 8,
        3 => minor <= 9,
        4 => minor <= 3,
        _ => false,
    };
    let (_, highest) =
        HIGHEST.iter().rev().find(|(since, _)| *since <= (major, minor)).filter(|_| is_known)?;
    table(major, *highest).ok()
}

fn table(major: u8, highest: [i16; 8]) -> Result<VersionTable, MockError> {
    let mut table = VersionTable::newest();
    for (api, max) in COLUMNS.into_iter().zip(highest) {
        // 4.0 dropped what clients older than 2.1 need (KIP-896), but goes on announcing Produce from 0.
        let min = if major < 4 || api == Api::Produce { 0 } else { api.served().min };
        table.set(api, min, max.min(api.served().max))?;
    }
    Ok(table)
}

const COLUMNS: [Api; 8] = [
    Api::Produce,
    Api::Fetch,
    Api::ListOffsets,
    Api::Metadata,
    Api::ApiVersions,
    Api::CreateTopics,
    Api::DeleteTopics,
    Api::InitProducerId,
];

/// Highest versions in the order of [`COLUMNS`], by the first release that has them, ascending.
const HIGHEST: [((u8, u8), [i16; 8]); 19] = [
    ((0, 11), [3, 5, 2, 4, 1, 2, 1, 0]),
    ((1, 0), [5, 6, 2, 5, 1, 2, 1, 0]),
    ((1, 1), [5, 7, 2, 5, 1, 2, 1, 0]),
    ((2, 0), [6, 8, 3, 6, 2, 3, 2, 1]),
    ((2, 1), [7, 10, 4, 7, 2, 3, 3, 1]),
    ((2, 2), [7, 10, 5, 7, 2, 3, 3, 1]),
    ((2, 3), [7, 11, 5, 8, 2, 3, 3, 1]),
    ((2, 4), [8, 11, 5, 9, 3, 5, 4, 2]),
    ((2, 5), [8, 11, 5, 9, 3, 5, 4, 3]),
    ((2, 7), [8, 12, 5, 9, 3, 6, 5, 4]),
    ((2, 8), [9, 12, 6, 11, 3, 7, 6, 4]),
    ((3, 0), [9, 12, 7, 11, 3, 7, 6, 4]),
    ((3, 1), [9, 13, 7, 12, 3, 7, 6, 4]),
    ((3, 5), [9, 15, 8, 12, 3, 7, 6, 4]),
    ((3, 7), [10, 16, 8, 12, 3, 7, 6, 4]),
    ((3, 8), [11, 16, 8, 12, 3, 7, 6, 5]),
    ((3, 9), [11, 17, 9, 12, 4, 7, 6, 5]),
    ((4, 0), [12, 17, 10, 13, 4, 7, 6, 5]),
    ((4, 1), [13, 18, 10, 13, 4, 7, 6, 5]),
];

#[cfg(test)]
mod tests {
    use super::{HIGHEST, versions_of};
    use crate::api::Api;

    #[test]
    fn releases_are_in_ascending_order() {
        assert!(HIGHEST.is_sorted_by(|earlier, later| earlier.0 < later.0));
    }

    #[test]
    fn a_release_offers_what_it_did() {
        let old = versions_of("1.0").unwrap();
        assert!(old.offers(Api::Produce, 5) && !old.offers(Api::Produce, 6));

        let between = versions_of("2.6.3").unwrap();
        assert!(between.offers(Api::Metadata, 9) && !between.offers(Api::Metadata, 10));

        let new = versions_of("4.0.0").unwrap();
        assert!(new.offers(Api::Produce, 12) && !new.offers(Api::Produce, 13) && !new.offers(Api::Fetch, 3));
    }

    #[test]
    fn unknown_releases_are_refused() {
        for release in ["", "4", "0.10", "1.2", "2.9", "4.9", "5.0", "x.y"] {
            assert!(versions_of(release).is_none(), "{release}");
        }
    }
}

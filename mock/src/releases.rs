//! Which versions brokers of past releases offer, and how they treat transactions; read from the client libraries of those releases.

use crate::api::Api;
use crate::error::MockError;
use crate::features::Features;
use crate::versions::VersionTable;

/// What brokers of a release are like.
#[derive(Debug, Clone)]
pub(crate) struct Release {
    pub(crate) versions: VersionTable,
    pub(crate) features: Features,
    pub(crate) verifies_transactions: bool,
}

impl Release {
    /// The newest release that the mock knows.
    pub(crate) fn newest() -> Self {
        Self { versions: VersionTable::newest(), features: Features::default(), verifies_transactions: true }
    }
}

/// A release such as `"3.9"` or `"3.9.2"`, or `None` if it is not known.
pub(crate) fn release_of(release: &str) -> Option<Release> {
    let mut numbers = release.split('.').map(str::parse::<u8>);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else { return None };
    let is_known = match major {
        0 => minor == 11,
        1 => minor <= 1,
        2 => minor <= 8,
        3 => minor <= 9,
        4 => minor <= 4,
        _ => false,
    };
    let (_, highest) =
        HIGHEST.iter().rev().find(|(since, _)| *since <= (major, minor)).filter(|_| is_known)?;
    Some(Release {
        versions: table(major, *highest).ok()?,
        features: if major < 4 { Features::none() } else { Features::default() },
        verifies_transactions: (major, minor) >= FIRST_THAT_VERIFIES,
    })
}

fn table(major: u8, highest: [i16; 19]) -> Result<VersionTable, MockError> {
    let mut table = VersionTable::newest();
    for (api, max) in COLUMNS.into_iter().zip(highest) {
        // 4.0 dropped what clients older than 2.1 need (KIP-896), but goes on announcing Produce from 0.
        let min = if major < 4 || api == Api::Produce { 0 } else { api.served().min };
        table.set(api, min, max.min(api.served().max))?;
    }
    Ok(table)
}

/// KIP-890, first part.
const FIRST_THAT_VERIFIES: (u8, u8) = (3, 6);

const COLUMNS: [Api; 19] = [
    Api::Produce,
    Api::Fetch,
    Api::ListOffsets,
    Api::Metadata,
    Api::ApiVersions,
    Api::CreateTopics,
    Api::DeleteTopics,
    Api::InitProducerId,
    Api::FindCoordinator,
    Api::AddPartitionsToTxn,
    Api::AddOffsetsToTxn,
    Api::EndTxn,
    Api::TxnOffsetCommit,
    Api::JoinGroup,
    Api::SyncGroup,
    Api::Heartbeat,
    Api::LeaveGroup,
    Api::OffsetCommit,
    Api::OffsetFetch,
];

/// Highest versions in the order of [`COLUMNS`], by the first release that has them, ascending.
const HIGHEST: [((u8, u8), [i16; 19]); 23] = [
    ((0, 11), [3, 5, 2, 4, 1, 2, 1, 0, 1, 0, 0, 0, 0, 2, 1, 1, 1, 3, 3]),
    ((1, 0), [5, 6, 2, 5, 1, 2, 1, 0, 1, 0, 0, 0, 0, 2, 1, 1, 1, 3, 3]),
    ((1, 1), [5, 7, 2, 5, 1, 2, 1, 0, 1, 0, 0, 0, 0, 2, 1, 1, 1, 3, 3]),
    ((2, 0), [6, 8, 3, 6, 2, 3, 2, 1, 2, 1, 1, 1, 1, 3, 2, 2, 2, 4, 4]),
    ((2, 1), [7, 10, 4, 7, 2, 3, 3, 1, 2, 1, 1, 1, 2, 3, 2, 2, 2, 6, 5]),
    ((2, 2), [7, 10, 5, 7, 2, 3, 3, 1, 2, 1, 1, 1, 2, 4, 2, 2, 2, 6, 5]),
    ((2, 3), [7, 11, 5, 8, 2, 3, 3, 1, 2, 1, 1, 1, 2, 5, 3, 3, 2, 7, 5]),
    ((2, 4), [8, 11, 5, 9, 3, 5, 4, 2, 3, 1, 1, 1, 2, 6, 4, 4, 4, 8, 6]),
    ((2, 5), [8, 11, 5, 9, 3, 5, 4, 3, 3, 1, 1, 1, 3, 7, 5, 4, 4, 8, 7]),
    ((2, 7), [8, 12, 5, 9, 3, 6, 5, 4, 3, 2, 2, 2, 3, 7, 5, 4, 4, 8, 7]),
    ((2, 8), [9, 12, 6, 11, 3, 7, 6, 4, 3, 3, 3, 3, 3, 7, 5, 4, 4, 8, 7]),
    ((3, 0), [9, 12, 7, 11, 3, 7, 6, 4, 4, 3, 3, 3, 3, 7, 5, 4, 4, 8, 8]),
    ((3, 1), [9, 13, 7, 12, 3, 7, 6, 4, 4, 3, 3, 3, 3, 7, 5, 4, 4, 8, 8]),
    ((3, 2), [9, 13, 7, 12, 3, 7, 6, 4, 4, 3, 3, 3, 3, 9, 5, 4, 5, 8, 8]),
    ((3, 5), [9, 15, 8, 12, 3, 7, 6, 4, 4, 3, 3, 3, 3, 9, 5, 4, 5, 8, 8]),
    ((3, 6), [9, 15, 8, 12, 3, 7, 6, 4, 4, 4, 3, 3, 3, 9, 5, 4, 5, 8, 8]),
    ((3, 7), [10, 16, 8, 12, 3, 7, 6, 4, 4, 4, 3, 3, 3, 9, 5, 4, 5, 9, 9]),
    ((3, 8), [11, 16, 8, 12, 3, 7, 6, 5, 5, 5, 4, 4, 4, 9, 5, 4, 5, 9, 9]),
    ((3, 9), [11, 17, 9, 12, 4, 7, 6, 5, 6, 5, 4, 4, 4, 9, 5, 4, 5, 9, 9]),
    ((4, 0), [12, 17, 10, 13, 4, 7, 6, 5, 6, 5, 4, 5, 5, 9, 5, 4, 5, 9, 9]),
    ((4, 1), [13, 18, 10, 13, 4, 7, 6, 5, 6, 5, 4, 5, 5, 9, 5, 4, 5, 9, 9]),
    ((4, 2), [13, 18, 10, 13, 4, 7, 6, 5, 6, 5, 4, 5, 5, 9, 5, 4, 5, 10, 10]),
    ((4, 4), [13, 18, 10, 13, 5, 7, 6, 5, 6, 5, 4, 5, 6, 9, 5, 4, 5, 10, 10]),
];

#[cfg(test)]
mod tests {
    use super::{HIGHEST, release_of};
    use crate::api::Api;
    use crate::transactions::Protocol;

    #[test]
    fn releases_are_in_ascending_order() {
        assert!(HIGHEST.is_sorted_by(|earlier, later| earlier.0 < later.0));
    }

    #[test]
    fn a_release_offers_what_it_did() {
        let old = release_of("1.0").unwrap().versions;
        assert!(old.offers(Api::Produce, 5) && !old.offers(Api::Produce, 6));

        let between = release_of("2.6.3").unwrap().versions;
        assert!(between.offers(Api::Metadata, 9) && !between.offers(Api::Metadata, 10));

        let new = release_of("4.0.0").unwrap().versions;
        assert!(new.offers(Api::Produce, 12) && !new.offers(Api::Produce, 13) && !new.offers(Api::Fetch, 3));
    }

    #[test]
    fn a_release_serves_transactions_as_it_did() {
        let highest = |release: &str, api: Api| {
            let versions = release_of(release).unwrap().versions;
            versions.offered().find(|(offered, _)| *offered == api).map(|(_, range)| range.max)
        };
        // `validVersions` of the requests in the client library of each release, `SCHEMAS` before 2.2.
        let apis = [
            Api::FindCoordinator,
            Api::AddPartitionsToTxn,
            Api::AddOffsetsToTxn,
            Api::EndTxn,
            Api::TxnOffsetCommit,
        ];
        for (release, expected) in [
            ("1.0.2", [1, 0, 0, 0, 0]),
            ("2.3.0", [2, 1, 1, 1, 2]),
            ("2.8.2", [3, 3, 3, 3, 3]),
            ("3.7.0", [4, 4, 3, 3, 3]),
            ("3.9.2", [6, 5, 4, 4, 4]),
            ("4.3.1", [6, 5, 4, 5, 5]),
            ("4.4.0", [6, 5, 4, 5, 6]),
        ] {
            let found = apis.map(|api| highest(release, api));
            assert_eq!(found, expected.map(Some), "{release}");
        }
        let of = |release: &str| {
            let release = release_of(release).unwrap();
            (release.features.protocol(), release.verifies_transactions)
        };
        assert_eq!(of("3.5.1"), (Protocol::V1, false));
        assert_eq!(of("3.6.0"), (Protocol::V1, true));
        assert_eq!(of("4.0.0"), (Protocol::V2, true));
    }

    #[test]
    fn a_release_serves_groups_as_it_did() {
        // What `ApiKeys` of the client library of each release says, as far as the mock can serve it.
        let apis = [
            Api::JoinGroup,
            Api::SyncGroup,
            Api::Heartbeat,
            Api::LeaveGroup,
            Api::OffsetCommit,
            Api::OffsetFetch,
        ];
        for (release, expected) in [
            ("1.0.2", [2, 1, 1, 1, 3, 3]),
            ("2.1.1", [3, 2, 2, 2, 6, 5]),
            ("2.3.1", [5, 3, 3, 2, 7, 5]),
            ("2.8.2", [7, 5, 4, 4, 8, 7]),
            ("3.2.3", [9, 5, 4, 5, 8, 8]),
            ("3.9.2", [9, 5, 4, 5, 9, 9]),
            ("4.3.1", [9, 5, 4, 5, 9, 9]),
        ] {
            let versions = release_of(release).unwrap().versions;
            let found = apis.map(|api| versions.offered().find(|(offered, _)| *offered == api));
            assert_eq!(found.map(|found| found.unwrap().1.max), expected, "{release}");
        }
    }

    #[test]
    fn unknown_releases_are_refused() {
        for release in ["", "4", "0.10", "1.2", "2.9", "4.9", "5.0", "x.y"] {
            assert!(release_of(release).is_none(), "{release}");
        }
    }
}

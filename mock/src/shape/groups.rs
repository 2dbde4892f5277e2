//! Requests of consumer groups.

use super::Walk;

impl Walk<'_> {
    pub(super) fn heartbeat(&mut self, version: i16) -> Option<()> {
        self.string()?; // group
        self.skip(4)?; // generation
        self.string()?; // member
        if version >= 3 {
            self.string()?; // instance
        }
        self.tags()
    }

    pub(super) fn join_group(&mut self, version: i16) -> Option<()> {
        self.string()?; // group
        self.skip(4)?; // session timeout
        if version >= 1 {
            self.skip(4)?; // rebalance timeout
        }
        self.string()?; // member
        if version >= 5 {
            self.string()?; // instance
        }
        self.string()?; // protocol type
        self.array(|protocol| {
            protocol.string()?;
            protocol.bytes()?; // metadata
            protocol.tags()
        })?;
        if version >= 8 {
            self.string()?; // reason
        }
        self.tags()
    }

    pub(super) fn leave_group(&mut self, version: i16) -> Option<()> {
        self.string()?; // group
        if version < 3 {
            self.string()?; // member
            return self.tags();
        }
        self.array(|member| {
            member.string()?;
            member.string()?; // instance
            if version >= 5 {
                member.string()?; // reason
            }
            member.tags()
        })?;
        self.tags()
    }

    pub(super) fn offset_commit(&mut self, version: i16) -> Option<()> {
        self.string()?; // group
        self.skip(4)?; // generation
        self.string()?; // member
        if version >= 7 {
            self.string()?; // instance
        }
        if version <= 4 {
            self.skip(8)?; // retention time
        }
        self.array(|topic| {
            topic.string()?;
            topic.array(|partition| {
                let leader_epoch = if version >= 6 { 4 } else { 0 };
                partition.skip(4 + 8 + leader_epoch)?; // index, offset
                partition.string()?; // metadata
                partition.tags()
            })?;
            topic.tags()
        })?;
        self.tags()
    }

    pub(super) fn offset_fetch(&mut self, version: i16) -> Option<()> {
        if version >= 8 {
            self.array(|group| {
                group.string()?;
                if version >= 9 {
                    group.string()?; // member
                    group.skip(4)?; // epoch
                }
                group.partitions_by_topic()?;
                group.tags()
            })?;
        } else {
            self.string()?; // group
            self.partitions_by_topic()?;
        }
        if version >= 7 {
            self.skip(1)?; // whether offsets must be stable
        }
        self.tags()
    }

    pub(super) fn sync_group(&mut self, version: i16) -> Option<()> {
        self.string()?; // group
        self.skip(4)?; // generation
        self.string()?; // member
        if version >= 3 {
            self.string()?; // instance
        }
        if version >= 5 {
            self.string()?; // protocol type
            self.string()?; // protocol
        }
        self.array(|assignment| {
            assignment.string()?; // member
            assignment.bytes()?;
            assignment.tags()
        })?;
        self.tags()
    }
}

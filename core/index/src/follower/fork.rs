//! Going back to where the chain that was followed and the chain that the node serves part.

use set_chain::BlockRef;
use tracing::{info, warn};

use super::{FollowError, Follower, Outcome};
use crate::{chain_logs::read_headers, decoder::LogDecoder};

/// How blocks that were followed compare with the chain that a node serves.
#[derive(Debug, Default)]
struct Comparison {
    /// The first that it has.
    common: Option<BlockRef>,
    /// Whether it has another block in the place of one before that.
    forked: bool,
}

impl<D: LogDecoder> Follower<D> {
    /// Goes back to the newest block followed that is still in the chain.
    ///
    /// A block that the node lacks shows nothing, as it may be behind; one that it has with another hash does.
    pub(super) async fn go_back(&self, cursor: BlockRef, head: BlockRef) -> Result<Outcome, FollowError> {
        let highest = cursor.number.min(head.number);
        let (checkpoints, anchor) = self.index.query(move |reader| reader.checkpoints(highest)).await?;
        let behind = |needed: u64| FollowError::Behind {
            head: head.number,
            needed,
        };
        let mut rest = checkpoints.as_slice();
        let (mut group, mut forked) = (16, false);
        // Most reorgs are a few blocks deep.
        while !rest.is_empty() {
            let (near, far) = rest.split_at(group.min(rest.len()));
            let found = self.compare(near).await?;
            forked |= found.forked;
            match found.common {
                // The chain holds what was followed after all: nodes behind one address disagree.
                Some(common) if common == cursor => return Err(FollowError::Moved(head.number)),
                Some(common) if forked => return self.take_back(cursor, common).await,
                Some(_) => return Err(behind(cursor.number)),
                None => {}
            }
            (rest, group) = (far, 4 * group);
        }
        let Some(anchor) = anchor else { return Ok(Outcome::More) };
        let found = self.compare(&[anchor]).await?;
        match found.common {
            Some(anchor) if forked => self.take_back(cursor, anchor).await,
            // The same chain, but the node has not got far: taking everything back would only cost.
            Some(_) => Err(behind(cursor.number)),
            None if !forked && !found.forked => Err(behind(anchor.number)),
            None => {
                warn!(
                    block = anchor.number,
                    "the node serves another chain than before; following anew"
                );
                self.index.clear().await?;
                Ok(Outcome::More)
            }
        }
    }

    /// Compares blocks followed, the newest first, with what the node has.
    async fn compare(&self, blocks: &[BlockRef]) -> Result<Comparison, FollowError> {
        let numbers: Vec<u64> = blocks.iter().map(|block| block.number).collect();
        let headers = read_headers(&self.provider, &numbers).await?;
        let mut found = Comparison::default();
        for block in blocks {
            match headers.get(&block.number) {
                Some(header) if header.hash == block.hash => {
                    found.common = Some(*block);
                    break;
                }
                Some(_) => found.forked = true,
                None => {}
            }
        }
        Ok(found)
    }

    async fn take_back(&self, cursor: BlockRef, to: BlockRef) -> Result<Outcome, FollowError> {
        let commitments = self.index.roll_back(to).await?;
        self.index.confirm();
        metrics::counter!("set_index_rollbacks_total").increment(1);
        info!(
            from = cursor.number,
            to = to.number,
            commitments,
            "the chain was reorganised; took back what it undid"
        );
        Ok(Outcome::More)
    }
}

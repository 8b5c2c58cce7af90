//! Going on where the node has dropped the history that is asked for.

use set_chain::BlockRef;
use set_types::LogFilter;
use tracing::{debug, warn};

use super::{FollowError, Follower};
use crate::{
    chain_logs::{is_pruned, read_range},
    decoder::LogDecoder,
};

impl<D: LogDecoder> Follower<D> {
    /// Goes on behind what the node has dropped, and says whether there is a place to go on from.
    pub(super) async fn leave_out(&self, error: &FollowError, head: Option<BlockRef>) -> bool {
        let cause = match error {
            FollowError::Refused { cause, .. } | FollowError::Node { cause, .. } => cause,
            _ => return false,
        };
        let Some(head) = head.filter(|_| is_pruned(cause)) else {
            return false;
        };
        match self.go_on_behind(head).await {
            Ok(Some(block)) => {
                warn!(
                    from = block.number + 1,
                    cause, "the node has dropped older history; the index holds nothing of it"
                );
                true
            }
            Ok(None) => false,
            Err(error) => {
                debug!(%error, "what the node has kept cannot be found out");
                false
            }
        }
    }

    /// Puts the cursor in front of the earliest block whose logs the node still has; `None` if it has none.
    async fn go_on_behind(&self, head: BlockRef) -> Result<Option<BlockRef>, FollowError> {
        let filter = self.decoder.log_filter().await.map_err(FollowError::Submitter)?;
        let from_block = self.options.from_block.max(filter.from_block.unwrap_or(0));
        let first = match self.index.synced().borrow().block {
            Some(cursor) => cursor.number + 1,
            None => from_block,
        };
        let (mut dropped, mut kept) = (first, head.number);
        let mut before = match self.kept(&filter, kept).await? {
            Some(before) if dropped < kept => before,
            _ => return Ok(None),
        };
        while kept - dropped > 1 {
            let middle = dropped + (kept - dropped) / 2;
            match self.kept(&filter, middle).await? {
                Some(block) => (kept, before) = (middle, block),
                None => dropped = middle,
            }
        }
        self.index.skip(before).await?;
        Ok(Some(before))
    }

    /// The block before `number`, if the node has it and the logs of `number`.
    async fn kept(&self, filter: &LogFilter, number: u64) -> Result<Option<BlockRef>, FollowError> {
        match read_range(&self.provider, filter, number.saturating_sub(1), number).await {
            Ok(range) => Ok(range.before.filter(|_| range.last.is_some())),
            Err(FollowError::Refused { cause, .. } | FollowError::Node { cause, .. }) if is_pruned(&cause) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

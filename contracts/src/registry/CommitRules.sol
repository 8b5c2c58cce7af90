// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IRegistryEvents} from "./IRegistryEvents.sol";
import {StatusWord} from "./StatusWord.sol";

/// @notice A batch that a sequencer wants to commit.
/// @dev The range is wider than its storage, so that a run's sums can't wrap before they are checked.
struct Proposal {
    bytes32 batchId;
    bytes32 eventsRoot;
    bytes32 prevStateRoot;
    bytes32 newStateRoot;
    uint256 sequenceStart;
    uint256 sequenceEnd;
    uint32 eventCount;
}

/// @title CommitRules
/// @notice What a batch must satisfy to be committed, in the order in which it is checked: ids, the stream's binding, range
/// and count, roots, existence, continuity. Authorisation and pause concern the whole call and come before.
/// @dev Each rule answers empty bytes, or the revert data of the error that is to be reported: `commitBatch` reverts with
/// it, `commitBatches` reports its selector.
library CommitRules {
    /// @notice Sequence number at which a sequencer starts every stream.
    uint256 internal constant GENESIS_SEQUENCE = 1;

    function checkBatchId(bytes32 batchId) internal pure returns (bytes memory violation) {
        if (batchId == 0) return abi.encodeWithSelector(IRegistryEvents.EmptyBatchId.selector);
    }

    /// @dev The stream's ids, and that it is not another sequencer's.
    /// @param boundTo The stream's sequencer; zero where it is not bound.
    function checkStream(bytes32 tenantId, bytes32 storeId, address boundTo)
        internal
        view
        returns (bytes memory violation)
    {
        if (tenantId == 0) return abi.encodeWithSelector(IRegistryEvents.EmptyTenantId.selector);
        if (storeId == 0) return abi.encodeWithSelector(IRegistryEvents.EmptyStoreId.selector);
        if (boundTo != address(0) && boundTo != msg.sender) {
            return abi.encodeWithSelector(IRegistryEvents.StreamBoundToSequencer.selector, boundTo);
        }
    }

    /// @dev Range, count, events root, and that the id is free.
    function checkContent(Proposal memory proposal, bool exists) internal pure returns (bytes memory violation) {
        uint256 start = proposal.sequenceStart;
        uint256 end = proposal.sequenceEnd;
        if (end < start || end > type(uint64).max) {
            return abi.encodeWithSelector(IRegistryEvents.InvalidSequenceRange.selector);
        }
        uint256 count;
        unchecked {
            count = end - start + 1;
        }
        if (count > type(uint64).max) return abi.encodeWithSelector(IRegistryEvents.InvalidSequenceRange.selector);
        if (count != proposal.eventCount) {
            return abi.encodeWithSelector(IRegistryEvents.InvalidEventCount.selector, count, proposal.eventCount);
        }
        if (proposal.eventsRoot == 0) return abi.encodeWithSelector(IRegistryEvents.EmptyEventsRoot.selector);
        if (exists) return abi.encodeWithSelector(IRegistryEvents.BatchAlreadyCommitted.selector);
    }

    /// @dev That the batch continues its stream.
    /// @param opened Whether the stream has a head.
    /// @param stateRoot The state root that the batch must start from.
    /// @param nextSequence The sequence number that it must start with; past 64 bits where the stream is full.
    function checkContinuity(
        Proposal memory proposal,
        StatusWord status,
        bool opened,
        bytes32 stateRoot,
        uint256 nextSequence
    ) internal pure returns (bytes memory violation) {
        uint256 start = proposal.sequenceStart;
        bytes32 prevStateRoot = proposal.prevStateRoot;
        if (!opened && status.genesisRequired() && (start != GENESIS_SEQUENCE || prevStateRoot != 0)) {
            return abi.encodeWithSelector(IRegistryEvents.GenesisRequired.selector, start, prevStateRoot);
        }
        if (!status.strictMode()) return violation;
        if (prevStateRoot != stateRoot) {
            return abi.encodeWithSelector(IRegistryEvents.StateRootMismatch.selector, stateRoot, prevStateRoot);
        }
        if (start != nextSequence) {
            uint256 expected = nextSequence > type(uint64).max ? type(uint64).max : nextSequence;
            return abi.encodeWithSelector(IRegistryEvents.SequenceGap.selector, expected, start);
        }
    }
}

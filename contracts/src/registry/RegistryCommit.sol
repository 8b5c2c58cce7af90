// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {CommitRules, Proposal} from "./CommitRules.sol";
import {DataContractWriter, newWriter} from "./DataContractWriter.sol";
import {EXPLICIT_ROOT, HeadWord, IN_CODE, uuidOf} from "./HeadWord.sol";
import {ISetRegistry} from "./ISetRegistry.sol";
import {RecordWord, slotsWord} from "./RecordWord.sol";
import {Record} from "./RegistryStorage.sol";
import {Batch, Run, StarkProof} from "./RegistryTypes.sol";
import {StatusWord} from "./StatusWord.sol";
import {StreamReader} from "./StreamReader.sol";

/// @title RegistryCommit
/// @notice Commits batches: one by one into storage slots, many at once into a data contract.
abstract contract RegistryCommit is StreamReader {
    /// @inheritdoc ISetRegistry
    function commitBatch(
        bytes32 batchId,
        bytes32 tenantId,
        bytes32 storeId,
        bytes32 eventsRoot,
        bytes32 prevStateRoot,
        bytes32 newStateRoot,
        uint64 sequenceStart,
        uint64 sequenceEnd,
        uint32 eventCount
    ) external {
        StatusWord status = _checkSequencer();
        _commitInSlots(
            Proposal(batchId, eventsRoot, prevStateRoot, newStateRoot, sequenceStart, sequenceEnd, eventCount),
            tenantId,
            storeId,
            status
        );
        _status = status.addCommitments(1);
    }

    /// @inheritdoc ISetRegistry
    function commitBatchWithStarkProof(
        bytes32 batchId,
        bytes32 tenantId,
        bytes32 storeId,
        bytes32 eventsRoot,
        bytes32 prevStateRoot,
        bytes32 newStateRoot,
        uint64 sequenceStart,
        uint64 sequenceEnd,
        uint32 eventCount,
        bytes32 proofHash,
        bytes32 policyHash,
        uint64 policyLimit,
        bool allCompliant,
        uint64 proofSize,
        uint64 provingTimeMs
    ) external {
        StatusWord status = _checkSequencer();
        _commitInSlots(
            Proposal(batchId, eventsRoot, prevStateRoot, newStateRoot, sequenceStart, sequenceEnd, eventCount),
            tenantId,
            storeId,
            status
        );
        _storeProof(
            batchId,
            StarkProof(
                proofHash,
                policyHash,
                policyLimit,
                proofSize,
                provingTimeMs,
                SafeCast.toUint56(block.timestamp),
                allCompliant
            )
        );
        _status = status.addCommitments(1).addStarkProof();
    }

    /// @inheritdoc ISetRegistry
    function commitBatches(Run[] calldata runs) external returns (uint256 committed) {
        StatusWord status = _checkSequencer();
        if (runs.length == 0) revert EmptyArray();

        uint256 batchCount;
        for (uint256 i; i < runs.length; ++i) {
            batchCount += runs[i].batches.length;
        }
        DataContractWriter memory writer = newWriter(batchCount);
        for (uint256 i; i < runs.length; ++i) {
            committed += _commitRun(runs[i], writer, status);
        }
        writer.seal();
        if (committed != 0) _status = status.addCommitments(committed);
    }

    /// @inheritdoc ISetRegistry
    function commitStarkProof(
        bytes32 batchId,
        bytes32 proofHash,
        bytes32 prevStateRoot,
        bytes32 newStateRoot,
        bytes32 policyHash,
        uint64 policyLimit,
        bool allCompliant,
        uint64 proofSize,
        uint64 provingTimeMs
    ) external {
        StatusWord status = _checkSequencer();
        if (!_isCommitted(batchId)) revert BatchNotCommitted();
        bytes32 key = _readBoundStream(batchId);
        if (key != 0) {
            address boundTo = streamSequencer[key];
            if (boundTo != address(0) && boundTo != msg.sender) revert StreamBoundToSequencer(boundTo);
        }
        if (_starkProofs[batchId].proofHash != 0) revert StarkProofAlreadyCommitted();
        if (_readPrevStateRoot(batchId) != prevStateRoot || _readNewStateRoot(batchId) != newStateRoot) {
            revert StateRootMismatchInProof();
        }
        _storeProof(
            batchId,
            StarkProof(
                proofHash,
                policyHash,
                policyLimit,
                proofSize,
                provingTimeMs,
                SafeCast.toUint56(block.timestamp),
                allCompliant
            )
        );
        _status = status.addStarkProof();
    }

    /// @dev Authorisation, then pause.
    /// @return status The status word, which every commit function reads and most write.
    function _checkSequencer() private view returns (StatusWord status) {
        status = _status;
        if (msg.sender != status.leadSequencer() && !authorizedSequencers[msg.sender]) {
            revert NotAuthorizedSequencer();
        }
        if (status.paused()) revert EnforcedPause();
    }

    /// @dev Commits one batch into three storage slots, or reverts.
    function _commitInSlots(Proposal memory proposal, bytes32 tenantId, bytes32 storeId, StatusWord status) private {
        bytes32 batchId = proposal.batchId;
        bytes32 key = _streamKey(tenantId, storeId);
        HeadWord head = _heads[key];
        _revertOn(CommitRules.checkBatchId(batchId));
        _revertOn(CommitRules.checkStream(tenantId, storeId, _boundTo(key, head)));
        Record storage record = _records[batchId];
        _revertOn(CommitRules.checkContent(proposal, record.word.exists()));
        bytes32 headStateRoot = _headStateRoot(key, head);
        _revertOn(
            head.opened()
                ? CommitRules.checkContinuity(proposal, status, true, headStateRoot, _nextSequence(head))
                : CommitRules.checkContinuity(proposal, status, false, proposal.prevStateRoot, proposal.sequenceStart)
        );

        // The previous state root costs no slot where it is zero, or is the new one of a predecessor with a UUID.
        bytes32 prevStateRoot = proposal.prevStateRoot;
        uint128 predecessor;
        if (prevStateRoot != 0) {
            if (prevStateRoot == headStateRoot && !head.explicitRoot()) predecessor = head.uuid();
            if (predecessor == 0) _explicitPrevStateRoot[batchId] = prevStateRoot;
        }
        record.eventsRoot = proposal.eventsRoot;
        record.newStateRoot = proposal.newStateRoot;
        record.word = slotsWord(
            uint64(proposal.sequenceStart), proposal.eventCount, SafeCast.toUint32(block.timestamp), predecessor
        );

        if (head.bound()) _boundStreamOf[batchId] = key;
        if (!head.opened()) emit StreamOpened(key, tenantId, storeId);
        _emitCommitted(proposal, key);
        _moveHead(key, head, batchId, uint64(proposal.sequenceEnd), 0);
    }

    /// @dev Commits a run's batches, skipping those that `commitBatch` would revert on.
    function _commitRun(Run calldata run, DataContractWriter memory writer, StatusWord status)
        private
        returns (uint256 committed)
    {
        bytes32 key = _streamKey(run.tenantId, run.storeId);
        HeadWord head = _heads[key];
        bytes memory streamViolation = CommitRules.checkStream(run.tenantId, run.storeId, _boundTo(key, head));
        bytes32 boundStream = head.bound() ? key : bytes32(0);
        // What the run says of its next batch.
        Proposal memory proposal;
        proposal.prevStateRoot = run.prevStateRoot;
        unchecked {
            proposal.sequenceEnd = uint256(run.sequenceStart) - 1;
        }
        // Where the stream stands. A run that is to open it starts where it says, and so can't open it in its middle.
        bool opened = head.opened();
        bytes32 stateRoot = opened ? _headStateRootInCall(key, head, writer) : run.prevStateRoot;
        uint256 nextSequence = opened ? _nextSequence(head) : run.sequenceStart;
        bytes32 lastBatchId;

        Batch[] calldata batches = run.batches;
        for (uint256 i; i < batches.length; ++i) {
            Batch calldata batch = batches[i];
            bytes32 batchId = batch.batchId;
            proposal.batchId = batchId;
            proposal.eventsRoot = batch.eventsRoot;
            proposal.newStateRoot = batch.newStateRoot;
            proposal.eventCount = batch.eventCount;
            unchecked {
                // The end of an empty batch is before its start, or far past 64 bits: it is refused either way.
                proposal.sequenceStart = proposal.sequenceEnd + 1;
                proposal.sequenceEnd = proposal.sequenceEnd + batch.eventCount;
            }

            Record storage record = _records[batchId];
            bytes memory violation = CommitRules.checkBatchId(batchId);
            if (violation.length == 0) violation = streamViolation;
            if (violation.length == 0) violation = CommitRules.checkContent(proposal, record.word.exists());
            if (violation.length == 0) {
                violation = CommitRules.checkContinuity(proposal, status, opened, stateRoot, nextSequence);
            }
            if (violation.length != 0) {
                // The selector is what is reported.
                emit BatchSkipped(batchId, key, bytes4(violation));
            } else {
                writer.append(record, proposal, boundStream);
                if (!opened) emit StreamOpened(key, run.tenantId, run.storeId);
                _emitCommitted(proposal, key);
                opened = true;
                lastBatchId = batchId;
                stateRoot = proposal.newStateRoot;
                nextSequence = proposal.sequenceEnd + 1;
                ++committed;
            }
            proposal.prevStateRoot = proposal.newStateRoot;
        }
        if (committed != 0) _moveHead(key, head, lastBatchId, uint64(nextSequence - 1), IN_CODE);
    }

    /// @dev The stream's state root, also where its last batch was committed earlier in this call.
    function _headStateRootInCall(bytes32 key, HeadWord head, DataContractWriter memory writer)
        private
        view
        returns (bytes32)
    {
        if (head.inCode() && !head.explicitRoot()) {
            RecordWord word = _records[_headBatchId(key, head)].word;
            if (word.dataContract() == address(0)) return writer.pendingNewStateRoot(word);
        }
        return _headStateRoot(key, head);
    }

    /// @dev The sequence number after the head; past 64 bits where nothing can follow.
    function _nextSequence(HeadWord head) private pure returns (uint256) {
        return uint256(head.sequence()) + 1;
    }

    /// @dev Makes `batchId` the stream's last batch.
    function _moveHead(bytes32 key, HeadWord head, bytes32 batchId, uint64 lastSequence, uint256 flags) private {
        if (uuidOf(batchId) == 0) _explicitHeadBatchId[key] = batchId;
        _heads[key] = head.moved(batchId, lastSequence, flags);
    }

    function _storeProof(bytes32 batchId, StarkProof memory proof) private {
        if (proof.proofHash == 0 || proof.proofSize == 0) revert InvalidProof();
        _starkProofs[batchId] = proof;
        emit StarkProofCommitted(batchId, proof.proofHash, proof.policyHash, proof.allCompliant, proof.proofSize);
    }

    function _emitCommitted(Proposal memory proposal, bytes32 key) private {
        emit BatchCommitted(
            proposal.batchId,
            key,
            proposal.eventsRoot,
            proposal.newStateRoot,
            uint64(proposal.sequenceStart),
            uint64(proposal.sequenceEnd),
            proposal.eventCount
        );
    }

    /// @dev Reverts with `violation`, unless it is empty.
    function _revertOn(bytes memory violation) private pure {
        if (violation.length == 0) return;
        assembly ("memory-safe") {
            revert(add(violation, 32), mload(violation))
        }
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {DataContract} from "./DataContract.sol";
import {idOf} from "./HeadWord.sol";
import {RecordWord} from "./RecordWord.sol";
import {Record, RegistryStorage} from "./RegistryStorage.sol";
import {BatchCommitment} from "./RegistryTypes.sol";

/// @title RecordReader
/// @notice Reads records in either form, so that nobody else needs to know where one is kept.
abstract contract RecordReader is RegistryStorage {
    /// @dev The record of `batchId`, all zero where there is none.
    function _readRecord(bytes32 batchId) internal view returns (BatchCommitment memory commitment) {
        Record storage record = _records[batchId];
        RecordWord word = record.word;
        if (!word.exists()) return commitment;

        bytes32 eventsRoot = record.eventsRoot;
        if (eventsRoot != 0) {
            commitment.eventsRoot = eventsRoot;
            commitment.newStateRoot = record.newStateRoot;
            commitment.eventCount = word.eventCount();
            commitment.timestamp = word.timestamp();
        } else {
            address location = word.dataContract();
            (, commitment.eventsRoot, commitment.eventCount, commitment.newStateRoot) =
                DataContract.readEntry(location, word.offset());
            commitment.timestamp = DataContract.readTimestamp(location);
        }
        commitment.sequenceStart = word.sequenceStart();
        commitment.sequenceEnd = commitment.sequenceStart + (commitment.eventCount - 1);
    }

    /// @dev Whether `batchId` is committed.
    function _isCommitted(bytes32 batchId) internal view returns (bool) {
        return _records[batchId].word.exists();
    }

    /// @dev The new state root of a committed batch.
    function _readNewStateRoot(bytes32 batchId) internal view returns (bytes32) {
        Record storage record = _records[batchId];
        if (record.eventsRoot != 0) return record.newStateRoot;
        RecordWord word = record.word;
        return DataContract.readNewStateRoot(word.dataContract(), word.offset());
    }

    /// @dev The previous state root of a committed batch, exactly as it was given.
    function _readPrevStateRoot(bytes32 batchId) internal view returns (bytes32 prevStateRoot) {
        Record storage record = _records[batchId];
        RecordWord word = record.word;
        if (record.eventsRoot == 0) {
            (prevStateRoot,,,) = DataContract.readEntry(word.dataContract(), word.offset());
        } else if (word.predecessor() != 0) {
            prevStateRoot = _readNewStateRoot(idOf(word.predecessor()));
        } else {
            prevStateRoot = _explicitPrevStateRoot[batchId];
        }
    }

    /// @dev The stream of a committed batch if it was bound when that was committed, else zero.
    function _readBoundStream(bytes32 batchId) internal view returns (bytes32 key) {
        Record storage record = _records[batchId];
        if (record.eventsRoot != 0) return _boundStreamOf[batchId];
        RecordWord word = record.word;
        uint256 position = word.boundPosition();
        if (position != 0) key = DataContract.readBoundStream(word.dataContract(), word.offset(), position);
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {DataContract} from "./DataContract.sol";
import {HeadWord, idOf} from "./HeadWord.sol";
import {RecordReader} from "./RecordReader.sol";
import {RecordWord} from "./RecordWord.sol";

/// @title StreamReader
/// @notice Reads streams' heads, wherever a part of one is kept.
abstract contract StreamReader is RecordReader {
    /// @dev `keccak256(abi.encodePacked(tenantId, storeId))`.
    function _streamKey(bytes32 tenantId, bytes32 storeId) internal pure returns (bytes32 key) {
        assembly ("memory-safe") {
            mstore(0, tenantId)
            mstore(32, storeId)
            key := keccak256(0, 64)
        }
    }

    /// @dev The only sequencer that may commit to the stream, or zero.
    function _boundTo(bytes32 key, HeadWord head) internal view returns (address sequencer) {
        if (head.bound()) sequencer = streamSequencer[key];
    }

    /// @dev The stream's last batch, zero where it has no head.
    function _headBatchId(bytes32 key, HeadWord head) internal view returns (bytes32 batchId) {
        if (!head.opened()) return 0;
        return head.uuid() != 0 ? idOf(head.uuid()) : _explicitHeadBatchId[key];
    }

    /// @dev The stream's state root, zero where it has no head.
    function _headStateRoot(bytes32 key, HeadWord head) internal view returns (bytes32) {
        if (!head.opened()) return 0;
        if (head.explicitRoot()) return _explicitHeadStateRoot[key];
        bytes32 batchId = _headBatchId(key, head);
        if (!head.inCode()) return _records[batchId].newStateRoot;
        RecordWord word = _records[batchId].word;
        return DataContract.readNewStateRoot(word.dataContract(), word.offset());
    }
}

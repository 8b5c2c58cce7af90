// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title DataContract
/// @notice Reads the records that one `commitBatches` call left in the code of a contract of its own.
/// @dev Code costs 200 gas a byte, once, where a fresh storage slot costs 691 a byte. Version 1:
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 0 | 1 | 0x00: STOP, so that the code can't be run |
/// | 1 | 1 | 0x01: version of this format |
/// | 2 | 8 | timestamp of the block, seconds, big-endian |
/// | 10 | … | entries of 68 bytes, and words of 32 bytes between them |
///
/// An entry is `eventsRoot[32] eventCount[4] newStateRoot[32]`. The 32 bytes before an entry are always its previous state
/// root: the end of the entry before it where that is its predecessor, else a word written for it. Entries of a stream that
/// is bound to one sequencer follow one another without a gap, and before the first one's previous state root stands a
/// word with the stream's key.
library DataContract {
    /// @dev EIP-170.
    uint256 internal constant MAX_CODE_SIZE = 24_576;
    uint256 internal constant VERSION = 1;
    /// @dev Bytes before the first entry or root.
    uint256 internal constant HEADER_SIZE = 10;
    uint256 internal constant ENTRY_SIZE = 68;
    uint256 internal constant WORD_SIZE = 32;

    /// @dev Everything that the entry at `offset` of `location` says.
    function readEntry(address location, uint256 offset)
        internal
        view
        returns (bytes32 prevStateRoot, bytes32 eventsRoot, uint32 eventCount, bytes32 newStateRoot)
    {
        assembly ("memory-safe") {
            let buffer := mload(0x40)
            extcodecopy(location, buffer, sub(offset, 32), 100)
            prevStateRoot := mload(buffer)
            eventsRoot := mload(add(buffer, 32))
            eventCount := shr(224, mload(add(buffer, 64)))
            newStateRoot := mload(add(buffer, 68))
        }
    }

    /// @dev The new state root of the entry at `offset` of `location`.
    function readNewStateRoot(address location, uint256 offset) internal view returns (bytes32 newStateRoot) {
        assembly ("memory-safe") {
            extcodecopy(location, 0, add(offset, 36), 32)
            newStateRoot := mload(0)
        }
    }

    /// @dev The key of the bound stream of which the entry at `offset` is number `position`, from 1.
    function readBoundStream(address location, uint256 offset, uint256 position) internal view returns (bytes32 key) {
        uint256 keyOffset = offset - (position - 1) * ENTRY_SIZE - 2 * WORD_SIZE;
        assembly ("memory-safe") {
            extcodecopy(location, 0, keyOffset, 32)
            key := mload(0)
        }
    }

    /// @dev When `location` was created, in seconds since 1970.
    function readTimestamp(address location) internal view returns (uint64 created) {
        assembly ("memory-safe") {
            mstore(0, 0)
            extcodecopy(location, 0, 2, 8)
            created := shr(192, mload(0))
        }
    }
}

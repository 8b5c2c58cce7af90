// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @notice The third storage word of a record. It has two forms, told apart by the record's first word, `eventsRoot`:
///
/// | bits | in slots (`eventsRoot` is not zero) | in code (`eventsRoot` is zero) |
/// | --- | --- | --- |
/// | 192..255 | sequence number of the first event | the same |
/// | 176..191 | event count, upper half | in a bound stream: the entry's position in its run of entries, from 1; else 0 |
/// | 160..175 | event count, lower half | offset of the entry in the data contract's code |
/// | 128..159 | timestamp, seconds, until the year 2106 | upper 32 bits of the data contract's address |
/// | 0..127 | UUID of the predecessor, or zero | lower 128 bits of that address |
///
/// Zero means that there is no record. A predecessor says that the previous state root is that batch's new one; without
/// it the root is in `explicitPrevStateRoot`, where absence is zero.
type RecordWord is uint256;

using {
    exists,
    sequenceStart,
    eventCount,
    timestamp,
    predecessor,
    offset,
    boundPosition,
    dataContract,
    withDataContract
} for RecordWord global;

function slotsWord(uint64 start, uint32 count, uint32 time, uint128 predecessorUuid) pure returns (RecordWord) {
    return
        RecordWord.wrap(uint256(start) << 192 | uint256(count) << 160 | uint256(time) << 128 | uint256(predecessorUuid));
}

/// @dev The word of a record whose data contract is still to be created.
function pendingWord(uint64 start, uint16 position, uint16 entryOffset) pure returns (RecordWord) {
    return RecordWord.wrap(uint256(start) << 192 | uint256(position) << 176 | uint256(entryOffset) << 160);
}

function withDataContract(RecordWord word, address location) pure returns (RecordWord) {
    return RecordWord.wrap(RecordWord.unwrap(word) | uint256(uint160(location)));
}

function exists(RecordWord word) pure returns (bool) {
    return RecordWord.unwrap(word) != 0;
}

function sequenceStart(RecordWord word) pure returns (uint64) {
    return uint64(RecordWord.unwrap(word) >> 192);
}

function eventCount(RecordWord word) pure returns (uint32) {
    return uint32(RecordWord.unwrap(word) >> 160);
}

function timestamp(RecordWord word) pure returns (uint32) {
    return uint32(RecordWord.unwrap(word) >> 128);
}

function predecessor(RecordWord word) pure returns (uint128) {
    return uint128(RecordWord.unwrap(word));
}

function offset(RecordWord word) pure returns (uint16) {
    return uint16(RecordWord.unwrap(word) >> 160);
}

/// @return Zero where the stream was not bound when the batch was committed.
function boundPosition(RecordWord word) pure returns (uint16) {
    return uint16(RecordWord.unwrap(word) >> 176);
}

/// @return Zero while the contract is still to be created, which only the creating call can see.
function dataContract(RecordWord word) pure returns (address) {
    return address(uint160(RecordWord.unwrap(word)));
}

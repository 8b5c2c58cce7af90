// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @notice A stream's head in one storage word:
///
/// | bits | field |
/// | --- | --- |
/// | 0 | opened: the stream has a head |
/// | 1 | bound: `streamSequencer` names the only sequencer that may commit |
/// | 2 | explicit root: the state root is in `explicitHeadStateRoot`, set by the owner, not the last batch's |
/// | 3 | in code: the last batch's record is in a data contract |
/// | 64..127 | sequence number of the last event |
/// | 128..255 | the last batch's UUID, first byte highest; zero where its id is not UUID-shaped: `explicitHeadBatchId` |
type HeadWord is uint256;

using {opened, bound, explicitRoot, inCode, sequence, uuid, withBound, moved, closed} for HeadWord global;

uint256 constant OPENED = 1 << 0;
uint256 constant BOUND = 1 << 1;
uint256 constant EXPLICIT_ROOT = 1 << 2;
uint256 constant IN_CODE = 1 << 3;

function opened(HeadWord head) pure returns (bool) {
    return HeadWord.unwrap(head) & OPENED != 0;
}

function bound(HeadWord head) pure returns (bool) {
    return HeadWord.unwrap(head) & BOUND != 0;
}

function explicitRoot(HeadWord head) pure returns (bool) {
    return HeadWord.unwrap(head) & EXPLICIT_ROOT != 0;
}

function inCode(HeadWord head) pure returns (bool) {
    return HeadWord.unwrap(head) & IN_CODE != 0;
}

function sequence(HeadWord head) pure returns (uint64) {
    return uint64(HeadWord.unwrap(head) >> 64);
}

/// @return The last batch's UUID, or zero where its id is kept apart.
function uuid(HeadWord head) pure returns (uint128) {
    return uint128(HeadWord.unwrap(head) >> 128);
}

function withBound(HeadWord head, bool on) pure returns (HeadWord) {
    uint256 raw = HeadWord.unwrap(head);
    return HeadWord.wrap(on ? raw | BOUND : raw & ~BOUND);
}

/// @dev The head after `batchId`; the binding stays.
/// @param flags `EXPLICIT_ROOT`, `IN_CODE` or zero.
function moved(HeadWord head, bytes32 batchId, uint64 lastSequence, uint256 flags) pure returns (HeadWord) {
    return HeadWord.wrap(
        uint256(uuidOf(batchId)) << 128 | uint256(lastSequence) << 64 | flags | OPENED | HeadWord.unwrap(head) & BOUND
    );
}

/// @dev A stream without a head; the binding stays.
function closed(HeadWord head) pure returns (HeadWord) {
    return HeadWord.wrap(HeadWord.unwrap(head) & BOUND);
}

/// @dev The first 16 bytes of an id that has nothing after them, or zero for an id of another shape.
function uuidOf(bytes32 id) pure returns (uint128) {
    return uint128(uint256(id)) == 0 ? uint128(uint256(id) >> 128) : 0;
}

/// @dev The id of which `uuidOf` gives `value`.
function idOf(uint128 value) pure returns (bytes32) {
    return bytes32(uint256(value) << 128);
}

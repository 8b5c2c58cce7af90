// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @notice The registry's switches and counters in one storage word, so that a commitment reads and moves them with one slot:
///
/// | bits | field |
/// | --- | --- |
/// | 0..7 | layout version (see LAYOUT.md) |
/// | 8 | paused |
/// | 9 | strict mode |
/// | 10 | genesis required |
/// | 64..127 | commitments |
/// | 128..191 | STARK proofs |
/// | 192..223 | authorised sequencers |
type StatusWord is uint256;

using {
    layoutVersion,
    paused,
    strictMode,
    genesisRequired,
    commitmentCount,
    starkProofCount,
    sequencerCount,
    withPaused,
    withStrictMode,
    withGenesisRequired,
    addCommitments,
    addStarkProof,
    withSequencerAdded,
    withSequencerRemoved
} for StatusWord global;

uint256 constant PAUSED = 1 << 8;
uint256 constant STRICT = 1 << 9;
uint256 constant GENESIS = 1 << 10;
uint256 constant ONE_COMMITMENT = 1 << 64;
uint256 constant ONE_PROOF = 1 << 128;
uint256 constant ONE_SEQUENCER = 1 << 192;

/// @dev The word of a new registry: strict, nothing else set, nothing counted.
function initialStatus(uint8 version) pure returns (StatusWord) {
    return StatusWord.wrap(STRICT | version);
}

function layoutVersion(StatusWord word) pure returns (uint8) {
    return uint8(StatusWord.unwrap(word));
}

function paused(StatusWord word) pure returns (bool) {
    return StatusWord.unwrap(word) & PAUSED != 0;
}

function strictMode(StatusWord word) pure returns (bool) {
    return StatusWord.unwrap(word) & STRICT != 0;
}

function genesisRequired(StatusWord word) pure returns (bool) {
    return StatusWord.unwrap(word) & GENESIS != 0;
}

function commitmentCount(StatusWord word) pure returns (uint64) {
    return uint64(StatusWord.unwrap(word) >> 64);
}

function starkProofCount(StatusWord word) pure returns (uint64) {
    return uint64(StatusWord.unwrap(word) >> 128);
}

function sequencerCount(StatusWord word) pure returns (uint32) {
    return uint32(StatusWord.unwrap(word) >> 192);
}

function withPaused(StatusWord word, bool on) pure returns (StatusWord) {
    return _with(word, PAUSED, on);
}

function withStrictMode(StatusWord word, bool on) pure returns (StatusWord) {
    return _with(word, STRICT, on);
}

function withGenesisRequired(StatusWord word, bool on) pure returns (StatusWord) {
    return _with(word, GENESIS, on);
}

/// @dev No counter can reach its field's end: each step costs a transaction, or a part of one, its gas.
function addCommitments(StatusWord word, uint256 count) pure returns (StatusWord) {
    unchecked {
        return StatusWord.wrap(StatusWord.unwrap(word) + count * ONE_COMMITMENT);
    }
}

function addStarkProof(StatusWord word) pure returns (StatusWord) {
    unchecked {
        return StatusWord.wrap(StatusWord.unwrap(word) + ONE_PROOF);
    }
}

function withSequencerAdded(StatusWord word) pure returns (StatusWord) {
    unchecked {
        return StatusWord.wrap(StatusWord.unwrap(word) + ONE_SEQUENCER);
    }
}

function withSequencerRemoved(StatusWord word) pure returns (StatusWord) {
    unchecked {
        return StatusWord.wrap(StatusWord.unwrap(word) - ONE_SEQUENCER);
    }
}

function _with(StatusWord word, uint256 flag, bool on) pure returns (StatusWord) {
    uint256 raw = StatusWord.unwrap(word);
    return StatusWord.wrap(on ? raw | flag : raw & ~flag);
}

// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @notice The registry's switches and counters, and its lead sequencer, in one storage word, so that a commitment reads and
/// moves them with one slot:
///
/// | bits | field |
/// | --- | --- |
/// | 0..7 | layout version (see LAYOUT.md) |
/// | 8 | paused |
/// | 9 | strict mode |
/// | 10 | genesis required |
/// | 16..55 | commitments |
/// | 56..95 | STARK proofs |
/// | 96..255 | lead sequencer, or zero |
///
/// The lead sequencer is one of the authorised ones: its commitments need not read `authorizedSequencers`.
type StatusWord is uint256;

using {
    layoutVersion,
    paused,
    strictMode,
    genesisRequired,
    commitmentCount,
    starkProofCount,
    leadSequencer,
    withPaused,
    withStrictMode,
    withGenesisRequired,
    withLeadSequencer,
    addCommitments,
    addStarkProof
} for StatusWord global;

uint256 constant PAUSED = 1 << 8;
uint256 constant STRICT = 1 << 9;
uint256 constant GENESIS = 1 << 10;
uint256 constant ONE_COMMITMENT = 1 << 16;
uint256 constant ONE_PROOF = 1 << 56;

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

function commitmentCount(StatusWord word) pure returns (uint40) {
    return uint40(StatusWord.unwrap(word) >> 16);
}

function starkProofCount(StatusWord word) pure returns (uint40) {
    return uint40(StatusWord.unwrap(word) >> 56);
}

function leadSequencer(StatusWord word) pure returns (address) {
    return address(uint160(StatusWord.unwrap(word) >> 96));
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

function withLeadSequencer(StatusWord word, address sequencer) pure returns (StatusWord) {
    return StatusWord.wrap(uint256(uint96(StatusWord.unwrap(word))) | uint256(uint160(sequencer)) << 96);
}

/// @dev A counter can't leave its field: 2^40 commitments take more gas than a chain's full blocks hold in a century.
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

function _with(StatusWord word, uint256 flag, bool on) pure returns (StatusWord) {
    uint256 raw = StatusWord.unwrap(word);
    return StatusWord.wrap(on ? raw | flag : raw & ~flag);
}

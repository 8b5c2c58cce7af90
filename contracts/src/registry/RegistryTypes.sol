// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @notice What the registry stores of one batch of a stream's events.
/// @param eventsRoot Root of the batch's VES v1 Merkle tree (SHA-256).
/// @param newStateRoot The stream's state root after the batch.
/// @param sequenceStart Sequence number of the first event; a sequencer counts a stream's events from 1.
/// @param sequenceEnd Sequence number of the last event.
/// @param eventCount Number of events: `sequenceEnd - sequenceStart + 1`.
/// @param timestamp Time of the block that committed it, in seconds since 1970.
struct BatchCommitment {
    bytes32 eventsRoot;
    bytes32 newStateRoot;
    uint64 sequenceStart;
    uint64 sequenceEnd;
    uint32 eventCount;
    uint64 timestamp;
}

/// @notice One batch of a `Run`. What it shares with its neighbours is said by the run and by its place in it.
/// @param batchId Identifier of the batch; a UUID is the first 16 bytes, zeros after.
/// @param eventsRoot Root of the batch's VES v1 Merkle tree.
/// @param newStateRoot The stream's state root after the batch, and so the next batch's previous one.
/// @param eventCount Number of events; the next batch starts right after them.
struct Batch {
    bytes32 batchId;
    bytes32 eventsRoot;
    bytes32 newStateRoot;
    uint32 eventCount;
}

/// @notice Consecutive batches of one stream, in order.
/// @param tenantId Tenant of the stream.
/// @param storeId Store of the stream.
/// @param prevStateRoot The stream's state root before the first batch.
/// @param sequenceStart Sequence number of the first batch's first event.
/// @param batches The batches; each continues the one before it.
struct Run {
    bytes32 tenantId;
    bytes32 storeId;
    bytes32 prevStateRoot;
    uint64 sequenceStart;
    Batch[] batches;
}

/// @notice Where a stream stands.
/// @param batchId Its last batch; zero while the stream is not open.
/// @param stateRoot Its state root after that batch.
/// @param sequence Sequence number of its last event.
/// @param opened Whether it has a head: a commitment, or one set by the owner.
struct StreamHead {
    bytes32 batchId;
    bytes32 stateRoot;
    uint64 sequence;
    bool opened;
}

/// @notice What the registry stores of a STARK proof. It keeps the claim; it does not verify the proof.
/// @param proofHash Hash of the proof; never zero.
/// @param policyHash Hash of the policy that was proven.
/// @param policyLimit The policy's limit, in the policy's own unit.
/// @param proofSize Size of the proof in bytes; never zero.
/// @param provingTimeMs Time that proving took, in milliseconds.
/// @param timestamp Time of the block that stored it, in seconds since 1970.
/// @param allCompliant Whether every event of the batch satisfies the policy.
struct StarkProof {
    bytes32 proofHash;
    bytes32 policyHash;
    uint64 policyLimit;
    uint64 proofSize;
    uint64 provingTimeMs;
    uint56 timestamp;
    bool allCompliant;
}

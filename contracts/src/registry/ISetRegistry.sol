// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IRegistryEvents} from "./IRegistryEvents.sol";
import {BatchCommitment, Run, StreamHead} from "./RegistryTypes.sol";

/// @title ISetRegistry
/// @notice A chain of commitments per stream (a tenant's store): Merkle roots of its events, its state roots, and the range of
/// sequence numbers that each batch covers.
/// @dev Ids are 32 bytes; a UUID is the first 16 of them, zeros after. A stream's key is
/// `keccak256(abi.encodePacked(tenantId, storeId))`. Getters answer zero for what is not there, unless they say otherwise.
interface ISetRegistry is IRegistryEvents {
    // ------------------------------------------------------------------ commitments

    /// @notice Commits one batch.
    /// @dev Checked in this order: authorisation, pause, ids, the stream's binding, range and count, events root, that the id is
    /// free, continuity (in strict mode: state root, then sequence; of a stream's first batch nothing, or the genesis).
    /// Reverts with the first error of `IRegistryEvents` that applies.
    /// @param batchId Identifier of the batch, never used before.
    /// @param tenantId Tenant of the stream.
    /// @param storeId Store of the stream.
    /// @param eventsRoot Root of the batch's VES v1 tree.
    /// @param prevStateRoot The stream's state root before the batch.
    /// @param newStateRoot The stream's state root after the batch.
    /// @param sequenceStart Sequence number of the first event.
    /// @param sequenceEnd Sequence number of the last event.
    /// @param eventCount `sequenceEnd - sequenceStart + 1`.
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
    ) external;

    /// @notice Commits many batches, each settled on its own.
    /// @dev The outcome is that of one `commitBatch` after another, in order, where a batch that would revert is skipped with
    /// `BatchSkipped`. So a run's batches chain on one another, and in strict mode a skipped one takes those after it along,
    /// each with its own reason; also on a stream that is not open yet, where the run's start stands for the head. A repeated
    /// call does no harm: what is committed is skipped as `BatchAlreadyCommitted`, and the rest goes on from the stream's
    /// head. A stream may appear in several runs. Only authorisation, pause, an empty list (`EmptyArray`) and a lack of gas
    /// (`DataContractNotCreated`, or out of gas) revert the whole call.
    /// @param runs The batches by stream.
    /// @return committed How many were committed.
    function commitBatches(Run[] calldata runs) external returns (uint256 committed);

    /// @notice Stores a STARK proof's metadata for a committed batch, once.
    /// @dev Checked in this order: authorisation, pause, `BatchNotCommitted`, the stream's binding (for a batch that was committed
    /// while its stream was bound), `StarkProofAlreadyCommitted`, `StateRootMismatchInProof`, `InvalidProof`.
    /// @param batchId The batch.
    /// @param proofHash Hash of the proof; not zero.
    /// @param prevStateRoot The batch's previous state root.
    /// @param newStateRoot The batch's new state root.
    /// @param policyHash Hash of the proven policy.
    /// @param policyLimit The policy's limit, in its own unit.
    /// @param allCompliant Whether every event satisfies the policy.
    /// @param proofSize Size in bytes; not zero.
    /// @param provingTimeMs Time that proving took, in milliseconds.
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
    ) external;

    /// @notice `commitBatch` and `commitStarkProof` in one; both happen or neither.
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
    ) external;

    // ------------------------------------------------------------------ administration

    /// @notice Sets up a new proxy: strict mode on, one sequencer authorised.
    /// @param initialOwner Who owns the registry from now on; `InvalidAddress` for zero.
    /// @param initialSequencer The first sequencer; `InvalidAddress` for zero.
    function initialize(address initialOwner, address initialSequencer) external;

    /// @notice Owner: lets a sequencer commit, or no longer. `InvalidAddress` for zero.
    function setSequencerAuthorization(address sequencer, bool authorized) external;

    /// @notice Owner: the same for several at once. `EmptyArray` for none.
    function batchSetSequencerAuthorization(address[] calldata sequencers, bool authorized) external;

    /// @notice Owner: switches the check of continuity.
    function setStrictMode(bool enabled) external;

    /// @notice Owner: demands that every stream's first batch starts at its genesis (sequence 1, zero previous state root).
    function setGenesisRequired(bool required) external;

    /// @notice Owner: binds a stream to one sequencer, which must be authorised as well to commit; zero unbinds it.
    function setStreamSequencer(bytes32 tenantId, bytes32 storeId, address sequencer) external;

    /// @notice Owner: sets a stream's head, to recover from a wrong commitment or to take over a stream from another registry.
    /// Stored commitments stay as they are.
    /// @dev Emits `StreamOpened` too where the stream had no head. All three values zero closes the stream.
    /// @param batchId The batch that counts as the last; needs no record here. `EmptyBatchId` for zero with another value set.
    /// @param sequence Sequence number of the last event; the next batch starts after it.
    /// @param stateRoot State root that the next batch starts from.
    function setStreamHead(bytes32 tenantId, bytes32 storeId, bytes32 batchId, uint64 sequence, bytes32 stateRoot)
        external;

    /// @notice Owner: names who may pause besides the owner; zero for nobody.
    function setGuardian(address newGuardian) external;

    /// @notice Owner or guardian: stops every commit function. `EnforcedPause` while paused.
    function pause() external;

    /// @notice Owner: allows committing again. `ExpectedPause` while not paused.
    function unpause() external;

    // ------------------------------------------------------------------ inclusion

    /// @notice Whether an event is in a batch, by a VES v1 inclusion proof.
    /// @dev True exactly for the proofs that the batch's tree gives: the path is `ceil(log2(eventCount))` long and the index is
    /// below the count. False for a batch that is not committed.
    /// @param leaf The event's VES v1 leaf hash.
    /// @param proof Sibling hashes, bottom-up.
    /// @param index The event's position in the batch: its sequence number minus the batch's first.
    function verifyInclusion(bytes32 batchId, bytes32 leaf, bytes32[] calldata proof, uint256 index)
        external
        view
        returns (bool valid);

    /// @notice Whether all of several events are in a batch.
    /// @dev False where the arrays differ in length or are empty: then nothing was proven.
    function verifyMultipleInclusions(
        bytes32 batchId,
        bytes32[] calldata leaves,
        bytes32[][] calldata proofs,
        uint256[] calldata indices
    ) external view returns (bool allValid);

    // ------------------------------------------------------------------ batches

    /// @notice The record of a batch, as a list of values.
    function commitments(bytes32 batchId)
        external
        view
        returns (
            bytes32 eventsRoot,
            bytes32 newStateRoot,
            uint64 sequenceStart,
            uint64 sequenceEnd,
            uint32 eventCount,
            uint64 timestamp
        );

    /// @notice The record of a batch.
    function getBatchCommitment(bytes32 batchId) external view returns (BatchCommitment memory commitment);

    /// @notice The records of several batches.
    function getBatchCommitments(bytes32[] calldata batchIds)
        external
        view
        returns (BatchCommitment[] memory commitmentList);

    /// @notice The previous state root that a batch was committed with. `BatchNotCommitted` where there is no record, because
    /// zero is a stream's genesis.
    function getPrevStateRoot(bytes32 batchId) external view returns (bytes32 prevStateRoot);

    /// @notice The record of a batch and what is known of its STARK proof.
    function getBatchWithProofStatus(bytes32 batchId)
        external
        view
        returns (BatchCommitment memory commitment, bool hasProof, bool proofCompliant);

    /// @notice Whether a batch is committed.
    function batchExists(bytes32 batchId) external view returns (bool exists);

    /// @notice Whether each of several batches is committed.
    function batchExists(bytes32[] calldata batchIds) external view returns (bool[] memory exists);

    // ------------------------------------------------------------------ streams

    /// @notice The last batch of a stream, by its key.
    function latestCommitment(bytes32 tenantStoreKey) external view returns (bytes32 batchId);

    /// @notice The last batch of a stream.
    function getLatestBatchId(bytes32 tenantId, bytes32 storeId) external view returns (bytes32 batchId);

    /// @notice The state root of a stream.
    function getLatestStateRoot(bytes32 tenantId, bytes32 storeId) external view returns (bytes32 stateRoot);

    /// @notice The sequence number of a stream's last event.
    function getHeadSequence(bytes32 tenantId, bytes32 storeId) external view returns (uint64 sequence);

    /// @notice The state roots of several streams. `ArrayLengthMismatch` unless the ids pair up.
    function getBatchLatestStateRoots(bytes32[] calldata tenantIds, bytes32[] calldata storeIds)
        external
        view
        returns (bytes32[] memory stateRoots);

    /// @notice The last sequence numbers of several streams. `ArrayLengthMismatch` unless the ids pair up.
    function getBatchHeadSequences(bytes32[] calldata tenantIds, bytes32[] calldata storeIds)
        external
        view
        returns (uint64[] memory sequences);

    /// @notice The heads of several streams. `ArrayLengthMismatch` unless the ids pair up.
    function getStreamHeads(bytes32[] calldata tenantIds, bytes32[] calldata storeIds)
        external
        view
        returns (StreamHead[] memory heads);

    /// @notice A stream's head, and whether its last batch has a STARK proof.
    function getTenantStoreSummary(bytes32 tenantId, bytes32 storeId)
        external
        view
        returns (bytes32 latestBatchId, bytes32 currentStateRoot, uint64 currentHeadSequence, bool hasLatestProof);

    /// @notice The only sequencer that may commit to a stream; zero where every authorised one may.
    function streamSequencer(bytes32 tenantStoreKey) external view returns (address sequencer);

    // ------------------------------------------------------------------ STARK proofs

    /// @notice The stored metadata of a batch's STARK proof.
    function starkProofs(bytes32 batchId)
        external
        view
        returns (
            bytes32 proofHash,
            bytes32 policyHash,
            uint64 policyLimit,
            bool allCompliant,
            uint64 proofSize,
            uint64 provingTimeMs,
            uint64 timestamp
        );

    /// @notice The part of it that most callers want.
    function getStarkProofDetails(bytes32 batchId)
        external
        view
        returns (bytes32 proofHash, bytes32 policyHash, bool allCompliant, uint64 timestamp);

    /// @notice Whether a batch has a STARK proof.
    function hasStarkProof(bytes32 batchId) external view returns (bool hasProof);

    /// @notice Whether a batch has the STARK proof with this hash.
    function verifyStarkProofHash(bytes32 batchId, bytes32 proofHash) external view returns (bool valid);

    /// @notice Whether each of several batches has a STARK proof, and whether that claims compliance.
    function getBatchProofStatuses(bytes32[] calldata batchIds)
        external
        view
        returns (bool[] memory hasProofs, bool[] memory allCompliant);

    // ------------------------------------------------------------------ the registry

    /// @notice Whether an address may commit.
    function authorizedSequencers(address sequencer) external view returns (bool authorized);

    /// @notice How many addresses may commit.
    function authorizedSequencerCount() external view returns (uint256 count);

    /// @notice Whether each of several addresses may commit.
    function areSequencersAuthorized(address[] calldata addresses) external view returns (bool[] memory authorized);

    /// @notice Whether continuity is checked.
    function strictModeEnabled() external view returns (bool enabled);

    /// @notice Whether a stream's first batch must start at its genesis.
    function genesisRequired() external view returns (bool required);

    /// @notice Who may pause besides the owner; zero for nobody.
    function guardian() external view returns (address account);

    /// @notice Whether committing is stopped.
    function paused() external view returns (bool isPaused);

    /// @notice How many batches were committed.
    function totalCommitments() external view returns (uint256 count);

    /// @notice How many STARK proofs were stored.
    function totalStarkProofs() external view returns (uint256 count);

    /// @notice Counters and switches.
    function getRegistryStats()
        external
        view
        returns (uint256 commitmentCount, uint256 proofCount, bool isPaused, bool isStrictMode);

    /// @notice More of them. `proofCoverage` is the share of batches with a STARK proof in basis points; 10,000 where there
    /// are no batches.
    function getExtendedRegistryStatus()
        external
        view
        returns (
            uint256 totalBatches,
            uint256 totalProofs,
            uint256 sequencerCount,
            bool isPaused,
            bool isStrictMode,
            uint256 proofCoverage
        );

    /// @notice Version of this interface, so that a client can tell which registry it faces: the public Set Chain registry does
    /// not answer.
    function registryVersion() external pure returns (uint256 version);

    /// @notice Version of the storage layout by which records are proven (see LAYOUT.md).
    function layoutVersion() external view returns (uint256 version);
}

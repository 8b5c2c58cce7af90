// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title IRegistryEvents
/// @notice The events and errors of SetRegistry. Those of ownership and upgrades come from OpenZeppelin.
/// @dev `tenantStoreKey` is `keccak256(abi.encodePacked(tenantId, storeId))`.
interface IRegistryEvents {
    // ------------------------------------------------------------------ events

    /// @notice A batch was committed, alone or as one of many.
    event BatchCommitted(
        bytes32 indexed batchId,
        bytes32 indexed tenantStoreKey,
        bytes32 eventsRoot,
        bytes32 newStateRoot,
        uint64 sequenceStart,
        uint64 sequenceEnd,
        uint32 eventCount
    );

    /// @notice A batch of a `commitBatches` call was left out; its neighbours were not affected.
    /// @param reason Selector of the error that `commitBatch` would have reverted with.
    event BatchSkipped(bytes32 indexed batchId, bytes32 indexed tenantStoreKey, bytes4 reason);

    /// @notice A stream got its first head, so that its ids can be read back from the chain.
    event StreamOpened(bytes32 indexed tenantStoreKey, bytes32 tenantId, bytes32 storeId);

    /// @notice The owner set a stream's head. A zero `batchId` closes the stream: its next batch is a first one again.
    event StreamHeadSet(bytes32 indexed tenantStoreKey, bytes32 indexed batchId, uint64 sequence, bytes32 stateRoot);

    /// @notice From now on only `sequencer` commits to the stream; with zero, every authorised sequencer does.
    event StreamSequencerSet(bytes32 indexed tenantStoreKey, address indexed sequencer);

    /// @notice STARK proof metadata was stored for a batch.
    event StarkProofCommitted(
        bytes32 indexed batchId, bytes32 proofHash, bytes32 policyHash, bool allCompliant, uint64 proofSize
    );

    /// @notice A sequencer may commit from now on, or may no longer.
    event SequencerAuthorized(address indexed sequencer, bool authorized);

    /// @notice Continuity of streams is checked from now on, or no longer.
    event StrictModeUpdated(bool enabled);

    /// @notice A stream's first batch must start at its genesis from now on, or may start anywhere.
    event GenesisRequirementUpdated(bool required);

    /// @notice Who may pause besides the owner; zero for nobody.
    event GuardianUpdated(address indexed guardian);

    /// @notice Committing was stopped (as in OpenZeppelin's Pausable).
    event Paused(address account);

    /// @notice Committing was allowed again (as in OpenZeppelin's Pausable).
    event Unpaused(address account);

    /// @notice The implementation behind the proxy changed.
    event ContractUpgraded(address indexed newImplementation, address indexed authorizer);

    // ------------------------------------------------------------------ errors: who and when

    /// @notice The caller is not an authorised sequencer.
    error NotAuthorizedSequencer();

    /// @notice The registry is paused (as in OpenZeppelin's Pausable).
    error EnforcedPause();

    /// @notice The registry is not paused (as in OpenZeppelin's Pausable).
    error ExpectedPause();

    /// @notice An address argument is zero.
    error InvalidAddress();

    /// @notice The owner can't renounce: nobody could then unpause, authorise or upgrade.
    error OwnershipCannotBeRenounced();

    // ------------------------------------------------------------------ errors: a commitment

    /// @notice The batch id is zero.
    error EmptyBatchId();

    /// @notice The tenant id is zero.
    error EmptyTenantId();

    /// @notice The store id is zero.
    error EmptyStoreId();

    /// @notice The owner has bound the stream to another sequencer than the caller.
    /// @param sequencer The one that may commit to it.
    error StreamBoundToSequencer(address sequencer);

    /// @notice The range is empty, ends before it starts, or is longer than its length can be counted in 64 bits.
    error InvalidSequenceRange();

    /// @notice The event count is not the length of the range.
    error InvalidEventCount(uint64 expected, uint32 provided);

    /// @notice The events root is zero.
    error EmptyEventsRoot();

    /// @notice The batch id is taken.
    error BatchAlreadyCommitted();

    /// @notice A stream's first batch must start at sequence 1 with a zero previous state root.
    error GenesisRequired(uint64 sequenceStart, bytes32 prevStateRoot);

    /// @notice The previous state root is not the stream's.
    error StateRootMismatch(bytes32 expected, bytes32 provided);

    /// @notice The range does not start right after the stream's last event.
    /// @param expected The next sequence number; 2^64-1 where a stream is full and nothing can follow.
    error SequenceGap(uint64 expected, uint64 provided);

    /// @notice The records of a `commitBatches` call could not be written, for want of gas; nothing was committed.
    error DataContractNotCreated();

    // ------------------------------------------------------------------ errors: a STARK proof

    /// @notice The batch is not committed.
    error BatchNotCommitted();

    /// @notice The batch has a STARK proof already.
    error StarkProofAlreadyCommitted();

    /// @notice A state root of the proof, previous or new, is not the batch's.
    error StateRootMismatchInProof();

    /// @notice The proof's hash or size is zero.
    error InvalidProof();

    // ------------------------------------------------------------------ errors: arrays

    /// @notice Arrays that belong together have different lengths.
    error ArrayLengthMismatch();

    /// @notice An array that must name something is empty.
    error EmptyArray();
}

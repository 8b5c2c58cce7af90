// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {HeadWord} from "./HeadWord.sol";
import {ISetRegistry} from "./ISetRegistry.sol";
import {RecordWord} from "./RecordWord.sol";
import {StarkProof} from "./RegistryTypes.sol";
import {StatusWord} from "./StatusWord.sol";

/// @notice A batch's record. See `RecordWord` for its two forms.
struct Record {
    bytes32 eventsRoot;
    bytes32 newStateRoot;
    RecordWord word;
}

/// @title RegistryStorage
/// @notice Every storage slot of SetRegistry; OpenZeppelin's parents keep theirs in namespaces of their own (ERC-7201).
/// @dev Third parties prove records by these slots: LAYOUT.md documents them, storage-layout/SetRegistry.json pins them. An
/// upgrade may append; whatever changes the meaning of what is there raises `LAYOUT_VERSION` and keeps reading the old.
abstract contract RegistryStorage is ISetRegistry {
    /// @notice Version of the storage layout, kept in the status word as well.
    uint8 internal constant LAYOUT_VERSION = 1;

    StatusWord internal _status;

    mapping(bytes32 batchId => Record) internal _records;

    /// @dev The previous state root of a record in slots that names no predecessor.
    mapping(bytes32 batchId => bytes32) internal _explicitPrevStateRoot;

    mapping(bytes32 tenantStoreKey => HeadWord) internal _heads;

    /// @dev The last batch's id, where the head has no UUID.
    mapping(bytes32 tenantStoreKey => bytes32) internal _explicitHeadBatchId;

    /// @dev The state root, where the head says that it is explicit.
    mapping(bytes32 tenantStoreKey => bytes32) internal _explicitHeadStateRoot;

    /// @inheritdoc ISetRegistry
    mapping(bytes32 tenantStoreKey => address) public streamSequencer;

    /// @dev The stream of a record in slots that was committed while its stream was bound, so that its proof is bound too.
    mapping(bytes32 batchId => bytes32 tenantStoreKey) internal _boundStreamOf;

    mapping(bytes32 batchId => StarkProof) internal _starkProofs;

    /// @inheritdoc ISetRegistry
    mapping(address => bool) public authorizedSequencers;

    /// @inheritdoc ISetRegistry
    uint256 public authorizedSequencerCount;

    /// @inheritdoc ISetRegistry
    address public guardian;
}

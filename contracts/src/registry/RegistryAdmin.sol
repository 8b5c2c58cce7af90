// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Ownable2StepUpgradeable} from "@openzeppelin/contracts-upgradeable/access/Ownable2StepUpgradeable.sol";
import {OwnableUpgradeable} from "@openzeppelin/contracts-upgradeable/access/OwnableUpgradeable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";

import {EXPLICIT_ROOT, HeadWord, uuidOf} from "./HeadWord.sol";
import {ISetRegistry} from "./ISetRegistry.sol";
import {StatusWord, initialStatus} from "./StatusWord.sol";
import {StreamReader} from "./StreamReader.sol";

/// @title RegistryAdmin
/// @notice What the owner and the guardian decide: sequencers, switches, streams, upgrades.
/// @dev Pausing answers as OpenZeppelin's Pausable does but lives in the status word, which saves every commitment a slot.
abstract contract RegistryAdmin is StreamReader, Ownable2StepUpgradeable, UUPSUpgradeable {
    /// @custom:oz-upgrades-unsafe-allow constructor
    constructor() {
        _disableInitializers();
    }

    /// @inheritdoc ISetRegistry
    function initialize(address initialOwner, address initialSequencer) external initializer {
        if (initialOwner == address(0)) revert InvalidAddress();
        __Ownable_init(initialOwner);
        _status = initialStatus(LAYOUT_VERSION);
        _authorize(initialSequencer, true);
    }

    /// @inheritdoc ISetRegistry
    function setSequencerAuthorization(address sequencer, bool authorized) external onlyOwner {
        _authorize(sequencer, authorized);
    }

    /// @inheritdoc ISetRegistry
    function batchSetSequencerAuthorization(address[] calldata sequencers, bool authorized) external onlyOwner {
        if (sequencers.length == 0) revert EmptyArray();
        for (uint256 i; i < sequencers.length; ++i) {
            _authorize(sequencers[i], authorized);
        }
    }

    /// @inheritdoc ISetRegistry
    function setStrictMode(bool enabled) external onlyOwner {
        _status = _status.withStrictMode(enabled);
        emit StrictModeUpdated(enabled);
    }

    /// @inheritdoc ISetRegistry
    function setGenesisRequired(bool required) external onlyOwner {
        _status = _status.withGenesisRequired(required);
        emit GenesisRequirementUpdated(required);
    }

    /// @inheritdoc ISetRegistry
    function setStreamSequencer(bytes32 tenantId, bytes32 storeId, address sequencer) external onlyOwner {
        bytes32 key = _checkedStreamKey(tenantId, storeId);
        streamSequencer[key] = sequencer;
        _heads[key] = _heads[key].withBound(sequencer != address(0));
        emit StreamSequencerSet(key, sequencer);
    }

    /// @inheritdoc ISetRegistry
    function setStreamHead(bytes32 tenantId, bytes32 storeId, bytes32 batchId, uint64 sequence, bytes32 stateRoot)
        external
        onlyOwner
    {
        bytes32 key = _checkedStreamKey(tenantId, storeId);
        HeadWord head = _heads[key];
        if (batchId == 0) {
            if (sequence != 0 || stateRoot != 0) revert EmptyBatchId();
            _heads[key] = head.closed();
        } else {
            if (!head.opened()) emit StreamOpened(key, tenantId, storeId);
            if (uuidOf(batchId) == 0) _explicitHeadBatchId[key] = batchId;
            _explicitHeadStateRoot[key] = stateRoot;
            _heads[key] = head.moved(batchId, sequence, EXPLICIT_ROOT);
        }
        emit StreamHeadSet(key, batchId, sequence, stateRoot);
    }

    /// @inheritdoc ISetRegistry
    function setGuardian(address newGuardian) external onlyOwner {
        guardian = newGuardian;
        emit GuardianUpdated(newGuardian);
    }

    /// @inheritdoc ISetRegistry
    function pause() external {
        if (msg.sender != guardian) _checkOwner();
        StatusWord status = _status;
        if (status.paused()) revert EnforcedPause();
        _status = status.withPaused(true);
        emit Paused(msg.sender);
    }

    /// @inheritdoc ISetRegistry
    function unpause() external onlyOwner {
        StatusWord status = _status;
        if (!status.paused()) revert ExpectedPause();
        _status = status.withPaused(false);
        emit Unpaused(msg.sender);
    }

    /// @notice Always reverts: a registry without an owner could never be unpaused, repaired or upgraded.
    function renounceOwnership() public pure override(OwnableUpgradeable) {
        revert OwnershipCannotBeRenounced();
    }

    /// @dev Lets the owner upgrade.
    function _authorizeUpgrade(address newImplementation) internal override onlyOwner {
        emit ContractUpgraded(newImplementation, msg.sender);
    }

    /// @dev Counts only what changes. The lead sequencer's place goes to the first that is authorised while it is empty.
    function _authorize(address sequencer, bool authorized) private {
        if (sequencer == address(0)) revert InvalidAddress();
        if (authorizedSequencers[sequencer] != authorized) {
            authorizedSequencers[sequencer] = authorized;
            authorized ? ++authorizedSequencerCount : --authorizedSequencerCount;
        }
        address lead = _status.leadSequencer();
        if (authorized && lead == address(0)) _status = _status.withLeadSequencer(sequencer);
        if (!authorized && lead == sequencer) _status = _status.withLeadSequencer(address(0));
        emit SequencerAuthorized(sequencer, authorized);
    }

    /// @dev The key of a stream whose ids are not zero.
    function _checkedStreamKey(bytes32 tenantId, bytes32 storeId) private pure returns (bytes32) {
        if (tenantId == 0) revert EmptyTenantId();
        if (storeId == 0) revert EmptyStoreId();
        return _streamKey(tenantId, storeId);
    }
}

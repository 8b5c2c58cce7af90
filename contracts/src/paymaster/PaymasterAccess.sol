// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Ownable2StepUpgradeable} from "@openzeppelin/contracts-upgradeable/access/Ownable2StepUpgradeable.sol";
import {OwnableUpgradeable} from "@openzeppelin/contracts-upgradeable/access/OwnableUpgradeable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts-upgradeable/proxy/utils/UUPSUpgradeable.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {PaymasterStorage} from "./PaymasterStorage.sol";

/// @title PaymasterAccess
/// @notice Who may do what: the owner everything, operators payments and refunds, the guardian a pause.
/// @dev A pause stops payments to merchants. Refunds, deposits, withdrawals and all settings go on.
abstract contract PaymasterAccess is
    PaymasterStorage,
    Ownable2StepUpgradeable,
    ReentrancyGuardTransient,
    UUPSUpgradeable
{
    /// @dev Operators, and the owner.
    modifier onlyOperator() {
        if (!operators[msg.sender] && msg.sender != owner()) revert NotOperator();
        _;
    }

    /// @dev Not while paused.
    modifier whenNotPaused() {
        if (_paused) revert EnforcedPause();
        _;
    }

    /// @notice Whether payments are stopped.
    function paused() external view returns (bool) {
        return _paused;
    }

    /// @notice Allows an account to execute and refund sponsorships, or forbids it.
    /// @dev Only the owner. Reverts with `InvalidAddress` for zero. Emits `OperatorUpdated`.
    function setOperator(address operator, bool authorized) external onlyOwner {
        if (operator == address(0)) revert InvalidAddress();
        operators[operator] = authorized;
        emit OperatorUpdated(operator, authorized);
    }

    /// @notice Names the account that may pause besides the owner; zero for nobody.
    /// @dev Only the owner. Emits `GuardianUpdated`.
    function setGuardian(address newGuardian) external onlyOwner {
        guardian = newGuardian;
        emit GuardianUpdated(newGuardian);
    }

    /// @notice Stops payments to merchants.
    /// @dev Only the guardian and the owner. Reverts with `EnforcedPause` if paused. Emits `Paused`.
    function pause() external {
        if (msg.sender != guardian) _checkOwner();
        if (_paused) revert EnforcedPause();
        _paused = true;
        emit Paused(msg.sender);
    }

    /// @notice Lets payments to merchants go on.
    /// @dev Only the owner. Reverts with `ExpectedPause` if not paused. Emits `Unpaused`.
    function unpause() external onlyOwner {
        if (!_paused) revert ExpectedPause();
        _paused = false;
        emit Unpaused(msg.sender);
    }

    /// @notice Always reverts with `OwnershipCannotBeRenounced`: nobody could then unpause, withdraw or upgrade.
    function renounceOwnership() public pure override(OwnableUpgradeable) {
        revert OwnershipCannotBeRenounced();
    }

    /// @inheritdoc UUPSUpgradeable
    /// @dev Only the owner. Emits `ContractUpgraded`.
    function _authorizeUpgrade(address newImplementation) internal override onlyOwner {
        emit ContractUpgraded(newImplementation, msg.sender);
    }
}

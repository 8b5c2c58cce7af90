// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {PaymasterAccess} from "./PaymasterAccess.sol";

/// @title Treasury
/// @notice The paymaster's ether: how it comes in, and how the owner takes it out. Amounts are in wei.
abstract contract Treasury is PaymasterAccess {
    /// @notice A plain transfer, of any amount. Emits `Deposited`.
    receive() external payable {
        emit Deposited(msg.sender, msg.value);
    }

    /// @notice Funds sponsorships. Anyone may.
    /// @dev Reverts with `BelowMinimumDeposit`. Emits `Deposited`.
    function deposit() external payable {
        if (msg.value < minDeposit) revert BelowMinimumDeposit(msg.value, minDeposit);
        emit Deposited(msg.sender, msg.value);
    }

    /// @notice Sends `amount` to the treasury.
    /// @dev Only the owner. Reverts with `InsufficientBalance`, or with `WithdrawFailed` if the treasury refuses. Emits
    /// `Withdrawn`.
    function withdraw(uint256 amount) external onlyOwner nonReentrant {
        if (amount > address(this).balance) revert InsufficientBalance();
        address to = treasury;
        (bool sent,) = to.call{value: amount}("");
        if (!sent) revert WithdrawFailed();
        emit Withdrawn(to, amount);
    }

    /// @notice Names where withdrawals go.
    /// @dev Only the owner. Reverts with `InvalidAddress` for zero and for the paymaster itself. Emits `TreasuryUpdated`.
    function setTreasury(address newTreasury) external onlyOwner {
        _setTreasury(newTreasury);
    }

    /// @notice Sets the least that `deposit` takes.
    /// @dev Only the owner. Emits `MinDepositUpdated`.
    function setMinDeposit(uint256 newMinDeposit) external onlyOwner {
        _setMinDeposit(newMinDeposit);
    }

    /// @notice What the paymaster holds.
    function balance() external view returns (uint256) {
        return address(this).balance;
    }

    function _setTreasury(address newTreasury) internal {
        if (newTreasury == address(0) || newTreasury == address(this)) revert InvalidAddress();
        treasury = newTreasury;
        emit TreasuryUpdated(newTreasury);
    }

    function _setMinDeposit(uint256 newMinDeposit) internal {
        minDeposit = newMinDeposit;
        emit MinDepositUpdated(newMinDeposit);
    }
}

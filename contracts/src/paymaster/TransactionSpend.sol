// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {SlotDerivation} from "@openzeppelin/contracts/utils/SlotDerivation.sol";
import {TransientSlot} from "@openzeppelin/contracts/utils/TransientSlot.sol";

/// @title TransactionSpend
/// @notice What each merchant has received in the current Ethereum transaction, in wei, by however many calls.
/// @dev In transient storage (EIP-1153), which the EVM clears when the transaction ends. A refund does not lower it.
library TransactionSpend {
    using SlotDerivation for bytes32;
    using TransientSlot for *;

    /// @dev keccak256("set.paymaster.transactionSpend"), the base slot of a mapping from merchant to wei.
    bytes32 private constant BASE = keccak256("set.paymaster.transactionSpend");

    /// @notice Wei that `merchant` has received in this transaction.
    function spentBy(address merchant) internal view returns (uint256) {
        return BASE.deriveMapping(merchant).asUint256().tload();
    }

    /// @notice Sets what `merchant` has received in this transaction, in wei.
    function set(address merchant, uint256 amount) internal {
        BASE.deriveMapping(merchant).asUint256().tstore(amount);
    }
}

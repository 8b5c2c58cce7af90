// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IPaymasterEvents} from "./IPaymasterEvents.sol";

/// @title Payout
/// @notice Sends ether to a payee that nobody vouches for.
library Payout {
    /// @notice Gas that each payee's code gets: enough to log and to write a slot, too little to hurt a batch of 100.
    uint256 internal constant PAYEE_GAS = 30_000;

    /// @dev Part of a payee's gas that the EVM adds by itself to every call that carries ether (yellow paper, G_callstipend).
    uint256 private constant STIPEND = 2300;

    /// @dev The dearest call: a cold account (2,600, EIP-2929), ether (9,000), an account that does not exist yet (25,000).
    uint256 private constant CALL_COST = 36_600;

    /// @dev What must be left before a call. The EVM keeps a 64th back and hands over the rest, or less than was asked for
    /// without a word (EIP-150); so the payee's share times 64/63, the call itself, and the few opcodes around it.
    uint256 private constant REQUIRED_GAS = PAYEE_GAS * 64 / 63 + CALL_COST + 500;

    /// @notice Sends `amount` wei to `payee` with exactly `PAYEE_GAS` gas, and copies nothing that it returns.
    /// @return sent Whether the payee took it.
    /// @dev Reverts with `InsufficientGas` where the payee could get less.
    function send(address payee, uint256 amount) internal returns (bool sent) {
        uint256 available = gasleft();
        if (available < REQUIRED_GAS) revert IPaymasterEvents.InsufficientGas(available, REQUIRED_GAS);
        uint256 payeeGas = amount == 0 ? PAYEE_GAS : PAYEE_GAS - STIPEND;
        assembly ("memory-safe") {
            sent := call(payeeGas, payee, amount, 0, 0, 0, 0)
        }
    }
}

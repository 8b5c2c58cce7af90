// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {SetRegistry} from "../../src/SetRegistry.sol";

/// @title NextRegistry
/// @notice What an upgrade looks like: new code, and a slot appended to the old ones.
contract NextRegistry is SetRegistry {
    uint256 public addedLater;

    /// @notice Uses the new slot.
    function setAddedLater(uint256 value) external onlyOwner {
        addedLater = value;
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Vm} from "./Vm.sol";

/// @title Test
/// @notice Base of every test contract: the cheatcodes and what forge expects to find.
abstract contract Test {
    /// @dev Where forge answers cheatcodes: the address made of keccak256("hevm cheat code").
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    address[] private _targets;

    /// @notice Contracts that an invariant run may call, read by forge.
    function targetContracts() public view returns (address[] memory) {
        return _targets;
    }

    /// @dev Limits an invariant run to `handler`: an arbitrary call to a proxy would mostly revert and prove nothing.
    function targetContract(address handler) internal {
        _targets.push(handler);
    }

    /// @dev Folds a fuzzed value into `[low, high]`, both included.
    function bound(uint256 value, uint256 low, uint256 high) internal pure returns (uint256) {
        require(low <= high, "bound: empty range");
        if (low == 0 && high == type(uint256).max) return value;
        return low + value % (high - low + 1);
    }

    /// @dev An address that no key is known for, the same in every run.
    function makeAddress(string memory name) internal returns (address account) {
        account = address(uint160(uint256(keccak256(bytes(name)))));
        vm.label(account, name);
    }
}

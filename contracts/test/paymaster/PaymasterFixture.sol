// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";

import {SetPaymaster} from "../../src/SetPaymaster.sol";
import {Test} from "../Test.sol";
import {Vm} from "../Vm.sol";

/// @title PaymasterFixture
/// @notice A funded paymaster behind its proxy, at the start of a day.
abstract contract PaymasterFixture is Test {
    uint256 internal constant START = 20_834 days;
    uint256 internal constant STARTER = 0;
    uint256 internal constant GROWTH = 1;
    uint256 internal constant ENTERPRISE = 2;
    uint8 internal constant OTHER = 6;

    /// @dev The block's time. Kept here, since the compiler may take `block.timestamp` to be the same all through a test.
    uint256 internal clock = START;
    address internal owner;
    address internal treasury;
    address internal operator;
    address internal alice;
    address internal bob;
    SetPaymaster internal paymaster;

    function setUp() public virtual {
        vm.warp(clock);
        owner = makeAddress("owner");
        treasury = makeAddress("treasury");
        operator = makeAddress("operator");
        alice = makeAddress("alice");
        bob = makeAddress("bob");
        address implementation = address(new SetPaymaster());
        bytes memory call = abi.encodeCall(SetPaymaster.initialize, (owner, treasury));
        paymaster = SetPaymaster(payable(address(new ERC1967Proxy(implementation, call))));
        vm.deal(address(paymaster), 1000 ether);
        vm.prank(owner);
        paymaster.setOperator(operator, true);
        sponsor(alice, STARTER);
        sponsor(bob, GROWTH);
    }

    function sponsor(address merchant, uint256 tierId) internal {
        vm.prank(owner);
        paymaster.sponsorMerchant(merchant, tierId);
    }

    function pay(address merchant, uint256 amount) internal {
        vm.prank(operator);
        paymaster.executeSponsorship(merchant, amount, OTHER);
    }

    function refund(address merchant, uint256 amount) internal {
        vm.deal(operator, amount);
        vm.prank(operator);
        paymaster.refundUnusedGas{value: amount}(merchant, amount);
    }

    function skip(uint256 time) internal {
        clock += time;
        vm.warp(clock);
    }

    function spent(address merchant) internal view returns (uint256 today, uint256 thisMonth) {
        (,, today, thisMonth,) = paymaster.getMerchantDetails(merchant);
    }

    function total(address merchant) internal view returns (uint256 totalSponsored) {
        (,,,, totalSponsored) = paymaster.getMerchantDetails(merchant);
    }

    function sponsorshipId(address merchant, uint96 nonce) internal pure returns (bytes32) {
        return bytes32(abi.encodePacked(merchant, nonce));
    }

    function addresses(address a, address b) internal pure returns (address[] memory list) {
        list = new address[](2);
        (list[0], list[1]) = (a, b);
    }

    /// @dev What was logged under `topic` since `recordLogs`.
    function logsOf(bytes32 topic) internal returns (Vm.Log[] memory found) {
        Vm.Log[] memory all = vm.getRecordedLogs();
        uint256 count;
        for (uint256 i = 0; i < all.length; ++i) {
            if (all[i].topics[0] == topic) all[count++] = all[i];
        }
        found = new Vm.Log[](count);
        for (uint256 i = 0; i < count; ++i) {
            found[i] = all[i];
        }
    }

    /// @dev `length` times `value`.
    function repeat(uint256 value, uint256 length) internal pure returns (uint256[] memory list) {
        list = new uint256[](length);
        for (uint256 i = 0; i < length; ++i) {
            list[i] = value;
        }
    }

    /// @dev `length` times `operationType`.
    function operations(uint8 operationType, uint256 length) internal pure returns (uint8[] memory list) {
        list = new uint8[](length);
        for (uint256 i = 0; i < length; ++i) {
            list[i] = operationType;
        }
    }
}

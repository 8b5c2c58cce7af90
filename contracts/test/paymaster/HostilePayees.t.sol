// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {IPaymasterEvents} from "../../src/paymaster/IPaymasterEvents.sol";
import {Vm} from "../Vm.sol";
import {
    ExactingPayee,
    LoopingPayee,
    LoudPayee,
    MeasuringPayee,
    MoodyPayee,
    ReentrantPayee,
    RevertingLoudlyPayee
} from "./Payees.sol";
import {PaymasterFixture} from "./PaymasterFixture.sol";

/// @notice Merchants whose code means harm, or just fails.
contract HostilePayeesTest is PaymasterFixture {
    /// @dev Slot of the merchants' records (storage-layout/SetPaymaster.json).
    uint256 private constant ACCOUNTS_SLOT = 1;

    function test_NoneOfThemStopsABatch() public {
        MoodyPayee refuser = new MoodyPayee();
        refuser.setRefuses(true);
        address[] memory merchants = new address[](6);
        merchants[0] = address(refuser);
        merchants[1] = address(new LoopingPayee());
        merchants[2] = address(new RevertingLoudlyPayee());
        merchants[3] = address(new ReentrantPayee(paymaster, ReentrantPayee.Way.Execute));
        merchants[4] = address(new LoudPayee());
        for (uint256 i = 0; i < 5; ++i) {
            sponsor(merchants[i], STARTER);
        }
        merchants[5] = alice;

        vm.recordLogs();
        (uint256 succeeded, uint256 failed) = payAll(merchants);
        vm.assertEq(succeeded, 3, "the reentrant one, which was refused and took it, the loud one, alice");
        vm.assertEq(failed, 3);
        vm.assertEq(paymaster.totalGasSponsored(), 3 gwei);
        vm.assertEq(alice.balance, 1 gwei);
        Vm.Log[] memory failures = logsOf(IPaymasterEvents.BatchSponsorshipFailed.selector);
        for (uint256 i = 0; i < 3; ++i) {
            vm.assertEq(failures[i].topics[1], bytes32(uint256(uint160(merchants[i]))));
            vm.assertEq(abi.decode(failures[i].data, (string)), "Transfer failed");
            vm.assertEq(total(merchants[i]), 0);
            vm.assertEq(merchants[i].balance, 0);
        }
    }

    function test_AloneTheyOnlyRevertTheirOwnPayment() public {
        address payee = address(new LoopingPayee());
        sponsor(payee, STARTER);
        vm.expectRevert(IPaymasterEvents.TransferFailed.selector);
        pay(payee, 1);
    }

    function test_WhatAPayeeReturnsCostsNothing() public {
        uint256 looping = gasOfTen(type(LoopingPayee).creationCode);
        uint256 loud = gasOfTen(type(LoudPayee).creationCode);
        uint256 reverting = gasOfTen(type(RevertingLoudlyPayee).creationCode);
        // Copying 90 kB would cost more than the 24,000 gas that making them did.
        vm.assertLe(loud, looping);
        vm.assertLe(reverting, looping);
    }

    function test_APayeeGets30000Gas() public {
        address payee = address(new MeasuringPayee());
        sponsor(payee, STARTER);
        for (uint256 amount = 0; amount < 2; ++amount) {
            vm.recordLogs();
            pay(payee, amount);
            uint256 left = abi.decode(logsOf(MeasuringPayee.Gas.selector)[0].data, (uint256));
            vm.assertLe(left, 30_000);
            vm.assertGe(left, 29_900);
        }
    }

    /// @dev Were a payee ever given less than its due, it would be left out and the batch would go on.
    function testFuzz_TooLittleGasRevertsTheWholeCall(uint256 gas, uint256 count) public {
        count = bound(count, 1, 3);
        gas = bound(gas, 40_000, 40_000 + 75_000 * count);
        (bool paid, uint256 succeeded) = payExactingOnes(gas, count);
        vm.assertEq(succeeded, paid ? count : 0);
        vm.assertEq(paymaster.totalGasSponsored(), paid ? count * 1 gwei : 0);
    }

    function test_EnoughGasPaysAll() public {
        (bool paid,) = payExactingOnes(500_000, 3);
        vm.assertTrue(paid);
    }

    function test_TooLittleGasSaysHowMuchIsNeeded() public {
        vm.prank(operator);
        (bool ok, bytes memory answer) = address(paymaster).call{gas: 90_000}(
            abi.encodeWithSignature("executeSponsorship(address,uint256,uint8)", alice, 1, OTHER)
        );
        vm.assertFalse(ok);
        vm.assertEq(bytes32(bytes4(answer)), bytes32(IPaymasterEvents.InsufficientGas.selector));
    }

    function test_NoWayBackInWhileBeingPaid() public {
        for (uint256 way = 0; way <= uint256(type(ReentrantPayee.Way).max); ++way) {
            address payee = address(new ReentrantPayee(paymaster, ReentrantPayee.Way(way)));
            sponsor(payee, STARTER);
            vm.prank(owner);
            paymaster.setOperator(payee, true);
            vm.recordLogs();
            pay(payee, 1 gwei);
            bytes4 selector = abi.decode(logsOf(ReentrantPayee.Refused.selector)[0].data, (bytes4));
            bytes4 expected = way == uint256(ReentrantPayee.Way.CanSponsor)
                ? bytes4("view")
                : ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector;
            vm.assertEq(bytes32(selector), bytes32(expected));
            vm.assertEq(total(payee), 1 gwei);
        }
    }

    function testFuzz_ARefusedPaymentLeavesTheRecordAsItWas(uint256 wait) public {
        wait = bound(wait, 0, 40 days);
        MoodyPayee payee = new MoodyPayee();
        sponsor(address(payee), ENTERPRISE);
        pay(address(payee), 1 gwei);
        skip(3 hours);
        pay(address(payee), 1 gwei);
        skip(wait);
        payee.setRefuses(true);
        (bytes32 head, bytes32 bases) = record(address(payee));
        (uint256 succeeded,) = payAll(addresses(address(payee), address(payee)));
        vm.assertEq(succeeded, 0);
        (bytes32 headAfter, bytes32 basesAfter) = record(address(payee));
        vm.assertEq(headAfter, head);
        vm.assertEq(basesAfter, bases);
        // Nor does it count within the transaction: the whole limit is left, less the two payments of this test.
        (bool sponsorable,) = paymaster.canSponsor(address(payee), 0.01 ether - 2 gwei);
        vm.assertTrue(sponsorable);
    }

    function record(address merchant) private view returns (bytes32 head, bytes32 bases) {
        uint256 slot = uint256(keccak256(abi.encode(merchant, ACCOUNTS_SLOT)));
        head = vm.load(address(paymaster), bytes32(slot));
        bases = vm.load(address(paymaster), bytes32(slot + 1));
        vm.assertNotEq(head, 0);
        vm.assertNotEq(bases, 0);
    }

    function payAll(address[] memory merchants) private returns (uint256 succeeded, uint256 failed) {
        vm.prank(operator);
        return paymaster.batchExecuteSponsorship(
            merchants, repeat(1 gwei, merchants.length), operations(OTHER, merchants.length)
        );
    }

    function payExactingOnes(uint256 gas, uint256 count) private returns (bool paid, uint256 succeeded) {
        address[] memory merchants = new address[](count);
        for (uint256 i = 0; i < count; ++i) {
            merchants[i] = address(new ExactingPayee());
            sponsor(merchants[i], STARTER);
        }
        uint256[] memory amounts = repeat(1 gwei, count);
        uint8[] memory types = operations(OTHER, count);
        vm.prank(operator);
        try paymaster.batchExecuteSponsorship{gas: gas}(merchants, amounts, types) returns (uint256 done, uint256) {
            return (true, done);
        } catch {
            return (false, 0);
        }
    }

    function gasOfTen(bytes memory code) private returns (uint256 used) {
        address[] memory merchants = new address[](10);
        for (uint256 i = 0; i < 10; ++i) {
            address payee;
            assembly {
                payee := create(0, add(code, 32), mload(code))
            }
            merchants[i] = payee;
            sponsor(payee, STARTER);
        }
        used = gasleft();
        payAll(merchants);
        used -= gasleft();
    }
}

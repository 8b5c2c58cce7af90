// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IPaymasterEvents} from "../../src/paymaster/IPaymasterEvents.sol";
import {MultiCaller} from "./Payees.sol";
import {PaymasterFixture} from "./PaymasterFixture.sol";

/// @notice What may be paid. Each call is an Ethereum transaction of its own here, as on a chain.
/// forge-config: default.isolate = true
contract SpendingRulesTest is PaymasterFixture {
    function test_LimitPerTransaction() public {
        pay(alice, 0.001 ether);
        refuse(
            alice,
            0.001 ether + 1,
            abi.encodeWithSelector(IPaymasterEvents.ExceedsTransactionLimit.selector, 0.001 ether + 1, 0.001 ether)
        );
    }

    function test_LimitPerTransactionHoldsOverAllCallsOfATransaction() public {
        MultiCaller caller = new MultiCaller();
        vm.prank(owner);
        paymaster.setOperator(address(caller), true);
        bytes[] memory calls = new bytes[](3);
        calls[0] = abi.encodeWithSignature("executeSponsorship(address,uint256,uint8)", alice, 0.0006 ether, OTHER);
        calls[1] = abi.encodeWithSignature("executeSponsorship(address,uint256,uint8)", bob, 0.0006 ether, OTHER);
        calls[2] = abi.encodeWithSignature(
            "executeSponsorship(address,uint256,uint8,bytes32,uint64)",
            alice,
            0.0005 ether,
            OTHER,
            sponsorshipId(alice, 1),
            type(uint64).max
        );
        vm.assertEq(
            caller.run(paymaster, calls),
            abi.encodeWithSelector(IPaymasterEvents.ExceedsTransactionLimit.selector, 0.0005 ether, 0.0004 ether)
        );
        // The next transaction starts anew.
        pay(alice, 0.001 ether);
        vm.assertEq(total(alice), 0.0016 ether);
    }

    function test_LimitPerTransactionHoldsWithinABatch() public {
        vm.prank(operator);
        (uint256 succeeded, uint256 failed) =
            paymaster.batchExecuteSponsorship(addresses(alice, alice), repeat(0.0006 ether, 2), operations(OTHER, 2));
        vm.assertEq(succeeded, 1);
        vm.assertEq(failed, 1);
        vm.assertEq(alice.balance, 0.0006 ether);
    }

    function test_DailyLimit() public {
        for (uint256 i = 0; i < 10; ++i) {
            pay(alice, 0.0009 ether);
            skip(1 hours);
        }
        // 0.009 spent of 0.01.
        pay(alice, 0.0005 ether);
        refuse(
            alice,
            0.0006 ether,
            abi.encodeWithSelector(IPaymasterEvents.ExceedsDailyLimit.selector, 0.0006 ether, 0.0005 ether)
        );
        vm.assertEq(paymaster.getRemainingDailyAllowance(alice), 0.0005 ether);
        pay(alice, 0.0005 ether);
        vm.assertEq(paymaster.getRemainingDailyAllowance(alice), 0);
    }

    function test_MonthlyLimit() public {
        for (uint256 i = 0; i < 10; ++i) {
            for (uint256 j = 0; j < 10; ++j) {
                pay(alice, 0.001 ether);
            }
            skip(25 hours);
        }
        refuse(alice, 1, abi.encodeWithSelector(IPaymasterEvents.ExceedsMonthlyLimit.selector, 1, 0));
        // 31 days after the first.
        vm.warp(START + 31 days);
        pay(alice, 0.001 ether);
    }

    function test_ALimitLoweredBelowWhatWasSpentLeavesNothing() public {
        for (uint256 i = 0; i < 5; ++i) {
            pay(alice, 0.001 ether);
        }
        vm.prank(owner);
        paymaster.updateTier(STARTER, 0.001 ether, 0.002 ether, 0.1 ether);
        refuse(alice, 1, abi.encodeWithSelector(IPaymasterEvents.ExceedsDailyLimit.selector, 1, 0));
        vm.assertEq(paymaster.getRemainingDailyAllowance(alice), 0);
        vm.prank(owner);
        paymaster.updateTier(STARTER, 0.001 ether, 0.003 ether, 0.003 ether);
        skip(24 hours);
        refuse(alice, 1, abi.encodeWithSelector(IPaymasterEvents.ExceedsMonthlyLimit.selector, 1, 0));
    }

    function test_ARevokedMerchantComesBackWithWhatItSpent() public {
        for (uint256 i = 0; i < 10; ++i) {
            pay(alice, 0.001 ether);
        }
        vm.prank(owner);
        paymaster.revokeMerchant(alice);
        refuse(alice, 1, abi.encodeWithSelector(IPaymasterEvents.NotSponsored.selector));
        sponsor(alice, STARTER);
        refuse(alice, 1, abi.encodeWithSelector(IPaymasterEvents.ExceedsDailyLimit.selector, 1, 0));
        sponsor(alice, STARTER);
        vm.assertEq(total(alice), 0.01 ether);
        // In a higher tier what it spent counts as well.
        sponsor(alice, GROWTH);
        vm.assertEq(paymaster.getRemainingDailyAllowance(alice), 0.04 ether);
    }

    function test_ATierSwitchedOffPaysNobody() public {
        vm.prank(owner);
        paymaster.setTierActive(STARTER, false);
        refuse(alice, 1, abi.encodeWithSelector(IPaymasterEvents.TierNotActive.selector));
        vm.prank(owner);
        paymaster.setTierActive(STARTER, true);
        pay(alice, 1);
    }

    function test_NotMoreThanThePaymasterHolds() public {
        vm.deal(address(paymaster), 5);
        refuse(alice, 6, abi.encodeWithSelector(IPaymasterEvents.InsufficientBalance.selector));
        pay(alice, 5);
    }

    function test_RefusedWhilePaused() public {
        vm.prank(owner);
        paymaster.pause();
        refuse(alice, 1, abi.encodeWithSelector(IPaymasterEvents.EnforcedPause.selector));
        vm.prank(owner);
        paymaster.unpause();
        pay(alice, 1);
    }

    function test_TheLargestLimitAndTotal() public {
        uint256 most = type(uint128).max;
        vm.prank(owner);
        uint256 tierId = paymaster.createTier("Unlimited", most, most, most);
        sponsor(alice, tierId);
        vm.deal(address(paymaster), type(uint256).max / 4);
        refuse(
            alice,
            type(uint256).max,
            abi.encodeWithSelector(IPaymasterEvents.ExceedsTransactionLimit.selector, type(uint256).max, most)
        );
        // The record starts at 1, so that it holds one wei less than 128 bits can say.
        refuse(alice, most, abi.encodeWithSelector(IPaymasterEvents.ExceedsMonthlyLimit.selector, most, most - 1));
        pay(alice, most - 1);
        vm.assertEq(total(alice), most - 1);
        skip(60 days);
        refuse(alice, 1, abi.encodeWithSelector(IPaymasterEvents.ExceedsMonthlyLimit.selector, 1, 0));
        refund(alice, 10);
        pay(alice, 10);
    }

    function testFuzz_CanSponsorAndExecutionAgree(uint256 seed) public {
        vm.deal(address(paymaster), 0.03 ether);
        for (uint256 step = 0; step < 25; ++step) {
            seed = uint256(keccak256(abi.encode(seed)));
            skip((seed >> 8) % 3 == 0 ? (seed >> 16) % 3 days : (seed >> 16) % 2 hours);
            uint256 kind = seed % 16;
            vm.startPrank(owner);
            if (kind == 0) paymaster.setTierActive(STARTER, seed >> 64 & 1 == 0);
            if (kind == 1) paymaster.updateTier(STARTER, seed >> 64 & 0xffffffffffff, 0.005 ether, 0.02 ether);
            if (kind == 2) paymaster.updateTier(STARTER, 0.004 ether, 0.01 ether, 0.05 ether);
            if (kind == 3) paymaster.revokeMerchant(alice);
            if (kind == 4) paymaster.sponsorMerchant(alice, GROWTH);
            if (kind == 5 && !paymaster.paused()) paymaster.pause();
            else if (paymaster.paused()) paymaster.unpause();
            vm.stopPrank();
            checkAgreement(alice, (seed >> 128) % 0.006 ether);
            if (kind > 12 && total(alice) != 0) refund(alice, 1 + (seed >> 128) % total(alice));
        }
    }

    /// @dev Asks first, then pays, in one transaction each; the reason must be the error's.
    function checkAgreement(address merchant, uint256 amount) private {
        (bool sponsorable, string memory reason) = paymaster.canSponsor(merchant, amount);
        uint256 before = merchant.balance;
        vm.prank(operator);
        (bool ok, bytes memory answer) = address(paymaster)
            .call(abi.encodeWithSignature("executeSponsorship(address,uint256,uint8)", merchant, amount, OTHER));
        vm.assertEq(ok, sponsorable);
        vm.assertEq(reason, ok ? "" : textOf(bytes4(answer)));
        vm.assertEq(merchant.balance - before, ok ? amount : 0);
    }

    function refuse(address merchant, uint256 amount, bytes memory reason) private {
        checkAgreement(merchant, amount);
        vm.expectRevert(reason);
        pay(merchant, amount);
    }

    function textOf(bytes4 selector) private pure returns (string memory) {
        if (selector == IPaymasterEvents.EnforcedPause.selector) return "Paused";
        if (selector == IPaymasterEvents.NotSponsored.selector) return "Not sponsored";
        if (selector == IPaymasterEvents.TierNotActive.selector) return "Tier not active";
        if (selector == IPaymasterEvents.ExceedsTransactionLimit.selector) return "Exceeds transaction limit";
        if (selector == IPaymasterEvents.ExceedsDailyLimit.selector) return "Exceeds daily limit";
        if (selector == IPaymasterEvents.ExceedsMonthlyLimit.selector) return "Exceeds monthly limit";
        if (selector == IPaymasterEvents.InsufficientBalance.selector) return "Insufficient paymaster balance";
        return "an unknown error";
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IPaymasterEvents} from "../../src/paymaster/IPaymasterEvents.sol";
import {Vm} from "../Vm.sol";
import {MoodyPayee} from "./Payees.sol";
import {PaymasterFixture} from "./PaymasterFixture.sol";

/// @notice Payments, alone and in batches, with and without ids, and refunds. Each call is a transaction of its own.
/// forge-config: default.isolate = true
contract SponsorshipsTest is PaymasterFixture {
    uint64 private constant NEVER = type(uint64).max;

    // ------------------------------------------------------------------ payments

    function test_PaysAndCounts() public {
        vm.expectEmit(address(paymaster));
        emit IPaymasterEvents.GasSponsored(alice, 0.001 ether, 2);
        vm.prank(operator);
        paymaster.executeSponsorship(alice, 0.001 ether, 2);
        vm.assertEq(alice.balance, 0.001 ether);
        vm.assertEq(paymaster.balance(), 999.999 ether);
        vm.assertEq(paymaster.totalGasSponsored(), 0.001 ether);
        (bool active, uint8 tierId, uint64 dayReset, uint64 monthReset, uint128 today, uint128 month, uint128 all) =
            paymaster.merchantSponsorship(alice);
        vm.assertTrue(active);
        vm.assertEq(tierId, STARTER);
        vm.assertEq(dayReset, START - 24 hours);
        vm.assertEq(monthReset, START - 30 days);
        vm.assertEq(today, 0.001 ether);
        vm.assertEq(month, 0.001 ether);
        vm.assertEq(all, 0.001 ether);
        (uint256 held, uint256 sum, uint256 tierCount, address to) = paymaster.getPaymasterStatus();
        vm.assertEq(held, 999.999 ether);
        vm.assertEq(sum, 0.001 ether);
        vm.assertEq(tierCount, 3);
        vm.assertEq(to, treasury);
    }

    function test_EveryOperationTypeAndNoOther() public {
        for (uint8 operationType = 0; operationType <= 6; ++operationType) {
            vm.prank(operator);
            paymaster.executeSponsorship(alice, 1, operationType);
        }
        vm.expectRevert(abi.encodeWithSelector(IPaymasterEvents.InvalidOperationType.selector, 7));
        vm.prank(operator);
        paymaster.executeSponsorship(alice, 1, 7);
    }

    function test_OnlyOperatorsAndTheOwnerPay() public {
        vm.prank(owner);
        paymaster.executeSponsorship(alice, 1, 0);
        vm.startPrank(alice);
        bytes4 reason = IPaymasterEvents.NotOperator.selector;
        vm.expectRevert(reason);
        paymaster.executeSponsorship(alice, 1, 0);
        vm.expectRevert(reason);
        paymaster.executeSponsorship(alice, 1, 0, sponsorshipId(alice, 0), NEVER);
        vm.expectRevert(reason);
        paymaster.batchExecuteSponsorship(addresses(alice, bob), repeat(1, 2), operations(0, 2));
        vm.expectRevert(reason);
        paymaster.batchExecuteSponsorship(
            addresses(alice, bob), repeat(1, 2), operations(0, 2), new bytes32[](2), new uint64[](2)
        );
        vm.expectRevert(reason);
        paymaster.refundUnusedGas(alice, 0);
        vm.expectRevert(reason);
        paymaster.batchRefundUnusedGas(addresses(alice, bob), repeat(1, 2));
        vm.stopPrank();
        vm.prank(owner);
        paymaster.setOperator(operator, false);
        vm.expectRevert(reason);
        pay(alice, 1);
    }

    // ------------------------------------------------------------------ ids

    function testFuzz_AnIdIsPaidOnce(uint96 nonce, uint96 other) public {
        vm.assume(nonce != other);
        bytes32 id = sponsorshipId(alice, nonce);
        vm.assertFalse(paymaster.isSponsorshipPaid(id));
        vm.expectEmit(address(paymaster));
        emit IPaymasterEvents.GasSponsored(alice, 1, OTHER);
        vm.expectEmit(address(paymaster));
        emit IPaymasterEvents.SponsorshipPaid(id, alice, 1);
        payOnce(alice, id, NEVER);
        vm.assertTrue(paymaster.isSponsorshipPaid(id));
        vm.assertFalse(paymaster.isSponsorshipPaid(sponsorshipId(alice, other)));
        vm.assertFalse(paymaster.isSponsorshipPaid(sponsorshipId(bob, nonce)));
        vm.expectRevert(abi.encodeWithSelector(IPaymasterEvents.SponsorshipAlreadyPaid.selector, id));
        payOnce(alice, id, NEVER);
        payOnce(alice, sponsorshipId(alice, other), NEVER);
        payOnce(bob, sponsorshipId(bob, nonce), NEVER);
        vm.assertEq(alice.balance, 2);
        vm.assertEq(bob.balance, 1);
    }

    function testFuzz_AnIdOfAnotherMerchantIsRefused(bytes32 id) public {
        vm.assume(address(bytes20(id)) != alice);
        vm.expectRevert(abi.encodeWithSelector(IPaymasterEvents.ForeignSponsorshipId.selector, id, alice));
        payOnce(alice, id, NEVER);
    }

    function test_APaymentIsMadeUpToItsDeadline() public {
        payOnce(alice, sponsorshipId(alice, 1), uint64(START));
        vm.expectRevert(abi.encodeWithSelector(IPaymasterEvents.SponsorshipExpired.selector, uint64(START - 1)));
        payOnce(alice, sponsorshipId(alice, 2), uint64(START - 1));
        // What was paid says so, expired or not: that is what the sender wants to know.
        bytes32 id = sponsorshipId(alice, 1);
        skip(1);
        vm.expectRevert(abi.encodeWithSelector(IPaymasterEvents.SponsorshipAlreadyPaid.selector, id));
        payOnce(alice, id, uint64(START));
    }

    function test_AnIdWhosePaymentFailedStaysUnpaid() public {
        MoodyPayee payee = new MoodyPayee();
        sponsor(address(payee), STARTER);
        payee.setRefuses(true);
        bytes32 id = sponsorshipId(address(payee), 9);
        vm.expectRevert(IPaymasterEvents.TransferFailed.selector);
        payOnce(address(payee), id, NEVER);
        vm.assertFalse(paymaster.isSponsorshipPaid(id));
        payee.setRefuses(false);
        payOnce(address(payee), id, NEVER);
        vm.assertTrue(paymaster.isSponsorshipPaid(id));
    }

    function test_ABatchWithIdsSkipsWhatFails() public {
        MoodyPayee payee = new MoodyPayee();
        payee.setRefuses(true);
        sponsor(address(payee), STARTER);
        bytes32 paidBefore = sponsorshipId(alice, 1);
        payOnce(alice, paidBefore, NEVER);

        uint256 count = 8;
        address[] memory merchants = new address[](count);
        bytes32[] memory ids = new bytes32[](count);
        uint64[] memory deadlines = new uint64[](count);
        uint8[] memory types = operations(OTHER, count);
        for (uint256 i = 0; i < count; ++i) {
            merchants[i] = alice;
            ids[i] = sponsorshipId(alice, uint96(100 + i));
            deadlines[i] = NEVER;
        }
        ids[0] = paidBefore;
        ids[2] = ids[1]; // twice in one batch
        ids[3] = sponsorshipId(bob, 3);
        deadlines[4] = uint64(START - 1);
        (merchants[5], ids[5]) = (address(payee), sponsorshipId(address(payee), 5));
        types[6] = 7;

        vm.recordLogs();
        vm.prank(operator);
        (uint256 succeeded, uint256 failed) =
            paymaster.batchExecuteSponsorship(merchants, repeat(1, count), types, ids, deadlines);
        vm.assertEq(succeeded, 2);
        vm.assertEq(failed, 6);
        vm.assertEq(alice.balance, 3);
        string[6] memory reasons = [
            "Sponsorship already paid",
            "Sponsorship already paid",
            "Foreign sponsorship id",
            "Sponsorship expired",
            "Transfer failed",
            "Invalid operation type"
        ];
        uint256[6] memory skippedAt = [uint256(0), 2, 3, 4, 5, 6];
        Vm.Log[] memory skipped = logsOf(IPaymasterEvents.SponsorshipSkipped.selector);
        vm.assertEq(skipped.length, 6);
        for (uint256 i = 0; i < 6; ++i) {
            vm.assertEq(skipped[i].topics[1], ids[skippedAt[i]]);
            vm.assertEq(abi.decode(skipped[i].data, (string)), reasons[i]);
        }
        vm.assertTrue(paymaster.isSponsorshipPaid(ids[1]));
        vm.assertTrue(paymaster.isSponsorshipPaid(ids[7]));
        for (uint256 i = 3; i < 7; ++i) {
            vm.assertFalse(paymaster.isSponsorshipPaid(ids[i]));
        }
        // What was left out can be paid later.
        payOnce(alice, ids[4], NEVER);
        payOnce(alice, ids[6], NEVER);
    }

    // ------------------------------------------------------------------ batches

    function test_ABatchSkipsWhatFailsAndSaysSo() public {
        address unknown = makeAddress("unknown");
        address[] memory merchants = new address[](5);
        (merchants[0], merchants[1], merchants[2], merchants[3]) = (alice, unknown, bob, address(0));
        merchants[4] = alice;
        uint256[] memory amounts = repeat(0.001 ether, 5);
        amounts[2] = 0.006 ether;
        amounts[4] = 0;

        expectFailure(unknown, "Not sponsored");
        expectFailure(bob, "Exceeds transaction limit");
        expectFailure(address(0), "Not sponsored");
        vm.expectEmit(address(paymaster));
        emit IPaymasterEvents.BatchSponsorshipCompleted(5, 2, 3);
        vm.prank(operator);
        (uint256 succeeded, uint256 failed) =
            paymaster.batchExecuteSponsorship(merchants, amounts, operations(OTHER, 5));
        vm.assertEq(succeeded, 2);
        vm.assertEq(failed, 3);
        vm.assertEq(paymaster.totalGasSponsored(), 0.001 ether);
    }

    function test_BatchesOfWrongShapeAreRefused() public {
        vm.startPrank(operator);
        vm.expectRevert(IPaymasterEvents.EmptyArray.selector);
        paymaster.batchExecuteSponsorship(new address[](0), new uint256[](0), new uint8[](0));
        vm.expectRevert(IPaymasterEvents.ArrayLengthMismatch.selector);
        paymaster.batchExecuteSponsorship(new address[](2), new uint256[](1), new uint8[](2));
        vm.expectRevert(IPaymasterEvents.ArrayLengthMismatch.selector);
        paymaster.batchExecuteSponsorship(new address[](2), new uint256[](2), new uint8[](3));
        vm.expectRevert(IPaymasterEvents.BatchTooLarge.selector);
        paymaster.batchExecuteSponsorship(new address[](101), new uint256[](101), new uint8[](101));
        (, uint256 failed) = paymaster.batchExecuteSponsorship(new address[](100), new uint256[](100), new uint8[](100));
        vm.assertEq(failed, 100);
        vm.expectRevert(IPaymasterEvents.ArrayLengthMismatch.selector);
        paymaster.batchExecuteSponsorship(
            new address[](2), new uint256[](2), new uint8[](2), new bytes32[](1), new uint64[](2)
        );
        vm.expectRevert(IPaymasterEvents.ArrayLengthMismatch.selector);
        paymaster.batchExecuteSponsorship(
            new address[](2), new uint256[](2), new uint8[](2), new bytes32[](2), new uint64[](3)
        );
        vm.expectRevert(IPaymasterEvents.EmptyArray.selector);
        paymaster.batchRefundUnusedGas(new address[](0), new uint256[](0));
        vm.expectRevert(IPaymasterEvents.ArrayLengthMismatch.selector);
        paymaster.batchRefundUnusedGas(new address[](2), new uint256[](1));
        vm.expectRevert(IPaymasterEvents.BatchTooLarge.selector);
        paymaster.batchRefundUnusedGas(new address[](101), new uint256[](101));
        vm.expectRevert(IPaymasterEvents.ArrayLengthMismatch.selector);
        paymaster.batchCanSponsor(new address[](2), new uint256[](1));
        vm.stopPrank();
    }

    function test_ViewsOfManyAgreeWithThoseOfOne() public {
        pay(alice, 0.0004 ether);
        pay(bob, 0.005 ether);
        address[] memory merchants = addresses(alice, bob);
        (bool[] memory sponsorable, string[] memory reasons) =
            paymaster.batchCanSponsor(merchants, repeat(0.002 ether, 2));
        vm.assertFalse(sponsorable[0]);
        vm.assertEq(reasons[0], "Exceeds transaction limit");
        vm.assertTrue(sponsorable[1]);
        vm.assertEq(reasons[1], "");
        (bool[] memory statuses, uint256[] memory tierIds) = paymaster.batchGetMerchantStatus(merchants);
        vm.assertTrue(statuses[0] && statuses[1]);
        vm.assertEq(tierIds[0], STARTER);
        vm.assertEq(tierIds[1], GROWTH);
        uint256[] memory allowances = paymaster.batchGetRemainingDailyAllowance(merchants);
        vm.assertEq(allowances[0], 0.0096 ether);
        vm.assertEq(allowances[1], 0.045 ether);
        skip(24 hours);
        (bool[] memory active,, uint256[] memory today, uint256[] memory month, uint256[] memory all) =
            paymaster.batchGetMerchantDetails(merchants);
        vm.assertTrue(active[0] && active[1]);
        vm.assertEq(today[1], 0);
        vm.assertEq(month[1], 0.005 ether);
        vm.assertEq(all[1], 0.005 ether);
        (,, uint64 dayReset,,,,) = paymaster.merchantSponsorship(bob);
        vm.assertEq(dayReset, clock);
    }

    // ------------------------------------------------------------------ refunds

    function test_ARefundRestoresAllowanceAndTotals() public {
        pay(alice, 0.001 ether);
        vm.expectEmit(address(paymaster));
        emit IPaymasterEvents.GasRefunded(alice, 0.0004 ether);
        refund(alice, 0.0004 ether);
        (uint256 today, uint256 month) = spent(alice);
        vm.assertEq(today, 0.0006 ether);
        vm.assertEq(month, 0.0006 ether);
        vm.assertEq(total(alice), 0.0006 ether);
        vm.assertEq(paymaster.totalGasSponsored(), 0.0006 ether);
        vm.assertEq(paymaster.balance(), 999.9994 ether);
    }

    function test_ARefundOfAnOldPaymentRestoresOnlyTheMonth() public {
        pay(alice, 0.001 ether);
        skip(25 hours);
        refund(alice, 0.001 ether);
        (uint256 today, uint256 month) = spent(alice);
        vm.assertEq(today, 0);
        vm.assertEq(month, 0);
        vm.assertEq(paymaster.getRemainingDailyAllowance(alice), 0.01 ether);
        pay(alice, 0.001 ether);
        skip(31 days);
        refund(alice, 0.0005 ether);
        (today, month) = spent(alice);
        vm.assertEq(today + month, 0);
        vm.assertEq(total(alice), 0.0005 ether);
    }

    function test_RefundsThatAreRefused() public {
        pay(alice, 100);
        vm.deal(operator, 1 ether);
        vm.startPrank(operator);
        vm.expectRevert(abi.encodeWithSelector(IPaymasterEvents.RefundExceedsSponsored.selector, 101, 100));
        paymaster.refundUnusedGas{value: 101}(alice, 101);
        vm.expectRevert(abi.encodeWithSelector(IPaymasterEvents.RefundExceedsSponsored.selector, 1, 0));
        paymaster.refundUnusedGas{value: 1}(makeAddress("unknown"), 1);
        vm.expectRevert(abi.encodeWithSelector(IPaymasterEvents.RefundValueMismatch.selector, 50, 49));
        paymaster.refundUnusedGas{value: 49}(alice, 50);
        vm.expectRevert(IPaymasterEvents.InvalidRefundAmount.selector);
        paymaster.refundUnusedGas(alice, 0);
        vm.expectRevert(IPaymasterEvents.InvalidAddress.selector);
        paymaster.refundUnusedGas{value: 1}(address(0), 1);
        // More than 128 bits, whose low bits would pass.
        vm.expectRevert(abi.encodeWithSelector(IPaymasterEvents.RefundValueMismatch.selector, (1 << 128) + 1, 1));
        paymaster.refundUnusedGas{value: 1}(alice, (1 << 128) + 1);
        vm.stopPrank();
    }

    function test_ABatchOfRefundsIsAllOrNothing() public {
        pay(alice, 100);
        pay(bob, 100);
        vm.deal(operator, 1 ether);
        uint256[] memory amounts = repeat(60, 2);
        vm.startPrank(operator);
        vm.expectRevert(abi.encodeWithSelector(IPaymasterEvents.RefundValueMismatch.selector, 120, 121));
        paymaster.batchRefundUnusedGas{value: 121}(addresses(alice, bob), amounts);
        amounts[1] = 101;
        vm.expectRevert(abi.encodeWithSelector(IPaymasterEvents.RefundExceedsSponsored.selector, 101, 100));
        paymaster.batchRefundUnusedGas{value: 161}(addresses(alice, bob), amounts);
        amounts[1] = 60;
        paymaster.batchRefundUnusedGas{value: 120}(addresses(alice, bob), amounts);
        // Twice the same merchant cannot refund more than it has.
        vm.expectRevert(abi.encodeWithSelector(IPaymasterEvents.RefundExceedsSponsored.selector, 30, 10));
        paymaster.batchRefundUnusedGas{value: 60}(addresses(alice, alice), repeat(30, 2));
        vm.stopPrank();
        vm.assertEq(total(alice) + total(bob), 80);
        vm.assertEq(paymaster.totalGasSponsored(), 80);
    }

    // ------------------------------------------------------------------ private

    function payOnce(address merchant, bytes32 id, uint64 deadline) private {
        vm.prank(operator);
        paymaster.executeSponsorship(merchant, 1, OTHER, id, deadline);
    }

    function expectFailure(address merchant, string memory reason) private {
        vm.expectEmit(address(paymaster));
        emit IPaymasterEvents.BatchSponsorshipFailed(merchant, reason);
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Account, MerchantAccount} from "../../src/paymaster/MerchantAccount.sol";
import {Bases, Head} from "../../src/paymaster/MerchantWords.sol";
import {Test} from "../Test.sol";
import {SpendingModel} from "./SpendingModel.sol";

/// @notice The windows of a merchant's record against a model that keeps every payment.
contract MerchantAccountTest is Test {
    using MerchantAccount for Account;

    uint256 private constant START = 20_834 days;

    Account private account;
    SpendingModel private model;
    uint256 private time;

    function setUp() public {
        time = START;
        model = new SpendingModel();
        account.sponsor(3);
    }

    function test_APaymentCountsThroughItsHourAndTheNext24() public {
        time = START + 59 minutes;
        pay(5);
        time = START + 24 hours + 58 minutes + 59;
        expectSpent(5, 5);
        pay(1);
        time = START + 24 hours + 59 minutes + 59;
        expectSpent(6, 6);
        time = START + 25 hours;
        expectSpent(1, 6);
    }

    function test_APaymentCountsThroughItsDayAndTheNext30() public {
        pay(5);
        time = START + 20 days;
        pay(1);
        time = START + 31 days - 1;
        expectSpent(0, 6);
        time = START + 31 days;
        expectSpent(0, 1);
    }

    function test_24HoursWithoutAPaymentRestoreTheDay() public {
        time = START + 10;
        pay(5);
        time += 24 hours - 1;
        expectSpent(5, 5);
        time += 1;
        expectSpent(0, 5);
        // What was forgotten stays so when the next payment comes within the same hour.
        pay(2);
        expectSpent(2, 7);
    }

    function test_30DaysWithoutAPaymentRestoreTheMonth() public {
        time = START + 10;
        pay(5);
        time += 30 days - 1;
        expectSpent(0, 5);
        time += 1;
        expectSpent(0, 0);
        pay(2);
        expectSpent(2, 2);
    }

    function test_AFullRingOfHoursAndDays() public {
        for (uint256 hour = 0; hour < 24 * 40; ++hour) {
            time = START + hour * 1 hours;
            pay(1);
            expectSpent(hour < 25 ? hour + 1 : 25, hour < 24 * 31 ? hour + 1 : 24 * 30 + hour % 24 + 1);
        }
    }

    function test_ARefundOfWhatNoLongerCountsRestoresNothing() public {
        pay(5);
        time += 26 hours;
        pay(1);
        refund(4);
        expectSpent(0, 2);
        time += 1 hours;
        pay(3);
        expectSpent(3, 5);
    }

    function test_ARefundAcrossHoursLeavesTheOlderOnes() public {
        for (uint256 i = 0; i < 10; ++i) {
            pay(10);
            time += 1 hours;
        }
        refund(55);
        expectSpent(45, 45);
        time = START + 25 hours + 10;
        pay(1);
        // The first hour is gone; the fifth, half refunded, still counts with what is left.
        expectSpent(36, 46);
        time = START + 29 hours;
        expectSpent(1, 46);
    }

    function testFuzz_AgreesWithTheModel(uint256 seed) public {
        for (uint256 step = 0; step < 60; ++step) {
            seed = uint256(keccak256(abi.encode(seed)));
            time += jump(seed);
            checkBounds();
            if (seed >> 128 & 3 != 0) {
                pay(uint64(seed >> 64));
            } else {
                uint256 sponsored = account.head.sponsored();
                if (sponsored != 0) refund(1 + (seed >> 136) % sponsored);
            }
            checkBounds();
        }
        vm.assertEq(account.head.sponsored(), model.total());
        vm.assertEq(account.head.tierId(), 3);
        vm.assertTrue(account.head.active());
    }

    function testFuzz_RestoreUndoesAPaymentForGood(uint256 seed) public {
        for (uint256 step = 0; step < 60; ++step) {
            seed = uint256(keccak256(abi.encode(seed)));
            time += jump(seed);
            (Head head, Bases bases) = (account.head, account.bases);
            (Head headNow, Bases basesNow) = account.asOf(time);
            account.pay(headNow, basesNow, uint64(seed >> 64), time);
            if (seed >> 128 & 1 == 0) account.restore(head, bases);
            else model.pay(uint64(seed >> 64), time);
            checkBounds();
        }
        vm.assertEq(account.head.sponsored(), model.total());
    }

    function pay(uint256 amount) private {
        (Head head, Bases bases) = account.asOf(time);
        account.pay(head, bases, amount, time);
        model.pay(amount, time);
    }

    function refund(uint256 amount) private {
        account.refund(amount);
        model.refund(amount);
    }

    function expectSpent(uint256 today, uint256 thisMonth) private view {
        (Head head, Bases bases) = account.asOf(time);
        vm.assertEq(head.total() - bases.day(), today, "day");
        vm.assertEq(head.total() - bases.month(), thisMonth, "month");
    }

    function checkBounds() private view {
        (Head head, Bases bases) = account.asOf(time);
        uint256 today = head.total() - bases.day();
        (uint256 least, uint256 most) = model.bounds(24 hours, 1 hours, time);
        vm.assertLe(least, today, "a payment under 24 hours old does not count");
        vm.assertLe(today, most, "a payment over 25 hours old counts");
        uint256 thisMonth = head.total() - bases.month();
        (least, most) = model.bounds(30 days, 1 days, time);
        vm.assertLe(least, thisMonth, "a payment under 30 days old does not count");
        vm.assertLe(thisMonth, most, "a payment over 31 days old counts");
    }

    /// @dev Seconds to wait: mostly around the edges of hours, days and windows.
    function jump(uint256 seed) private pure returns (uint256) {
        uint256 kind = seed % 10;
        uint256 wobble = (seed >> 8) % 3; // one second before, at and after
        if (kind < 3) return (seed >> 16) % 1 hours;
        if (kind < 6) return (seed >> 16) % 30 hours;
        if (kind == 6) return 1 hours * (1 + (seed >> 16) % 26) + wobble - 1;
        if (kind == 7) return 1 days + wobble - 1;
        if (kind == 8) return 1 days * (1 + (seed >> 16) % 32) + wobble - 1;
        return (seed >> 16) % 40 days;
    }
}

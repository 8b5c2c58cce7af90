// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {Bases, Head, ORIGIN, toBases} from "./MerchantWords.sol";

/// @notice A merchant's record.
/// @param head Registration, total, and the time of the latest payment.
/// @param bases The totals before the 24 hours and 30 days that count.
/// @param hourEnds The total at the end of hour `h` (unix time / 3,600), at `h % 32`, valid where the head's paid hours say so.
/// @param dayEnds The total at the end of day `d` (unix time / 86,400), at `d % 32`, valid where the head's paid days say so.
struct Account {
    Head head;
    Bases bases;
    uint128[32] hourEnds;
    uint128[32] dayEnds;
}

/// @title MerchantAccount
/// @notice What a merchant has received in the last 24 hours and 30 days.
/// @dev Instead of an amount per hour the ring keeps the running total at the end of each hour that saw a payment. The sum
/// over a window is then one subtraction, a payment within the hour touches no ring, and moving the window reads one entry,
/// however many hours have passed. The same code serves days.
///
/// A payment counts while its hour is at most 24 hours before the current one, and until 24 hours pass without any payment:
/// for at least 24 hours (it is never dropped younger) and at most 25 (its hour is then gone). In days: 30 and 31.
///
/// The rings hold 32 entries, more than the 24 and 30 that can be valid. The entry that a payment overwrites is therefore
/// never one that the record before that payment needs, and `restore` has only the first two slots to put back.
library MerchantAccount {
    /// @dev Hours before the current one whose payments count.
    uint256 private constant HOURS = 24;
    /// @dev Days before the current one whose payments count.
    uint256 private constant DAYS = 30;
    uint256 private constant RING = 32;

    /// @notice Puts the merchant into a tier. What it received before still counts.
    function sponsor(Account storage self, uint8 tierId) internal {
        Head head = self.head;
        if (head.total() == 0) {
            head = head.withTotal(ORIGIN);
            self.bases = toBases(ORIGIN, ORIGIN);
        }
        self.head = head.withTier(tierId).withActive(true);
    }

    /// @notice The record as of `time`, with the windows moved up to it; storage stays as it is.
    /// @param time Unix seconds, not before the latest payment.
    function asOf(Account storage self, uint256 time) internal view returns (Head head, Bases bases) {
        head = self.head;
        bases = self.bases;
        if (head.lastPaidAt() / 1 hours == time / 1 hours) return (head, bases);
        (uint256 hourBits, uint256 dayBase) =
            _advance(self.hourEnds, head, time, 1 hours, HOURS, head.paidHours(), bases.day());
        (uint256 dayBits, uint256 monthBase) =
            _advance(self.dayEnds, head, time, 1 days, DAYS, head.paidDays(), bases.month());
        return (head.withPaid(hourBits, dayBits), toBases(dayBase, monthBase));
    }

    /// @notice Books a payment.
    /// @param head The record as of `time`, as `asOf` gives it.
    /// @param bases The record as of `time`, as `asOf` gives it.
    /// @param amount Wei; the caller has checked that `head.total() + amount` fits 128 bits.
    /// @param time Unix seconds, not before the latest payment.
    function pay(Account storage self, Head head, Bases bases, uint256 amount, uint256 time) internal {
        uint256 last = head.lastPaidAt();
        if (last / 1 hours != time / 1 hours) {
            uint128 end = uint128(head.total());
            // A ring that has forgotten everything (24 hours, 30 days without a payment) needs no entry for the last hour.
            if (head.paidHours() != 0) self.hourEnds[(last / 1 hours) % RING] = end;
            if (last / 1 days != time / 1 days && head.paidDays() != 0) self.dayEnds[(last / 1 days) % RING] = end;
            self.bases = bases;
        }
        self.head = head.withPayment(amount, time);
    }

    /// @notice Puts a record back to what it was before a payment.
    /// @param head `self.head` before the payment.
    /// @param bases `self.bases` before the payment.
    function restore(Account storage self, Head head, Bases bases) internal {
        self.head = head;
        self.bases = bases;
    }

    /// @notice Takes back the latest payments, as many as make up `amount`; what no longer counts is not credited again.
    /// @param amount Wei, at most `self.head.sponsored()`.
    function refund(Account storage self, uint256 amount) internal {
        Head head = self.head;
        Bases bases = self.bases;
        uint256 total = head.total() - amount;
        _truncate(self.hourEnds, head.lastPaidAt() / 1 hours, head.paidHours(), total);
        _truncate(self.dayEnds, head.lastPaidAt() / 1 days, head.paidDays(), total);
        self.head = head.withTotal(total);
        self.bases = toBases(Math.min(bases.day(), total), Math.min(bases.month(), total));
    }

    /// @notice The time (unix seconds) before which no payment counts against the daily limit at `time`; zero if never paid.
    function dayStart(uint256 lastPaidAt, uint256 time) internal pure returns (uint256) {
        return _windowStart(lastPaidAt, time, 1 hours, HOURS);
    }

    /// @notice The time (unix seconds) before which no payment counts against the monthly limit at `time`; zero if never paid.
    function monthStart(uint256 lastPaidAt, uint256 time) internal pure returns (uint256) {
        return _windowStart(lastPaidAt, time, 1 days, DAYS);
    }

    /// @dev Moves a window of `count` buckets of `width` seconds up to `time`.
    /// @param paid The ring's valid entries as of the latest payment.
    /// @param base The total before the window as of the latest payment.
    /// @return The ring's valid entries, and the total before the window, as of `time`.
    function _advance(
        uint128[RING] storage ends,
        Head head,
        uint256 time,
        uint256 width,
        uint256 count,
        uint256 paid,
        uint256 base
    ) private view returns (uint256, uint256) {
        uint256 last = head.lastPaidAt();
        if (time - last >= count * width) return (0, head.total());
        uint256 bucket = time / width;
        uint256 gap = bucket - last / width;
        if (gap == 0) return (paid, base);
        // The bucket of the latest payment becomes the ring's newest entry; the window then moves by the whole gap, which is
        // at most `count` here, so that all bits stay inside the word.
        paid = ((paid << 1) | 1) << (gap - 1);
        uint256 expired = paid >> count;
        if (expired != 0) {
            // The newest bucket that has left the window: its lowest bit. It is older than that of the latest payment.
            uint256 age = count + 1 + Math.log2(expired & (~expired + 1));
            base = ends[(bucket - age) % RING];
        }
        return (paid & ((1 << count) - 1), base);
    }

    /// @dev Lowers the ring's entries to at most `total`, newest first; they never grow with age.
    function _truncate(uint128[RING] storage ends, uint256 bucket, uint256 paid, uint256 total) private {
        for (; paid != 0; paid >>= 1) {
            --bucket;
            if (paid & 1 == 0) continue;
            if (ends[bucket % RING] <= total) return;
            ends[bucket % RING] = uint128(total);
        }
    }

    function _windowStart(uint256 lastPaidAt, uint256 time, uint256 width, uint256 count)
        private
        pure
        returns (uint256)
    {
        if (lastPaidAt == 0) return 0;
        if (time - lastPaidAt >= count * width) return lastPaidAt + count * width;
        return Math.saturatingSub(time / width, count) * width;
    }
}

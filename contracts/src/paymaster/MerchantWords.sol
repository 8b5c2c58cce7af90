// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @notice What every payment to a merchant reads and writes, in one storage word:
///
/// | bits | field |
/// | --- | --- |
/// | 0..127 | total: wei that the merchant received less what was refunded, plus 1 once it was first sponsored |
/// | 128..167 | time of the latest payment (unix seconds), which names the current hour and day; 0 if never paid |
/// | 168..199 | paid hours: bit `k` is set where the hour `k + 1` before that of the latest payment saw payments; 24 bits used |
/// | 200..231 | paid days: the same in days; 30 bits used |
/// | 232..239 | tier id |
/// | 240 | active: whether the merchant may be paid |
type Head is uint256;

/// @notice The totals just before the first payments that still count, in one storage word, which is written when the hour
/// changes:
///
/// | bits | field |
/// | --- | --- |
/// | 0..127 | for the daily limit: what counts is the head's total less this |
/// | 128..255 | for the monthly limit, likewise |
type Bases is uint256;

using {
    total,
    sponsored,
    lastPaidAt,
    paidHours,
    paidDays,
    tierId,
    active,
    withTotal,
    withPayment,
    withPaid,
    withTier,
    withActive
} for Head global;
using {day, month} for Bases global;

/// @dev Where totals start: not at zero, so that moving a window never pays for a fresh slot of bases.
uint256 constant ORIGIN = 1;

uint256 constant TIME_OFFSET = 128;
uint256 constant HOURS_OFFSET = 168;
uint256 constant DAYS_OFFSET = 200;
uint256 constant TIER_OFFSET = 232;
uint256 constant ACTIVE = 1 << 240;

function total(Head head) pure returns (uint256) {
    return uint128(Head.unwrap(head));
}

/// @dev The total in wei, without the origin.
function sponsored(Head head) pure returns (uint256) {
    uint256 sum = total(head);
    return sum == 0 ? 0 : sum - ORIGIN;
}

function lastPaidAt(Head head) pure returns (uint256) {
    return uint40(Head.unwrap(head) >> TIME_OFFSET);
}

function paidHours(Head head) pure returns (uint256) {
    return uint32(Head.unwrap(head) >> HOURS_OFFSET);
}

function paidDays(Head head) pure returns (uint256) {
    return uint32(Head.unwrap(head) >> DAYS_OFFSET);
}

function tierId(Head head) pure returns (uint8) {
    return uint8(Head.unwrap(head) >> TIER_OFFSET);
}

function active(Head head) pure returns (bool) {
    return Head.unwrap(head) & ACTIVE != 0;
}

/// @dev `sum` fits 128 bits.
function withTotal(Head head, uint256 sum) pure returns (Head) {
    return _with(head, 0, type(uint128).max, sum);
}

/// @dev The total grows by `amount`, and fits 128 bits; `time` becomes that of the latest payment.
function withPayment(Head head, uint256 amount, uint256 time) pure returns (Head) {
    head = Head.wrap(Head.unwrap(head) + amount);
    return _with(head, TIME_OFFSET, type(uint40).max, time);
}

function withPaid(Head head, uint256 hourBits, uint256 dayBits) pure returns (Head) {
    return _with(_with(head, HOURS_OFFSET, type(uint32).max, hourBits), DAYS_OFFSET, type(uint32).max, dayBits);
}

function withTier(Head head, uint8 id) pure returns (Head) {
    return _with(head, TIER_OFFSET, type(uint8).max, id);
}

function withActive(Head head, bool on) pure returns (Head) {
    uint256 raw = Head.unwrap(head);
    return Head.wrap(on ? raw | ACTIVE : raw & ~ACTIVE);
}

/// @dev Both fit 128 bits.
function toBases(uint256 dayBase, uint256 monthBase) pure returns (Bases) {
    return Bases.wrap(dayBase | (monthBase << 128));
}

function day(Bases bases) pure returns (uint256) {
    return uint128(Bases.unwrap(bases));
}

function month(Bases bases) pure returns (uint256) {
    return Bases.unwrap(bases) >> 128;
}

/// @dev Replaces the field at `offset` whose largest value is `mask`; what does not fit is cut off.
function _with(Head head, uint256 offset, uint256 mask, uint256 value) pure returns (Head) {
    return Head.wrap((Head.unwrap(head) & ~(mask << offset)) | ((value & mask) << offset));
}

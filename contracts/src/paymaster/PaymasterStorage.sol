// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IPaymasterEvents} from "./IPaymasterEvents.sol";
import {Account} from "./MerchantAccount.sol";
import {PaidIds} from "./SponsorshipIds.sol";

/// @notice The limits of a group of merchants, in wei.
/// @param name For people.
/// @param maxPerTransaction What a merchant may receive in one Ethereum transaction.
/// @param maxPerDay What a merchant may receive in 24 hours.
/// @param maxPerMonth What a merchant may receive in 30 days.
/// @param active Whether merchants of the tier may be paid.
struct Tier {
    string name;
    uint128 maxPerTransaction;
    uint128 maxPerDay;
    uint128 maxPerMonth;
    bool active;
}

/// @title PaymasterStorage
/// @notice All state of SetPaymaster, in one place and order.
/// @dev storage-layout/SetPaymaster.json pins it. An upgrade appends; it never moves, retypes or removes. The state of
/// OpenZeppelin's contracts is apart, in slots of its own (ERC-7201).
abstract contract PaymasterStorage is IPaymasterEvents {
    /// @notice The tiers, by id.
    mapping(uint256 tierId => Tier tier) public tiers;

    /// @dev The merchants' records.
    mapping(address merchant => Account account) internal _accounts;

    /// @notice Who may execute and refund sponsorships, besides the owner.
    mapping(address account => bool authorized) public operators;

    /// @dev The sponsorship ids that were paid.
    PaidIds internal _paidIds;

    /// @notice Id of the next tier, which is the number of tiers.
    uint256 public nextTierId;

    /// @dev Wei, the sum over all records; in a slot with the pause switch, since every payment uses both. Wide enough for
    /// 2^112 merchants, whose totals have 128 bits each.
    uint240 internal _totalGasSponsored;

    /// @dev Whether payments are stopped.
    bool internal _paused;

    /// @notice The least that `deposit` takes, in wei.
    uint256 public minDeposit;

    /// @notice Where withdrawals go.
    address public treasury;

    /// @notice Who may pause besides the owner; zero for nobody.
    address public guardian;
}

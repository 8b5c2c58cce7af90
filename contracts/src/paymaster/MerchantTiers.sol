// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Account, MerchantAccount} from "./MerchantAccount.sol";
import {PaymasterAccess} from "./PaymasterAccess.sol";
import {Tier} from "./PaymasterStorage.sol";

/// @title MerchantTiers
/// @notice The owner's side of sponsorship: tiers with their limits, and who is in which.
/// @dev Batches here are all or nothing: an entry that can't be carried out reverts the call.
abstract contract MerchantTiers is PaymasterAccess {
    using MerchantAccount for Account;

    /// @notice The most entries that a batch takes.
    uint256 public constant MAX_BATCH_SIZE = 100;

    /// @dev A merchant's record keeps its tier in 8 bits.
    uint256 private constant MAX_TIERS = 256;

    // ------------------------------------------------------------------ tiers

    /// @notice Creates a tier, active.
    /// @dev Only the owner. Limits in wei: `maxPerTx <= maxPerDay <= maxPerMonth < 2^128`, else `InvalidTierLimits`. Reverts
    /// with `TooManyTiers` after 256. Emits `TierCreated`.
    /// @param maxPerTx What a merchant may receive in one Ethereum transaction.
    /// @param maxPerDay What a merchant may receive in 24 hours.
    /// @param maxPerMonth What a merchant may receive in 30 days.
    /// @return tierId Ids count from 0.
    function createTier(string calldata name, uint256 maxPerTx, uint256 maxPerDay, uint256 maxPerMonth)
        external
        onlyOwner
        returns (uint256 tierId)
    {
        return _createTier(name, maxPerTx, maxPerDay, maxPerMonth);
    }

    /// @notice Changes a tier's limits, for all its merchants and at once.
    /// @dev Only the owner. Limits as for `createTier`; reverts with `InvalidTier` if there is no such tier. Where the new
    /// limit is below what counts already, nothing is left until enough of that has left the window. Emits `TierUpdated`.
    function updateTier(uint256 tierId, uint256 maxPerTx, uint256 maxPerDay, uint256 maxPerMonth) external onlyOwner {
        if (tierId >= nextTierId) revert InvalidTier();
        _setLimits(tiers[tierId], maxPerTx, maxPerDay, maxPerMonth);
        emit TierUpdated(tierId, maxPerTx, maxPerDay);
    }

    /// @notice Switches a tier on or off; while off, its merchants are not paid.
    /// @dev Only the owner. Reverts with `InvalidTier` if there is no such tier. Emits `TierStatusUpdated`.
    function setTierActive(uint256 tierId, bool active) external onlyOwner {
        if (tierId >= nextTierId) revert InvalidTier();
        tiers[tierId].active = active;
        emit TierStatusUpdated(tierId, active);
    }

    /// @notice The active tiers, limits in wei.
    function getAllTiers()
        external
        view
        returns (
            uint256[] memory tierIds,
            string[] memory names,
            uint256[] memory maxPerTx,
            uint256[] memory maxPerDay,
            uint256[] memory maxPerMonth
        )
    {
        uint256 count;
        for (uint256 id = 0; id < nextTierId; ++id) {
            if (tiers[id].active) ++count;
        }
        tierIds = new uint256[](count);
        names = new string[](count);
        maxPerTx = new uint256[](count);
        maxPerDay = new uint256[](count);
        maxPerMonth = new uint256[](count);
        uint256 i;
        for (uint256 id = 0; i < count; ++id) {
            Tier storage tier = tiers[id];
            if (!tier.active) continue;
            tierIds[i] = id;
            names[i] = tier.name;
            maxPerTx[i] = tier.maxPerTransaction;
            maxPerDay[i] = tier.maxPerDay;
            maxPerMonth[i] = tier.maxPerMonth;
            ++i;
        }
    }

    // ------------------------------------------------------------------ merchants

    /// @notice Puts a merchant into a tier, so that it may be paid. What it received before still counts, also where it was
    /// revoked in between.
    /// @dev Only the owner. Reverts with `InvalidAddress` for zero and for the paymaster itself, with `InvalidTier` for a
    /// tier that does not exist or is switched off. Emits `MerchantSponsored`.
    function sponsorMerchant(address merchant, uint256 tierId) external onlyOwner {
        _sponsor(merchant, tierId);
    }

    /// @notice Forbids to pay a merchant. Its record stays.
    /// @dev Only the owner. Reverts with `InvalidAddress` for zero. Emits `MerchantRevoked`.
    function revokeMerchant(address merchant) external onlyOwner {
        _revoke(merchant);
    }

    /// @notice `sponsorMerchant` for up to 100, all or nothing.
    /// @dev Reverts with `EmptyArray`, `ArrayLengthMismatch`, `BatchTooLarge`, and as `sponsorMerchant` does.
    function batchSponsorMerchants(address[] calldata merchants, uint256[] calldata tierIds) external onlyOwner {
        _checkBatch(merchants.length);
        if (merchants.length != tierIds.length) revert ArrayLengthMismatch();
        for (uint256 i = 0; i < merchants.length; ++i) {
            _sponsor(merchants[i], tierIds[i]);
        }
    }

    /// @notice `revokeMerchant` for up to 100, all or nothing.
    /// @dev Reverts with `EmptyArray`, `BatchTooLarge`, and as `revokeMerchant` does.
    function batchRevokeMerchants(address[] calldata merchants) external onlyOwner {
        _checkBatch(merchants.length);
        for (uint256 i = 0; i < merchants.length; ++i) {
            _revoke(merchants[i]);
        }
    }

    /// @notice Moves up to 100 merchants to another tier. One that is not sponsored is left out, and said so by
    /// `BatchSponsorshipFailed`.
    /// @dev Only the owner. Reverts with `EmptyArray`, `BatchTooLarge`, `InvalidTier` and `InvalidAddress`, as
    /// `sponsorMerchant` does. Emits `MerchantSponsored` for each one moved.
    function batchUpdateMerchantTier(address[] calldata merchants, uint256 newTierId) external onlyOwner {
        _checkBatch(merchants.length);
        _checkTier(newTierId);
        for (uint256 i = 0; i < merchants.length; ++i) {
            address merchant = merchants[i];
            if (merchant == address(0)) revert InvalidAddress();
            if (_accounts[merchant].head.active()) _sponsor(merchant, newTierId);
            else emit BatchSponsorshipFailed(merchant, "Not sponsored");
        }
    }

    // ------------------------------------------------------------------ internal

    function _createTier(string memory name, uint256 maxPerTx, uint256 maxPerDay, uint256 maxPerMonth)
        internal
        returns (uint256 tierId)
    {
        tierId = nextTierId;
        if (tierId == MAX_TIERS) revert TooManyTiers();
        nextTierId = tierId + 1;
        Tier storage tier = tiers[tierId];
        tier.name = name;
        tier.active = true;
        _setLimits(tier, maxPerTx, maxPerDay, maxPerMonth);
        emit TierCreated(tierId, name, maxPerTx, maxPerDay);
    }

    /// @dev Reverts unless a batch has 1 to 100 entries.
    function _checkBatch(uint256 length) internal pure {
        if (length == 0) revert EmptyArray();
        if (length > MAX_BATCH_SIZE) revert BatchTooLarge();
    }

    function _setLimits(Tier storage tier, uint256 maxPerTx, uint256 maxPerDay, uint256 maxPerMonth) private {
        if (maxPerTx > maxPerDay || maxPerDay > maxPerMonth || maxPerMonth > type(uint128).max) {
            revert InvalidTierLimits();
        }
        tier.maxPerTransaction = uint128(maxPerTx);
        tier.maxPerDay = uint128(maxPerDay);
        tier.maxPerMonth = uint128(maxPerMonth);
    }

    function _checkTier(uint256 tierId) private view {
        // Also what keeps an id above 255 from being cut to 8 bits below: no such tier exists.
        if (tierId >= nextTierId || !tiers[tierId].active) revert InvalidTier();
    }

    function _sponsor(address merchant, uint256 tierId) private {
        if (merchant == address(0) || merchant == address(this)) revert InvalidAddress();
        _checkTier(tierId);
        _accounts[merchant].sponsor(uint8(tierId));
        emit MerchantSponsored(merchant, tierId);
    }

    function _revoke(address merchant) private {
        if (merchant == address(0)) revert InvalidAddress();
        Account storage account = _accounts[merchant];
        account.head = account.head.withActive(false);
        emit MerchantRevoked(merchant);
    }
}

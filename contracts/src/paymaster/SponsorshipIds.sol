// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @notice Which sponsorship ids were paid: one bit each, 256 to a word.
/// @dev The word's key is the id without its last byte. As that begins with the merchant's address, merchants share no word.
struct PaidIds {
    mapping(uint256 key => uint256 bits) words;
}

/// @title SponsorshipIds
/// @notice A sponsorship id is a merchant's address (20 bytes) and a nonce of that merchant's own (12 bytes).
/// @dev Nonces need no order (as in Permit2's unordered nonces): a merchant, or whoever counts for it, may use them in any
/// sequence. Consecutive ones are cheapest, since 256 of them share a storage slot.
library SponsorshipIds {
    /// @notice The merchant whose sponsorship `id` names.
    function merchantOf(bytes32 id) internal pure returns (address) {
        return address(bytes20(id));
    }

    /// @notice Whether `id` was paid.
    function isPaid(PaidIds storage self, bytes32 id) internal view returns (bool) {
        return self.words[_key(id)] & _bit(id) != 0;
    }

    /// @notice Marks `id` as paid.
    function markPaid(PaidIds storage self, bytes32 id) internal {
        self.words[_key(id)] |= _bit(id);
    }

    /// @notice Takes the mark back: the payment did not go through.
    function unmarkPaid(PaidIds storage self, bytes32 id) internal {
        self.words[_key(id)] &= ~_bit(id);
    }

    function _key(bytes32 id) private pure returns (uint256) {
        return uint256(id) >> 8;
    }

    function _bit(bytes32 id) private pure returns (uint256) {
        return 1 << (uint256(id) & 0xff);
    }
}

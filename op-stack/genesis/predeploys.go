package main

import (
	"bytes"
	"fmt"
	"math/big"

	"github.com/ethereum-optimism/optimism/op-core/predeploys"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
)

// rehearsalChain is the chain in op-geth's registry whose genesis holds all predeploys as of Isthmus. It settled on
// Sepolia, and its predeploys name its L1 contracts, owner and fee recipients. What Permit2 and EAS remember of its
// chain id stays: both compute their domain anew where the chain id is another one.
const rehearsalChain = 420120009

// storedAddress is an address of the rehearsal chain in the storage of one of its accounts.
type storedAddress struct {
	account common.Address
	slot    uint64
	ours    common.Address
}

// wordInCode is an immutable of the rehearsal chain's contracts, in the code of an implementation.
type wordInCode struct {
	account common.Address
	theirs  common.Hash
	ours    common.Hash
}

// tiePredeploys replaces what ties the rehearsal chain's accounts to that chain by what ties them to this one.
func tiePredeploys(accounts types.GenesisAlloc, config *chainConfig, contracts *l1Contracts) error {
	for _, stored := range []storedAddress{
		{predeploys.L2CrossDomainMessengerAddr, 0xcf, contracts.L1CrossDomainMessenger},
		{predeploys.L2StandardBridgeAddr, 4, contracts.L1StandardBridge},
		{predeploys.L2ERC721BridgeAddr, 2, contracts.L1ERC721Bridge},
		{predeploys.ProxyAdminAddr, 0, config.Rollup.Owner},
		{implementation(predeploys.ProxyAdminAddr), 0, config.Rollup.Owner},
	} {
		if err := stored.replace(accounts); err != nil {
			return err
		}
	}
	feeRecipient := common.BytesToHash(config.Rollup.FeeRecipient[:])
	for _, word := range []wordInCode{
		{implementation(predeploys.SequencerFeeVaultAddr), common.HexToHash("0xc08ab32d88205f5ee72de0629a41ca0282c7fb82"), feeRecipient},
		{implementation(predeploys.BaseFeeVaultAddr), common.HexToHash("0x9dd4901d2d82e9a6fdc4342c55f715362c08d8f4"), feeRecipient},
		{implementation(predeploys.L1FeeVaultAddr), common.HexToHash("0xd4ed1bb68d2a40673a12592fe97b6d52b53835a2"), feeRecipient},
		{implementation(predeploys.OperatorFeeVaultAddr), common.BytesToHash(predeploys.BaseFeeVaultAddr[:]), feeRecipient},
		{implementation(predeploys.OptimismMintableERC721FactoryAddr), common.BigToHash(big.NewInt(11_155_111)),
			common.BigToHash(new(big.Int).SetUint64(config.L1.ChainID))},
	} {
		if err := word.replace(accounts); err != nil {
			return err
		}
	}
	return nil
}

// implementation is where the code behind a predeploy's proxy is: the same last two bytes, in a namespace of its own.
func implementation(predeploy common.Address) common.Address {
	address := common.HexToAddress("0xc0D3C0d3C0d3C0D3c0d3C0d3c0D3C0d3c0d30000")
	copy(address[18:], predeploy[18:])
	return address
}

func (stored storedAddress) replace(accounts types.GenesisAlloc) error {
	slot := common.BigToHash(new(big.Int).SetUint64(stored.slot))
	storage := accounts[stored.account].Storage
	if theirs := storage[slot]; theirs == (common.Hash{}) {
		return fmt.Errorf("chain %d of op-geth's registry has no address in slot %s of %s; its genesis is another one than this program knows",
			rehearsalChain, slot.Big(), stored.account)
	}
	storage[slot] = common.BytesToHash(stored.ours[:])
	return nil
}

func (word wordInCode) replace(accounts types.GenesisAlloc) error {
	account := accounts[word.account]
	if !bytes.Contains(account.Code, pushed(word.theirs)) {
		return fmt.Errorf("chain %d of op-geth's registry has no %s in the code of %s; its genesis is another one than this program knows",
			rehearsalChain, word.theirs, word.account)
	}
	account.Code = bytes.ReplaceAll(account.Code, pushed(word.theirs), pushed(word.ours))
	accounts[word.account] = account
	return nil
}

// pushed is the instruction that puts a word on the stack, which is how code holds an immutable.
func pushed(word common.Hash) []byte {
	const push32 = 0x7f
	return append([]byte{push32}, word[:]...)
}

package main

import (
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/rawdb"
	"github.com/ethereum/go-ethereum/core/state"
	"github.com/ethereum/go-ethereum/core/tracing"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/triedb"
	"github.com/holiman/uint256"
)

// runUpgrade executes the transactions that a fork puts into its first block, and leaves in the genesis state what
// they leave on a chain that lives through the fork.
func runUpgrade(genesis *core.Genesis, transactions []hexutil.Bytes) error {
	accounts, err := stateOf(genesis.Alloc)
	if err != nil {
		return err
	}
	changes := state.NewHookedState(accounts, recordIn(genesis.Alloc))
	evm := vm.NewEVM(firstBlock(genesis), changes, genesis.Config, vm.Config{})
	gas := new(core.GasPool).AddGas(genesis.GasLimit)
	for index, encoded := range transactions {
		var transaction types.Transaction
		if err := transaction.UnmarshalBinary(encoded); err != nil {
			return fmt.Errorf("upgrade transaction %d cannot be read: %w", index, err)
		}
		message, err := core.TransactionToMessage(&transaction, types.LatestSigner(genesis.Config), genesis.BaseFee)
		if err != nil {
			return fmt.Errorf("upgrade transaction %d has no sender: %w", index, err)
		}
		accounts.SetTxContext(transaction.Hash(), index)
		result, err := core.ApplyMessage(evm, message, gas)
		if err == nil {
			err = result.Err
		}
		if err != nil {
			return fmt.Errorf("upgrade transaction %d fails: %w", index, err)
		}
		changes.Finalise(true)
	}
	return nil
}

// firstBlock is what the upgrade transactions see of the block that they are in.
func firstBlock(genesis *core.Genesis) vm.BlockContext {
	return vm.BlockContext{
		CanTransfer: core.CanTransfer,
		Transfer:    core.Transfer,
		GetHash:     func(uint64) common.Hash { return common.Hash{} },
		Coinbase:    genesis.Coinbase,
		GasLimit:    genesis.GasLimit,
		BlockNumber: new(big.Int),
		Time:        genesis.Timestamp,
		Difficulty:  genesis.Difficulty,
		BaseFee:     genesis.BaseFee,
		BlobBaseFee: big.NewInt(params.BlobTxMinBlobGasprice),
		Random:      &genesis.Mixhash,
	}
}

// stateOf puts accounts where the EVM finds them.
func stateOf(alloc types.GenesisAlloc) (*state.StateDB, error) {
	database := state.NewDatabase(triedb.NewDatabase(rawdb.NewMemoryDatabase(), nil), nil)
	accounts, err := state.New(types.EmptyRootHash, database)
	if err != nil {
		return nil, err
	}
	for address, account := range alloc {
		if account.Balance != nil {
			accounts.SetBalance(address, uint256.MustFromBig(account.Balance), tracing.BalanceIncreaseGenesisBalance)
		}
		accounts.SetCode(address, account.Code, tracing.CodeChangeGenesis)
		accounts.SetNonce(address, account.Nonce, tracing.NonceChangeGenesis)
		for slot, word := range account.Storage {
			accounts.SetState(address, slot, word)
		}
	}
	accounts.Finalise(false)
	return accounts, nil
}

// recordIn writes what the EVM changes into accounts. No fork moves ether.
func recordIn(alloc types.GenesisAlloc) *tracing.Hooks {
	update := func(address common.Address, change func(*types.Account)) {
		account := alloc[address]
		if account.Balance == nil {
			account.Balance = new(big.Int)
		}
		change(&account)
		alloc[address] = account
	}
	return &tracing.Hooks{
		OnNonceChange: func(address common.Address, _, nonce uint64) {
			update(address, func(account *types.Account) { account.Nonce = nonce })
		},
		OnCodeChange: func(address common.Address, _ common.Hash, _ []byte, _ common.Hash, code []byte) {
			update(address, func(account *types.Account) { account.Code = code })
		},
		OnStorageChange: func(address common.Address, slot, _, word common.Hash) {
			update(address, func(account *types.Account) {
				if account.Storage == nil {
					account.Storage = map[common.Hash]common.Hash{}
				}
				account.Storage[slot] = word
			})
		},
	}
}

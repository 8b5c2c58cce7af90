package main

import (
	"fmt"
	"math/big"

	"github.com/ethereum-optimism/optimism/op-node/rollup"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/params"
)

// start is all that a chain starts from: what op-geth, and what op-node has to know.
type start struct {
	genesis *core.Genesis
	rollup  *rollup.Config
	l1      *params.ChainConfig
}

// newStart puts a chain together. Each of fund starts with 10,000 ether, which nothing on L1 stands for, so that a
// public L1 allows none.
func newStart(config *chainConfig, contracts *l1Contracts, origin *l1Origin, last fork, fund []common.Address) (*start, error) {
	if len(fund) > 0 && isPublic(config.L1.ChainID) {
		return nil, fmt.Errorf("--fund makes ether that is on no L1, and L1 %d is a public one; bridge it instead", config.L1.ChainID)
	}
	karst := last.karstTime(uint64(origin.Time), config.blockSeconds())
	genesis, err := newGenesis(config, contracts, uint64(origin.Time), karst)
	if err != nil {
		return nil, err
	}
	for _, address := range fund {
		account := genesis.Alloc[address]
		account.Balance = new(big.Int).Mul(big.NewInt(10_000), big.NewInt(params.Ether))
		genesis.Alloc[address] = account
	}
	rollup := newRollup(config, contracts, origin, genesis)
	if err := rollup.Check(); err != nil {
		return nil, fmt.Errorf("op-node would not take this chain: %w", err)
	}
	return &start{genesis: genesis, rollup: rollup, l1: l1ChainConfig(config.L1.ChainID)}, nil
}

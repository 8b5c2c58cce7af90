package main

import (
	"fmt"
	"math/big"

	"github.com/ethereum-optimism/optimism/op-node/rollup/derive"
	"github.com/ethereum/go-ethereum/consensus/misc/eip1559"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/params"
)

// newGenesis is the first block and the state that it starts with. Jovian is active in it: were it to follow, minimum
// base fee and DA footprint scalar would be lost, for which earlier blocks have no place.
func newGenesis(config *chainConfig, contracts *l1Contracts, time uint64, karst *uint64) (*core.Genesis, error) {
	genesis, err := core.LoadOPStackGenesis(rehearsalChain)
	if err != nil {
		return nil, fmt.Errorf("op-geth's registry does not give chain %d: %w", rehearsalChain, err)
	}
	if err := tiePredeploys(genesis.Alloc, config, contracts); err != nil {
		return nil, err
	}
	denominator, elasticity := uint64(config.Rollup.EIP1559Denominator), uint64(config.Rollup.EIP1559Elasticity)
	chain := genesis.Config
	chain.ChainID = new(big.Int).SetUint64(config.Chain.ID)
	chain.JovianTime, chain.InteropTime = new(uint64), nil
	// Karst is Osaka for an execution node.
	chain.KarstTime, chain.OsakaTime = karst, karst
	chain.Optimism = &params.OptimismConfig{
		EIP1559Elasticity:        elasticity,
		EIP1559Denominator:       denominator,
		EIP1559DenominatorCanyon: &denominator,
	}
	genesis = &core.Genesis{
		Config:     chain,
		Timestamp:  time,
		ExtraData:  eip1559.EncodeJovianExtraData(denominator, elasticity, config.Rollup.MinBaseFee),
		GasLimit:   config.Block.GasLimit,
		Difficulty: new(big.Int),
		Coinbase:   genesis.Coinbase,
		Alloc:      genesis.Alloc,
		BaseFee:    big.NewInt(params.InitialBaseFee),
	}
	upgrade, err := derive.JovianNetworkUpgradeTransactions()
	if err != nil {
		return nil, fmt.Errorf("op-node does not give Jovian's upgrade transactions: %w", err)
	}
	if err := runUpgrade(genesis, upgrade); err != nil {
		return nil, fmt.Errorf("Jovian cannot be active from the start: %w", err)
	}
	return genesis, nil
}

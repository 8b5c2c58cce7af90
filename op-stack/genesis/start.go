package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"

	"github.com/ethereum-optimism/optimism/op-node/rollup"
	"github.com/ethereum-optimism/optimism/op-node/rollup/derive"
	"github.com/ethereum-optimism/optimism/op-service/eth"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/consensus/misc/eip1559"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/params"
)

// The files that are written.
const (
	genesisFile = "genesis.json"
	rollupFile  = "rollup.json"
	l1File      = "l1.json"
)

// What every chain of the OP Stack starts with, unless it has reasons.
const (
	// L1 blocks that a batch may come late, and a channel of the time before Granite may stay open.
	sequencingWindow = 3600
	channelTimeout   = 300
	// Seconds that L2 might be ahead of its L1 origin before Fjord.
	maxSequencerDrift = 600
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
	blockTime := uint64(config.Block.Time.Seconds())
	karst := last.karstTime(uint64(origin.Time), blockTime)
	genesis, err := newGenesis(config, contracts, uint64(origin.Time), karst)
	if err != nil {
		return nil, err
	}
	for _, address := range fund {
		account := genesis.Alloc[address]
		account.Balance = new(big.Int).Mul(big.NewInt(10_000), big.NewInt(params.Ether))
		genesis.Alloc[address] = account
	}
	begin := uint64(0)
	rollup := &rollup.Config{
		Genesis: rollup.Genesis{
			L1:           eth.BlockID{Hash: origin.Hash, Number: uint64(origin.Number)},
			L2:           eth.BlockID{Hash: genesis.ToBlock().Hash(), Number: 0},
			L2Time:       genesis.Timestamp,
			SystemConfig: config.systemConfig().inRollup(contracts.Batcher),
		},
		BlockTime:              blockTime,
		MaxSequencerDrift:      maxSequencerDrift,
		SeqWindowSize:          sequencingWindow,
		ChannelTimeoutBedrock:  channelTimeout,
		L1ChainID:              new(big.Int).SetUint64(config.L1.ChainID),
		L2ChainID:              new(big.Int).SetUint64(config.Chain.ID),
		RegolithTime:           &begin,
		CanyonTime:             &begin,
		DeltaTime:              &begin,
		EcotoneTime:            &begin,
		FjordTime:              &begin,
		GraniteTime:            &begin,
		HoloceneTime:           &begin,
		IsthmusTime:            &begin,
		JovianTime:             &begin,
		KarstTime:              karst,
		BatchInboxAddress:      contracts.inbox(config),
		DepositContractAddress: contracts.OptimismPortal,
		L1SystemConfigAddress:  contracts.SystemConfig,
		ChainOpConfig:          genesis.Config.Optimism,
	}
	if err := rollup.Check(); err != nil {
		return nil, fmt.Errorf("op-node would not take this chain: %w", err)
	}
	return &start{genesis: genesis, rollup: rollup, l1: l1ChainConfig(config.L1.ChainID)}, nil
}

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

// write puts the files into a directory, which is made where it is missing.
func (start *start) write(directory string) error {
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return err
	}
	for file, content := range map[string]any{genesisFile: start.genesis, rollupFile: start.rollup, l1File: start.l1} {
		if err := writeFile(filepath.Join(directory, file), content); err != nil {
			return err
		}
	}
	return nil
}

func writeFile(path string, content any) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := writeJSON(file, content); err != nil {
		return fmt.Errorf("cannot write `%s`: %w", path, err)
	}
	return file.Close()
}

func writeJSON(to io.Writer, content any) error {
	encoder := json.NewEncoder(to)
	encoder.SetIndent("", "  ")
	return encoder.Encode(content)
}

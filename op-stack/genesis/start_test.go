package main

import (
	"bytes"
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/ethereum-optimism/optimism/op-core/predeploys"
	"github.com/ethereum-optimism/optimism/op-node/rollup"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"
)

var (
	testContracts = &l1Contracts{
		OptimismPortal:         common.HexToAddress("0x9001"),
		SystemConfig:           common.HexToAddress("0x9002"),
		L1CrossDomainMessenger: common.HexToAddress("0x9003"),
		L1StandardBridge:       common.HexToAddress("0x9004"),
		Batcher:                common.HexToAddress("0x9005"),
	}
	testOrigin = &l1Origin{Hash: common.HexToHash("0xabcd"), Number: 5, Time: 1_800_000_000}
)

func devnetStart(t *testing.T, last fork, fund ...common.Address) *start {
	t.Helper()
	start, err := newStart(devnet(t), testContracts, testOrigin, last, fund)
	if err != nil {
		t.Fatal(err)
	}
	return start
}

// What is written has to be what op-geth and op-node read: one block, named by both files.
func TestTheFilesDescribeOneChain(t *testing.T) {
	start := devnetStart(t, jovian)
	var genesis core.Genesis
	var config rollup.Config
	reread(t, start.genesis, &genesis)
	reread(t, start.rollup, &config)
	if err := config.Check(); err != nil {
		t.Fatal(err)
	}
	if hash := genesis.ToBlock().Hash(); config.Genesis.L2.Hash != hash {
		t.Errorf("rollup.json names block %s, and genesis.json makes %s", config.Genesis.L2.Hash, hash)
	}
	if genesis.Config.ChainID.Uint64() != 84_532_001 || config.L2ChainID.Uint64() != 84_532_001 || config.L1ChainID.Uint64() != 900 {
		t.Errorf("chain ids: %s, %s, %s", genesis.Config.ChainID, config.L2ChainID, config.L1ChainID)
	}
	if genesis.GasLimit != config.Genesis.SystemConfig.GasLimit {
		t.Errorf("gas limits: %d, %d", genesis.GasLimit, config.Genesis.SystemConfig.GasLimit)
	}
	if config.Genesis.L1.Number != 5 || config.Genesis.L2Time != 1_800_000_000 || genesis.Timestamp != 1_800_000_000 {
		t.Errorf("the start is another one: %+v", config.Genesis)
	}
}

func reread(t *testing.T, from, to any) {
	t.Helper()
	var written bytes.Buffer
	if err := writeJSON(&written, from); err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(&written)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(to); err != nil {
		t.Fatal(err)
	}
}

func TestJovianIsActiveFromTheStartAndKarstLater(t *testing.T) {
	for last, wanted := range map[fork]*uint64{jovian: nil, karst: ptr(1_800_000_006)} {
		start := devnetStart(t, last)
		for _, times := range [][2]*uint64{
			{start.genesis.Config.JovianTime, start.genesis.Config.KarstTime},
			{start.genesis.Config.JovianTime, start.genesis.Config.OsakaTime},
			{start.rollup.JovianTime, start.rollup.KarstTime},
		} {
			if times[0] == nil || *times[0] != 0 {
				t.Errorf("%s: Jovian is not active from the start", last)
			}
			if (times[1] == nil) != (wanted == nil) || wanted != nil && *times[1] != *wanted {
				t.Errorf("%s: Karst is at another time", last)
			}
		}
		if start.genesis.Config.InteropTime != nil {
			t.Errorf("%s: the rehearsal chain's interop is left", last)
		}
	}
}

func ptr(number uint64) *uint64 { return &number }

// The upgrade's transactions deploy from accounts of their own, point the proxies to what they deployed, and switch the
// oracle on.
func TestThePredeploysAreJovians(t *testing.T) {
	accounts := devnetStart(t, jovian).genesis.Alloc
	slot := common.HexToHash("0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc")
	for predeploy, deployer := range map[common.Address]string{
		predeploys.L1BlockAddr:        "0x4210000000000000000000000000000000000006",
		predeploys.GasPriceOracleAddr: "0x4210000000000000000000000000000000000007",
	} {
		deployed := crypto.CreateAddress(common.HexToAddress(deployer), 0)
		if behind := common.BytesToAddress(accounts[predeploy].Storage[slot].Bytes()); behind != deployed {
			t.Errorf("behind %s is %s, not %s", predeploy, behind, deployed)
		}
		if len(accounts[deployed].Code) == 0 || accounts[deployed].Nonce != 1 {
			t.Errorf("nothing was deployed to %s", deployed)
		}
	}
	flags := accounts[predeploys.GasPriceOracleAddr].Storage[common.Hash{}]
	if flags != common.HexToHash("0x01010101") {
		t.Errorf("the oracle's flags are %s", flags)
	}
}

func TestNothingOfTheRehearsalChainIsLeft(t *testing.T) {
	for address, account := range devnetStart(t, jovian).genesis.Alloc {
		for _, theirs := range []string{
			"0xf7711ad8eb822b8c95179746f0d63ca2a0c06a52", // L1 messenger
			"0x1b0bf2aea5acdf3c7e0efede9389411333aaf9f9", // L1 standard bridge
			"0x65ef317d11ed21438952b08415b8bc2ba0524a99", // L1 ERC-721 bridge
			"0x7614591245816314c2312cd5e083546114f2e7cf", // owner, aliased
			"0xc08ab32d88205f5ee72de0629a41ca0282c7fb82", // fee recipients
			"0x9dd4901d2d82e9a6fdc4342c55f715362c08d8f4",
			"0xd4ed1bb68d2a40673a12592fe97b6d52b53835a2",
		} {
			needle := common.FromHex(theirs)
			if bytes.Contains(account.Code, needle) {
				t.Errorf("the code of %s names %s", address, theirs)
			}
			for slot, word := range account.Storage {
				if bytes.Contains(word[:], needle) {
					t.Errorf("slot %s of %s names %s", slot, address, theirs)
				}
			}
		}
	}
}

func TestTheRegistryThatThisProgramKnowsIsRequired(t *testing.T) {
	genesis, err := core.LoadOPStackGenesis(rehearsalChain)
	if err != nil {
		t.Fatal(err)
	}
	delete(genesis.Alloc[predeploys.L2StandardBridgeAddr].Storage, common.BigToHash(big.NewInt(4)))
	if err := tiePredeploys(genesis.Alloc, devnet(t), testContracts); err == nil {
		t.Error("a bridge without its other end was accepted")
	}
}

func TestEtherIsMadeOnNoPublicL1(t *testing.T) {
	account := common.HexToAddress("0x1234")
	funded := devnetStart(t, jovian, account).genesis.Alloc[account].Balance
	if funded.Cmp(new(big.Int).Mul(big.NewInt(10_000), big.NewInt(params.Ether))) != 0 {
		t.Errorf("funded with %s wei", funded)
	}
	config := devnet(t)
	config.L1.ChainID = 11_155_111
	if _, err := newStart(config, testContracts, testOrigin, jovian, []common.Address{account}); err == nil || !strings.Contains(err.Error(), "--fund") {
		t.Errorf("got %v", err)
	}
	if _, err := newStart(config, testContracts, testOrigin, jovian, nil); err != nil {
		t.Error(err)
	}
}

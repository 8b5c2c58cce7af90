package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
)

const (
	shippedConfig = "../../config/chain-config.toml"
	devnetOverlay = "../../config/devnet-op.toml"
)

// devnet is the configuration that the project's own files make.
func devnet(t *testing.T) *chainConfig {
	t.Helper()
	config, err := readConfig([]string{shippedConfig, devnetOverlay})
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func TestTheShippedFilesMakeAChainWhoseFeesAreAllThere(t *testing.T) {
	config := devnet(t)
	if config.Chain.ID != 84_532_001 || config.Block.Time != 2*time.Second || config.L1.ChainID != 900 {
		t.Errorf("the files make another chain: %+v", config)
	}
	system := config.systemConfig()
	if system.OperatorFeeScalar == 0 || system.OperatorFeeConstant == 0 || system.MinBaseFee == 0 || system.DAFootprintGasScalar == 0 {
		t.Errorf("a fee is zero, so that no test on this chain could see it: %+v", system)
	}
}

func TestALaterFileWinsKeyByKey(t *testing.T) {
	overlay := filepath.Join(t.TempDir(), "overlay.toml")
	if err := os.WriteFile(overlay, []byte("[block]\ntime = \"1s\"\n[rollup]\nmin_base_fee = 7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	config, err := readConfig([]string{shippedConfig, devnetOverlay, overlay})
	if err != nil {
		t.Fatal(err)
	}
	plain := devnet(t)
	plain.Block.Time, plain.Rollup.MinBaseFee = time.Second, 7
	if *config != *plain {
		t.Errorf("got %+v, want %+v", config, plain)
	}
}

func TestEveryProblemIsNamedByItsKey(t *testing.T) {
	for key, spoil := range map[string]func(*chainConfig){
		"chain.id":                       func(c *chainConfig) { c.Chain.ID = 0 },
		"l1.chain_id":                    func(c *chainConfig) { c.L1.ChainID = c.Chain.ID },
		"block.time":                     func(c *chainConfig) { c.Block.Time = 500 * time.Millisecond },
		"block.gas_limit":                func(c *chainConfig) { c.Block.GasLimit = 20_000_000 },
		"rollup.da_footprint_gas_scalar": func(c *chainConfig) { c.Rollup.DAFootprintGasScalar = 0 },
		"rollup.eip1559_denominator":     func(c *chainConfig) { c.Rollup.EIP1559Denominator = 0 },
		"rollup.eip1559_elasticity":      func(c *chainConfig) { c.Rollup.EIP1559Elasticity = 0 },
		"rollup.base_fee_scalar":         func(c *chainConfig) { c.Rollup.BaseFeeScalar, c.Rollup.BlobBaseFeeScalar = 0, 0 },
		"rollup.owner":                   func(c *chainConfig) { c.Rollup.Owner = common.Address{} },
		"rollup.fee_recipient":           func(c *chainConfig) { c.Rollup.FeeRecipient = common.Address{} },
	} {
		config := devnet(t)
		spoil(config)
		err := config.validate()
		if err == nil || !strings.HasPrefix(err.Error(), "  "+key+" ") {
			t.Errorf("%s: got %v", key, err)
		}
	}
}

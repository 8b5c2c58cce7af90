package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ethereum-optimism/optimism/op-node/rollup"
)

const chainConfig = "../../config/chain-config.toml"

// What is committed says what chain-config.toml says, and op-deployer's own code takes it.
func TestCommittedFilesFollowTheConfiguration(t *testing.T) {
	files, err := render(chainConfig)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		file := filepath.Join("sepolia", name)
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what chain-config.toml makes of it; in op-stack, run:\n"+
				"  go run ./networks --config ../config/chain-config.toml --out networks/sepolia", file)
		}
	}
}

// A chain of somebody else's: each fact arrives where op-node looks for it.
func TestEachFactArrives(t *testing.T) {
	original, err := os.ReadFile(chainConfig)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.NewReplacer(
		"id = 84532001", "id = 84532002",
		"time = \"2s\"", "time = \"1s\"",
		"gas_limit = 30000000", "gas_limit = 40000000",
		"operator_fee_scalar = 1000", "operator_fee_scalar = 7",
		"operator_fee_constant = 1000000000", "operator_fee_constant = 8",
		"min_base_fee = 1000000", "min_base_fee = 9",
		"da_footprint_gas_scalar = 400", "da_footprint_gas_scalar = 500",
		"eip1559_denominator = 250", "eip1559_denominator = 100",
		"eip1559_elasticity = 6", "eip1559_elasticity = 4",
		"\nbase_fee_scalar = 1368", "\nbase_fee_scalar = 11",
		"\nblob_base_fee_scalar = 801949", "\nblob_base_fee_scalar = 12",
	).Replace(string(original))
	config := filepath.Join(t.TempDir(), "chain-config.toml")
	if err := os.WriteFile(config, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	files, err := render(config)
	if err != nil {
		t.Fatal(err)
	}
	parsed := &rollup.Config{}
	if err := parsed.ParseRollupConfig(bytes.NewReader(files["rollup.json"])); err != nil {
		t.Fatal(err)
	}
	system := parsed.Genesis.SystemConfig
	operator := system.OperatorFee()
	for name, pair := range map[string][2]uint64{
		"chain id":          {parsed.L2ChainID.Uint64(), 84532002},
		"block time":        {parsed.BlockTime, 1},
		"gas limit":         {system.GasLimit, 40000000},
		"operator scalar":   {uint64(operator.Scalar), 7},
		"operator constant": {operator.Constant, 8},
		"min base fee":      {system.MinBaseFee, 9},
		"footprint scalar":  {uint64(system.DAFootprintGasScalar), 500},
		"denominator":       {*parsed.ChainOpConfig.EIP1559DenominatorCanyon, 100},
		"elasticity":        {parsed.ChainOpConfig.EIP1559Elasticity, 4},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %d, not %d", name, pair[0], pair[1])
		}
	}
	scalars, err := system.EcotoneScalars()
	if err != nil || scalars.BaseFeeScalar != 11 || scalars.BlobBaseFeeScalar != 12 {
		t.Errorf("the L1 data fee's scalars are %+v (%v)", scalars, err)
	}
}

// What op-deployer would ignore, a mistyped key say, is an error here.
func TestUnknownKeysAreRefused(t *testing.T) {
	text, err := os.ReadFile("sepolia/intent.toml")
	if err != nil {
		t.Fatal(err)
	}
	mistyped := strings.Replace(string(text), "gasLimit", "gasLimitt", 1)
	if _, err := readIntent([]byte(mistyped)); err == nil || !strings.Contains(err.Error(), "gasLimitt") {
		t.Errorf("a mistyped key is not named: %v", err)
	}
}

// op-deployer carries out nothing while an address is still to be filled in.
func TestTheCommittedIntentIsRefusedUntilFilledIn(t *testing.T) {
	text, err := os.ReadFile("sepolia/intent.toml")
	if err != nil {
		t.Fatal(err)
	}
	intent, err := readIntent(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := intent.Check(); err == nil {
		t.Error("zero addresses are taken")
	}
}

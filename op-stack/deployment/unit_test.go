package deployment

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	chain = "sepolia"
	// What systemd-analyze calls fine: exposure of 2.0 and less, of 10.
	exposure = "20"
)

var programs = []string{"op-geth", "op-node", "op-batcher", "op-proposer", "set-sidecar"}

// installed is a folder that systemd/install has installed the chain into, as into /.
func installed(t *testing.T, chains ...string) string {
	t.Helper()
	for _, tool := range []string{"systemd-analyze", "systemd-sysusers", "systemd-tmpfiles"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed: apt-get install systemd", tool)
		}
	}
	root := t.TempDir()
	for _, chain := range chains {
		command := exec.Command("../systemd/install", "--root", root, chain)
		command.Env = append(os.Environ(), "SET_SIDECAR="+sidecar(t))
		if output, err := command.CombinedOutput(); err != nil {
			t.Fatalf("install: %v\n%s", err, output)
		}
	}
	return root
}

// sidecar is the program, or what stands for it where only units are looked at.
func sidecar(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "set-sidecar")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

// settings are the values of a unit's keys with its drop-ins, each key's in order.
func settings(t *testing.T, root, program string) map[string][]string {
	t.Helper()
	units := filepath.Join(root, "etc/systemd/system")
	files := []string{filepath.Join(units, program+"@.service")}
	for _, folder := range []string{program + "@.service.d", program + "@" + chain + ".service.d"} {
		dropIns, err := filepath.Glob(filepath.Join(units, folder, "*.conf"))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, dropIns...)
	}
	values := map[string][]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(strings.ReplaceAll(string(text), "\\\n", " ")) {
			if key, value, found := strings.Cut(strings.TrimSpace(line), "="); found && !strings.HasPrefix(key, "#") {
				values[key] = append(values[key], value)
			}
		}
	}
	return values
}

// systemd itself has nothing to say against a unit, and calls it well shut in.
func TestUnitsAreTakenBySystemd(t *testing.T) {
	root := installed(t, chain)
	// The units and programs of the system that these refer to.
	library := filepath.Join(root, "lib/systemd")
	if err := os.MkdirAll(library, 0o755); err != nil {
		t.Fatal(err)
	}
	if output, err := exec.Command("cp", "-r", "/lib/systemd/system", library).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	for _, program := range []string{"usr/bin/curl", "bin/kill"} {
		file := filepath.Join(root, program)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, program := range programs {
		unit := program + "@" + chain + ".service"
		verify := exec.Command("systemd-analyze", "verify", "--root="+root, filepath.Join(root, "etc/systemd/system", unit))
		if output, err := verify.CombinedOutput(); err != nil || len(output) > 0 {
			t.Errorf("systemd-analyze verify %s: %v\n%s", unit, err, output)
		}
		security := exec.Command("systemd-analyze", "security", "--offline=true", "--threshold="+exposure, "--root="+root, unit)
		if output, err := security.CombinedOutput(); err != nil {
			t.Errorf("systemd-analyze security %s: %v\n%s", unit, err, output)
		}
	}
}

// Each program is a user of its own, whose state and secrets are nobody else's; the JWT is op-geth's and op-node's.
func TestEachProgramHasItsOwn(t *testing.T) {
	root := installed(t, chain)
	users, err := os.ReadFile(filepath.Join(root, "etc/passwd"))
	if err != nil {
		t.Fatal(err)
	}
	for _, program := range programs {
		unit := settings(t, root, program)
		if user := program + "-%i"; !slices.Equal(unit["User"], []string{user}) {
			t.Errorf("%s runs as %v", program, unit["User"])
		}
		if user := program + "-" + chain; !strings.Contains(string(users), user+":") {
			t.Errorf("there is no user %s", user)
		}
		jwt := slices.ContainsFunc(unit["LoadCredential"], func(from string) bool { return strings.HasPrefix(from, "jwt:") })
		if engine := program == "op-geth" || program == "op-node"; jwt != engine {
			t.Errorf("%s has the JWT: %v", program, jwt)
		}
		if !slices.Equal(unit["Restart"], []string{"always"}) {
			t.Errorf("%s is not started again: %v", program, unit["Restart"])
		}
	}
	for file, mode := range map[string]os.FileMode{"secrets": 0o700 | os.ModeDir, "secrets/jwt": 0o600, "op-node.env": 0o600} {
		info, err := os.Stat(filepath.Join(root, "etc/set-chain", chain, file))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != mode {
			t.Errorf("%s is %v, not %v", file, info.Mode(), mode)
		}
	}
}

// What an operator has set stays; programs and units are replaced; each chain has a JWT of its own.
func TestInstallingAgainUpgrades(t *testing.T) {
	root := installed(t, chain, "second")
	read := func(file string) string {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	jwt := read("etc/set-chain/sepolia/secrets/jwt")
	if len(strings.TrimSpace(jwt)) != 64 || jwt == read("etc/set-chain/second/secrets/jwt") {
		t.Errorf("the JWT is no secret of 32 bytes, or both chains' is the same: %q", jwt)
	}
	edited := filepath.Join(root, "etc/set-chain/sepolia/op-node.env")
	unit := filepath.Join(root, "etc/systemd/system/op-node@.service")
	for _, file := range []string{edited, unit} {
		if err := os.WriteFile(file, []byte("# edited\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	again := exec.Command("../systemd/install", "--root", root, chain)
	again.Env = append(os.Environ(), "SET_SIDECAR="+sidecar(t))
	if output, err := again.CombinedOutput(); err != nil {
		t.Fatalf("install: %v\n%s", err, output)
	}
	if read("etc/set-chain/sepolia/op-node.env") != "# edited\n" || read("etc/set-chain/sepolia/secrets/jwt") != jwt {
		t.Error("the operator's settings are overwritten")
	}
	if !strings.Contains(read("etc/systemd/system/op-node@.service"), "ExecStart=") {
		t.Error("the unit is not replaced")
	}
	for _, name := range []string{"", "Sepolia", "a/b", "a-name-that-is-too-long"} {
		if exec.Command("../systemd/install", "--root", root, name).Run() == nil {
			t.Errorf("%q is taken for a chain's name", name)
		}
	}
}

package deployment

import (
	"context"
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Boots this system once more, without its services and network, over a copy of / that is forgotten: systemd runs the
// script in $WORK as root. A folder's mounts do not show through the copy, so the project and $WORK are given to it.
const boot = `
set -eu
mount -t tmpfs tmpfs "$WORK/copy"
mkdir "$WORK/copy/upper" "$WORK/copy/work" "$WORK/copy/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$WORK/copy/upper,workdir=$WORK/copy/work" "$WORK/copy/root"
units="$WORK/copy/root/etc/systemd/system"
printf '[Unit]\nRequires=basic.target deployment-test.service\n' >"$units/deployment-test.target"
cat >"$units/deployment-test.service" <<UNIT
[Unit]
After=basic.target
[Service]
Type=oneshot
Environment=WORK=$WORK SET_SIDECAR=$SET_SIDECAR
WorkingDirectory=$PROJECT
ExecStart=/bin/bash $WORK/script
ExecStopPost=/bin/systemctl --force poweroff
UNIT
exec systemd-nspawn --quiet --directory="$WORK/copy/root" --register=no --keep-unit --private-network \
    --bind="$WORK" --bind-ro="$PROJECT" --console=pipe --boot systemd.unit=deployment-test.target
`

//go:embed services_test.sh
var script string

// Two chains and a sidecar run beside one another under a real systemd, with all that is taken away from them; neither's
// JWT can be read by others, and a node that is killed is back.
func TestTwoChainsRunUnderSystemd(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can boot a system")
	}
	for _, tool := range []string{"systemd-nspawn", "unshare"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed: apt-get install systemd-container util-linux", tool)
		}
	}
	sidecar, err := filepath.Abs(os.Getenv("SET_SIDECAR"))
	if err != nil || os.Getenv("SET_SIDECAR") == "" {
		t.Skip("SET_SIDECAR names no program: cargo build -p set-sidecar, and give its path")
	}
	work := t.TempDir()
	project, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(work, "copy"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"script": script, "genesis.json": `{"config":{"chainId":84532001,"terminalTotalDifficulty":0,"bedrockBlock":0,` +
			`"optimism":{"eip1559Elasticity":6,"eip1559Denominator":50}},"difficulty":"0x0","gasLimit":"0x1c9c380","alloc":{"1111111111111111111111111111111111111111":` +
			`{"code":"0x00","balance":"0x0"}}}`,
	} {
		if err := os.WriteFile(filepath.Join(work, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "unshare", "--mount", "--propagation", "private", "bash", "-c", boot)
	command.Env = append(os.Environ(), "WORK="+work, "PROJECT="+project, "SET_SIDECAR="+sidecar)
	output, _ := command.CombinedOutput()
	log, err := os.ReadFile(filepath.Join(work, "log"))
	if err != nil {
		t.Skipf("no system can be booted here:\n%s", output)
	}
	if !strings.HasSuffix(string(log), "all is well\n") {
		t.Errorf("%s", log)
	}
}

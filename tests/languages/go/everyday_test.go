// What popular packages stand on: each test is one need.
package main

import (
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func TestServersOnLoopback(t *testing.T) {
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(t.TempDir(), "s")} {
		listener, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			connection, err := listener.Accept()
			if err == nil {
				io.WriteString(connection, "served")
				connection.Close()
			}
		}()
		connection, err := net.Dial(network, listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(connection)
		if string(text) != "served" {
			t.Fatal(string(text))
		}
		listener.Close()
	}
	if _, err := net.Interfaces(); err != nil {
		t.Fatal(err)
	}
}

func TestProcessesAndSignals(t *testing.T) {
	heard := make(chan os.Signal, 1)
	signal.Notify(heard, syscall.SIGUSR1)
	syscall.Kill(os.Getpid(), syscall.SIGUSR1)
	<-heard
	ctx, cancel := context.WithCancel(context.Background())
	command := exec.CommandContext(ctx, "sleep", "1000")
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := command.Wait(); err == nil {
		t.Fatal("not killed")
	}
}

func TestMappedAndLockedFiles(t *testing.T) {
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	file.Truncate(1 << 20)
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	memory, err := syscall.Mmap(int(file.Fd()), 0, 1<<20, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	memory[0] = 1
	syscall.Munmap(memory)
}

func TestClocksAndZones(t *testing.T) {
	<-time.After(time.Millisecond)
	if _, err := os.Stat("/usr/share/zoneinfo"); err != nil {
		t.Skip(err)
	}
	if _, err := time.LoadLocation("Europe/Berlin"); err != nil {
		t.Fatal(err)
	}
}

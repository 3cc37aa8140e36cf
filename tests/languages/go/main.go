package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
)

func main() {
	var wg sync.WaitGroup
	sum := make(chan int, 100)
	for i := 0; i < 100; i++ {
		wg.Add(1)
		go func(n int) { defer wg.Done(); runtime.Gosched(); sum <- n }(i)
	}
	wg.Wait()
	close(sum)
	total := 0
	for n := range sum {
		total += n
	}
	out, err := exec.Command("sh", "-c", "echo $((6 * 7))").Output()
	if err != nil || string(out) != "42\n" || total != 4950 {
		fmt.Println("wrong", err, string(out), total)
		os.Exit(1)
	}
	fmt.Println("go ok")
}

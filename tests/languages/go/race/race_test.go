// For the race detector, which needs fixed addresses: little is imported, as all of it is compiled once more.
package race

import (
	"sync"
	"testing"
)

func TestSharedCounters(t *testing.T) {
	var mutex sync.Mutex
	var group sync.WaitGroup
	total := 0
	for i := 0; i < 100; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			mutex.Lock()
			total++
			mutex.Unlock()
		}()
	}
	group.Wait()
	if total != 100 {
		t.Fatal(total)
	}
}

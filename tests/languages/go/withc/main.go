package main

/*
#include <pthread.h>
#include <stdlib.h>

static void *run(void *n) { *(int *)n *= 2; return NULL; }
static int twice(int n) { pthread_t t; pthread_create(&t, NULL, run, &n); pthread_join(t, NULL); return n; }
*/
import "C"

import "fmt"

func main() {
	fmt.Println("cgo", C.twice(21))
}

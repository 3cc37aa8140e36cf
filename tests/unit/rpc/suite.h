#pragma once
/** The parts of test_rpc. Each returns the number of failed tests. */

int test_calls(void);
int test_streams(void);
int test_limits(void);
int test_drain(void);
int test_socket(void); /* local only: bytes as no client of ours sends them */
int test_listen(void); /* local only */

#pragma once
/** What the tests of admission share: one worker's callers and keys, and peers that call it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "proto/rpc/rpc.h"
#include "service/worker/auth/auth.h"

enum { OPERATOR = 1000 };

#define RUN          "/aisbx.v1.SandboxService/Run"
#define LIST         "/aisbx.v1.SandboxService/ListSandboxes"
#define SET_DRAINING "/aisbx.v1.WorkerService/SetDraining"

/* New for each test. */
extern struct sb_auth auth;
extern struct sb_auth_config config;
extern struct sb_auth_identity identities[2];
extern struct sb_auth_tenant tenants[2];
/* What the last call of auth_admit found. */
extern struct sb_caller caller;
extern struct sb_rate rate;
extern struct sb_err err;

extern const struct sb_rpc_peer auth_mine;  /* the operator, on a unix socket */
extern const struct sb_rpc_peer auth_other; /* another user there */
extern const struct sb_rpc_peer auth_plain; /* plaintext from loopback */
extern const struct sb_rpc_peer auth_tls;   /* TLS without a certificate */

int auth_setup(void **state);
int auth_teardown(void **state);
#define TEST(name) cmocka_unit_test_setup_teardown(name, auth_setup, auth_teardown)

struct sb_auth_call auth_call_of(const struct sb_rpc_peer *peer, const char *method);
int auth_admit(const struct sb_auth_call *call);
/** Also that the error has that text in it. */
void assert_auth_refused(const struct sb_auth_call *call, enum sb_code code, const char *text);
/** A key of the worker's own, borrowed. */
struct sb_key *auth_add_key(enum sb_role role, const char *tenant, char ret_text[SB_KEY_TEXT_SIZE]);

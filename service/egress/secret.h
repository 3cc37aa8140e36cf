#pragma once
/** Secrets of a sandbox: what its programs have are placeholders, and the values are put in their
 *  place here, in header fields of requests to the hosts they are bound to, and nowhere else. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "service/egress/scrub.h"
#include "service/shared/egressproto.h"

struct sb_err;
struct sb_host;
struct sb_http_head;
struct sb_refusal;
struct sb_secret;
struct sb_tls_trust;

/** Zeroed: none. */
struct sb_secrets {
    struct sb_secret *items; /* owned */
    size_t n;
};

/** @text  what follows the head of a SECRET packet; copied.
 *  Errors: SB_INVALID: not what the worker may say; SB_EXHAUSTED. */
int sb_secrets_add(struct sb_secrets *secrets,
                   const struct sb_egress_secret *head,
                   struct sb_str text,
                   struct sb_err *err);
/** Forgets them: their memory is written over. */
void sb_secrets_done(struct sb_secrets *secrets);

/** Is one bound to that host? @is_tls  within TLS; else by plain HTTP. */
bool sb_secrets_are_bound(const struct sb_secrets *secrets,
                          const struct sb_host *host,
                          uint16_t port,
                          bool is_tls);

/** Who vouches for a host that a secret is bound to within TLS; of several secrets the first that
 *  says so decides, and the worker refuses profiles in which they differ. NULL: the system. */
const struct sb_tls_trust *
sb_secrets_trust(const struct sb_secrets *secrets, const struct sb_host *host, uint16_t port);

enum { SB_SECRET_TEXTS = 16 };

/** What one request was given: values of fields with secrets in them, and what must not come back.
 *  Zeroed: nothing. */
struct sb_secret_use {
    char *texts[SB_SECRET_TEXTS]; /* owned; NUL-terminated */
    size_t n;
    struct sb_scrub scrub;
};

/** Puts secrets into the fields of a request to head->host: where a placeholder stands in the value
 *  of a field, and where it stands within the credentials of "Authorization: Basic". The head then
 *  borrows from @use. Where secrets are bound, the request also asks for the whole answer, not
 *  compressed: pieces could not be looked through for them.
 *  @ret_use  zeroed; for sb_secret_use_done, in every case.
 *  Returns 0, or -1 with *ret_refusal: a placeholder goes where its secret may not. */
int sb_secrets_put_in(const struct sb_secrets *secrets,
                      bool is_tls,
                      struct sb_http_head *head,
                      struct sb_secret_use *ret_use,
                      struct sb_refusal *ret_refusal);
void sb_secret_use_done(struct sb_secret_use *use);

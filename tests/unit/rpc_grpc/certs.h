#pragma once
/** EC certificates made with openssl(1). Failures fail the test. */

#include <stdbool.h>

/** False when there is no openssl here: the caller skips (exit status 77). */
bool certs_can_be_made(void);

/** A self-signed authority: DIR/NAME.pem, DIR/NAME.key. */
void certs_make_ca(const char *dir, const char *name);

/** A certificate signed by ca: DIR/NAME.pem, DIR/NAME.key. @san  as openssl writes it
 *  ("DNS:a,URI:b,IP:c"); NULL: none, only the common name NAME. */
void certs_make(const char *dir, const char *name, const char *ca, const char *san);

/** Copies the files over those of another identity, key last, each by rename. */
void certs_replace(const char *dir, const char *from, const char *to);

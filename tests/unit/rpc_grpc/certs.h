#pragma once
/** EC certificates made with openssl(1), in the scratch directory of the fixture. */

#include <stdbool.h>

/** False when there is no openssl here: the caller skips (exit status 77). */
bool certs_can_be_made(void);

/** A self-signed authority: NAME.pem, NAME.key. */
void certs_make_ca(const char *name);

/** A certificate signed by ca: NAME.pem, NAME.key. @san  as openssl writes it ("DNS:a,URI:b,IP:c");
 *  NULL: none, only the common name NAME. */
void certs_make(const char *name, const char *ca, const char *san);

/** Copies files over those of another identity, key last, each by rename. */
void certs_replace(const char *from, const char *to);

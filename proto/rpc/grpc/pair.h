#pragma once

enum sb_grpc_pair {
    SB_GRPC_PAIR_FITS,
    SB_GRPC_PAIR_NO_CERT, /* none in the text, or not to be read */
    SB_GRPC_PAIR_NO_KEY,  /* the same; or it needs a passphrase, which is never asked for */
    SB_GRPC_PAIR_DIFFERS,
};

/** Whether the key belongs to the first certificate. @cert_pem, @key_pem  borrowed. Any thread. */
enum sb_grpc_pair sb_grpc_pair_check(const char *cert_pem, const char *key_pem);

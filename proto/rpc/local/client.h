#pragma once
/** Client end of the local transport: plain poll, no event library. */

#include "proto/rpc/internal.h"

extern const struct sb_rpc_client_transport sb_local_client_transport;

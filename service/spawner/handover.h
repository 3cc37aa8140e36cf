#pragma once
#include "service/shared/initproto.h"

struct sb_child;
struct sb_err;

/** In the child, in any of its steps: gives the worker a copy of a descriptor, before init runs.
 *  Once per kind. Allocates nothing. @fd  borrowed. Errors: by errno. */
int sb_handover_send(const struct sb_child *child,
                     enum sb_handover_kind kind,
                     int fd,
                     struct sb_err *err);

#pragma once
/** The fields that a client gets of an answer. */
#include <stdbool.h>

struct sb_answer;
struct sb_http_request;
struct sb_port_place;

/** Adds those that may pass, rewritten, and what the gateway says itself. False: no room. */
bool sb_ports_answer(struct sb_http_request *request,
                     const struct sb_port_place *place,
                     const struct sb_answer *answer);

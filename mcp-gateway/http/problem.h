#pragma once
/** Errors as RFC 9457 (application/problem+json). */
#include "base/err.h"

struct sb_http_request;

/** All texts borrowed. */
struct sb_http_problem {
    int status;
    enum sb_code code;   /* "code" in the answer, by its gRPC name */
    const char *detail;  /* what is wrong with this request */
    const char *hint;    /* the next step; NULL: none */
    const char *pointer; /* JSON pointer to the member that is wrong; NULL: none */
};

/** Answers with it; the request id is its instance. 401 asks for Bearer. */
void sb_http_problem(struct sb_http_request *request, const struct sb_http_problem *problem);

/** Reason phrase, "Not Found"; "Unknown" for what is not in the table. */
const char *sb_http_reason(int status);

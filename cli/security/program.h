#pragma once

struct sb_program;

/** aisbx-security. */
extern const struct sb_program sb_security_program;
